"""A run's network with what comes before and after it, as one module: from an image's numbers to its answer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.predict import Predictor
from striate.task import Task
from striate.task.detect.head import Detector
from striate.task.outputs import outputs_of
from striate.task.views import each

from .boxes import NAMES as BOXES
from .boxes import is_dense

VALUES, PROBABILITIES = "values", "probabilities"


class Answering(nn.Module):
    """From images (N, C, H, W) to the values of the task's answers, and their probabilities where it has them.

    Args:
        levels: mean and std of each channel, in levels, by which images are normalised first; None where what comes in
            is normalised.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        temperature: float = 1.0,
        levels: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.task, self.temperature = network, task, temperature
        self.mean: Tensor | None
        self.std: Tensor | None
        for name, values in zip(("mean", "std"), levels or (None, None), strict=True):
            column = None if values is None else torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, column, persistent=False)

    @classmethod
    def of(cls, predictor: Predictor, *, is_normalising: bool = False) -> "Answering":
        """Return the module of a run, in evaluation mode."""
        most = 255.0
        levels = [[value * most for value in values] for values in (predictor.mean, predictor.std)]
        given = (levels[0], levels[1]) if is_normalising else None
        return cls(predictor.network, predictor.task, predictor.temperature, given).eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return (values,) or (values, probabilities); of a detector its candidates, see `boxes`."""
        if self.mean is not None and self.std is not None:
            images = (images - self.mean) / self.std
        outputs = self.network(images)
        if self.temperature != 1:
            outputs = each(lambda values: values / self.temperature, outputs)
        head = self.task.head
        if isinstance(head, Detector):
            found = head.reading.candidates(outputs)
            return found.boxes, found.scores, found.labels
        decoded = self.task.exact(outputs)
        return (decoded.values,) if decoded.probabilities is None else (decoded.values, decoded.probabilities)

    @torch.inference_mode()
    def names(self, images: Tensor) -> tuple[str, ...]:
        """Return what the outputs are called.

        Raises:
            ModelError: the network does not take such images.
        """
        outputs_of(self.network, self.task, images)
        return BOXES if isinstance(self.task.head, Detector) else (VALUES, PROBABILITIES)[: len(self(images))]


def require_fixed(predictor: Predictor, fix: str = "answer with striate predict or striate serve") -> None:
    """Refuse a detector that is given its regions, or that looks again at what it found.

    Args:
        fix: what to do instead.

    Raises:
        ModelError: the run is of such a detector.
    """
    head = predictor.task.head
    if isinstance(head, Detector) and not is_dense(predictor.task):
        what = f"other programs cannot run {head.reading.name}, which chooses the boxes it looks at"
        raise ModelError(what, where=head.reading.name, fix=fix)
