"""Which variants of a study are not worth more seeds: decided on validation images, only when asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.run_info import TaskInfo
from striate.base.rundir import StudyDir
from striate.evaluate.interval import mean_interval
from striate.evaluate.predictions import read
from striate.metric import Metric
from striate.task.monitor import monitor_of

FEWEST_SEEDS = 2  # one seed says nothing about the luck of training


def clearly_worse(study: StudyDir, names: Sequence[str], seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return the variants whose validation interval lies wholly on the worse side of the best variant's.

    Each comes with {"seeds", "interval", "best", "best_interval", "text"}. The intervals are of the mean over these
    seeds and the validation images, 95 %.

    Args:
        names: the variants that are still in the study, whose runs with these seeds are finished.
    """
    if len(seeds) < FEWEST_SEEDS or len(names) < 2:
        return {}
    task = study.run(names[0], seeds[0]).info()["task"]
    metric = monitor_of(task)
    values = {name: _values(study, name, seeds, task, metric) for name in names}
    means = {name: float(table.mean()) for name, table in values.items() if np.isfinite(table).all()}
    if not means:
        return {}
    best = (min if metric.is_less_better else max)(means, key=means.__getitem__)
    intervals = {name: mean_interval(values[name], possible=metric.possible) for name in means}
    low, high = intervals[best]
    lost = [name for name, own in intervals.items() if (own[0] > high if metric.is_less_better else own[1] < low)]
    side = "above" if metric.is_less_better else "below"
    shown = {name: list(own) for name, own in intervals.items()}
    return {
        name: {
            "seeds": len(seeds),
            "interval": shown[name],
            "best": best,
            "best_interval": shown[best],
            "text": f"{name} was given up after {len(seeds)} seeds, as asked: its validation {metric.name} "
            f"({metric.span(shown[name])}) lies wholly {side} that of {best} ({metric.span(shown[best])}).",
        }
        for name in lost
    }


def _values(
    study: StudyDir, name: str, seeds: Sequence[int], task: TaskInfo, metric: Metric
) -> npt.NDArray[np.float64]:
    """The value of each validation image under each seed's network (S, N), in the order of their ids."""
    rows = []
    for seed in seeds:
        path = study.run(name, seed).predictions
        table = read(path, task, only=("val",))["val"]
        rows.append(metric.per_image(table)[table.order])
    return np.stack(rows)
