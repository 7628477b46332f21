"""A mask file for each object: `X/images/X.png` and `X/masks/*.png`, or `images/X.png` and `masks/X/*.png`.

The first is the layout of the nuclei of the Data Science Bowl 2018. What is not black in a mask is the object.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np

from striate.base.device import num_cpus

from ..sample import Dataset, Reading
from ..target.extent import Extent
from .boxed import Boxed, Collection, Thing, dataset_of
from .instance_masks import hulls_of
from .mask_coding import read_stored
from .mask_pairs import split_of
from .names import natural_key
from .walk import Reason, Walk

IMAGES, MASKS = "images", "masks"
NO_MASKS = Reason("image without masks", "images without masks", True, "give them masks, or remove them")


def read(walk: Walk, where: str) -> Dataset | None:
    """Return the dataset of the objects that have a mask file each; None where images have none.

    Raises:
        DataError: a mask cannot be read.
    """
    folders = {folder: names for folder, names in walk.tree().items() if names}
    images = sorted((name for folder, names in folders.items() if MASKS not in _parts(folder) for name in names),
                    key=natural_key)  # fmt: skip
    masks = {name: sorted(own, key=natural_key) for name in images if (own := _masks(name, folders))}
    if not masks:
        return None
    if missing := [name for name in images if name not in masks]:
        walk.leave_out(NO_MASKS, *missing)
    with ThreadPoolExecutor(num_cpus()) as pool:
        found = list(pool.map(lambda some: _things(walk.root, some), masks.values()))
    boxed = [Boxed(name, split_of(name), things, size_hw) for name, (things, size_hw) in zip(masks, found, strict=True)]
    said = Reading("a mask file is an object, called 'object': what is not black in it")
    return dataset_of(walk, where, Collection(boxed, "masks", "mask {}", (said,)))


def _parts(folder: str) -> tuple[str, ...]:
    return PurePosixPath(folder).parts


def _masks(image: str, folders: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The masks of the objects of an image, which lies in a folder `images`."""
    path = PurePosixPath(image)
    if path.parent.name != IMAGES:
        return ()
    beside, is_alone = path.parent.parent / MASKS, len(folders[str(path.parent)]) == 1
    own = folders.get(str(beside / path.stem), ())
    return own or (folders.get(str(beside), ()) if is_alone and path.parent.parent.name == path.stem else ())


def _things(root: Path, masks: Sequence[str]) -> tuple[tuple[Thing, ...], tuple[int, int]]:
    things, size_hw = [], (0, 0)
    for number, name in enumerate(masks, 1):
        mask = (read_stored(root / name, False) > 0).astype(np.uint8)
        size_hw = (int(mask.shape[0]), int(mask.shape[1]))
        if hull := hulls_of(mask).get(1):
            things.append(Thing("object", hull, number=number, extent=Extent.of(mask)))
    return tuple(things), size_hw
