"""The lists of Caltech-UCSD Birds: numbered images, their classes, and which of them are for training."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import NotUtf8, shown, text_of

from ..channels import sampled_channels
from ..sample import Dataset
from ..target import Label, Points, Target
from ..target.points import SEEN, UNKNOWN, pairs_of
from .images import FileImages
from .kinds import number as number_in
from .names import folder_name
from .table_points import NAME

IMAGES, LABELS, CLASSES, SPLIT = "images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt"
PARTS, PLACES = "parts/parts.txt", "parts/part_locs.txt"
Lines = dict[str, tuple[int, str]]  # id -> (line number, what stands behind it)


def matches(root: Path) -> bool:
    """Return whether a folder holds the lists of a CUB set."""
    return all((root / name).is_file() for name in (IMAGES, LABELS, CLASSES)) and (root / "images").is_dir()


def read(root: Path, where: str, known: tuple[str, ...] | None = None) -> Dataset:
    """Return the dataset of `images/`, `images.txt`, `image_class_labels.txt`, `classes.txt`, `train_test_split.txt`.

    Each line of a list is an id, a blank and a value. Class names lose number and underscores (`003.Sooty_Albatross`).
    Without `train_test_split.txt` (1 is train, 0 is test) the images have no splits of their own. Where there are
    `parts/parts.txt` and `parts/part_locs.txt` (image, part, x, y, 1 where visible), the parts are points.

    Args:
        known: the classes of a run that is to be evaluated on these images, see `folder.read`.

    Raises:
        DataError: the message has the line: an image without class or file, an id twice, a value that cannot be;
            or the class that is in test but not in train.

    Reference: Wah et al., The Caltech-UCSD Birds-200-2011 dataset (2011).
    """
    images, classes = _lines(root / IMAGES), _lines(root / CLASSES)
    names = tuple((name.partition(".")[2] or name).replace("_", " ") for _, name in classes.values())
    if len(set(names)) < len(names) or (len(names) < 2 and known is None):
        raise DataError("fewer than two classes, or two of one name", where=root / CLASSES, fix="mend the list")
    _check_pictures(root, images)
    place = {key: index for index, key in enumerate(classes)}
    labels = _values(root / LABELS, images, place)
    splits = {}
    if (root / SPLIT).is_file():
        is_train = _values(root / SPLIT, images, {"0": 0, "1": 1})
        members = {name: np.flatnonzero(is_train == value) for name, value in (("train", 1), ("test", 0))}
        splits = {name: indices for name, indices in members.items() if len(indices)}
        untrained = np.setdiff1d(labels[members["test"]], labels[members["train"]])
        if len(untrained) and known is None:
            what = f"class {shown(names[untrained[0]], 40)!r} is in test but not in train"
            raise DataError(what, where=root / SPLIT, fix="give some of its images a 1")
    ids = tuple(name for _, name in images.values())
    channels, said = sampled_channels(root / "images", list(ids))
    return Dataset(
        name=folder_name(root),
        where=where,
        images=FileImages(root / "images", ids, channels),
        ids=ids,
        targets={"label": Label(labels, names), **_parts(root, images)},
        splits=splits,
        channels=channels,
        notes=("layout: lists of a CUB set", said),
    )


def _lines(path: Path) -> Lines:
    """Return what a list says, in its order."""
    found: Lines = {}
    try:
        text = text_of(path.read_bytes())
    except (OSError, NotUtf8) as problem:
        raise DataError(f"list cannot be read ({problem})", where=path, fix="download it again") from problem
    for number, line in enumerate(text.splitlines(), 1):
        key, _, value = line.strip().partition(" ")
        if not line.strip():
            continue
        if not value or key in found:
            what = f"id {shown(key, 20)!r} is there twice" if value else "not an id, a blank and a value"
            raise DataError(what, where=f"{path}:{number}", fix="mend the line")
        found[key] = (number, value)
    return found


def _parts(root: Path, images: Lines) -> dict[str, Target]:
    """The parts of the birds as the target "points"; nothing without their lists."""
    path = root / PLACES
    if not path.is_file() or not (root / PARTS).is_file():
        return {}
    parts = _lines(root / PARTS)
    names = tuple(name for _, name in parts.values())
    rows, columns = ({key: index for index, key in enumerate(keys)} for keys in (images, parts))
    xy, visible = np.zeros((len(images), 1, len(parts), 2)), np.full((len(images), 1, len(parts)), UNKNOWN)
    try:
        lines = text_of(path.read_bytes()).splitlines()
    except (OSError, NotUtf8) as problem:
        raise DataError(f"list cannot be read ({problem})", where=path, fix="download it again") from problem
    for number, line in enumerate(lines, 1):
        cells = line.split()
        places = [number_in(cell) for cell in cells[2:4]]
        if len(cells) != 5 or cells[1] not in columns or None in places or cells[4] not in {"0", "1"}:
            what = "not the ids of an image and a part, x, y, and 1 or 0"
            raise DataError(what, where=f"{path}:{number}", fix="mend the line")
        if cells[0] in rows:
            at = rows[cells[0]], 0, columns[cells[1]]
            xy[at], visible[at] = places, SEEN if cells[4] == "1" else UNKNOWN
    return {NAME: Points.of(list(xy), list(visible), names, pairs_of(names))}


def _check_pictures(root: Path, images: Lines) -> None:
    first_line: dict[str, int] = {}
    for line, name in images.values():
        problem = ""
        if first_line.setdefault(name, line) != line:
            problem = f"is also in line {first_line[name]}"
        elif Path(name).is_absolute() or ".." in Path(name).parts:
            problem = "leads out of images/"
        elif not os.path.isfile(root / "images" / name):  # noqa: PTH113 - many files
            problem = "is missing"
        if problem:
            what = f"image {shown(name, 80)!r} {problem}"
            raise DataError(what, where=f"{root / IMAGES}:{line}", fix="download the set again, or remove the line")


def _values(path: Path, images: Lines, meaning: dict[str, int]) -> npt.NDArray[np.int64]:
    """Return what a list says of every image, as the number it means."""
    lines = _lines(path)
    for key, (number, name) in images.items():
        if key not in lines:
            what = f"{shown(name, 80)!r} (id {key}, line {number} of {IMAGES}) is not in the list"
            raise DataError(what, where=path, fix="add its line")
        number, value = lines[key]
        if value not in meaning:
            what = f"{shown(value, 20)!r} is not one of {', '.join(list(meaning)[:3])}, ..."
            raise DataError(what, where=f"{path}:{number}", fix="mend the line")
    return np.array([meaning[lines[key][1]] for key in images], dtype=np.int64)
