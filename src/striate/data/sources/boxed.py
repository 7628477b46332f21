"""Images with boxes, as every format gives them: targets, splits, and how boxes lie in images that EXIF turns."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from striate.base.device import num_cpus
from striate.base.text import plural, shown

from ..channels import sampled_channels
from ..check.finding import listed
from ..decode import Probe, header
from ..sample import SPLITS, Dataset, Reading, Usual
from ..target import Boxes, Label, Points, Target
from ..target.extent import Extent
from ..target.points import pairs_of
from ..upright import turned_boxes, turned_points
from .images import FileImages
from .mask_pairs import split_of
from .names import class_list, folder_name
from .walk import Reason, Walk

NO_IMAGE = Reason("file of boxes without image", "files of boxes without image", True, "restore their images")
LONG_PX, STEP_PX = 320, 16  # of the usual view of a detector: its longer side, and what sides are rounded to
MAX_HEADERS = 20_000  # of more images only a sample is asked how EXIF turns it
SideXYXY = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """One thing: its class, its box in pixels from the outer corner, whether it is hard to make out, or a crowd.

    `number` says which of its source it is: an annotation's id, a line. `extent` is what it covers, if that is known,
    `points` are x, y and visibility of each of the collection's key points.
    """

    name: str
    xyxy: SideXYXY
    is_difficult: bool = False
    is_crowd: bool = False
    number: int = 0
    extent: Extent | None = None
    points: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Boxed:
    """An image, its split as far as one is known, the things in it, and its size as its source says, or None."""

    name: str
    split: str | None
    things: tuple[Thing, ...]
    size_hw: tuple[int, int] | None = None


@dataclass(frozen=True)
class Collection:
    """The images of a source, its format, what `Thing.number` counts, how it was read where that is doubtful, and the
    names of the key points of each thing."""

    images: Sequence[Boxed]
    layout: str
    origin: str
    readings: tuple[Reading, ...] = ()
    points: tuple[str, ...] = ()


def targets_of(
    images: Sequence[Boxed], where: object, origin: str = "", points: Sequence[str] = ()
) -> dict[str, Target]:
    """Return the target "box", and "label" where each image has one object and there are two classes or more.

    Args:
        points: names of the key points that each thing has.

    Raises:
        DataError: names of classes differ by case only.
    """
    things = [image.things for image in images]
    names = class_list((thing.name for some in things for thing in some), where)
    label_of = {name: label for label, name in enumerate(names)}
    labels = [[label_of[thing.name] for thing in some] for some in things]
    boxes = Boxes.of(
        [[thing.xyxy for thing in some] for some in things],
        labels,
        names,
        crowd=[[thing.is_crowd for thing in some] for some in things],
        difficult=[[thing.is_difficult for thing in some] for some in things],
    )
    each = [one for some in things for one in some]
    extents = tuple(one.extent for one in each if one.extent is not None)
    boxes = replace(
        boxes,
        origin=origin,
        numbers=np.array([one.number for one in each], np.int64),
        extents=extents if len(extents) == len(each) else (),
        points=_points(things, points) if points else None,
    )
    has_label = boxes.is_single and len(names) > 1
    return {"box": boxes} | ({"label": Label(np.array(labels, np.int64)[:, 0], names)} if has_label else {})


def _points(things: Sequence[tuple[Thing, ...]], names: Sequence[str]) -> Points:
    tables = [np.array([one.points for one in some], np.float64).reshape(-1, len(names), 3) for some in things]
    return Points.of([one[..., :2] for one in tables], [one[..., 2] for one in tables], names, pairs_of(names))


def dataset_of(walk: Walk, where: str, found: Collection) -> Dataset:
    """Return the dataset of images with boxes.

    Raises:
        DataError: names of classes differ by case only.
    """
    images, readings = upright_boxes(walk.root, found.images)
    names = tuple(image.name for image in images)
    channels, said = sampled_channels(walk.root, list(names))
    own = [image.split for image in images]
    splits = {split: np.array([at for at, one in enumerate(own) if one == split], np.intp) for split in SPLITS}
    targets, left_out = targets_of(images, walk.root, found.origin, found.points), walk.left_out()
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
        notes=(f"layout: boxes of {found.layout}, {_amount(images)}", first, said, *(one.text for one in left_out)),
        left_out=left_out,
        readings=(*found.readings, *readings),
        usual=Usual()
        if set(map(_count, images)) == {1}
        else Usual(size_hw=usual_view([image.size_hw for image in images])),
    )


def usual_view(sizes_hw: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the height and width at which a detector usually sees images: their median size, at most 320 px.

    Example:
        >>> usual_view([(480, 640)] * 3), usual_view([(100, 90)]), usual_view([None])
        ((240, 320), (96, 96), None)
    """
    known = np.array([size for size in sizes_hw if size is not None], np.float64)
    if not len(known):
        return None
    height, width = np.median(known, axis=0)
    scale = min(1.0, LONG_PX / max(height, width))
    high, wide = (max(STEP_PX, round(side * scale / STEP_PX) * STEP_PX) for side in (height, width))
    return high, wide


def _count(image: Boxed) -> int:
    return len(image.things)


def _amount(images: Sequence[Boxed]) -> str:
    counts = list(map(_count, images))
    if set(counts) == {1}:
        return "one object an image"
    empty = counts.count(0)
    return f"{sum(counts):,} in {plural(len(counts), 'image')}" + (f", {empty:,} without any" if empty else "")


