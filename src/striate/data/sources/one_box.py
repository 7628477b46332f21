"""Images with one object each: its box and its class, from Pascal VOC's XML files or COCO JSON."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural

from ..channels import sampled_channels
from ..sample import SPLITS, Dataset
from ..target import Boxes, Label, Target
from .coco import Listed, documents, listed_images
from .images import FileImages
from .mask_pairs import split_of
from .names import class_list, folder_name, natural_key
from .voc_masks import split_lists
from .voc_xml import Thing, read_things
from .walk import Reason, Walk

LISTS = "ImageSets/Main"
NO_FILE = Reason("image without a file of boxes", "images without a file of boxes", True, "say what they show")
NO_IMAGE = Reason("file of boxes without image", "files of boxes without image", True, "restore their images")
NO_LIST = Reason("image that is in no list", "images that are in no list")


@dataclass(frozen=True)
class Boxed:
    """An image, its split as far as one is known, and the things in it."""

    name: str
    split: str | None
    things: tuple[Thing, ...]


def from_voc(walk: Walk, like: str) -> list[Boxed]:
    """Return the images of a folder whose XML file has their name; the lists of `ImageSets/Main` are the splits.

    Args:
        like: one of the files; the others have its suffix.

    Raises:
        DataError: a file or a list cannot be read.
    """
    by_stem: dict[str, list[str]] = {}
    for name in (name for some in walk.tree().values() for name in some):
        by_stem.setdefault(PurePosixPath(name).stem, []).append(name)
    files: dict[str, str] = {}
    for file in (name for name in walk.others() if PurePosixPath(name).suffix == PurePosixPath(like).suffix):
        image = min(by_stem.get(PurePosixPath(file).stem, ()), key=lambda name: _distance(name, file), default=None)
        if image is None or image in files:
            walk.leave_out(NO_IMAGE, file)
        else:
            files[image] = file
    walk.use(*files.values())
    lists = split_lists(walk.root, LISTS, {PurePosixPath(name).stem for name in files})
    walk.use(*(f"{LISTS}/{split}.txt" for split in lists))
    listed = {name: split for split, names in lists.items() for name in names}
    found = []
    for name in sorted((name for some in by_stem.values() for name in some), key=natural_key):
        stem = PurePosixPath(name).stem
        if name not in files or (listed and stem not in listed):
            walk.leave_out(NO_LIST if name in files else NO_FILE, name)
        else:
            split = listed.get(stem) or split_of(name)
            found.append(Boxed(name, split, tuple(read_things(walk.root / files[name]))))
    return found


def from_coco(walk: Walk, like: str) -> list[Boxed]:
    """Return the images that the COCO files of a folder list; a file named for a split is one.

    Raises:
        DataError: a file is not whole, or an annotation has no box.
    """
    lists = {name: one for name, one in documents(walk).items() if any("bbox" in row for row in one["annotations"])}
    if not lists:
        return []
    return [boxed(image) for image in listed_images(walk, lists)]


def boxed(image: Listed) -> Boxed:
    """Return a listed image with its boxes.

    Raises:
        DataError: one is not x, y, width, height.
    """
    things = []
    for name, row in image.things:
        box: Any = row.get("bbox")
        is_box = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
        if not is_box or not all(map(math.isfinite, box)):
            what = f"the bbox of annotation {row.get('id')} is not x, y, width, height"
            raise DataError(what, where=image.path, fix="mend or remove the annotation")
        left, top, width, height = map(float, box)
        things.append(Thing(name, (left, top, left + width, top + height), is_difficult=False))
    return Boxed(image.name, image.split, tuple(things))


READERS = {"Pascal VOC": from_voc, "COCO": from_coco}


def count_odd(images: Sequence[Boxed]) -> str:
    """Return how many images have no object, or several; nothing where each has one.

    Example:
        >>> cat = Thing("cat", (0, 0, 4, 4), False)
        >>> count_odd([Boxed("a.jpg", None, ()), Boxed("b.jpg", None, (cat, cat)), Boxed("c.jpg", None, (cat,))])
        '1 of 3 images has several, 1 none'
        >>> count_odd([Boxed("c.jpg", None, (cat,))])
        ''
    """
    if not images:
        return "no image has a box"
    counts = Counter(min(2, len(image.things)) for image in images)
    many, none = counts[2], counts[0]
    first = f"{many:,} of {plural(len(images), 'image')} {'has' if many == 1 else 'have'} several"
    if many:
        return first + (f", {none:,} none" if none else "")
    return f"{none:,} of {plural(len(images), 'image')} {'has' if none == 1 else 'have'} no object" if none else ""


def targets_of(images: Sequence[Boxed], where: object) -> dict[str, Target]:
    """Return the targets of images with one object each: "box", and "label" where there are two classes or more."""
    things = [image.things[0] for image in images]
    names = class_list((thing.name for thing in things), where)
    labels = [names.index(thing.name) for thing in things]
    boxes = Boxes.of(
        [[thing.xyxy] for thing in things],
        [[label] for label in labels],
        names,
        difficult=[[thing.is_difficult] for thing in things],
    )
    return {"box": boxes} | ({"label": Label(np.array(labels, np.int64), names)} if len(names) > 1 else {})


def dataset_of(walk: Walk, where: str, images: Sequence[Boxed], layout: str) -> Dataset:
    """Return the dataset of images with one object each."""
    names = tuple(image.name for image in images)
    channels, said = sampled_channels(walk.root, list(names))
    own = [image.split for image in images]
    splits = {split: np.array([at for at, one in enumerate(own) if one == split], np.intp) for split in SPLITS}
    targets, left_out = targets_of(images, walk.root), walk.left_out()
    others = [name for name in targets if name != "box"]
    first = f"target box comes first; others (--target): {', '.join(others)}" if others else "target: box"
    return Dataset(
        name=folder_name(walk.root),
        where=where,
        images=FileImages(walk.root, names, channels),
        ids=names,
        targets=targets,
        splits={split: members for split, members in splits.items() if len(members)} if "train" in own else {},
        channels=channels,
        notes=(f"layout: {layout}, one object an image", first, said, *(one.text for one in left_out)),
        left_out=left_out,
    )


def _distance(image: str, file: str) -> tuple[bool, bool, bool]:
    """How far an image lies from the file that names its things: another folder's name, another split, elsewhere."""
    image_folder, file_folder = PurePosixPath(image).parent, PurePosixPath(file).parent
    return (image_folder.name != file_folder.name, split_of(image) != split_of(file), image_folder != file_folder)
