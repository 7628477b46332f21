"""Pascal VOC with class masks: `JPEGImages`, `SegmentationClass`, and lists in `ImageSets/Segmentation`."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..channels import sampled_channels
from ..format import EXTENSIONS
from ..sample import Dataset, LeftOut
from .images import FileImages
from .mask_folders import mask_target
from .mask_names import ClassList, find_class_list
from .names import folder_name, natural_key

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOID = 255  # the rim of every thing, and what was too hard


def matches(root: Path) -> bool:
    """Return whether a folder holds the images and class masks of a VOC set."""
    return (root / IMAGES).is_dir() and (root / MASKS).is_dir()


def read(root: Path, where: str, ignore: str | None = None) -> Dataset:
    """Return the dataset of the lists `train.txt`, `val.txt`, `test.txt`; without them of all images with a mask.

    The classes are those of VOC unless a list such as `labelmap.txt` names others; 255 is ignored, as VOC has it.

    Raises:
        DataError: a list names an image twice or one that is not there, or no image has a mask.

    Reference: Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective (2015).
    """
    images = {path.stem: path.name for path in _files(root / IMAGES)}
    masks = {path.stem: path.name for path in _files(root / MASKS)}
    lists = split_lists(root, LISTS, images)
    named = [name for names in lists.values() for name in names] or sorted(images.keys() & masks, key=natural_key)
    names = [name for name in named if name in masks]
    if not names:
        raise DataError("no image has a mask", where=root / MASKS, fix=f"put masks named like the images of {IMAGES}/")
    left_out = _left_out(named, images, masks)
    ids = tuple(f"{IMAGES}/{images[name]}" for name in names)
    known = find_class_list(root, [path.name for path in root.iterdir() if path.is_file()])
    known = known or ClassList("the list of VOC", (*CLASSES, "void"), (*range(len(CLASSES)), VOID), is_colour=False)
    channels, said = sampled_channels(root, list(ids))
    mask, readings = mask_target(root, ids, [f"{MASKS}/{masks[name]}" for name in names], known, ignore)
    place = {name: index for index, name in enumerate(names)}
    splits = {
        split: np.array(sorted(place[name] for name in part if name in place), np.intp) for split, part in lists.items()
    }
    return Dataset(
        name=folder_name(root),
        where=where,
        images=FileImages(root, ids, channels),
        ids=ids,
        targets={"mask": mask},
        splits={split: members for split, members in splits.items() if len(members)},
        channels=channels,
        notes=("layout: Pascal VOC with class masks", said, *(one.text for one in left_out)),
        left_out=left_out,
        readings=readings,
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)


def split_lists(root: Path, folder: str, images: Collection[str]) -> dict[str, list[str]]:
    """Return the images of each split by the lists of a folder, `trainval.txt` where there is no `train.txt`.

    Args:
        images: the names, without suffix, of those that are there.

    Returns:
        Nothing without both lists.

    Raises:
        DataError: a list names an image twice, or one that is not there.
    """
    files = {split: root / folder / f"{split}.txt" for split in ("train", "val", "test")}
    if not files["train"].is_file():
        files = {"train": root / folder / "trainval.txt", "test": files["test"]}
    if not files["train"].is_file():
        return {}
    seen: dict[str, str] = {}
    return {split: _names(path, images, seen) for split, path in files.items() if path.is_file()}


def _names(path: Path, images: Collection[str], seen: dict[str, str]) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"the list cannot be read ({problem})", where=path, fix="restore it") from problem
    names = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, place = _listed(line, images), f"{path.name}:{number}"
        if name not in images:
            what = f"image {shown(name, 60)!r} is not there"
            raise DataError(what, where=f"{path}:{number}", fix="restore the image, or remove the line")
        if seen.setdefault(name, place) != place:
            what = f"image {shown(name, 60)!r} is also in {seen[name]}"
            raise DataError(what, where=f"{path}:{number}", fix="keep it in one of them")
        names.append(name)
    return names


def _listed(line: str, images: Collection[str]) -> str:
    """Return the name in a line, also of names with blanks, with 1 or -1 behind it, and of files in folders."""
    whole = re.sub(r"\s+[-+]?[01]$", "", line.strip())
    forms = (line.strip(), whole, line.split()[0])
    files = [PurePosixPath(form.replace("\\", "/")) for form in forms]
    known = (
        name for name in (*forms, *(file.name for file in files), *(file.stem for file in files)) if name in images
    )
    return next(known, whole)


def _left_out(named: list[str], images: dict[str, str], masks: dict[str, str]) -> tuple[LeftOut, ...]:
    unmasked = tuple(name for name in named if name not in masks)
    lost = tuple(sorted(set(masks) - set(images)))
    unlisted = tuple(sorted((masks.keys() & images) - set(named)))
    found = (
        ("image without mask", "images without mask", unmasked, True, "give them masks"),
        ("mask without image", "masks without image", lost, True, "restore their images"),
        ("image with a mask that is in no list", "images with masks that are in no list", unlisted, False, ""),
    )
    return tuple(LeftOut(plural(len(of), one, many), of, bad, fix) for one, many, of, bad, fix in found if of)
