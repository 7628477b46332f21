"""The contracts of data: images, targets, dataset, batch. No file format and no model is known here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import DataError
from striate.base.noun import Noun, noun_of
from striate.base.size import SizeHW
from striate.base.text import shown

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from .item import Item
    from .target.target import Target

ImageU8 = npt.NDArray[np.uint8]
SPLITS = ("train", "val", "test")
IGNORE = 255  # the class of pixels that nobody knows, and of padding: no loss counts it
NUM_NAMED = 4  # files in a sentence on what was left out


class Images(Protocol):
    """The images of a dataset, decoded one at a time. Safe to call from several threads."""

    def __len__(self) -> int: ...

    def read(self, index: int, short_side_px: int | None = None) -> ImageU8:
        """Return image `index` as (H, W, C) uint8, C = 1 (grey), 3 (RGB) or any number of bands, upright by EXIF.

        A decoder may return a smaller image as long as its shorter side is at least `short_side_px`.

        Raises:
            DataError: the file is unreadable; the message names it.
        """

    def path(self, index: int) -> Path | None:
        """Return the image's file, or None when it lives in an array."""

    def stamp(self, index: int) -> str:
        """Return a short text that changes when the image is changed or replaced, on this machine; cheap."""

    def digest(self, index: int, max_bytes: int) -> str:
        """Return a hash of the image's content, the same on every machine; of `max_bytes` of it if it has more."""

    def num_bytes(self) -> int:
        """Return the size of all images together, as they are kept."""

    def take(self, indices: "Sequence[int] | npt.NDArray[np.intp]") -> "Images":
        """Return some of the images, in the order of `indices`."""


@dataclass(frozen=True)
class LeftOut:
    """Files or folders of a dataset's folder that are not in it, for one reason.

    `reason` is the noun with its count; it is serious where a person may miss images.
    """

    reason: str
    names: tuple[str, ...]
    is_serious: bool = False
    fix: str = ""

    @property
    def text(self) -> str:
        """The sentence with the first names.

        Example:
            >>> LeftOut("2 broken links", ("cat/a.jpg", "cat/b.jpg")).text
            'left out: 2 broken links (cat/a.jpg, cat/b.jpg)'
        """
        named = ", ".join(shown(name, 60) for name in self.names[:NUM_NAMED])
        return f"left out: {self.reason} ({named}{', ...' if len(self.names) > NUM_NAMED else ''})"


@dataclass(frozen=True)
class Reading:
    """How a source was read where it could be read otherwise; doubtful where a person may have meant the other."""

    text: str
    is_doubtful: bool = False
    fix: str = ""


@dataclass(frozen=True)
class Usual:
    """What a run takes for images of a source where neither the person nor the recipe says otherwise.

    Args:
        form: "image", "series" or "volume"; which networks are usual.
        depth: bits of a level.
        fit: the resize policy; "" is the task's.
        size_hw: of what a network receives, of volumes with the depth; None: by the images' own size.
        batch_size: at most, of the automatic batch: sets of few and small samples need more steps; None: no limit.
        untrue_after: kinds of augmentation after which it would be no such image.
        store_hw: of volumes, the box that holds them all; the network may see parts of it.
    """

    form: str = "image"
    depth: int = 8
    fit: str = ""
    size_hw: SizeHW | None = None
    batch_size: int | None = None
    untrue_after: frozenset[str] = frozenset()
    store_hw: SizeHW | None = None

    @property
    def is_in_space(self) -> bool:
        """Whether there are three axes."""
        return self.size_hw is not None and len(self.size_hw) == 3


