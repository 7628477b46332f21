"""Training images a second of two processes with one thread each against one process with two threads, in turns.

    python benchmarks/processes.py --repeats 3 --json

Both train the same network on the same toy images in the same batches; the first epoch of each run is left out. What
counts is the ratio of the two in a turn, since other work on the machine slows both down. Each turn is said on stderr.
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

CASES = {
    "bipyramid 64 px": ("bipyramid", 64),
    "bipyramid 128 px": ("bipyramid", 128),
    "resnet18 64 px": ("resnet18", 64),
    "resnet18 224 px": ("resnet18", 224),
}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--cases", default=",".join(CASES), help="names, with commas")
parser.add_argument("--images", type=int, default=1000)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--repeats", type=int, default=3, help="turns")
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()


def images_per_s(model: str, size: int, num: int, folder: Path) -> float:
    """The median over the epochs after the first of a run by `num` processes that have two threads together."""
    data = f"toy:shapes?n={arguments.images}&size={size}"
    words = [data, "--model", model, "--recipe", "baseline", "--epochs", str(arguments.epochs), "--size", str(size)]
    words += ["--batch-size", str(arguments.batch), "--out", str(folder), "--processes", str(num), "--threads", "2"]
    words += ["--set", "train.precision=float32", "--set", "train.patience=0", "--limit", "val=16,test=16", "-q"]
    variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-m", "striate", "train", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=variables)
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return statistics.median(row["images_per_s"] for row in rows[1:])


rows = []
for name in arguments.cases.split(","):
    model, size = CASES[name]
    turns = []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as place:
            one, two = (images_per_s(model, size, num, Path(place) / str(num)) for num in (1, 2))
        turns.append((one, two))
        print(f"{name}: {one:.0f}, {two:.0f} images/s: {two / one:.2f}", file=sys.stderr)
    row = {"case": name, "one_process": statistics.median(one for one, _ in turns)}
    row |= {"two_processes": statistics.median(two for _, two in turns), "turns": turns}
    row["ratio"] = round(statistics.median(two / one for one, two in turns), 3)
    rows.append(row)
    if not arguments.json:
        print(
            f"{name}: 1 x 2 threads {row['one_process']:.0f}, 2 x 1 {row['two_processes']:.0f} images/s: {row['ratio']}"
        )
if arguments.json:
    print(json.dumps({"benchmark": "processes", "machine": platform.processor() or platform.machine(), "rows": rows}))
