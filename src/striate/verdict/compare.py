"""Read the finished runs of a study into arrays: variants x runs x test images, aligned by image id.

R runs of a variant (seeds, or seeds x folds), N test images.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import ModelError
from striate.base.run_info import Scores, StudyInfo, TaskInfo, VariantInfo
from striate.base.rundir import RunDir, StudyDir
from striate.data.geometry import Geometry
from striate.evaluate.curves import MIN_EPOCHS, generalisation_gap, is_overfit
from striate.evaluate.interval import (
    Difference,
    fold_difference,
    fold_interval,
    mean_interval,
    paired_difference,
)
from striate.evaluate.predictions import Predictions, are_same, read
from striate.metric import Metric
from striate.metric.metric import Interval
from striate.task import Question, from_json
from striate.task.monitor import monitor_of

from .questions import answered
from .steps import ablation_series

Floats = npt.NDArray[np.float64]
Key = tuple[int, int | None]  # seed, fold
WIDE: Interval = (-1.0, 1.0)  # of a difference of two shares


@dataclass(frozen=True)
class RunResult:
    """One finished run of a variant: what the study needs of it.

    `can_turn` is whether it has epochs enough that a rise of its validation loss would be seen.
    `val` and `reported` are scores (NaN where not defined); `values` (N,) has their mean image by image, sorted by id;
    `regions` has the same of the two metrics by which the task says where a score is gained, if it has such.
    """

    key: Key
    val: float
    reported: float
    values: Floats
    gap: float | None
    overfit_epoch: int | None
    epochs: int
    best_epoch: int
    time_s: float
    is_overfit: bool | None = None
    can_turn: bool = True
    regions: tuple[Floats, ...] = ()
    part_times_ms: Mapping[str, float] = field(default_factory=dict)


Values = Callable[[RunResult], Floats]


@dataclass(frozen=True)
class VariantResult:
    """One variant: its finished runs in the order of the study, and what became of the others."""

    name: str
    text: str
    trials: tuple[RunResult, ...]
    missing: tuple[str, ...]
    parameters: int | None
    macs: int | None

    @property
    def scored(self) -> dict[Key, RunResult]:
        """The trials that have a reported score."""
        return {trial.key: trial for trial in self.trials if math.isfinite(trial.reported)}

    def column(self, field: str) -> Floats:
        """Return a field of every trial (R,), NaN where it is missing."""
        found = (getattr(trial, field) for trial in self.trials)
        return np.array([math.nan if value is None else value for value in found], dtype=np.float64)

    @property
    def part_times_ms(self) -> dict[str, float]:
        """What an image takes, part by part, means over the trials that say so."""
        known = [trial.part_times_ms for trial in self.trials if trial.part_times_ms]
        return {name: float(np.mean([one[name] for one in known])) for name in known[0]} if known else {}

    def mean(self, field: str) -> float | None:
        """Return the mean of a field over the trials, None without trials or where one has none."""
        found = self.column(field)
        mean = float(found.mean()) if len(found) else math.nan
        return mean if math.isfinite(mean) else None


@dataclass(frozen=True)
class Comparison:
    """A whole study in arrays. `split` is the one that is reported: test, or val for a study without a test split.

    `dropped` are the variants that were given up on the way, `series` those that build on each other from the baseline
    on. `questions` are those of the task that these variants answer; `regions` its two metrics of places, and what the
    first of them is.
    """

    metric: Metric
    split: str
    num_images: int
    num_seeds: int
    folds: int | None
    baseline: str
    entrants: tuple[VariantResult, ...]
    dropped: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    regions: tuple[Metric, ...] = ()
    region_text: str = ""

    def __getitem__(self, name: str) -> VariantResult:
        return next(entrant for entrant in self.entrants if entrant.name == name)

    def interval(self, name: str) -> Interval | None:
        """Return the interval of a variant's reported mean; None without runs."""
        trials = self[name].scored
        if not trials:
            return None
        if self.folds:
            scores = [trial.reported for trial in trials.values()]
            values = _by_fold(trials.values())
            return fold_interval(scores, self.folds, possible=self.metric.possible, values=values)
        values = np.stack([trial.values for trial in trials.values()])
        return mean_interval(values, possible=self.metric.possible)

    def difference(self, a: str, b: str) -> Difference | None:
        """Return variant A minus variant B over the runs both have finished; None when there are none."""
        return self._difference(a, b, lambda one: one.values, lambda one: one.reported, self.metric.possible)

    def region_difference(self, a: str, b: str, place: int) -> Difference | None:
        """Return A minus B in the task's first (0) or second (1) metric of places; None where that is not known."""
        return self._by_place(a, b, lambda one: one.regions[place], self.regions[place].possible)

    def contrast(self, a: str, b: str) -> Difference | None:
        """Return how much more A is above B in the first metric of places than in the second."""
        return self._by_place(a, b, lambda one: one.regions[0] - one.regions[1], WIDE)

    def _by_place(self, a: str, b: str, values: Values, possible: Interval) -> Difference | None:
        known = [np.isfinite(values(one)).all() for name in (a, b) for one in self[name].scored.values()]
        return self._difference(a, b, values, lambda one: float(values(one).mean()), possible) if all(known) else None

    def _difference(
        self, a: str, b: str, values: Values, score: Callable[[RunResult], float], possible: Interval
    ) -> Difference | None:
        of_a, of_b = self[a].scored, self[b].scored
        keys = [key for key in of_a if key in of_b]
        if not keys:
            return None
        if self.folds:
            scores_a, scores_b = ([score(trials[key]) for key in keys] for trials in (of_a, of_b))
            return fold_difference(scores_a, scores_b, self.folds, possible=possible, num_images=self.num_images)
        values_a, values_b = (np.stack([values(trials[key]) for key in keys]) for trials in (of_a, of_b))
        return paired_difference(values_a, values_b, possible=possible)


