"""Where one number comes from: its terms, its receptive field on the image, and what became of it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.inside.probe import Probed, Terms, probe
from striate.inside.trace import Trace
from striate.web.guard import NotKnown
from striate.web.wire import packed

from ..desk import desk, whole
from ..passes import Pass, pass_of

MAX_TERMS = 8192  # of one input that are sent: the largest products
AFTER = {"batch_norm", "activation"}


async def probed(request: Request) -> Response:
    """The sum behind a cell."""
    found = await pass_of(request)
    index = whole(request, "op", low=0, high=1 << 20)
    y, x = (whole(request, name, 0, low=0, high=1 << 20) for name in ("y", "x"))
    place = found.channel(request, index), y, x
    shape = found.maps(index).shape
    if y >= shape[1] or x >= shape[2]:
        raise NotKnown(f"this map is {shape[1]} x {shape[2]}", fix="choose a cell of it")
    return await desk(request).reads.run(request, lambda cancel: answer(found, index, place))


def answer(found: Pass, index: int, cell: tuple[int, int, int]) -> Response:
    """Return the terms of a cell and its receptive field."""
    one = probe(found.trace, index, cell)
    box = found.supports.box(index, cell)
    parts: list[dict[str, Any]] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    for place, terms in enumerate(one.terms):
        kept, rest = _largest(terms)
        parts.append({"parent": kept.parent, "winner": kept.winner, "shape": list(kept.values.shape), **rest})
        arrays[f"{place}.values"] = kept.values
        if kept.weights is not None:
            arrays[f"{place}.weights"] = kept.weights
        arrays[f"{place}.read"] = kept.is_read.astype(np.uint8)
        arrays[f"{place}.cells"] = kept.cells.astype(np.int32)
    return packed(_head(one) | {"box": box, "terms": parts, "after": _after(found.trace, index, cell)}, arrays)


def _head(one: Probed) -> dict[str, Any]:
    return {
        "how": one.how,
        "cell": list(one.cell),
        "added": one.added,
        "numbers": one.numbers,
        "total": one.total,
        "stored": one.stored,
        "difference": one.difference,
    }


def _largest(terms: Terms) -> tuple[Terms, dict[str, Any]]:
    """The terms that are sent, and of how many they are the largest."""
    count = terms.values.size
    if count <= MAX_TERMS or terms.winner is not None:
        return terms, {"count": count, "rest": 0.0}
    products = terms.products.ravel()
    kept = np.argsort(-np.abs(products), kind="stable")[:MAX_TERMS]
    weights = None if terms.weights is None else terms.weights.ravel()[kept]
    cells = terms.cells.reshape(-1, 3)[kept]
    shown = Terms(terms.parent, terms.values.ravel()[kept], weights, terms.is_read.ravel()[kept], cells)
    return shown, {"count": count, "rest": float(products.sum() - products[kept].sum())}


def _after(trace: Trace, index: int, cell: tuple[int, int, int]) -> list[dict[str, Any]]:
    """What batch norm and activations made of the number right after."""
    found: list[dict[str, Any]] = []
    while True:
        children = trace.children(index)
        if len(children) != 1 or children[0].kind not in AFTER or len(children[0].parents) != 1:
            return found
        index = children[0].index
        found.append({"op": index, "name": children[0].name, "value": float(trace.maps(index)[cell])})


ROUTES: list[BaseRoute] = [Route("/api/probe", probed)]
