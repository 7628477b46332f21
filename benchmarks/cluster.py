"""A study of short runs: two processes of `--parallel 2` against a Ray of two CPUs, in turns.

    python benchmarks/cluster.py --repeats 2 --json

Both arms have what they need before the clock starts: Ray runs (its start is given apart), the images are decoded, and
Ray's processes have trained a run. The overhead of a run is that of a task that does nothing, given out and taken back
the way a run is. What it is doing stands on stderr. Two repeats take about 3 minutes on two cores without other work.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.data import open_dataset
from striate.run.recipe import named
from striate.studies.cluster import runner
from striate.studies.cluster.connect import Cluster
from striate.studies.execute import study
from striate.studies.jobs import Job
from striate.studies.plan import Variant

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="toy:shapes?n=600&size=32")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--seeds", type=int, default=6, help="runs of each of the three variants")
parser.add_argument("--repeats", type=int, default=2)
parser.add_argument("--json", action="store_true")
arguments = parser.parse_args()

changes = [f"train.epochs={arguments.epochs}", "train.patience=0", "train.precision=float32"]
recipe = named("baseline").changed(changes)
variants = [
    Variant(f"lr-{lr}", "bipyramid", recipe.changed([f"train.lr={lr}"]), "baseline") for lr in (0.001, 0.003, 0.01)
]
root, data = Path(tempfile.mkdtemp(prefix="bench-")), open_dataset(arguments.data)


class Nothing:
    """A worker whose runs are empty."""

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        pass

    def work(self, **words: object) -> None:
        """Do nothing."""


def say(text: str) -> None:
    """Say what is done, and since when."""
    print(f"{time.perf_counter() - started:6.1f} s  {text}", file=sys.stderr, flush=True)


def timed_study(name: str, seeds: int, **how: object) -> float:
    """Return the seconds of a study."""
    say(f"{name}: {len(variants) * seeds} runs")
    begin = time.perf_counter()
    study([data], variants, seeds=seeds, out=root / name, progress=Progress("quiet"), **how)
    return time.perf_counter() - begin


def overhead_s(cluster: Cluster, num: int = 20) -> float:
    """Return the seconds of an empty run, one at a time; the first ones start the processes."""
    folder = StudyDir(root / "empty")
    folder.path.mkdir()
    for name in ("study.json", "split.json"):
        (folder.path / name).write_text("{}")
    with runner.OnCluster(cluster, folder, Nothing, device="cpu", progress=Progress("quiet")) as jobs:
        times = []
        for seed in range(num):
            begin = time.perf_counter()
            jobs.carry_out([Job("a", seed, 0, RunDir(folder.path / "runs" / f"a-{seed}"), "test")])
            times.append(time.perf_counter() - begin)
    return statistics.median(times[2:])


started = time.perf_counter()
say("Ray starts")
with Cluster("local:2") as cluster:
    start_s = time.perf_counter() - started
    say("empty runs")
    empty_s = overhead_s(cluster)
    rows: dict[str, list[float]] = {"parallel 2": [], "ray, 2 CPUs": []}
    timed_study("warm", 1, on=cluster)
    for number in range(arguments.repeats):
        rows["parallel 2"].append(timed_study(f"parallel-{number}", arguments.seeds, parallel=2))
        rows["ray, 2 CPUs"].append(timed_study(f"ray-{number}", arguments.seeds, on=cluster))
say("done")
shutil.rmtree(root)
result = {
    "benchmark": "cluster",
    "runs": len(variants) * arguments.seeds,
    "start_s": round(start_s, 2),
    "overhead_of_a_run_s": round(empty_s, 3),
    "study_s": {name: [round(one, 2) for one in times] for name, times in rows.items()},
    "ratio": round(min(rows["ray, 2 CPUs"]) / min(rows["parallel 2"]), 3),
}
print(json.dumps(result, indent=1) if arguments.json else "\n".join(f"{key}: {one}" for key, one in result.items()))
