"""The loss as a score: its mean over images, without smoothing or weights."""

import numpy as np

from .metric import ERROR, Answers, Array, Metric, column


def _losses(answers: Answers) -> Array:
    return column(np.asarray(answers.losses, dtype=np.float64))


LOSS = Metric("loss", "loss", "min", possible=ERROR, record=_losses, interval="none")
