"""What a run answered wrongly: the confusion matrix, and the images of one of its cells, the worst first."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from striate.base.choose import choose
from striate.base.errors import DataError, ModelError
from striate.evaluate.predictions import Predictions, read
from striate.metric.calibration import bins_of, error_of_bins
from striate.web.wire import document

from ..desk import Desk, desk, whole, word
from ..shelf import id_of

MAX_IMAGES = 200
MAX_OTHERS = 500
MAX_CLASSES = 60  # of a matrix that is drawn whole: the classes with most errors


async def errors(request: Request) -> Response:
    """The confusion matrix of a split, and the images of a cell; of all wrong answers where no cell is named."""
    here, model = desk(request), word(request, "model")
    split, first = word(request, "split", ""), whole(request, "first", 0, low=0, high=1 << 30)
    cell = (whole(request, name, -1, low=-1, high=1 << 20) for name in ("truth", "said"))
    true, said = cell
    against = word(request, "against", "")

    def answer(cancel: object) -> dict[str, Any]:
        tables = _tables(here, model)
        name = split or next((one for one in ("test", "val") if one in tables), next(iter(tables)))
        table = choose("split", name, tables)
        other = _other(_tables(here, against), name, table) if against else None
        rows = _rows(table, true, said) if other is None or true >= 0 else _lost(table, other)
        run = here.workspace.subject(model).run
        kept = {entry.id for entry in here.workspace.shelf.of_run(run)} if run else set()
        shown = [_image(name, table, int(row), kept) for row in rows[first : first + MAX_IMAGES]]
        head = {"splits": list(tables), "split": name, "count": len(table), "found": len(rows), "images": shown}
        if not table.layout.is_exclusive:
            return head | {"names": None}
        return head | _matrix(table, other) | {"calibration": _calibration(table), "others": _others(here, model)}

    return document(await here.reads.run(request, answer))


def _tables(here: Desk, model: str) -> dict[str, Predictions]:
    run = here.workspace.subject(model).run
    if run is None:
        raise ModelError("a fresh network has not answered anything", where=model, fix="look at a run that was trained")
    tables: dict[str, Predictions] = here.workspace.tables.ensure(
        model, lambda: read(run.checked("predictions.csv"), run.info()["task"], {"val", "test"})
    )
    if not tables:
        raise ModelError("the run has no answers yet", where=model, fix="let it finish, or evaluate it")
    return tables


def confusion(table: Predictions) -> npt.NDArray[np.int64]:
    """Return how many images of each class (rows) got each answer (columns)."""
    count = len(table.names)
    flat = np.bincount(table.truth.astype(np.int64) * count + table.values.astype(np.int64), minlength=count * count)
    return flat.reshape(count, count)


def _other(tables: dict[str, Predictions], split: str, table: Predictions) -> Predictions:
    """The other run's answers to the same images, in the order of this run's."""
    other = choose("split", split, tables)
    problem = "classes" if other.names != table.names else table.difference(other)
    if problem:
        raise DataError(f"the two runs have not the same {problem}", where=split, fix="choose a run on the same split")
    place = {name: row for row, name in enumerate(other.ids)}
    chosen = [place[name] for name in table.ids]
    return replace(other, ids=table.ids, values=other.values[chosen], truth=other.truth[chosen])


def _lost(table: Predictions, other: Predictions) -> npt.NDArray[np.intp]:
    """The rows that this run alone answers wrongly, the largest loss first."""
    wrong = _rows(table, -1, -1)
    found: npt.NDArray[np.intp] = wrong[np.asarray(other.values == other.truth)[wrong]]
    return found


def _others(here: Desk, model: str) -> list[dict[str, str]]:
    runs = [one for one in here.workspace.subjects.values() if one.run is not None and one.id != model]
    return [{"id": one.id, "title": one.title} for one in runs[:MAX_OTHERS]]


def _calibration(table: Predictions) -> dict[str, Any] | None:
    """How often the network is right where it is so sure."""
    if table.probabilities is None:
        return None
    rows = bins_of(table)
    return {"bins": rows, "error": error_of_bins(rows)}


def _matrix(table: Predictions, other: Predictions | None = None) -> dict[str, Any]:
    counts = confusion(table)
    wrong = counts.sum(1) + counts.sum(0) - 2 * counts.diagonal()
    kept = np.sort(np.argsort(-wrong, kind="stable")[:MAX_CLASSES])
    theirs = None if other is None else confusion(other)
    compared = {} if theirs is None else {
        "against": theirs[np.ix_(kept, kept)].tolist(),
        "right": [int(counts.trace()), int(theirs.trace())],
    }  # fmt: skip
    return compared | {
        "names": [table.names[one] for one in kept],
        "classes": kept.tolist(),
        "num_classes": len(table.names),
        "confusion": counts[np.ix_(kept, kept)].tolist(),
        "support": counts.sum(1)[kept].tolist(),
    }


def _rows(table: Predictions, true: int, said: int) -> npt.NDArray[np.intp]:
    """The rows of a cell, or of all that is wrong, the largest loss first."""
    losses = np.nan_to_num(np.asarray(table.losses, np.float64), nan=np.inf)
    order = np.argsort(-losses, kind="stable")
    if not table.layout.is_exclusive:
        return order
    is_wanted = table.truth != table.values if true < 0 or said < 0 else (table.truth == true) & (table.values == said)
    found: npt.NDArray[np.intp] = order[np.asarray(is_wanted)[order]]
    return found


def _image(split: str, table: Predictions, row: int, kept: Collection[str]) -> dict[str, Any]:
    id_ = id_of(split, table.ids[row])
    found: dict[str, Any] = {
        "id": id_,
        "title": table.ids[row],
        "loss": float(table.losses[row]),
        "is_kept": id_ in kept,
    }
    if not table.layout.is_exclusive or table.probabilities is None:
        return found
    true, said = int(table.truth[row]), int(table.values[row])
    p = table.probabilities[row]
    return found | {
        "truth": table.names[true],
        "said": table.names[said],
        "p_truth": float(p[true]),
        "p_said": float(p[said]),
    }


ROUTES: list[BaseRoute] = [Route("/api/errors", errors)]