def pair_files(walk: Walk, suffix: str, quiet: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the file of boxes of each image that has one: of the same name, in its folder or the nearest.

    Args:
        suffix: of the files.
        quiet: names of files that belong to no image and are not missed.
    """
    by_stem: dict[str, list[str]] = {}
    for name in (name for some in walk.tree().values() for name in some):
        for key in (PurePosixPath(name).stem, PurePosixPath(name).name):
            by_stem.setdefault(key.casefold(), []).append(name)
    files: dict[str, str] = {}
    own = [name for name in walk.others() if PurePosixPath(name).suffix.casefold() == suffix.casefold()]
    walk.use(*own)
    for file in own:
        stem = PurePosixPath(file).stem
        images = by_stem.get(stem.casefold(), ())
        image = min(images, key=lambda name: _distance(name, file), default=None)
        if image is not None and image not in files:
            files[image] = file
        elif PurePosixPath(file).name not in quiet:
            walk.leave_out(NO_IMAGE, file)
    return files


def _distance(image: str, file: str) -> tuple[bool, bool, bool, int, bool]:
    """How far an image lies from the file that names its things: another folder's name, another split, elsewhere, few
    folders around both, another case.
    """
    image_folder, file_folder = PurePosixPath(image).parent, PurePosixPath(file).parent
    shared = len({*image_folder.parents} & {*file_folder.parents})
    is_other = not PurePosixPath(image).name.startswith(PurePosixPath(file).stem)
    is_elsewhere = image_folder.name != file_folder.name, split_of(image) != split_of(file), image_folder != file_folder
    return (*is_elsewhere, -shared, is_other)


def upright_boxes(root: Path, images: Sequence[Boxed], noun: str = "boxes") -> tuple[list[Boxed], tuple[Reading, ...]]:
    """Return the images with boxes and sizes as they are upright, and what a person should know of it.

    Boxes of an image that EXIF turns are those of the file where the source says the size of the file's pixels, and
    those of the upright image where it says that size; where it says none, or both are alike, the others decide.

    Args:
        noun: what a message calls the boxes.
    """
    probes = _probes(root, images)
    turned = [at for at, probe in probes.items() if probe.orientation != 1]
    lies = {at for at in turned if _lies(images[at], probes[at]) is True}
    stands = {at for at in turned if _lies(images[at], probes[at]) is False}
    is_lying = len(lies) > len(stands)
    found = list(images)
    for at, probe in probes.items():
        if probe.orientation != 1 and (at in lies or (is_lying and at not in stands)):
            found[at] = _turned(images[at], probe)
        size_hw = probe.size_hw[::-1] if probe.orientation > 4 else probe.size_hw
        found[at] = replace(found[at], size_hw=size_hw if min(size_hw) > 0 else None)
    turns = _turn_readings(len(turned), len(lies), len(stands), noun)
    return found, (*turns, *_size_readings(images, probes, noun))


def _probes(root: Path, images: Sequence[Boxed]) -> dict[int, Probe]:
    indices = range(len(images)) if len(images) <= MAX_HEADERS else range(0, len(images), len(images) // MAX_HEADERS)
    with ThreadPoolExecutor(num_cpus()) as pool:
        return dict(zip(indices, pool.map(lambda at: header(root / images[at].name), indices), strict=True))


def _lies(image: Boxed, probe: Probe) -> bool | None:
    """Whether boxes lie as the pixels of the file do; None where the size does not say."""
    height, width = probe.size_hw
    if probe.orientation < 5 or height == width or image.size_hw not in {(height, width), (width, height)}:
        return None
    return image.size_hw == (height, width)


def _turned(image: Boxed, probe: Probe) -> Boxed:
    height, width = probe.size_hw
    boxes = turned_boxes(
        np.array([thing.xyxy for thing in image.things]).reshape(-1, 4), probe.orientation, (height, width)
    )
    things = tuple(
        replace(
            one,
            xyxy=tuple(box),
            extent=one.extent and one.extent.turned(probe.orientation),
            points=_turned_points(one.points, probe),
        )
        for one, box in zip(image.things, boxes.tolist(), strict=True)
    )
    return replace(image, things=things, size_hw=None)


def _turned_points(points: Sequence[tuple[float, ...]], probe: Probe) -> tuple[tuple[float, ...], ...]:
    table = np.array(points, np.float64).reshape(-1, 3)
    table[:, :2] = turned_points(table[:, :2], probe.orientation, probe.size_hw)
    return tuple(map(tuple, table.tolist()))


def _turn_readings(turned: int, lying: int, standing: int, noun: str) -> list[Reading]:
    if not turned:
        return []
    how = "turned with them" if lying > standing else "read as those of the upright images"
    text = f"{plural(turned, 'image')} turned upright by EXIF; their {noun} are {how}"
    unsure = turned - lying - standing
    text += f"; of {unsure} the size says nothing" if unsure else ""
    return [Reading(text, is_doubtful=unsure > 0 or min(lying, standing) > 0, fix="look at the contact sheet of check")]


def _size_readings(images: Sequence[Boxed], probes: dict[int, Probe], noun: str) -> list[Reading]:
    """What is said of images of another size than their source says: what is marked may be at another scale."""
    odd = []
    for at, probe in probes.items():
        said, own = images[at].size_hw, probe.size_hw
        if said is not None and min(said) > 0 and min(own) > 0 and said not in {own, own[::-1]}:
            odd.append(f"{shown(images[at].name, 60)} ({own[1]}x{own[0]}, said to be {said[1]}x{said[0]})")
    if not odd:
        return []
    text = f"{plural(len(odd), 'image')} of another size than their {noun} were made for: {listed(odd)}"
    return [Reading(text, is_doubtful=True, fix=f"scale the {noun}, or restore the images")]


def twice(values: Sequence[object]) -> list[object]:
    """Return those of the values that occur more than once, in their order.

    Example:
        >>> twice([1, 2, 1, 3, 3, 1])
        [1, 3]
    """
    return [value for value, count in Counter(values).items() if count > 1]
