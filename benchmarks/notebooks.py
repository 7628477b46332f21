"""A study of three variants and three seeds against the same nine trainings as plain PyTorch and Keras notebooks.

    python benchmarks/notebooks.py FOLDER --size 64 --epochs 10 --parallel 2 --peer-python .bench/peers/bin/python

FOLDER has train/, val/ and test/ with class folders. Each peer training is a script started anew (notebook_pytorch.py,
notebook_keras.py), as a notebook's kernel is: import, open the folder as the framework's tutorials do, train, validate
every epoch, keep the best one, open the test split once, count accuracy and the confusion matrix. Striate's arm is one
`striate study` of the same recipes (network, operations of the augmentation, one-cycle AdamW, batch, epochs, no early
stop) with an empty cache, so that its store, its intervals and its report are inside the time. Precision, layout,
initialisation and loading are each framework's own: the peers compute in float32, Striate in what it measures to be
faster.

Timed is the wall clock from starting a process to its end; the files of the images and of the packages have been read
once before. The peers take turns a training at a time. `--sample N` times only the first N of the nine (a seed of all
variants after the other) and extrapolates the total. A table on stdout, or one JSON document with --json; progress on
stderr.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from arms import Arm

from striate.base import device
from striate.base.rundir import StudyDir

VARIANTS = ("baseline", "augmented", "regularized")
SPLITS = ("train", "val", "test")
AUGMENTED = ("augmented", "regularized")


def main() -> None:
    """Run the benchmark."""
    options = parse()
    with TemporaryDirectory() as temporary:
        folder = limited(options.data, Path(temporary) / "data", options.limit) if options.limit else options.data
        peers = [("pytorch notebooks", sys.executable, "notebook_pytorch.py")]
        if options.peer_python:
            peers.append(("keras notebooks", options.peer_python, "notebook_keras.py"))
        num_images = warm(folder, [python for _, python, _ in peers])
        say(f"{sum(num_images.values()):,} images; striate study, {len(VARIANTS) * options.seeds} trainings")
        arms = {"striate study": study(folder, Path(temporary), options)}
        arms |= notebooks(folder, peers, options)
    for name, arm in arms.items():
        found, wanted = arm["parameters"], arms["striate study"]["parameters"]
        if found != wanted:
            raise SystemExit(f"{name} trained networks of {found} parameters, striate of {wanted}: not the same study")
        arm["ratio_to_striate"] = round(arm["total_s"] / arms["striate study"]["total_s"], 3)
    result = {
        "benchmark": "notebooks",
        "images": num_images,
        **{name: getattr(options, name) for name in ("size", "batch", "epochs", "seeds", "threads", "parallel")},
        "machine": {**device.describe(device.pick("cpu")), "threads": options.threads},
        "versions": device.versions(),
        "arms": arms,
    }
    print(json.dumps(result, indent=1) if options.json else table(result))


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=64, help="side of the networks' input in pixels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3, help="trainings a variant")
    parser.add_argument("--threads", type=int, default=2, help="threads of every arm")
    parser.add_argument("--parallel", default="1", help="striate's runs at once, or auto")
    parser.add_argument("--peer-python", help="python of an environment with keras and tensorflow")
    parser.add_argument("--sample", type=int, default=0, help="time only this many trainings of each peer; 0: all")
    parser.add_argument("--limit", type=int, default=0, help="use this many images of each split only; 0: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.data = options.data.resolve()
    missing = [split for split in SPLITS if not (options.data / split).is_dir()]
    if missing:
        parser.error(f"{options.data} has no {', '.join(missing)}")
    num = len(VARIANTS) * options.seeds
    if options.sample and not len(VARIANTS) <= options.sample <= num:
        parser.error(f"--sample {options.sample}: give {len(VARIANTS)} (one of each variant) to {num}")
    return options


def say(text: str) -> None:
    """Show progress."""
    print(text, file=sys.stderr, flush=True)


def limited(folder: Path, target: Path, limit: int) -> Path:
    """Fill `target` with at most `limit` images of each split, as many of each class, and return it."""
    for split in SPLITS:
        classes = sorted(path for path in (folder / split).iterdir() if path.is_dir())
        for part in classes:
            (target / split / part.name).mkdir(parents=True)
            for path in sorted(part.iterdir())[: math.ceil(limit / len(classes))]:
                shutil.copyfile(path, target / split / part.name / path.name)
    return target


def warm(folder: Path, pythons: list[str]) -> dict[str, int]:
    """Read every image and import every package once, and return how many files each split has."""
    found = {}
    for split in SPLITS:
        files = [path for path in (folder / split).glob("*/*") if path.is_file()]
        found[split] = len(files) if all(path.read_bytes() for path in files) else 0
    for python, packages in zip(pythons, ("torch", "keras, tensorflow"), strict=False):
        subprocess.run([python, "-c", f"import {packages}"], check=True, stderr=subprocess.DEVNULL)
    return found


def study(folder: Path, temporary: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Time the whole study with an empty cache."""
    file, out = temporary / "study.toml", temporary / "study"
    file.write_text(plan(folder, options), encoding="utf-8")
    environment = {
        **os.environ, "STRIATE_CACHE": str(temporary / "cache"), "OMP_NUM_THREADS": str(options.threads),
        "OMP_WAIT_POLICY": "PASSIVE",
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("striate")), "study", str(file), "--out", str(out), "--quiet"]
    command += ["--threads", str(options.threads), "--parallel", options.parallel, "--device", "cpu"]
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    total_s = time.perf_counter() - begin
    found = StudyDir(out)
    if not found.report.is_file():
        raise SystemExit("the study wrote no report")
    rows = {row["name"]: row for row in (found.verdict() or {})["variants"]}
    infos = {name: found.run(name, 0).info() for name in VARIANTS}
    if any(info["num_epochs"] != options.epochs or info["batch_size"] != options.batch for info in infos.values()):
        raise SystemExit("the study did not train as it was told")
    say(f"striate study: {total_s:.1f} s")
    return {
        "total_s": round(total_s, 2),
        "trainings": len(VARIANTS) * options.seeds,
        "test_accuracy": {name: rows[name]["test"]["mean"] for name in VARIANTS},
        "parameters": {name: rows[name]["parameters"] for name in VARIANTS},
        "precision": {name: info["precision"]["name"] for name, info in infos.items()},
    }


