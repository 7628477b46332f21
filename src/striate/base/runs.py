"""Masks as COCO writes them: run lengths of 0 and 1 in turn, down the columns of the image, as numbers or a text."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.bool_]


def runs_of(mask: npt.NDArray[np.generic]) -> list[int]:
    """Return the run lengths of a mask (H, W); the first is of pixels that it does not cover.

    Example:
        >>> runs_of(np.array([[0, 1, 0], [1, 0, 0]], bool)), runs_of(np.ones((2, 2), bool))
        ([1, 2, 3], [0, 4])
    """
    flat = np.concatenate([[False], np.asarray(mask, bool).T.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    ends = edges if len(edges) and edges[-1] == mask.size else np.append(edges, mask.size)
    return [int(run) for run in np.diff(ends, prepend=0)]


def covered_by(runs: Sequence[int], size_hw: tuple[int, ...]) -> Bits:
    """Return the pixels (H, W) that run lengths cover: of 0 and 1 in turn, down the columns.

    Example:
        >>> covered_by((1, 2, 3), (2, 3)).astype(int).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    is_covered = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return is_covered.reshape(size_hw[1], size_hw[0]).T


def run_lengths(text: str) -> list[int]:
    """Return the run lengths that COCO writes as a text: five bits a character, differences from the third on.

    Raises:
        ValueError: it ends inside a number, or has characters that none is written with.

    Example:
        >>> run_lengths("123")
        [1, 2, 3]
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"character {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("it ends inside a number")
    return runs


def run_text(runs: Sequence[int]) -> str:
    """Return the text that `run_lengths` reads.

    Example:
        >>> run_text([1, 2, 3]), run_lengths(run_text([100, 7, 90, 12]))
        ('123', [100, 7, 90, 12])
    """
    text = []
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            is_last = value == (-1 if bits & 16 else 0)
            text.append(chr(48 + bits + (0 if is_last else 32)))
            if is_last:
                break
    return "".join(text)
