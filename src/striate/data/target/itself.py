"""Every image as its own target: nothing has to be known of it, so any folder of images will do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

from .target import Indices, Target

if TYPE_CHECKING:
    import torch

    from ..augment.plan import Plan
    from .place import Place

NAME = "image"  # of the target in a dataset


@dataclass(frozen=True)
class Itself(Target):
    """The image itself, as it comes from augmentation; a task spoils what the network gets, and wants this back.

    A batch is the batch's own pixels, normalised: the loader has them already, so nothing is read or moved twice.

    Args:
        num: how many images there are.
    """

    num: int
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "itself"
    noun: ClassVar[tuple[str, str]] = ("image", "images")
    tasks: ClassVar[tuple[str, ...]] = ("denoise", "superresolve", "inpaint", "colourise", "reconstruct")
    is_input: ClassVar[bool] = True

    def __len__(self) -> int:
        return self.num

    def take(self, indices: Indices) -> Self:
        """Return the target of some images."""
        return replace(self, num=len(indices))

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield nothing: a fingerprint has the images."""
        yield from ()

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> "torch.Tensor":
        """Refuse: the loader gives the batch's own pixels."""
        raise AssertionError("an image that is its own target is the batch's own pixels")
