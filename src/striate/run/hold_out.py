"""Whether images are held out of training for validation: of very few each one that is costs test accuracy."""

from dataclasses import replace

import numpy as np

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.text import plural
from striate.data.sample import Dataset


def with_val_trained(dataset: Dataset, hold_out_from: int, progress: Progress | None = None) -> Dataset:
    """Return the dataset with all images of both splits in each of them, where they are few.

    So the best epoch is the one that is best on all training images, as in Wang et al., arXiv:1611.06455. A validation
    split that the data came with is left alone.

    Args:
        hold_out_from: number of images of both splits from which on validation images are held out.
    """
    splits = dataset.splits
    if "val" not in dataset.made_splits or not {"train", "val"} <= splits.keys():
        return dataset
    together = np.union1d(splits["train"], splits["val"])
    if len(together) >= hold_out_from:
        return dataset
    count = plural(len(splits["val"]), "validation image")
    note = f"the {count} train too, since there are few (data.hold_out_from): validation scores are no estimate"
    if progress is not None:
        progress.line(note)
    return replace(dataset, splits={**splits, "train": together, "val": together}, notes=(*dataset.notes, note))


def require_held_out(dataset: Dataset) -> None:
    """Refuse validation images that the run was trained on.

    Raises:
        DataError: some are in the training split.
    """
    num = len(np.intersect1d(dataset.splits.get("train", ()), dataset.splits.get("val", ())))
    if num:
        what = f"{plural(num, 'validation image')} trained too, so they say nothing about new images"
        raise DataError(what, where=dataset.where, fix="train with --set data.hold_out_from=0")
