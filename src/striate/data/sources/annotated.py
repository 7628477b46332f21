"""Folders of images with boxes or outlines: they are no class folders, whatever their folders are called.

Those with one object each can be learnt; to find any number of them is another task.
"""

import os

from striate.base.errors import DataError
from striate.base.text import shown

from ..sample import Dataset
from .boxes import find_beside, find_list
from .names import classes_of, names_classes
from .one_box import READERS, count_odd, dataset_of
from .walk import Walk

LABEL = "give each image a label: a table with path,label, or one folder a class"


def read(walk: Walk, where: str) -> Dataset | None:
    """Return the dataset of images with one object each, from Pascal VOC or COCO; None where none have boxes.

    Raises:
        DataError: boxes or outlines of another format belong to the images, or more or less than one to an image; it
            says of which kind, and how to learn classes from the images.
    """
    folders = {folder: names for folder, names in walk.tree().items() if names}
    images = [name for names in folders.values() for name in names]
    others = walk.others() if images else []
    found = find_beside(walk.root, images, others) or find_list(walk.root, others) if images else None
    if not found or names_classes(found.labels, folders):
        return None
    holds, why = ("sentences", "captioning") if "captions" in found.format else ("boxes or outlines", "detection")
    if found.format in READERS:
        boxed = READERS[found.format](walk, found.file)
        if not (why_not := count_odd(boxed)):
            return dataset_of(walk, where, boxed, f"boxes of {found.format}")
        holds, why = "boxes", f"{why_not}; detection"
    what = f"images with {holds} ({found.format}: {shown(found.file, 50)}): {why} is not a task yet"
    raise DataError(what, where=walk.root, fix=_fix(walk, list(folders), found.file))


def _fix(walk: Walk, kept: list[str], file: str) -> str:
    """Return what to do so that the images in the folders `kept` can be classified."""
    if len(classes_of(kept)) > 1:
        return f"to learn the folders as classes, move {shown(file, 40)} and all like it elsewhere"
    inner = os.path.commonpath(kept) if kept and all(kept) else ""
    if inner and len(classes_of(name.removeprefix(inner).lstrip("/") for name in kept)) > 1:
        return f"open {shown(walk.root / inner, 90)}, whose folders can be classes"
    return LABEL
