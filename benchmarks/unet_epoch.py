"""Training epochs of the U-Net on the Oxford pets' masks, side by side: Striate and a plain PyTorch script.

    python benchmarks/unet_epoch.py oxford_pets/ --threads 1

The network is the same module in all arms; Adam; flip, rotation, zoom; the same batch. The plain script has a Dataset
of files, torchvision's v2 transforms and a DataLoader with as many workers as threads beside the training process, and
float32. Arms take turns an epoch at a time; the first epoch of each is reported apart.
"""

import argparse
import json
import platform
import sys

from arms import Arm, line, take_turns

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data")
parser.add_argument("--size", type=int, default=128)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--depth", type=int, default=4, help="of the U-Net")
parser.add_argument("--repeats", type=int, default=5, help="timed epochs an arm, after the first")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()

shared = [
    arguments.data,
    "--size",
    str(arguments.size),
    "--batch",
    str(arguments.batch),
    "--depth",
    str(arguments.depth),
]
ours = ["--task", "segment", "--model", "unet"]
scripts = [
    ("striate", "arm_striate.py", ours),
    ("striate float32", "arm_striate.py", [*ours, "--precision", "float32"]),
    ("pytorch loop", "arm_pytorch_masks.py", []),
]
arms = [Arm(name, sys.executable, script, [*shared, *extra], arguments.threads) for name, script, extra in scripts]
rows = take_turns(arms, arguments.repeats)
for arm in arms:
    arm.close()
if arguments.json:
    settings = {name: getattr(arguments, name) for name in ("size", "batch", "depth", "threads")}
    machine = platform.processor() or platform.machine()
    print(json.dumps({"benchmark": "unet epoch", **settings, "machine": machine, "arms": rows}, indent=1))
else:
    for name, row in rows.items():
        print(line(name, row, row["ratio_to_striate"]))
