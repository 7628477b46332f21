"""Training epochs end to end, side by side: Striate, a plain PyTorch loop, Keras 3 on TensorFlow.

    python benchmarks/epoch.py FOLDER --size 64 --peer-python .bench/peers/bin/python

FOLDER has train/ and val/ with class folders. The network is the same in all arms: 3x3 convolutions of 32, 64, 128
and 256 filters with ReLU and 2x2 max-pooling, global average, linear; Adam; flip, rotation, zoom; the same batch.
Arms take turns an epoch at a time; the first epoch of each (store, caches, tracing) is reported apart.
"""

import argparse
import json
import platform
import sys

from arms import Arm, spread

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data")
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--repeats", type=int, default=6, help="timed epochs an arm, after the first")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--peer-python", help="python of an environment with keras and tensorflow")
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()

shared = [arguments.data, "--size", str(arguments.size), "--batch", str(arguments.batch)]
scripts = [
    ("striate", sys.executable, "arm_striate.py", []),
    ("striate float32", sys.executable, "arm_striate.py", ["--precision", "float32"]),
    ("pytorch loop", sys.executable, "arm_pytorch.py", []),
]
if arguments.peer_python:
    scripts.append(("keras", arguments.peer_python, "arm_keras.py", []))
arms = [Arm(name, python, script, [*shared, *extra], arguments.threads) for name, python, script, extra in scripts]
first = {arm.name: arm.ask("go")["time_s"] for arm in arms}
times: dict[str, list[float]] = {arm.name: [] for arm in arms}
for _ in range(arguments.repeats):
    for arm in arms:
        times[arm.name].append(arm.ask("go")["time_s"])
accuracy = {arm.name: arm.ask("validate")["accuracy"] for arm in arms}
ours = times["striate"]
result = {
    "benchmark": "epoch",
    "size": arguments.size,
    "batch": arguments.batch,
    "threads": arguments.threads,
    "machine": platform.processor() or platform.machine(),
    "arms": {
        arm.name: {
            "ready": arm.ready,
            "first_epoch_s": round(first[arm.name], 3),
            "epoch_s": spread(times[arm.name]),
            "ratio_to_striate": spread([b / a for a, b in zip(ours, times[arm.name], strict=True)]),
            "val_accuracy": round(accuracy[arm.name], 4),
        }
        for arm in arms
    },
}
for arm in arms:
    arm.close()
if arguments.json:
    print(json.dumps(result, indent=1))
else:
    for name, row in result["arms"].items():
        epoch_s, ratio = row["epoch_s"], row["ratio_to_striate"]
        times_text = (
            f"{epoch_s['median']:7.2f} s ({epoch_s['min']:.2f} to {epoch_s['max']:.2f})  {ratio['median']:5.2f}x"
        )
        print(
            f"{name:<16} first {row['first_epoch_s']:7.2f} s  then {times_text}  val accuracy {row['val_accuracy']:.3f}"
        )
