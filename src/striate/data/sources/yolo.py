"""Boxes of YOLO: a text file an image, a line a box: `class x y width height`, the middle and the sides as shares.

A line of outlines (`class x y x y x y ...`) is read as the box around it. `data.yaml` names the classes and the splits.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from striate.base.errors import DataError, combined
from striate.base.text import listed, plural, shown

from ..decode import header
from ..sample import Dataset, Reading
from .boxed import Boxed, Collection, Thing, dataset_of, pair_files
from .boxes import Annotation
from .cells import read_text
from .kinds import number as number_of
from .mask_pairs import split_of
from .names import natural_key
from .walk import Walk
from .yolo_list import ClassFile, read_list

CLASS_LISTS = ("classes.txt", "obj.names", "labels.txt", "names.txt")
QUIET = frozenset({*CLASS_LISTS, "train.txt", "val.txt", "valid.txt", "test.txt", "requirements.txt", "README.txt",
                   "README.roboflow.txt", "README.dataset.txt"})  # fmt: skip
BEYOND = 1e-3  # what rounding may put a share outside 0..1
FIX_LINE = "write class x y width height, the sides as shares of the image's"


def read_listed(path: Path, where: str) -> Dataset:
    """Return the dataset of a `data.yaml`: of the folder that it names as `path`, else of its own.

    Raises:
        DataError: see `read`, or no image is there.
    """
    known = read_list(path)
    root = path.parent / known.path if known.path and (path.parent / known.path).is_dir() else path.parent
    walk = Walk(root)
    found = read(walk, "labels.txt", known)
    if not any(image.things for image in found.images):
        raise DataError("no image below its folder has a label file", where=path, fix="mend `path`")
    return dataset_of(walk, where, found)


def read(walk: Walk, like: str, known: ClassFile | None = None) -> Collection:
    """Return the images of a folder with their label files; one without lines or without a file has no boxes.

    Splits are those of `data.yaml`, as far as its folders are there, else those that the folders' names say.

    Args:
        like: one of the label files; the others have its suffix.
        known: the list of classes; by default that of the folder.

    Raises:
        DataError: a line is not a class and four shares, a class is beyond the list, or an image cannot be read.
    """
    known = known or _class_file(walk)
    files = pair_files(walk, PurePosixPath(like).suffix, QUIET)
    split_by_name = _splits(walk, known)
    names = sorted((name for some in walk.tree().values() for name in some), key=natural_key)
    images: list[Boxed] = []
    problems: list[DataError] = []
    for name in names:
        try:
            things = _things(walk.root, name, files[name], known) if name in files else ()
            images.append(Boxed(name, split_by_name.get(name) if split_by_name else split_of(name), things))
        except DataError as problem:
            problems.append(problem)
    if problems:
        raise combined(problems)
    if split_by_name:
        images = [image for image in images if image.split]
    return Collection(images, "YOLO", "line {}", tuple(_readings(names, files, images, known)))


def find(walk: Walk) -> Annotation | None:
    """Return a label file of a folder with a `data.yaml`, whatever its lines hold; None without."""
    stems = {PurePosixPath(name).stem for some in walk.tree().values() for name in some}
    labels = [name for name in walk.others() if name.endswith(".txt") and PurePosixPath(name).stem in stems]
    return Annotation("YOLO", labels[0]) if labels and _yaml(walk) else None


def _yaml(walk: Walk) -> str | None:
    others = sorted(walk.others(), key=lambda name: name.count("/"))
    lists = (name for name in others if name.lower().endswith((".yaml", ".yml")))
    return next((name for name in lists if re.search(r"^names\s*:", _start(walk.root / name), re.M)), None)


def _class_file(walk: Walk) -> ClassFile | None:
    """The list of classes: the `.yaml` with names nearest to the root, else a list of one class a line."""
    if (name := _yaml(walk)) is not None:
        walk.use(name)
        return read_list(walk.root / name)
    others = sorted(walk.others(), key=lambda name: name.count("/"))
    for name in others:
        if PurePosixPath(name).name in CLASS_LISTS:
            walk.use(*(one for one in others if PurePosixPath(one).name == PurePosixPath(name).name))
            return read_list(walk.root / name)
    return None


def _start(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1 << 16).decode("utf-8", "replace")


def _things(root: Path, image: str, file: str, known: ClassFile | None) -> tuple[Thing, ...]:
    """The boxes of a label file, in pixels of the upright image."""
    rows = [(at, line.split()) for at, line in enumerate(read_text(root / file).splitlines(), 1) if line.strip()]
    if not rows:
        return ()
    probe = header(root / image)
    height, width = probe.size_hw[::-1] if probe.orientation > 4 else probe.size_hw
    if probe.problem:
        height = width = 1  # the check names the image
    found = []
    for at, cells in rows:
        name, (left, top, right, bottom) = _line(cells, known, f"{root / file}:{at}")
        found.append(Thing(name, (left * width, top * height, right * width, bottom * height), number=at))
    return tuple(found)


def _line(cells: Sequence[str], known: ClassFile | None, where: str) -> tuple[str, tuple[float, float, float, float]]:
    """The class of a line and its box as shares xyxy."""
    shares = [number_of(cell) for cell in cells[1:]]
    is_outline = len(cells) >= 7 and len(cells) % 2 == 1
    if len(cells) != 5 and not is_outline:
        raise DataError(f"{plural(len(cells), 'column')}, not 5", where=where, fix=FIX_LINE)
    odd = next((cell for cell, share in zip(cells[1:], shares, strict=True) if share is None), None)
    if odd is not None:
        raise DataError(f"{shown(odd, 20)!r} is no number", where=where, fix=FIX_LINE)
    beyond = next((share for share in shares if not -BEYOND <= (share or 0) <= 1 + BEYOND), None)
    if beyond is not None:
        raise DataError(f"the share {beyond:g} is not in 0 to 1", where=where, fix="divide pixels by the image's sides")
    values = [share or 0.0 for share in shares]
    if is_outline:
        return _name(cells[0], known, where), (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    x, y, wide, high = values
    return _name(cells[0], known, where), (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


def _name(cell: str, known: ClassFile | None, where: str) -> str:
    if not re.fullmatch(r"\d+(?:\.0*)?", cell):
        raise DataError(f"{shown(cell, 20)!r} is no number of a class", where=where, fix=FIX_LINE)
    label = math.floor(float(cell))
    if known is None:
        return str(label)
    most = len(known.names) or known.count
    if most is None or label in known.names or (not known.names and label < most):
        return known.names.get(label, str(label))
    what = f"class {label}, and {known.file.name} has {plural(most, 'class', 'classes')} (0 to {most - 1})"
    raise DataError(what, where=where, fix=f"mend the class, or name it in {known.file.name}")


def _splits(walk: Walk, known: ClassFile | None) -> dict[str, str]:
    """The split of each image that the list's folders, or its lists of images, name; nothing where none is there."""
    if known is None or not known.splits:
        return {}
    every = [name for some in walk.tree().values() for name in some]
    base = (known.file.parent / known.path).resolve() if known.path else known.file.parent.resolve()
    found: dict[str, str] = {}
    for split, entries in known.splits.items():
        for entry in entries:
            names = _members(walk, base, known.file.parent, entry, every)
            found |= {name: split for name in names if name not in found}
    return found if set(found.values()) >= {"train", "val"} else {}