def _by_fold(trials: Iterable[RunResult]) -> Floats:
    """The values (N,) of the images of all folds, each the mean over its seeds."""
    folds: dict[int | None, list[Floats]] = {}
    for trial in trials:
        folds.setdefault(trial.key[1], []).append(trial.values)
    return np.concatenate([np.mean(values, axis=0) for values in folds.values()])


def compare(study: StudyDir, dropped: Collection[str] = ()) -> Comparison:
    """Read a study's finished runs.

    Args:
        dropped: the variants that were given up.

    Raises:
        ModelError: no run is finished, a run's files are broken, or runs were scored on different test images.
    """
    info = study.info()
    runs = _runs(study, info)
    finished = {name: [one for one in found if one[2] == "finished"] for name, found in runs.items()}
    first = next((one[1] for found in finished.values() for one in found), None)
    if first is None:
        raise ModelError("no run of the study is finished", where=study.path, fix="continue it with `striate resume`")
    task = first.info()["task"]
    reader = _Reader(task, "test" if _has_test(finished) else "val")
    entrants = tuple(
        _entrant(variant, runs[variant["name"]], finished[variant["name"]], reader) for variant in info["variants"]
    )
    steps = [one for one in info["variants"] if finished[one["name"]] and one["name"] not in dropped]
    return Comparison(
        reader.metric,
        reader.split,
        reader.num_images,
        len(info["seeds"]),
        info["folds"],
        info["baseline"],
        entrants,
        tuple(dropped),
        ablation_series(steps, info["baseline"]),
        answered(reader.task, steps),
        reader.regions,
        reader.task.region_text(Geometry.from_json(first.info()["input"]).size_hw) if reader.regions else "",
    )


Found = tuple[Key, RunDir, str]


def _runs(study: StudyDir, info: StudyInfo) -> dict[str, list[Found]]:
    """Return each variant's runs, planned by seed and fold, with their status ("missing" when there is none)."""
    folds: Sequence[int | None] = range(info["folds"]) if info["folds"] else [None]
    keys = [(seed, fold) for seed in info["seeds"] for fold in folds]
    found: dict[str, list[Found]] = {}
    for variant in info["variants"]:
        runs = ((key, study.run(variant["name"], *key)) for key in keys)
        found[variant["name"]] = [(key, run, _status(run)) for key, run in runs]
    return found


def _status(run: RunDir) -> str:
    return str(run.info().get("status")) if (run.path / "run.json").exists() else "missing"


def _has_test(finished: Mapping[str, list[Found]]) -> bool:
    return all("test" in run.scores() for found in finished.values() for _, run, _ in found)


