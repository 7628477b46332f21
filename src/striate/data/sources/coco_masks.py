"""COCO JSON with polygons or run lengths, as class masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.text import listed, plural

from ..channels import sampled_channels
from ..sample import IGNORE, SPLITS, Dataset, Reading
from ..target import Mask
from ..target.extent import area_of
from .boxed import targets_of, upright_boxes
from .coco import category_names, documents, listed_images
from .coco_boxes import ORIGIN, boxed, doubts, extent_of
from .images import FileImages
from .names import folder_name, names_classes
from .outlines import Outline, OutlineMasks
from .walk import Walk

BACKGROUND = "background"
MAX_CLASSES = 254
OVERLAPS = "masks are drawn of outlines: where two overlap the smaller one is on top, crowds are ignored"


@dataclass
class Collected:
    """What the files say of the images, in their order."""

    names: list[str] = field(default_factory=list)
    sizes_hw: list[tuple[int, int]] = field(default_factory=list)
    outlines: list[list[Outline]] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    flat: list[str] = field(default_factory=list)  # annotations without area


def read(walk: Walk, where: str, ignore: str | None = None) -> Dataset | None:
    """Return the dataset of the COCO files of a folder, None where there are none with outlines.

    Classes are "background" and the categories of all files in the order of their ids. Files named for a split, or
    in a folder named so, are splits. Boxes are a further target, "box", and where each image has one object "label".

    Raises:
        DataError: a file lacks a part, or an annotation names an image or a category that is not there, or has no
            outline that can be drawn; the message has its id.

    Reference: Lin et al., Microsoft COCO: Common Objects in Context (2014).
    """
    lists = {name: one for name, one in documents(walk).items() if any(map(_has_outline, one["annotations"]))}
    known = category_names(lists.values())
    folders = {folder: names for folder, names in walk.tree().items() if names}
    if not lists or names_classes(frozenset(name.casefold() for name in known), folders):
        return None
    first = walk.root / next(iter(lists))
    names = numbered(list(dict.fromkeys([BACKGROUND, *known])), ignore, first)
    found = Collected()
    images = listed_images(walk, lists)
    for image in images:
        if min(image.size_hw) < 1:
            raise DataError(f"image {image.id} has no height and width", where=image.path, fix="mend 'images'")
        found.names.append(image.name)
        found.sizes_hw.append(image.size_hw)
        found.splits.append(image.split)
        found.outlines.append([])
        for name, row in image.things:
            outline = _outline(row, IGNORE if row.get("iscrowd") else names[name], image.size_hw, image.path)
            if outline is None:
                found.flat.append(f"annotation {row.get('id')}")
            else:
                found.outlines[-1].append(outline)
    dataset = outline_dataset(walk, where, found, names, ignore, "COCO JSON", first)
    dataset = replace(dataset, readings=(*dataset.readings, *doubts(lists)))
    if not all("bbox" in row for image in images for _, row in image.things):
        return dataset
    boxes, _ = upright_boxes(walk.root, [boxed(image) for image in images])
    return replace(dataset, targets=dataset.targets | targets_of(boxes, first, ORIGIN))


def _has_outline(row: Mapping[str, Any]) -> bool:
    return bool(row.get("segmentation"))


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


def _outline(row: Mapping[str, Any], label: int, size_hw: tuple[int, int], path: Path) -> Outline | None:
    """The outline of an annotation, None where it covers nothing."""
    extent = extent_of(row, size_hw, path)
    area = float(sum(extent.runs[1::2])) if extent.runs else sum(map(area_of, extent.polygons))
    return Outline(label, area, extent.polygons, extent.runs) if area > 0 else None
