"""A pass of one image through one network, with every operation; the latest are kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from starlette.requests import Request

from striate.base.errors import DataError
from striate.inside.support import Supports
from striate.inside.trace import INPUT, Operation, Trace, trace
from striate.predict import Predictor
from striate.web.guard import NotKnown

from .desk import Cancel, desk, whole, word
from .shelf import Entry

MAX_CELLS = 120_000_000  # of all outputs of a pass: 480 MB


@dataclass(frozen=True, eq=False)
class Pass:
    """What one network made of one image.

    Args:
        predictor: the network with its preparation.
        entry: the image.
        trace: every operation.
        supports: the receptive fields in it.
    """

    predictor: Predictor
    entry: Entry
    trace: Trace
    supports: Supports

    @property
    def levels(self) -> npt.NDArray[np.uint8]:
        """What the network sees of the image, as levels (C, H, W)."""
        values = self.trace.image[0].numpy()
        shape = (-1, *(1,) * (values.ndim - 1))
        mean, std = (np.array(one, np.float32).reshape(shape) for one in (self.predictor.mean, self.predictor.std))
        levels: npt.NDArray[np.uint8] = np.rint((values * std + mean) * 255).clip(0, 255).astype(np.uint8)
        return levels

    def operation(self, index: int) -> Operation:
        """Return an operation.

        Raises:
            NotKnown: there is none of that number.
        """
        if not 0 <= index < len(self.trace.operations):
            raise NotKnown(f"the network has no operation {index}", fix="choose one of the list")
        return self.trace.operations[index]

    def maps(self, index: int) -> npt.NDArray[np.float32]:
        """Return the maps (C, H, W) of an operation, -1 for the image."""
        if index != INPUT:
            self.operation(index)
        return self.trace.maps(index)

    def channel(self, request: Request, index: int) -> int:
        """Return the channel that a request names.

        Raises:
            NotKnown: these maps have no such channel.
        """
        channel, count = whole(request, "channel", 0, low=0, high=1 << 24), self.maps(index).shape[0]
        if channel >= count:
            raise NotKnown(f"this output has {count} channels, not {channel + 1}", fix="choose one of them")
        return channel


async def pass_of(request: Request) -> Pass:
    """Return the pass that a request names by `model` and `image`; it is made where it is not kept."""
    here, model, image = desk(request), word(request, "model"), word(request, "image")
    space = here.workspace
    found: Pass | None = space.passes.get((model, image))
    if found is not None:
        return found
    space.subject(model)
    entry = space.shelf.find(image)

    def made(cancel: Cancel) -> Pass:
        kept: Pass = space.passes.ensure(
            (model, image), lambda: run(space.predictor(model), entry, space.stored(model, entry))
        )
        return kept

    return await here.work.run(request, made)


def run(predictor: Predictor, entry: Entry, stored: npt.NDArray[Any]) -> Pass:
    """Return the pass of an image, of which `stored` is what the network takes.

    Raises:
        DataError: the image cannot be read, or the network is too large to keep all it makes of it.
    """
    inputs = predictor.inputs([stored])
    found = trace(predictor.network, inputs)
    count = sum(one.output.numel() for one in found.operations)
    if count > MAX_CELLS:
        what = f"this network makes {count:,} numbers of the image, more than the page keeps"
        raise DataError(what, where=entry.title, fix="look at it with a smaller --size")
    return Pass(predictor, entry, found, Supports(found))


def statistics(output: torch.Tensor) -> dict[str, Any]:
    """Return the least, the greatest and the mean value of an output, how many are no numbers, and how many channels
    are 0 everywhere."""
    values = output.reshape(-1)
    is_known = torch.isfinite(values)
    num_bad = int(values.numel() - is_known.sum())
    known = values[is_known] if num_bad else values
    if not known.numel():
        return {"low": None, "high": None, "mean": None, "num_bad": num_bad, "num_dead": 0}
    low, high = torch.aminmax(known)
    num_dead = int((output[0].flatten(1) == 0).all(1).sum()) if output.dim() > 2 else 0
    mean = float(known.double().mean())
    return {"low": float(low), "high": float(high), "mean": mean, "num_bad": num_bad, "num_dead": num_dead}