def _entrant(
    variant: VariantInfo, runs: Sequence[Found], finished: Sequence[Found], reader: "_Reader"
) -> VariantResult:
    model = finished[0][1].info()["model"] if finished else None
    return VariantResult(
        variant["name"],
        variant.get("text", ""),
        tuple(reader.trial(key, run) for key, run, _ in finished),
        tuple(f"{run.path.name} ({status})" for _, run, status in runs if status != "finished"),
        model["parameters"] if model else None,
        model["macs"] if model else None,
    )


class _Reader:
    """Reads run after run and refuses one that was scored on other images than those before it."""

    def __init__(self, task: TaskInfo, split: str) -> None:
        self.document, self.split, self.metric = task, split, monitor_of(task)
        self.task = from_json(task)
        metrics = {metric.key: metric for metric in self.task.metrics}
        self.regions = tuple(metrics[key] for key in self.task.regions or ())
        self._known: dict[tuple[str, int | None], tuple[str, list[str], npt.NDArray[Any]]] = {}

    @property
    def num_images(self) -> int:
        """Images of the reported split; over all folds, since each has its own."""
        return sum(len(ids) for (split, _), (_, ids, _) in self._known.items() if split == self.split)

    def trial(self, key: Key, run: RunDir) -> RunResult:
        """Return what a finished run tells."""
        scores, history, result = run.scores(), run.history(), run.info()["result"]
        if result is None:
            raise ModelError("a finished run without a result", where=run.path, fix="restore its run.json")
        metric, best = self.metric.key, result["best_epoch"]
        val = _score(scores, "val", metric)
        values, regions = self._values(run, key)
        return RunResult(
            key,
            val,
            _score(scores, self.split, metric),
            values,
            gap := self._gap(scores, history, best, val),
            None if _is_solved(run) else result["overfit_epoch"],
            result["epochs"],
            best,
            result["time_s"],
            self._is_overfit(scores, val, gap),
            result["epochs"] >= MIN_EPOCHS and not _is_solved(run),
            regions,
            result.get("part_times_ms", {}),
        )

    def _values(self, run: RunDir, key: Key) -> tuple[Floats, tuple[Floats, ...]]:
        """The contributions of each image to the monitored score, and to those of places."""
        tables = read(run.predictions, self.document, only={"val", self.split})
        if self.split not in tables:
            raise ModelError(
                f"no row of split {self.split}", where=run.predictions, fix="evaluate the run with `striate evaluate`"
            )
        for split in tables:
            self._require_same(run, split, key[1], tables[split])
        table = tables[self.split]
        own, *places = (one.per_image(table)[table.order] for one in (self.metric, *self.regions))
        return own, tuple(places)

    def _require_same(self, run: RunDir, split: str, fold: int | None, table: Predictions) -> None:
        order = table.order
        ids, truth = [table.ids[i] for i in order], table.truth[order]
        name, known_ids, known_truth = self._known.setdefault((split, fold), (run.path.name, ids, truth))
        if ids != known_ids or not are_same(truth, known_truth):
            raise ModelError(
                f"scored on other {split} {'images' if ids != known_ids else 'labels'} than {name}",
                where=run.path,
                fix="delete this run's folder and continue the study",
            )

    def _gap(self, scores: Scores, history: Sequence[Mapping[str, Any]], best: int, val: float) -> float | None:
        """Training minus validation score of the kept weights, on plain training images where those were scored."""
        metric = self.metric
        train = _score(scores, "train", metric.key)
        if not math.isfinite(train - val):
            return generalisation_gap(history, best, metric.key, metric.direction)
        return val - train if metric.is_less_better else train - val

    def _is_overfit(self, scores: Scores, val: float, gap: float | None) -> bool | None:
        """As the reading of the run alone has it."""
        if gap is None:
            return None
        ends = ((scores.get("val") or {}).get("intervals") or {}).get(self.metric.key)
        train = val - gap if self.metric.is_less_better else val + gap
        return is_overfit(
            train, val, is_share=self.metric.is_share, half_width=(ends[1] - ends[0]) / 2 if ends else 0.0
        )


def _is_solved(run: RunDir) -> bool:
    """Whether a head was solved: its history's rows are strengths of weight decay, of which none begins overfitting."""
    recipe = run.info().get("recipe") or {}
    return (recipe.get("transfer") or {}).get("head") == "only"


def _score(scores: Scores, split: str, metric: str) -> float:
    value = (scores.get(split) or {}).get(metric)
    return math.nan if value is None else float(value)
