"""Volumes with label volumes: the Medical Decathlon's folder, or `images/` and `labels/` with a file for each case.

imagesTr/*.nii.gz  labelsTr/*.nii.gz  dataset.json     the Medical Decathlon, nnU-Net
images/*.nii.gz|.nii|.npy|.npz  labels/...             the same names in both
volumes/CASE/*.png  labels/CASE/*.png                  a frame for each depth
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural

from ..documents import read_object
from ..sample import IGNORE, Dataset, LeftOut, Usual
from ..target import VolumeMask
from .names import folder_name, natural_key
from .volume_files import Shape, labels_of, shape_of, stem_of, suffix_of
from .volume_images import HIGH, LOW, LabelVolumes, VolumeImages

PLACES = (("imagesTr", "labelsTr"), ("images", "labels"), ("volumes", "labels"))
FRAMES = "volumes"  # the folder whose folders are volumes: elsewhere they may be classes or splits of images
ABOUT = "dataset.json"
CHANNEL = "_0000"  # that nnU-Net puts behind the name of a case
MULTIPLE, MOST = 16, 160  # of the automatic size: what networks halve, and the largest side
LONGEST = 1024  # of a side that is stored
BATCH_SIZE = 2  # volumes a step: a volume has as many voxels as ten images pixels
_UNTRUE = {"flip", "alternating_flip", "perspective", "crop", "saturation", "hue", "grey", "invert", "erase"}


def matches(root: Path) -> bool:
    """Return whether a folder holds volumes and label volumes."""
    return _place(root) is not None


def _place(root: Path) -> tuple[Path, Path] | None:
    for images, labels in PLACES:
        if (root / images).is_dir() and (root / labels).is_dir() and _cases(root / images):
            return root / images, root / labels
    return None


def _cases(folder: Path) -> dict[str, Path]:
    """The volumes in a folder by the names of their cases, in natural order."""
    with_frames = folder.name == FRAMES or folder.parent.joinpath(FRAMES).is_dir()
    files = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (suffix_of(path) or (with_frames and path.is_dir()))
    ]
    return {stem_of(path): path for path in sorted(files, key=lambda path: natural_key(path.name))}


def read(path: Path, where: str, known: tuple[str, ...] | None = None) -> Dataset:
    """Return the volumes of a folder that have labels.

    Args:
        known: the classes of a run that is to be evaluated on them.

    Raises:
        DataError: a file cannot be read, or none has labels; NIfTI files and nibabel is not installed.
    """
    place = _place(path)
    assert place is not None, "the caller asks `matches` first"
    cases, labels = (_cases(folder) for folder in place)
    pairs = [(file, label) for stem, file in cases.items() if (label := labels.get(stem.removesuffix(CHANNEL)))]
    if not pairs:
        fix = f"give each volume a file of the same name in {place[1].name}/"
        raise DataError(f"no volume of {place[0].name}/ has labels", where=path, fix=fix)
    shapes = [shape_of(file) for file, _ in pairs]
    ids = tuple(str(file.relative_to(path)) for file, _ in pairs)
    files = tuple(str(label.relative_to(path)) for _, label in pairs)
    names, table = _classes(path, [label for _, label in pairs], known)
    channels = min(shape.channels for shape in shapes)
    target = VolumeMask(
        LabelVolumes(path, files, table), names, tuple(one.size for one in shapes), tuple(one.affine for one in shapes)
    )
    stems = {stem.removesuffix(CHANNEL): file for stem, file in cases.items()}
    unlabelled = tuple(file.name for stem, file in stems.items() if stem not in labels)
    alone = tuple(file.name for stem, file in labels.items() if stem not in stems)
    return Dataset(
        name=folder_name(path),
        where=where,
        images=VolumeImages(path, ids, channels),
        ids=ids,
        targets={"mask": target},
        splits={},
        channels=channels,
        notes=tuple(_notes(shapes)),
        left_out=tuple(
            LeftOut(f"{plural(len(files), noun)} without {partner}", files, True, fix)
            for files, noun, partner, fix in (
                (unlabelled, "volume", "labels", "label them, or move them away"),
                (alone, "label volume", "its volume", "restore the volume, or move the labels away"),
            )
            if files
        ),
        usual=Usual("volume", 16, "pad", box_of(shapes), BATCH_SIZE, frozenset(_UNTRUE), box_of(shapes, LONGEST)),
    )


def box_of(shapes: list[Shape], longest: int = MOST) -> tuple[int, int, int]:
    """Return the size (D, H, W) in which all volumes lie, in multiples of 16 and with no longer side than that.

    Example:
        >>> box_of([Shape((43, 30, 16)), Shape((20, 59, 400))])
        (48, 64, 160)
    """
    most = np.max([shape.size for shape in shapes], axis=0)
    depth, height, width = (min(longest, -(-int(side) // MULTIPLE) * MULTIPLE) for side in most)
    return depth, height, width


def _classes(root: Path, labels: list[Path], known: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The names of the classes, and the class of each number in the files."""
    listed = _listed(root / ABOUT)
    if not listed:
        values = sorted(set().union(*(np.unique(labels_of(label)).tolist() for label in labels)) - {IGNORE})
        listed = {value: "background" if value == 0 else str(value) for value in values}
    if known and set(listed.values()) <= set(known):
        names = known
    else:
        names = tuple(listed[value] for value in sorted(listed))
    table = [names.index(listed[value]) if value in listed else IGNORE for value in range(256)]
    return names, tuple(table)


def _listed(path: Path) -> dict[int, str]:
    """The classes in dataset.json: number -> name, as the Decathlon writes it, or name -> number, as nnU-Net does."""
    if not path.is_file():
        return {}
    found = read_object(path, "description of a dataset").get("labels")
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise DataError("'labels' is no object", where=path, fix='write {"0": "background", "1": "name", ...}')
    try:
        if all(str(key).isdigit() for key in found):
            return {int(key): str(name) for key, name in found.items()}
        return {int(number): str(name) for name, number in found.items()}
    except (TypeError, ValueError) as problem:
        fix = 'write {"0": "background", "1": "NAME"}'
        raise DataError("labels are no list of numbers and names", where=path, fix=fix) from problem


def _notes(shapes: list[Shape]) -> list[str]:
    sizes = np.array([shape.size for shape in shapes])
    span = [
        f"{low} to {high}" if low < high else str(low) for low, high in zip(sizes.min(0), sizes.max(0), strict=True)
    ]
    box = box_of(shapes)
    said = f"volumes of {' x '.join(span)} voxels (depth x height x width), padded to {'x'.join(map(str, box))}"
    if num := int((sizes > box).any(1).sum()):
        said += (
            f"; {plural(num, 'larger volume')}: trained on random patches, answered in tiles (--size sets their size)"
        )
    spacings = Counter(shape.spacing_mm for shape in shapes if shape.spacing_mm)
    lines = [said]
    if spacings:
        (most, num), *others = spacings.most_common()
        text = " x ".join(f"{one:g}" for one in most)
        lines.append(f"turned to RAS by their affine; voxels of {text} mm")
        if others:
            lines[-1] += f" in {num} of {len(shapes)} volumes, {plural(len(others), 'other spacing')}: not resampled"
    else:
        lines.append("no file says how a volume lies: the axes are the files' own")
    return [*lines, f"each volume by its own values: percentiles {LOW:g} and {HIGH:g} become the ends of 16 bits"]
