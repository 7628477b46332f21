"""What an export starts from, and what was written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from striate.predict import Predictor

from .contract import Answers
from .graph import Answering


@dataclass(frozen=True)
class Order:
    """What is to be written.

    Args:
        run: its folder.
        stored: N images (H, W, C) as the run's store keeps them, on which it is checked; two at least.
        config: what config.json holds of every export.
        is_normalising: whether the graph normalises images itself.
    """

    run: Path
    predictor: Predictor
    stored: Sequence[npt.NDArray[Any]]
    config: Mapping[str, Any]
    is_normalising: bool = False

    def module(self) -> Answering:
        """The run's network, from what the file gets to its answers."""
        return Answering.of(self.predictor, is_normalising=self.is_normalising)

    def images(self) -> Tensor:
        """What the file gets of the images (N, C, H, W): normalised, or in levels."""
        return self.fed(self.predictor.inputs(self.stored))

    def fed(self, normal: Tensor) -> Tensor:
        """What the file gets of normalised images."""
        if not self.is_normalising:
            return normal.contiguous()
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.predictor.mean, self.predictor.std))
        return ((normal * std + mean) * 255).contiguous()


@dataclass(frozen=True)
class Written:
    """The main file of an export, not checked yet.

    Args:
        name: of the file; `about` says what it is, `what` names it in a sentence.
        answers: runs it, from images to what the run's network answers.
        row: finds the first row of the network that answers otherwise; None where nothing can say so.
        config: what config.json holds beside what it holds of every export.
        use: lines of Python that load it.
    """

    name: str
    about: str
    what: str
    answers: Callable[[Tensor], Answers]
    row: Callable[[], str | None] = lambda: None
    config: Mapping[str, Any] = field(default_factory=dict)
    use: Sequence[str] = ()


@torch.inference_mode()
def answers_of(module: Callable[..., Any], images: Tensor) -> Answers:
    """Return the outputs of a module as arrays."""
    return [one.numpy() for one in module(images)]
