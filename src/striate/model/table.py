"""A walk as text."""

from collections.abc import Sequence

from .walk import Layer, Walk

HEADINGS = ("#", "name", "block", "output", "parameters", "MACs", "field", "jump")
LEFT = {1, 2, 3}


def render(walk: Walk) -> str:
    """Return the rows of a walk as an aligned table with totals; widths in characters, no colours.

    Example:
        >>> from striate.model.walk import walk
        >>> from striate.model.zoo import blueprint
        >>> print(render(walk(blueprint("mlp", depth=0), size_hw=(8, 8), outputs=10)))
        mlp on 8x8x3
        #  name     block    output  parameters   MACs  field  jump
        0  flatten  flatten  192              0      0    8x8     8
        1  outputs  linear   10           1,930  1,920    8x8     8
        total 1,930 parameters (0.0 MB), 1,920 MACs, 1 weighted layer deep, 0.0 MB of activations
    """
    lines = [HEADINGS, *map(_cells, walk.layers)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    plural = "layer" if walk.depth == 1 else "layers"
    title = f"{walk.name} on {walk.size_hw[0]}x{walk.size_hw[1]}x{walk.channels}"
    totals = (
        f"total {walk.parameters:,} parameters ({walk.size_mb:.1f} MB), {count(walk.macs)} MACs, "
        f"{walk.depth} weighted {plural} deep, {walk.activation_bytes / 2**20:.1f} MB of activations"
    )
    return "\n".join([title, *(_line(line, widths) for line in lines), totals])


def count(number: int) -> str:
    """Return a large number in few digits.

    Example:
        >>> count(1_814_073_344), count(5_000_000), count(1920)
        ('1.814 G', '5.0 M', '1,920')
    """
    if number >= 10**9:
        return f"{number / 10**9:.3f} G"
    return f"{number / 10**6:.1f} M" if number >= 10**6 else f"{number:,}"


def _cells(layer: Layer) -> tuple[str, ...]:
    return (
        str(layer.index),
        layer.name,
        layer.block,
        "x".join(map(str, layer.out_shape)),
        f"{layer.parameters:,}",
        count(layer.macs),
        "x".join(map(str, layer.receptive_field_hw)),
        _both(layer.jump_hw),
    )


def _both(values: Sequence[float]) -> str:
    first, second = (f"{value:g}" for value in values)
    return first if first == second else f"{first}x{second}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = enumerate(zip(cells, widths, strict=True))
    text = "  ".join(cell.ljust(width) if column in LEFT else cell.rjust(width) for column, (cell, width) in pairs)
    return text.rstrip()
