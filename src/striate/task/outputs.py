"""What a network gives, held against what a task takes: (N, outputs) floating-point numbers."""

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError, UserError
from striate.base.memory import is_out_of_memory
from striate.base.text import plural, shown

from .task import Task

MAX_ITEMS = 4  # of a tuple or dict that are described
ONE_VALUE = "more than 1 value per channel"  # what torch says of batch norm on one number a channel


def outputs_of(network: nn.Module, task: Task, images: Tensor) -> Tensor:
    """Return the network's outputs (N, outputs) for images (N, C, H, W).

    Raises:
        ModelError: the network, which may be a user's own code, fails or gives something else; the message says what.
        ValueError: batch norm is trained on one number a channel.
    """
    num = len(images)
    came, wanted = "x".join(map(str, images.shape)), f"{num}x{task.num_outputs}"
    try:
        outputs = network(images)
    except UserError:
        raise
    except Exception as problem:  # whatever a user's own code raises
        if ONE_VALUE in str(problem) or is_out_of_memory(problem):
            raise
        reason = shown(" ".join(str(problem).split()), 80) or type(problem).__name__
        is_double = any(one.dtype == torch.float64 for one in network.parameters())
        fix = "make it float32 with network.float()" if is_double else f"let it take {came} and return {wanted}"
        raise refusal(network, f"it fails on {came} float32 ({reason})", fix) from problem
    if isinstance(outputs, Tensor) and outputs.shape == (num, task.num_outputs) and outputs.is_floating_point():
        return outputs
    what = f"it makes {_described(outputs)} of {came}, wanted is {wanted} ({_asked(task)})"
    raise refusal(network, what, f"return one tensor of {wanted}")


def refusal(network: nn.Module, what: str, fix: str) -> ModelError:
    """Return the error that a module is no network for a task."""
    return ModelError(f"this network does not fit: {what}", where=type(network).__name__, fix=fix)


def _asked(task: Task) -> str:
    num = len(task.names)
    return {"label": plural(num, "class", "classes"), "tags": plural(num, "tag")}.get(task.kind, plural(num, "number"))


def _described(outputs: object) -> str:
    """A tensor by its shape, a container by what is in it, anything else by its type."""
    if isinstance(outputs, Tensor):
        kind = "" if outputs.dtype == torch.float32 else f" {str(outputs.dtype).removeprefix('torch.')}"
        return ("x".join(map(str, outputs.shape)) or "one number") + kind
    name = type(outputs).__name__
    if isinstance(outputs, dict):
        parts = [f"{shown(key, 20)} {_described(value)}" for key, value in list(outputs.items())[:MAX_ITEMS]]
    elif isinstance(outputs, tuple | list):
        parts = [_described(value) for value in outputs[:MAX_ITEMS]]
    else:
        return name
    return f"a {name} ({', '.join(parts)}{', ...' if len(outputs) > MAX_ITEMS else ''})"
