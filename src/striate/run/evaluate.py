"""Score a finished run again, or on other data."""

from pathlib import Path
from typing import Any

import numpy as np

from striate.base import device as devices
from striate.base.choose import choose
from striate.base.errors import DataError, ModelError
from striate.base.files import sha256, write_json
from striate.base.lock import locked
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.data import open_dataset
from striate.data.channels import in_channels
from striate.data.check import ABOUT_PIXELS, prescan
from striate.data.geometry import Geometry
from striate.data.sample import SPLITS, Dataset
from striate.data.store import open_store
from striate.evaluate.calibrate import fit_temperature, outputs_of, reliability
from striate.evaluate.ensemble import EVERYTHING, ensembles
from striate.evaluate.run import evaluate
from striate.evaluate.scores import scores_of
from striate.evaluate.table import write_predictions
from striate.evaluate.views import Averaged
from striate.task import from_json

from .execute import reopen
from .finish import rows_of
from .network import network_of
from .prepare import Prepared
from .recipe import Recipe


def evaluate_run(
    path: Path,
    where: str | None = None,
    *,
    split: str | None = None,
    views: int = 1,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return {"task", "split", "views", "scores", "predictions"} of a run on its own data, or on another dataset.

    The table of every image goes to `RUN/evaluations/NAME-SPLIT/`; the run's own files are not touched.

    Args:
        split: "train", "val", "test" or "all"; by default test, and all of another dataset that comes without one.
        views: of each picture, whose probabilities are averaged; see `striate.evaluate.views`.

    Raises:
        ModelError: the run is not finished.
        DataError: the other dataset's classes are not the run's.
    """
    run, progress = _finished(path), progress or Progress()
    info = run.info()
    dataset = reopen(run) if where is None else _other(where, info, progress)
    split = split or ("all" if where is not None and "test" in dataset.made_splits else "test")
    chosen = np.arange(len(dataset)) if split == "all" else dataset.splits.get(split, np.empty(0, np.intp))
    if split != "all":
        choose("split", split, dict.fromkeys(SPLITS))
    if not len(chosen):
        raise DataError(f"the {split} split is empty", where=dataset.where, fix="choose another --split")
    prepared = _prepared(dataset.with_splits({split: chosen}), info, device, progress)
    network = network_of(run, prepared)
    network = Averaged(network, prepared.task, views) if views != 1 else network
    found = evaluate(network, prepared.task, prepared.loader(split))
    folder = path / "evaluations" / f"{Path(dataset.name).name}-{split}{f'-{views}-views' if views > 1 else ''}"
    scores = scores_of(prepared.task.kind, found, prepared.task.names, prepared.task.unit)
    write_predictions(folder / "predictions.csv", rows_of(prepared, found, split))
    write_json(folder / "scores.json", scores)
    table = str(folder / "predictions.csv")
    return {"task": info["task"], "split": split, "views": views, "scores": scores, "predictions": table}


def calibrate_run(path: Path, *, device: str = "auto", progress: Progress | None = None) -> dict[str, Any]:
    """Fit a temperature on a run's validation images, and write RUN/calibration.json, which `predict` uses.

    Returns {"temperature", "weights" (SHA-256 of the weights it is for), "splits"}, where each of the splits has
    {"num_images", "before", "after"}, and these {"loss", "ece"}. Only validation images are fitted on.

    Raises:
        ModelError: the run is not finished.
        DataError: the run predicts numbers, which have no probabilities; or no temperature is best.
    """
    run, progress = _finished(path), progress or Progress()
    info, dataset = run.info(), reopen(run)
    if info["task"]["kind"] == "value":
        raise DataError("the run predicts numbers, which have no probabilities", where=path, fix="leave it out")
    chosen = {name: dataset.splits[name] for name in ("val", "test") if len(dataset.splits.get(name, ()))}
    prepared = _prepared(dataset.with_splits(chosen), info, device, progress)
    network, task = network_of(run, prepared), prepared.task
    outputs = {name: outputs_of(network, task, prepared.loader(name)) for name in chosen}
    try:
        temperature = fit_temperature(task.kind, *(column.numpy() for column in outputs["val"]))
    except DataError as problem:
        raise DataError(problem.what, where=path, fix=problem.fix) from None
    splits = {
        name: {
            "num_images": len(truth),
            "before": reliability(task, found, truth),
            "after": reliability(task, found, truth, temperature),
        }
        for name, (found, truth) in outputs.items()
    }
    document = {"temperature": temperature, "weights": sha256(run.weights), "splits": splits}
    with locked(path), run.changing("calibration.json"):
        write_json(path / "calibration.json", document)
    return document


def ensemble_study(study: StudyDir, *, variant: str | None = None, split: str = "test") -> dict[str, Any]:
    """Return a study's ensembles, and write for each its scores and its row for every image.

    See `striate.evaluate.ensemble.ensembles`; instead of a table, a row has "predictions", the file it is in.
    """
    found = ensembles(study, variant=variant, split=split)
    for row in found["rows"]:
        name = "all-variants" if row["name"] == EVERYTHING else f"variant-{row['name']}"
        folder = study.path / "evaluations" / f"ensemble-{name}-{split}"
        write_predictions(folder / "predictions.csv", {split: row.pop("table")})
        write_json(folder / "scores.json", row["scores"])
        row["predictions"] = str(folder / "predictions.csv")
    return found


def _finished(path: Path) -> RunDir:
    run = RunDir(path)
    run.info()
    if not run.weights.is_file():
        raise ModelError("the run has no weights yet", where=path, fix=f"finish it with `striate resume {path}`")
    return run


def _other(where: str, info: dict[str, Any], progress: Progress) -> Dataset:
    options = {
        name: info["dataset"]["options"][name]
        for name in ("target", "task", "separator", "levels")
        if name in info["dataset"]["options"]
    }
    dataset = in_channels(open_dataset(where, **options), info["input"]["channels"])
    names = tuple(info["task"]["names"])
    found = dataset.target(info["task"]["target"])
    if info["task"]["kind"] != "value" and found.names != names:
        odd = sorted(set(found.names) ^ set(names))
        differing = ", ".join(odd[:5]) or "the order"
        what = f"its classes are not the run's ({len(found.names)} here, {len(names)} there; differing: {differing})"
        raise DataError(what, where=where, fix="name the class folders as in training")
    for item in prescan(dataset, progress):
        if item.kind in ABOUT_PIXELS:
            progress.line(f"{item.severity}: {item.text}")
    return dataset


def _prepared(dataset: Dataset, info: dict[str, Any], device: str, progress: Progress) -> Prepared:
    data = info["input"]
    geometry = Geometry(data["size_px"], data["fit"], data["margin"], data["channels"])
    store = open_store(dataset, geometry, progress=progress)
    recipe, task, mean, std = Recipe.parse(info["recipe"]), from_json(info["task"]), data["mean"], data["std"]
    plan = {"batch_size": info["batch_size"], "num_epochs": info["num_epochs"]}
    return Prepared(dataset, recipe, task, geometry, store, mean, std, **plan, device=devices.pick(device))
