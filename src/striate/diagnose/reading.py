"""The numbers of a run that rules look at, read from its folder; what is missing is None or empty."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from striate.base.errors import UserError
from striate.base.rundir import RunDir, StudyDir
from striate.base.stages import has_frozen_body
from striate.evaluate.layout import layout_of
from striate.evaluate.predictions import Predictions, read
from striate.metric import Metric, metric_of
from striate.model import zoo
from striate.model.ablate import split_name
from striate.model.blueprint import Blueprint

# The usual rate of each optimiser: what the training takes when none is set. A test holds the two equal; reading a
# folder must not load torch.
USUAL_RATE = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 3e-4, "lion": 1e-4, "muon": 1e-3}
Rows = list[tuple[str, Mapping[str, float]]]
SKIPPED = "skipped.csv"  # the list of files that were left out


@dataclass(frozen=True)
class Reading:
    """A run folder as numbers. `study` and `variant` describe the study that the run is of; empty where it is of none.

    `has_skipped`: unusable files were left out.
    """

    info: Mapping[str, Any]
    history: list[Mapping[str, Any]]
    scores: Mapping[str, Any] = field(default_factory=dict)
    val: Predictions | None = None
    study: Mapping[str, Any] = field(default_factory=dict)
    variant: Mapping[str, Any] = field(default_factory=dict)
    has_skipped: bool = False

    @classmethod
    def of(cls, run: RunDir) -> "Reading":
        """Read a folder."""
        info, history = run.info(), run.history() if (run.path / "history.jsonl").exists() else []
        has_tables = run.predictions.exists()
        tables = read(run.predictions, at(info, "task") or {}, only=("val",)) if has_tables else {}
        study, variant = _study_of(run, info)
        has_skipped = any(
            (folder / SKIPPED).exists() for folder in (run.path, run.path.parent.parent if variant else run.path)
        )
        rows: list[Mapping[str, Any]] = [row for row in history if isinstance(row, dict)]
        return cls(info, rows, run.scores(), tables.get("val"), study, variant, has_skipped)

    @property
    def status(self) -> str:
        """Finished, interrupted, diverged or running."""
        return str(self.info.get("status"))

    @cached_property
    def say(self) -> Metric:
        """The words of the metric."""
        task = at(self.info, "task")
        return metric_of({**(task if isinstance(task, dict) else {}), "metric": self.metric})

    @property
    def metric(self) -> str:
        """The score that chose the epoch."""
        return str(at(self.info, "task.monitor") or "accuracy")

    @property
    def is_exclusive(self) -> bool:
        """Each image has one of the classes."""
        with suppress(UserError):
            return layout_of(at(self.info, "task") or {}).is_exclusive
        return False

    @property
    def is_head_only(self) -> bool:
        """Only a head was solved: the history's rows are strengths of weight decay, not epochs."""
        return bool(self.setting("transfer.head") == "only")

    def setting(self, path: str) -> Any:
        """Return a value of the recipe; all of it for an empty path."""
        return at(self.info, f"recipe.{path}" if path else "recipe")

    def curve(self, split: str, key: str = "loss") -> list[float]:
        """Return one number an epoch, NaN where it is missing."""
        return [number(at(row, f"{split}.{key}")) for row in self.history]

    @property
    def peak_rate(self) -> float:
        """The highest rate of the recipe's schedule; NaN when it is not known."""
        given = number(self.setting("train.lr"))
        return given if math.isfinite(given) else USUAL_RATE.get(str(self.setting("train.optimiser")), math.nan)

    @property
    def excess(self) -> float:
        """The peak rate over the optimiser's usual one."""
        return self.peak_rate / USUAL_RATE.get(str(self.setting("train.optimiser")), math.nan)

    @cached_property
    def guess(self) -> float:
        """The loss of one who knows only how frequent each class is; NaN for a task that is not one of classes."""
        counts = at(self.info, "dataset.class_counts.train")
        if not self.is_exclusive or not isinstance(counts, list) or not sum(counts):
            return math.nan
        shares = np.array([count for count in counts if count], dtype=float) / sum(counts)
        return float(-(shares * np.log(shares)).sum())

    @cached_property
    def train_loss(self) -> float:
        """The loss on training images as they are, under the kept weights; else the last one while training."""
        found = number(at(self.scores, "train.loss"))
        last = [loss for loss in self.curve("train") if math.isfinite(loss)]
        return found if math.isfinite(found) else (last[-1] if last else math.nan)

    @cached_property
    def learned(self) -> float:
        """How much of the loss is gone in training: 0 is guessing (or the first epoch), 1 is all of it."""
        losses = [loss for loss in self.curve("train") if math.isfinite(loss)]
        start = self.guess if self.guess > 0 else (losses[0] if losses else math.nan)
        return 1 - self.train_loss / start if start > 0 else math.nan

    def score(self, split: str) -> float:
        """Return the metric of a split under the kept weights, on images as they are."""
        return number(at(self.scores, f"{split}.{self.metric}"))

    @cached_property
    def train_score(self) -> float:
        """The metric on training images as they are; else while training, in the epoch whose weights were kept."""
        epochs = [at(row, "epoch") for row in self.history]
        best, scores = at(self.info, "result.best_epoch"), self.curve("train", self.metric)
        own = self.score("train")
        return own if math.isfinite(own) or best not in epochs else scores[epochs.index(best)]

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of the validation score."""
        span = at(self.scores, f"val.intervals.{self.metric}")
        return (number(span[1]) - number(span[0])) / 2 if isinstance(span, list) and len(span) == 2 else 0.0

    @property
    def batch_size(self) -> int:
        """Images a step; 0 when it is not known."""
        size = number(self.info.get("batch_size"))
        return int(size) if math.isfinite(size) else 0

    @property
    def steps_an_epoch(self) -> int:
        """Batches of an epoch; 0 when that is not known."""
        count, per_class = number(at(self.info, "dataset.counts.train")), at(self.info, "dataset.class_counts.train")
        if not math.isfinite(count) and isinstance(per_class, list):
            count = float(sum(per_class))
        return math.ceil(count / self.batch_size) if count > 0 and self.batch_size else 0

    @cached_property
    def blueprint(self) -> Blueprint | None:
        """The network's rows; None for a network that is no table of rows, or that cannot be read."""
        with suppress(UserError, TypeError):
            return Blueprint.from_json({"name": str(at(self.info, "model.name")), **at(self.info, "model.blueprint")})
        return None

    def option(self, name: str) -> Any:
        """Return an option of the network: the recipe's, else the network's own; None where it has no such option."""
        given, network = self.setting(f"model.{name}"), split_name(str(at(self.info, "model.name")))[0]
        return given if given is not None else zoo.options(network).get(name) if network in zoo.ZOO else None

    @property
    def norms(self) -> set[str]:
        """The normalisations of the network's rows; those of the recipe for a network that is no table of rows."""
        return self.blueprint.norms if self.blueprint else {str(self.setting("model.norm"))} - {"none", "None"}

    @property
    def has_norm(self) -> bool:
        """The network normalises, or was told to."""
        return bool(self.norms or self.setting("model.norm") not in {None, "none"})

    @property
    def has_frozen_body(self) -> bool:
        """Nothing before the head ever trained."""
        return has_frozen_body(self.setting("train") or {})

    @property
    def has_batch_norm(self) -> bool:
        """Batch norm whose statistics come from the batch."""
        if self.setting("train.freeze_norm") or self.has_frozen_body:
            return False
        return "batch" in self.norms

    @property
    def has_skips(self) -> bool:
        """Rows add their input to their output, or maps are joined."""
        return self.blueprint is not None and self.blueprint.has_skips

    @property
    def rows(self) -> list[Rows]:
        """What each recorded epoch says of the network's rows, first row first."""
        return [list(row["rows"].items()) for row in self.history if isinstance(row.get("rows"), dict)]


def _study_of(run: RunDir, info: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the study that a run lies in says of itself and of the run's variant; empty for a run of its own."""
    study = StudyDir(run.path.absolute().parent.parent)
    with suppress(UserError, KeyError, TypeError):  # a folder that cannot be read is no study
        found = study.info()
        key = info["seed"], at(info, "dataset.options.fold") if found["folds"] else None
        for variant in found["variants"]:
            if study.run(variant["name"], *key).path == run.path.absolute():
                return found, variant
    return {}, {}


def at(document: Any, path: str) -> Any:
    """Return the value at a dotted path of nested mappings, None where there is none.

    Example:
        >>> at({"a": {"b": 1}}, "a.b"), at({"a": 3}, "a.b")
        (1, None)
    """
    for key in path.split("."):
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def number(value: Any) -> float:
    """Return a finite number, or NaN.

    Example:
        >>> number(3), number(None), number("x"), number(float("inf"))
        (3.0, nan, nan, nan)
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else math.nan
