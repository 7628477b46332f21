"""A process of a study's runs: `python -m striate.studies.worker STUDY DEVICE`.

Not for people: `striate study --parallel 2` starts it. It has one thread, does the jobs that come on its standard input
(a line of JSON each), writes progress and its answers to stderr, and stops resumably when its input is closed.
"""

import json
import os
import queue
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from striate.base import plugin
from striate.base.answers import answer
from striate.base.errors import Terminated
from striate.base.files import to_json
from striate.base.progress import Progress
from striate.base.run_info import PrecisionInfo
from striate.base.rundir import StudyDir
from striate.run.finish import open_test

from .one import Conditions, reopened, train_one, variant_of
from .parallel import REPLY
from .plan import Variant

Jobs = queue.SimpleQueue[dict[str, Any] | None]


class Worker:
    """Does jobs of one study with so many threads; what its runs share is prepared once."""

    def __init__(self, folder: Path, device: str, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.study, self.datasets = StudyDir(folder), dict[int, Any]()
        self.info = self.study.info()
        self.conditions = Conditions(self.datasets, self.info["target"], device, Progress("lines"))

    def work(self, task: str, variant: str, seed: int, fold: int, precision: PrecisionInfo | None = None) -> None:
        """Train one run of the study, or go on with it; or open its test split."""
        if fold not in self.datasets:
            self.datasets[fold] = reopened(self.study, fold)
        found = variant_of(variant, [Variant.from_json(values) for values in self.info["variants"]])
        run = self.study.run(variant, seed, fold if self.info["folds"] else None)
        if task == "test":
            open_test(run, self.conditions.prepare(found, fold))
        else:
            train_one(self.study, run, self.conditions, found, seed, fold, precision)


def listen(jobs: Jobs) -> None:
    """Take jobs from the standard input; at its end let the training stop, and the process after it."""
    rest = b""
    while part := os.read(0, 1 << 16):  # sys.stdin has a lock, which a waiting thread would hold at the end
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            jobs.put(json.loads(line))
    jobs.put(None)
    signal.raise_signal(signal.SIGTERM)


def main() -> int:
    """Do jobs until the standard input is closed."""
    folder, device = sys.argv[1:]
    jobs: Jobs = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=listen, args=(jobs,), daemon=True).start()
    try:
        plugin.load_all(())
        worker = Worker(Path(folder), device)
        while (job := jobs.get()) is not None:
            said = to_json(answer(partial(worker.work, **job), folder)).encode()
            sys.stderr.flush()
            os.write(2, REPLY + said + b"\n")
    except Terminated:
        pass
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
