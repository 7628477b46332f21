"""Start-up and memory: `striate -h`, time to the first step beyond `import torch`, peak memory on 25,000 images.

    python benchmarks/start.py FOLDER [--images 25000]

FOLDER has class folders of JPEGs; the memory part trains one epoch on a folder of links to them, `--images` in all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from arms import spread

STEP = """
import sys, time
from pathlib import Path
from striate.data import open_dataset
from striate.base.progress import Progress
from striate.run.execute import train
from striate.run.recipe import named
from striate.engine.update import Update
call = Update.__call__
def first(self, batch, step):
    call(self, batch, step)
    sys.stdout.flush()
    import os
    os._exit(0)
Update.__call__ = first
recipe = named("regularized").changed(["train.precision=float32"])
train(open_dataset(sys.argv[1]), "bipyramid", recipe, out=Path(sys.argv[2]), overwrite=True, progress=Progress("quiet"))
"""
EPOCH = """
import resource, sys
from pathlib import Path
from striate.data import open_dataset
from striate.base.progress import Progress
from striate.run.execute import train
from striate.run.recipe import named
import torch
torch.set_num_threads(int(sys.argv[3]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
recipe = named("regularized").changed(["train.epochs=1"])
train(open_dataset(sys.argv[1]), "bipyramid", recipe, out=Path(sys.argv[2]), progress=Progress("quiet"))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(before / 1024, after / 1024)
"""


def wall(*command: str) -> float:
    """Return the seconds a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def many(folder: Path, count: int, into: Path) -> None:
    """Fill `into` with `count` hard links to the images of `folder`, class by class."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    for part in classes:
        files = sorted(part.glob("*.jpg"))
        (into / part.name).mkdir(parents=True)
        for number in range(count // len(classes)):
            source, target = files[number % len(files)], into / part.name / f"{number:06d}.jpg"
            try:
                os.link(source, target)
            except OSError:
                target.symlink_to(source)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    striate = str(Path(sys.executable).with_name("striate"))
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        helps = [wall(striate, "-h") for _ in range(options.repeats)]
        wall(sys.executable, "-c", STEP, str(options.data), str(out / "run"))  # builds the store
        imports, steps = [], []
        for _ in range(options.repeats):
            imports.append(wall(sys.executable, "-c", "import torch"))
            steps.append(wall(sys.executable, "-c", STEP, str(options.data), str(out / "run")))
        result = {
            "help_s": spread(helps),
            "import_torch_s": spread(imports),
            "first_step_beyond_import_s": spread([b - a for a, b in zip(imports, steps, strict=True)]),
        }
        if options.images:
            folder = out / "many"
            train = options.data / "train" if (options.data / "train").is_dir() else options.data
            many(train, options.images, folder)
            command = [sys.executable, "-c", EPOCH, str(folder), str(out / "big"), str(options.threads)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            before, after = map(float, done.stdout.split()[-2:])
            result["images"] = options.images
            result["peak_memory_beyond_imports_mb"] = round(after - before, 1)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
