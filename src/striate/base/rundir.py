"""The run folder: the border between what trains and what looks at results. See docs/run-folder.md for the format."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from . import plugin, sums
from .choose import nearest
from .documents import RESTORE, Document, read_json, read_json_lines, require_types
from .errors import Interrupted, ModelError
from .files import append_line, sha256, sha256_of, to_json, write_bytes, write_json
from .run_info import RunInfo, Scores, StudyInfo

SCHEMA = 1
RUN_FILES = ("run.json", "split.json", "history.jsonl", "scores.json", "predictions.csv", "weights.safetensors")
STUDY_FILES = ("study.json", "split.json", "verdict.json")


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

    def info(self) -> RunInfo:
        """Return run.json.

        Raises:
            ModelError: this is no run folder, or a newer version of Striate wrote it.
        """
        info = self.document()
        require_types(info, RunInfo, self.path / "run.json")
        return cast(RunInfo, info)

    def document(self) -> dict[str, Any]:
        """Return run.json like `info`, for a reader that takes whatever it holds."""
        return _versioned(self.path, "run")

    def save_info(self, info: RunInfo) -> None:
        """Write run.json; the folder is not sealed from here on."""
        _save(self.path, "run", info)

    def splits(self) -> dict[str, list[str]]:
        """Return the ids of each split."""
        path = sums.checked(self.path, "split.json")
        found: dict[str, list[str]] = read_json(path, "split list", dict)
        require_ids(found, path)
        return found

    def history(self) -> list[dict[str, Any]]:
        """Return one document an epoch, in order."""
        return read_json_lines(sums.checked(self.path, "history.jsonl"), "history")

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Append one epoch to the history."""
        append_line(self.path / "history.jsonl", to_json(row))

    def keep_epochs(self, num: int) -> str:
        """Drop what the history holds beyond `num` epochs, and return the SHA-256 of the rest."""
        path = self.path / "history.jsonl"
        if path.exists():
            write_bytes(path, b"".join(path.read_bytes().splitlines(keepends=True)[:num]))
        return self.history_digest()

    def history_digest(self) -> str:
        """Return the SHA-256 of the history so far."""
        path = self.path / "history.jsonl"
        return sha256(path) if path.exists() else sha256_of(b"")

    def scores(self) -> Scores:
        """Return the scores of each evaluated split; empty before the first evaluation."""
        path = sums.checked(self.path, "scores.json")
        return dict(read_json(path, "scores", dict)) if path.exists() else {}

    def checked(self, name: str) -> Path:
        """Return the path of a file in the folder that is what it was when the run was finished.

        Raises:
            ModelError: it was damaged since.
        """
        return sums.checked(self.path, name)

    @property
    def is_sealed(self) -> bool:
        """Whether the folder has checksums; those of older versions have none."""
        return sums.is_sealed(self.path)

    def seal(self) -> None:
        """Write the checksums of all that is read again."""
        sums.seal(self.path, self._members())

    def changing(self, replaced: str = "") -> AbstractContextManager[None]:
        """Let files of a finished run change in this block; see `sums.unsealed`."""
        return sums.unsealed(self.path, self._members, replaced)

    def _members(self) -> list[str]:
        beside = (*self.pictures.glob("[!.]*"), *(self.path / "predictions").rglob("[!.]*.*"))
        return [*RUN_FILES, "calibration.json", *sorted(path.relative_to(self.path).as_posix() for path in beside)]


class Folder(Protocol):
    """A folder with a document that says how far its work is."""

    path: Path

    def info(self) -> Any:
        """Return the document."""

    def save_info(self, info: Any) -> None:
        """Write the document."""


