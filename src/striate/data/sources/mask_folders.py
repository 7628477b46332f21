"""Folders of images and masks: which belong together, what the masks' values mean, and the splits they come in."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import shown

from ..channels import sampled_channels
from ..sample import SPLITS, Dataset, Reading
from ..target import Label, Mask, Target
from .images import FileImages
from .mask_files import MaskFiles
from .mask_names import ClassList, find_class_list
from .mask_pairs import pair_up, preferred, split_of
from .mask_scan import Tally, tallies_of
from .mask_values import meaning_of
from .masks import Pair, find_masks
from .names import class_list, classes_of, folder_name
from .walk import Reason, Walk

NO_MASK = Reason("image without mask", "images without mask", True, "give them masks, or remove them")
NO_IMAGE = Reason("mask without image", "masks without image", True, "restore their images, or remove them")
ELSEWHERE = Reason(
    "image in a folder without masks", "images in folders without masks", True, "move them to the others"
)
FURTHER = Reason("further mask of an image that has one", "further masks of images that have one")
MIN_PAIRED = 0.5  # of the images: fewer pairs are no dataset of masks


def read(walk: Walk, where: str, ignore: str | None = None) -> Dataset | None:
    """Return the dataset of a folder in which masks lie beside images, None where there are none.

    Masks are known by what they hold and belong to the images that they are named like: `images/` and `masks/`,
    `train/` and `trainannot/`, `train/images/` and `train/masks/`, `a.jpg` and `a_mask.png`.

    Args:
        ignore: values or classes of pixels that nobody knows, with commas between them.

    Raises:
        DataError: the masks are not named like their images, or are no class masks, see `meaning_of`.
    """
    folders = {folder: names for folder, names in walk.tree().items() if names}
    pair = find_masks(walk.root, folders) if folders else None
    if pair is None:
        return None
    pair = preferred(walk.root, pair, folders)
    paired = pair_up(folders, pair)
    if len(paired.pairs) < MIN_PAIRED * (len(paired.pairs) + max(len(paired.images), len(paired.masks))):
        what = f"masks that are not named like their images ({shown(pair.image, 40)} and {shown(pair.mask, 40)})"
        fix = "give each image one mask, of the same name or with a word such as _mask behind it"
        raise DataError(what, where=walk.root, fix=fix)
    for reason, names in (
        (NO_MASK, paired.images),
        (NO_IMAGE, paired.masks),
        (FURTHER, paired.further),
        (ELSEWHERE, paired.others),
    ):
        if names:
            walk.leave_out(reason, *names)
    images = tuple(one.image for one in paired.pairs)
    masks = tuple(one.mask for one in paired.pairs)
    channels, said = sampled_channels(walk.root, list(images))
    known = find_class_list(walk.root, walk.others())
    if known is not None:
        copies = known.file.rpartition("/")[2]  # each split may have its own
        walk.use(*(name for name in walk.others() if name.rpartition("/")[2] == copies))
    target, readings = mask_target(walk.root, images, masks, known, ignore)
    left_out = walk.left_out()
    return Dataset(
        name=folder_name(walk.root),
        where=where,
        images=FileImages(walk.root, images, channels),
        ids=images,
        targets={"mask": target, **_label(images)},
        splits=splits_of(images),
        channels=channels,
        notes=(_layout(pair), said, *(one.text for one in left_out)),
        left_out=left_out,
        readings=readings,
    )


def mask_target(
    root: Path, images: Sequence[str], masks: Sequence[str], known: ClassList | None, ignore: str | None
) -> tuple[Mask, tuple[Reading, ...]]:
    """Return the target of some mask files, and how they were read.

    Args:
        images, masks: names relative to the root, a mask for each image.
        known: the list of classes beside them.
    """
    files = MaskFiles(root, tuple(masks), 1)
    pictures = FileImages(root, tuple(images), 3)
    is_colour = known is not None and known.is_colour
    tallies = tallies_of(files, pictures, is_colour)
    if not is_colour and any("in colour" in tally.problem for tally in tallies):
        is_colour, tallies = True, tallies_of(files, pictures, True)
    found = meaning_of(tallies, known, ignore, root, masks)
    turns, said = turns_of(tallies)
    return Mask(replace(files, coding=found.coding, turns=turns, tallies=tallies), found.names), found.readings + said


def turns_of(tallies: Sequence[Tally]) -> tuple[tuple[int, ...], tuple[Reading, ...]]:
    """Return how each mask is turned with its image: by the image's EXIF where the mask lies as the image's file does.

    A mask that has the shape of the image in its file, and not of the image upright, lies so; where both are alike
    the others decide.
    """
    turned = [tally for tally in tallies if tally.orientation != 1]
    if not turned:
        return (), ()
    lies = [tally for tally in turned if tally.orientation > 4 and _fits(tally.size_hw, tally.image_hw)]
    stands = [tally for tally in turned if tally.orientation > 4 and _fits(tally.size_hw, tally.image_hw[::-1])]
    sure = [tally for tally in (*lies, *stands) if tally.image_hw[0] != tally.image_hw[1]]
    is_lying = sum(tally in lies for tally in sure) > len(sure) / 2
    turns = tuple(
        tally.orientation if (tally in lies if tally in sure else is_lying) and tally.orientation != 1 else 1
        for tally in tallies
    )
    num_unsure = len(turned) - len(sure)
    how = "with them" if is_lying else "as they are"
    text = f"{len(turned)} images are turned upright by EXIF, and their masks are read {how}"
    doubt = "" if not num_unsure else f"; of {num_unsure} the size says nothing"
    return turns if set(turns) != {1} else (), (
        Reading(text + doubt, is_doubtful=bool(num_unsure), fix="look at the overlays; save images and masks upright"),
    )


def _fits(size_hw: tuple[int, int], other_hw: tuple[int, int]) -> bool:
    return abs(size_hw[0] * other_hw[1] - size_hw[1] * other_hw[0]) <= max(*size_hw, *other_hw)


def splits_of(names: Sequence[str]) -> dict[str, npt.NDArray[np.intp]]:
    """Return the images of each split that the folders name; none where no folder is called `train`.

    Example:
        >>> splits_of(["images/train/a.png", "images/val/b.png"])
        {'train': array([0]), 'val': array([1])}
    """
    split = list(map(split_of, names))
    found = {one: np.array([i for i, at in enumerate(split) if at == one], np.intp) for one in SPLITS if one in split}
    return found if "train" in found else {}


def _label(names: Sequence[str]) -> dict[str, Target]:
    """The class that each image's folder names, where there are at least two such folders."""
    labels = [next(iter(classes_of([name.rpartition("/")[0]])), "") for name in names]
    if "" in labels or len(set(labels)) < 2:
        return {}
    classes = class_list(labels, "")
    return {"label": Label(np.array([classes.index(one) for one in labels], np.int64), classes)}


def _layout(pair: Pair) -> str:
    image, mask = PurePosixPath(pair.image), PurePosixPath(pair.mask)
    if image.parent == mask.parent:
        return f"layout: masks beside the images ({shown(image.name, 40)} and {shown(mask.name, 40)})"
    return f"layout: images and masks ({shown(image.parent, 40)}/ and {shown(mask.parent, 40)}/)"
