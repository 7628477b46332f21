"""COCO JSON with polygons or run lengths, as class masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from striate.base.documents import read_json
from striate.base.errors import DataError
from striate.base.text import listed, plural, shown

from ..channels import sampled_channels
from ..sample import IGNORE, SPLITS, Dataset, Reading
from ..target import Mask
from .annotated import names_classes
from .boxes import is_coco
from .images import FileImages
from .mask_pairs import split_of
from .names import folder_name
from .outlines import Outline, OutlineMasks, area_of, run_lengths
from .walk import Reason, Walk

BACKGROUND = "background"
MAX_CLASSES = 254
NO_FILE = Reason("listed image without file", "listed images without file", True, "restore them")
UNLISTED = Reason("image that is not listed", "images that are not listed")
EMPTY = "outlines without area"
OVERLAPS = "masks are drawn of outlines: where two overlap the smaller one is on top, crowds are ignored"


@dataclass
class Collected:
    """What the files say of the images, in their order."""

    names: list[str] = field(default_factory=list)
    sizes_hw: list[tuple[int, int]] = field(default_factory=list)
    outlines: list[list[Outline]] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # images without file
    flat: list[str] = field(default_factory=list)  # annotations without area


def read(walk: Walk, where: str, ignore: str | None = None) -> Dataset | None:
    """Return the dataset of the COCO files of a folder, None where there are none with outlines.

    Classes are "background" and the categories of all files in the order of their ids. Files named for a split, or
    in a folder named so, are splits.

    Raises:
        DataError: a file lacks a part, or an annotation names an image or a category that is not there, or has no
            outline that can be drawn; the message has its id.

    Reference: Lin et al., Microsoft COCO: Common Objects in Context (2014).
    """
    files = [name for name in walk.others() if name.lower().endswith(".json") and is_coco(walk.root / name)]
    documents = {name: _document(walk.root / name) for name in files}
    documents = {name: one for name, one in documents.items() if any(a.get("segmentation") for a in one["annotations"])}
    folders = {folder: names for folder, names in walk.tree().items() if names}
    if not documents or names_classes(_category_names(documents), folders):
        return None
    names = _classes(walk, documents, ignore)
    found, files_of = Collected(), _Files([name for some in folders.values() for name in some])
    for name, document in documents.items():
        _collect(found, walk.root / name, name, document, names, files_of)
    if not found.names:
        raise DataError("none of the listed images is there", where=walk.root / next(iter(documents)), fix=NO_FILE.fix)
    walk.use(*documents)
    unlisted = sorted(set(files_of.names) - set(found.names))
    for reason, some in ((NO_FILE, found.lost), (UNLISTED, unlisted)):
        if some:
            walk.leave_out(reason, *some)
    return outline_dataset(walk, where, found, names, ignore, "COCO JSON", walk.root / next(iter(documents)))


def outline_dataset(
    walk: Walk, where: str, found: Collected, names: dict[str, int], ignore: str | None, layout: str, file: Path
) -> Dataset:
    """Return the dataset of outlines that were collected.

    Args:
        names: the class of each name, 255 of those that are ignored.
        file: the first annotation file.
    """
    classes = tuple(name for name, label in sorted(names.items(), key=lambda item: item[1]) if label != IGNORE)
    masks = OutlineMasks(tuple(found.sizes_hw), tuple(map(tuple, found.outlines)), file)
    channels, said = sampled_channels(walk.root, found.names)
    splits = {
        split: np.array([at for at, own in enumerate(found.splits) if own == split], np.intp)
        for split in SPLITS
        if split in found.splits
    }
    left_out = walk.left_out()
    readings = [Reading(OVERLAPS)]
    if quiet := sorted(name for name, label in names.items() if label == IGNORE):
        readings.append(Reading(f"left out of loss and scores: {listed(quiet)}"))
    if found.flat:
        text = f"{plural(len(found.flat), 'outline')} without area left out: {listed(found.flat[:5])}"
        readings.append(Reading(text, is_doubtful=True, fix="remove or mend them"))
    return Dataset(
        name=folder_name(walk.root),
        where=where,
        images=FileImages(walk.root, tuple(found.names), channels),
        ids=tuple(found.names),
        targets={"mask": Mask(masks, classes)},
        splits=splits if "train" in splits else {},
        channels=channels,
        notes=(f"layout: {layout}", said, *(one.text for one in left_out)),
        left_out=left_out,
        readings=tuple(readings),
    )


def _document(path: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = read_json(path, "annotations", dict)
    for part in ("images", "annotations", "categories"):
        rows = document.get(part)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"no list {part!r}", where=path, fix="write images, annotations and categories")
    return document


def _category_names(documents: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(
        str(one.get("name")).casefold() for document in documents.values() for one in document["categories"]
    )


def _classes(walk: Walk, documents: Mapping[str, Mapping[str, Any]], ignore: str | None) -> dict[str, int]:
    """Return the class of each category by name, background 0."""
    names: dict[str, None] = {BACKGROUND: None}
    for name, document in documents.items():
        rows = document["categories"]
        if not all(isinstance(row.get("id"), int) and str(row.get("name") or "").strip() for row in rows):
            raise DataError("a category without id or name", where=walk.root / name, fix="mend 'categories'")
        names |= dict.fromkeys(str(row["name"]) for row in sorted(rows, key=lambda row: int(row["id"])))
    return numbered(list(names), ignore, walk.root / next(iter(documents)))


def numbered(names: Sequence[str], ignore: str | None, where: Path) -> dict[str, int]:
    """Return the class of each name in their order, 255 of those that are to be ignored.

    Raises:
        DataError: a name that is to be ignored is not there, or there are fewer than two classes or too many.
    """
    ignored = {word.strip() for word in (ignore or "").split(",") if word.strip()}
    for word in ignored - set(names):
        raise DataError(f"no class is called {word!r}", where="--ignore", fix=f"choose of {listed(list(names)[:5])}")
    kept = [name for name in names if name not in ignored]
    if not 2 <= len(kept) <= MAX_CLASSES:
        raise DataError(f"{plural(len(kept), 'class', 'classes')}; 2 to {MAX_CLASSES} are read", where=where,
                        fix="take others out with --ignore, or merge some")  # fmt: skip
    return {name: kept.index(name) if name in kept else IGNORE for name in names}


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


def _collect(
    found: Collected, path: Path, name: str, document: Mapping[str, Any], names: dict[str, int], files: _Files
) -> None:
    categories = {int(one["id"]): names[str(one["name"])] for one in document["categories"]}
    split = split_of(f"{name.removesuffix('.json')}/")
    things: dict[Any, list[Outline]] = {}
    for row in document["images"]:
        if "id" not in row or row["id"] in things or not isinstance(row.get("file_name"), str):
            what = f"image {row.get('id')} has no file name, or its id is there twice"
            raise DataError(what, where=path, fix="mend 'images'")
        things[row["id"]] = []
    sizes = {row["id"]: (int(row.get("height") or 0), int(row.get("width") or 0)) for row in document["images"]}
    for row in document["annotations"]:
        image, category = row.get("image_id"), row.get("category_id")
        for part, is_known in (("image_id", image in things), ("category_id", category in categories)):
            if not is_known:
                what = f"annotation {row.get('id')} has the {part} {row.get(part)}, which is not there"
                raise DataError(what, where=path, fix="mend or remove the annotation")
        outline = _outline(row, IGNORE if row.get("iscrowd") else categories[category], sizes[image], path)
        if outline is None:
            found.flat.append(f"annotation {row.get('id')}")
        else:
            things[image].append(outline)
    for row in document["images"]:
        file = files.of(row["file_name"], name, split)
        if file is None:
            found.lost.append(row["file_name"])
            continue
        if min(sizes[row["id"]]) < 1:
            raise DataError(f"image {row['id']} has no height and width", where=path, fix="mend 'images'")
        found.names.append(file)
        found.sizes_hw.append(sizes[row["id"]])
        found.outlines.append(things[row["id"]])
        found.splits.append(split)


def _outline(row: Mapping[str, Any], label: int, size_hw: tuple[int, int], path: Path) -> Outline | None:
    """The outline of an annotation, None where it covers nothing."""
    shape = row.get("segmentation")
    try:
        if isinstance(shape, Mapping):
            runs = shape["counts"]
            runs = run_lengths(runs) if isinstance(runs, str) else [int(run) for run in runs]
            if min(runs, default=0) < 0 or sum(runs) != size_hw[0] * size_hw[1]:
                raise ValueError(f"run lengths of {sum(runs):,} pixels for {size_hw[0]:,} x {size_hw[1]:,}")
            return Outline(label, float(sum(runs[1::2])), runs=tuple(runs)) if sum(runs[1::2]) else None
        polygons = tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in shape or ())
        if not all(np.isfinite(polygon).all() for polygon in polygons):
            raise ValueError("a coordinate that is no number")
    except (ValueError, TypeError, KeyError) as problem:
        what = f"the segmentation of annotation {row.get('id')} cannot be read ({shown(problem, 60)})"
        raise DataError(what, where=path, fix="mend or remove the annotation") from problem
    area = sum(map(area_of, polygons))
    return Outline(label, area, polygons) if area > 0 else None
