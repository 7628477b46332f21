"""Training on a GPU that is not there: nothing is made on the host where the rest is on the card, and no step waits.

`pretended_card` has the rules of a real one. What it cannot see: kernels that are missing on a GPU, bf16 by autocast,
streams, and the loader's own thread, whose work is done here in turns.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pretended_card import MixedError, OnCard, card
from seam import stop_after

from striate.base import device as devices
from striate.base.errors import Interrupted
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.base.tensors import write_tensors
from striate.data import open_dataset
from striate.data.sample import Dataset
from striate.engine.precision import autocast
from striate.evaluate.run import quick_scores
from striate.model import zoo
from striate.run.execute import resume, train
from striate.run.network import start_network
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.run.training import make_update
from striate.task.detect.readings import READINGS
from striate.task.protocol import answers_of
from striate.transfer import linear_probe
from striate.transfer.stages import stages

from ..data.volume_data import decathlon

QUIET = Progress("quiet")
TOY = "toy:shapes?n=40&size=16&clutter=0"
OBJECTS = "toy:shapes?objects=1..2&n=10&size=32&noise=0"
FEW = ["train.epochs=2", "train.precision=float32", "train.batch_size=10", "model.width=4", "train.patience=0"]

pytestmark = pytest.mark.filterwarnings("ignore")


def images(num=3):
    return torch.arange(num * 48.0).reshape(num, 3, 4, 4)


MIXED = {
    "add": lambda x, host: x + host,
    "cat": lambda x, host: torch.cat([x, host]),
    "where": lambda x, host: torch.where(host > 0, x, x),
    "weights": lambda x, host: torch.nn.functional.conv2d(x, host),
    "host by card's indices": lambda x, host: host[torch.zeros(1, dtype=torch.long, device="cuda")],
    "made without a device": lambda x, host: x * torch.arange(4),
    "list": lambda x, host: torch._foreach_add([x], [host]),
}
ALLOWED = {
    "a number of the host": lambda x: x * torch.tensor(2.0),
    "made there": lambda x: x + torch.arange(4, device=x.device),
    "made alike": lambda x: x + x.new_tensor([1.0, 2.0, 3.0, 4.0]) + torch.ones_like(x),
    "sent": lambda x: x + images().to("cuda"),
    "class indices": lambda x: torch.nn.functional.one_hot(x.long().flatten()[:3] % 2, 2),
}
WAITING = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool((x > 0).any()),
    "list": lambda x: x.tolist(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "host": lambda x: x.cpu(),
    "sent without a pin": lambda x: images().to("cuda", non_blocking=True),
    "made of numbers": lambda x: torch.tensor([1, 2], device="cuda"),
    "indices of the host": lambda x: x[torch.tensor([0])],
}


@pytest.mark.parametrize("way", MIXED)
def test_the_pretended_card_refuses_what_a_card_refuses(way):
    with card():
        with pytest.raises(MixedError):
            MIXED[way](images().to("cuda"), images())
        with pytest.raises(TypeError):
            images().to("cuda").numpy()


@pytest.mark.parametrize("way", ALLOWED)
def test_the_pretended_card_takes_what_a_card_takes(way):
    with card():
        found = ALLOWED[way](images().to("cuda"))
        assert isinstance(found, OnCard) and found.device.type == "cuda"


@pytest.mark.parametrize("way", WAITING)
def test_the_pretended_card_knows_what_waits(way):
    with card() as made:
        x = images().to("cuda")
        made.waits.clear()
        x.pin_memory().to("cuda", non_blocking=True)
        assert not made.waits
        WAITING[way](x)
        assert made.waits


# Each run has several settings of a kind: if one of them mixes devices, the run ends.
RUNS = {
    "averaged": [
        "train.ema=0.9",
        "train.sam=0.05",
        "train.clip=1",
        "data.balance=weights",
        "train.label_smoothing=0.1",
    ],
    "noisy": [
        "train.swa=0.5",
        "data.balance=sampling",
        "train.weight_noise=0.1",
        "train.label_noise=0.2",
        "train.l1=0.1",
    ],
    "muon": ["train.optimiser=muon", "augment=['mixup']", "train.record_gradients=true", "data.balance=weights"],
    "lion": ["train.optimiser=lion", "augment=['cutmix']", "model.norm=batch", "train.depth_decay=0.9"],
    "rmsprop": ["train.optimiser=rmsprop", "augment=strong", "model.dropout=0.5", "task.loss=focal"],
    "sgd": ["train.optimiser=sgd", "augment=medium", "train.stages=[{epochs=1,frozen='conv1'},{}]", "train.l2=0.1"],
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_stays_on_the_card(kind, tmp_path):
    with card():
        run = train(open_dataset(TOY), None, named("baseline").changed([*FEW, *RUNS[kind]]), out=tmp_path / "run",
                    device="cuda", progress=QUIET, keep_checkpoints=True)  # fmt: skip
    assert run.info()["device"]["type"] == "cuda" and np.isfinite(run.history()[-1]["train"]["loss"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs on the host to begin with: of an answer an image, and of one a pixel."""
    changes, found = [*FEW, "train.epochs=1", "augment=none"], {}
    for task, model in (("classify", "bipyramid"), ("segment", "unet")):
        data, folder = open_dataset(TOY, task=task), tmp_path_factory.mktemp(task) / "run"
        found[task] = train(data, model, named("baseline").changed(changes), out=folder, progress=QUIET)
    return found


