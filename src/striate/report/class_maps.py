"""Maps of classes in a report: what lies beside the tables of predictions, as small images and as counts of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DamagedError, UserError
from striate.base.slices import centre_of, three_planes
from striate.metric.boundary import boundary_pixels
from striate.metric.iou import IGNORED
from striate.predict.overlay import colours_of

from .answers import Answers, Given, illustrated
from .thumbnails import EmbeddedImage, ThumbnailStore

Array = npt.NDArray[Any]
MAX_MAPS = 1000  # of a run that are opened to count pixels: 0.5 ms each
DISTANCES_PX = (1, 2, 4, 8, 16)
FADED, WRONG, UNKNOWN = 0.25, (208, 36, 22), (170, 170, 170)


@dataclass(frozen=True)
class Pixels:
    """Pixels of some runs: `counts` (K, K), true classes as rows; `right` and `all` by distance from a true boundary.

    `num_images` were opened, of `num_known` that each run has.
    """

    counts: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    all: npt.NDArray[np.int64]
    num_images: int
    num_known: int


def maps_of(one: Given) -> tuple[Array, Array] | None:
    """Return the true and the predicted map (H, W) of an image; None where the folder has them not.

    Raises:
        DamagedError: a file is not what it was when the run was finished.
    """
    answers, row = one
    try:
        return answers.table.true_map(row), answers.table.opened(row)
    except DamagedError as problem:
        if (answers.run.folder.path / str(answers.table.values[row])).is_file():
            raise
        answers.run.problems.append(f"A map is missing: {problem.what}.")
    except UserError:  # a run of before true maps were kept
        pass
    return None


def flat_maps_of(one: Given) -> tuple[Array, Array] | None:
    """Return the same as they are shown: of volumes three planes through the middle of what the truth labels."""
    found = maps_of(one)
    if found is None or found[0].ndim == 2:
        return found
    at = centre_of(found[0])
    return three_planes(found[0], at, IGNORED), three_planes(found[1], at, IGNORED)


def pixels_of(tables: Sequence[Answers], num_classes: int, most: int = MAX_MAPS) -> Pixels | None:
    """Return the counts of pixels over all runs, of at most so many maps of each; None where no map is kept."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    right, total = (np.zeros(len(DISTANCES_PX) + 1, np.int64) for _ in range(2))
    opened: set[str] = set()
    for answers in tables:
        num = len(answers.table)
        for row in np.linspace(0, num - 1, min(num, most)).astype(int):
            found = maps_of((answers, int(row)))
            if found is None:
                return None
            truth, predicted = found
            known = truth != IGNORED
            true, given = truth[known].astype(np.int64), predicted[known].astype(np.int64)
            counts += np.bincount(true * num_classes + given, minlength=num_classes**2).reshape(counts.shape)
            places = np.digitize(_distances(truth)[known], DISTANCES_PX, right=True)
            right += np.bincount(places[true == given], minlength=len(right))
            total += np.bincount(places, minlength=len(total))
            opened.add(answers.table.ids[int(row)])
    return Pixels(counts, right, total, len(opened), len(tables[0].table)) if tables else None


def _distances(truth: Array) -> npt.NDArray[np.float32]:
    """How far each pixel is from the nearest pixel of the truth that has another class beside it; far without any."""
    is_away = (~boundary_pixels(truth)).astype(np.uint8)
    if truth.ndim == 3:
        from scipy.ndimage import distance_transform_edt

        far = np.full(truth.shape, np.inf) if is_away.all() else distance_transform_edt(is_away)
        return np.asarray(far, np.float32) + 1
    import cv2

    found = cv2.distanceTransform(is_away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found, np.float32) + 1  # a pixel at the boundary is within one pixel of it


def distance_names() -> list[str]:
    """Return the distances from a boundary in words.

    Example:
        >>> distance_names()
        ['1 px', '2 px', '3 to 4 px', '5 to 8 px', '9 to 16 px', 'over 16 px']
    """
    spans = [f"{a + 1} to {b} px" if b > a + 1 else f"{b} px" for a, b in pairwise((0, *DISTANCES_PX))]
    return [*spans, f"over {DISTANCES_PX[-1]} px"]


def map_image(labels: Array, names: Sequence[str], store: ThumbnailStore) -> EmbeddedImage | None:
    """Return a map in the colours of its classes, within the store's budget."""
    return store.add(labels.astype(np.uint8), colours_of(names))


def error_image(same: Sequence[Given], truth: Array, predicted: Array, store: ThumbnailStore) -> EmbeddedImage | None:
    """Return the image faded, with the wrong pixels red and those of no known class grey."""
    answers, row = illustrated(same, store)

    def draw(image_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        drawn = np.rint(255 - FADED * (255 - image_u8.astype(np.float32)))
        true, given = (sized(one, image_u8.shape[:2]) for one in (truth, predicted))
        drawn[true != given], drawn[true == IGNORED] = WRONG, UNKNOWN
        return np.asarray(drawn, np.uint8)

    return store.take(answers.run.folder, answers.split, answers.table.ids[row], draw)


def sized(labels: Array, size_hw: tuple[int, ...]) -> Array:
    """Return a map at another size, by the nearest pixel.

    Example:
        >>> sized(np.array([[1, 2]]), (2, 4)).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size_hw, labels.shape, strict=True)
    )
    return np.asarray(labels[rows[:, None], columns])
