"""Which box of the truth an anchor or a proposal stands for, and which of them are learnt from."""

import torch
from torch import Tensor

BELOW, BETWEEN = -1, -2  # instead of a row of the truth: background; neither this nor that


def match(ious: Tensor, *, high: float, low: float, keeps_best: bool = False) -> Tensor:
    """Return (A,) int64 the row of the truth that each anchor stands for, BELOW or BETWEEN.

    Args:
        ious: (T, A) of T true boxes with A anchors.
        high: from this IoU an anchor stands for the box that it overlaps most.
        low: below this IoU it is background, and from it up to `high` BETWEEN.
        keeps_best: an anchor that overlaps some box as much as no other anchor does stands for its own best box,
            whatever the IoU. A box that no anchor touches has no such anchor (in torchvision it has all of them).

    Example:
        >>> ious = torch.tensor([[0.8, 0.3, 0.1, 0.0], [0.0, 0.0, 0.2, 0.0]])
        >>> match(ious, high=0.7, low=0.25).tolist(), match(ious, high=0.7, low=0.25, keeps_best=True).tolist()
        ([0, -2, -1, -1], [0, -2, 1, -1])

    Reference: Ren et al., "Faster R-CNN", NeurIPS 2015, section 3.1.2.
    """
    if not len(ious):
        return ious.new_full((ious.shape[1],), BELOW, dtype=torch.int64)
    most, row = ious.max(0)
    matched = torch.where(most >= high, row, torch.where(most < low, BELOW, BETWEEN))
    if keeps_best and ious.shape[1]:
        best = ious.amax(1, keepdim=True)
        matched = torch.where(((ious == best) & (best > 0)).any(0), row, matched)
    return matched


def sample(
    matched: Tensor, num: int, positive_frac: float, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return at most `num` random anchors: those (P,) that stand for a box, and those (Q,) of the background.

    Args:
        matched: (A,) as `match` returns it.
        positive_frac: the share of `num` that the former may fill; what they leave the latter fill.
    """
    positive, negative = (matched >= 0).nonzero()[:, 0], (matched == BELOW).nonzero()[:, 0]
    num_positive = min(len(positive), int(num * positive_frac))
    return _some(positive, num_positive, generator), _some(negative, num - num_positive, generator)


def _some(rows: Tensor, num: int, generator: torch.Generator | None) -> Tensor:
    device = rows.device if generator is None else generator.device
    return rows[torch.randperm(len(rows), generator=generator, device=device)[:num].to(rows.device)]
