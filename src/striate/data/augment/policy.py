"""Policies: operations that draw, for each image, which operations it gets and how strongly."""

from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from .colour import Brightness, Contrast, Saturation
from .geometric import Rotate, Shear, Shift
from .operation import Draws, Operation
from .quality import Sharpness
from .tone import Autocontrast, Equalise, Posterise, Solarise

MAX_OPS = 8
# An operation at its widest, and what each of its draws is: "~" a signed magnitude about 1/2, "+" one from 0, "." 1/2
Choice: TypeAlias = tuple[Operation | None, str]
Part: TypeAlias = tuple[Operation, Draws, npt.NDArray[np.bool_]]


def _choices(slope: float, shift: float, angle: float, colour: float, min_bits: int) -> tuple[Choice, ...]:
    shear = Shear(max_deg=float(np.rad2deg(np.arctan(slope))))
    return (
        (None, ""),
        (shear, "~."),
        (shear, ".~"),
        (Shift(max_frac=shift), "~."),
        (Shift(max_frac=shift), ".~"),
        (Rotate(max_deg=angle), "~"),
        (Brightness(amount=colour), "~"),
        (Saturation(amount=colour), "~"),
        (Contrast(amount=colour), "~"),
        (Sharpness(amount=colour), "~"),
        (Posterise(min_bits=min_bits, p=1), ".+"),
        (Solarise(min_level=0, p=1), ".+"),
        (Autocontrast(p=1), "."),
        (Equalise(p=1), "."),
    )


class Policy(Operation):
    """An operation made of others."""

    choices: ClassVar[tuple[Choice, ...]]

    def parts(self, draws: Draws) -> Iterator[Part]:
        """Yield (operation, its draws, (B,) who gets it) for the draws of a batch."""
        raise NotImplementedError

    def pick(self, which: Draws, is_negative: npt.NDArray[np.bool_], magnitude: Draws) -> Iterator[Part]:
        """Yield the choice that `which` (B,) in 0..1 falls on, at a magnitude (B,) in 0..1 and with a sign."""
        chosen = (which * len(self.choices)).astype(int)
        signed = (0.5 + np.where(is_negative, -0.5, 0.5) * magnitude).astype(np.float32)
        columns = {"~": signed, "+": magnitude.astype(np.float32), ".": np.full(len(which), 0.5, np.float32)}
        for number, (op, pattern) in enumerate(self.choices):
            if op is not None and (chosen == number).any():
                yield op, np.stack([columns[sign] for sign in pattern], axis=1), chosen == number


class RandAugment(Policy):
    """`n` operations, each drawn for each image from 14 and applied at magnitude `m` of 30 with a random sign.

    The 14 are: nothing, shear and shift along x and y, rotation, brightness, saturation, contrast, sharpness,
    posterise, solarise, autocontrast, equalise, with torchvision's ranges. Tones act first, then geometry, colours and
    sharpness, whatever the order of the draw; shearing is about the centre and uncovers the mirrored image.

    Reference: Cubuk et al., RandAugment, 2019.
    """

    kind: Literal["randaugment"] = "randaugment"
    n: int = Field(2, ge=1, le=MAX_OPS)
    m: float = Field(9, ge=0, le=30)
    num_draws: ClassVar[int] = 2 * MAX_OPS
    choices: ClassVar[tuple[Choice, ...]] = _choices(slope=0.3, shift=150 / 331, angle=30, colour=0.9, min_bits=4)

    def parts(self, draws: Draws) -> Iterator[Part]:
        """See `Policy.parts`."""
        magnitude = np.full(len(draws), self.m / 30, np.float32)
        for number in range(self.n):
            yield from self.pick(draws[:, 2 * number], draws[:, 2 * number + 1] < 0.5, magnitude)


class TrivialAugment(Policy):
    """One operation, drawn for each image from RandAugment's 14, at one of 31 magnitudes up to a wide range.

    The ranges are torchvision's `TrivialAugmentWide`; its shift of 32 px is 1/7 of the side, as at 224 px.

    Reference: Müller and Hutter, TrivialAugment, 2021.
    """

    kind: Literal["trivialaugment"] = "trivialaugment"
    num_draws: ClassVar[int] = 3
    choices: ClassVar[tuple[Choice, ...]] = _choices(slope=0.99, shift=32 / 224, angle=135, colour=0.99, min_bits=2)

    def parts(self, draws: Draws) -> Iterator[Part]:
        """See `Policy.parts`."""
        yield from self.pick(draws[:, 0], draws[:, 1] < 0.5, (np.floor(draws[:, 2] * 31) / 30).astype(np.float32))
