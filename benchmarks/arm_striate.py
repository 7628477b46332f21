"""Striate's arm: its store, loader, engine and measured precision."""

import argparse
import time
from pathlib import Path
from tempfile import mkdtemp

import torch
from arms import serve

from striate.base import device as devices
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.engine.precision import choose_precision
from striate.model.zoo import blueprint
from striate.run.network import build_network
from striate.run.prepare import prepare
from striate.run.recipe import Recipe
from striate.run.training import Training
from striate.task.tally import total

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--precision", default="auto")
parser.add_argument("--task", help="by default the one of the first target")
parser.add_argument("--model", default="bipyramid")
parser.add_argument("--depth", type=int, default=4)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)

augment = [{"kind": "flip"}, {"kind": "rotate", "max_deg": 18}, {"kind": "zoom", "min": 0.8, "max": 1.2}]
settings = {"epochs": 10_000, "batch_size": arguments.batch, "optimiser": "adam", "schedule": "constant", "lr": 1e-3}
recipe = Recipe.parse({"augment": augment, "data": {"size": arguments.size}, "train": settings})
start = time.perf_counter()
prepared = prepare(
    open_dataset(arguments.data, task=arguments.task),
    recipe,
    target=None,
    device=devices.pick("cpu"),
    progress=Progress("quiet"),
)
network = build_network(blueprint(arguments.model, depth=arguments.depth), prepared, 0)
network = devices.place(network, prepared.device)
sample = torch.randn(arguments.batch, 3, arguments.size, arguments.size).contiguous(memory_format=torch.channels_last)
precision = choose_precision(network, sample, arguments.precision)
training = Training(
    RunDir(Path(mkdtemp())),
    prepared,
    network,
    seed=0,
    precision=precision["name"],
    progress=Progress("quiet"),
    fixed={},
)
ready = {"prepare_s": time.perf_counter() - start, "precision": precision, "torch": torch.__version__}


def epoch(word: str) -> dict[str, float]:
    """Train one epoch, or validate."""
    begin = time.perf_counter()
    if word == "validate":
        return {"accuracy": training.validate()["accuracy"], "time_s": time.perf_counter() - begin}
    training.update.model.train()
    images, task = 0, training.prepared.task
    for batch in training.loader.batches(training.position.epoch):
        training.position.advance(training.update(batch, training.position.step), task.add)
        images += len(batch)
    loss = task.summarise(total(training.position.parts, task.add))["loss"]
    training.position.end_epoch()
    return {"time_s": time.perf_counter() - begin, "images": images, "loss": loss}


serve(ready, epoch)