def _members(walk: Walk, base: Path, beside: Path, entry: str, every: Sequence[str]) -> list[str]:
    root = walk.root.resolve()
    for folder in (base / entry, beside / entry):
        place = folder.resolve()
        if place.is_dir() and place.is_relative_to(root):
            prefix = place.relative_to(root).as_posix()
            return [name for name in every if prefix == "." or name.startswith(f"{prefix}/")]
        if place.is_file() and place.is_relative_to(root) and place.suffix == ".txt":
            walk.use(place.relative_to(root).as_posix())
            lines = [line.strip() for line in read_text(place).splitlines() if line.strip()]
            ends = [PurePosixPath(line.removeprefix("./")).as_posix().lstrip("/") for line in lines]
            tails = {name: name for name in every} | {f"{root.as_posix()}/{name}".lstrip("/"): name for name in every}
            return [tails[one] for one in ends if one in tails]
    return []


def _readings(
    names: Sequence[str], files: Mapping[str, str], images: Sequence[Boxed], known: ClassFile | None
) -> list[Reading]:
    found = []
    if missing := [name for name in names if name not in files]:
        text = f"{plural(len(missing), 'image')} without a label file: taken for background, as by YOLO"
        text += f" ({listed([shown(name, 60) for name in missing[:3]])})"
        found.append(Reading(text, is_doubtful=True, fix="write an empty .txt for each image that shows nothing"))
    used = {thing.name for image in images for thing in image.things}
    if known is None:
        text = f"no data.yaml names the classes: they are called {listed(sorted(used, key=natural_key)[:6])}"
        found.append(Reading(text, fix="write a data.yaml with names: [first, second, ...] into the folder"))
    elif absent := [name for name in known.names.values() if name not in used]:
        text = f"{plural(len(absent), 'class', 'classes')} of {known.file.name} without boxes: {listed(absent[:6])}"
        found.append(Reading(text))
    return found
