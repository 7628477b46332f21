"""Losses of classes, an image or a pixel each: cross-entropy, focal, boundary-weighted, Dice, Lovász-softmax.

Logits are (N, K, ...), the truth (N, ...) class indices; where the truth is `ignore` nothing counts, and a batch in
which nothing counts has loss 0 and gradient 0. `weights` (K,) are of the classes: of cross-entropy and its kin a pixel
weighs as its true class, of Dice and Lovász-softmax a class weighs so in the mean over classes. Nothing here waits for
a device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

NOTHING = -100  # what torch ignores where nothing is said
GAMMA = 2.0  # Lin 2017
EXTRA, SIGMA_PX = 5.0, 2.0  # of the weight at a boundary


@dataclass(frozen=True, eq=False)
class LossOptions:
    """What losses can be told; each heeds what it has a use for.

    Args:
        weights: (K,) of the classes, float32 on the logits' device.
        smoothing: share of the truth that is spread over all classes (Szegedy 2016, section 7).
        gamma: of focal loss.
        ignore: the class index that does not count.
    """

    weights: Tensor | None = None
    smoothing: float = 0.0
    gamma: float = GAMMA
    ignore: int = NOTHING


PLAIN = LossOptions()
Loss = Callable[[Tensor, Tensor, LossOptions], Tensor]


def cross_entropy(logits: Tensor, truth: Tensor, options: LossOptions = PLAIN) -> Tensor:
    """Return the cross-entropy, mean over what counts, by the weights of the true classes.

    A weight belongs to the image or pixel, not to the classes of its smoothed target as in `torch.nn.CrossEntropyLoss`:
    there the smoothed share of a rare class outweighs the true class of all others.

    Args:
        truth: indices (N, ...), or shares of the classes (N, K) where images were mixed.
    """
    if options.weights is None and options.ignore == NOTHING:
        return F.cross_entropy(logits, truth, label_smoothing=options.smoothing)
    return _mean(_each(logits, truth, options), truth, options)


def focal(logits: Tensor, truth: Tensor, options: LossOptions = PLAIN) -> Tensor:
    """Return the focal loss: cross-entropy times (1 - p)^gamma, so that what is easy hardly counts.

    Args:
        truth: indices, or shares of the classes; with `gamma` 0 it is cross-entropy.

    Reference: Lin et al., "Focal loss for dense object detection", ICCV 2017; here of softmax, with any weights.
    """
    logs = logits.log_softmax(1)
    terms = -logs * (-logs.expm1()).clamp(min=1e-7) ** options.gamma  # below 1e-7 a root has no finite slope
    if truth.ndim == logits.ndim:
        losses = (terms * truth).sum(1)
    else:
        losses = terms.gather(1, truth.masked_fill(truth == options.ignore, 0)[:, None]).squeeze(1)
    losses = (1 - options.smoothing) * losses + options.smoothing * terms.mean(1)
    return _mean(losses, truth, options)


def boundary(logits: Tensor, truth: Tensor, options: LossOptions = PLAIN) -> Tensor:
    """Return the cross-entropy of maps (N, K, H, W) in which pixels at a boundary of the truth weigh up to six times.

    The weight is 1 + 5 exp(-d^2 / (2 x 2^2)), d steps from the next pixel that has another class beside it.

    Reference: Ronneberger et al., "U-Net" (2015), equation 2, there of the distance to the two nearest cells.
    """
    return _mean(_each(logits, truth, options), truth, options, 1 + EXTRA * nearness(truth, options.ignore))


def nearness(truth: Tensor, ignore: int = NOTHING) -> Tensor:
    """Return exp(-d^2 / (2 x 2^2)) for each pixel of (N, H, W), 0 from 6 pixels on.

    d counts king's moves to the nearest boundary pixel: one with a known pixel of another class to the left, right,
    above or below.

    Example:
        >>> nearness(torch.tensor([[[0, 0, 1, 1, 1]]])).mul(100).round().int().tolist()
        [[[88, 100, 100, 88, 61]]]
    """
    near = at_boundary(truth, ignore).float()[:, None]
    found = near.clone()
    for distance in range(1, int(3 * SIGMA_PX)):
        near = (F.max_pool2d if near.ndim == 4 else F.max_pool3d)(near, 3, 1, 1)
        found = torch.maximum(found, near * math.exp(-(distance**2) / (2 * SIGMA_PX**2)))
    return found[:, 0]


def at_boundary(truth: Tensor, ignore: int = NOTHING) -> Tensor:
    """Return which pixels of (N, H, W) have a pixel of another class beside them; none of what is ignored."""
    known, found = truth != ignore, torch.zeros_like(truth, dtype=torch.bool)
    for axis in range(1, truth.ndim):
        length = truth.shape[axis]
        before, after = (truth.narrow(axis, start, length - 1) for start in (0, 1))
        differ = (before != after) & known.narrow(axis, 0, length - 1) & known.narrow(axis, 1, length - 1)
        found.narrow(axis, 0, length - 1).logical_or_(differ)
        found.narrow(axis, 1, length - 1).logical_or_(differ)
    return found


def dice(logits: Tensor, truth: Tensor, options: LossOptions = PLAIN) -> Tensor:
    """Return 1 - 2 sum(p y) / (sum(p) + sum(y)), mean over the classes in the batch's truth; sums are over the batch.

    Label smoothing does not touch it: areas are of the true classes.

    Reference: Milletari et al., "V-Net" (2016); plain sums in the denominator as in Drozdzal et al. (2016).
    """
    known = (truth != options.ignore)[:, None]
    shares = logits.softmax(1) * known
    true = _one_hot(truth, logits.shape[1], options.ignore)
    axes = (0, *range(2, logits.ndim))
    both, areas, area = (shares * true).sum(axes), (shares + true).sum(axes), true.sum(axes)
    return _over_classes(1 - 2 * both / areas.clamp(min=1e-6), area, options.weights)


def lovasz(logits: Tensor, truth: Tensor, options: LossOptions = PLAIN) -> Tensor:
    """Return the Lovász-softmax loss over the pixels of a batch: a convex extension of 1 - IoU, mean over its classes.

    Label smoothing does not touch it: IoU is of the true classes.

    Reference: Berman et al., "The Lovász-softmax loss", CVPR 2018, equation 11, classes "present".
    """
    num = logits.shape[1]
    true = _one_hot(truth, num, options.ignore).transpose(0, 1).reshape(num, -1)
    shares = logits.softmax(1).transpose(0, 1).reshape(num, -1)
    # an ignored pixel errs by 0 and is in no class: wherever the sort puts it, it adds nothing
    errors = (true - shares).abs() * (truth != options.ignore).reshape(1, -1)
    ordered, order = errors.sort(dim=1, descending=True)
    right = true.gather(1, order)
    area = true.sum(1, keepdim=True)
    union = area + (1 - right).cumsum(1)
    jaccard = 1 - (area - right.cumsum(1)) / union.clamp(min=1)
    steps = torch.cat([jaccard[:, :1], jaccard.diff(dim=1)], 1)
    return _over_classes((ordered * steps).sum(1), area[:, 0], options.weights)


def _one_hot(truth: Tensor, num_classes: int, ignore: int) -> Tensor:
    """(N, K, ...) float32, 0 everywhere where the truth is ignored."""
    classes = torch.arange(num_classes, device=truth.device).reshape(1, -1, *(1,) * (truth.ndim - 1))
    return ((truth[:, None] == classes) & (truth != ignore)[:, None]).float()


def _each(logits: Tensor, truth: Tensor, options: LossOptions) -> Tensor:
    """The cross-entropy of each image or pixel (N, ...); 0 of what is ignored."""
    smoothing, ignore = options.smoothing, options.ignore
    return F.cross_entropy(logits, truth, reduction="none", label_smoothing=smoothing, ignore_index=ignore)


def _mean(losses: Tensor, truth: Tensor, options: LossOptions, factors: Tensor | float = 1.0) -> Tensor:
    """The mean of losses (N, ...) over what counts, weighted by true class and by factors."""
    weights = options.weights
    if truth.ndim > losses.ndim:
        weight = torch.ones_like(losses) if weights is None else truth @ weights
    else:
        known = truth != options.ignore
        weight = known.to(losses.dtype) if weights is None else weights[truth.masked_fill(~known, 0)] * known
    weight = weight * factors
    total = weight.sum()
    return (losses * weight).sum() / total.masked_fill(total == 0, 1.0)


def _over_classes(losses: Tensor, area: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of losses (K,) over the classes that are there, by their weights."""
    weight = (area > 0).to(losses.dtype) * (1 if weights is None else weights)
    total = weight.sum()
    return (losses * weight).sum() / total.masked_fill(total == 0, 1.0)


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "lovasz": lovasz,
    "boundary": boundary,
}
