"""Early stopping: the best epoch so far, and whether to go on."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """Keep the best epoch of a score and say when `patience` epochs brought nothing better.

    Where a score is not defined (F1 where no tag is true and none is given) the loss decides, as it does between equal
    scores; an epoch whose loss is not a number either is never the best.

    Args:
        mode: "max" or "min".
        patience: epochs without a better one before stopping; 0 never stops.
        since: epochs after which patience begins to count.
    """

    mode: str
    patience: int
    since: int = 0
    best_score: float = math.nan
    best_loss: float = math.inf
    best_epoch: int = 0

    def is_better(self, score: float, loss: float, epoch: int) -> bool:
        """Return whether this epoch is the best so far, and remember it."""
        if not self._beats(score, loss):
            return False
        self.best_score, self.best_loss, self.best_epoch = score, loss, epoch
        return True

    def _beats(self, score: float, loss: float) -> bool:
        if not self.best_epoch:
            return not (math.isnan(score) and math.isnan(loss))
        gain = score - self.best_score if self.mode == "max" else self.best_score - score
        if gain == 0 or math.isnan(gain):
            return loss < self.best_loss or (math.isnan(self.best_loss) and not math.isnan(loss))
        return gain > 0

    def is_over(self, epoch: int) -> bool:
        """Return whether training should end after this epoch."""
        return self.patience > 0 and epoch - max(self.best_epoch, self.since) >= self.patience

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best_score": self.best_score, "best_loss": self.best_loss, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint; null stands for a score that was not a number."""
        self.best_score = math.nan if state["best_score"] is None else state["best_score"]
        self.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]
        self.best_epoch = state["best_epoch"]
