"""One training step: rate, forward, loss, backward, clip, step, average. No step is made on a broken gradient."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from math import inf

import torch
from torch import Tensor, nn

from striate.base.errors import DivergedError
from striate.data.sample import Batch
from striate.task import Outputs, Task
from striate.task.views import each

from .average import Average
from .optim import Optimiser
from .precision import autocast
from .regularise import frozen_statistics, penalise, sam_perturbation, weight_noise
from .skip import MAX_IN_A_ROW, Skips, gradient_norm
from .together import Together

CHECK_EVERY = 50  # steps between looks at loss and gradient on a GPU, where each look waits for the device


def auxiliary_heads(model: nn.Module) -> tuple[str, ...]:
    """Return the auxiliary outputs of a network: rows that nothing takes, shaped like the main output."""
    blueprint = getattr(model, "blueprint", None)
    shapes = getattr(model, "shapes", {})
    if blueprint is None:
        return ()
    return tuple(name for name in blueprint.auxiliary_heads if shapes[name] == shapes[blueprint.names[-1]])


def aux_weight_of(model: nn.Module, wanted: float | None = None) -> float:
    """Return the weight of each auxiliary loss: as wanted, else as published for the network, 0 where there is none."""
    if not auxiliary_heads(model):
        return 0.0
    return float(getattr(model, "blueprint").aux_weight) if wanted is None else wanted  # noqa: B009


class Update:
    """What one batch does to the model. Calling it returns the task's tally of the batch.

    A step whose gradient is not finite while its loss is leaves weights and optimiser as they are; `skips` counts it.

    Args:
        rate_at: step -> learning rate.
        clip: largest norm of the whole gradient; 0 is off.
        precision: "float32" or "bf16" (autocast; weights stay float32).
        average: moved after every step when given.
        name_of: dataset index -> sample id, for the message when the loss is not finite.
        aux_weight: of the loss of each auxiliary head, which counts beside the main one's; 0 leaves them out.
        l1, l2: of the penalties on the weights.
        weight_noise: deviation of the noise on the weights, as a share of each tensor's root mean square.
        sam: radius of sharpness-aware minimisation; two passes a step, and dropout draws anew for the second.
        eval_modules: modules that stay in evaluation mode while training.
        together: the other processes, where several train.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimiser: Optimiser,
        rate_at: Callable[[int], float],
        *,
        clip: float = 0.0,
        precision: str = "float32",
        average: Average | None = None,
        name_of: Callable[[int], str] = str,
        aux_weight: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        weight_noise: float = 0.0,
        sam: float = 0.0,
        eval_modules: list[nn.Module] | None = None,
        together: Together | None = None,
    ) -> None:
        self.model, self.task, self.optimiser, self.rate_at = model, task, optimiser, rate_at
        self.clip, self.precision, self.average, self.name_of = clip, precision, average, name_of
        self.l1, self.l2, self.weight_noise, self.sam = l1, l2, weight_noise, sam
        self.aux_weight, self.heads = aux_weight, auxiliary_heads(model) if aux_weight else ()
        self.eval_modules, self.together = eval_modules or [], together
        self.parameters = optimiser.parameters
        self.skips = Skips(self.parameters[0].device)

    def train_mode(self) -> None:
        """Put the model into training mode, save for what stays as it is at prediction."""
        self.model.train()
        for module in self.eval_modules:
            module.eval()

    def __call__(self, batch: Batch, step: int) -> Tensor:
        """Train on one batch.

        Raises:
            DivergedError: the loss is not finite, or the gradient was not for more than `MAX_IN_A_ROW` steps; the
                weights are those before this step (on a GPU, where the loss is looked at every few steps, the last
                checkpoint holds the last good ones).
        """
        self.optimiser.set_rate(self.rate_at(step))
        outputs = self._gradients(batch, step)
        if self.l1 or self.l2:
            penalise(self.optimiser.decaying, self.l1, self.l2)
        clip, parameters = self.clip, self.parameters
        norm = nn.utils.clip_grad_norm_(parameters, clip, foreach=True) if clip else gradient_norm(parameters)
        self._step(norm < inf, batch, step)  # one operator; `isfinite` are four
        if self.average is not None:
            self.average.update(self.model, step)
        if self.together:
            return self.together.tally
        with torch.no_grad():
            return self.task.tally(each(Tensor.detach, outputs), batch)

    def _gradients(self, batch: Batch, step: int) -> Outputs:
        """Fill the gradients, where noise and SAM want them taken; return the main outputs of the first pass."""
        with ExitStack() as moved:
            if self.together:
                self.together.draw_alike(step)
            if self.weight_noise:
                moved.enter_context(weight_noise(self.optimiser.decaying, self.weight_noise))
            if self.together:
                self.together.draw_apart(step)
            outputs = self._backward(batch, step)
            if self.sam:
                moved.enter_context(sam_perturbation(self.parameters, self.sam))
                moved.enter_context(frozen_statistics(self.model))
                self._backward(batch)  # what is not finite up there is so in the gradient too
        return outputs

    def _backward(self, batch: Batch, step: int | None = None) -> Outputs:
        """Fill the gradients of the whole batch; return the main outputs for the images that are this process's."""
        if self.together is None:
            loss, outputs = self.loss(batch)
        else:
            found = self._forward(self.together.forward, batch)
            outputs = each(lambda values: values[batch.own], self._main(found))
            loss, _ = self._loss(*self.together.share(found, batch, outputs if step is not None else None))
        if step is not None:
            self._check(loss, batch, step)
        self.optimiser.zero_grad()
        loss.backward() if self.together is None else self.together.backward(loss)
        return outputs

    def loss(self, batch: Batch) -> tuple[Tensor, Outputs]:
        """Return the loss of a batch, auxiliary ones included, and the main outputs, in float32."""
        return self._loss(self._forward(partial(self.task.forward, self.model), batch), batch)

    def _forward(self, forward: Callable[..., Outputs], batch: Batch) -> Outputs:
        with autocast(batch.images.device, self.precision):
            found = forward(batch, **({"auxiliary": True} if self.heads else {}), **batch.options)
        return each(Tensor.float, found)

    def _main(self, found: Outputs) -> Outputs:
        return list(found.values())[-1] if self.heads else found

    def _loss(self, found: Outputs, batch: Batch) -> tuple[Tensor, Outputs]:
        outputs = self._main(found)
        loss = self._sum(outputs, batch)
        for name in self.heads:
            loss = loss + self.aux_weight * self._sum(found[name], batch)
        return loss, outputs

    def _sum(self, outputs: Outputs, batch: Batch) -> Tensor:
        first, *others = self.task.loss(outputs, batch).values()
        return torch.stack([first, *others]).sum() if others or first.ndim else first

    def _check(self, loss: Tensor, batch: Batch, step: int) -> None:
        if _is_due(loss, step) and not torch.isfinite(loss):
            raise self._diverged(f"loss is {loss.item()}", batch, step)

    def _step(self, is_finite: Tensor, batch: Batch, step: int) -> None:
        """Make the step, or leave it out and count it."""
        self.optimiser.step(is_finite)
        self.skips.add(is_finite)
        if _is_due(is_finite, step) and (num := self.skips.num_in_a_row) > MAX_IN_A_ROW:
            raise self._diverged(f"gradient is not finite for {num} steps", batch, step)

    def _diverged(self, what: str, batch: Batch, step: int) -> DivergedError:
        names, rate = [self.name_of(int(index)) for index in batch.index[:3]], self.rate_at(step)
        return DivergedError(
            f"{what} at step {step} (rate {rate:.3g}, batch {', '.join(names)}, ...)",
            fix=f"train again with a lower rate: --lr {rate / 10:.2g}",
        )


def _is_due(looked_at: Tensor, step: int) -> bool:
    return looked_at.device.type == "cpu" or step % CHECK_EVERY == 0
