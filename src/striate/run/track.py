"""A run shown by TensorBoard and MLflow: a thread reads the run's folder, so that training waits for neither.

Whatever goes wrong there is said once, and training goes on: the folder is where a run is kept.
"""

import hashlib
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from striate.base.documents import read_json_lines
from striate.base.errors import SettingsError
from striate.base.progress import say
from striate.base.run_info import TrackInfo
from striate.base.rundir import RunDir
from striate.base.text import shown

LOOK_S, LAST_S = 1.0, 15.0  # between two looks at the history; what a slow receiver gets at the end
MAX_PARAMS = 100  # of one call to MLflow
STATUS = {"finished": "FINISHED", "diverged": "FAILED"}  # MLflow's words; all else was stopped

DATABASE = re.compile(r"(sqlite|mysql|postgresql|mssql)\b")

Scalars = Mapping[str, float]


class Tracker(Protocol):
    """Where epochs, settings and scores are shown beside those of other runs."""

    def begin(self, name: str, settings: Mapping[str, str]) -> None:
        """Take the name of a run, and its settings."""

    def epoch(self, number: int, scalars: Scalars) -> None:
        """Take the numbers of an epoch."""

    def end(self, number: int, scores: Scalars, status: str) -> None:
        """Take the scores after the last epoch, and what became of the run."""


