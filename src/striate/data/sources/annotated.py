"""Folders of images with boxes or outlines: they are no class folders, whatever their folders are called."""

import os
from collections.abc import Callable

from striate.base.errors import DataError
from striate.base.text import shown

from ..sample import Dataset
from . import box_tables, coco_boxes, voc_boxes, yolo
from .boxed import Collection, dataset_of
from .boxes import find_beside, find_list
from .names import classes_of, names_classes
from .walk import Walk

LABEL = "give each image a label: a table with path,label, or one folder a class"
EXPORT = "export them as COCO JSON, Pascal VOC or YOLO"
READERS: dict[str, Callable[[Walk, str], Collection]] = {
    "Pascal VOC": voc_boxes.read,
    "COCO": coco_boxes.read,
    "YOLO": yolo.read,
    "table": box_tables.read,
}


def read(walk: Walk, where: str, *, only_read: bool = False) -> Dataset | None:
    """Return the dataset of images with boxes; None where none have any.

    Args:
        only_read: None also for formats that are not read.

    Raises:
        DataError: a file is not whole, or boxes or outlines of another format belong to the images; it says of which
            kind, and how to learn classes from the images.
    """
    folders = {folder: names for folder, names in walk.tree().items() if names}
    images = [name for names in folders.values() for name in names]
    others = walk.others() if images else []
    found = find_beside(walk.root, images, others) or find_list(walk.root, others) if images else None
    found = found or yolo.find(walk)
    if not found or names_classes(found.labels, folders):
        return None
    if found.format in READERS:
        return dataset_of(walk, where, READERS[found.format](walk, found.file))
    if only_read:
        return None
    is_text = "captions" in found.format
    holds, why = ("sentences", "captioning is not a task yet") if is_text else ("boxes or outlines", "not read yet")
    what = f"images with {holds} ({found.format}: {shown(found.file, 50)}): {why}"
    raise DataError(what, where=walk.root, fix=_fix(walk, list(folders), found.file, LABEL if is_text else EXPORT))


def _fix(walk: Walk, kept: list[str], file: str, otherwise: str) -> str:
    """Return what to do so that the images in the folders `kept` can be classified."""
    if len(classes_of(kept)) > 1:
        return f"to learn the folders as classes, move {shown(file, 40)} and all like it elsewhere"
    inner = os.path.commonpath(kept) if kept and all(kept) else ""
    if inner and len(classes_of(name.removeprefix(inner).lstrip("/") for name in kept)) > 1:
        return f"open {shown(walk.root / inner, 90)}, whose folders can be classes"
    return otherwise
