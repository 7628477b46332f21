"""Score a finished run again, or on other data."""

from pathlib import Path
from typing import Any

import numpy as np

from striate.base import device as devices
from striate.base.choose import choose
from striate.base.errors import DataError, ModelError
from striate.base.files import write_json
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.data.geometry import Geometry
from striate.data.sample import SPLITS, Dataset
from striate.data.store import open_store
from striate.evaluate.run import evaluate
from striate.evaluate.scores import scores_of
from striate.evaluate.table import write_predictions
from striate.task import from_json

from .execute import reopen
from .finish import rows_of
from .network import network_of
from .prepare import Prepared
from .recipe import Recipe


def evaluate_run(
    path: Path, where: str | None = None, *, split: str = "test", device: str = "auto", progress: Progress | None = None
) -> dict[str, Any]:
    """Return {"task", "split", "scores", "predictions"} of a run on its own data, or on another dataset.

    The table of every image goes to `RUN/evaluations/NAME-SPLIT/`; the run's own files are not touched.

    Raises:
        ModelError: the run is not finished.
        DataError: the other dataset's classes are not the run's.
    """
    run, progress = RunDir(path), progress or Progress()
    if not run.weights.is_file():
        raise ModelError("the run has no weights yet", where=path, fix=f"finish it with `striate resume {path}`")
    info = run.info()
    dataset = reopen(run) if where is None else _other(where, info)
    chosen = np.arange(len(dataset)) if split == "all" else dataset.splits.get(split, np.empty(0, np.intp))
    if split != "all":
        choose("split", split, dict.fromkeys(SPLITS))
    if not len(chosen):
        raise DataError(f"the {split} split is empty", where=dataset.where, fix="choose another --split")
    prepared = _prepared(dataset.with_splits({split: chosen}), info, device, progress)
    found = evaluate(network_of(run, prepared), prepared.task, prepared.loader(split))
    folder = path / "evaluations" / f"{Path(dataset.name).name}-{split}"
    scores = scores_of(prepared.task.kind, found, prepared.task.names, prepared.task.unit)
    write_predictions(folder / "predictions.csv", rows_of(prepared, found, split))
    write_json(folder / "scores.json", scores)
    return {"task": info["task"], "split": split, "scores": scores, "predictions": str(folder / "predictions.csv")}


def _other(where: str, info: dict[str, Any]) -> Dataset:
    options = {
        name: info["dataset"]["options"][name]
        for name in ("target", "task", "separator")
        if name in info["dataset"]["options"]
    }
    dataset, names = open_dataset(where, **options), tuple(info["task"]["names"])
    found = dataset.target(info["task"]["target"])
    if info["task"]["kind"] != "value" and found.names != names:
        odd = sorted(set(found.names) ^ set(names))
        differing = ", ".join(odd[:5]) or "the order"
        what = f"its classes are not the run's ({len(found.names)} here, {len(names)} there; differing: {differing})"
        raise DataError(what, where=where, fix="name the class folders as in training")
    return dataset


def _prepared(dataset: Dataset, info: dict[str, Any], device: str, progress: Progress) -> Prepared:
    data = info["input"]
    geometry = Geometry(data["size_px"], data["fit"], data["margin"], data["channels"])
    store = open_store(dataset, geometry, progress=progress)
    recipe, task, mean, std = Recipe.parse(info["recipe"]), from_json(info["task"]), data["mean"], data["std"]
    plan = {"batch_size": info["batch_size"], "num_epochs": info["num_epochs"]}
    return Prepared(dataset, recipe, task, geometry, store, mean, std, **plan, device=devices.pick(device))
