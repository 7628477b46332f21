"""Calibration: the reliability diagram of one run, or of several together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.numbers import NA, number
from striate.metric.calibration import error_of_bins

from . import charts

CALIBRATED = 0.02  # so small a gap between confidence and accuracy is called none


def calibration(scores: Sequence[Mapping[str, Any]], claim: str) -> dict[str, Any] | None:
    """Return the diagram of the runs' scores and what it says; None where no run has one.

    Args:
        claim: the sentence on the mean probability and the share that is true, with {sure} and {right}.
    """
    bins = (
        [row for one in scores for row in _bins(one)] if len(scores) == 1 else pool_bins([_bins(one) for one in scores])
    )
    known = [row for row in bins if number(row.get("count")) and number(row.get("confidence")) is not None]
    total = sum(row["count"] for row in known)
    if not total:
        return None
    sure = sum(row["count"] * row["confidence"] for row in known) / total
    right = sum(row["count"] * (number(row.get("accuracy")) or 0.0) for row in known) / total
    errors = [number(one.get("ece")) for one in scores]
    ece = errors[0] if len(scores) == 1 else error_of_bins(known)
    return {
        "chart": charts.calibration(bins),
        "few": charts.FEW,
        "ece": NA if ece is None else f"{ece:.1%}",
        "sentence": f"{claim.format(sure=f'{sure:.1%}', right=f'{right:.1%}')}: it is {_verdict(sure - right)}.",
        "ece_of_runs": _range(errors) if len(scores) > 1 else "",
        "num_runs": len(scores),
    }


def pool_bins(several: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the bins of several reliability diagrams as one: counts summed, means weighted by them."""
    cells: dict[tuple[float, float], list[list[float]]] = defaultdict(list)
    for row in (row for bins in several for row in bins if isinstance(row, Mapping)):
        values = [number(row.get(key)) for key in ("lower", "upper", "confidence", "accuracy", "count")]
        known = [value for value in values if value is not None]
        if len(known) == len(values) and known[-1] > 0:
            cells[known[0], known[1]].append(known[2:])
    pooled = []
    for (lower, upper), rows in sorted(cells.items()):
        total = sum(row[2] for row in rows)
        sure, right = (sum(row[k] * row[2] for row in rows) / total for k in (0, 1))
        pooled.append({"lower": lower, "upper": upper, "confidence": sure, "accuracy": right, "count": total})
    return pooled


def _bins(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = scores.get("calibration")
    return [dict(row) for row in given if isinstance(row, Mapping)] if isinstance(given, list) else []


def _verdict(gap: float) -> str:
    if abs(gap) < CALIBRATED:
        return "well calibrated"
    return "overconfident" if gap > 0 else "underconfident"


def _range(shares: Sequence[float | None]) -> str:
    """Say the lowest and the highest of these shares."""
    known = sorted(share for share in shares if share is not None)
    return " to ".join(dict.fromkeys(f"{share:.1%}" for share in (known[0], known[-1]))) if known else ""
