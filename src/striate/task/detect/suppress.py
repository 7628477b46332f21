"""Of boxes of one class that overlap, the one with the highest score: greedy suppression of whole batches at once."""

from dataclasses import replace

import torch

from striate.nn.boxes import pair_iou

from .reading import Candidates


def suppressed(candidates: Candidates, threshold: float) -> Candidates:
    """Return the candidates with the score 0 where a kept one of the same class and a higher score overlaps by more.

    What greedy suppression keeps is the one set in which a box is kept exactly if no kept box before it overlaps it;
    asking that of all boxes again and again ends there, after as many rounds as the longest chain of overlaps is long.

    Args:
        threshold: the IoU that is still allowed.
    """
    boxes, scores, labels = candidates.boxes, candidates.scores, candidates.labels
    num = scores.shape[1]
    is_before = torch.ones(num, num, dtype=torch.bool, device=scores.device).triu(1)
    covers = (
        (pair_iou(boxes[:, :, None], boxes[:, None]) > threshold) & (labels[:, :, None] == labels[:, None]) & is_before
    )
    is_there, counted = scores > 0, covers.float()  # counts by a product with a matrix: twice as fast as `any`
    kept = is_there
    for _ in range(num):
        after = is_there & ((kept.float()[:, None] @ counted)[:, 0] == 0)
        if torch.equal(after, kept):
            break
        kept = after
    return replace(candidates, scores=scores.masked_fill(~kept, 0))
