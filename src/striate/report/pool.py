"""Tables of scores of several runs of one network, put together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from striate.base.numbers import number


def mean_rows(scores: Sequence[Mapping[str, Any]], table: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of one table of the scores, each with the means of its figures over the runs that have them."""
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in scores:
        rows = one.get(table)
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, Mapping):
                by_name[str(row.get("name", ""))].append(row)
    return [
        {"name": name, **{key: _mean(same, key) for key in keys if any(key in row for row in same)}}
        for name, same in by_name.items()
    ]


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    known = [value for row in rows if (value := number(row.get(key))) is not None]
    return fmean(known) if known else None
