"""What a network gives, held against what a task's head takes."""

import numpy as np
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError, SettingsError, UserError
from striate.base.memory import is_out_of_memory
from striate.base.text import shown
from striate.data.sample import Batch

from .head import noun_of, text_of
from .protocol import Decoded, Outputs, Task, answers_of

ONE_VALUE = "more than 1 value per channel"  # what torch says of batch norm on one number a channel


def outputs_of(network: nn.Module, task: Task, images: Tensor) -> Outputs:
    """Return the network's outputs for images (N, C, H, W).

    Raises:
        ModelError: the network, which may be a user's own code, fails or gives something else; the message says what.
        ValueError: batch norm is trained on one number a channel.
    """
    came, wanted = "x".join(map(str, images.shape)), task.head.wanted(images)
    try:
        outputs = task.forward(network, Batch(images, {}, np.arange(len(images))))
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


def require_answers(task: Task, outputs: Outputs, batch: Batch) -> None:
    """Hold what a task makes of a batch of N images against what is asked of a task.

    Raises:
        SettingsError: its `loss` is not named scalars, its `losses` are not (N,), `decode` gives no `Decoded`, or
            answers and records are not of N images.
    """

    def require(is_right: bool, part: str, came: object, wanted: str) -> None:
        if not is_right:
            text = f"shape {tuple(came.shape)}" if isinstance(came, Tensor | np.ndarray) else shown(repr(came), 60)
            what = f"{part} of the task {task.name} gives {text}, wanted is {wanted}"
            raise SettingsError(what, where=type(task).__name__, fix=f"return {wanted}")

    num = len(batch)
    parts = task.loss(outputs, batch)
    is_named = isinstance(parts, dict) and all(isinstance(one, Tensor) and one.ndim == 0 for one in parts.values())
    require(is_named, "loss", parts, "a dict of scalar tensors")
    losses = task.losses(outputs, batch)
    require(isinstance(losses, Tensor) and losses.shape == (num,), "losses", losses, f"a loss of each image ({num},)")
    decoded = task.decode(outputs)
    require(isinstance(decoded, Decoded), "decode", decoded, "an instance of Decoded")
    values, truth = decoded.values, task.truth(batch)
    require(values.shape == truth.shape, "decode", values, f"values laid out as the truth {tuple(truth.shape)}")
    answers = answers_of(task, outputs, batch)
    for metric in task.metrics:
        records = metric.made(answers)
        is_of_each = records.ndim == 2 and len(records) == num
        require(is_of_each, f"the metric {shown(metric.key, 40)}", records, f"numbers of each image ({num}, S)")


def refusal(network: nn.Module, what: str, fix: str) -> ModelError:
    """Return the error that a module is no network for a task."""
    return ModelError(f"this network does not fit: {what}", where=type(network).__name__, fix=fix)
