"""The process of one run of a study: `python -m striate.study.worker STUDY VARIANT SEED FOLD DEVICE`.

Not for people: `striate study --parallel 2` starts it. It has one thread, writes its progress to stderr and its error
to stdout, and stops resumably when its standard input is closed.
"""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import torch

from striate.base.errors import Interrupted, Terminated, UserError
from striate.base.files import to_json
from striate.base.progress import Progress
from striate.base.rundir import StudyDir

from .execute import Conditions, reopened, train_one
from .parallel import watch_stdin
from .plan import Variant


def work(folder: Path, name: str, seed: int, fold: int, device: str) -> None:
    """Train one run of a study, or go on with it."""
    study = StudyDir(folder)
    info = study.info()
    variant = next(Variant.from_json(values) for values in info["variants"] if values["name"] == name)
    conditions = Conditions({fold: reopened(study, fold)}, info["target"], device, Progress("lines"))
    run = study.run(name, seed, fold if info["folds"] else None)
    train_one(study, run, conditions, variant, seed, fold)


def main() -> int:
    """Do what the command line says, and return the exit code."""
    folder, name, seed, fold, device = sys.argv[1:]
    signal.signal(signal.SIGTERM, _terminate)
    torch.set_num_threads(1)
    threading.Thread(target=watch_stdin, daemon=True).start()
    try:
        work(Path(folder), name, int(seed), int(fold), device)
        return 0
    except Terminated:
        problem: UserError = Interrupted("stopped before it began", where=folder)
    except UserError as found:
        problem = found
    parts = {"what": problem.what, "where": problem.where, "fix": problem.fix, "details": problem.details}
    sys.stdout.write(to_json({"kind": type(problem).__name__, **parts}))
    return problem.exit_code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
