"""Boxes around the objects that masks number: Penn-Fudan's pedestrians, and folders of masks like theirs.

A mask whose pixels hold 1, 2, ... numbers objects, and a black and white mask shows one. An object's box is the hull of
its pixels. Masks of classes are no such masks: there nothing says where one object ends and the next begins.
"""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.device import num_cpus
from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..sample import Dataset, Reading
from ..target.extent import Extent
from .boxed import Boxed, Collection, SideXYXY, Thing, dataset_of
from .mask_coding import read_stored
from .mask_names import find_class_list
from .mask_pairs import pair_up, preferred, split_of
from .mask_values import OBJECTS
from .masks import find_masks
from .walk import Reason, Walk

NO_MASK = Reason("image without mask", "images without mask", True, "give them masks, or remove them")
NO_IMAGE = Reason("mask without image", "masks without image", True, "restore their images, or remove them")
WHITE = 255


def read(walk: Walk, where: str) -> Dataset | None:
    """Return the dataset of the boxes around the objects that masks number; None where no masks are.

    Raises:
        DataError: the masks are those of classes, or one cannot be read.
    """
    folders = {folder: names for folder, names in walk.tree().items() if names}
    pair = find_masks(walk.root, folders) if folders else None
    if pair is None:
        return None
    paired = pair_up(folders, preferred(walk.root, pair, folders))
    if (known := find_class_list(walk.root, walk.others())) is not None:
        what = f"masks of classes ({known.file} lists them), which do not say where an object ends"
        raise DataError(what, where=walk.root, fix="use --task segment, or number the objects of each mask")
    for reason, names in ((NO_MASK, paired.images), (NO_IMAGE, [*paired.masks, *paired.further])):
        if names:
            walk.leave_out(reason, *names)
    masks = [one.mask for one in paired.pairs]
    with ThreadPoolExecutor(num_cpus()) as pool:
        found = list(pool.map(lambda name: _things(walk.root / name), masks))
    is_white = _kind(walk.root, masks, [[thing.number for thing in things] for things, _ in found])
    name = "pedestrian" if masks and OBJECTS.search(masks[0]) else "object"
    images = [
        Boxed(one.image, split_of(one.image), tuple(replace(thing, name=name) for thing in things), size_hw)
        for one, (things, size_hw) in zip(paired.pairs, found, strict=True)
    ]
    how = "all white pixels of a mask are one object" if is_white else "each number above 0 of a mask is an object"
    reading = Reading(f"boxes around what masks show: {how}, called {name!r}", is_doubtful=is_white)
    return dataset_of(walk, where, Collection(images, "masks", "object {}", (reading,)))


def _things(path: Path) -> tuple[list[Thing], tuple[int, int]]:
    """The object of each number above 0 in a mask, still without a name, and the mask's size."""
    stored = read_stored(path, False)
    size_hw = (int(stored.shape[0]), int(stored.shape[1]))
    hulls = sorted(hulls_of(stored).items())
    return [Thing("", box, number=number, extent=Extent.of(stored == number)) for number, box in hulls], size_hw


def hulls_of(numbers: npt.NDArray[np.integer]) -> dict[int, SideXYXY]:
    """Return the box around the pixels of each number above 0 in (H, W), xyxy from the outer corner.

    Example:
        >>> hulls_of(np.array([[0, 2, 2], [0, 0, 2], [1, 0, 0]]))
        {1: (0.0, 2.0, 1.0, 3.0), 2: (1.0, 0.0, 3.0, 2.0)}
    """
    rows, columns = np.nonzero(numbers)
    values = numbers[rows, columns].astype(np.int64)
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    found: dict[int, SideXYXY] = {}
    for start, end in pairwise([*starts.tolist(), len(order)]):
        y, x = rows[order[start:end]], columns[order[start:end]]
        found[int(values[order[start]])] = (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
    return found


def _kind(root: Path, masks: Sequence[str], numbers: Sequence[list[int]]) -> bool:
    """Whether masks are black and white, rather than numbers of objects.

    Raises:
        DataError: they are neither.
    """
    if all(set(own) <= {WHITE} for own in numbers):
        return True
    having: dict[str, list[str]] = defaultdict(list)
    for mask, own in zip(masks, numbers, strict=True):
        if own != list(range(1, len(own) + 1)):
            having[", ".join(map(str, own[:5]))].append(mask)
    if not having:
        return False
    values, some = next(iter(having.items()))
    what = f"a mask with the values {values}, not 1, 2, ... as masks that number objects have"
    what += f" ({plural(sum(map(len, having.values())), 'such mask')})" if len(having) > 1 else ""
    raise DataError(what, where=root / shown(some[0], 200), fix="use --task segment, or number the objects from 1 on")
