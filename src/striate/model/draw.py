"""A network as a drawing for a lecture: SVG computed from the rows of its blueprint and from its walk.

Maps are cuboids: height and depth grow with the square root of the map's side, width with that of its channels. Rows
that repeat are one box; what goes around a row or skips several is an arc; auxiliary heads have lanes above.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from math import sqrt
from typing import Any

from torch import Tensor, nn

from striate.base.columns import count
from striate.nn.blocks import BLOCKS

from .blueprint import IMAGE, Blueprint, Row
from .network import Network, plan
from .walk import Walk, walk

TALLEST, WIDEST, LANE, SMALL = 150.0, 46.0, 92.0, 0.6  # pixels; auxiliary heads are drawn smaller by the last
FONT, GAP, MARGIN = 12, 20.0, 24.0
LETTER = 0.56 * FONT  # mean width
COS, SIN = 0.766, 0.643  # of the 40 degrees by which labels are tilted
TILTED_FROM = 9  # boxes; more have tilted labels
FAMILIES = {  # a block's file -> colours that also differ in grey
    IMAGE: "#d9d9d9",
    "conv": "#7fb2dd",
    "pool": "#f2a65a",
    "linear": "#a3d39c",
    "residual": "#5a7fc0",
    "preactivation": "#9fb6e0",
    "inception": "#c58ac9",
    "inverted": "#6cc3b6",
    "dense": "#d98880",
    "separable": "#58a6a6",
    "cell": "#e0b83f",
    "attention": "#b49ae0",
    "convnext": "#8fc1a9",
    "join": "#c9c2b0",
    "lecun": "#8fa8c8",
    "norm": "#e3d5b8",
    "neocognitron": "#d6a5b9",
    "upsample": "#6fae9d",
    "resize": "#bcd6a0",
}
OTHER = "#bdbdbd"


class Drawing(str):
    """An SVG document, which a notebook shows as an image."""

    def _repr_svg_(self) -> str:
        return str(self)


@dataclass
class Box:
    """One or more equal rows.

    Args:
        members: names of the rows, in order.
        shape: (C, H, W), (C,) or (C, T).
        turns: how often the block follows itself.
        loops: whether something goes around a part of it.
        lane: 0 on the way to the output, 1, 2, ... for auxiliary heads.
    """

    members: list[str]
    family: str
    label: str
    shape: tuple[int, ...]
    turns: int = 1
    loops: bool = False
    lane: int = 0
    x: float = 0.0
    y: float = 0.0
    size: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))  # width, height, shift of the back face

    @property
    def lines(self) -> tuple[str, str]:
        """What is written beside it."""
        times = f" ×{self.turns}" if self.turns > 1 else ""
        return f"{self.label}{times}", "×".join(map(str, self.shape))

    @property
    def top(self) -> tuple[float, float]:
        """The middle of its upper edge."""
        wide, high, back = self.size
        return self.x + (wide + back) / 2, self.y - high / 2 - back / 2


def draw(
    network: Network | Blueprint,
    *,
    size_hw: tuple[int, ...] | None = None,
    channels: int | None = None,
    outputs: int | None = None,
) -> Drawing:
    """Return a network's drawing as an SVG document. Arguments as for `walk`.

    Example:
        >>> from striate.model.zoo import blueprint
        >>> draw(blueprint("alexnet")).startswith("<svg xmlns=")
        True
    """
    loops: set[str] = set()
    read: set[tuple[str, int]] = set()
    found = walk(network, size_hw=size_hw, channels=channels, outputs=outputs, watch=_loop_watch(loops, read))
    blueprint = network.blueprint if isinstance(network, Network) else network
    boxes = _boxes(blueprint, found, loops)
    edges = _edges(blueprint, boxes)
    _measure(boxes)
    _place(boxes, edges)
    return Drawing(_svg(boxes, edges, found))


def _loop_watch(loops: set[str], read: set[tuple[str, int]]) -> Any:
    """Return a watch that notes the rows in which two ways meet: a sum of two maps, or a map joined after it was read.

    Maps are kept alive, since the number that tells them apart may be used again.
    """
    alive: list[Tensor] = []

    def watch(row: str, func: Any, args: Sequence[Any], made: Sequence[Tensor]) -> None:
        name = func.overloadpacket.__name__
        given = [x for x in (args[0] if name == "cat" else args) if isinstance(x, Tensor)]
        maps = [x for x in given if not isinstance(x, nn.Parameter)]
        is_sum = name in {"add", "add_"} and len(maps) == 2 and maps[0].shape == maps[1].shape and maps[0].ndim > 1
        if is_sum or (name == "cat" and any((row, id(x)) in read for x in maps)):
            loops.add(row)
        alive.extend(maps)
        if name != "cat" and not name.endswith("_"):
            read.update((row, id(x)) for x in maps)

    return watch


def _boxes(blueprint: Blueprint, found: Walk, loops: set[str]) -> list[Box]:
    """Return the image and one box for each run of equal rows."""
    main = {name for name, _, _ in plan(blueprint, blueprint.ends or (blueprint.names[-1],))}
    shapes = {layer.name: layer.out_shape for layer in found.layers}
    names = (IMAGE, *blueprint.names)
    at = {name: index for index, name in enumerate(names)}
    boxes = [Box([IMAGE], IMAGE, IMAGE, (found.channels, *found.size_hw))]
    before: tuple[Any, ...] = ()
    taken = [source for sources in blueprint.sources.values() for source in sources]
    for row in blueprint.rows:
        steps = tuple(at[row.name] - at[source] for source in blueprint.sources[row.name])
        is_main = row.name in main
        same = (row.block, row.options, row.stride, shapes[row.name], steps, is_main)
        goes_on = steps[0] == 1 and (len(steps) > 1 or taken.count(boxes[-1].members[-1]) == 1)
        if same == before and row.stride == 1 and goes_on:
            boxes[-1].members.append(row.name)
            boxes[-1].turns += row.repeat
            boxes[-1].loops |= len(steps) > 1
        else:
            loop = row.name in loops and len(steps) == 1
            boxes.append(
                Box([row.name], family_of(row), row.name, shapes[row.name], row.repeat, loop, 0 if is_main else 1)
            )
        before = same
    for box in boxes:
        if len(box.members) > 1:
            box.label = f"{box.members[0]}–{box.members[-1]}"
    return boxes


def family_of(row: Row) -> str:
    """Return the file of the row's block, which is its family's name.

    Example:
        >>> family_of(Row("bottleneck", 64)), family_of(Row("max_pool"))
        ('residual', 'pool')
    """
    return BLOCKS[row.block].__module__.rpartition(".")[2]


def _edges(blueprint: Blueprint, boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Return which box feeds which, as indices."""
    box_of = {name: index for index, box in enumerate(boxes) for name in box.members}
    pairs = [(box_of[s], box_of[name]) for name, sources in blueprint.sources.items() for s in sources]
    return sorted({(a, b) for a, b in pairs if a != b})


