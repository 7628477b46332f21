"""A run folder as plain values, which go where no file system is shared."""

import shutil
from pathlib import Path

from striate.base.files import is_temporary, sweep, write_files
from striate.base.lock import NAME as LOCK
from striate.base.lock import locked

LAST = "run.json"  # says whether a run is finished, so that all else must be there before it
KEEP = 1  # of the resumable states the newest


def newest_step(run: Path) -> int:
    """Return the step of the newest resumable state below a run folder, -1 without one."""
    return max((int(path.name[5:]) for path in (run / "checkpoints").glob("step-*")), default=-1)


def contents(run: Path) -> dict[str, bytes]:
    """Return the files of a run folder by their names in it, of its resumable states only the newest."""
    step = f"step-{newest_step(run):08d}"
    found = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run)
        parts = name.parts
        is_old = parts[0] == "checkpoints" and len(parts) > 2 and parts[1] != step
        if path.is_file() and not is_old and path.name != LOCK and not any(map(is_temporary, parts)):
            found[name.as_posix()] = path.read_bytes()
    return found


def fill(run: Path, files: dict[str, bytes]) -> None:
    """Make a run folder hold these files and no others.

    Raises:
        ResourceError: the disk is full, or another process is at work in the folder.
    """
    run.mkdir(parents=True, exist_ok=True)
    names = sorted(files, key=lambda name: (name == LAST, name))
    with locked(run):
        write_files({run / name: files[name] for name in names})
        for path in sorted(run.rglob("*"), reverse=True):
            name = path.relative_to(run).as_posix()
            if path.is_file() and name not in files and name != LOCK:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                shutil.rmtree(path)
        sweep(run)