@contextmanager
def resumable(
    folder: Folder, kept: Callable[[str], str], verb: str = "resume", words: Sequence[str] = ()
) -> Iterator[None]:
    """Note in a locked folder that a signal ended what is done in this block, and say how to go on.

    Args:
        kept: says what the signal left, from what the training loop said of it; that is empty outside the loop.
        verb: the command that goes on with the folder; `words` are options that it is typed with.

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
        command = shlex.join(["striate", verb, str(folder.path), *words, *plugin.typed()])
        raise Interrupted(what, where=folder.path, fix=command, signal_number=number) from None


@contextmanager
def reporting(folder: Path, verb: str = "report") -> Iterator[None]:
    """Say what there is where a signal ends the writing of a report: all of the work but that.

    Args:
        verb: the command that writes the report.

    Raises:
        Interrupted: a signal came.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        what, number = "finished and saved, stopped while its report was written", getattr(stop, "exit_code", 130) - 128
        command = shlex.join(["striate", verb, str(folder), *plugin.typed()])
        raise Interrupted(what, where=folder, fix=command, signal_number=number) from None


def _versioned(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / f"{kind}.json"
    if not path.is_file():
        fix = f"name a folder made by `striate {'study' if kind == 'study' else 'train'}`"
        if kind == "run" and (folder / "study.json").is_file():
            raise ModelError("a study, not a run", where=folder, fix=f"name one of its runs, in {folder / 'runs'}")
        if not folder.exists():
            beside = [one.parent.name for one in folder.parent.glob(f"*/{kind}.json")]
            alike = [name for name in beside if name.split("-")[0] == folder.name.split("-")[0]]  # of the same number
            close = nearest(folder.name, alike or beside)
            raise ModelError(
                f"no such {kind}", where=folder, fix=f"did you mean {folder.parent / close}?" if close else fix
            )
        raise ModelError(f"not a {kind} folder: {path.name} is missing", where=folder, fix=fix)
    info: Document = read_json(sums.checked(folder, path.name), f"{kind} description", dict)
    if not isinstance(info.get("schema"), int) or info["schema"] < 1:
        raise ModelError(f"not a {kind} description", where=path, fix=RESTORE)
    if info["schema"] > SCHEMA:
        raise ModelError(
            f"written by a newer Striate (schema {info['schema']}, this one reads {SCHEMA})",
            where=path,
            fix="upgrade striate",
        )
    return info


def _save(folder: Path, kind: str, info: Mapping[str, Any]) -> None:
    sums.break_seal(folder)
    write_json(folder / f"{kind}.json", {"schema": SCHEMA, "kind": kind, **info})


def require_ids(splits: Any, path: Path) -> None:
    """Refuse a split list that does not map names to lists of image ids.

    Raises:
        ModelError: the message names the file.
    """
    is_right = isinstance(splits, dict) and all(
        isinstance(ids, list) and all(isinstance(one, str) for one in ids) for ids in splits.values()
    )
    if not is_right:
        raise ModelError("split list holds other things than lists of image ids", where=path, fix=RESTORE)


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

    def info(self) -> StudyInfo:
        """Return study.json (raises ModelError like `RunDir.info`)."""
        info = self.document()
        require_types(info, StudyInfo, self.path / "study.json")
        return cast(StudyInfo, info)

    def document(self) -> dict[str, Any]:
        """Return study.json like `info`, for a reader that takes whatever it holds."""
        return _versioned(self.path, "study")

    def save_info(self, info: StudyInfo) -> None:
        """Write study.json; the folder is not sealed from here on."""
        _save(self.path, "study", info)

    def seal(self) -> None:
        """Write the checksums of all that is read again, but for the runs', which have their own."""
        sums.seal(self.path, STUDY_FILES)

    def splits(self, fold: int) -> dict[str, list[str]]:
        """Return the ids of each split of a fold; 0 without folds."""
        path = sums.checked(self.path, "split.json")
        found = read_json(path, "split list", list)
        if fold >= len(found):
            raise ModelError(f"split list has {len(found)} folds, not {fold + 1}", where=path, fix=RESTORE)
        splits: dict[str, list[str]] = found[fold]
        require_ids(splits, path)
        return splits

    def run(self, variant: str, seed: int, fold: int | None = None) -> RunDir:
        """Return the run folder of a variant and seed (and fold)."""
        suffix = f"-fold{fold}" if fold is not None else ""
        return RunDir(self.path / "runs" / f"{variant}-seed{seed}{suffix}")

    def verdict(self) -> dict[str, Any] | None:
        """Return verdict.json, or None while the study is not finished."""
        path = sums.checked(self.path, "verdict.json")
        return read_json(path, "verdict", dict) if path.exists() else None
