"""Images with one set of points each, as every format gives them, and how the points lie in images that EXIF turns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from striate.base.text import plural

from ..channels import sampled_channels
from ..sample import SPLITS, Dataset, Reading
from ..target import Points
from ..target.points import pairs_of
from .boxed import Boxed, Thing, upright_boxes
from .images import FileImages
from .names import folder_name
from .table_points import NAME
from .walk import Walk

Marks = npt.NDArray[np.float64]  # (K, 3): x, y in pixels from the outer corner, visibility


@dataclass(frozen=True)
class ImageMarks:
    """An image, its split as far as one is known, its points, and its size as its source says, or None."""

    name: str
    split: str | None
    marks: Marks
    size_hw: tuple[int, int] | None


@dataclass(frozen=True)
class PointCollection:
    """The images of a source, the names of their points, its format, and how it was read where that is doubtful."""

    images: Sequence[ImageMarks]
    names: tuple[str, ...]
    layout: str
    readings: tuple[Reading, ...] = ()


def dataset_of(walk: Walk, where: str, found: PointCollection) -> Dataset:
    """Return the dataset of images with points."""
    # a point is a box without sides here: what turns boxes upright turns it too
    lying = [
        Boxed(one.name, one.split, tuple(Thing("", (x, y, x, y)) for x, y, _ in one.marks.tolist()), one.size_hw)
        for one in found.images
    ]
    images, readings = upright_boxes(walk.root, lying, NAME)
    xy = [[[thing.xyxy[:2] for thing in image.things]] for image in images]
    visible = [[one.marks[:, 2]] for one in found.images]
    ids, own, left_out = tuple(image.name for image in images), [one.split for one in images], walk.left_out()
    channels, said = sampled_channels(walk.root, list(ids))
    splits = {split: np.array([at for at, one in enumerate(own) if one == split], np.intp) for split in SPLITS}
    return Dataset(
        name=folder_name(walk.root),
        where=where,
        images=FileImages(walk.root, ids, channels),
        ids=ids,
        targets={NAME: Points.of(xy, visible, found.names, pairs_of(found.names))},
        splits={split: members for split, members in splits.items() if len(members)} if "train" in own else {},
        channels=channels,
        notes=(f"layout: {plural(len(found.names), 'point')} of {found.layout}", said, *(one.text for one in left_out)),
        left_out=left_out,
        readings=(*found.readings, *readings),
    )
