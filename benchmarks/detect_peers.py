"""Training of detectors, side by side: Striate, Ultralytics' YOLO, torchvision's reference loop for Faster R-CNN.

    python -m venv .bench/yolo && .bench/yolo/bin/pip install ultralytics
    python benchmarks/detect_peers.py bccd/ --peer-python .bench/yolo/bin/python --json

All from scratch, on the same files, threads, batch and size, each in a process of its own, one after the other, the
same number of epochs; images a second are of training epochs after the first, validation left out. The YOLO is the one
whose multiply-adds are nearest; its letterbox is square, so ours is too. Both augment with mosaic. Faster R-CNN is the
same network in both, at 240x320.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from striate.data import open_dataset

HERE = Path(__file__).parent
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data", help="a set of boxes with splits, such as a VOC folder")
parser.add_argument("--peer-python", help="python of an environment with ultralytics; without it, torchvision alone")
parser.add_argument("--yolo", default="yolov8n.yaml")
parser.add_argument("--size", type=int, default=320)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--limit", type=int, default=0, help="training images, for a short trial")
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()


def run(command: list[str]) -> list[dict[str, Any]]:
    """Run an arm and return its JSON lines."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def striate(model: str, size: str, out: Path, *more: str) -> dict[str, Any]:
    """Train ours and return its row."""
    some = [f"train={arguments.limit}", "val=8"] if arguments.limit else []
    limit = ["--limit", ",".join([*some, "test=4"])]
    command = [sys.executable, "-m", "striate", "train", arguments.data, "--task", "detect", "--model", model]
    command += ["--size", size, "--epochs", str(arguments.epochs), "--set", f"train.batch_size={arguments.batch}"]
    run([*command, "--threads", str(arguments.threads), *limit, *more, "--out", str(out), "--quiet"])
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    rows = [
        {
            "images_per_s": row["images_per_s"],
            "loss": round(row["train"]["loss"], 4),
            **{key: round(row["val"][key], 4) for key in ("ap50", "ap")},
        }
        for row in history
    ]
    info = json.loads((out / "run.json").read_text())
    about = {"precision": info["precision"]["name"], "giga_macs": round(info["model"]["macs"] / 1e9, 3)}
    return row_of([{**about, "parameters": info["model"]["parameters"]}, *rows])


def row_of(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what an arm is, its median speed after the first epoch, and its last loss and scores."""
    about, *epochs = lines
    speeds = [row["images_per_s"] for row in epochs[1:] or epochs]
    last = {key: value for key, value in epochs[-1].items() if key != "images_per_s"}
    return {**about, "images_per_s": statistics.median(speeds), **last, "epochs": epochs}


def as_yolo(folder: Path) -> Path:
    """Write the data as Ultralytics wants them, images as links, and return data.yaml."""
    data = open_dataset(arguments.data, task="detect")
    target = data.target("box")
    for split in ("train", "val"):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        some = {"train": arguments.limit, "val": 8}[split] if arguments.limit else None
        for index in data.splits[split][:some].tolist():
            path = Path(data.images.path(index)).resolve()
            (images / path.name).symlink_to(path)
            wide, high = Image.open(path).size
            part = slice(int(target.starts[index]), int(target.starts[index + 1]))
            lines = [
                f"{label} {(x0 + x1) / 2 / wide} {(y0 + y1) / 2 / high} {(x1 - x0) / wide} {(y1 - y0) / high}"
                for label, (x0, y0, x1, y1) in zip(target.labels[part], target.xyxy[part].tolist(), strict=True)
            ]
            (labels / f"{path.stem}.txt").write_text("\n".join(lines))
    names = dict(enumerate(target.names))
    (folder / "data.yaml").write_text(
        json.dumps({"path": str(folder), "train": "images/train", "val": "images/val", "names": names})
    )
    return folder / "data.yaml"


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    same = ["--batch", str(arguments.batch), "--epochs", str(arguments.epochs), "--threads", str(arguments.threads)]
    pairs: dict[str, dict[str, Any]] = {}
    if arguments.peer_python:
        own = striate("one_stage", str(arguments.size), folder / "one_stage", "--augment", "objects")
        script = [arguments.peer_python, str(HERE / "arm_ultralytics.py"), str(as_yolo(folder / "yolo")), *same]
        size = ["--size", str(arguments.size), "--model", arguments.yolo, "--out", str(folder / "runs")]
        pairs["one_stage"] = {"striate": own, "ultralytics": row_of(run([*script, *size]))}
    own = striate("faster_rcnn", "240x320", folder / "faster_rcnn", "--augment", "flip")
    script = [sys.executable, str(HERE / "arm_torchvision_boxes.py"), arguments.data, *same]
    theirs = row_of(run([*script, "--limit", str(arguments.limit)]))
    pairs["faster_rcnn"] = {"striate": own, "torchvision": theirs}

for pair in pairs.values():
    ours, other = (row["images_per_s"] for row in pair.values())
    pair["ratio"] = round(ours / other, 3)
result = {
    "benchmark": "detect peers",
    **{key: getattr(arguments, key) for key in ("size", "batch", "epochs", "threads", "limit")},
    "machine": platform.processor() or platform.machine(),
    "pairs": pairs,
}
if arguments.json:
    print(json.dumps(result, indent=1))
else:
    for name, pair in pairs.items():
        for arm in (key for key in pair if key != "ratio"):
            row = pair[arm]
            scores = ", ".join(f"{key} {row[key]}" for key in ("loss", "ap50", "ap") if key in row)
            print(f"{name:<12} {arm:<12} {row['images_per_s']:7.2f} images/s  {scores}")
        print(f"{name:<12} {pair['ratio']:.2f}x")
