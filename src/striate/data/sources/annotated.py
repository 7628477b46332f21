"""Folders of images with boxes or outlines: they are no class folders, whatever their folders are called."""

import os
import re
from collections.abc import Iterable

from striate.base.errors import DataError
from striate.base.text import shown

from .boxes import find_beside, find_list
from .names import SPLIT_NAMES
from .walk import Walk

# folders that hold a split, or the images of all classes: their names are no classes
NO_CLASS = re.compile(
    r"(?:train|trainval|training|val|valid|validation|test|testing|dev|minival"
    r"|(?:jpeg|png|bmp|tif)?(?:images?|imgs?|pictures?|photos?|frames?|data|raw|rgb|inputs?|source))[-_]?[0-9]*",
    re.IGNORECASE,
)
LABEL = "give each image a label: a table with the columns path,label, or one folder a class"


def refuse(walk: Walk) -> None:
    """Return if no boxes or outlines belong to the images of a folder.

    Raises:
        DataError: they do; it says of which kind, and how to learn classes from the images.
    """
    folders = {folder: names for folder, names in walk.tree().items() if names}
    images = [name for names in folders.values() for name in names]
    if not images:
        return
    others = walk.others()
    found = find_beside(walk.root, images, others) or find_list(walk.root, others)
    if found and not names_classes(found.labels, folders):
        holds, task = ("sentences", "captioning") if "captions" in found.format else ("boxes or outlines", "detection")
        what = f"images with {holds} ({found.format}: {shown(found.file, 50)}): {task} is not a task yet"
        raise DataError(what, where=walk.root, fix=_fix(walk, list(folders), found.file))


def _fix(walk: Walk, kept: list[str], file: str) -> str:
    """Return what to do so that the images in the folders `kept` can be classified."""
    if len(classes_of(kept)) > 1:
        return f"to learn the folders as classes, move {shown(file, 40)} and all like it elsewhere"
    inner = os.path.commonpath(kept) if kept and all(kept) else ""
    if inner and len(classes_of(name.removeprefix(inner).lstrip("/") for name in kept)) > 1:
        return f"open {shown(walk.root / inner, 90)}, whose folders can be classes"
    return LABEL


def names_classes(labels: frozenset[str], folders: dict[str, list[str]]) -> bool:
    """Return whether a list of boxes calls things as the class folders are called: then these are classes all the same.

    Args:
        labels: the names in the list, in small letters.
    """
    classes = {name.casefold() for name in classes_of(folders)}
    return len(classes) > 1 and 2 * len(classes & labels) >= len(classes)


def classes_of(folders: Iterable[str]) -> set[str]:
    """Return the folders of images that could be classes: the first ones, or the first in those of splits.

    Example:
        >>> sorted(classes_of(["cat", "dog/old", "images", "train/yak", "val"]))
        ['cat', 'dog', 'yak']
    """
    paths = [folder.split("/") for folder in folders]
    names = [parts[1:2] if parts[0].casefold() in SPLIT_NAMES else parts[:1] for parts in paths]
    return {name for first in names for name in first if name and not NO_CLASS.fullmatch(name)}
