"""A verdict as text for the terminal: an aligned table that fits the width, and the sentences."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.numbers import counted
from striate.base.text import duration, shown
from striate.metric import Metric, metric_of

MIN_WIDTH = 20
LEAST_FIRST = ("macs", "parameters", "n", "time a run", "loss rises after", "gap", "val", "95% interval")


def render(verdict: Mapping[str, Any], width: int = 100) -> str:
    """Return the verdict as a table and sentences; no line is wider than `width` cells (at least 20).

    Columns that do not fit are left out, the least important first; long names are shortened in the middle.
    """
    width = max(width, MIN_WIDTH)
    columns = _columns(verdict)
    for name in LEAST_FIRST:
        if _table_width(columns) <= width:
            break
        columns.pop(name, None)
    columns = _fitted(columns, width)
    notes = [note for mark, note in MARKS.items() if mark in columns[""]]
    paragraphs = ["; ".join(notes), *verdict["sentences"]]
    paragraphs += [f"{one['text']} {one['command']}".rstrip() for one in verdict.get("advice") or []]
    wrapped = [_wrapped(shown(text, 4000), width) for text in paragraphs if text]
    return "\n".join([*_lines(columns), "", *wrapped])


MARKS = {
    "*": "* best on validation",
    "=": "= not significantly different from it",
    "+": "+ significantly better than it",
    "x": "x given up early",
}


def _columns(verdict: Mapping[str, Any]) -> dict[str, list[str]]:
    """Columns by header, best first in each, in the order of the mean on the reported split."""
    say = metric_of(verdict)
    rows = sorted(verdict["variants"], key=lambda row: _rank(row, verdict))
    split = verdict["split_reported"]
    return {
        "": [mark_of(row["name"], verdict) for row in rows],
        "variant": [shown(row["name"], 60) for row in rows],
        "val": [say.text(row["val"]["mean"]) for row in rows],
        "test" if split == "test" else f"reported ({split})": [_with_spread(say, row["test"]) for row in rows],
        "95% interval": [say.span(row["test"]["interval"]) for row in rows],
        "gap": [_signed(say, row["gap"]["mean"]) for row in rows],
        "loss rises after": [_turn(row) for row in rows],
        "time a run": [duration(time) if (time := row["time_s"]["mean"]) is not None else "n/a" for row in rows],
        "parameters": [counted(row["parameters"]) for row in rows],
        "macs": [counted(row["macs"]) for row in rows],
        "n": [str(row["n"]) for row in rows],
    }


def _rank(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> tuple[bool, bool, float]:
    mean = row["test"]["mean"]
    sign = -1 if verdict["mode"] == "max" else 1
    return row["name"] != verdict["best"], mean is None, 0.0 if mean is None else sign * mean


def mark_of(name: str, verdict: Mapping[str, Any]) -> str:
    """Return the sign of a variant in the table, see `MARKS`; "" for one that is clearly behind the best."""
    if name == verdict["best"]:
        return "*"
    if name in verdict.get("behind", ()):
        return "+"
    return "=" if name in verdict["ties"] else "x" if name in verdict.get("dropped", ()) else ""


def _with_spread(say: Metric, scores: Mapping[str, Any]) -> str:
    spread = f" +/- {say.amount(scores['std']).split(' ')[0]}" if scores["std"] is not None else ""
    return say.text(scores["mean"]) + spread


def _signed(say: Metric, value: float | None) -> str:
    return ("-" if value is not None and value < 0 else "") + say.amount(value).removesuffix(" points")


def _fitted(columns: Mapping[str, list[str]], width: int) -> dict[str, list[str]]:
    """Shorten the names, then the score, until the table fits."""
    fitted = dict(columns)
    for header in ("variant", list(columns)[-1]):
        excess = _table_width(fitted) - width
        if excess > 0:
            room = max(6, max(map(cells, fitted[header])) - excess)
            fitted[header] = [_shortened(text, room) for text in fitted[header]]
    return fitted


def _lines(columns: Mapping[str, list[str]]) -> list[str]:
    padded = [
        [_padded(text, _column_width(header, column), is_text=header in {"", "variant"}) for text in (header, *column)]
        for header, column in columns.items()
    ]
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]


def _table_width(columns: Mapping[str, list[str]]) -> int:
    return sum(_column_width(*column) for column in columns.items()) + 2 * (len(columns) - 1)


def _column_width(header: str, column: Sequence[str]) -> int:
    return max(cells(text) for text in (header, *column))


def _padded(text: str, width: int, is_text: bool) -> str:
    space = " " * (width - cells(text))
    return text + space if is_text else space + text


def _shortened(text: str, room: int) -> str:
    while cells(text) > room:
        text = text[:-3] + ".." if text.endswith("..") else text[:-2] + ".."
    return text


def _wrapped(text: str, width: int) -> str:
    # wide characters take two cells: wrap by characters to half the width when there are any
    room = width if cells(text) == len(text) else width // 2
    return "\n".join(textwrap.wrap(text, room, break_on_hyphens=False))


def cells(text: str) -> int:
    """Return how many terminal cells a text takes: two for wide characters, none for combining ones.

    Example:
        >>> cells("cat"), cells("猫"), cells("e\u0301")
        (3, 2, 1)
    """
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _turn(row: Mapping[str, Any]) -> str:
    """The epoch after which a variant's validation loss rises; n/a where too few epochs would show it."""
    if row["overfit_epoch"]:
        return f"epoch {row['overfit_epoch']:g}"
    return "never" if row.get("can_turn", True) else "n/a"  # which older verdicts do not have