@dataclass(frozen=True)
class Dataset:
    """Images, targets and splits. The class list is fixed once and travels in every artefact.

    `ids[i]` is the stable id of image i (path relative to the root, or its index as text); `splits` maps train,
    val and test to sorted indices into `ids`; `groups[i]` names what must stay on one side of a split;
    `options` are the arguments it was opened with, so that a run can open it again; `findings` are the warnings of
    the look before training, as plain documents for the run folder; `left_out` says which files and folders of its
    folder are not in it, and why; `readings` say how its source was read where that could be doubted; `made_splits`
    are the splits that the data did not come with; `bands` names the channels where the source has names; `usual` is
    what a run takes for such images where nobody says otherwise.
    """

    name: str
    where: str
    images: Images
    ids: tuple[str, ...]
    targets: "dict[str, Target]"
    splits: dict[str, npt.NDArray[np.intp]]
    channels: int
    groups: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    readings: tuple[Reading, ...] = ()
    made_splits: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    usual: Usual = Usual()

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(indices):,}" for name, indices in self.splits.items())
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"Dataset({self.name!r}: {self.noun.count(len(self))}{classes}; {counts})"

    def _repr_html_(self) -> str:
        from .card import dataset_card

        return dataset_card(self)

    def __getitem__(self, which: int | str) -> "Item":
        """Return an image with what is said of it, by its index or id; see `item`."""
        from .item import item_of

        return item_of(self, which)

    def show(self, *, per_row: int = 8, seed: int = 0, split: str | None = None) -> "Image":
        """Return a contact sheet, a Pillow image: up to `per_row` images of each class, drawn at random by `seed`.

        Args:
            split: of this split only.

        Raises:
            DataError: there is no such split.
        """
        from .item import sheet_of

        return sheet_of(self, per_row, seed, split)

    @property
    def noun(self) -> Noun:
        """What one sample is called."""
        return noun_of(self.usual.form)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of the first label or tags target; empty for a dataset without classes."""
        target = self.class_target
        return () if target is None else target.classes

    @property
    def class_target(self) -> "Target | None":
        """The first target that divides the images into classes, boxes where they come first; None without one."""
        first, *others = [*self.targets.values(), None]
        if first is not None and first.classes:
            return first
        return next((one for one in others if one is not None and one.classes and not one.has_places), None)

    def target(self, name: str | None = None) -> "Target":
        """Return the target called `name`, by default the first one.

        Raises:
            DataError: there is no such target.
        """
        if name is None:
            return next(iter(self.targets.values()))
        return choose("target", name, self.targets, DataError)

    def with_splits(self, splits: dict[str, npt.NDArray[np.intp]]) -> "Dataset":
        """Return the same images with other splits."""
        return replace(self, splits=splits)

    def keep(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> "Dataset":
        """Return a dataset whose splits hold only these images; ids, images and class list stay as they are."""
        kept = np.zeros(len(self), dtype=bool)
        kept[np.asarray(indices, dtype=np.intp)] = True
        return self.with_splits({name: found[kept[found]] for name, found in self.splits.items()})


@dataclass(frozen=True)
class Batch:
    """What a model and a task receive.

    `images` (N, C, H, W) float32, normalised, channels-last strides, on the device; of signals (N, C, L), of volumes
    (N, C, D, H, W); `targets` what each target's `batch` makes of it, a tensor or a ragged batch, on the device;
    `index` (N,) positions in the dataset, on the CPU; `tile_hw` what the network sees at once, where images are larger;
    `own` those of the images that count, where several processes share a batch and this one has others beside;
    `known` outputs of the network's rows for these images, by name, where they were computed before.
    """

    images: "torch.Tensor"
    targets: dict[str, Any]  # tensors or ragged batches: a task knows which it asked for
    index: npt.NDArray[np.intp]
    tile_hw: SizeHW | None = None
    own: slice = field(default_factory=lambda: slice(None))
    known: Mapping[str, "torch.Tensor"] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size_hw(self) -> SizeHW:
        """The size of the images, which asks for no pixel of them."""
        return tuple(self.images.shape[2:])

    @property
    def options(self) -> dict[str, Any]:
        """What the network's call gets beside the images."""
        return {"known": self.known} if self.known else {}

    def part(self, rows: slice, own: slice = slice(None)) -> "Batch":
        """Return some of the images, of which `own` count."""
        targets = {name: target[rows] for name, target in self.targets.items()}
        return Batch(self.images[rows], targets, self.index[rows], self.tile_hw, own)


See = Callable[[Batch, npt.NDArray[np.int64]], Batch]  # makes of a batch what a network gets; with a key an image
