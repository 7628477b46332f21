"""The dataset of a run: its classes and findings, its images, and what augmentation made of each in any epoch."""

from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.errors import ModelError, SettingsError, UserError
from striate.base.rundir import RunDir
from striate.web.wire import document, packed

from ..desk import Cancel, Report, desk, whole, word
from ..workspace import Workspace

MAX_IMAGES = 48  # of a page
MAX_VARIANTS = 12
THUMBNAIL_PX, SHOWN_PX = 64, 256
MAX_CLASSES = 1000


async def described(request: Request) -> Response:
    """What the run folder says of its dataset, and what can be asked of the dataset itself where it is there."""
    here, model = desk(request), word(request, "model")

    def answer(cancel: Cancel) -> dict[str, Any]:
        found = _recorded(_run(here.workspace, model))
        try:
            images = here.workspace.training_images(model)
        except UserError as problem:
            return found | {"problem": {"what": problem.what, "fix": problem.fix}}
        known = {"operations": images.operations(), "epochs": images.num_epochs, "seed": images.seed}
        return (
            found
            | known
            | {"splits": images.splits(), "sizes": images.sizes(), "sides": images.side_counts(), "problem": None}
        )

    return document(await here.work.run(request, answer))


def _recorded(run: RunDir) -> dict[str, Any]:
    info = run.info()
    data = info["dataset"]
    return {
        "name": data["name"],
        "splits": data.get("counts", {}),
        "classes": data.get("classes", [])[:MAX_CLASSES],
        "num_classes": len(data.get("classes", [])),
        "class_counts": {name: row[:MAX_CLASSES] for name, row in data.get("class_counts", {}).items()},
        "notes": data.get("notes", []),
        "findings": data.get("findings", []),
        "device": dict(info.get("device") or {}).get("type", ""),
    }


async def images(request: Request) -> Response:
    """A page of images of a split, as they are stored."""
    here, model, split = desk(request), word(request, "model"), word(request, "split", "train")
    first = whole(request, "first", 0, low=0, high=1 << 30)

    def answer(cancel: Cancel) -> Response:
        found = here.workspace.training_images(model)
        rows, shown = found.page(split, first, MAX_IMAGES), []
        for row in rows:
            cancel.check()
            shown.append(_plane(np.moveaxis(found.stored(row["id"]), -1, 0), THUMBNAIL_PX))
        arrays = {"levels": np.stack(shown)} if shown else {}
        return packed({"images": rows, "first": first, "page": MAX_IMAGES, "count": found.splits()[split]}, arrays)

    return await here.work.run(request, answer)


async def variants(request: Request) -> Response:
    """What the network got of an image in some epochs (K, C, H, W), as levels, and the image before (C, H, W)."""
    here, model, sample = desk(request), word(request, "model"), word(request, "sample")
    epoch, count = whole(request, "epoch", 0, low=0, high=1 << 20), whole(request, "count", 8, low=1, high=MAX_VARIANTS)
    seed = whole(request, "seed", low=0, high=(1 << 31) - 1) if "seed" in request.query_params else None
    off = _places(word(request, "off", ""))

    def answer(cancel: Cancel) -> Response:
        found = here.workspace.training_images(model)
        epochs, shown = [], []
        for number in range(epoch, epoch + count):
            cancel.check()
            variant = found.variant(sample, number, seed=seed, off=off)
            if variant is not None:
                epochs.append(number)
                shown.append(_plane(found.levels(variant.values), SHOWN_PX))
        stored = _plane(np.moveaxis(found.stored(sample), -1, 0), SHOWN_PX)
        arrays = {"stored": stored} | ({"levels": np.stack(shown)} if shown else {})
        return packed({"sample": sample, "epochs": epochs}, arrays)

    return await here.work.run(request, answer)


async def leaks(request: Request) -> Response:
    """The copies of images of one split in another: reads every file."""
    here, model = desk(request), word(request, "model")

    def found(cancel: Cancel, report: Report) -> dict[str, Any]:
        report({"progress": 0.0})
        return {"pairs": here.workspace.training_images(model).leaks()[:MAX_IMAGES]}

    return here.work.stream(request, found)


def _run(space: Workspace, model: str) -> RunDir:
    run = space.subject(model).run
    if run is None:
        raise ModelError("a fresh network has no dataset", where=model, fix="look at a run that was trained")
    return run


def _places(text: str) -> set[int]:
    parts = [part for part in text[:200].split(".") if part]
    if not all(part.isdecimal() for part in parts):
        raise SettingsError("places are whole numbers", where="query", fix="choose again")
    return {int(part) for part in parts}


def _plane(pixels: npt.NDArray[Any], side_px: int) -> npt.NDArray[np.uint8]:
    """Pixels (C, ...) as levels (3 or 1, H, W): of a volume the slice in the middle, of many bands the first."""
    if pixels.ndim == 4:
        pixels = pixels[:, pixels.shape[1] // 2]
    if pixels.ndim == 2:
        pixels = pixels[:, None]
    levels = pixels if pixels.dtype == np.uint8 else np.rint(pixels.astype(np.float64) / 257)
    step = max(1, -(-max(levels.shape[1:]) // side_px))
    kept = levels if len(levels) == 3 else levels[:1]
    return np.ascontiguousarray(kept[:, ::step, ::step]).astype(np.uint8)


ROUTES: list[BaseRoute] = [
    Route("/api/dataset", described),
    Route("/api/dataset/images", images),
    Route("/api/dataset/variants", variants),
    Route("/api/dataset/leaks", leaks),
]
