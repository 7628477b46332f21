"""Data in a format of one's own: a function that returns a dataset; here a text file of digits, an image a line."""

import sys
from pathlib import Path

import numpy as np

import striate as st
from striate.data.sample import SPLITS, Dataset
from striate.data.sources.images import ArrayImages
from striate.data.split import assign
from striate.data.target import Label


def open_digits(path: Path) -> Dataset:
    """Return the dataset of a file whose lines are a class and 64 grey levels from 0 to 9."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    names = tuple(sorted({row[0] for row in rows}))
    levels = np.array([[int(level) for level in row[1:]] for row in rows]) * 28
    images = ArrayImages(levels.reshape(-1, 8, 8, 1).astype(np.uint8))
    label = Label(np.array([names.index(row[0]) for row in rows]), names)
    ids = tuple(f"line {number}" for number in range(1, len(rows) + 1))
    data = Dataset(path.name, str(path), images, ids, {"label": label}, {}, channels=1)
    part = assign(ids, label.strata(), (0.7, 0.15, 0.15), seed=0)
    return data.with_splits({name: np.flatnonzero(part == index) for index, name in enumerate(SPLITS)})


if __name__ == "__main__":
    print(st.train(open_digits(Path(sys.argv[1])), "bipyramid", epochs=2))
