"""Which predicted masks find an object: as `box_matches`, with the overlap and the area of masks in place of boxes.

Answers hold the masks in records: of each image (N,) one text of run lengths as COCO writes them, those of its objects
in the order of their rows and a blank between them, "-" where an object has none, and None where masks are not known.
"""

from functools import cache

import numpy as np

from striate.base.runs import covered_by, run_lengths

from .box_matches import Bits, Measures, Recorder, rows_of
from .metric import Answers, Array

TRUE_MASKS, MASKS, SIZE = "true_masks", "masks", "size_hw"
NO_MASK = "-"


@cache
def mask_recorder(num_classes: int) -> Recorder:
    """Return the function that makes records as those of boxes; nothing is there where masks are not known."""

    def record(answers: Answers) -> Array:
        truth, values = answers.truth.astype(np.float64), answers.values.astype(np.float64)
        unknown = np.full(len(truth), None)
        masks, true_masks = (answers.records.get(name, unknown) for name in (MASKS, TRUE_MASKS))
        is_known = np.array([None not in pair for pair in zip(masks, true_masks, strict=True)], bool)
        truth, values = (np.where(is_known[:, None, None], rows, np.nan) for rows in (truth, values))
        (num, most), most_true = values.shape[:2], truth.shape[1]
        made = Measures(np.zeros((num, most, most_true)), np.zeros((num, most)), np.zeros((num, most_true)))
        for index in np.flatnonzero(is_known).tolist():
            size_hw = tuple(answers.records[SIZE][index].astype(int).tolist())
            _measure(made, index, masks[index], true_masks[index], truth[index, :, 5] > 0, size_hw)
        return rows_of(truth, values, made, num_classes)

    return record


def masks_of(text: str, size_hw: tuple[int, ...]) -> list[Bits]:
    """Return the masks (H, W) that a text holds.

    Raises:
        ValueError: it is no such text.

    Example:
        >>> [mask.astype(int).tolist() for mask in masks_of("123 -", (2, 3))]
        [[[0, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    """
    empty = np.zeros(size_hw, bool)
    return [empty if part == NO_MASK else covered_by(run_lengths(part), size_hw) for part in text.split()]


def _measure(made: Measures, index: int, text: str, true_text: str, is_crowd: Bits, size_hw: tuple[int, ...]) -> None:
    """Write what the masks of an image measure; bits are counted eight at a time."""
    bits, true_bits = (
        [np.packbits(mask) for mask in masks_of(one, size_hw)] or [np.zeros(0, np.uint8)] for one in (text, true_text)
    )
    num, num_true = len(text.split()), len(true_text.split())
    areas = np.array([_count(one) for one in bits[:num]], np.float64)
    made.areas[index, :num] = areas
    for at, true in enumerate(true_bits[:num_true]):
        made.true_areas[index, at] = area = float(_count(true))
        shared = np.array([_count(one & true) for one in bits[:num]], np.float64)
        whole = areas if is_crowd[at] else areas + area - shared
        made.ious[index, :num, at] = np.divide(shared, whole, out=np.zeros(num), where=whole > 0)


def _count(bits: Array) -> int:
    return int(np.bitwise_count(bits).sum(dtype=np.int64))
