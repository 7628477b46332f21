"""A blueprint in few lines for a terminal, and as a table with its drawing for a notebook. Torch is for the drawing."""

import textwrap
from collections.abc import Mapping
from typing import Any

from striate.base.errors import UserError
from striate.base.html import Html, card, fold, line, quiet, table
from striate.base.size import size_text
from striate.base.text import plural, shown

from .blueprint import Blueprint, Row

WIDTH = 96
FIRST, LAST = 8, 3  # rows on a terminal
MOST_ROWS = 100
KEY = "empty: repeat 1, stride 1, takes the row before"


def blueprint_text(plan: Blueprint) -> str:
    """Return the rows in short: `2 x basic 128 /2` is a block twice, 128 wide, stride 2.

    Example:
        >>> print(blueprint_text(Blueprint("tiny", (Row("conv", 8, stride=2), Row("global_pool"), Row("linear")))))
        Blueprint('tiny': 3 rows, made for 224 px)
          conv 8 /2, global_pool, linear
    """
    rows = [_short(row) for row in plan.rows]
    if len(rows) > FIRST + LAST + 1:
        rows = [*rows[:FIRST], f"({len(rows) - FIRST - LAST} more)", *rows[-LAST:]]
    lines = textwrap.wrap(", ".join(rows), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join([f"Blueprint({shown(plan.name)!r}: {_about(plan)})", *lines])


def row_text(row: Row, changed: Mapping[str, Any]) -> str:
    """Return a row as it would be typed; `changed` are its fields that differ from their defaults."""
    named = {key: value for key, value in changed.items() if key not in {"block", "width"}}
    words = [
        repr(row.block),
        *([str(row.width)] if row.width else []),
        *(f"{key}={value!r}" for key, value in named.items()),
    ]
    return f"Row({', '.join(words)})"


def blueprint_card(plan: Blueprint) -> Html:
    """Return the rows with their options, the network's drawing behind a click, and the paper."""
    usual = table([(key, _written(value)) for key, value in plan.defaults.items()], ("every row", "value"))
    head = ("row", "block", "width", "repeat", "stride", "takes", "options")
    rows = table([_cells(row) for row in plan.rows[:MOST_ROWS]], head, right={2, 3, 4})
    more = len(plan.rows) - MOST_ROWS
    parts = [
        rows,
        line(quiet(f"{f'and {more:,} more rows; ' if more > 0 else ''}{KEY}")),
        usual if plan.defaults else "",
        _drawing(plan),
    ]
    return card(plan.name, _about(plan), line(quiet(plan.paper)), *parts)


def _about(plan: Blueprint) -> str:
    return f"{plural(len(plan.rows), 'row')}, made for {size_text(plan.native_hw)} px"


def _short(row: Row) -> str:
    turns = f"{row.repeat} x " if row.repeat > 1 else ""
    words = (turns + shown(row.block), str(row.width or ""), f"/{row.stride}" if row.stride > 1 else "")
    return " ".join(filter(None, words))


def _cells(row: Row) -> tuple[str, ...]:
    options = ", ".join(f"{key} {_written(value)}" for key, value in {**row.options, **row.each}.items())
    numbers = (
        str(number) if number > least else "" for number, least in ((row.width, 0), (row.repeat, 1), (row.stride, 1))
    )
    return row.name, row.block, *numbers, ", ".join(row.inputs), options


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_written(one)}" for key, one in value.items())
    if isinstance(value, tuple):
        return f"({', '.join(map(_written, value))})"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _drawing(plan: Blueprint) -> Html:
    try:
        return fold("drawing", Html(plan._repr_svg_()))
    except UserError as problem:
        return line(quiet(f"no drawing: {problem.what}"))
