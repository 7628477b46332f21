"""Temperature scaling: one number that makes a network's probabilities as sure as it is right.

Outputs are divided by T before softmax (for tags: sigmoid). T > 1 makes an overconfident network less sure; the class
that is named never changes. It is fitted on validation images, which the weights were not trained on.

Reference: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import DataError
from striate.data.sample import Batch
from striate.metric.calibration import bins_of, error_of_bins
from striate.task import Task
from striate.task.protocol import answers_of
from striate.task.temperature import Temperature

from .run import Batches

LARGEST = 100.0  # temperatures are sought from 1/100 to 100
STEPS = 80  # halvings: far beyond the digits of a float


def temperature_of(task: Task) -> Temperature:
    """Return how a temperature changes the probabilities of a task.

    Raises:
        DataError: it has no probabilities that one could change.
    """
    if task.temperature is None:
        what = "the run predicts no classes or tags of images, whose probabilities a temperature could correct"
        raise DataError(what, where=task.target, fix="leave --calibrate out")
    return task.temperature


@torch.inference_mode()
def outputs_of(model: nn.Module, task: Task, loader: Batches) -> tuple[Tensor, Tensor]:
    """Return the network's outputs (N, K), float32 on the CPU, and the truth; the model's mode is given back."""
    was_training = model.training
    model.eval()
    try:
        found = [(model(batch.images).float().cpu(), batch.targets[task.target].cpu()) for batch in loader.batches(0)]
    finally:
        model.train(was_training)
    outputs, truth = zip(*found, strict=True)
    return torch.cat(outputs), torch.cat(truth)


def fit_temperature(way: Temperature, outputs: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the temperature with the smallest mean loss.

    The loss is convex in 1/T, so the one place where its slope is zero is found by halving.

    Args:
        way: how outputs become probabilities, see `striate.task.temperature`; it says what `truth` is.
        outputs: (N, K) logits.

    Raises:
        DataError: there is no best temperature: every image is right (surer is always better), or the network does
            no better than chance (less sure is always better).

    Example:
        >>> from striate.task.temperature import Softmax
        >>> round(fit_temperature(Softmax(), [[2, 0], [2, 0], [2, 0], [0, 2]], [0, 0, 1, 1]), 4)
        1.8205
    """
    logits, true = np.asarray(outputs, dtype=np.float64), np.asarray(truth)
    low, high = 1 / LARGEST, LARGEST
    if way.slope(logits, true, high) <= 0:
        raise DataError("no temperature can be fitted: every image is right", fix="use more validation images")
    if way.slope(logits, true, low) >= 0:
        raise DataError("no temperature can be fitted: the network is no better than chance", fix="train it longer")
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if way.slope(logits, true, middle) < 0 else (low, middle)
    return float(2 / (low + high))


def reliability(task: Task, outputs: Tensor, truth: Tensor, temperature: float = 1.0) -> dict[str, float | None]:
    """Return {"loss", "ece"} of outputs at a temperature: mean loss, and expected calibration error over 15 bins."""
    batch = Batch(outputs, {task.target: truth}, np.arange(len(truth)))
    answers = answers_of(task, outputs / temperature, batch)
    return {"loss": float(answers.losses.mean(dtype=np.float64)), "ece": error_of_bins(bins_of(answers))}