def _measure(boxes: Sequence[Box]) -> None:
    """Set each box's size: what is largest in the drawing has the largest box."""
    side = max(_side(box.shape) for box in boxes)
    most = max(box.shape[0] for box in boxes)
    for box in boxes:
        scale = SMALL if box.lane else 1.0
        if len(box.shape) == 1:
            box.size = (7.0 * scale, max(14.0, 0.8 * TALLEST * sqrt(box.shape[0] / most)) * scale, 0.0)
        else:
            high = max(8.0, TALLEST * sqrt(_side(box.shape) / side)) * scale
            box.size = (max(4.0, WIDEST * sqrt(box.shape[0] / most) * scale), high, 0.22 * high)


def _side(shape: Sequence[int]) -> float:
    return max(shape[1:]) if len(shape) == 3 else sqrt(shape[1]) if len(shape) == 2 else 1.0


def _place(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> None:
    """Set where boxes are: the main lane from left to right, auxiliary heads above, beginning right of their source."""
    is_tilted = tilted(boxes)
    main = [box for box in boxes if box.lane == 0]
    reach = max(_tilted_reach(box) * COS - 30 * index for index, box in enumerate(main)) if is_tilted else 0.0
    _run_on(main, MARGIN + max(0.0, reach - main[0].size[0]), is_tilted)
    ends: list[float] = []
    source = {b: a for a, b in reversed(edges)}
    chain: list[int] = []
    for index in [index for index, box in enumerate(boxes) if box.lane]:
        if chain and source[index] == chain[-1]:
            chain.append(index)
        else:
            chain = _settle(boxes, chain, source, ends) or [index]
    _settle(boxes, chain, source, ends)
    for box in boxes:  # what begins further right lies lower, so that no way up crosses a lane
        box.lane = len(ends) + 1 - box.lane if box.lane else 0


def _tilted_reach(box: Box) -> float:
    return LETTER * len("  ".join(box.lines))


def _settle(boxes: Sequence[Box], chain: list[int], source: Mapping[int, int], ends: list[float]) -> list[int]:
    """Place one auxiliary head in the first lane with room."""
    if chain:
        start = boxes[source[chain[0]]]
        x = start.x + start.size[0] + start.size[2] + GAP
        lane = next((index for index, end in enumerate(ends) if end + 2 * GAP < x), len(ends))
        for index in chain:
            boxes[index].lane = lane + 1
        end = _run_on([boxes[index] for index in chain], x, is_tilted=True)
        ends[lane : lane + 1] = [end]
    return []


def _run_on(boxes: Sequence[Box], x: float, is_tilted: bool) -> float:
    """Place boxes side by side from x on; return where they end."""
    for box in boxes:
        wide = box.size[0] + box.size[2]
        room = 0.0 if is_tilted else max(len(line) for line in box.lines) * LETTER
        box.x = x + max(0.0, (room - wide) / 2)
        x = max(box.x + wide, x + room) + GAP
    return x - GAP


def tilted(boxes: Sequence[Box]) -> bool:
    """Return whether labels are tilted for want of room."""
    return sum(box.lane == 0 for box in boxes) > TILTED_FROM


def _svg(boxes: Sequence[Box], edges: Sequence[tuple[int, int]], found: Walk) -> str:
    """Return the document, with its parts from back to front."""
    main = [box for box in boxes if box.lane == 0]
    arcs = [(a, b) for a, b in edges if boxes[b].lane == boxes[a].lane and not _is_next(boxes, a, b)]
    rise = max([_rise(boxes[a], boxes[b]) for a, b in arcs] + [22.0 * any(box.loops for box in boxes)])
    lanes = max(box.lane for box in boxes)
    label_room = SIN * max(map(_tilted_reach, main)) + 16 if tilted(boxes) else 48.0
    side_room = max([_tilted_reach(box) for box in boxes if box.lane] or [0.0])
    lane = LANE + SIN * side_room
    top = 64.0 + lanes * lane + rise
    centre = top + TALLEST * 0.61
    for box in boxes:
        box.y = centre if box.lane == 0 else top - rise - (box.lane - 0.5) * lane + SIN * side_room / 2
    right = max(box.x + box.size[0] + box.size[2] for box in boxes) + COS * side_room
    bottom = centre + TALLEST / 2 + label_room
    legend, legend_right, low = _legend(boxes, bottom + 20, max(right, 420.0))
    title = f"{found.name}: {count(found.parameters)} parameters, {count(found.macs)} multiply-adds"
    about = f"{title.partition(': ')[2]}; boxes to scale: √ of a map's side and of its channels"
    wide, high = max(right, legend_right, MARGIN + len(about) * LETTER) + MARGIN, low + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" '
        f'height="{high:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="{FONT}" fill="#1a1a1a">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="32" font-size="18" font-weight="bold">{escape(found.name)}</text>',
        f'<text x="{MARGIN}" y="50" fill="#555555">{escape(about)}</text>',
        *(_arrow(boxes[a], boxes[b]) for a, b in edges if _is_next(boxes, a, b)),
        *(_branch(boxes[a], boxes[b]) for a, b in edges if boxes[a].lane != boxes[b].lane),
        *(_arc(boxes[a].top, boxes[b].top, _rise(boxes[a], boxes[b])) for a, b in arcs),
        *(part for box in boxes for part in _cuboid(box)),
        *(part for box in boxes for part in _label(box, centre + TALLEST / 2 + 18, tilted(boxes))),
        *legend,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _is_next(boxes: Sequence[Box], a: int, b: int) -> bool:
    between = [box for box in boxes[a + 1 : b] if box.lane == boxes[a].lane]
    return boxes[a].lane == boxes[b].lane and not between


def _rise(a: Box, b: Box) -> float:
    return min(26 + 0.12 * (b.x - a.x), 90.0)


def _arrow(a: Box, b: Box) -> str:
    x1, x2 = a.x + a.size[0], b.x - 2
    head = f"M{x2 - 5:.1f} {b.y - 3.5:.1f}L{x2:.1f} {b.y:.1f}L{x2 - 5:.1f} {b.y + 3.5:.1f}"
    return f'<path d="M{x1:.1f} {a.y:.1f}L{x2:.1f} {b.y:.1f}{head}" fill="none" stroke="#555555"/>'


def _branch(a: Box, b: Box) -> str:
    (x1, y1), (x2, y2) = a.top, (b.x - 2, b.y)
    curve = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y2:.1f} {x1:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return f'<path d="{curve}" fill="none" stroke="#555555"/>'


def _arc(start: tuple[float, float], end: tuple[float, float], rise: float) -> str:
    high = min(start[1], end[1]) - rise / 0.75
    curve = (
        f"M{start[0]:.1f} {start[1]:.1f}C{start[0]:.1f} {high:.1f} {end[0]:.1f} {high:.1f} {end[0]:.1f} {end[1]:.1f}"
    )
    return f'<path d="{curve}" fill="none" stroke="#c0392b" stroke-width="1.4"/>'


def _cuboid(box: Box) -> Iterator[str]:
    wide, high, back = box.size
    x, y = box.x, box.y - high / 2 + back / 2
    high -= back / 2
    colour = FAMILIES.get(box.family, OTHER)
    line = 'stroke="#333333" stroke-width="0.8" stroke-linejoin="round"'
    yield f"<g><title>{escape(', '.join(box.members))}: {escape(' '.join(box.lines))}</title>"
    if back:
        top = f"M{x:.1f} {y:.1f}l{back:.1f} {-back:.1f}h{wide:.1f}l{-back:.1f} {back:.1f}z"
        side = f"M{x + wide:.1f} {y:.1f}l{back:.1f} {-back:.1f}v{high:.1f}l{-back:.1f} {back:.1f}z"
        yield f'<path d="{top}" fill="{_shade(colour, 1.12)}" {line}/>'
        yield f'<path d="{side}" fill="{_shade(colour, 0.82)}" {line}/>'
    yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}" {line}/></g>'
    if box.loops:
        top_x, top_y = box.top
        reach = max((wide + back) / 2, 9.0)
        yield _arc((top_x - reach, top_y + back / 2), (top_x + reach, top_y + back / 2), 14.0)


