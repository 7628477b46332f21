"""Which mask belongs to which image: how the names of one pair differ, held against all files of a folder."""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..decode import header
from .masks import Pair
from .names import SPLIT_NAMES, natural_key

MAX_KIN = 8  # masks of one image


@dataclass(frozen=True)
class Swap:
    """How one text becomes another: a part in the middle is replaced, or something put before or behind it.

    Example:
        >>> Swap.between("train", "trainannot").of("val"), Swap.between("train/images", "train/masks").of("val/images")
        (['valannot'], ['val/masks'])
        >>> Swap.between("a_1_rgb", "a_1_mask").of("b_rgb"), Swap.between("x", "x").of("y")
        (['b_mask'], ['y'])
    """

    old: str
    new: str
    is_before: bool

    @classmethod
    def between(cls, one: str, other: str) -> "Swap":
        """Return how `one` becomes `other`."""
        shorter = min(len(one), len(other))
        head = next((at for at in range(shorter) if one[at] != other[at]), shorter)
        tail = next((at for at in range(shorter - head) if one[-1 - at] != other[-1 - at]), shorter - head)
        return cls(one[head : len(one) - tail], other[head : len(other) - tail], is_before=not head and tail > 0)

    def of(self, text: str) -> list[str]:
        """Return what a text may become; several where the part to replace comes more than once."""
        if not self.old:
            return [self.new + text if self.is_before else text + self.new]
        places = [at for at in range(len(text)) if text.startswith(self.old, at)]
        return [text[:at] + self.new + text[at + len(self.old) :] for at in places]


@dataclass
class Paired:
    """The images and masks of a folder, in natural order of the images, and what has no partner."""

    pairs: list[Pair] = field(default_factory=list)
    images: list[str] = field(default_factory=list)  # without mask
    masks: list[str] = field(default_factory=list)  # without image
    further: list[str] = field(default_factory=list)  # masks of images that have one already
    others: list[str] = field(default_factory=list)  # in folders that hold neither


def pair_up(folders: dict[str, list[str]], example: Pair) -> Paired:
    """Return all pairs that are named as the example is.

    Args:
        folders: the names of the images directly in each folder, masks among them.
    """
    inside = Swap.between(_folder(example.image), _folder(example.mask))
    stem = Swap.between(_stem(example.image), _stem(example.mask))
    suffix = PurePosixPath(example.mask).suffix.lower()
    by_stem: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in (name for names in folders.values() for name in names):
        by_stem[_folder(name), _stem(name)].append(name)

    def masks_of(name: str, folder: str) -> list[str]:
        found = [one for key in stem.of(_stem(name)) for one in by_stem.get((folder, key), ()) if one != name]
        return sorted(found, key=lambda one: PurePosixPath(one).suffix.lower() != suffix)

    is_by_suffix = _folder(example.image) == _folder(example.mask) and not stem.old + stem.new
    names = sorted((name for names in folders.values() for name in names), key=natural_key)
    made: dict[str, str] = {}
    for name in names:
        found = [mask for folder in inside.of(_folder(name)) for mask in masks_of(name, folder)]
        if found and not (is_by_suffix and PurePosixPath(name).suffix.lower() == suffix):
            made[name] = found[0]
    masks = set(made.values())
    if split_of(example.mask) is None:  # one folder may hold the masks of all others
        common = _folder(example.mask)
        for name in (one for one in names if one not in made and _folder(one) != common):
            if (found := masks_of(name, common)) and found[0] not in masks:
                made[name] = found[0]
    made = {name: mask for name, mask in made.items() if name not in masks}
    return _sorted_out(names, made, set(made.values()), stem)


def preferred(root: Path, pair: Pair, folders: dict[str, list[str]]) -> Pair:
    """Return the pair with the best of the masks that an image has: numbers of classes before colours and objects."""
    image, mask = _stem(pair.image), _stem(pair.mask)
    head = next((image[:at] for at in range(len(image), 0, -1) if mask.startswith(image[:at])), "")
    ends = not head[-1:].isalnum()
    kin = [
        name
        for name in folders[_folder(pair.mask)]
        if head and name != pair.image and _stem(name).startswith(head)
        and (ends or not _stem(name)[len(head) : len(head) + 1].isalnum())
    ]  # fmt: skip
    return Pair(pair.image, min(kin, key=lambda name: _order(root, name))) if 1 < len(kin) <= MAX_KIN else pair


def _order(root: Path, name: str) -> tuple[bool, bool, bool, tuple[object, ...]]:
    text, probe = _stem(name).casefold(), header(root / name)
    is_plain = probe.channels == 1 or probe.mode == "P"
    return not is_plain, "inst" in text or "object" in text, "trainid" not in text, natural_key(name)


def split_of(name: str) -> str | None:
    """Return the split that a file's folders name, or None.

    Example:
        >>> split_of("images/train/a.png"), split_of("val_images/a.png"), split_of("images/a.png")
        ('train', 'val', None)
    """
    words = [word for part in name.split("/")[:-1] for word in re.split(r"[-_. ]|(?<=[a-z])(?=[0-9])", part.casefold())]
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


def _sorted_out(names: list[str], made: dict[str, str], masks: set[str], stem: Swap) -> Paired:
    image_folders, mask_folders = {_folder(name) for name in made}, {_folder(name) for name in masks}
    known = {one for mask in masks for one in (_stem(mask), _short(_stem(mask)))}
    found = Paired(pairs=[Pair(name, mask) for name, mask in made.items()])
    for name in names:
        if name in made or name in masks:
            continue
        folder = _folder(name)
        if folder in mask_folders and (folder not in image_folders or (stem.new and stem.new in _stem(name))):
            is_further = _short(_stem(name)) != _stem(name) and _short(_stem(name)) in known
            (found.further if is_further else found.masks).append(name)
        else:
            (found.images if folder in image_folders else found.others).append(name)
    return found


def _short(stem: str) -> str:
    """Return a file's name without its last word."""
    return re.sub(r"[-_. ][^-_. ]*$", "", stem)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _stem(name: str) -> str:
    return PurePosixPath(name).stem
