"""The run folder: the border between what trains and what looks at results. See docs/run-folder.md for the format."""

import os
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from .errors import Interrupted, ModelError, ResourceError, SettingsError
from .files import append_line, read_json, read_json_lines, to_json, write_json

SCHEMA = 1


class RunDir:
    """Paths and documents of one run folder. Reading never writes."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    @property
    def weights(self) -> Path:
        """The best weights, safetensors."""
        return self.path / "weights.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of resumable states."""
        return self.path / "checkpoints"

    @property
    def predictions(self) -> Path:
        """One row an image of every evaluated split, CSV."""
        return self.path / "predictions.csv"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    @property
    def pictures(self) -> Path:
        """Small JPEGs of evaluated images; `index.json` maps `split/id` to a file name."""
        return self.path / "pictures"

    def info(self) -> dict[str, Any]:
        """Return run.json.

        Raises:
            ModelError: this is no run folder, or a newer version of Striate wrote it.
        """
        return _versioned(self.path / "run.json", "run")

    def save_info(self, info: dict[str, Any]) -> None:
        """Write run.json."""
        write_json(self.path / "run.json", {"schema": SCHEMA, "kind": "run", **info})

    def splits(self) -> dict[str, list[str]]:
        """Return the ids of each split."""
        found: dict[str, list[str]] = read_json(self.path / "split.json", "split list")
        return found

    def history(self) -> list[dict[str, Any]]:
        """Return one document an epoch, in order."""
        return read_json_lines(self.path / "history.jsonl")

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Append one epoch to the history."""
        append_line(self.path / "history.jsonl", to_json(row))

    def scores(self) -> dict[str, Any]:
        """Return the scores of each evaluated split; empty before the first evaluation."""
        path = self.path / "scores.json"
        return dict(read_json(path, "scores")) if path.exists() else {}


def new_folder(root: Path, name: str) -> Path:
    """Create and return the next free `NNN-name` folder below `root`.

    Raises:
        ResourceError: `root` cannot be written.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "run"
    try:
        root.mkdir(parents=True, exist_ok=True)
        taken = [int(found[1]) for entry in root.iterdir() if (found := re.match(r"(\d{3,})-", entry.name))]
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


def named_folder(path: Path, *, overwrite: bool = False) -> Path:
    """Create and return the folder a user named with --out.

    Raises:
        SettingsError: it exists and is not empty.
        ResourceError: it cannot be created or written, or a process that is at work in it would be overwritten.
    """
    try:
        if path.is_dir() and not _is_free(path):
            if not overwrite:
                raise SettingsError(
                    "output folder exists and is not empty",
                    where=path,
                    fix="use `striate resume`, --overwrite or another --out",
                )
            with locked(path):
                path.rename(_aside(path))
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
        return path
    except OSError as problem:
        raise ResourceError(
            f"cannot write to the output folder ({problem.strerror})", where=path, fix="choose another --out folder"
        ) from problem


def _is_free(path: Path) -> bool:
    """Whether a folder holds nothing, or only what a run leaves that was killed before it began."""
    return {entry.name for entry in path.iterdir()} <= {".lock", "split.json"}


def _aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.old{number}")).exists():
        number += 1
    return aside


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder's one lock; it names its holder and vanishes with the process.

    Raises:
        ResourceError: another process holds it, or the folder cannot be written.
    """
    try:
        descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as problem:
        raise ResourceError(
            f"folder cannot be written ({problem.strerror})", where=path, fix="check its permissions"
        ) from problem
    try:
        if not _try_lock(descriptor):
            holder = os.read(descriptor, 200).decode("utf-8", "replace") or "an unknown process"
            raise ResourceError(f"folder is in use by {holder}", where=path, fix="wait for it to end, or stop it")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        os.close(descriptor)


class Folder(Protocol):
    """A folder with a document that says how far its work is."""

    path: Path

    def info(self) -> dict[str, Any]:
        """Return the document."""

    def save_info(self, info: dict[str, Any]) -> None:
        """Write the document."""


@contextmanager
def resumable(folder: Folder, kept: Callable[[str], str], verb: str = "resume") -> Iterator[None]:
    """Note in a locked folder that a signal ended what is done in this block, and say how to go on.

    Args:
        kept: says what the signal left, from what the training loop said of it; that is empty outside the loop.
        verb: the command that goes on with the folder.

    Raises:
        Interrupted: a signal came.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as stop:
        try:
            info = folder.info()
        except ModelError:  # nothing was begun that one could go on with
            raise stop from None
        folder.save_info({**info, "status": "interrupted"})
        what, number = kept(getattr(stop, "what", "")), getattr(stop, "exit_code", 130) - 128
        command = f"striate {verb} {shlex.quote(str(folder.path))}"
        raise Interrupted(what, where=folder.path, fix=command, signal_number=number) from None


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _versioned(path: Path, kind: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"not a {kind} folder: {path.name} is missing",
            where=path.parent,
            fix=f"name a folder made by `striate {'study' if kind == 'study' else 'train'}`",
        )
    info = read_json(path, f"{kind} description")
    if not isinstance(info, dict) or not isinstance(info.get("schema"), int) or info["schema"] < 1:
        raise ModelError(f"not a {kind} description", where=path, fix="restore this file from a copy")
    if info["schema"] > SCHEMA:
        raise ModelError(
            f"written by a newer Striate (schema {info['schema']}, this one reads {SCHEMA})",
            where=path,
            fix="upgrade striate",
        )
    return info


class StudyDir:
    """Paths and documents of one study folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"StudyDir({str(self.path)!r})"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.path / "report.html"

    def info(self) -> dict[str, Any]:
        """Return study.json (raises ModelError like `RunDir.info`)."""
        return _versioned(self.path / "study.json", "study")

    def save_info(self, info: dict[str, Any]) -> None:
        """Write study.json."""
        write_json(self.path / "study.json", {"schema": SCHEMA, "kind": "study", **info})

    def run(self, variant: str, seed: int, fold: int | None = None) -> RunDir:
        """Return the run folder of a variant and seed (and fold)."""
        suffix = f"-fold{fold}" if fold is not None else ""
        return RunDir(self.path / "runs" / f"{variant}-seed{seed}{suffix}")

    def verdict(self) -> dict[str, Any] | None:
        """Return verdict.json, or None while the study is not finished."""
        path = self.path / "verdict.json"
        return dict(read_json(path, "verdict")) if path.exists() else None


def kind_of(path: Path) -> str:
    """Return "run", "study" or "search" for a folder.

    Raises:
        ModelError: it is none of them.
    """
    for kind in ("run", "study", "search"):
        if (path / f"{kind}.json").is_file():
            return kind
    raise ModelError(
        "no folder of a run, study or search", where=path, fix="name one made by `striate train`, `study` or `search`"
    )
