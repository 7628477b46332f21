"""Class folders: one tree, or already split into train, val and test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from striate.base.errors import DataError
from striate.base.own import is_own_folder
from striate.base.text import plural, shown

from ..channels import sampled_channels
from ..documents import refuse_broken
from ..sample import SPLITS, Dataset
from ..target import Label
from . import annotated, coco_masks, instance_masks, labelme_boxes, labelme_masks, mask_folders, object_masks
from .images import FileImages
from .names import SPLIT_NAMES, class_list, folder_name, natural_key
from .walk import Reason, Walk

LOOSE = Reason("image outside the class folders", "images outside the class folders", True, "give them a class folder")
BESIDE = Reason(
    "folder beside train, val and test", "folders beside train, val and test", True, "move them into a split"
)
EXPECTED = (
    "expected one of these trees:",
    "    DATA/cat/1.jpg          DATA/train/cat/1.jpg",
    "    DATA/cat/2.jpg          DATA/train/dog/1.jpg",
    "    DATA/dog/1.jpg          DATA/val/cat/2.jpg     (val/ and test/ may be missing)",
    "    DATA/dog/2.jpg          DATA/test/cat/3.jpg",
)


@dataclass(frozen=True)
class _Part:
    """The images of one split (or of the whole tree, split ""): relative names by class."""

    split: str
    folder: str
    names: dict[str, list[str]]


def read(
    root: Path, where: str, *, allow_empty: bool = False, known: tuple[str, ...] | None = None,
    ignore: str | None = None, is_boxed: bool = False,
) -> Dataset:  # fmt: skip
    """Return the dataset of a folder of class folders. No image is decoded, but to tell masks from images.

    Class folders may hold folders of their own. The class list is the union over the splits in natural order.
    `left_out` says what is not in the dataset: what is no image, system files, broken links.

    Args:
        known: the classes of a run that is to be evaluated on these images: they need no train split, and not every
            class.
        is_boxed: boxes are asked for: where masks lie beside the images too, boxes come first, and those of the
            objects that masks number.

    Raises:
        DataError: the tree is not understood, a class is empty (unless `allow_empty`), is only in val or test, or
            differs from another only by case; the error shows the trees that are. Or masks or boxes belong to the
            images, see `annotated`.
    """
    if is_own_folder(root):
        raise DataError("a folder of results, not of images", where=root, fix="name the folder of the images")
    walk = Walk(root)
    if is_boxed:
        boxed = _boxed(walk, where)
        if boxed is not None:
            return boxed
    for source in (mask_folders, coco_masks, labelme_masks):
        masked: Dataset | None = source.read(walk, where, ignore)
        if masked is not None:
            return masked
    boxed = annotated.read(walk, where)
    if boxed is not None:
        return boxed
    if is_boxed:
        refuse_broken(root, walk.others())
    folders = _split_folders(walk) if known is None else _given_folders(walk, known)
    parts = [_part(walk, split, folder, known) for split, folder in folders.items()]
    if not any(any(part.names.values()) for part in parts):
        refuse_broken(root, walk.others())
        raise _no_images(walk)
    classes = class_list((name for part in parts for name in part.names), where=root)
    if known is None:
        _check_classes(walk, parts, classes, allow_empty)
    names, labels, splits = _gather(parts, classes)
    channels, said = sampled_channels(root, names)
    left_out = walk.left_out()
    return Dataset(
        name=folder_name(root),
        where=where,
        images=FileImages(root, tuple(names), channels),
        ids=tuple(names),
        targets={"label": Label(np.array(labels, dtype=np.int64), classes)},
        splits={name: np.array(found, dtype=np.intp) for name, found in splits.items()} if parts[0].split else {},
        channels=channels,
        notes=(*_layout(parts), said, *_missing(parts, classes), *(one.text for one in left_out)),
        left_out=left_out,
    )


def _boxed(walk: Walk, where: str) -> Dataset | None:
    """The dataset of the boxes of a folder, of whatever format."""
    found = annotated.read(walk, where, only_read=True) or labelme_boxes.read(walk, where)
    return found or object_masks.read(walk, where) or instance_masks.read(walk, where)


def read_images(root: Path, where: str) -> Dataset:
    """Return the images of a folder and of all folders below it, without targets; train/ val/ test/ are its splits.

    Raises:
        DataError: there are none, or it is a folder of results.
    """
    if is_own_folder(root):
        raise DataError("a folder of results, not of images", where=root, fix="name the folder of the images")
    walk = Walk(root)
    found = {split: sorted(walk.images(folder), key=natural_key) for split, folder in _split_folders(walk).items()}
    names = [name for part in found.values() for name in part]
    if not names:
        raise _no_images(walk)
    channels, said = sampled_channels(root, names)
    left_out, ends = walk.left_out(), np.cumsum([len(part) for part in found.values()])
    splits = dict(zip(found, np.split(np.arange(len(names), dtype=np.intp), ends[:-1]), strict=True))
    return Dataset(
        name=folder_name(root),
        where=where,
        images=FileImages(root, tuple(names), channels),
        ids=tuple(names),
        targets={},
        splits={} if "" in splits else splits,
        channels=channels,
        notes=("layout: images alone, classes play no part", said, *(one.text for one in left_out)),
        left_out=left_out,
    )


def _split_folders(walk: Walk) -> dict[str, str]:
    """Return {"": ""} for one tree, else the folders of train and of the splits beside it."""
    folders = walk.folders()
    found: dict[str, list[str]] = {}
    for folder in folders:
        split = SPLIT_NAMES.get(folder.casefold())
        if split:
            found.setdefault(split, []).append(folder)
    others = [folder for folder in folders if folder.casefold() not in SPLIT_NAMES]
    if "train" not in found or (others and not walk.folders(found["train"][0])):
        return {"": ""}  # a class may be called "train" or "test"
    for split, same in found.items():
        if len(same) > 1:
            raise DataError(f"{' and '.join(same)} are both a {split} split", where=walk.root, fix="keep one of them")
    _check_apart(walk, {split: same[0] for split, same in found.items()})
    if others:
        walk.leave_out(BESIDE, *others)
    return {split: found[split][0] for split in SPLITS if split in found}


def _given_folders(walk: Walk, known: tuple[str, ...]) -> dict[str, str]:
    """Return the folders of the splits that there are, also without train; {"": ""} for one tree."""
    folders = walk.folders()
    found = {SPLIT_NAMES.get(folder.casefold(), ""): folder for folder in folders}
    if "train" in found or "" in found or len(found) < len(folders) or set(folders) <= set(known):
        return _split_folders(walk)
    return {split: found[split] for split in SPLITS if split in found}


def _check_apart(walk: Walk, folders: dict[str, str]) -> None:
    real: dict[Path, str] = {}
    for split, folder in folders.items():
        path = walk.root / folder
        other = real.setdefault(path.resolve(), split)
        if other != split:
            raise DataError(f"{other} and {split} are the same folder", where=path, fix="use different images")


def _part(walk: Walk, split: str, folder: str, known: tuple[str, ...] | None) -> _Part:
    loose, classes = walk.loose(folder), walk.folders(folder)
    if loose and not classes:
        refuse_broken(walk.root, walk.others())
        what = f"{plural(len(loose), 'image')} directly in the folder, without class folders"
        fix = "put them into one folder a class"
        if known is not None:
            fix = "use `striate predict RUN FOLDER` for images without classes"
        elif split in {"val", "test"}:
            fix = "move the folder elsewhere; `striate predict RUN FOLDER` takes images without classes"
        raise DataError(what, where=walk.root / folder, fix=fix, details=EXPECTED)
    if loose:
        walk.leave_out(LOOSE, *loose)
    names = {child.rpartition("/")[2]: sorted(walk.images(child), key=natural_key) for child in classes}
    return _Part(split, folder, names)


def _check_classes(walk: Walk, parts: list[_Part], classes: tuple[str, ...], allow_empty: bool) -> None:
    train = parts[0]
    for part in parts[1:]:
        extra = [name for name in classes if name in part.names and name not in train.names]
        if extra:
            listed = ", ".join(repr(shown(name, 30)) for name in extra[:5]) + (", ..." if len(extra) > 5 else "")
            what = f"{'class' if len(extra) == 1 else 'classes'} {listed} in {part.split} but not in train"
            fix = f"add {'it' if len(extra) == 1 else 'them'} to train, or remove {'it' if len(extra) == 1 else 'them'}"
            raise DataError(what, where=walk.root / part.folder, fix=fix)
    empty = [name for name in classes if not train.names[name]]
    if empty and not allow_empty:
        what = f"class folder is empty ({len(empty)} of {len(classes)})" if len(empty) > 1 else "class folder is empty"
        where = walk.root / train.folder / empty[0]
        raise DataError(what, where=where, fix="remove it", option="--allow-empty")
    if len(classes) < 2:
        inside = Path(train.folder) / classes[0]
        while len(deeper := walk.folders(inside.as_posix())) == 1:  # an archive's folder in a folder of the same name
            inside = Path(deeper[0])
        nested = len(deeper) > 1
        fix = f"open {shown(walk.root / inside, 60)} instead" if nested else "add a folder for each further class"
        raise DataError(f"only one class, {shown(classes[0], 40)!r}", where=walk.root, fix=fix, details=EXPECTED)


def _gather(parts: list[_Part], classes: tuple[str, ...]) -> tuple[list[str], list[int], dict[str, list[int]]]:
    names: list[str] = []
    labels: list[int] = []
    splits: dict[str, list[int]] = {}
    for part in parts:
        start = len(names)
        for index, name in enumerate(classes):
            files = part.names.get(name, [])
            names += files
            labels += [index] * len(files)
        splits[part.split] = list(range(start, len(names)))
    return names, labels, splits


def _layout(parts: list[_Part]) -> tuple[str, ...]:
    if not parts[0].split:
        return (f"layout: one tree with {len(parts[0].names)} class folders",)
    return (f"layout: class folders, split into {', '.join(part.folder for part in parts)}",)


def _missing(parts: list[_Part], classes: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    for part in parts:
        absent = [name for name in classes if not part.names.get(name)]
        if absent:
            listed = ", ".join(shown(name, 30) for name in absent[:5]) + (", ..." if len(absent) > 5 else "")
            place = f"the {part.split} split" if part.split else "the tree"
            notes.append(f"{plural(len(absent), 'class', 'classes')} without images in {place}: {listed}")
    return tuple(notes)


def _no_images(walk: Walk) -> DataError:
    why = "; ".join(one.reason for one in walk.left_out()[:3])
    what = f"no images found ({why} left out)" if why else "no images found"
    return DataError(what, where=walk.root, fix="name a folder of class folders", details=EXPECTED)
