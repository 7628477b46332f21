"""The table of classes or tags, the worst first."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.numbers import count, number
from striate.metric import Metric

FIGURES = {"ap": "average precision", "ap50": "AP50", "f1": "F1", "recall": "recall", "precision": "precision"}


def class_table(rows: Sequence[Any], keys: Sequence[str]) -> dict[str, Any] | None:
    """Return the table of rows of figures by class; its first key decides which class is worst. None without rows."""
    known = [row for row in rows if isinstance(row, Mapping)]
    if not known:
        return None
    known.sort(key=lambda row: (number(row.get(keys[0])) is None, number(row.get(keys[0])) or 0.0))
    return {
        "head": [FIGURES[key] for key in keys],
        "body": [_row(row, keys) for row in known],
        "has_undefined": any(number(row.get(key)) is None for row in known for key in keys),
    }


def _row(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    percent = Metric("", "", form="percent")
    return {
        "name": str(row.get("name", "")),
        "support": count(row.get("support")),
        "cells": [(percent.text(row.get(key)), number(row.get(key))) for key in keys],
        "bar": 100 * (number(row.get(keys[0])) or 0.0),
    }
