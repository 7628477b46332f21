"""A pass: its operations, what the network sees of the image, and maps, few as levels or one exactly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.choose import choose
from striate.inside.trace import INPUT, Operation, map_shape
from striate.web.wire import document, packed

from ..desk import desk, whole, word
from ..passes import Pass, pass_of, statistics

Maps = npt.NDArray[np.float32]
MAX_MAPS = 256


async def overview(request: Request) -> Response:
    """Every operation with its parents, settings, shapes and statistics."""
    found = await pass_of(request)
    content = await desk(request).reads.run(request, lambda cancel: described(found))
    return document(content)


def described(found: Pass) -> dict[str, Any]:
    """Return the document of a pass."""
    image = {"shape": list(map_shape(tuple(found.trace.image.shape))), **statistics(found.trace.image)}
    return {
        "image": image | {"title": found.entry.title},
        "names": list(found.predictor.task.names),
        "operations": [_operation(one) for one in found.trace.operations],
    }


def _operation(one: Operation) -> dict[str, Any]:
    return {
        "index": one.index,
        "name": one.name,
        "kind": one.kind,
        "module": one.module.removeprefix("rows."),
        "path": one.module,
        "use": one.use,
        "parents": list(one.parents),
        "settings": {key: _plain(value) for key, value in one.settings.items()},
        "weights": {
            key: {"name": one.weight_names[key], "shape": list(value.shape)} for key, value in one.weights.items()
        },
        "shape": list(map_shape(tuple(one.output.shape))),
        "size": list(one.output.shape),
        **statistics(one.output),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)[:60]


async def seen(request: Request) -> Response:
    """What the network sees of the image, as levels (C, H, W)."""
    found = await pass_of(request)
    return packed({"title": found.entry.title}, {"levels": found.levels.reshape(map_shape((1, *found.levels.shape)))})


SORTS: dict[str, Callable[[Maps], npt.NDArray[Any]]] = {
    "index": lambda maps: np.arange(len(maps)),
    "mean": lambda maps: np.argsort(-maps.mean((1, 2)), kind="stable"),
    "max": lambda maps: np.argsort(-maps.max((1, 2)), kind="stable"),
    "variance": lambda maps: np.argsort(-maps.var((1, 2)), kind="stable"),
}


async def maps(request: Request) -> Response:
    """Maps of an operation as levels 0 to 255, in an order, each on its own scale or all on one.

    A map that is larger than `side` is shown by every 2nd, 3rd, ... cell: "step" says which.
    """
    found = await pass_of(request)
    index = whole(request, "op", low=INPUT, high=1 << 20)
    order = choose("order", word(request, "sort", "index"), SORTS)
    first, count = whole(request, "first", 0, low=0, high=1 << 24), whole(request, "count", 12, low=1, high=MAX_MAPS)
    side = whole(request, "side", 64, low=8, high=512)
    is_common = word(request, "scale", "map") == "layer"

    def read(cancel: object) -> Response:
        values = found.maps(index)
        known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        channels = order(known)[first : first + count]
        step = max(1, -(-max(values.shape[1:]) // side))
        low, high = (_ends(known) if is_common else (None, None)) if values.size else (0.0, 0.0)
        shown, bounds = [], []
        for channel in channels:
            ends = (low, high) if low is not None and high is not None else _ends(known[channel])
            shown.append(levels(values[channel, ::step, ::step], *ends))
            bounds.append(ends)
        picked = known[channels]
        arrays = {
            "levels": np.stack(shown) if shown else np.zeros((0, 1, 1), np.uint8),
            "channels": channels.astype(np.int32),
            "bounds": np.array(bounds, np.float32).reshape(-1, 2),
            "means": picked.mean((1, 2)).astype(np.float32),
            "ranges": np.stack([picked.min((1, 2)), picked.max((1, 2))], 1).astype(np.float32)
            if len(channels)
            else np.zeros((0, 2), np.float32),
        }
        if not np.isfinite(values[channels]).all():
            arrays["unknown"] = (~np.isfinite(values[channels][:, ::step, ::step])).astype(np.uint8)
        return packed({"total": int(values.shape[0]), "shape": list(values.shape), "step": step}, arrays)

    return await desk(request).reads.run(request, read)


def _ends(values: Maps) -> tuple[float, float]:
    """The ends of a scale: centred at 0 where there are signs."""
    low, high = float(values.min()), float(values.max())
    side = max(abs(low), abs(high))
    return (-side, side) if low < 0 else (low, high)


def levels(values: Maps, low: float, high: float) -> npt.NDArray[np.uint8]:
    """Return values as levels: 0 at the low end, 255 at the high one, 128 where both are the same.

    Example:
        >>> levels(np.array([0.0, 0.5, 1.0], np.float32), 0, 1).tolist()
        [0, 128, 255]
    """
    if not high > low:
        return np.full(values.shape, 128, np.uint8)
    scaled = 255 * (values.astype(np.float64) - low) / (high - low)
    return np.floor(np.nan_to_num(scaled) + 0.5).clip(0, 255).astype(np.uint8)


async def channel(request: Request) -> Response:
    """One map exactly: float32 (H, W)."""
    found = await pass_of(request)
    index = whole(request, "op", low=INPUT, high=1 << 20)
    number = found.channel(request, index)
    return packed({"channel": number}, {"values": found.maps(index)[number].astype(np.float32)})


ROUTES: list[BaseRoute] = [
    Route("/api/pass", overview),
    Route("/api/seen", seen),
    Route("/api/maps", maps),
    Route("/api/channel", channel),
]
