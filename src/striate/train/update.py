"""One training step: rate, forward, loss, backward, clip, step, average."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from striate.base.errors import DivergedError
from striate.data.sample import Batch
from striate.task import Task

CHECK_EVERY = 10  # steps between looks at the loss on a GPU, where each look waits for the device


class Average:
    """An exponential moving average of a model's weights; its buffers are copied (Polyak 1992; Tarvainen 2017).

    The decay grows as (1 + step) / (10 + step) up to `decay`, so that early epochs are not stuck at the init.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards `model` after step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.model.parameters())
        currents: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, currents, 1 - decay)
        for average, current in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(current)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs at `precision` ("float32" or "bf16")."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


class Update:
    """What one batch does to the model. Calling it returns the task's tally of the batch.

    Args:
        rate_at: step -> learning rate.
        clip: largest norm of the whole gradient; 0 is off.
        precision: "float32" or "bf16" (autocast; weights stay float32).
        average: moved after every step when given.
        name_of: dataset index -> sample id, for the message when the loss is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimiser: torch.optim.Optimizer,
        rate_at: Callable[[int], float],
        *,
        clip: float = 0.0,
        precision: str = "float32",
        average: Average | None = None,
        name_of: Callable[[int], str] = str,
    ) -> None:
        self.model, self.task, self.optimiser, self.rate_at = model, task, optimiser, rate_at
        self.clip, self.precision, self.average, self.name_of = clip, precision, average, name_of
        self.parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]

    def __call__(self, batch: Batch, step: int) -> Tensor:
        """Train on one batch.

        Raises:
            DivergedError: the loss is not finite; the weights are those before this step (on a GPU, where the loss
                is looked at every few steps, the last checkpoint holds the last good ones).
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate_at(step)
        with autocast(batch.images.device, self.precision):
            outputs = self.model(batch.images)
        loss = torch.stack(list(self.task.loss(outputs, batch.targets).values())).sum()
        self._check(loss, batch, step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.model, step)
        with torch.no_grad():
            return self.task.tally(outputs.detach(), batch.targets)

    def _check(self, loss: Tensor, batch: Batch, step: int) -> None:
        is_due = loss.device.type == "cpu" or step % CHECK_EVERY == 0
        if is_due and not torch.isfinite(loss):
            names = [self.name_of(int(index)) for index in batch.index[:3]]
            rate = self.rate_at(step)
            raise DivergedError(
                f"loss is {loss.item()} at step {step} (rate {rate:.3g}, batch {', '.join(names)}, ...)",
                fix="lower the rate: --set train.lr=" + f"{rate / 10:.2g}",
            )
