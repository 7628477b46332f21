"""Draw, then apply: a pipeline turns one row of random numbers an image into one affine and one colour matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from striate.base.choose import choose
from striate.base.seeds import rng_for

from .colour import Brightness, Colour, Contrast, Hue, Saturation, compose, mean_grey, unchanged
from .erase import Erase
from .geometric import Crop, Draws, Flip, Geometric, Matrices, Rotate, Shear, Shift, Zoom

Op = Annotated[
    Flip | Rotate | Shift | Zoom | Shear | Crop | Brightness | Contrast | Saturation | Hue | Erase,
    Field(discriminator="kind"),
]

STRENGTHS: dict[str, tuple[Op, ...]] = {
    "none": (),
    "light": (Flip(), Shift(max_frac=0.06)),
    "medium": (
        Flip(),
        Rotate(max_deg=12),
        Shift(max_frac=0.1),
        Zoom(min=0.85, max=1.25),
        Brightness(amount=0.2),
        Contrast(amount=0.2),
        Saturation(amount=0.2),
    ),
    "strong": (
        Flip(),
        Rotate(max_deg=20),
        Shear(max_deg=8),
        Crop(scale=(0.35, 1.0)),
        Brightness(amount=0.35),
        Contrast(amount=0.35),
        Saturation(amount=0.35),
        Hue(max_deg=15),
        Erase(p=0.5),
    ),
}


@dataclass(frozen=True)
class Plan:
    """What happens to each picture of a batch.

    Args:
        affine: (B, 2, 3) from output to input coordinates, in pixels with integers at pixel CENTRES.
        in_px: side of the input squares.
        out_px: side of the output squares.
        colour: (B, 3, 4) maps of RGB levels, or None for unchanged colours.
        erase: (num_boxes, B, 4) xyxy output pixels to blank, or None.
    """

    affine: Matrices
    in_px: int
    out_px: int
    colour: Matrices | None = None
    erase: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.affine)

    @property
    def is_copy(self) -> npt.NDArray[np.bool_]:
        """(B,) true where no pixel moves, so the picture must come out exact, not interpolated."""
        still = (self.affine == np.eye(2, 3)).all(axis=(1, 2))
        return still & (self.in_px == self.out_px)


class Pipeline:
    """A list of operations, applied as one interpolation, one colour map and the erased boxes.

    Geometric operations act in the order given; so do colour operations; erasing comes last. Pixels from beyond the
    border are the picture mirrored at its edge. The empty pipeline is the evaluation view.

    Example:
        >>> Pipeline(STRENGTHS["light"])
        Pipeline(flip(horizontal=0.5, vertical=0.0), shift(max_frac=0.06))
    """

    def __init__(self, ops: Sequence[Op] = ()) -> None:
        self.ops = tuple(ops)

    @classmethod
    def named(cls, strength: str) -> "Pipeline":
        """Return a named strength: none, light, medium, strong.

        Raises:
            SettingsError: there is no such strength.
        """
        return cls(choose("augmentation", strength, STRENGTHS))

    def __repr__(self) -> str:
        return f"Pipeline({', '.join(map(_text, self.ops))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.ops == other.ops

    def __hash__(self) -> int:
        return hash(self.ops)

    def draw(self, num_samples: int, seed: int, epoch: int) -> Draws:
        """Return the epoch's table of uniform numbers, one row a sample.

        Each operation has its own stream, so a row depends on seed, epoch, sample and place in the list only: neither
        on batch size and order nor on operations added behind.
        """
        columns = [
            rng_for(seed, "augment", epoch, place).random((num_samples, op.num_draws), np.float32)
            for place, op in enumerate(self.ops)
        ]
        return np.concatenate(columns, axis=1) if columns else np.empty((num_samples, 0), np.float32)

    def matrices(self, draws: Draws, in_px: int, out_px: int, means: npt.NDArray[np.floating]) -> Plan:
        """Return what these rows of the table do.

        Args:
            draws: (B, D) rows of `draw`.
            in_px: side of the stored squares.
            out_px: side of the squares to make.
            means: (B, C) mean level 0..255 of each stored picture and channel, the pivot of contrast.
        """
        move, colour, boxes, start = np.tile(np.eye(3), (len(draws), 1, 1)), unchanged(len(draws)), [], 0
        for op in self.ops:
            part, start = draws[:, start : start + op.num_draws], start + op.num_draws
            if isinstance(op, Geometric):
                move = move @ op.matrices(part)
            elif isinstance(op, Colour):
                colour = compose(colour, op.matrices(part, mean_grey(colour, means)))
            else:
                boxes.append(op.boxes(part, out_px))
        is_coloured = any(isinstance(op, Colour) for op in self.ops)
        erase = np.stack(boxes) if boxes else None
        return Plan(_in_pixels(move, in_px, out_px), in_px, out_px, colour if is_coloured else None, erase)


def _in_pixels(move: Matrices, in_px: int, out_px: int) -> Matrices:
    """From half-side units about the centre to pixels with integers at pixel centres; identity stays exact."""
    linear = move[:, :2, :2] * (in_px / out_px)
    offset = move[:, :2, 2] * (in_px / 2) + (in_px - 1) / 2 - linear.sum(2) * ((out_px - 1) / 2)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def _text(op: Op) -> str:
    return f"{op.kind}({', '.join(f'{name}={value}' for name, value in op if name != 'kind')})"
