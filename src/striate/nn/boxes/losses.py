"""Losses of detectors that are none of other tasks."""

import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal(logits: Tensor, truth: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the focal loss (...) of independent yes-or-no answers, each element on its own.

    Cross-entropy times (1 - p)^gamma, p the probability of the true answer, and times `alpha` where that is yes and
    1 - `alpha` where it is no: of 100,000 places without an object few still count.

    Args:
        logits: (...).
        truth: (...) 0 or 1, or shares between.

    Reference: Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 5.
    """
    truth = truth.to(logits.dtype)
    p = logits.sigmoid()
    right = p * truth + (1 - p) * (1 - truth)
    losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * (1 - right) ** gamma
    return (alpha * truth + (1 - alpha) * (1 - truth)) * losses
