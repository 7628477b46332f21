"""Walks as tables: one network, or two side by side; as text, and as HTML for a notebook."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from striate.base.columns import aligned, count, fitted, size

from .walk import Layer, Walk

HEADINGS = ("#", "name", "block", "output", "parameters", "", "MACs", "", "memory", "field", "jump")
LEFT = {1, 2, 3, 5, 7}
BAR_CELLS = 6
EIGHTHS = " ▏▎▍▌▋▊▉█"
SIDE_BY_SIDE = ("output", "A", "parameters", "MACs", "B", "parameters", "MACs", "B/A")


def render(walk: Walk, *, ascii_only: bool = False, width: int = 10_000) -> str:
    """Return the rows of a walk as an aligned table with bars for the shares of the total, and totals.

    Args:
        width: of a line at most: bars, jump, memory, block, field and number are left out where it is small.
        ascii_only: bars of `#` instead of block characters, for terminals that lack them.

    Example:
        >>> from striate.model.walk import walk
        >>> from striate.model.zoo import blueprint
        >>> print(render(walk(blueprint("mlp", depth=0), size_hw=(8, 8), outputs=10), ascii_only=True))
        mlp on 8x8x3
        #  name     block    output  parameters           MACs          memory  field  jump
        0  flatten  flatten  192              0              0             0 B    8x8     8
        1  outputs  linear   10           1,930  ######  1,920  ######    40 B    8x8     8
        total 1,930 parameters (0.0 MB), 1,920 MACs, 1 weighted layer deep, 0.0 MB of activations
    """
    rows = fitted([HEADINGS, *_lines(walk, ascii_only)], LEFT, width, drop=(5, 7, 10, 8, 2, 9, 0))
    return "\n".join([_title(walk), *rows, _totals(walk)])


def compare(first: Walk, second: Walk) -> str:
    """Return two walks side by side: totals, then the rows put together by the size of the map they give.

    The last column is second / first: of what the line says in the totals, and of all MACs at a map size.
    """
    pairs = [("A", first), ("B", second)]
    titles = [f"{letter} = {_title(walk)}" for letter, walk in pairs]
    facts: list[tuple[str, float, float, Callable[[Any], str]]] = [
        ("parameters", first.parameters, second.parameters, count),
        ("MACs", first.macs, second.macs, count),
        ("depth", first.depth, second.depth, str),
        ("size", first.size_mb, second.size_mb, lambda megabytes: f"{megabytes:.1f} MB"),
        ("activations", first.activation_bytes, second.activation_bytes, size),
    ]
    totals = [("total", "A", "B", "B/A"), *((name, show(a), show(b), _ratio(b, a)) for name, a, b, show in facts)]
    rows: list[Sequence[str]] = [SIDE_BY_SIDE]
    for shape, ours, theirs in _stages(first, second):
        ratio = _ratio(sum(layer.macs for layer in theirs), sum(layer.macs for layer in ours))
        for index, (a, b) in enumerate(zip_longest(ours, theirs)):
            rows.append((shape if index == 0 else "", *_half(a), *_half(b), ratio if index == 0 else ""))
    return "\n".join([*titles, "", *aligned(totals, {0}), "", *aligned(rows, {0, 1, 4})])


def _stages(first: Walk, second: Walk) -> Iterable[tuple[str, list[Layer], list[Layer]]]:
    """Yield (map size, rows of the first, rows of the second) from the finest map to vectors."""

    def key(layer: Layer) -> tuple[int, ...]:
        return layer.out_shape[1:] if len(layer.out_shape) == 3 else (0,)

    layers = (first.layers, second.layers)
    keys = {key(layer) for side in layers for layer in side}
    for size_hw in sorted(keys, reverse=True):
        ours, theirs = ([layer for layer in side if key(layer) == size_hw] for side in layers)
        yield ("x".join(map(str, size_hw)) if size_hw != (0,) else "vector"), ours, theirs


def _half(layer: Layer | None) -> tuple[str, str, str]:
    return (layer.name, count(layer.parameters), count(layer.macs)) if layer else ("", "", "")


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs and ours else ""


def html(walk: Walk) -> str:
    """Return the table as HTML with bars, for a notebook; names are escaped."""
    head = "".join(f"<th>{text}</th>" for text in HEADINGS if text)
    rows = []
    for layer, cells in zip(walk.layers, _lines(walk, ascii_only=True), strict=True):
        shares = {4: layer.parameters / max(walk.parameters, 1), 6: layer.macs / max(walk.macs, 1)}
        row = [_cell(cell, shares.get(at), at in LEFT) for at, cell in enumerate(cells) if HEADINGS[at]]
        rows.append(f"<tr>{''.join(row)}</tr>")
    caption = f"<caption>{escape(_title(walk))}</caption>"
    foot = f'<tfoot><tr><td colspan="{len(HEADINGS)}" style="text-align:left">{escape(_totals(walk))}</td></tr></tfoot>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>{foot}</table>"


def _cell(text: str, share: float | None, is_left: bool) -> str:
    style = f"text-align:{'left' if is_left else 'right'}"
    if share is not None:
        style += f";background:linear-gradient(to left,rgba(70,140,200,.4) {share:.1%},transparent {share:.1%})"
    return f'<td style="{style}">{escape(text)}</td>'


def bar(share: float, ascii_only: bool = False) -> str:
    """Return a bar of up to six characters, in eighths of a character.

    Example:
        >>> bar(0.5), bar(0.06), bar(1, ascii_only=True)
        ('███', '▍', '######')
    """
    if ascii_only:
        return "#" * round(share * BAR_CELLS)
    whole, rest = divmod(round(share * BAR_CELLS * 8), 8)
    return "█" * whole + (EIGHTHS[rest] if rest else "")


def _title(walk: Walk) -> str:
    return f"{walk.name} on {'x'.join(map(str, walk.size_hw))}x{walk.channels}"


def _totals(walk: Walk) -> str:
    plural = "layer" if walk.depth == 1 else "layers"
    return (
        f"total {walk.parameters:,} parameters ({walk.size_mb:.1f} MB), {count(walk.macs)} MACs, "
        f"{walk.depth} weighted {plural} deep, {walk.activation_bytes / 2**20:.1f} MB of activations"
    )


def _lines(walk: Walk, ascii_only: bool) -> list[tuple[str, ...]]:
    return [
        (
            str(layer.index),
            layer.name,
            layer.block,
            "x".join(map(str, layer.out_shape)),
            f"{layer.parameters:,}",
            bar(layer.parameters / max(walk.parameters, 1), ascii_only),
            count(layer.macs),
            bar(layer.macs / max(walk.macs, 1), ascii_only),
            size(layer.activation_bytes),
            "x".join(map(str, layer.receptive_field_hw)),
            _both(layer.jump_hw),
        )
        for layer in walk.layers
    ]


def _both(values: Sequence[float]) -> str:
    first, second = (f"{value:g}" for value in values)
    return first if first == second else f"{first}x{second}"
