"""Several networks as one: the mean of their probabilities, of their numbers, or of their directions.

It reads the tables that the runs of a study left (with every digit), so no network runs. Which variant's
ensemble is best is decided on the validation images; on another split it is only scored.

Reference: Hansen and Salamon, "Neural network ensembles", IEEE PAMI 12 (1990); Lakshminarayanan et al., "Simple and
scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError, ModelError
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import plural
from striate.metric import Metric
from striate.task import from_json
from striate.task.monitor import monitor_of

from .interval import paired_difference
from .predictions import Predictions, read
from .scores import scores_of

Floats = npt.NDArray[np.float64]
EVERYTHING = "all variants"


@dataclass(frozen=True)
class Member:
    """A finished run: its name, its task and its tables."""

    name: str
    task: Mapping[str, Any]
    tables: Mapping[str, Predictions]


def combined(tables: Sequence[Predictions], std: Sequence[float] = ()) -> Predictions:
    """Return the table of an ensemble: mean probability, or mean number, or (unit "deg") mean direction.

    Args:
        tables: of the same images in the same order.
        std: the scale of each number that losses are in; without it they are in the target's unit.
    """
    first = tables[0]
    return Predictions.of(first.layout, first.ids, first.layout.combined(tables, std))


def ensembles(study: StudyDir, *, variant: str | None = None, split: str = "test") -> dict[str, Any]:
    """Return the ensembles of a study, each a variant's runs over all seeds, and one of all runs of all variants.

    {"metric", "mode", "combined", "split", "chosen_on": "val", "best", "rows"}; a row is {"name", "num_runs", "val"
    (the ensemble's validation score), "scores", "single" (the mean score of its runs), "gain" (how much better the
    ensemble is, positive is better), "gain_interval" (95 % over the choice of images), "table"}.

    Args:
        variant: only this one.
        split: "test" or "val".

    Raises:
        ModelError: a variant has fewer than two finished runs, or its runs saw other images or classes.
        DataError: the split was not scored, or is a cross-validation's.
    """
    info = study.info()
    names = [row["name"] for row in info["variants"]]
    choose("split of an ensemble", split, dict.fromkeys(("test", "val")))
    if variant is not None:
        choose("variant", variant, dict.fromkeys(names))
    if info["folds"]:
        raise DataError(
            "the runs of a cross-validation were scored on different images",
            where=study.path,
            fix="make a study without folds",
        )
    groups = {name: _members(study, name, info["seeds"], split) for name in ([variant] if variant else names)}
    _require_same(study, [member for group in groups.values() for member in group], split)
    if len(groups) > 1:
        groups[EVERYTHING] = [member for group in groups.values() for member in group]
    first = next(iter(groups.values()))[0]
    task = first.task
    rows = [_row(name, group, split) for name, group in groups.items() if len(group) > 1]
    known = [row for row in rows if row["val"] is not None]
    pick = max if task["monitor_mode"] == "max" else min
    return {
        "metric": task["monitor"],
        "mode": task["monitor_mode"],
        "combined": next(iter(first.tables.values())).layout.combination,
        "split": split,
        "chosen_on": "val",
        "best": pick(known, key=lambda row: row["val"])["name"] if known else None,
        "rows": rows,
    }


def _members(study: StudyDir, variant: str, seeds: Sequence[int], split: str) -> list[Member]:
    runs = [study.run(variant, seed) for seed in seeds]
    found = [
        _member(run, split) for run in runs if (run.path / "run.json").exists() and run.info()["status"] == "finished"
    ]
    if len(found) < 2:
        go_on = f"continue it with `striate resume {shlex.quote(str(study.path))}`"
        fix = go_on if len(found) < len(runs) > 1 else "make a study of more seeds"
        raise ModelError(
            f"{variant} has {plural(len(found), 'finished run')}, an ensemble needs two", where=study.path, fix=fix
        )
    return found


def _member(run: RunDir, split: str) -> Member:
    task = run.info()["task"]
    tables = read(run.predictions, task, only={"val", split})
    return Member(run.path.name, task, tables)


def _require_same(study: StudyDir, members: Sequence[Member], split: str) -> None:
    """Refuse runs that cannot be averaged: of other targets or classes, or scored on other images."""
    first = members[0]
    for member in members:
        for key in ("kind", "target", "names", "unit"):
            if member.task.get(key) != first.task.get(key):
                raise ModelError(
                    f"{member.name} predicts other {'classes' if key == 'names' else key} than {first.name}",
                    where=study.path,
                    fix="delete this run's folder and continue the study",
                )
        for part in {"val", split}:
            if part not in member.tables:
                raise DataError(
                    f"{member.name} has no predictions of the {part} split", where=study.path, fix="choose --split val"
                )
            _require_same_images(study, first, member, part)


def _require_same_images(study: StudyDir, first: Member, member: Member, split: str) -> None:
    a, b = first.tables[split], member.tables[split]
    if a.ids != b.ids or a.difference(b):
        raise ModelError(
            f"{member.name} was scored on other {split} images or labels than {first.name}",
            where=study.path,
            fix="delete this run's folder and continue the study",
        )


def _row(name: str, members: Sequence[Member], split: str) -> dict[str, Any]:
    document, singles = members[0].task, [member.tables[split] for member in members]
    task, metric, std = from_json(document), monitor_of(document), document.get("std", ())
    whole = combined(singles, std)
    gain, interval = _gain(metric, whole, singles)
    val = metric.score(metric.records(combined([member.tables["val"] for member in members], std)))
    single = np.mean([metric.per_image(table).mean() for table in singles])
    row = {"name": name, "num_runs": len(members), "val": val, "scores": scores_of(task, whole)}
    return {**row, "single": float(single), "gain": gain, "gain_interval": interval, "table": whole}


def _gain(metric: Metric, whole: Predictions, singles: Sequence[Predictions]) -> tuple[float, list[float] | None]:
    """Return the ensemble's score minus the mean single score, better is positive, and its interval over images."""
    values, single = metric.per_image(whole), np.mean([metric.per_image(table) for table in singles], axis=0)
    found = paired_difference(values[None], single[None], possible=metric.possible)
    sign = -1 if metric.is_less_better else 1
    gain = sign * found.mean
    if not math.isfinite(gain) or not all(map(math.isfinite, found.interval)):
        return gain, None
    return gain, sorted(sign * end for end in found.interval)