def plan(folder: Path, options: argparse.Namespace) -> str:
    """Return the study file; JSON's strings are TOML's too."""
    settings = [f"train.epochs={options.epochs}", "train.patience=0", f"train.batch_size={options.batch}"]
    settings += [f"data.size={options.size}"]
    lines = [f"data = {json.dumps(str(folder))}", f"seeds = {options.seeds}", f"set = {json.dumps(settings)}"]
    for name in VARIANTS:
        own = ["augment=medium"] if name in AUGMENTED else []  # not "auto", which depends on how many images there are
        lines += ["[[variant]]", f'name = "{name}"', f'recipe = "{name}"', f"set = {json.dumps(own)}"]
    return "\n".join(lines) + "\n"


def notebooks(
    folder: Path, peers: list[tuple[str, str, str]], options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Time every training of every peer, or a sample of them; peers take turns."""
    jobs = [(variant, seed) for seed, variant in product(range(options.seeds), VARIANTS)]
    jobs = jobs[: options.sample or None]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in peers}
    for variant, seed in jobs:
        for name, python, script in peers:
            row = notebook(name, python, script, [str(folder), "--variant", variant, "--seed", str(seed)], options)
            say(f"{name}: {variant}, seed {seed}: {row['time_s']:.1f} s, test accuracy {row['test_accuracy']:.3f}")
            rows[name].append({"variant": variant, "seed": seed, **row})
    return {name: summary(found, options.seeds) for name, found in rows.items()}


def notebook(name: str, python: str, script: str, arguments: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Time one training from the start of its process to its end, and return the time with what it printed."""
    shared = [f"--{key}={getattr(options, key)}" for key in ("size", "batch", "epochs")]
    begin = time.perf_counter()
    arm = Arm(name, python, script, [*arguments, *shared], options.threads)
    arm.close()
    return {"time_s": round(time.perf_counter() - begin, 2), **arm.ready}


def summary(rows: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """Return an arm's total, by the mean of each variant where not every seed was trained, and its accuracies."""
    parts = {name: [row for row in rows if row["variant"] == name] for name in VARIANTS}
    means = {name: statistics.fmean(row["time_s"] for row in part) for name, part in parts.items()}
    return {
        "total_s": round(seeds * sum(means.values()), 2),
        "trainings": len(rows),
        "is_extrapolated": len(rows) < seeds * len(VARIANTS),
        "test_accuracy": {name: statistics.fmean(row["test_accuracy"] for row in part) for name, part in parts.items()},
        "parameters": {name: part[0]["parameters"] for name, part in parts.items()},
        "rows": rows,
    }


def table(result: dict[str, Any]) -> str:
    """Return the result as a few lines of text."""
    num, counts = len(VARIANTS) * result["seeds"], result["images"]
    machine = f"{result['machine']['name']}, {result['threads']} threads, --parallel {result['parallel']}"
    lines = [
        f"{num} trainings of {result['epochs']} epochs at {result['size']} px, batch {result['batch']}, on "
        f"{counts['train']:,} images ({counts['val']:,} val, {counts['test']:,} test); {machine}",
        f"{'':<20}{'total':>10}{'ratio':>8}   mean test accuracy: {'  '.join(f'{name:>11}' for name in VARIANTS)}",
    ]
    for name, arm in result["arms"].items():
        shown = "  ".join(f"{100 * arm['test_accuracy'][variant]:>9.1f} %" for variant in VARIANTS)
        lines.append(f"{name:<20}{arm['total_s']:>8.1f} s{arm['ratio_to_striate']:>7.2f}x{'':<23}{shown}")
    precision = Counter(result["arms"]["striate study"]["precision"].values())
    lines.append(f"striate computed in {' and '.join(precision)}; the notebooks in float32")
    sampled = [arm["trainings"] for arm in result["arms"].values() if arm.get("is_extrapolated")]
    if sampled:
        lines.append(f"the notebooks' totals are EXTRAPOLATED from {sampled[0]} of {num} trainings each")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
