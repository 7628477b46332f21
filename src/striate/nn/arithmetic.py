"""Convolution arithmetic: sizes, who feeds whom, formulas and parameter counts, from whole numbers alone.

A `Window` slides along one axis; a convolution, transposed convolution or pooling has one for each axis, so the same
functions serve 1-D, 2-D and 3-D. The numbers themselves are worked in `arithmetic_values`.

Letters: i input length, k kernel, s stride, p padding at each end, d dilation, a output padding.

Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285 (2016).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

from striate.base.errors import SettingsError

Shape = tuple[int, ...]
Each = int | Sequence[int]  # one number for all axes, or one for each


@dataclass(frozen=True)
class Window:
    """A window that slides along one axis.

    Args:
        kernel: taps, 1 or more.
        stride: inputs from one place of the window to the next, 1 or more.
        before: padding in front of the first input, 0 or more.
        after: padding behind the last input, 0 or more.
        dilation: inputs from one tap to the next, 1 or more.

    Raises:
        SettingsError: a number is out of its range.

    Example:
        >>> Window(3, stride=2, before=1, after=1).taps(0)
        range(-1, 2)
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("dilation", 1), ("before", 0), ("after", 0)):
            value = getattr(self, name)
            if value < least:
                field = name if least else "padding"
                raise SettingsError(f"{field} is {value}", where=field, fix=f"give {least} or more")

    @property
    def reach(self) -> int:
        """Inputs from the first tap to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padding(self) -> int:
        """Padding at both ends together."""
        return self.before + self.after

    def taps(self, position: int) -> range:
        """Return the inputs under the window at an output position; those outside the input are padding."""
        first = position * self.stride - self.before
        return range(first, first + self.reach, self.dilation)


Windows = tuple[Window, ...]


def windows(
    size: Sequence[int], kernel: Each, *, stride: Each = 1, padding: Each | str = 0, dilation: Each = 1
) -> Windows:
    """Return a window for each axis of an input of `size`.

    Args:
        padding: numbers, "valid" (none) or "same": ceil(i / s) outputs. Where the padding is odd, its larger half
            lies behind the input. With stride 1 this is PyTorch's "same", with other strides (which PyTorch
            refuses) TensorFlow's.

    Raises:
        SettingsError: a number is out of range, or there are more or fewer numbers than axes.

    Example:
        >>> windows((5, 5), 3, padding="same")[0]
        Window(kernel=3, stride=1, before=1, after=1, dilation=1)
    """
    if isinstance(padding, str) and padding not in {"same", "valid"}:
        raise SettingsError(f"padding {padding!r}", where="padding", fix='give numbers, "same" or "valid"')
    axes = len(size)
    rows = zip(
        size,
        each(kernel, axes, "kernel"),
        each(stride, axes, "stride"),
        each(0 if isinstance(padding, str) else padding, axes, "padding"),
        each(dilation, axes, "dilation"),
        strict=True,
    )
    made = [(length, Window(k, s, p, p, d)) for length, k, s, p, d in rows]
    return tuple(_same(length, window) if padding == "same" else window for length, window in made)


def each(value: Each, axes: int, name: str) -> Shape:
    """Return one number for each axis.

    Raises:
        SettingsError: there are more or fewer numbers than axes.

    Example:
        >>> each(3, 2, "kernel"), each((1, 2), 2, "stride")
        ((3, 3), (1, 2))
    """
    found = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(found) != axes:
        what = f"{name} has {len(found)} numbers, the input has {axes} axes"
        raise SettingsError(what, where=name, fix=f"give one number, or {axes}")
    return found


def _same(length: int, window: Window) -> Window:
    count = -(-length // window.stride)
    total = max(0, (count - 1) * window.stride + window.reach - length)
    return Window(window.kernel, window.stride, total // 2, total - total // 2, window.dilation)


def conv_size(size: Sequence[int], windows: Windows) -> Shape:
    """Return the output size of a convolution: floor((i + 2p - d(k - 1) - 1) / s) + 1 along each axis.

    Raises:
        SettingsError: the input is empty, or the kernel is larger than the padded input.

    Example:
        >>> conv_size((227, 227), windows((227, 227), 11, stride=4))
        (55, 55)

    Reference: Dumoulin and Visin, relationships 6 and 15.
    """
    return tuple(_steps(axis, length, window) + 1 for axis, length, window in _axes(size, windows))


def transposed_size(size: Sequence[int], windows: Windows, output_padding: Each = 0) -> Shape:
    """Return the output size of a transposed convolution: (i - 1)s - 2p + d(k - 1) + a + 1 along each axis.

    Raises:
        SettingsError: nothing is left after the padding is cut off, or the output padding is neither smaller than the
            stride nor than the dilation.

    Example:
        >>> transposed_size((3, 3), windows((3, 3), 3, stride=2, padding=1), output_padding=1)
        (6, 6)

    Reference: Dumoulin and Visin, relationship 14.
    """
    extra = each(output_padding, len(size), "output_padding")
    found = []
    for axis, length, window in _axes(size, windows):
        limit = max(window.stride, window.dilation)
        if not 0 <= extra[axis] < limit:
            what = f"output padding {extra[axis]} is not below {limit}, the larger of stride and dilation"
            raise SettingsError(what, where=f"axis {axis}", fix=f"give 0 to {limit - 1}")
        whole = (length - 1) * window.stride + window.reach + extra[axis]
        if whole <= window.padding:
            what = f"padding {window.padding} (both ends) cuts off all {whole} outputs"
            raise SettingsError(what, where=f"axis {axis}: input {length}", fix="give less padding or a larger kernel")
        found.append(whole - window.padding)
    return tuple(found)


def pool_size(size: Sequence[int], windows: Windows, *, ceil: bool = False) -> Shape:
    """Return the output size of pooling: as `conv_size`; with `ceil` a last window that is partly outside counts too.

    A last window that would start behind the input (in the padding there) never counts.

    Raises:
        SettingsError: the kernel is larger than the padded input (with `ceil`, by a stride or more), or the padding
            is larger than half the kernel.

    Example:
        >>> pool_size((6,), windows((6,), 3, stride=2)), pool_size((6,), windows((6,), 3, stride=2), ceil=True)
        ((2,), (3,))

    Reference: Dumoulin and Visin, relationship 7.
    """
    found = []
    for axis, length, window in _axes(size, windows):
        padding, half = max(window.before, window.after), window.kernel // 2
        if padding > half:
            what = f"padding {padding} is more than half the pooling kernel {window.kernel}"
            raise SettingsError(what, where=f"axis {axis}: input {length}", fix=f"give padding of at most {half}")
        steps = _steps(axis, length, window, ceil)
        found.append(steps + 1 - _starts_behind(length, window, steps))
    return tuple(found)


def unpool_size(size: Sequence[int], windows: Windows) -> Shape:
    """Return the output size of unpooling: (i - 1)s - 2p + k along each axis, the smallest that pools to the input.

    Raises:
        SettingsError: nothing is left after the padding is cut off.

    Example:
        >>> unpool_size((2, 3), windows((2, 3), 2, stride=2))
        (4, 6)
    """
    if any(window.dilation > 1 for window in windows):
        raise SettingsError("unpooling has no dilation", where="dilation", fix="give 1")
    return transposed_size(size, windows)


def _axes(size: Sequence[int], windows: Windows) -> list[tuple[int, int, Window]]:
    if min(size, default=0) < 1:
        raise SettingsError(f"input {'x'.join(map(str, size))}", where="input", fix="give lengths of 1 or more")
    return [(axis, length, window) for axis, (length, window) in enumerate(zip(size, windows, strict=True))]


def _steps(axis: int, length: int, window: Window, ceil: bool = False) -> int:
    room = length + window.padding - window.reach
    steps = -(-room // window.stride) if ceil else room // window.stride
    if steps < 0:
        spans = f" with dilation {window.dilation} spans {window.reach} and" if window.dilation > 1 else ""
        what = f"kernel {window.kernel}{spans} is larger than the padded input of {length + window.padding}"
        where = f"axis {axis}: input {length}, padding {window.before} and {window.after}"
        raise SettingsError(what, where=where, fix=f"give a smaller kernel or {-room} more padding")
    return steps


def _starts_behind(length: int, window: Window, steps: int) -> bool:
    return steps * window.stride >= length + window.before


def check_groups(channels: int, outputs: int, groups: int) -> None:
    """Refuse channel counts that `groups` does not divide.

    Raises:
        SettingsError: a count is below 1, or groups does not divide the input channels or the output channels.
    """
    if min(channels, outputs, groups) < 1:
        what = f"{channels} channels, {outputs} outputs, {groups} groups"
        raise SettingsError(what, where="channels, outputs, groups", fix="give 1 or more of each")
    for name, count in (("channels", channels), ("outputs", outputs)):
        if count % groups:
            divisors = [str(number) for number in range(1, min(count, groups) + 1) if not count % number][-3:]
            fix = f"give groups that divide it: {' or '.join(divisors)}"
            raise SettingsError(f"groups {groups} does not divide {name} {count}", where="groups", fix=fix)


def contributors(position: Sequence[int], size: Sequence[int], windows: Windows) -> list[Shape]:
    """Return the inputs that one output of a convolution or pooling takes, without those in the padding.

    Args:
        position: the output's.
        size: of the input.

    For a transposed convolution the roles are swapped: with the size of its output, these are the outputs that the
    input at `position` feeds.

    Example:
        >>> contributors((0, 1), (5, 5), windows((5, 5), 2, stride=2, padding=1))
        [(0, 1), (0, 2)]
    """
    axes = zip(position, size, windows, strict=True)
    return list(product(*([at for at in window.taps(place) if 0 <= at < length] for place, length, window in axes)))


def receivers(position: Sequence[int], size: Sequence[int], windows: Windows) -> list[Shape]:
    """Return the outputs of a convolution or pooling that one input feeds: the other direction of `contributors`.

    Args:
        position: the input's.
        size: of the output.

    For a transposed convolution, with the size of its input, these are the inputs that the output at `position` takes.

    Example:
        >>> receivers((2,), (3,), windows((5,), 3))
        [(0,), (1,), (2,)]
    """
    return list(product(*(_receivers(*axis) for axis in zip(position, size, windows, strict=True))))


def _receivers(place: int, count: int, window: Window) -> list[int]:
    last = (place + window.before) // window.stride
    first = -((window.reach - 1 - place - window.before) // window.stride)
    return [output for output in range(max(0, first), min(count - 1, last) + 1) if place in window.taps(output)]


def uses(length: int, count: int, window: Window) -> list[int]:
    """Return, for each of `length` inputs along one axis, how many of `count` outputs it feeds.

    In more dimensions a position's count is the product of its axes' counts. For a transposed convolution, with the
    length of its output and the count of its inputs, it is how many inputs overlap in each output.

    Example:
        >>> uses(5, 2, Window(3, stride=2)), uses(7, 3, Window(3, stride=2))
        ([1, 1, 2, 1, 1], [1, 1, 2, 1, 2, 1, 1])
    """
    return [len(_receivers(place, count, window)) for place in range(length)]


def receptive(layers: Iterable[Window]) -> Window:
    """Return the one window that sees what a stack of windows sees: its kernel is the receptive field.

    Example:
        >>> receptive([Window(3), Window(3)]).kernel     # two 3x3 layers see 5x5, not 9x9
        5
        >>> receptive([Window(7, stride=2), Window(3, stride=2), Window(3)])
        Window(kernel=19, stride=4, before=0, after=0, dilation=1)

    Reference: Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, Distill (2019).
    """
    seen = Window(1)
    for layer in layers:
        kernel, jump = seen.kernel + (layer.reach - 1) * seen.stride, seen.stride * layer.stride
        before, after = seen.before + layer.before * seen.stride, seen.after + layer.after * seen.stride
        seen = Window(kernel, jump, before, after)
    return seen


SYMBOLS = {
    "conv": "floor((i + 2p - d(k - 1) - 1) / s) + 1",
    "transposed": "(i - 1)s - 2p + d(k - 1) + a + 1",
    "pool": "floor((i + 2p - d(k - 1) - 1) / s) + 1",
    "unpool": "(i - 1)s - 2p + k",
}


def formula(kind: str, length: int, window: Window, *, output_padding: int = 0, ceil: bool = False) -> str:
    """Return the size formula along one axis with its numbers filled in.

    Args:
        kind: conv, transposed, pool or unpool.

    Raises:
        SettingsError: as the size functions.

    Example:
        >>> formula("conv", 5, Window(3, stride=2, before=1, after=1))
        'floor((5 + 2*1 - 1*(3 - 1) - 1) / 2) + 1 = 3'
        >>> formula("transposed", 3, Window(3, stride=2), output_padding=1)
        '(3 - 1)*2 - 2*0 + 1*(3 - 1) + 1 + 1 = 8'
    """
    i, k, s, d = length, window.kernel, window.stride, window.dilation
    p = f"2*{window.before}" if window.before == window.after else f"({window.before} + {window.after})"
    if kind == "unpool":
        return f"({i} - 1)*{s} - {p} + {k} = {unpool_size((i,), (window,))[0]}"
    if kind == "transposed":
        (size,) = transposed_size((i,), (window,), output_padding)
        return f"({i} - 1)*{s} - {p} + {d}*({k} - 1) + {output_padding} + 1 = {size}"
    (size,) = pool_size((i,), (window,), ceil=ceil) if kind == "pool" else conv_size((i,), (window,))
    text = f"{'ceil' if ceil else 'floor'}(({i} + {p} - {d}*({k} - 1) - 1) / {s}) + 1"
    if ceil and _starts_behind(i, window, _steps(0, i, window, ceil)):
        text += " - 1 (the last window would start behind the input)"
    return f"{text} = {size}"


class Count(NamedTuple):
    """Parameters of a layer."""

    weights: int
    biases: int

    @property
    def total(self) -> int:
        """Weights and biases together."""
        return self.weights + self.biases


def parameters(
    channels: int, outputs: int, windows: Windows, size: Shape, made: Shape, *, groups: int = 1, places: int = 0
) -> dict[str, Count]:
    """Return what a layer costs: `shared` (convolution), `unshared` (a kernel for each place), `dense` (all to all).

    Args:
        channels: of the input.
        outputs: channels of the output.
        size: of the input.
        made: size of the output.
        places: where the kernel is put down; by default once for each output position (a transposed convolution:
            once for each input position).

    Raises:
        SettingsError: groups does not divide the channels.

    Example:
        >>> cost = parameters(3, 96, windows((227, 227), 11, stride=4), (227, 227), (55, 55))
        >>> cost["shared"].total, cost["unshared"].total      # AlexNet's first layer
        (34944, 105705600)
    """
    check_groups(channels, outputs, groups)
    kernel = channels // groups * outputs * prod(window.kernel for window in windows)
    units = outputs * prod(made)
    return {
        "shared": Count(kernel, outputs),
        "unshared": Count(kernel * (places or prod(made)), units),
        "dense": Count(channels * prod(size) * units, units),
    }
