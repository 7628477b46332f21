"""Early stopping: the best epoch so far, and whether to go on."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """Keep the best epoch of a score and say when `patience` epochs brought nothing better.

    A score that is not a number is never the best (it shows as n/a). Equal scores are separated by the loss.

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
        if math.isnan(score):
            return False
        gain = score - self.best_score if self.mode == "max" else self.best_score - score
        if math.isnan(self.best_score) or gain > 0 or (gain == 0 and loss < self.best_loss):
            self.best_score, self.best_loss, self.best_epoch = score, loss, epoch
            return True
        return False

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
