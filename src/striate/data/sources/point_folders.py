"""Folders of images with points: COCO's key points, or LabelMe's points beside each image."""

from striate.base.errors import DataError

from ..documents import refuse_broken
from ..sample import Dataset
from . import coco_points, labelme_points
from .point_images import dataset_of
from .walk import Walk

READERS = (coco_points.read, labelme_points.read)


def read(walk: Walk, where: str) -> Dataset:
    """Return the dataset of the images of a folder that have points.

    Raises:
        DataError: there are none, or a file is not whole.
    """
    found = next((found for read_points in READERS if (found := read_points(walk)) is not None), None)
    if found is None:
        refuse_broken(walk.root, walk.others())
        fix = "give a table with path,x_NAME,y_NAME,..., COCO JSON with keypoints in its categories, or LabelMe points"
        raise DataError("no key points", where=walk.root, fix=fix)
    return dataset_of(walk, where, found)
