"""Boxes of COCO JSON: of any number an image; images without annotations have none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from striate.base.errors import DataError
from striate.base.runs import run_lengths
from striate.base.text import listed, plural, shown

from ..sample import Reading
from ..target.extent import Extent
from .boxed import Boxed, Collection, Thing, twice
from .coco import MAX_PX, Document, Listed, documents, is_number, listed_images
from .coco_points import in_pixels, index_readings, marks_of, point_names
from .point_images import Marks
from .walk import Walk

ORIGIN = "annotation {}"


def read(walk: Walk, like: str) -> Collection:
    """Return the images that the COCO files of a folder list; a file named for a split is one.

    Raises:
        DataError: a file is not whole, or an annotation has no box.
    """
    lists = {name: one for name, one in documents(walk).items() if any(map(_has_place, one["annotations"]))}
    if not lists and like:
        raise DataError(
            "COCO annotations without boxes", where=walk.root / like, fix="with key points use --task points"
        )
    listed = listed_images(walk, lists) if lists else []
    images, names = [boxed(image) for image in listed], point_names(lists)
    if len(names) != 1:
        return Collection(images, "COCO", ORIGIN, (*doubts(lists), *_unread(lists, names)))
    (points,) = names
    marks = [marks_of(row, len(points), image.path) for image in listed for _, row in image.things]
    images = list(_with_points(images, in_pixels(marks)))
    return Collection(images, "COCO", ORIGIN, (*doubts(lists), *index_readings(marks)), points)


def _unread(lists: Mapping[str, Document], names: Mapping[tuple[str, ...], str]) -> list[Reading]:
    """What is said of key points that are not read: categories have different ones, or no names of them."""
    if names:
        why = f"the categories {' and '.join(list(names.values())[:2])} have different key points"
    elif any(row.get("keypoints") for one in lists.values() for row in one["annotations"]):
        why = "there are key points, and no category has a list of their names (`keypoints`)"
    else:
        return []
    return [Reading(f"{why}: boxes are read alone")]


def _with_points(images: Sequence[Boxed], marks: Sequence[Marks]) -> Iterator[Boxed]:
    """Images whose things have these points, one after the other."""
    rest = iter(marks)
    for image in images:
        things = (replace(one, points=tuple(map(tuple, next(rest).tolist()))) for one in image.things)
        yield replace(image, things=tuple(things))


def _has_place(row: Mapping[str, Any]) -> bool:
    return "bbox" in row or _is_outlined(row)


def _is_outlined(row: Mapping[str, Any]) -> bool:
    return bool(row.get("segmentation"))


def _hull(polygons: Any) -> Any:
    """The x, y, width, height of polygons, for annotations without a box of their own; None of anything else."""
    is_polygons = isinstance(polygons, list) and polygons and all(isinstance(one, list) and one for one in polygons)
    values = [value for one in polygons for value in one] if is_polygons else []
    if len(values) < 6 or not all(map(is_number, values)):
        return None
    x, y = values[::2], values[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def boxed(image: Listed) -> Boxed:
    """Return a listed image with its boxes.

    Raises:
        DataError: one is not x, y, width, height.
    """
    things = []
    for name, row in image.things:
        box: Any = row["bbox"] if "bbox" in row else _hull(row.get("segmentation"))
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            what = f"the bbox of annotation {row.get('id')} is not x, y, width, height"
            raise DataError(what, where=image.path, fix="mend or remove the annotation")
        left, top, width, height = map(float, box)
        number = row["id"] if isinstance(row.get("id"), int) else 0
        box = (left, top, left + width, top + height)
        extent = extent_of(row, image.size_hw, image.path) if _is_outlined(row) and min(image.size_hw) > 0 else None
        things.append(Thing(name, box, is_crowd=bool(row.get("iscrowd")), number=number, extent=extent))
    size_hw = image.size_hw if min(image.size_hw) > 0 else None
    return Boxed(image.name, image.split, tuple(things), size_hw)


def extent_of(row: Mapping[str, Any], size_hw: tuple[int, int], path: Path) -> Extent:
    """Return what an annotation's `segmentation` covers.

    Raises:
        DataError: it cannot be read.
    """
    shape = row.get("segmentation")
    try:
        if isinstance(shape, Mapping):
            runs = shape["counts"]
            runs = run_lengths(runs) if isinstance(runs, str) else [int(run) for run in runs]
            if min(runs, default=0) < 0 or sum(runs) != size_hw[0] * size_hw[1]:
                raise ValueError(f"run lengths of {sum(runs):,} pixels for {size_hw[0]:,} x {size_hw[1]:,}")
            return Extent(size_hw, runs=tuple(runs))
        polygons = tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in shape or ())
        if not all((np.abs(polygon) <= MAX_PX).all() for polygon in polygons):
            raise ValueError("a coordinate that is no pixel")
    except (ValueError, TypeError, KeyError, OverflowError) as problem:
        what = f"the segmentation of annotation {row.get('id')} cannot be read ({shown(problem, 60)})"
        raise DataError(what, where=path, fix="mend or remove the annotation") from problem
    return Extent(size_hw, polygons)


def doubts(lists: dict[str, Document]) -> tuple[Reading, ...]:
    """Return what a person should know of the lists: ids and names that are there twice."""
    found = []
    for name, document in lists.items():
        ids = [row.get("id") for row in document["annotations"]]
        if same := twice([one for one in ids if isinstance(one, int | str)]):
            text = (
                f"{plural(len(same), 'annotation id')} there twice in {name}: {listed([str(one) for one in same[:4]])}"
            )
            found.append(Reading(text, is_doubtful=True, fix="look whether these objects are there twice"))
        if same := twice([str(row["name"]) for row in document["categories"]]):
            text = (
                f"several categories of {name} are called {listed([repr(one) for one in same[:4]])}: read as one class"
            )
            found.append(Reading(text, is_doubtful=True, fix="give each category its own name"))
    return tuple(found)
