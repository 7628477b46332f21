"""What a task says of one image, for people: classes with probabilities, numbers, or a map."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .protocol import Decoded


@dataclass(frozen=True)
class Thing:
    """A thing in an image: its class, how sure the network is of it (0 to 1), and its box x0, y0, x1, y1.

    Where the network says more: `mask` (H, W) bool, which of the image's own pixels it covers, and `points`, x, y and
    score of each key point. A box in pixels of the network's view has the mask still as `cells` (C, C) in 0..1.
    """

    name: str
    score: float
    box: tuple[float, ...]
    mask: npt.NDArray[np.bool_] | None = None
    points: tuple[tuple[float, ...], ...] = ()
    cells: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Answer:
    """`names` are the classes given (one for classification, any number of tags), the numbers' fields or all classes
    of a map; `values` the numbers; `probabilities` maps every class to its probability; `map` (H, W) or (H, W, C) lies
    over what the network saw of the image; `box` is x0, y0, x1, y1 in shares of that; `things` are the objects found,
    their boxes in its pixels, None where none are looked for; `points` are x, y of each of `names` in shares of it."""

    names: tuple[str, ...]
    values: tuple[float, ...] = ()
    probabilities: dict[str, float] | None = None
    map: npt.NDArray[Any] | None = None
    box: tuple[float, ...] | None = None
    things: tuple[Thing, ...] | None = None
    points: tuple[tuple[float, ...], ...] = ()


def class_answers(names: Sequence[str], decoded: "Decoded") -> list[Answer]:
    """Return the classes given, by index (N,) or by flags (N, K), and all probabilities (N, K)."""
    assert decoded.probabilities is not None
    has_flags = decoded.values.ndim == 2
    return [
        Answer(tuple(compress(names, given)) if has_flags else (names[given],), (), dict(zip(names, row, strict=True)))
        for given, row in zip(decoded.values.tolist(), decoded.probabilities.tolist(), strict=True)
    ]


def number_answers(names: Sequence[str], decoded: "Decoded") -> list[Answer]:
    """Return the numbers (N, D) of the fields."""
    return [Answer(tuple(names), tuple(row)) for row in decoded.values.tolist()]


def map_answers(names: Sequence[str], decoded: "Decoded") -> list[Answer]:
    """Return maps of classes (N, H, W), or of numbers (N, C, H, W), whose channels come last in the answer."""
    maps = decoded.values.cpu().numpy()
    return [Answer(tuple(names), map=one if one.ndim == 2 else np.moveaxis(one, 0, -1)) for one in maps]
