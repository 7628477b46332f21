"""What a temperature does to the probabilities of a task. N images, K classes or tags."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Temperature(Protocol):
    """How outputs become probabilities, as far as fitting a temperature needs it."""

    def slope(self, logits: Floats, truth: npt.NDArray[Any], inverse: float) -> float:
        """Return the derivative of the mean loss by 1/T, at 1/T = `inverse`."""


class Softmax:
    """One class an image: truth (N,) class indices."""

    def slope(self, logits: Floats, truth: npt.NDArray[Any], inverse: float) -> float:
        """Return the derivative of the mean cross-entropy by 1/T."""
        scaled = inverse * logits
        powers = np.exp(scaled - scaled.max(1, keepdims=True))
        expected = (powers * logits).sum(1) / powers.sum(1)
        return float((expected - logits[np.arange(len(logits)), truth]).mean())


class Sigmoid:
    """Tags: truth (N, K) of 0 and 1."""

    def slope(self, logits: Floats, truth: npt.NDArray[Any], inverse: float) -> float:
        """Return the derivative of the mean binary cross-entropy by 1/T."""
        with np.errstate(over="ignore"):
            probabilities = 1 / (1 + np.exp(-inverse * logits))
        return float(((probabilities - truth) * logits).mean())
