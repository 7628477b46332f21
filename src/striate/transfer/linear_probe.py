"""A linear probe on features: L-BFGS to the minimum, the strength of weight decay chosen on validation images."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.data.sample import Batch
from striate.task import Task

from .features import Features

STRENGTHS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
MAX_STEPS = 300
FLAT = 1e-6  # a feature that varies less than this over the training images says nothing


@dataclass(frozen=True)
class Solution:
    """What one strength of weight decay gave: the task's loss on the features, steps, and the head's state."""

    weight_decay: float
    loss: float
    steps: int
    state: dict[str, Tensor]


def solve(
    head: nn.Sequential, task: Task, train: Features, strengths: tuple[float, ...] = STRENGTHS
) -> Iterator[Solution]:
    """Fit the head to all views for each strength, strongest first, each from the one before; yield after each.

    Minimises the task's mean loss + strength / 2 x sum w^2 over weights (not biases) of standardised features; the
    standardisation becomes part of the first layer of what is returned, which takes features as they are.

    Reference: Nocedal and Wright, Numerical Optimization (2006), section 7.2.

    Args:
        head: linear layers with biases; trained in place, on standardised features.
    """
    first = next(part for part in head.modules() if isinstance(part, nn.Linear))
    deviation, mean = torch.std_mean(train.values, 0, correction=0)
    scale = torch.where(deviation > FLAT, 1 / deviation.clamp_min(FLAT), torch.zeros_like(deviation))
    batch = Batch((train.values - mean) * scale, {train.target: train.truth}, train.index)
    weights = [parameter for parameter in head.parameters() if parameter.ndim > 1]
    head.train()
    with torch.no_grad():
        first.weight.zero_() if len(weights) == 1 else None
    for strength in strengths:
        steps = _minimise(head, lambda: _loss(head, task, batch, weights, strength))  # noqa: B023
        with torch.no_grad():
            loss = sum(task.loss(head(batch.images), batch).values())
        yield Solution(strength, float(loss), steps, _on_raw_features(head, mean, scale))


def _on_raw_features(head: nn.Sequential, mean: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """The head's state for features as they are, not standardised."""
    whole = copy.deepcopy(head)
    first = next(part for part in whole.modules() if isinstance(part, nn.Linear))
    with torch.no_grad():
        first.weight.mul_(scale)
        first.bias.sub_(first.weight @ mean)
    return whole.state_dict()


def _loss(
    head: nn.Module,
    task: Task,
    batch: Batch,
    weights: list[nn.Parameter],
    strength: float,
) -> Tensor:
    penalty = sum((weight.square().sum() for weight in weights), batch.images.new_zeros(()))
    return sum(task.loss(head(batch.images), batch).values(), strength / 2 * penalty)


def _minimise(head: nn.Module, loss_of: Callable[[], Tensor]) -> int:
    optimiser = torch.optim.LBFGS(
        list(head.parameters()),
        max_iter=MAX_STEPS,
        tolerance_grad=1e-6,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    optimiser.step(closure)
    return int(next(iter(optimiser.state.values()))["n_iter"])
