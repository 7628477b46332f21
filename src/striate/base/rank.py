"""Which of several processes of one run this is, by its environment; without torch, for the command line.

The first process leaves a file while it lives, by which another one knows whether it was killed before it said a word.
"""

import os
import tempfile
import time
from pathlib import Path

POLL_S, PATIENCE_S = 0.05, 2.0


def size() -> int:
    """Return how many processes `torchrun`, or `run.launch`, has started; 1 where neither did."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """Return which one this is, from 0."""
    return int(os.environ["RANK"]) if size() > 1 else 0


def _mark() -> Path:
    """A file that is there while the first process lives; its name is that of the meeting place."""
    name = "-".join(os.environ.get(one, "") for one in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))
    return Path(tempfile.gettempdir()) / f"striate-{os.getuid() if hasattr(os, 'getuid') else ''}-{name}.first"


def leave_mark() -> None:
    """Let the others know that the first process, if it is this one, lives."""
    if rank() == 0:
        _mark().touch()


def remove_mark() -> None:
    """Let the others know that the first process, if it is this one, has said what there was to say."""
    if rank() == 0:
        _mark().unlink(missing_ok=True)


def first_has_spoken() -> bool:
    """Return whether the first process ends in order, which it is given a moment for; else this one is to speak."""
    end_s = time.monotonic() + PATIENCE_S
    while _mark().exists():
        if time.monotonic() > end_s:
            _mark().unlink(missing_ok=True)
            return False
        time.sleep(POLL_S)
    return True
