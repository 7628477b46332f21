"""What every target can do. A new kind is one file beside this one, with the methods that differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError, SettingsError
from striate.base.files import to_json

from ..sample import ImageU8
from ..split import assign

if TYPE_CHECKING:
    import torch

    from ..augment.mix import Mix
    from ..augment.objects import Objects
    from ..augment.plan import Plan
    from ..check.finding import Finding
    from ..geometry import Geometry
    from .place import Place
    from .ragged import Ragged

Indices = npt.NDArray[np.intp]
BLEND, PASTE, TILE = "blend", "paste", "tile"


class Target:
    """What is known of each of N images under one name.

    Everything that differs between kinds is a method here; code that handles targets calls it and never asks for the
    kind. The defaults are those of a kind without classes that can be neither mixed nor balanced.

    `kind` is the word in documents; `noun` how a message calls one and several; `tasks` who can predict it, by
    the names that `--task` takes; `mixes` the ways in which it can be mixed with another image's, of "blend" (mixup),
    "paste" (cutmix) and "tile" (mosaic); `is_exclusive` whether each image has exactly one of `classes`; `has_places`
    whether it names places in pixels of the original, so that images must be decoded at full size; `has_plane` whether
    it is itself an image, which a store keeps decoded beside the images; `untrue_after` the kinds of augmentation after
    which it may not be true any more, so that they are not chosen automatically; `is_input` whether it is a batch's own
    pixels; `mirrors` whether it stays true where an image goes on beyond its border as its mirror image; `is_ragged`
    whether images have different numbers of something, so that `batch` is no tensor.
    """

    kind: ClassVar[str]
    noun: ClassVar[tuple[str, str]]
    tasks: ClassVar[tuple[str, ...]] = ()
    mixes: ClassVar[frozenset[str]] = frozenset()
    is_exclusive: ClassVar[bool] = False
    has_places: ClassVar[bool] = False
    has_plane: ClassVar[bool] = False
    is_input: ClassVar[bool] = False
    is_ragged: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    untrue_after: ClassVar[frozenset[str]] = frozenset()
    names: tuple[str, ...]
    unit: str = ""

    def __len__(self) -> int:
        """Return N."""
        raise NotImplementedError

    def take(self, indices: Indices) -> Self:
        """Return the target of some images, in the order of `indices`."""
        raise NotImplementedError

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> "torch.Tensor | Ragged":
        """Return what is known of these images, on the CPU: moved and mixed as the plan does with the pixels.

        Args:
            indices: (B,) images of the batch.
            plan: what happens to them, from the store's pixels to the network's.
            place: where they lie in the store, and this target's own squares there if it `has_plane`.
        """
        raise NotImplementedError

    def objects(self, indices: Indices, place: "Place") -> "Objects | None":
        """Return the boxes of these images where they lie in the store, for crops that keep them; None without boxes.

        Args:
            indices, place: see `batch`.
        """
        return None

    def seen(self, indices: Indices, plan: "Plan", place: "Place") -> "Target | None":
        """Return what `batch` makes of these images as a target of what a network sees, to draw it; None by default."""
        return None

    def widened(self, batch: "Any") -> "Any":
        """Return what a task receives of what `batch` made, now on its device: what takes more bytes is made there."""
        return batch

    def square(self, index: int, geometry: "Geometry") -> ImageU8:
        """Return the pixels (S, S, C) of a target that `has_plane`, as the store keeps them.

        Raises:
            DataError: its file cannot be read.
        """
        raise NotImplementedError

    def own_map(self, index: int) -> npt.NDArray[Any] | None:
        """Return what is known of each of an image's own pixels (H, W), or of a multiple of them; None of nothing.

        Raises:
            DataError: its file cannot be read.
        """
        return None

    def stamp(self, index: int) -> str:
        """Return a text that changes when the pixels of a target that `has_plane` do, on this machine; cheap."""
        raise NotImplementedError

    def digest(self, name: str, indices: Indices) -> Iterator[bytes]:
        """Yield what a dataset's fingerprint must know of these images, under the target's name in the dataset.

        The bytes of label, tags and numbers are stored in run folders: they stay as they are.
        """
        yield to_json([name, self.kind, self.names]).encode()
        yield from self.content(indices)

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield the bytes of what is known of these images, in their order."""
        raise NotImplementedError

    def columns(self, name: str) -> tuple[str, ...]:
        """Return what the numbers of an image are called beside those of other targets, under this target's name.

        Example:
            >>> from striate.data.target import Label, Number
            >>> Label(np.array([0]), ("cat", "dog")).columns("animal")
            ('animal',)
            >>> Number(np.zeros((1, 2)), ("w", "h")).columns("size")
            ('size.w', 'size.h')
        """
        if self.is_exclusive or len(self.names) < 2:
            return (name,)
        return tuple(f"{name}.{field}" for field in self.names)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that images belong to; empty where the names are of something else."""
        return ()

    @property
    def unknown(self) -> Indices:
        """The images of which nothing is known: they are left out where this target is learnt."""
        return np.zeros(0, np.intp)

    @property
    def form(self) -> str:
        """The kind as messages on mixing name it."""
        return self.kind

    def strata(self) -> npt.NDArray[np.int64]:
        """Return one stratum an image (N,), of which each split gets its share; by default all are alike."""
        return np.zeros(len(self), dtype=np.int64)

    def divide(self, ids: Sequence[str], members: Indices, shares: Sequence[float], seed: int) -> npt.NDArray[np.int64]:
        """Return the part (index into `shares`) of each member, see `split.assign`; `ids` are those of the members."""
        return assign(ids, self.strata()[members], shares, seed)

    def counts(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Return how many of these images each class has (K,); empty without classes."""
        return np.zeros(len(self.classes), dtype=np.int64)

    def members(self, label: int, indices: Indices) -> Indices:
        """Return those of the images that belong to a class."""
        return indices[:0]

    def text(self, index: int) -> str:
        """Return what is known of an image in words, to compare copies by; empty where that says nothing."""
        return ""

    def findings(self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64]) -> "Iterator[Finding]":
        """Yield what is wrong with this target alone, whatever the images show.

        Args:
            ids: of the N images.
            sizes_hw: (N, 2) their sizes, 0 where not known.
        """
        yield from ()

    def findings_at(
        self, ids: Sequence[str], sizes_hw: npt.NDArray[np.int64], geometry: "Geometry"
    ) -> "Iterator[Finding]":
        """Yield what is wrong with this target at the size at which a network sees the images.

        Args:
            ids, sizes_hw: see `findings`.
            geometry: how images become what the network sees.
        """
        yield from ()

    def mix(self, values: npt.NDArray[Any], mix: "Mix") -> npt.NDArray[np.floating]:
        """Return the values of a batch (B, ...) mixed in the shares of the pixels."""
        raise NotImplementedError

    def with_noise(self, ids: Sequence[str], indices: Indices, share: float, seed: int) -> Self:
        """Return the target with a share of what is known of `indices` made wrong on purpose.

        How much a recipe suffers from wrong targets, or gains from not trusting them fully, is measured so. Whether
        an image is hit, and what it becomes, depends on the seed and its id alone: neither order nor the other images
        matter.

        Raises:
            SettingsError: nothing is known of how such targets go wrong.
        """
        what = f"label noise needs classes, tags or numbers; the target is of kind {self.kind!r}"
        raise SettingsError(what, where="train.label_noise", fix="set it to 0")

    def refuse_balance(self, name: str) -> None:
        """Return if training can be balanced by classes.

        Raises:
            SettingsError: there are none.
        """
        if not self.classes:
            what = f"{self.noun[1]} have no classes to balance; {name} is a {self.noun[0]}"
            raise SettingsError(what, where="data.balance", fix="set data.balance=none")

    def weights(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Return a weight for each of `indices` with which every class is drawn equally often.

        Raises:
            SettingsError: there are no classes.
        """
        self.refuse_balance("target")
        raise NotImplementedError

    def describe(self) -> str:
        """Return what the target is in a few words, such as `value in deg`."""
        return self.kind + (f" in {self.unit}" if self.unit else "")

    def summary(self, name: str, splits: Mapping[str, Indices]) -> list[str]:
        """Return lines for the table of a dataset where it has no classes; none by default."""
        return []

    def distribution(self, splits: Mapping[str, Indices]) -> dict[str, Any]:
        """Return how what is known is spread, as a plain document; empty by default."""
        return {}

    def figure(self, splits: Mapping[str, Indices]) -> bytes | None:
        """Return a PNG of how what is known is spread; None by default."""
        return None

    def shares(self, indices: Indices) -> dict[str, float]:
        """Return the share of the pixels of these images that each class has; empty where pixels have none."""
        return {}

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the target laid out as a run's whose classes are `names`.

        Args:
            is_complete: whether a class that is not named has no images, rather than images nobody was asked about.

        Raises:
            DataError: there is a class that the run does not know, or one is missing.
        """
        if self.names != names:
            raise DataError("other classes than the run's", where=where, fix="choose other data")
        return self

    def centre(self, index: int, square: ImageU8) -> tuple[int, ...] | None:
        """Return the voxel through which a volume is shown, from its own square in a store; None of images."""
        return None

    def legend(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Return the names that `draw` has colours for, with their RGB colours."""
        return []

    def draw(self, image_u8: ImageU8, index: int) -> ImageU8:
        """Return an image (H, W, 3) with the target of image `index` drawn on it; the image as it is by default.

        Args:
            image_u8: the image at any size: places are scaled from the original's pixels to it.
            index: of the image.
        """
        return image_u8


@dataclass(frozen=True)
class Values(Target):
    """A target that is one array: `values` (N, ...), a row an image."""

    values: npt.NDArray[Any]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def take(self, indices: Indices) -> Self:
        """Return the target of some images, in the order of `indices`."""
        return replace(self, values=self.values[indices])

    def content(self, indices: Indices) -> Iterator[bytes]:
        """Yield the values of these images."""
        yield np.ascontiguousarray(self.values[indices]).tobytes()

    def batch(self, indices: Indices, plan: "Plan", place: "Place") -> "torch.Tensor":
        """Return the values of these images, moved and mixed."""
        import torch

        values = self.moved(self.values[indices], plan)
        if plan.mix is not None:
            values = self.mix(values, plan.mix)
        return self.typed(torch.from_numpy(np.ascontiguousarray(values)), is_mixed=plan.mix is not None)

    def moved(self, values: npt.NDArray[Any], plan: "Plan") -> npt.NDArray[Any]:
        """Return what the plan's geometry makes of the values (B, ...); most stay."""
        return values

    def typed(self, values: "torch.Tensor", *, is_mixed: bool) -> "torch.Tensor":
        """Return the values in the type that a task takes."""
        raise NotImplementedError