def _shade(colour: str, factor: float) -> str:
    parts = (min(255, round(int(colour[at : at + 2], 16) * factor)) for at in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in parts)


def _label(box: Box, y: float, is_tilted: bool) -> Iterator[str]:
    name, shape = map(escape, box.lines)
    middle = box.x + (box.size[0] + box.size[2]) / 2
    grey = '<tspan fill="#666666">'
    if box.lane:
        x, y = middle + 3, box.y - 0.4 * SMALL * TALLEST - 8
        yield f'<text transform="translate({x:.1f} {y:.1f}) rotate(-40)">{name}  {grey}{shape}</tspan></text>'
    elif is_tilted:
        turn = f'transform="translate({middle + 4:.1f} {y - 6:.1f}) rotate(-40)" text-anchor="end"'
        yield f"<text {turn}>{name}  {grey}{shape}</tspan></text>"
    else:
        yield f'<text x="{middle:.1f}" y="{y:.1f}" text-anchor="middle">{name}</text>'
        yield f'<text x="{middle:.1f}" y="{y + 16:.1f}" text-anchor="middle" fill="#666666">{shape}</text>'


def _legend(boxes: Sequence[Box], y: float, wide: float) -> tuple[list[str], float, float]:
    """Return the legend's parts, where it ends to the right, and its lower edge; it wraps at the drawing's width."""
    words = [(family, FAMILIES.get(family, OTHER)) for family in dict.fromkeys(box.family for box in boxes)]
    x, right, parts = MARGIN, 0.0, []
    for word, colour in words:
        room = 18 + len(word) * LETTER + GAP
        if x + room > wide and x > MARGIN:
            x, y = MARGIN, y + 20
        parts.append(f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="12" height="12" fill="{colour}" stroke="#333333"/>')
        parts.append(f'<text x="{x + 18:.1f}" y="{y:.1f}">{escape(word)}</text>')
        x += room
        right = max(right, x)
    return parts, right - GAP, y
