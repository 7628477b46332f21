"""How strongly the loss pulls on each row: gradients that vanish or explode on their way down, told by numbers.

The measure of a row is |dL/dW| / |W|, the length of its weights' gradient over that of its weights: the share by which
a step of plain gradient descent with rate 1 would change it. Rows can be compared by it whatever their size. Dropout
is off and batch norm uses its running statistics, as in evaluation.

Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from striate.base import kernels
from striate.data.sample import Batch
from striate.task import Task

from .statistics import row_names
from .tap import borrowed, shown_name

VANISHING = 1e-3  # the first row's measure over the last one's, below which it hardly learns
EXPLODING = 1e3


@dataclass(frozen=True)
class RowGradient:
    """The gradient of a row with weights, on one batch.

    Args:
        name: of the row or layer.
        weight_norm: length of its weights (those that are matrices or kernels).
        gradient_norm: length of their gradient.
        output_rms: root mean square of the loss's gradient by what the row gives, an image.
    """

    name: str
    weight_norm: float
    gradient_norm: float
    output_rms: float

    @property
    def relative(self) -> float:
        """|dL/dW| / |W|; nan for weights that are all 0."""
        return self.gradient_norm / self.weight_norm if self.weight_norm else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers."""
        return {**asdict(self), "relative": None if math.isnan(self.relative) else self.relative}


def gradients(network: nn.Module, task: Task, batch: Batch) -> list[RowGradient]:
    """Return the gradients of the mean plain loss of a batch, of each row with weights, from first to last.

    Rows whose weights the loss does not depend on are left out.
    """
    kernels.guard()
    rows = row_names(network)
    with borrowed(network, has_weight_gradients=True) as probe:
        outputs, found = probe.maps(probe.ready(batch.images), rows)
        loss = task.losses(outputs, batch).mean()
        weights = {name: value for name, value in probe.state.items() if value.requires_grad and value.ndim > 1}
        maps = {name: many[-1] for name, many in found.items() if many[-1].requires_grad}
        slopes = torch.autograd.grad(loss, [*weights.values(), *maps.values()], allow_unused=True)
    of_weights: dict[str, Tensor | None] = dict(zip(weights, slopes[: len(weights)], strict=True))
    of_maps: dict[str, Tensor | None] = dict(zip(maps, slopes[len(weights) :], strict=True))
    return [one for name in rows if (one := _row(name, weights, of_weights, of_maps.get(name), len(batch)))]


def _row(
    name: str, weights: Mapping[str, Tensor], slopes: Mapping[str, Tensor | None], of_map: Tensor | None, num: int
) -> RowGradient | None:
    own = [key for key in weights if shown_name(key).startswith(f"{name}.") and slopes[key] is not None]
    if not own:
        return None
    output = math.nan if of_map is None else float(of_map.double().square().mean().sqrt()) * num
    return RowGradient(name, _norm([weights[key] for key in own]), _norm([slopes[key] for key in own]), output)


def _norm(tensors: Sequence[Tensor | None]) -> float:
    return math.sqrt(sum(float(one.detach().double().square().sum()) for one in tensors if one is not None))


def reading(rows: Sequence[RowGradient]) -> str:
    """Return a sentence on how the gradient changes from the last row with weights to the first."""
    known = [row for row in rows if row.relative > 0]
    if len(known) < 2:
        return "Fewer than two rows have a gradient: nothing can be compared."
    first, last = known[0], known[-1]
    share = first.relative / last.relative
    said = (
        f"|dL/dW| / |W| is {first.relative:.2g} in {first.name} and {last.relative:.2g} in {last.name}: x {share:.2g}"
    )
    if share < VANISHING:
        return f"{said}. Gradients vanish: the first rows hardly learn."
    return f"{said}. Gradients explode." if share > EXPLODING else f"{said}. Neither vanishing nor exploding."
