"""`striate analyze conv|transposed|pool|unpool`: convolution arithmetic with its numbers."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.base.text import plural
from striate.nn.arithmetic import Shape, each, windows
from striate.nn.arithmetic_layer import KINDS, Layer

from .grid import read_grid

__all__ = ["KINDS", "show"]

TAKES = {
    "conv": {"dilation", "groups", "outputs", "values", "weights"},
    "transposed": {"dilation", "groups", "outputs", "output_padding", "values", "weights"},
    "pool": {"dilation", "mode", "ceil", "count_padding", "values"},
    "unpool": set(),
}
USUAL = {"conv": ("5x5", "3"), "transposed": ("3x3", "3"), "pool": ("4x4", "2"), "unpool": ("2x2", "2")}
MAX_NUMBER = 1_000_000
PAGE_CHARS = 100

Grid = npt.NDArray[Any]


def show(
    kind: str,
    *,
    input: str | None = None,
    kernel: str | None = None,
    stride: str | None = None,
    padding: str | None = None,
    dilation: str | None = None,
    groups: int | None = None,
    output_padding: str | None = None,
    channels: int | None = None,
    outputs: int | None = None,
    mode: str | None = None,
    ceil: bool | None = None,
    count_padding: bool | None = None,
    values: str | None = None,
    weights: str | None = None,
) -> tuple[dict[str, Any], str]:
    """Return what `analyze KIND` shows, as a JSON-able document and as text. None means: not given.

    Args:
        kind: one of KINDS.
        input: size as typed: "28", "5x5" or "4x8x8"; kernel, stride, dilation and output padding likewise, one number
            or one for each axis; padding also "same" or "valid".
        channels: of the input; by default 1.
        outputs: channels of the output; by default 1 (at least one a group).
        values, weights: the example's own input and kernel, see `read_grid`; they give its size and the kernel's.

    Raises:
        SettingsError: the kind does not take an option, an option cannot be read, or the settings cannot work.
    """
    own = {"dilation": dilation, "groups": groups, "outputs": outputs, "output_padding": output_padding}
    own |= {"mode": mode, "ceil": ceil or None, "count_padding": count_padding, "values": values, "weights": weights}
    _check_taken(kind, own)
    image, input = _own(values, input, "--values", "--input", channels)
    taps, kernel = _own(weights, kernel, "--weights", "--kernel")
    size = _numbers(input or USUAL[kind][0], "--input")
    if not 1 <= len(size) <= 3:
        raise SettingsError(f"the input has {len(size)} axes", where="--input", fix="give 1 to 3, e.g. 28, 5x5, 4x8x8")
    width = _numbers(kernel or USUAL[kind][1], "--kernel")
    step = stride or ("1" if kind in {"conv", "transposed"} else kernel or USUAL[kind][1])
    is_word = padding in {"same", "valid"}
    if padding == "same" and kind != "conv":
        raise SettingsError(f"{kind} has no same padding", where="--padding", fix="give numbers")
    made = windows(
        size,
        _single(width),
        stride=_single(_numbers(step, "--stride")),
        padding=str(padding) if is_word else _single(_numbers(padding or "0", "--padding", least=0)),
        dilation=_single(_numbers(dilation or "1", "--dilation")),
    )
    layer = Layer(
        kind,
        size,
        made,
        channels=_count(channels, 1, "--channels"),
        outputs=_count(outputs, groups or 1, "--outputs"),
        groups=_count(groups, 1, "--groups"),
        output_padding=each(_single(_numbers(output_padding or "0", "--output-padding", least=0)), len(size), "output"),
        mode=mode or "max",
        ceil=bool(ceil),
        count_padding=count_padding is not False,
        image=image,
        weights=taps,
    )
    document = layer.explain()
    return document, render(document)


def _check_taken(kind: str, own: dict[str, Any]) -> None:
    if kind not in TAKES:
        raise SettingsError(f"unknown layer {kind!r}", where="analyze", fix=f"choose one of {', '.join(KINDS)}")
    for name, value in own.items():
        if value is not None and name not in TAKES[kind]:
            option = "--" + name.replace("_", "-")
            raise SettingsError(f"{kind} has no {option}", where=option, fix="leave it out")


def _own(
    text: str | None, size: str | None, where: str, other: str, channels: int | None = None
) -> tuple[Grid | None, str | None]:
    """Return the numbers that were given, and the size as typed, which is theirs if there are any."""
    if text is None:
        return None, size
    found = read_grid(text, where)
    is_stacked = channels is not None and found.ndim > 1 and len(found) == channels > 1  # (C, *size)
    shape = found.shape[1:] if is_stacked else found.shape
    if size is not None and _numbers(size, other) not in (shape, (shape[0],) if len(set(shape)) == 1 else shape):
        fix = f"leave {other} out: the numbers have their size"
        raise SettingsError(f"{_times(shape)} numbers, but {other} {size}", where=where, fix=fix)
    return found, "x".join(map(str, shape))


def _numbers(text: str, where: str, least: int = 1) -> Shape:
    if not re.fullmatch(r"[0-9]{1,9}(x[0-9]{1,9})*", text.lower()):
        raise SettingsError(f"{text!r} is no size", where=where, fix="write whole numbers, e.g. 3 or 3x5")
    found = tuple(int(part) for part in text.lower().split("x"))
    if min(found) < least or max(found) > MAX_NUMBER:
        raise SettingsError(f"{text} is out of range", where=where, fix=f"give {least} to {MAX_NUMBER:,}")
    return found


def _single(numbers: Shape) -> int | Shape:
    return numbers[0] if len(numbers) == 1 else numbers


def _count(value: int | None, usual: int, where: str) -> int:
    found = usual if value is None else value
    if not 1 <= found <= MAX_NUMBER:
        raise SettingsError(f"{found} is out of range", where=where, fix=f"give 1 to {MAX_NUMBER:,}")
    return found


def render(document: dict[str, Any]) -> str:
    """Return the document of `Layer.explain` as text for a person."""
    parts = [_head(document), _sizes(document), _example(document), _parameters(document), _contributors(document)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _times(numbers: Any) -> str:
    return " x ".join(str(number) for number in numbers)


def _head(document: dict[str, Any]) -> list[str]:
    made, given = document["output"], document["input"]
    sides = [f"{_times(one['size'])} ({one['channels']:,} {_channels(one['channels'])})" for one in (given, made)]
    settings = document["settings"]
    pads = [str(first) if first == last else f"{first} and {last}" for first, last in settings["padding"]]
    words = [f"{name} {_axes(settings[name])}" for name in ("kernel", "stride")] + [f"padding {_axes(pads)}"]
    words += [f"dilation {_axes(settings['dilation'])}"]
    words += [f"output padding {_axes(settings['output_padding'])}"] if "output_padding" in settings else []
    words += [f"groups {settings['groups']}"] if settings.get("groups", 1) > 1 else []
    names = {"conv": "convolution", "transposed": "transposed convolution", "unpool": "unpooling", "pool": ""}
    name = names[document["kind"]] or {"max": "max pooling", "avg": "average pooling"}[settings["mode"]]
    return [f"{name}: {sides[0]} -> {sides[1]}", ", ".join(words), document["code"]]


def _channels(count: int) -> str:
    return "channel" if count == 1 else "channels"


def _axes(numbers: Any) -> str:
    return str(numbers[0]) if len(set(map(str, numbers))) == 1 else " x ".join(map(str, numbers))


def _sizes(document: dict[str, Any]) -> list[str]:
    texts = document["sizes"]
    if len(set(texts)) == 1:
        return ["size", f"  {document['formula']}", f"  {texts[0]}" + ("  (each axis)" if len(texts) > 1 else "")]
    return ["size", f"  {document['formula']}", *(f"  {text}  (axis {axis})" for axis, text in enumerate(texts))]


def _example(document: dict[str, Any]) -> list[str]:
    example = document["example"]
    if example is None:
        return ["values", "  too many to read: give a smaller --input, --kernel or --channels to see them worked"]
    lines = [f"values: the input is {example['input_name']}"]
    if "kernel" in example:
        lines.append(f"  the kernel is {example['kernel_name']}; it is not flipped, and the bias is 0")
    if document["input"]["channels"] > len(example["input"]):
        lines.append("  one channel is shown" if "kernel" not in example else "  the channels of one group are shown")
    names = ("before", "input", "kernel", "positions", "output", "nearest")
    titles = {"before": "before pooling", "nearest": "unpooled by nearest", "positions": "index of the maximum"}
    blocks = [(titles.get(name, name), np.asarray(example[name])) for name in names if name in example]
    lines += ["", *_beside([_block(title, part) for name, grid in blocks for title, part in _slices(name, grid)])]
    return lines + (["", *_worked(document)] if "place" in example else [])


def _slices(title: str, grid: Grid) -> list[tuple[str, Grid]]:
    """Planes of at most two axes, each with its index."""
    leading = grid.shape[: max(0, grid.ndim - 2)] if grid.ndim != 2 or grid.shape[0] > 1 else ()
    planes = []
    for at in np.ndindex(leading):
        index = ", ".join(map(str, at))
        planes.append((f"{title} [{index}]" if np.prod(leading) > 1 else title, np.atleast_2d(grid[at])))
    return planes


def _block(title: str, grid: Grid) -> list[str]:
    texts = [[_number(value) for value in row] for row in grid]
    width = max(len(text) for row in texts for text in row)
    rows = [" ".join(f"{text:>{width}}" for text in row) for row in texts]
    side = max(len(title), *(len(row) for row in rows))
    return [line.ljust(side) for line in (title, *rows)]


def _number(value: float) -> str:
    return f"{value:.4g}" if float(value) != int(value) else str(int(value))


def _beside(blocks: list[list[str]]) -> list[str]:
    """Blocks side by side, in as many rows of them as the page needs."""
    rows: list[list[list[str]]] = [[]]
    for block in blocks:
        if rows[-1] and sum(len(one[0]) + 3 for one in rows[-1]) + len(block[0]) > PAGE_CHARS:
            rows.append([])
        rows[-1].append(block)
    lines = []
    for row in rows:
        height = max(len(block) for block in row)
        full = [block + [" " * len(block[0])] * (height - len(block)) for block in row]
        lines += ["", *(f"  {'   '.join(parts)}".rstrip() for parts in zip(*full, strict=True))]
    return lines[1:]


def _worked(document: dict[str, Any]) -> list[str]:
    """The sum behind one output, spelled out."""
    example, mode = document["example"], document["settings"].get("mode")
    place = tuple(example["place"])
    head = f"  output ({', '.join(map(str, place))}) = {_number(np.asarray(example['output'])[place])}"
    if mode:
        numbers = [_number(value) for value in example["under"]]
        mean = f"({' + '.join(numbers)}) / {example['divisor']}"
        return [f"{head} = {mean}" if mode == "avg" else f"{head}, the largest of {', '.join(numbers)}"]
    products = [_product(term) for term in example["terms"]]
    step = document["settings"]["kernel"][-1] if document["kind"] == "conv" else 4
    rows = [" + ".join(products[at : at + step]) for at in range(0, len(products), step)]
    lines = [f"{head}, the sum of {plural(len(products), 'product')} input * kernel:"]
    return lines + [f"    {'+ ' if at else '  '}{row}" for at, row in enumerate(rows)]


def _product(term: dict[str, Any]) -> str:
    value = "pad" if term["position"] is None else _number(term["value"])
    weight = _number(term["weight"])
    return f"{value}*({weight})" if weight.startswith("-") else f"{value}*{weight}"


def _parameters(document: dict[str, Any]) -> list[str]:
    if document["parameters"] is None:
        return []
    texts = {
        "shared": "shared: one kernel for all places",
        "unshared": "unshared: a kernel for each place",
        "dense": "dense: every input to every output",
    }
    rows: list[tuple[str, ...]] = [("parameters", "weights", "biases", "total")]
    for name, count in document["parameters"].items():
        rows.append((f"  {texts[name]}", *(f"{count[part]:,}" for part in ("weights", "biases", "total"))))
    first, *others = (max(len(cell) for cell in column) for column in zip(*rows, strict=True))
    return [
        f"{row[0]:<{first}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], others, strict=True))
        for row in rows
    ]


def _contributors(document: dict[str, Any]) -> list[str]:
    found, kernel = document["contributors"], document["settings"]["kernel"]
    places = _times(kernel) if len(kernel) > 1 else str(kernel[0])
    if document["kind"] == "unpool":
        return ["contributors", f"  each input returns to one of {found['taps']:,} outputs: {places}"]
    is_up = document["kind"] == "transposed"
    own, other = ("output", "input") if is_up else ("input", "output")
    many = f" in {found['channels']:,} channels" if found["channels"] > 1 and not is_up else ""
    count = found["taps"] * (1 if is_up else found["channels"])
    takes = f"  each {other} {'feeds' if is_up else 'takes'} {plural(count, own)}"
    shared = _axes([f"{count} of {taps}" for count, taps in zip(found["shared_taps"], kernel, strict=True)])
    pads = ", padding included" if any(map(sum, document["settings"]["padding"])) else ""
    lines = ["contributors", f"{takes}{pads}: {places}{many}"]
    lines.append(f"  neighbouring windows share {shared} taps along {'each' if len(kernel) > 1 else 'the'} axis")
    if found["along_axes"] is None:
        return lines
    least, most = found["least"], found["most"]
    span = f"{least} {other}" if least == most else f"{least} to {most} {other}"
    lines.append(f"  each {own} {'takes' if is_up else 'feeds'} {span}{'s' if most != 1 else ''} of one channel")
    unused = [f"{count:,} on axis {axis}" for axis, count in enumerate(found["without"]) if count]
    lines += [f"  {'empty outputs' if is_up else 'unused inputs'}: {', '.join(unused)}"] if unused else []
    if found["is_uneven"]:
        lines.append("  windows overlap unevenly, also away from the border: a checkerboard")
    if document["example"] is not None and len(kernel) <= 2 and least != most:
        grid = found["along_axes"][0] if len(kernel) == 1 else np.outer(*found["along_axes"])
        lines += ["", *_beside([_block(found["counts"], np.atleast_2d(np.asarray(grid)))])]
    return lines
