"""What the rows of a finished run's network answer over a split, and how its loss pulls on them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from striate.base.progress import Progress
from striate.inside.gradients import gradients, reading
from striate.inside.statistics import statistics

from .evaluate import OpenedRun, describe_data, open_split, spread

MAX_IMAGES = 500
GRADIENT_IMAGES = 64  # of one batch, whose mean loss is taken


def measure_run(
    path: Path,
    where: str | None = None,
    *,
    data: str | None = None,
    split: str | None = None,
    images: int = MAX_IMAGES,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return {"data", "split", "num_images", "rows", "reading"} of a run; see `measure`.

    Args:
        where, data, split: see `evaluate_run`.
    """
    progress = progress or Progress()
    opened = open_split(path, where, data=data, split=split, device=device, progress=progress)
    about = {"data": describe_data(opened.prepared.dataset), "split": opened.split}
    return {**about, **measure(opened, images, progress)}


def measure(opened: OpenedRun, images: int = MAX_IMAGES, progress: Progress | None = None) -> dict[str, Any]:
    """Return {"num_images", "rows", "reading"}: statistics of each row, and its gradient where it has weights.

    Statistics are over at most `images` of the split, evenly spread, 0 for all; gradients are of the mean loss of a
    batch of 64 of them.
    """
    prepared, chosen = opened.prepared, spread(opened, images)
    with (progress or Progress("quiet")).bar("activations", len(chosen)) as bar:

        def batches() -> Iterator[Tensor]:
            for batch in prepared.loader(opened.split, indices=chosen).batches(0):
                yield batch.images
                bar.advance(len(batch))

        rows = statistics(opened.network, batches())
    few = spread(opened, GRADIENT_IMAGES)
    batch = next(prepared.loader(opened.split, indices=few, batch_size=len(few)).batches(0))
    pulls = gradients(opened.network, prepared.task, batch)
    by_name = {one.name: one.to_json() for one in pulls}
    documents = [{**row.to_json(), **by_name.get(row.name, {})} for row in rows]
    return {"num_images": len(chosen), "rows": documents, "reading": reading(pulls)}
