"""The resumable states of runs that are finished: what nothing needs any more but training them for longer."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from striate.base.errors import UserError
from striate.base.lock import locked
from striate.base.rundir import RunDir


def with_old_states(root: Path) -> Iterator[RunDir]:
    """Yield the finished runs in and below a folder that still have checkpoints, but for those told to keep them."""
    for path in sorted(root.rglob("run.json")):
        run = RunDir(path.parent)
        with suppress(UserError, OSError):  # what cannot be read is not known to be finished
            info = run.info()
            if info["status"] == "finished" and not info.get("keep_checkpoints", False) and run.checkpoints.is_dir():
                yield run


def remove_states(run: RunDir) -> bool:
    """Remove the checkpoints of a run unless a process is at work in it; return whether they are gone."""
    with suppress(UserError, OSError), locked(run.path):
        shutil.rmtree(run.checkpoints)
    return not run.checkpoints.exists()
