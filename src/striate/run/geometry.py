"""The size at which a run looks at images."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from striate.base.errors import SettingsError
from striate.base.size import SizeHW, parse_size
from striate.data.decode import header
from striate.data.geometry import Geometry
from striate.data.sample import Dataset
from striate.data.volume_geometry import VolumeGeometry

from .recipe import Recipe

Indices = npt.NDArray[np.intp]
SAMPLE = 24


def choose_geometry(
    dataset: Dataset,
    recipe: Recipe,
    skip: Collection[int] = (),
    size_hw: SizeHW | None = None,
    multiple: int = 1,
    fit: str = "crop",
    most_px: int = 64,
) -> Geometry:
    """Return how images become what the network receives.

    The size is the recipe's, else that of the weights it starts from, else the images' own up to a limit. Images
    that all have it already are stored as they are (margin 1), and so are smaller ones, with no pixels to spare.

    Args:
        skip: indices of images that cannot be used.
        size_hw: of the weights that the network starts from.
        multiple: what the automatic size can be divided by.
        fit: where the recipe names none.
        most_px: the automatic size is not larger.
    """
    usual = dataset.usual
    train = np.array([index for index in dataset.splits["train"] if int(index) not in skip], dtype=np.intp)
    shapes = {dataset.images.read(int(index)).shape[:2] for index in _sample(train)}
    short_side = int(np.median([min(shape) for shape in shapes]))
    asked = None if recipe.data.size is None else parse_size(str(recipe.data.size))
    if usual.size_hw and usual.is_in_space:
        return _in_space(asked, usual.size_hw, recipe, dataset)
    size_hw = asked or usual.size_hw or size_hw or (max(1, min(most_px, short_side) // multiple) * multiple,) * 2
    margin = 1.0 if shapes == {size_hw} or short_side <= min(size_hw) else recipe.data.margin
    return Geometry(size_hw, recipe.data.fit or usual.fit or fit, margin, dataset.channels, depth_of(dataset, recipe))


def _in_space(asked: SizeHW | None, usual: SizeHW, recipe: Recipe, dataset: Dataset) -> VolumeGeometry:
    """That of volumes: one number is the side of a cube."""
    size = usual if asked is None else asked if len(asked) == 3 else (asked[0], asked[0], asked[0])
    if recipe.data.fit is not None:
        what = f"volumes are padded or cut, never resampled; data.fit is {recipe.data.fit}"
        raise SettingsError(what, where="data.fit", fix="leave it out")
    view = VolumeGeometry(size, margin=1.0, channels=dataset.channels, depth=depth_of(dataset, recipe))
    return view.boxed(dataset.usual.store_hw or size)


def depth_of(dataset: Dataset, recipe: Recipe) -> int:
    """Return the bits of a level that a run keeps: the recipe's, or more where the dataset's images ask for it."""
    return max(recipe.data.depth, dataset.usual.depth)


def training_scale(dataset: Dataset, geometry: Geometry) -> float:
    """Return how many of the network's pixels one of a training image becomes: the median of a sample of them.

    Where the two axes differ ("squash"), the root of their product, so that areas are right; 1 of volumes.
    """
    if dataset.usual.is_in_space:
        return 1.0
    scales = []
    for index in _sample(dataset.splits["train"]):
        path = dataset.images.path(int(index))
        size_hw = dataset.images.read(int(index)).shape[:2] if path is None else header(path).size_hw
        if min(size_hw):  # else its header cannot be read
            across, down = np.abs(np.diag(geometry.way_back(size_hw[0], size_hw[1]).matrix[:, :2]))
            scales.append(1 / np.sqrt(across * down))
    return float(np.median(scales)) if scales else 1.0


def _sample(train: Indices) -> Indices:
    return np.asarray(train[np.linspace(0, len(train) - 1, min(SAMPLE, len(train))).astype(int)])
