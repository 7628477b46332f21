"""Which operations suit images: colours ask for one or three channels, whole levels for eight bits."""

from collections.abc import Sequence

from striate.base.errors import SettingsError
from striate.base.text import listed

from .colour import Grey, Hue, Saturation
from .jpeg import Jpeg
from .operation import Operation
from .pipeline import Op
from .policy import Policy
from .tone import Tone

OF_COLOURS = (Saturation, Hue, Grey, Jpeg, Policy)
OF_EIGHT_BITS = (Tone, Jpeg, Policy)


def why_not(op: Operation, channels: int, depth: int) -> str:
    """Return what an operation asks of images that these do not have; "" where it suits them.

    Example:
        >>> why_not(Hue(), 4, 8), why_not(Hue(), 3, 16)
        ('needs grey or RGB images', '')
    """
    if channels not in (1, 3) and isinstance(op, OF_COLOURS):
        return "needs grey or RGB images"
    return "needs images of 8 bits" if depth != 8 and isinstance(op, OF_EIGHT_BITS) else ""


def suiting(ops: Sequence[Op], channels: int, depth: int) -> tuple[Op, ...]:
    """Return the operations that suit images of so many channels and bits, in their order."""
    return tuple(op for op in ops if not why_not(op, channels, depth))


def refuse_unsuited(ops: Sequence[Op], channels: int, depth: int) -> None:
    """Raise if an operation does not suit images of so many channels and bits.

    Raises:
        SettingsError: the message names the operations.
    """
    odd = [op for op in ops if why_not(op, channels, depth)]
    if odd:
        what = f"{odd[0].kind} {why_not(odd[0], channels, depth)}; these have {channels} channels of {depth} bits"
        raise SettingsError(what, where="augment", fix=f"leave out {listed([op.kind for op in odd])}")
