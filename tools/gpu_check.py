"""What there is to know of Striate on one GPU, in under six minutes, as one JSON document.

    python tools/gpu_check.py > gpu.json
    python tools/gpu_check.py --rehearse      every step once, tiny, on the CPU: does the script itself work?

Training images a second of bipyramid, ResNet-18 and ResNet-50 in bf16 and channels-last, beside a loop as torchvision's
references have it with the same network (images resident on the GPU, and read from JPEG files by workers); share of the
bf16 peak that a large matrix product reaches here; memory; seconds of the recipe fast-small to an accuracy; the tests
marked `gpu`. Without a GPU it says so and ends with 0.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

import striate as st
from striate.base.device import place
from striate.base.progress import Progress
from striate.base.torchvision import load
from striate.data import open_dataset
from striate.engine.precision import autocast
from striate.model.walk import walk
from striate.run.network import start_network
from striate.run.prepare import Prepared, prepare
from striate.run.training import make_update
from striate.transfer.stages import stages

torchvision, v2 = load("torchvision"), load("torchvision.transforms.v2")
CASES = {"bipyramid": (64, 256), "resnet18": (224, 256), "resnet50": (224, 128)}  # side, batch
LIMIT_S = 340.0
GOALS = {"resident": 1.0, "files": 3.0}  # images/s over the reference's


def timed(step: Callable[[], int], device: torch.device, seconds: float) -> float:
    """Return images a second of a step, which says how many it took; the first steps warm up."""
    for _ in range(3):
        step()
    _wait(device)
    start, num = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        num += step()
    _wait(device)
    return num / (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def endless(make: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    """Yield what epochs yield, one after the other."""
    epoch = 0
    while True:
        yield from make(epoch)
        epoch += 1


def of_striate(prepared: Prepared, network: nn.Module, seconds: float) -> float:
    """Images a second of our step on our loader."""
    loader = prepared.loader("train", is_training=True)
    stage = stages(prepared.recipe.train, prepared.num_epochs)[0]
    update = make_update(prepared, network, "bf16", stage, steps_per_epoch=len(loader))
    update.train_mode()
    batches = endless(loader.batches)

    def step() -> int:
        batch = next(batches)
        update(batch, 0)
        return len(batch)

    return timed(step, prepared.device, seconds)


def of_reference(
    network: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], device: torch.device, seconds: float
) -> float:
    """Images a second of a plain loop, as torchvision's references: autocast, channels-last, the fastest kernels."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    network.train()

    def step() -> int:
        images, labels = next(batches)
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        with autocast(device, "bf16"):
            outputs = network(images)
        loss = nn.functional.cross_entropy(outputs.float(), labels.to(device, non_blocking=True))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return len(images)

    return timed(step, device, seconds)


