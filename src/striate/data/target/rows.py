"""Rows of several images behind each other in one array: where each image's begin, and how to take some."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]
Starts = npt.NDArray[np.int64]


def starts_of(lengths: Sequence[int] | npt.NDArray[np.integer]) -> Starts:
    """Return (N + 1,) where each image's rows begin, and the end of all.

    Example:
        >>> starts_of([2, 0, 1]).tolist()
        [0, 2, 2, 3]
    """
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)


def rows_of(starts: Starts, indices: Indices) -> tuple[Indices, npt.NDArray[np.int64]]:
    """Return the rows of some images, in the order of `indices`, and how many each has (B,).

    Example:
        >>> [part.tolist() for part in rows_of(starts_of([2, 0, 3]), np.array([2, 0]))]
        [[2, 3, 4, 0, 1], [3, 2]]
    """
    indices = np.asarray(indices, dtype=np.intp)
    lengths = starts[indices + 1] - starts[indices]
    first = np.repeat(starts[indices] - starts_of(lengths)[:-1], lengths)
    return (np.arange(int(lengths.sum())) + first).astype(np.intp), lengths


def refuse_uneven(what: str, count: int, **columns: npt.NDArray[Any]) -> None:
    """Assert that columns have a row for each of `count` things; a source that gives others has a bug."""
    for name, column in columns.items():
        assert len(column) == count, f"{len(column)} {name} for {count} {what}"
