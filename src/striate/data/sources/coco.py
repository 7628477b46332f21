"""COCO JSON: the images that its files list, each with its annotations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from striate.base.errors import DataError
from striate.base.text import shown

from ..documents import read_object
from .boxes import is_coco
from .mask_pairs import split_of
from .walk import Reason, Walk

Document = Mapping[str, Any]
MAX_PX = 1e9  # of a side or a place; also what Python's largest whole numbers are held against
NO_FILE = Reason("listed image without file", "listed images without file", True, "restore them")
UNLISTED = Reason("image that is not listed", "images that are not listed")


@dataclass(frozen=True)
class Listed:
    """An image of a list that has a file: its id there, its size as it says, its split, and its annotations.

    Args:
        things: the name of the category, and the annotation as it stands in the list `path`.
    """

    name: str
    id: Any
    size_hw: tuple[int, int]
    split: str | None
    things: tuple[tuple[str, Mapping[str, Any]], ...]
    path: Path


def documents(walk: Walk) -> dict[str, Document]:
    """Return the lists of a folder by the names of their files.

    Raises:
        DataError: one lacks a part, or a category has no id or name.
    """
    files = [name for name in walk.others() if name.lower().endswith(".json") and is_coco(walk.root / name)]
    return {name: _document(walk.root / name) for name in files}


def is_number(value: Any) -> bool:
    """Return whether a value can be a place or a side in pixels; nan is none."""
    return isinstance(value, int | float) and abs(value) <= MAX_PX


def category_names(lists: Iterable[Document]) -> list[str]:
    """Return the categories of some lists, in the order of their ids and of the lists."""
    rows = (row for one in lists for row in sorted(one["categories"], key=lambda row: int(row["id"])))
    return list(dict.fromkeys(str(row["name"]) for row in rows))


def listed_images(walk: Walk, lists: Mapping[str, Document]) -> list[Listed]:
    """Return the images of some lists that have files; the others are left out of the walk, the lists taken in.

    Raises:
        DataError: an id is there twice, an annotation names an image or a category that is not there, or no image has
            a file.
    """
    files = _Files([name for some in walk.tree().values() for name in some])
    images: list[Listed] = []
    lost: list[str] = []
    for name, document in lists.items():
        images += _listed(walk.root / name, name, document, files, lost)
    if not images:
        raise DataError("none of the listed images is there", where=walk.root / next(iter(lists)), fix=NO_FILE.fix)
    walk.use(*lists)
    for reason, some in ((NO_FILE, lost), (UNLISTED, sorted(set(files.names) - {one.name for one in images}))):
        if some:
            walk.leave_out(reason, *some)
    return images


def _document(path: Path) -> Document:
    document: Document = read_object(path, "annotations")
    for part in ("images", "annotations", "categories"):
        rows = document.get(part)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"no list {part!r}", where=path, fix="write images, annotations and categories")
    ids = [row.get("id") for row in document["categories"]]
    if (same := next((one for one in ids if isinstance(one, int) and ids.count(one) > 1), None)) is not None:
        raise DataError(f"category id {same} is there twice", where=path, fix="give each category its own id")
    if not all(isinstance(row.get("id"), int) and str(row.get("name") or "").strip() for row in document["categories"]):
        raise DataError("a category without id or name", where=path, fix="mend 'categories'")
    for row in document["categories"]:
        _check_points(row, path)
    return document


def _check_points(category: Mapping[str, Any], path: Path) -> None:
    """Refuse key points of a category that have no names, or one that is there twice."""
    points = category.get("keypoints")
    if not isinstance(points, list):
        return
    of = f"category {shown(category['name'], 40)}"
    if not all(isinstance(name, str | int) and str(name).strip() for name in points):
        raise DataError(f"{of} has a key point without a name", where=path, fix="name each of its 'keypoints'")
    if len(set(map(str, points))) < len(points):
        raise DataError(f"{of} has a key point twice", where=path, fix="give each key point its own name")


def _size_hw(row: Mapping[str, Any], path: Path) -> tuple[int, int]:
    """Height and width of an image as its list has them, 0 where it does not say."""
    sides = [row.get(side) or 0 for side in ("height", "width")]
    if not all(map(is_number, sides)):
        what = f"height and width of image {row['id']} are {shown(sides, 60)}, not pixels"
        raise DataError(what, where=path, fix="mend 'images'")
    return int(sides[0]), int(sides[1])


class _Files:
    """The image files of a folder, by the end of their path."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._by_name: dict[str, list[str]] = {}
        for name in names:
            self._by_name.setdefault(PurePosixPath(name).name, []).append(name)

    def of(self, file_name: str, annotations: str, split: str | None) -> str | None:
        """Return the file that a list means: the one that lies as it says, of its split, nearest to the list."""
        parts = PurePosixPath(file_name.replace("\\", "/")).parts
        here = annotations.rpartition("/")[0]

        def order(name: str) -> tuple[bool, bool, bool]:
            return (PurePosixPath(name).parts[-len(parts) :] != parts, split_of(name) != split,
                    name.rpartition("/")[0] != here)  # fmt: skip

        return min(self._by_name.get(parts[-1] if parts else "", ()), key=order, default=None)


def _listed(path: Path, name: str, document: Document, files: _Files, lost: list[str]) -> list[Listed]:
    """The images of one list; the names of those without file are put into `lost`."""
    things = _things(path, document)
    split = split_of(f"{name.removesuffix('.json')}/")
    found = []
    for row in document["images"]:
        file = files.of(row["file_name"], name, split)
        if file is None:
            lost.append(row["file_name"])
            continue
        found.append(Listed(file, row["id"], _size_hw(row, path), split, tuple(things[row["id"]]), path))
    return found


def _things(path: Path, document: Document) -> dict[Any, list[tuple[str, Mapping[str, Any]]]]:
    """The annotations of each image, by its id, with their categories."""
    categories = {int(one["id"]): str(one["name"]) for one in document["categories"]}
    things: dict[Any, list[tuple[str, Mapping[str, Any]]]] = {}
    for row in document["images"]:
        is_named = isinstance(row.get("id"), int | str) and isinstance(row.get("file_name"), str)
        if not is_named or row["id"] in things:
            what = f"image {row.get('id')} has no file name or no number as its id, or its id is there twice"
            raise DataError(what, where=path, fix="mend 'images'")
        things[row["id"]] = []
    for row in document["annotations"]:
        image, category = row.get("image_id"), row.get("category_id")
        for part, value, known in (("image_id", image, things), ("category_id", category, categories)):
            if not isinstance(value, int | str) or value not in known:
                what = f"annotation {row.get('id')} has the {part} {row.get(part)}, which is not there"
                raise DataError(what, where=path, fix="mend or remove the annotation")
        if row.get("iscrowd") not in (None, 0, 1):
            what = f"the iscrowd of annotation {row.get('id')} is {shown(repr(row['iscrowd']), 40)}"
            raise DataError(what, where=path, fix="write 0, or 1 for a crowd")
        things[image].append((categories[category], row))
    return things
