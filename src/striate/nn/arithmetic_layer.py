"""A convolution, transposed convolution, pooling or unpooling layer explained: sizes, formulas, costs, an example.

Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285 (2016).
"""

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from striate.base.choose import choose
from striate.base.errors import SettingsError

from . import arithmetic_values as values
from .arithmetic import (
    SYMBOLS,
    Shape,
    Window,
    Windows,
    check_groups,
    contributors,
    conv_size,
    formula,
    parameters,
    pool_size,
    transposed_size,
    unpool_size,
    uses,
)

KINDS = ("conv", "transposed", "pool", "unpool")
VOLUME = 3  # axes
MAX_EXAMPLE = {"numbers": 144, "channels": 3, "taps": 64}  # what still reads well on a page
MAX_COUNTED = 1_000_000  # taps along an axis that are counted one by one

OWN = "your own"  # numbers that were given
SOBEL_X = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
DIFFERENCE = np.array([-1.0, 0, 1])


@dataclass(frozen=True)
class Layer:
    """One layer of convolution arithmetic.

    Args:
        kind: conv, transposed, pool or unpool.
        size: of the input.
        windows: one for each axis.
        channels: of the input.
        outputs: channels of the output; pooling keeps the input's.
        mode: max or avg, for pool.
        ceil: whether a last pooling window that is partly outside counts.
        count_padding: whether padded zeros count in a mean.
        image: the example's own input, (*size) or (C, *size); by default numbers are made up.
        weights: the example's own kernel, (*kernel).

    Raises:
        SettingsError: settings that cannot work.

    Example:
        >>> from .arithmetic import windows
        >>> Layer("conv", (5, 5), windows((5, 5), 3, stride=2, padding=1)).made
        (3, 3)
    """

    kind: str
    size: Shape
    windows: Windows
    channels: int = 1
    outputs: int = 1
    groups: int = 1
    output_padding: Shape | None = None
    mode: str = "max"
    ceil: bool = False
    count_padding: bool = True
    image: values.Array | None = field(default=None, compare=False)
    weights: values.Array | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        choose("layer", self.kind, dict.fromkeys(KINDS))
        choose("pooling", self.mode, dict.fromkeys(("max", "avg")))
        if self.mode == "avg" and any(window.dilation > 1 for window in self.windows):
            raise SettingsError("average pooling has no dilation", where="dilation", fix="give 1, or pool the maximum")
        pairs = zip(self.size, self.windows, strict=True)
        if self.mode == "avg" and len(self.size) == VOLUME and any(size < one.kernel for size, one in pairs):
            what = "PyTorch averages no volume smaller than the kernel, with padding neither"
            raise SettingsError(what, where="kernel", fix="give a larger volume or a smaller kernel")
        if self.mode == "max" and not self.count_padding:
            what = "a maximum does not count padding; only a mean does"
            raise SettingsError(what, where="--no-count-padding", fix="leave it out, or add --mode avg")
        if self.kind != "conv" and any(one.before != one.after for one in self.windows):
            raise SettingsError(f"{self.kind} has no uneven padding", where="padding", fix="give numbers")
        check_groups(self.channels, self.outputs, self.groups)
        _ = self.made  # refuses sizes that do not fit

    @property
    def has_weights(self) -> bool:
        """Whether the layer learns."""
        return self.kind in {"conv", "transposed"}

    @property
    def extra(self) -> Shape:
        """Output padding along each axis."""
        return self.output_padding or (0,) * len(self.size)

    @property
    def made(self) -> Shape:
        """Size of the output."""
        if self.kind == "transposed":
            return transposed_size(self.size, self.windows, self.extra)
        if self.kind == "unpool":
            return unpool_size(self.size, self.windows)
        if self.kind == "pool":
            return pool_size(self.size, self.windows, ceil=self.ceil)
        return conv_size(self.size, self.windows)

    def explain(self) -> dict[str, Any]:
        """Return everything about the layer as a JSON-able document; `example` is None where it would not fit a page.

        Raises:
            SettingsError: the example cannot be worked (a pooling window holds padding only).
        """
        axes = zip(self.size, self.windows, self.extra, strict=True)
        return {
            "kind": self.kind,
            "input": {"channels": self.channels, "size": self.size},
            "output": {"channels": self.outputs if self.has_weights else self.channels, "size": self.made},
            "settings": self._settings(),
            "code": self.code(),
            "formula": SYMBOLS[self.kind].replace("floor", "ceil") if self.ceil else SYMBOLS[self.kind],
            "sizes": [formula(self.kind, i, one, output_padding=a, ceil=self.ceil) for i, one, a in axes],
            "parameters": self._parameters(),
            "contributors": self._contributors(),
            "example": self._example() if self._is_readable() else None,
        }

    def _settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "kernel": [one.kernel for one in self.windows],
            "stride": [one.stride for one in self.windows],
            "padding": [[one.before, one.after] for one in self.windows],
            "dilation": [one.dilation for one in self.windows],
        }
        if self.has_weights:
            found |= {"groups": self.groups}
        if self.kind == "transposed":
            found |= {"output_padding": self.extra}
        if self.kind == "pool":
            found |= {"mode": self.mode, "ceil": self.ceil, "count_padding": self.count_padding}
        return found

    def code(self) -> str:
        """Return the line of PyTorch that makes the layer; uneven padding is a layer of its own where it has to be."""
        if all(one.before == one.after for one in self.windows):
            return self._line([one.before for one in self.windows])
        totals = [one.dilation * (one.kernel - 1) for one in self.windows]
        pads = [(one.before, one.after) for one in self.windows]
        is_same = pads == [(total // 2, total - total // 2) for total in totals]
        if self.kind == "conv" and is_same and all(one.stride == 1 for one in self.windows):
            return self._line("'same'")
        sides = ", ".join(f"{before}, {after}" for before, after in reversed(pads))  # the last axis first
        layers = f"torch.nn.ZeroPad{len(self.size)}d(({sides})), {self._line([0] * len(self.size))}"
        return f"torch.nn.Sequential({layers})"

    def _line(self, padding: list[int] | str) -> str:
        names = {"conv": "Conv", "transposed": "ConvTranspose", "pool": f"{self.mode.title()}Pool"}
        words = [str(self.channels), str(self.outputs)] if self.has_weights else []
        stride = 1 if self.has_weights else [one.kernel for one in self.windows]
        parts = {
            "kernel_size": ([one.kernel for one in self.windows], None),
            "stride": ([one.stride for one in self.windows], stride),
            "padding": (padding, 0),
            "output_padding": (list(self.extra), 0),
            "dilation": ([one.dilation for one in self.windows], 1),
            "groups": (self.groups, 1),
            "ceil_mode": (self.ceil, False),
            "count_include_pad": (self.count_padding, True),
        }
        words += [f"{name}={_short(value)}" for name, (value, usual) in parts.items() if _short(value) != _short(usual)]
        return f"torch.nn.{names.get(self.kind, 'MaxUnpool')}{len(self.size)}d({', '.join(words)})"

    def _parameters(self) -> dict[str, Any] | None:
        if not self.has_weights:
            return None
        places = prod(self.size) if self.kind == "transposed" else 0
        cost = parameters(
            self.channels, self.outputs, self.windows, self.size, self.made, groups=self.groups, places=places
        )
        return {name: {**count._asdict(), "total": count.total} for name, count in cost.items()}

    def _contributors(self) -> dict[str, Any]:
        """How many numbers meet; a transposed convolution (or unpooling) is the other direction of a convolution."""
        is_up = self.kind in {"transposed", "unpool"}
        long, short = (self.made, self.size) if is_up else (self.size, self.made)
        axes = list(zip(long, short, self.windows, strict=True))
        most = max(length * window.kernel for length, _, window in axes)
        counted = [uses(*axis) for axis in axes] if most <= MAX_COUNTED else None
        return {
            "counts": "inputs of each output" if is_up else "outputs of each input",
            "taps": prod(one.kernel for one in self.windows),
            "channels": self.channels // self.groups if self.has_weights else 1,
            "shared_taps": [len(set(one.taps(0)) & set(one.taps(1))) for one in self.windows],
            "least": counted and prod(min(axis) for axis in counted),
            "most": counted and prod(max(axis) for axis in counted),
            "along_axes": counted,
            "without": counted and [axis.count(0) for axis in counted],
            "is_uneven": self.kind == "transposed" and any(_is_uneven(one) for one in self.windows),
        }

    def _is_readable(self) -> bool:
        channels = self.channels // self.groups if self.has_weights else 1
        return (
            max(prod(self.size), prod(self.made)) <= MAX_EXAMPLE["numbers"]
            and channels <= MAX_EXAMPLE["channels"]
            and prod(one.kernel for one in self.windows) <= MAX_EXAMPLE["taps"]
        )

    def _example(self) -> dict[str, Any]:
        work = {"conv": self._conv, "transposed": self._transposed, "pool": self._pool, "unpool": self._unpool}
        return work[self.kind]()

    def _image(self, channels: int) -> tuple[values.Array, str]:
        """The example's input (C, *size) of so many channels, and what it is."""
        if self.image is None:
            numbers = _numbers((channels, *self.size))
            return numbers, f"the numbers 1 to {numbers.size}"
        return np.broadcast_to(self.image, (channels, *self.size)).copy(), OWN

    def _conv(self) -> dict[str, Any]:
        image, image_name = self._image(self.channels // self.groups)
        kernel, name = _kernel(tuple(one.kernel for one in self.windows))
        kernel, name = (kernel, name) if self.weights is None else (self.weights, OWN)
        channels = len(image)
        weights = np.broadcast_to(kernel, (1, channels, *kernel.shape)).copy()
        result = values.conv(image, weights, self.windows)
        place = _middle(self.made)
        return {
            "input": image,
            "input_name": image_name,
            "kernel": weights[0],
            "kernel_name": name,
            "output": result[0],
            "place": place,
            "terms": _plain(values.terms(image, weights, self.windows, (0, *place))),
        }

    def _transposed(self) -> dict[str, Any]:
        image, image_name = self._image(self.channels // self.groups)
        kernel = _numbers(tuple(one.kernel for one in self.windows))
        name = f"the numbers 1 to {kernel.size}"
        kernel, name = (kernel, name) if self.weights is None else (self.weights, OWN)
        channels = len(image)
        weights = np.broadcast_to(kernel, (channels, 1, *kernel.shape)).copy()
        result = values.transposed(image, weights, self.windows, output_padding=self.extra)
        overlaps = [uses(*axis) for axis in zip(self.made, self.size, self.windows, strict=True)]
        place = tuple(axis.index(max(axis)) for axis in overlaps)
        return {
            "input": image,
            "input_name": image_name,
            "kernel": weights[:, 0],
            "kernel_name": name,
            "output": result[0],
            "place": place,
            "terms": _plain(values.transposed_terms(image, weights, self.windows, (0, *place))),
        }

    def _pool(self) -> dict[str, Any]:
        image, name = (_shuffled(self.size)[None], f"the numbers 1 to {prod(self.size)}, shuffled")
        if self.image is not None:
            image, name = self._image(1)
        example: dict[str, Any] = {"input": image, "input_name": name}
        if self.mode == "max":
            result, positions = values.max_pool(image, self.windows, ceil=self.ceil)
            example["positions"] = positions[0]
        else:
            result = values.avg_pool(image, self.windows, ceil=self.ceil, count_padding=self.count_padding)
        place = _middle(self.made)
        return {
            **example,
            "output": result[0],
            "place": place,
            "under": [image[0, *at] for at in contributors(place, self.size, self.windows)],
            "divisor": values.divisor(place, self.size, self.windows, count_padding=self.count_padding),
        }

    def _unpool(self) -> dict[str, Any]:
        before = _shuffled(self.made)[None]
        pooled, positions = values.max_pool(before, self.windows)
        nearest = values.unpool_nearest(pooled, [one.stride for one in self.windows])
        return {
            "before": before,
            "input": pooled,
            "input_name": f"the maxima of the numbers 1 to {before.size}, shuffled",
            "positions": positions[0],
            "output": values.unpool(pooled, positions, self.made)[0],
            "nearest": nearest[0],
        }


def _is_uneven(window: Window) -> bool:
    """Whether outputs of a transposed window take unequal numbers of inputs away from the border.

    Output i takes input j by tap t where i = j * stride + t * dilation, so as many as there are taps whose
    `t * dilation` leaves the rest i when divided by the stride.
    """
    taps = Counter(tap * window.dilation % window.stride for tap in range(window.kernel))
    return len({taps[rest] for rest in range(window.stride)}) > 1


def _numbers(shape: Shape) -> values.Array:
    return np.arange(1.0, prod(shape) + 1).reshape(shape)


def _shuffled(shape: Shape) -> values.Array:
    """The numbers 1 to n, so that maxima stand in changing corners; the same each time."""
    return 1.0 + np.random.default_rng(1).permutation(prod(shape)).reshape(shape).astype(np.float64)


def _kernel(shape: Shape) -> tuple[values.Array, str]:
    if shape == (3, 3):
        return SOBEL_X, "Sobel x: the slope from left to right"
    if shape == (3,):
        return DIFFERENCE, "the difference of the neighbours"
    return np.ones(shape), "ones: the sum of the inputs under it"


def _middle(size: Shape) -> Shape:
    return tuple(length // 2 for length in size)


def _plain(terms: list[values.Term]) -> list[dict[str, Any]]:
    return [term._asdict() for term in terms]


def _short(value: Any) -> str:
    """`3` for [3, 3] and `(3, 1)` for [3, 1]."""
    if isinstance(value, list):
        return str(value[0]) if len(set(value)) == 1 else str(tuple(value))
    return str(value)
