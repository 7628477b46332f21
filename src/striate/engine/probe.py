"""A look at every row while a network trains: how large gradient, weights and activations are, and which units died.

One forward and one backward pass over one batch, and one transfer from the device.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from striate.data.sample import Batch

from .optim import rows_of
from .regularise import batch_norms, frozen_statistics

RELUS = (nn.ReLU, nn.ReLU6)
Rows = dict[str, dict[str, float]]


def look(model: nn.Module, loss_of: Callable[[Batch], tuple[Tensor, Tensor]], batch: Batch) -> Rows:
    """Return what there is to say of each row: row name -> numbers.

    `gradient_norm` and `weight_norm` over the row's parameters that train; `activation_mean` and `activation_std` of
    its output; `dead_frac`, of the channels that go through a ReLU in it the share that is zero at every position of
    every image.

    Batch normalisation uses the batch's statistics, as in training, but keeps its running ones; dropout is off. So
    neither the model nor any random state changes.

    Args:
        loss_of: batch -> (loss, outputs).
    """
    found: dict[tuple[str, str], Tensor] = {}
    rows = rows_of(model)
    with _as_in_training(model, len(batch) > 1), _listening(rows, found):
        loss, _ = loss_of(batch)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(loss, trained, allow_unused=True)
    gradient_of = {
        id(parameter): gradient for parameter, gradient in zip(trained, gradients, strict=True) if gradient is not None
    }
    for name, row in rows.items():
        moved = [parameter.detach() for parameter in row.parameters() if id(parameter) in gradient_of]
        if moved:
            own = [gradient_of[id(parameter)] for parameter in row.parameters() if id(parameter) in gradient_of]
            found[name, "gradient_norm"] = torch.stack(torch._foreach_norm(own)).norm()
            found[name, "weight_norm"] = torch.stack(torch._foreach_norm(moved)).norm()
    return _documents(rows, found)


def _documents(rows: dict[str, nn.Module], found: dict[tuple[str, str], Tensor]) -> Rows:
    numbers = torch.stack([value.float() for value in found.values()]).tolist() if found else []
    told = dict(zip(found, numbers, strict=True))
    result: Rows = {}
    for name in rows:
        own = {key: value for (row, key), value in told.items() if row == name}
        units = own.pop("units", 0)
        dead = own.pop("dead", 0)
        result[name] = own | ({"dead_frac": dead / units} if units else {})
    return {name: own for name, own in result.items() if own}


@contextmanager
def _as_in_training(model: nn.Module, has_batch: bool) -> Iterator[None]:
    """Evaluation mode, save for batch normalisation that was training, which takes the batch's statistics."""
    modes = [(module, module.training) for module in model.modules()]
    norms = [norm for norm in batch_norms(model) if norm.training and has_batch]
    model.eval()
    try:
        with frozen_statistics(model):
            for norm in norms:
                norm.train()
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _listening(rows: dict[str, nn.Module], found: dict[tuple[str, str], Tensor]) -> Iterator[None]:
    def add(key: tuple[str, str], value: Tensor) -> None:
        found[key] = found[key] + value if key in found else value

    def hear_row(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hear(module: nn.Module, inputs: object, y: Tensor) -> None:
            values = y.detach().float()
            found[name, "activation_mean"], found[name, "activation_std"] = values.mean(), values.std(correction=0)

        return hear

    def hear_relu(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hear(module: nn.Module, inputs: object, y: Tensor) -> None:
            highest = y.detach().transpose(0, 1).flatten(1).amax(1)  # (C,)
            add((name, "dead"), (highest <= 0).sum())
            add((name, "units"), torch.full_like(highest[0], len(highest), dtype=torch.long))

        return hear

    with ExitStack() as hooks:
        for name, row in rows.items():
            hooks.callback(row.register_forward_hook(hear_row(name)).remove)
            for module in row.modules():
                if isinstance(module, RELUS):
                    hooks.callback(module.register_forward_hook(hear_relu(name)).remove)
        yield
