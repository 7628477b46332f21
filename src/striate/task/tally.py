"""The general tally of an epoch: a row an image, float64, from which its metrics are computed at the end.

On a CPU a row has the records of each metric. On a GPU, where reading them would make every step wait, small answers
stay on the device as they are, and are recorded from once an epoch; large ones, such as maps, are recorded from at
every step. Rows: loss, then for each different record how many numbers it has, and these; or loss, -1, how the three
parts of an answer are laid out, and the parts. N images.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.metric import Answers, Metric, records_of

from .protocol import Decoded

Add = Callable[[Tensor, Tensor], Tensor]
MAX_NUMBERS = 64  # of an answer that stays on the device: 100 MB for an epoch of 200,000 images
ANSWERS = -1.0
NONE, FLAT = -2.0, -1.0  # a part that is not there; one number an image, (N,) rather than (N, 1)
NUM_HEADER = 8


def gather(parts: list[Tensor], tally: Tensor, add: Add) -> None:
    """Put a batch's tally behind the parts of an epoch, in place.

    Each part stays longer than the one after it, so that rows are copied a few times, not once a batch; sums, which are
    all of one length, are added up at once, in order.

    Example:
        >>> parts = []
        >>> for batch in range(7):
        ...     gather(parts, torch.ones(2, 1), lambda before, rows: torch.cat([before, rows]))
        >>> [len(part) for part in parts]
        [8, 4, 2]
    """
    parts.append(tally)
    while len(parts) > 1 and len(parts[-2]) <= len(parts[-1]):
        last = parts.pop()
        parts[-1] = add(parts[-1], last)


def total(parts: Sequence[Tensor], add: Add) -> Tensor | None:
    """Return an epoch's parts as one tally; None where there is none."""
    return reduce(add, parts[1:], parts[0]) if parts else None


def of_records(metrics: Sequence[Metric], answers: Answers) -> Tensor:
    """Return rows of the records; those that several metrics share stand there once."""
    columns, records = [answers.losses[:, None]], records_of(metrics, answers)
    for table in {metric.record: records[metric.key] for metric in metrics}.values():
        columns += [np.full((len(table), 1), table.shape[1]), table]
    return torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float64))


def of_answers(decoded: Decoded, truth: Tensor, losses: Tensor) -> Tensor | None:
    """Return rows of the answers themselves, on their device, without waiting for it; None where they are too large."""
    parts = [truth, decoded.values, decoded.probabilities]
    if any(part is not None and part.ndim > 2 for part in parts):
        return None
    flat = [part.reshape(len(losses), -1) for part in parts if part is not None]
    if sum(part.shape[1] for part in flat) > MAX_NUMBERS:
        return None
    header = [ANSWERS, *(number for part in parts for number in _layout(part))]
    constants = [losses.new_full((len(losses), 1), number, dtype=torch.float64) for number in header]
    return torch.cat([losses.double()[:, None], *constants, *(part.double() for part in flat)], 1)


def _layout(part: Tensor | None) -> tuple[float, float]:
    if part is None:
        return NONE, 0.0
    return FLAT if part.ndim == 1 else float(part.shape[1]), float(part.is_floating_point())


def scores(metrics: Sequence[Metric], tally: Tensor) -> dict[str, float]:
    """Return the mean loss, and the value of each metric over all rows; nan where it is not defined."""
    rows = tally.cpu().numpy()
    if rows.shape[1] > 1 and rows[0, 1] == ANSWERS:
        rows = of_records(metrics, _answers(rows)).numpy()
    records: dict[object, npt.NDArray[np.float64]] = {}
    start = 1
    for metric in metrics:
        if metric.record not in records:
            end = start + 1 + int(rows[0, start])
            records[metric.record], start = rows[:, start + 1 : end], end
    known = {metric.key: metric.score(records[metric.record]) for metric in metrics}
    values = {key: math.nan if score is None else score for key, score in known.items()}
    return {"loss": float(rows[:, 0].mean()), **values}


def _answers(rows: npt.NDArray[np.float64]) -> Answers:
    parts: list[npt.NDArray[Any] | None] = []
    start = NUM_HEADER
    for width, is_float in rows[0, 2:NUM_HEADER].reshape(3, 2):
        if width == NONE:
            parts.append(None)
            continue
        end = start + (1 if width == FLAT else int(width))
        part = rows[:, start:end] if is_float else rows[:, start:end].astype(np.int64)
        parts.append(part[:, 0] if width == FLAT else part)
        start = end
    truth, values, probabilities = parts
    assert truth is not None
    assert values is not None
    return Answers(truth, values, rows[:, 0], probabilities)
