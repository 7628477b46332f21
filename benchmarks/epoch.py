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

from arms import Arm, line, take_turns

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
rows = take_turns(arms, arguments.repeats)
for arm in arms:
    rows[arm.name]["val_accuracy"] = round(arm.ask("validate")["accuracy"], 4)
result = {
    "benchmark": "epoch",
    "size": arguments.size,
    "batch": arguments.batch,
    "threads": arguments.threads,
    "machine": platform.processor() or platform.machine(),
    "arms": rows,
}
for arm in arms:
    arm.close()
if arguments.json:
    print(json.dumps(result, indent=1))
else:
    for name, row in rows.items():
        print(f"{line(name, row, row['ratio_to_striate'])}  val accuracy {row['val_accuracy']:.3f}")
