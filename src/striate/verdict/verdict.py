"""The verdict of a study: chosen on validation, reported on test, every difference with its interval.

"X is best" is said only when its interval against every other variant excludes zero. Measured on simulated equal
variants (3 seeds, 600 images, 600 repetitions a cell, seeds that differ by 0 to 5 points): that happens in at most
3 % of studies of 2 variants, 0.5 % of 4 or 8. Some single difference of a study of 4 equal variants is significant in 7
to 21 % (3 or 5 seeds), in 1 to 6 % after Holm's correction. Corrected intervals would find a gain of 5 points in 52 %
of studies instead of 80 % (3 seeds, 600 images, 1 point of spread): they stay as they are, and what does not survive
the correction is said.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from striate.base.errors import ModelError
from striate.base.noun import noun_of
from striate.base.rundir import StudyDir
from striate.evaluate.interval import holm

from .advice import advise
from .compare import Comparison, VariantResult, compare
from .facts import conclude, difference_row, ends
from .learning import learning_curve
from .questions import rows
from .render import render
from .sentences import sentences

__all__ = ["decide", "render", "select", "verdict_of"]


def decide(study: StudyDir, dropped: Collection[str] | None = None) -> dict[str, Any]:
    """Return the verdict of a study's finished runs, as verdict.json holds it.

    The best variant is the one with the best mean over seeds on validation, never the best seed; the test split is
    looked at after that. Ties are the variants whose difference from it on the test split has an interval that
    includes zero. In `differences`, `mean` and `interval` are A minus B in the metric's own unit, and `probability`
    says how probably A is the better one, also where less is better. Without a test split the validation scores are
    reported (`split_reported`), and a sentence says so. `advice` is what to do next, each with a command where there
    is one; `learning_curve` is None unless one variant was trained on three numbers of images (see `learning_curve`).
    `steps` are the differences of each variant of an ablation series from the one before it, `questions` what the
    variants tell of their parts (see `questions.rows`). Variants that were given
    up stay in the table, but neither win nor tie.

    Args:
        dropped: the variants that were given up; by default those that study.json names.

    Raises:
        ModelError: no run is finished, or the runs cannot be compared; the message names the folder.
    """
    found = compare(study, tuple((study.info().get("dropped") or ()) if dropped is None else dropped))
    verdict = verdict_of(found, study.path) | {"learning_curve": learning_curve(study, found)}
    noun = noun_of((study.info().get("dataset") or {}).get("form"))
    advice = [row | {"text": noun.put(row["text"])} for row in advise(study, verdict, found)]
    return verdict | {"sentences": [noun.put(text) for text in verdict["sentences"]], "advice": advice}


def verdict_of(found: Comparison, where: object = "") -> dict[str, Any]:
    """Return the verdict of a comparison.

    Raises:
        ModelError: no variant has a validation score.
    """
    best = select(found)
    if best is None:
        raise ModelError("no variant has a validation score", where=where, fix="look at the runs' histories")
    differences = [row for pair in _pairs(found, best) if (row := _difference(found, *pair))]
    steps = [row for a, b in zip(found.series[1:], found.series, strict=False) if (row := _difference(found, a, b))]
    questions = rows(found)
    others = [row for answer in questions for row in answer["others"]]
    num_comparisons = _correct([*differences, *steps, *others])
    for place in ("contrast", 0, 1):  # a family each, corrected for itself
        parts = [row["contrast"] if place == "contrast" else row["regions"][place] for row in others if row["contrast"]]
        _correct(parts)
    verdict = {
        "metric": found.metric.key,
        "mode": found.metric.direction,
        "unit": found.metric.unit,
        "metric_words": found.metric.words(),
        "split_chosen_on": "val",
        "split_reported": found.split,
        "baseline": found.baseline,
        "dropped": list(found.dropped),
        "best": best,
        "ties": [row["b"] for row in differences if row["a"] == best and _is_tie(found, row)],
        "variants": [_variant(found, entrant) for entrant in found.entrants],
        "differences": differences,
        "steps": steps,
        "questions": questions,
        "num_comparisons": num_comparisons,
    }
    end = conclude(verdict)
    verdict |= {"state": end.state, "headline": end.headline, "behind": list(end.behind)}
    return {**verdict, "sentences": sentences(verdict, found)}


def _correct(rows: Sequence[dict[str, Any]]) -> int:
    """Give each difference its p value after Holm's correction for all of them; return how many there are.

    A pair counts once, whichever way round it stands.
    """
    pairs = {frozenset((row["a"], row["b"])): row["p"] for row in rows}
    corrected = dict(zip(pairs, holm(list(pairs.values())), strict=True))
    for row in rows:
        row["p_holm"] = corrected[frozenset((row["a"], row["b"]))]
    return len(pairs)


def _is_tie(found: Comparison, row: Mapping[str, Any]) -> bool:
    return not row["separable"] and row["b"] not in found.dropped


def select(found: Comparison) -> str | None:
    """Return the variant with the best validation mean over its runs; a score that is not defined never wins."""
    scores = [(one.mean("val"), one.name) for one in found.entrants if one.name not in found.dropped]
    known = [(score, name) for score, name in scores if score is not None]
    if not known:
        return None
    pick = max if found.metric.direction == "max" else min
    return pick(known, key=lambda pair: pair[0])[1]


def _pairs(found: Comparison, best: str) -> list[tuple[str, str]]:
    """The best against every other variant, then the others against the baseline."""
    names = [entrant.name for entrant in found.entrants]
    against_baseline = [(name, found.baseline) for name in names if name not in {best, found.baseline}]
    return [(best, name) for name in names if name != best] + (against_baseline if best != found.baseline else [])


def _difference(found: Comparison, a: str, b: str) -> dict[str, Any] | None:
    difference = found.difference(a, b)
    return None if difference is None else difference_row(a, b, difference, found.metric.direction)


def _variant(found: Comparison, entrant: VariantResult) -> dict[str, Any]:
    interval = found.interval(entrant.name)
    return {
        "name": entrant.name,
        "text": entrant.text,
        "n": len(entrant.trials),
        "val": _spread(entrant, "val"),
        "test": {**_spread(entrant, "reported"), "interval": None if interval is None else ends(interval)},
        "gap": {"mean": entrant.mean("gap")},
        "can_turn": any(trial.can_turn for trial in entrant.trials),
        "overfit_epoch": typical_epoch([trial.overfit_epoch for trial in entrant.trials]),
        "best_epoch": median(trial.best_epoch for trial in entrant.trials) if entrant.trials else None,
        "time_s": {"mean": entrant.mean("time_s")},
        "part_times_ms": entrant.part_times_ms,
        "parameters": entrant.parameters,
        "macs": entrant.macs,
    }


def typical_epoch(epochs: Sequence[int | None]) -> float | None:
    """Return the median epoch, with "never" beyond every epoch; None when half of the runs or more never did.

    Example:
        >>> typical_epoch([8, 12, 9]), typical_epoch([8, None, 9]), typical_epoch([8, None, None])
        (9, 9, None)
    """
    middle = median(math.inf if epoch is None else epoch for epoch in epochs) if epochs else math.inf
    return middle if math.isfinite(middle) else None


def _spread(entrant: VariantResult, field: str) -> dict[str, Any]:
    values = entrant.column(field)
    known = values[np.isfinite(values)]
    return {
        "mean": entrant.mean(field),
        "std": float(known.std(ddof=1)) if len(known) > 1 else None,
        "values": [float(value) if math.isfinite(value) else None for value in values],
    }
