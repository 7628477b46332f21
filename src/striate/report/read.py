"""Read a run or study folder, whole or broken: what is missing becomes empty and is named in `problems`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from striate.base.errors import DamagedError, UserError
from striate.base.noun import noun_of
from striate.base.numbers import number
from striate.base.rundir import RunDir, StudyDir
from striate.evaluate.predictions import Predictions, read
from striate.metric import Metric, by_key, metric_of
from striate.metric.table import METRICS

from .privacy import without_folders

if TYPE_CHECKING:
    from striate.task import Task

T = TypeVar("T")
U = TypeVar("U")
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


@dataclass
class Run:
    """The documents of one run folder."""

    folder: RunDir
    info: dict[str, Any]
    history: list[dict[str, Any]]
    scores: dict[str, dict[str, Any]]
    problems: list[str] = field(default_factory=list)
    tables: dict[str, Predictions | None] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: RunDir) -> "Run":
        """Return the run in `folder`.

        Raises:
            ModelError: run.json is missing, is no run description, or a newer version of Striate wrote it.
        """
        problems: list[str] = []
        info = without_folders(folder.document())
        history = _tried(folder.history, "history.jsonl", [], problems)
        scores = _tried(folder.scores, "scores.json", {}, problems)
        epochs = [row for row in history if isinstance(row, dict) and number(row.get("epoch")) is not None]
        return cls(folder, info, epochs, {k: v for k, v in scores.items() if isinstance(v, dict)}, problems)

    def predictions(self, split: str, condense: Callable[[Predictions], Predictions]) -> Predictions | None:
        """Return the table of predictions of a split, read once; None, with a problem noted, when there is none.

        Args:
            condense: what is kept of the table; with 1,000 classes and 50,000 images the whole of it takes 400 MB.
        """
        if split not in self.tables:
            self.tables[split] = _tried(lambda: self._table(split, condense), "predictions.csv", None, self.problems)
        return self.tables[split]

    def _table(self, split: str, condense: Callable[[Predictions], Predictions]) -> Predictions | None:
        if not self.folder.predictions.exists():
            raise FileNotFoundError(self.folder.predictions)
        tables = read(self.folder.predictions, at(self.info, "task", {}), {split})
        return condense(tables[split]) if split in tables else None

    @cached_property
    def task(self) -> "Task | None":
        """The run's task; None, with a problem noted, where the file that defines it is not loaded."""
        from striate.task import from_json  # loads torch: only a task without sections of its own is asked to draw

        return _tried(lambda: from_json(at(self.info, "task", {})), "The task", None, self.problems)

    @property
    def names(self) -> list[str]:
        """Class, tag or field names, in the order of the outputs."""
        names = at(self.info, "task.names") or at(self.info, "dataset.classes") or []
        return [str(name) for name in names]

    @property
    def metric(self) -> Metric:
        """The metric the best epoch was chosen by."""
        return self.metric_of(str(at(self.info, "task.monitor", "loss")))

    def metric_of(self, key: str) -> Metric:
        """Return how a score of this run is called and written; one of a task's own is asked for by the task."""
        own = {} if key in METRICS else {metric.key: metric for metric in getattr(self.task, "metrics", ())}
        unit, mode = str(at(self.info, "task.unit", "")), str(at(self.info, "task.monitor_mode", ""))
        return (own.get(key) or by_key(key, unit, mode)).typeset()

    @property
    def reported_split(self) -> str | None:
        """The split the headline speaks of: test, else validation, else none."""
        return next((split for split in ("test", "val") if self.scores.get(split)), None)

    @property
    def why_missing(self) -> str:
        """Why there are no scores."""
        status = at(self.info, "status")
        if status == "finished":
            is_closed = self.info.get("is_test_open") is False
            return "it stays closed until the study ends" if is_closed else "it was not evaluated"
        epoch = f"after epoch {self.epochs[-1]}" if self.history else "before its first epoch ended"
        if status in ("interrupted", "diverged"):
            was = "was " if status == "interrupted" else ""
            return f"the run {was}{status} {epoch}, before its evaluation"
        return f"the run has not finished; it was last seen {epoch}"

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept."""
        known = number(at(self.info, "result.best_epoch"))
        marked = [row["epoch"] for row in self.history if row.get("is_best")]
        return int(known) if known is not None else (int(marked[-1]) if marked else None)

    @property
    def is_linear_probe(self) -> bool:
        """Whether a linear probe was fitted: then an "epoch" of the history is one strength of weight decay."""
        return bool(at(self.info, "recipe.transfer.head") == "only")

    @property
    def overfit_epoch(self) -> int | None:
        """The epoch from which the run overfits, as the training measured it."""
        known = number(at(self.info, "result.overfit_epoch"))
        return None if known is None else int(known)

    def curve(self, split: str, key: str) -> list[float]:
        """Return one number an epoch, NaN where it is missing."""
        values = [number(at(row, f"{split}.{key}")) for row in self.history]
        return [float("nan") if value is None else value for value in values]

    @property
    def epochs(self) -> list[int]:
        """The epochs of the history."""
        return [int(row["epoch"]) for row in self.history]


@dataclass
class Study:
    """The documents of one study folder and of its runs."""

    folder: StudyDir
    info: Mapping[str, Any]
    verdict: dict[str, Any]
    runs: dict[str, list[Run]]
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: StudyDir) -> "Study":
        """Return the study in `folder` with every run that can be read.

        Raises:
            ModelError: study.json is missing, is no study description, or a newer version of Striate wrote it.
        """
        problems: list[str] = []
        info = without_folders(folder.document())
        verdict = _tried(folder.verdict, "verdict.json", None, problems) or {}
        study = cls(folder, info, verdict, {}, problems)
        folds = range(int(info.get("folds") or 0)) or [None]
        for name in study.names:
            tries = [(name, seed, fold) for seed in info.get("seeds") or [0] for fold in folds]
            study.runs[name] = [run for one in tries if (run := study._run(*one))]
        return study

    def _run(self, name: str, seed: int, fold: int | None) -> Run | None:
        folder = self.folder.run(name, seed, fold)
        if folder.path.parent != self.folder.path / "runs":
            return None
        try:
            return Run.read(folder)
        except DamagedError:
            raise
        except UserError as problem:
            self.problems.append(f"Run {folder.path.name} is left out: {problem.what}.")
            return None

    @property
    def variants(self) -> list[dict[str, Any]]:
        """The variants as planned, in order."""
        return [row for row in self.info.get("variants") or [] if isinstance(row, dict) and row.get("name")]

    @property
    def names(self) -> list[str]:
        """The names of the variants."""
        return [str(row["name"]) for row in self.variants]

    @property
    def best(self) -> str | None:
        """The name of the best variant, once there is a verdict."""
        name = self.verdict.get("best")
        return str(name) if name in self.names else None

    @property
    def metric(self) -> Metric:
        """The metric of the verdict."""
        key = self.verdict.get("metric") or at(self.info, "task.monitor") or "loss"
        task = {"unit": at(self.info, "task.unit", ""), "mode": at(self.info, "task.monitor_mode", "")}
        return metric_of({**task, **self.verdict, "metric": str(key)}).typeset()

    def metric_of(self, key: str) -> Metric:
        """Return the metric of the verdict, or the loss, or another score that every task has."""
        return self.metric if key == self.metric.key else by_key(key).typeset()

    @property
    def split(self) -> str:
        """The split the verdict reports."""
        return str(self.verdict.get("split_reported") or "test")


def at(document: Any, path: str, default: Any = None) -> Any:
    """Return the value at a dotted path of nested mappings.

    It is `default` when it is missing or null, or when `default` is a list or mapping and the value is not.

    Example:
        >>> at({"a": {"b": 1}}, "a.b"), at({"a": None}, "a.b", 0), at({"a": "x"}, "a", [])
        (1, 0, [])
    """
    for key in path.split("."):
        if not isinstance(document, Mapping) or key not in document:
            return default
        document = document[key]
    is_other = isinstance(default, list | dict) and not isinstance(document, type(default))
    return default if document is None or is_other else document


def input_text(info: Mapping[str, Any]) -> str:
    """Return the size of a network's input: `64 × 64 px`, `150 samples`; "" where a run does not say."""
    side, noun = at(info, "input.size_px"), noun_of(at(info, "dataset.form"))
    sides = [side, side] if side is not None else at(info, "input.size_hw", [])
    sides = sides[1:] if noun.is_long else sides
    return f"{' × '.join(map(str, sides))} {noun.unit}" if sides else ""


def _tried(read: Callable[[], T], name: str, otherwise: U, problems: list[str]) -> T | U:
    try:
        return read()
    except FileNotFoundError:
        problems.append(f"{name} is missing.")
    except DamagedError:  # a report that shows other numbers than were measured is worse than none
        raise
    except UserError as problem:
        problems.append(f"{name} could not be used: {problem.what}.")
    except (OSError, ValueError) as problem:
        problems.append(f"{name} could not be read: {type(problem).__name__}.")
    return otherwise
