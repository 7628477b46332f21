"""What a network gives, held against what a task's head takes."""

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError, UserError
from striate.base.memory import is_out_of_memory
from striate.base.text import shown

from .head import noun_of, text_of
from .protocol import Outputs, Task

ONE_VALUE = "more than 1 value per channel"  # what torch says of batch norm on one number a channel


def outputs_of(network: nn.Module, task: Task, images: Tensor) -> Outputs:
    """Return the network's outputs for images (N, C, H, W).

    Raises:
        ModelError: the network, which may be a user's own code, fails or gives something else; the message says what.
        ValueError: batch norm is trained on one number a channel.
    """
    came, wanted = "x".join(map(str, images.shape)), task.head.wanted(images)
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
    if task.head.fits(outputs, images):
        return outputs
    asked = noun_of(task.kind, len(task.names))
    what = f"it makes {text_of(outputs)} of {came}, wanted is {wanted} ({asked})"
    raise refusal(network, what, f"return {wanted if wanted.startswith('a ') else f'one tensor of {wanted}'}")


def refusal(network: nn.Module, what: str, fix: str) -> ModelError:
    """Return the error that a module is no network for a task."""
    return ModelError(f"this network does not fit: {what}", where=type(network).__name__, fix=fix)
