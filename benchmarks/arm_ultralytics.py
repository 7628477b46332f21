"""Training of a YOLO by Ultralytics, in an environment of its own: a JSON line an epoch."""

import argparse
import json
import time
from contextlib import suppress
from typing import Any

import torch
import ultralytics

with suppress(ImportError):  # in an environment that has Striate: torchvision loads beside a CPU build of torch too
    from striate.base.torchvision import load
    from striate.nn.boxes import provide

    provide()
    load("torchvision.ops")

parser = argparse.ArgumentParser()
parser.add_argument("data", help="data.yaml")
parser.add_argument("--model", default="yolov8n.yaml", help="a table from scratch, or a file of weights")
parser.add_argument("--size", type=int, default=320)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--out", required=True)
arguments = parser.parse_args()
begin_s: list[float] = []


def begin(trainer: Any) -> None:
    """Note when an epoch begins; it sets threads of its own before."""
    torch.set_num_threads(arguments.threads)
    begin_s.append(time.perf_counter())


def end(trainer: Any) -> None:
    """Note what the epoch took, validation left out."""
    begin_s.append(time.perf_counter() - begin_s.pop())


def say(trainer: Any) -> None:
    """Say the epoch's speed, loss and scores."""
    time_s, scores, loss = begin_s.pop(), trainer.metrics, trainer.tloss
    parts = loss.values() if isinstance(loss, dict) else loss  # a tensor in older versions
    row = {
        "images_per_s": round(len(trainer.train_loader.dataset) / time_s, 2),
        "loss": round(sum(float(part) for part in parts), 4),
        "ap50": round(float(scores.get("metrics/mAP50(B)", 0.0)), 4),
        "ap": round(float(scores.get("metrics/mAP50-95(B)", 0.0)), 4),
    }
    print(json.dumps(row), flush=True)


model = ultralytics.YOLO(arguments.model)
flops = ultralytics.utils.torch_utils.get_flops(model.model, arguments.size)
parameters = sum(one.numel() for one in model.model.parameters())
about = {"ultralytics": ultralytics.__version__, "giga_macs": round(flops / 2, 3), "parameters": parameters}
print(json.dumps(about), flush=True)
model.add_callback("on_train_epoch_start", begin)
model.add_callback("on_train_epoch_end", end)
model.add_callback("on_fit_epoch_end", lambda trainer: say(trainer) if begin_s else None)
model.train(
    data=arguments.data, imgsz=arguments.size, batch=arguments.batch, epochs=arguments.epochs, device="cpu",
    plots=False, workers=arguments.workers, close_mosaic=0, seed=0, project=arguments.out, name="run", verbose=False,
    exist_ok=True,
)  # fmt: skip