@pytest.mark.parametrize(
    ("recipe", "task", "changes"),
    [
        ("features", "classify", ["transfer.hidden=4", "augment=['flip', 'mixup']"]),
        ("finetune", "classify", []),
        ("frozen", "segment", ["augment=light"]),  # maps of frozen rows are kept
    ],
)
def test_a_trained_network_goes_on_there(recipe, task, changes, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(linear_probe, "MAX_STEPS", 2)
    start, data = trained[task], open_dataset(TOY, task=task)
    settings = named(recipe).changed([*FEW, f"transfer.weights={start.path}", *changes])
    with card():
        run = train(data, start.info()["model"]["name"], settings, out=tmp_path, device="cuda", progress=QUIET)
    assert RunDir(tmp_path).history() == run.history()


def one_step(data: Dataset, model: str, recipe: str, *changes: str) -> list[str]:
    """Train on two batches, look at another as an epoch's end and an evaluation do; return what the second waited for.

    Numbers that every step needs again are sent in the first.
    """
    settings = named(recipe).changed([*FEW, "train.batch_size=4", *changes])
    with card() as made:
        device = torch.device("cuda")
        prepared = prepare(data, settings, target=None, device=device, progress=QUIET, model=model)
        network = devices.place(start_network(model, prepared, 0), device)
        loader = prepared.loader("train", is_training=True)
        stage = stages(settings.train, prepared.num_epochs)[0]
        update = make_update(prepared, network, "float32", stage, steps_per_epoch=len(loader))
        update.train_mode()
        for step, batch in zip((1, 2), loader.batches(0), strict=False):
            tally = update(batch, step)
            waits = list(made.waits)
            made.waits.clear()
        assert np.isfinite(prepared.task.summarise(tally)["loss"])
        val = prepared.loader("val", indices=data.splits["val"][:2])
        quick_scores(network, prepared.task, val, autocast(device, "float32"))
        batch = next(val.batches(0))
        with torch.no_grad():
            answers_of(prepared.task, prepared.task.forward(network.eval(), batch), batch)
    return waits


DENSE = ["model.width=4", "model.depth=1"]
STEPS = {
    "regress": (TOY, "bipyramid", "regress", "baseline", ["augment=light"]),
    "segment": (TOY, "unet", "segment", "baseline", ["augment=medium", *DENSE, "task.loss=cross-entropy+dice"]),
    "localise": (TOY, "bipyramid", "localise", "baseline", ["augment=light"]),
    "points": (f"{TOY}&points=corners,centre", "mlp", "points", "baseline", []),
    "heatmap": (f"{TOY}&points=corners,centre", "unet", "points", "baseline", DENSE),
    "denoise": (TOY, "residual_unet", "denoise", "restore", DENSE),
    "superresolve": (TOY, "residual_unet", "superresolve", "restore", DENSE),
    "inpaint": (TOY, "residual_unet", "inpaint", "restore", DENSE),
    "colourise": (TOY, "residual_unet", "colourise", "restore", DENSE),
    "reconstruct": (TOY, "autoencoder_32", "reconstruct", "restore", []),
    "series": ("toy:order?n=40", "lstm", "classify", "series", []),
}


@pytest.mark.parametrize("kind", STEPS)
def test_a_step_of_each_task_stays_on_the_card_and_waits_for_nothing(kind):
    where, model, task, recipe, changes = STEPS[kind]
    assert not one_step(open_dataset(where, task=task), model, recipe, *changes)


MORE_OPERATORS = 24  # the norm of the gradient, a step left out where it is not finite, the epoch's scores
TO_LOAD = 21  # rows and pixels looked up, normalised


@pytest.mark.parametrize("model", ["bipyramid", "resnet18"])
def test_a_step_asks_little_more_of_the_card_than_a_bare_loop(model):
    settings = named("baseline").changed(["train.batch_size=4", "data.size=32", "augment=['flip']"])
    with card() as made:
        device = torch.device("cuda")
        data = open_dataset("toy:shapes?n=40&size=32&clutter=0")
        prepared = prepare(data, settings, target=None, device=device, progress=QUIET, model=model)
        ours, bare = (devices.place(start_network(model, prepared, 0), device).train() for _ in range(2))
        update = make_update(prepared, ours, "float32", stages(settings.train, 4)[0], steps_per_epoch=4)
        optimiser = torch.optim.AdamW(bare.parameters(), lr=1e-3, fused=True)
        for step, batch in zip((1, 2), prepared.loader("train", is_training=True).batches(0), strict=False):
            to_load, loading = made.operators.total(), list(made.waits)
            update(batch, step)
            of_ours, waits = made.operators.total() - to_load, loading + made.waits
            made.operators.clear()
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(bare(batch.images), batch.targets["label"]).backward()
            optimiser.step()
            of_bare = made.operators.total()
            made.operators.clear()
            made.waits.clear()
    assert not waits
    assert of_ours <= of_bare + MORE_OPERATORS
    assert 0 < to_load <= TO_LOAD


def test_a_step_on_tags_stays_on_the_card(tiny):
    one_step(replace(tiny, targets={"tags": tiny.targets["tags"]}), "bipyramid", "baseline", "data.balance=weights")


def test_a_step_on_volumes_stays_on_the_card(tmp_path):
    pytest.importorskip("nibabel")
    decathlon(tmp_path / "set", num=5)
    one_step(
        open_dataset(tmp_path / "set", task="segment"), "unet_3d", "baseline", *DENSE, "augment=['rotate', 'flip']"
    )


@pytest.mark.slow
def test_regions_of_images_are_solved_there(tmp_path):
    network = zoo.build("bipyramid", classes=5, channels=3, size=64, seed=0, width=4)
    write_tensors(tmp_path / "body.safetensors", network.state_dict())
    changes = ["data.size=64", "task.proposals=10", "model.encoder=bipyramid", "task.region_px=32", *FEW]
    settings = named("features").changed([*changes, f"transfer.weights={tmp_path / 'body.safetensors'}"])
    with card():
        train(
            open_dataset(OBJECTS, task="detect"), "rcnn", settings, out=tmp_path / "run", device="cuda", progress=QUIET
        )


def test_a_run_resumes_there(tmp_path):
    data = open_dataset(TOY)
    settings = named("baseline").changed([*FEW, "train.ema=0.9"])
    with card(), pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted):
            train(data, None, settings, out=tmp_path / "run", device="cuda", progress=QUIET)
        patch.undo()
        resume(tmp_path / "run", dataset=data, device="cuda", progress=QUIET)
    assert len(RunDir(tmp_path / "run").history()) == 2


@pytest.mark.parametrize("kind", READINGS)
def test_a_step_of_each_detector_stays_on_the_card(kind):
    changes = ["data.size=32", "task.proposals=10", "model.encoder=bipyramid", "model.width=8", "train.batch_size=2"]
    where = OBJECTS + "&points=corners" * (kind == "keypoint_rcnn")
    waits = one_step(open_dataset(where, task="detect"), kind, "detect", *changes, "augment=['flip', 'mosaic']")
    assert not [one for one in waits if "striate/data/" in one]  # the rest: boxes are matched by masks
