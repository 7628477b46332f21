"""Names of classes and folders: their order, and names that a person or a file system would take for the same."""

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from striate.base.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# folders that hold a split, or the images of all classes: their names are no classes
NO_CLASS = re.compile(
    r"(?:train|trainval|training|val|valid|validation|test|testing|dev|minival"
    r"|(?:jpeg|png|bmp|tif)?(?:images?|imgs?|pictures?|photos?|frames?|data|raw|rgb|inputs?|source))[-_]?[0-9]*",
    re.IGNORECASE,
)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which numbers inside a name count as numbers.

    Example:
        >>> sorted(["img10", "img9", "Img1"], key=natural_key)
        ['Img1', 'img9', 'img10']
    """
    parts = re.split(r"([0-9]{1,18})", text)
    pieces = tuple((0, int(part), "") if index % 2 else (1, 0, part.casefold()) for index, part in enumerate(parts))
    return (*pieces, (2, 0, text))  # the name itself last: equal keys would leave the order to the file system


def folder_name(path: Path) -> str:
    """Return what a folder is called, also where its path does not say so: `.`, `..` and the root of a disk.

    Example:
        >>> folder_name(Path("photos/birds")), folder_name(Path("/"))
        ('birds', 'data')
    """
    return Path(os.path.abspath(path)).name or "data"  # noqa: PTH100 - a link keeps its own name


def class_list(names: Iterable[str], where: object) -> tuple[str, ...]:
    """Return the distinct names in natural order.

    Raises:
        DataError: two of them differ only by case, Unicode form, blanks or characters that nobody sees.

    Example:
        >>> class_list(["10", "2", "1", "2"], "labels.csv")
        ('1', '2', '10')
    """
    ordered = tuple(sorted(set(names), key=natural_key))
    seen: dict[str, str] = {}
    for name in ordered:
        other = seen.setdefault(_seen_form(name), name)
        if other != name:
            forms = f"{other!r} and {name!r}" if other.casefold() == name.casefold() else f"{other!a} and {name!a}"
            raise DataError(
                f"classes {forms} differ only by case, Unicode form, blanks or hidden characters",
                where=where,
                fix="give both the same name, or two different ones",
            )
    return ordered


def _seen_form(name: str) -> str:
    """Return what a person takes a name for: without case, hidden characters (category Cf) and doubled blanks."""
    visible = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return " ".join(visible.casefold().split())


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