class TensorBoard:
    """Event files in a folder of the run's name."""

    def __init__(self, where: str, run: RunDir) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(Path(where) / run_name(run)), flush_secs=5)

    def begin(self, name: str, settings: Mapping[str, str]) -> None:
        """Take the name of a run, and its settings."""
        rows = ["| setting | value |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in settings.items())]
        self._writer.add_text(name, "\n".join(rows))

    def epoch(self, number: int, scalars: Scalars) -> None:
        """Take the numbers of an epoch."""
        for key, value in scalars.items():
            self._writer.add_scalar(key, value, number)
        self._writer.flush()

    def end(self, number: int, scores: Scalars, status: str) -> None:
        """Take the scores after the last epoch."""
        self.epoch(number, {f"final/{key}": value for key, value in scores.items()})
        self._writer.close()


class MLflow:
    """A run of MLflow, in the experiment of the folder that holds the run; a resumed run is the same one there."""

    def __init__(self, where: str, run: RunDir) -> None:
        from mlflow import MlflowClient

        if "://" not in where or where.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # which MLflow 3 wants said
        self._client: Any = MlflowClient(tracking_uri=where)
        self._tag, self._name = hashlib.sha256(str(run.path.resolve()).encode()).hexdigest()[:16], run_name(run)
        self._experiment, self._id = experiment_name(run), ""

    def begin(self, name: str, settings: Mapping[str, str]) -> None:
        """Take the name of a run, and its settings."""
        from mlflow.entities import Param

        known = self._client.get_experiment_by_name(self._experiment)
        experiment = known.experiment_id if known else self._client.create_experiment(self._experiment)
        before = self._client.search_runs([experiment], f"tags.striate_run = '{self._tag}'", max_results=1)
        if before:
            self._id = before[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        tags = {"striate_run": self._tag, "network": name}
        self._id = self._client.create_run(experiment, run_name=self._name, tags=tags).info.run_id
        rows = [Param(key, value) for key, value in settings.items()]
        for start in range(0, len(rows), MAX_PARAMS):
            self._client.log_batch(self._id, params=rows[start : start + MAX_PARAMS])

    def epoch(self, number: int, scalars: Scalars) -> None:
        """Take the numbers of an epoch."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        rows = [Metric(key, value, now_ms, number) for key, value in scalars.items()]
        self._client.log_batch(self._id, metrics=rows)

    def end(self, number: int, scores: Scalars, status: str) -> None:
        """Take the scores after the last epoch, and what became of the run."""
        self.epoch(number, {f"final/{key}": value for key, value in scores.items()})
        self._client.set_terminated(self._id, STATUS.get(status, "KILLED"))


TRACKERS: Mapping[str, tuple[str, Callable[[str, RunDir], Tracker]]] = {
    "tensorboard": ("TensorBoard", TensorBoard),
    "mlflow": ("MLflow", MLflow),
}


def trackers_of(tensorboard: Path | str | None, mlflow: str | None) -> TrackInfo:
    """Return where a run is to be followed, as run.json says it.

    Raises:
        SettingsError: the package is not installed.

    Example:
        >>> trackers_of(None, None)
        {}
    """
    found = TrackInfo()
    if tensorboard:
        found["tensorboard"] = str(Path(tensorboard).expanduser().absolute())
    if mlflow:
        found["mlflow"] = mlflow
    for name in found:
        if find_spec(name) is None:
            what = f"{TRACKERS[name][0]} is not installed"
            raise SettingsError(what, where=f"--{name}", fix='pip install "striate[track]"')
    if mlflow and DATABASE.match(mlflow) and find_spec("sqlalchemy") is None:
        what = "MLflow keeps databases with sqlalchemy, which is not installed"
        raise SettingsError(what, where="--mlflow", fix="pip install mlflow, or give a folder: file:///...")
    return found


def run_name(run: RunDir) -> str:
    """Return what a run is called beside others: its folder's name, with the study's before it."""
    parent = run.path.absolute().parent
    return f"{parent.parent.name}/{run.path.name}" if parent.name == "runs" and _is_study(parent) else run.path.name


def experiment_name(run: RunDir) -> str:
    """Return the name of what a run stands beside: its study, else "striate"."""
    parent = run.path.absolute().parent
    return parent.parent.name if _is_study(parent) else "striate"


def _is_study(parent: Path) -> bool:
    return (parent.parent / "study.json").exists()


@contextmanager
def tracked(run: RunDir, where: TrackInfo) -> Iterator[None]:
    """Follow a run while this block trains and finishes it; nothing is done where nobody is to follow it."""
    if not where:
        yield
        return
    followers = [Follower(run, name, place) for name, place in where.items()]  # type: ignore[arg-type]
    try:
        yield
    finally:
        end_s = time.monotonic() + LAST_S
        for one in followers:
            one.finish(end_s - time.monotonic())


class Follower:
    """A thread that shows a run's history to one tracker, as it grows.

    Args:
        name: in `TRACKERS`; `where` is its folder or address.
    """

    def __init__(self, run: RunDir, name: str, where: str) -> None:
        self.run, self.name, self.where = run, name, where
        self._num_before, self._is_over = len(run.history()), threading.Event()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)
        self._thread.start()

    def finish(self, patience_s: float) -> None:
        """Show what is left; a receiver that takes longer is left behind."""
        self._is_over.set()
        self._thread.join(max(0.0, patience_s))
        if self._thread.is_alive():
            self._say("it does not answer in time")

    def _follow(self) -> None:
        try:
            self._show(TRACKERS[self.name][1](self.where, self.run))
        except Exception as problem:  # whatever it is, training goes on
            self._say(shown(" ".join(str(problem).split()), 120) or type(problem).__name__)

    def _show(self, tracker: Tracker) -> None:
        info, num, path = self.run.info(), self._num_before, self.run.path / "history.jsonl"
        tracker.begin(info["name"], settings_of(info))
        is_last = False
        while not is_last:
            is_last = self._is_over.wait(LOOK_S)
            rows = read_json_lines(path, "history")
            for row in rows[num if num <= len(rows) else 0 :]:
                tracker.epoch(row["epoch"], scalars_of(row))
            num = len(rows)
        tracker.end(num, scores_of(self.run.scores()), self.run.info()["status"])

    def _say(self, why: str) -> None:
        say(f"warning: {TRACKERS[self.name][0]} at {self.where} does not follow the run ({why}); training goes on")


def scalars_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an epoch's row of history.jsonl, by the names of trackers.

    Example:
        >>> scalars_of({"epoch": 2, "lr": 0.1, "is_best": True, "val": {"loss": 1.5, "auc": None}})
        {'lr': 0.1, 'val/loss': 1.5}
    """
    found: dict[str, float] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and key != "rows":
            found |= {f"{key}/{inner}": number for inner, number in scalars_of(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found |= {} if key in ("epoch", "step") else {key: float(value)}
    return found


def scores_of(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores of each split, with the ends of their intervals.

    Example:
        >>> scores_of({"test": {"accuracy": 0.5, "intervals": {"accuracy": [0.4, 0.6]}}})
        {'test/accuracy': 0.5, 'test/accuracy_low': 0.4, 'test/accuracy_high': 0.6}
    """
    found: dict[str, float] = {}
    for split, values in scores.items():
        plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
        ends = {
            f"{key}_{end}": value
            for key, interval in (values.get("intervals") or {}).items()
            for end, value in zip(("low", "high"), interval or (), strict=False)
        }
        found |= scalars_of({split: {**plain, **ends}})
    return found


def settings_of(info: Mapping[str, Any]) -> dict[str, str]:
    """Return what a run was made with, as texts by their paths."""
    texts = {"data": info["dataset"]["name"], "model": info["model"]["name"], "task": info["task"]["name"]}
    texts |= {"seed": str(info["seed"]), "recipe": info["recipe_name"], "batch_size": str(info["batch_size"])}
    return {**texts, **_flat(info["recipe"])}


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        found |= (
            _flat(value, f"{before}{key}.")
            if isinstance(value, Mapping)
            else {f"{before}{key}": shown(str(value), 200)}
        )
    return found
