"""What an image takes, part by part, where a task has parts that differ."""

from statistics import median

import torch
from torch import nn

from striate.engine.precision import autocast

from .prepare import Prepared

NUM_IMAGES = 6  # of validation; the first one warms up


def part_times_ms(prepared: Prepared, network: nn.Module, precision: str) -> dict[str, float]:
    """Return the milliseconds of each part for one image, medians; empty where the task has no parts.

    Images go through alone, as in prediction, on the run's device, with its threads and precision.
    """
    was_training, rows = network.training, list[dict[str, float]]()
    network.eval()
    indices = prepared.dataset.splits["val"][:NUM_IMAGES]
    with torch.inference_mode(), autocast(prepared.device, precision):
        for batch in prepared.loader("val", indices=indices, batch_size=1).batches(0):
            rows.append(prepared.task.timed(network, batch))
            if not rows[-1]:
                break
    network.train(was_training)
    kept = rows[1:] or rows
    return {name: round(median(row[name] for row in kept), 3) for name in kept[0]}
