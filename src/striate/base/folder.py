"""The folder that a command writes its results into: a new one, or one that holds nothing that could be lost."""

import re
from pathlib import Path

from .documents import read_json
from .errors import ModelError, ResourceError, SettingsError
from .files import is_temporary, new_file, temporary
from .lock import NAME, locked

KINDS = ("run", "study", "search")
_BEFORE_BEGIN = {NAME, "split.json"}  # all that is written before the document that makes a folder one of ours


def kind_of(path: Path) -> str:
    """Return "run", "study" or "search" for a folder.

    Raises:
        ModelError: it is none of them.
    """
    for kind in KINDS:
        if (path / f"{kind}.json").is_file():
            return kind
    if path.is_dir() and (path / NAME).exists() and is_free(path):
        what = "the command that made this folder was stopped before it began"
        raise ModelError(what, where=path, fix="run that command again: nothing was done yet")
    fix = "name one made by `striate train`, `study` or `search`"
    raise ModelError("no folder of a run, study or search", where=path, fix=fix)


def new_folder(root: Path, name: str) -> Path:
    """Create and return the next free `NNN-name` folder below `root`.

    Raises:
        ResourceError: `root` cannot be written.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "run"
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = [int(found[1]) for entry in root.iterdir() if (found := re.match(r"(\d{3,9})-", entry.name))]
        number = max(taken, default=0) + 1
        while True:
            path = root / f"{number:03d}-{safe}"
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except OSError as problem:
        raise ResourceError(
            f"cannot create a folder ({problem.strerror})", where=root, fix="choose another --out folder"
        ) from problem


def named_folder(path: Path, *, overwrite: bool | None = None) -> Path:
    """Create and return the folder a user named with --out.

    Args:
        overwrite: whether the run, study or search in it is moved aside; None where the command has no such option.

    Raises:
        SettingsError: it holds something that is not to be moved aside, or never is.
        ResourceError: it cannot be created or written, or a process that is at work in it would be overwritten.
    """
    try:
        if path.is_dir() and not is_free(path):
            _require_own(path, overwrite)
            with locked(path):
                path.rename(_aside(path))
        path.mkdir(parents=True, exist_ok=True)
        probe = temporary(path / "writable")
        new_file(probe, b"")
        probe.unlink()
        return path
    except (OSError, ValueError) as problem:  # ValueError: a name that no file system takes
        reason = getattr(problem, "strerror", None) or str(problem)
        raise ResourceError(
            f"cannot write to the output folder ({reason})", where=path, fix="choose another --out folder"
        ) from problem


def is_free(path: Path) -> bool:
    """Whether a folder holds nothing, or only what a command leaves that was killed before it began."""
    names = {entry.name for entry in path.iterdir()}
    rest = {name for name in names if not is_temporary(name)}
    return not rest or (NAME in rest and rest <= _BEFORE_BEGIN)


def _require_own(path: Path, overwrite: bool | None) -> None:
    """Refuse to move aside what was not asked for, what is none of ours, or the folder one stands in."""
    try:
        kind = kind_of(path)
    except ModelError:
        what = "output folder is not empty, and is no run, study or search"
        raise SettingsError(what, where=path, fix="choose another --out") from None
    if not overwrite:
        what = f"output folder exists and is not empty: it holds a {kind}"
        raise SettingsError(what, where=path, fix=_way_on(path, kind, has_option=overwrite is not None))
    if Path.cwd().is_relative_to(path.resolve()):
        what = "the current folder lies in the output folder, which would be moved aside"
        raise SettingsError(what, where=path, fix="choose another --out")


def _way_on(path: Path, kind: str, *, has_option: bool) -> str:
    """What to do about a folder that holds something: only what helps, and only options that the command has."""
    if not has_option:
        return "choose another --out"
    is_finished = read_json(path / f"{kind}.json", kind, dict).get("status") == "finished"
    return f"{'' if is_finished else f'go on with `striate resume {path}`, or '}use --overwrite or another --out"


def _aside(path: Path) -> Path:
    whole = path.parent.resolve() / path.name if path.name else path.resolve()  # a link keeps its own name
    number = 1
    while (aside := whole.with_name(f"{whole.name}.old{number}")).exists():
        number += 1
    return aside
