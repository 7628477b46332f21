"""The runs, studies and searches below a folder, each with what a person looks for: data, score, size, age."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .choose import choose
from .documents import read_json
from .errors import ModelError, SettingsError, UserError
from .folder import KINDS
from .numbers import number
from .rundir import RunDir, StudyDir

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """What one folder holds. `score` is the monitored `metric` of `split`, of a study that of its best variant.

    `interval` are the ends of its 95 % interval, `is_less_better` says which way it counts; `epochs` were trained, of
    a study `num_runs` times; `created` is an ISO time; `problem` says why a folder cannot be read.
    """

    path: str
    kind: str
    name: str = ""
    data: str = ""
    task: str = ""
    model: str = ""
    status: str = ""
    split: str = ""
    metric: str = ""
    score: float | None = None
    interval: tuple[float, float] | None = None
    is_less_better: bool = False
    epochs: int | None = None
    num_runs: int = 1
    created: str = ""
    num_bytes: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as a plain document."""
        return asdict(self)


def entries(root: Path, *, is_deep: bool = False) -> list[Entry]:
    """Return what lies in and below a folder, in the order of its paths.

    Args:
        is_deep: also the runs that belong to studies and searches.

    Raises:
        ModelError: there is no such folder.
    """
    if not root.is_dir():
        raise ModelError("no such folder", where=root, fix="name the folder that holds your runs")
    return [_entry(path, kind) for path, kind in _folders(root, is_deep)]


def _folders(root: Path, is_deep: bool) -> Iterator[tuple[Path, str]]:
    for name, folders, files in os.walk(root):
        folders.sort()
        kind = next((kind for kind in KINDS if f"{kind}.json" in files), None)
        if kind is not None:
            yield Path(name), kind
            if kind == "run" or not is_deep:
                folders.clear()


def _entry(path: Path, kind: str) -> Entry:
    read = {"run": _run, "study": _study, "search": _search}[kind]
    try:
        found = read(path)
    except (UserError, OSError) as problem:
        return Entry(str(path), kind, path.name, status="unreadable", problem=str(problem).split("\n")[0])
    return Entry(str(path), kind, num_bytes=_size(path), **found)


def _size(path: Path) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(OSError):  # a file that a process at work took away
                total += (Path(folder) / name).lstat().st_size
    return total


def _run(path: Path) -> dict[str, Any]:
    run = RunDir(path)
    info, scores = run.info(), run.scores()
    task, result = info["task"], info.get("result")
    split = next((split for split in ("test", "val") if split in scores), "")
    values = scores.get(split, {})
    return {
        "name": info["name"],
        "data": info["dataset"]["name"],
        "task": task.get("name", task["kind"]),
        "model": info["model"]["name"],
        "status": info["status"],
        "split": split,
        "metric": task["monitor"],
        "score": number(values.get(task["monitor"])),
        "interval": _ends((values.get("intervals") or {}).get(task["monitor"])),
        "is_less_better": task["monitor_mode"] == "min",
        "epochs": result["epochs"] if result else len(run.history()) if (path / "history.jsonl").is_file() else 0,
        "created": info.get("created", ""),
    }


def _study(path: Path) -> dict[str, Any]:
    info, verdict = StudyDir(path).info(), StudyDir(path).verdict() or {}
    best: Document = next((row for row in verdict.get("variants", ()) if row["name"] == verdict.get("best")), {})
    split = verdict.get("split_reported", "")
    scores = best.get("test") or {}  # of the split that is reported
    return {
        "name": path.name,
        "data": info["dataset"]["name"],
        "task": "study",
        "model": verdict.get("best", ""),
        "status": info.get("status", "finished" if verdict else "running"),
        "split": split,
        "metric": verdict.get("metric", ""),
        "score": number(scores.get("mean")),
        "interval": _ends(scores.get("interval")),
        "is_less_better": verdict.get("mode") == "min",
        "num_runs": len(info["variants"]) * len(info["seeds"]) * (info["folds"] or 1),
        "created": info.get("created", ""),
    }


def _search(path: Path) -> dict[str, Any]:
    info = read_json(path / "search.json", "search description", dict)
    return {
        "name": path.name,
        "data": str((info.get("dataset") or {}).get("name", "")),
        "task": "search",
        "status": str(info.get("status", "")),
        "created": str(info.get("created", "")),
    }


def _ends(interval: Any) -> tuple[float, float] | None:
    if not isinstance(interval, Sequence) or len(interval) != 2:
        return None
    low, high = map(number, interval)
    return None if low is None or high is None else (low, high)


def _best_first(entry: Entry) -> tuple[bool, str, float]:
    score = entry.score or 0.0
    return entry.score is None, entry.metric, score if entry.is_less_better else -score


ORDERS: dict[str, Callable[[Entry], Any]] = {
    "name": lambda entry: entry.path,
    "data": lambda entry: (entry.data, entry.path),
    "score": _best_first,
    "age": lambda entry: entry.created,
    "epochs": lambda entry: -(entry.epochs or 0),
    "size": lambda entry: -entry.num_bytes,
}


def in_order(found: Sequence[Entry], by: str) -> list[Entry]:
    """Return entries sorted by "name", "data", "score" (best first, metric by metric), "age" (oldest first), "epochs"
    or "size" (largest first).

    Raises:
        SettingsError: there is no such order; the message names the nearest.
    """
    return sorted(found, key=choose("order", by, ORDERS, SettingsError))


def matching(found: Sequence[Entry], words: Sequence[str]) -> list[Entry]:
    """Return the entries in which each of the words stands somewhere: in path, name, data, task, model or status."""
    texts = [
        " ".join((one.path, one.kind, one.name, one.data, one.task, one.model, one.status)).casefold() for one in found
    ]
    wanted = [word.casefold() for word in words]
    return [one for one, text in zip(found, texts, strict=True) if all(word in text for word in wanted)]