def resident(size: int, batch: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch of noise on the device, flipped at random as a whole batch."""
    images = torch.randn(batch, 3, size, size, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (batch,), device=device)
    while True:
        yield v2.functional.horizontal_flip(images), labels


def from_files(folder: Path, size: int, batch: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as torchvision's references read them."""
    change = v2.Compose([v2.PILToTensor(), v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(),
                         v2.ToDtype(torch.float32, scale=True)])  # fmt: skip
    data = torchvision.datasets.ImageFolder(str(folder), change)
    options = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": torch.cuda.is_available()}
    loader = torch.utils.data.DataLoader(data, batch, shuffle=True, drop_last=True, **options)
    return endless(lambda _: iter(loader))


def write_files(folder: Path, num: int, side: int) -> None:
    """JPEG files of noise in two classes."""
    for index in range(num):
        path = folder / "train" / "ab"[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = torch.randint(0, 256, (side // 8, side // 8, 3), dtype=torch.uint8).numpy()
        Image.fromarray(levels).resize((side, side)).save(path)


def peak_flops(device: torch.device, side: int) -> float:
    """Operations a second of a matrix product in bf16."""
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    return timed(lambda: int(a.matmul(a).shape[0] > 0), device, 1.0) * 2 * side**3


def case(model: str, size: int, batch: int, device: torch.device, rest: argparse.Namespace) -> dict[str, Any]:
    """Everything about one network."""
    with tempfile.TemporaryDirectory() as place_:
        folder = Path(place_)
        write_files(folder, rest.files, size * 5 // 4)
        recipe = st.recipe("baseline").changed([f"train.batch_size={batch}", f"data.size={size}", "augment=['flip']"])
        data = open_dataset(str(folder))
        prepared = prepare(data, recipe, target=None, device=device, progress=Progress("quiet"), model=model)
        ours, theirs = (place(start_network(model, prepared, 0), device) for _ in range(2))
        macs = walk(ours, size_hw=(size, size), channels=3).macs
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        row: dict[str, Any] = {"model": model, "size": size, "batch": batch}
        row["images_per_s"] = of_striate(prepared, ours, rest.seconds)
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            row["images_per_s_benchmark"] = of_striate(prepared, ours, rest.seconds)
        row["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
        row["share_of_peak"] = 6 * macs * row["images_per_s"] / rest.peak
        files = from_files(folder / "train", size, min(batch, rest.files), rest.workers)
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            row["reference_resident"] = of_reference(theirs, resident(size, batch, device), device, rest.seconds)
            row["reference_files"] = of_reference(theirs, files, device, rest.seconds)
    for name, goal in GOALS.items():
        row[f"over_{name}"] = row["images_per_s"] / row[f"reference_{name}"]
        row[f"reaches_{name}"] = row[f"over_{name}"] >= goal
    return row


def fast_small(data: str, accuracy: float, device: torch.device, changes: list[str]) -> dict[str, Any]:
    """Seconds of the recipe fast-small until the validation accuracy is reached."""
    with tempfile.TemporaryDirectory() as place_:
        recipe = st.recipe("fast-small").changed(changes)
        run = st.train(data, None, recipe, out=Path(place_) / "run", device=str(device), progress=Progress("quiet"))
        rows, result = run.history, run.info["result"]
    reached = next((row["time_s"] for row in rows if row["val"]["accuracy"] >= accuracy), None)
    best = max(row["val"]["accuracy"] for row in rows)
    return {"data": data, "accuracy": accuracy, "reached_s": reached, "best": best, "whole_s": result["time_s"]}


def tests(seconds: float) -> dict[str, Any]:
    """The tests marked `gpu`, of the files that have some: others want packages that need not be there."""
    root = Path(__file__).parents[1]
    files = [str(one) for one in sorted(root.glob("tests/**/test_*.py")) if "mark.gpu" in one.read_text("utf-8")]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *files]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=max(10.0, seconds),
            cwd=root,
        )
    except subprocess.TimeoutExpired:
        return {"code": None, "said": f"not done in {seconds:.0f} s"}
    return {"code": done.returncode, "said": done.stdout.strip().splitlines()[-1:]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--data", default="toy:shapes?n=20000&size=32&noise=0.1", help="of fast-small, such as cifar10")
    parser.add_argument("--accuracy", type=float, default=0.94)
    rest = parser.parse_args()
    start_s = time.monotonic()
    if not torch.cuda.is_available() and not rest.rehearse:
        print(json.dumps({"gpu": None, "note": "no GPU here: nothing was measured"}))
        return 0
    device = torch.device("cpu" if rest.rehearse else "cuda")
    rest.seconds, rest.files, rest.workers = (0.01, 8, 0) if rest.rehearse else (6.0, 2048, 8)
    rest.peak = peak_flops(device, 64 if rest.rehearse else 8192)
    cases = {"bipyramid": (32, 4)} if rest.rehearse else CASES
    result: dict[str, Any] = {
        "gpu": None if rest.rehearse else torch.cuda.get_device_name(),
        "torch": torch.__version__,
    }
    result |= {"peak_tflops": rest.peak / 1e12, "cases": []}
    for model, (size, batch) in cases.items():
        result["cases"].append(case(model, size, batch, device, rest))
        print(json.dumps(result["cases"][-1]), file=sys.stderr)  # what is measured is said at once
    small = ("toy:shapes?n=60&size=32", ["train.epochs=1"]) if rest.rehearse else (rest.data, [])
    result["fast_small"] = fast_small(small[0], rest.accuracy, device, small[1])
    if not rest.rehearse:
        result["tests"] = tests(LIMIT_S - (time.monotonic() - start_s))
    result["took_s"] = round(time.monotonic() - start_s, 1)
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
