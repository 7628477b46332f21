"""What more images would bring: a power law through the scores of one variant on a quarter, half and all of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from striate.base.numbers import is_known
from striate.base.rundir import StudyDir
from striate.evaluate.interval import fold_interval
from striate.metric import Metric, metric_of

from .compare import Comparison
from .facts import conclude

MIN_POINTS = 3  # two numbers are fitted: error = a x n^-b
MIN_SEEDS = 2  # fewer give no interval
SEPARATE = 10**9  # folds of which none overlaps: `fold_interval` is then Student's plain interval


def learning_curve(study: StudyDir, found: Comparison) -> dict[str, Any] | None:
    """Return the largest group of variants that differ in the number of training images alone, and what it says.

    `points` hold variant, images, mean and interval, fewest images first. `exponent` is b in error = a x n^-b, where
    the error is 1 - score for shares; `doubling` the gain that twice the images are expected to bring, above 0 is
    better; `doubling_interval` its 95 % interval over the seeds. None where no group has three sizes.

    Reference: Hestness et al., "Deep learning scaling is predictable, empirically" (2017), section 3.
    """
    group = max(_groups(study, found), key=len, default=[])
    if len(group) < MIN_POINTS:
        return None
    points = []
    for num, name in group:
        interval, mean = found.interval(name), found[name].mean("reported")
        ends = [end if math.isfinite(end) else None for end in interval] if interval else None
        points.append({"variant": name, "num_train": num, "mean": mean, "interval": ends})
    return {"points": points, **_fitted([num for num, _ in group], [name for _, name in group], found)}


def _groups(study: StudyDir, found: Comparison) -> list[list[tuple[int, str]]]:
    """Variants of one network and recipe, each as (training images, name)."""
    groups: dict[str, list[tuple[int, str]]] = {}
    for variant in study.info()["variants"]:
        trials = found[variant["name"]].trials
        if not trials:
            continue
        info = study.run(variant["name"], *trials[0].key).info()
        num = (info.get("dataset") or {}).get("counts", {}).get("train")
        if num:
            groups.setdefault(repr((variant["model"], variant["recipe"])), []).append((num, variant["name"]))
    return [sorted(group) for group in groups.values() if len({num for num, _ in group}) == len(group)]


def _fitted(nums: Sequence[int], names: Sequence[str], found: Comparison) -> dict[str, Any]:
    """Fit every seed by itself, so that the spread over seeds is that of the whole curve."""
    nothing = {"exponent": None, "doubling": None, "doubling_interval": None}
    keys = [key for key in found[names[0]].scored if all(key in found[name].scored for name in names)]
    scores = np.array([[found[name].scored[key].reported for name in names] for key in keys])
    errors = 1 - scores if found.metric.is_share else scores
    if len(keys) < MIN_SEEDS or found.folds or errors.min() <= 0:
        return nothing
    slopes = np.array([np.polyfit(np.log(nums), np.log(row), 1)[0] for row in errors])
    gains = errors[:, -1] * (1 - 2.0**slopes)
    interval = fold_interval(gains, SEPARATE)
    return {"exponent": -float(slopes.mean()), "doubling": float(gains.mean()), "doubling_interval": list(interval)}


def curve_sentence(curve: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say what twice the images are expected to bring, and whether the best regularization brought less."""
    say, points = metric_of(verdict), curve["points"]
    path = ", ".join(f"{say.text(point['mean'])} from {point['num_train']:,}" for point in points)
    start = f"Learning curve: {say.name} {path} training images"
    gain, interval = curve["doubling"], curve["doubling_interval"]
    if not is_known(gain) or gain <= 0 or interval[0] <= 0:
        return f"{start}. These points do not say what more images would bring{_why(curve, say)}."
    twice = f"{start}: twice as many ({2 * points[-1]['num_train']:,}) are expected to bring {say.amount(gain)} more"
    if not say.is_share:
        twice = twice.removesuffix("more") + "less"
    twice += f" (95% interval over seeds {say.span(interval, is_change=True)})"
    best = _best_regularization(verdict, {point["variant"] for point in points[:-1]})
    if best is None:
        return f"{twice}. No regularization was compared with it."
    name, brought = best
    than = "more than" if interval[0] > brought else "less than" if interval[1] < brought else "about as much as"
    return f"{twice}, {than} the best regularization here brought ({name}, {say.amount(brought)} over the baseline)."


def _why(curve: Mapping[str, Any], say: Metric) -> str:
    gain = curve["doubling"]
    if not is_known(gain):
        return ": there are too few seeds, or an error of zero"
    span = say.span(curve["doubling_interval"], is_change=True)
    return f": the fit says {say.change(gain)}, 95% interval {span}"


def _best_regularization(verdict: Mapping[str, Any], partial: set[str]) -> tuple[str, float] | None:
    """The best variant on all images and how much better than the baseline it is, where that is significant."""
    for one in conclude(verdict).gains:
        is_regularization = one.other == verdict.get("baseline") and one.subject not in partial
        if is_regularization and one.is_significant and one.size > 0:
            return one.subject, one.size
    return None
