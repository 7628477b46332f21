"""Score a finished run again, or on other data."""

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from striate.base import device as devices
from striate.base.choose import choose
from striate.base.documents import read_json
from striate.base.errors import DataError, ModelError, SettingsError, UserError
from striate.base.files import sha256, write_json
from striate.base.lock import locked
from striate.base.progress import Progress
from striate.base.run_info import RunInfo
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import plural, verb
from striate.data.bands import WORDS, first_bands_text
from striate.data.channels import in_channels
from striate.data.check.check import ABOUT_PIXELS, prescan
from striate.data.check.finding import listed
from striate.data.check.leaks import copies
from striate.data.evaluation import as_known, open_to_evaluate
from striate.data.geometry import Geometry
from striate.data.open import absolute_path
from striate.data.sample import SPLITS, Dataset
from striate.data.store import Indices, open_store
from striate.evaluate.calibrate import fit_temperature, outputs_of, reliability, temperature_of
from striate.evaluate.ensemble import EVERYTHING, ensembles
from striate.evaluate.layout import Sidecar
from striate.evaluate.predictions import write
from striate.evaluate.run import evaluate
from striate.evaluate.scores import scores_of
from striate.evaluate.views import Averaged
from striate.task import from_json

from .execute import reopen
from .finish import originals_of, own_size_of, rows_of
from .hold_out import require_held_out
from .network import network_of
from .prepare import Prepared, fingerprint, outline
from .recipe import Recipe


def evaluate_run(
    path: Path,
    where: str | Dataset | None = None,
    *,
    data: str | Dataset | None = None,
    split: str | None = None,
    views: int = 1,
    device: str = "auto",
    progress: Progress | None = None,
    network: nn.Module | None = None,
) -> dict[str, Any]:
    """Return {"task", "data", "split", "views", "scores", "predictions"} of a run on its own or on other data.

    Scores and the table of every image go to a folder of these data in `RUN/evaluations`; the run's own files are not
    touched. Other data need no training images and not every class: scores of an absent class are None.

    Args:
        where: other data, see `open_dataset`, or a dataset; of the run's own ones its test split is taken.
        data: where the run's own data are now, if moved, or its dataset, if they never had a place.
        split: "train", "val", "test" or "all"; by default test, and all of other data that come without one.
        views: of each image, whose probabilities are averaged; see `striate.evaluate.views`.
        network: the module, when the run was not made from a blueprint.

    Raises:
        ModelError: the run is not finished.
        DataError: the other data have a class that the run does not know.
    """
    progress = progress or Progress()
    opened = open_split(path, where, data=data, split=split, device=device, progress=progress, network=network)
    prepared, split, network = opened.prepared, opened.split, opened.network
    network = Averaged(network, prepared.task, views) if views != 1 else network
    about = {"data": describe_data(prepared.dataset), "split": split, "views": views}
    folder = folder_of(path / "evaluations", about, f"-{views}-views" if views > 1 else "")
    own_size = own_size_of(prepared)
    loader, originals = prepared.loader(split), originals_of(prepared)
    found = evaluate(network, prepared.task, loader, Sidecar(folder, split), own_size, originals)
    scores = {**scores_of(prepared.task, found), **own_size.scores()}
    write(folder / "predictions.csv", rows_of(prepared, found, split))
    write_json(folder / "scores.json", {**about, **scores})
    return {"task": opened.info["task"], **about, "scores": scores, "predictions": str(folder / "predictions.csv")}


@dataclass(frozen=True)
class OpenedRun:
    """A finished run with its network in evaluation mode or not, and one split of images to look at.

    `is_own` says whether they are the run's own data; `prepared.loader(split)` gives them.
    """

    run: RunDir
    info: RunInfo
    prepared: Prepared
    split: str
    network: nn.Module
    is_own: bool


def open_split(
    path: Path,
    where: str | Dataset | None = None,
    *,
    data: str | Dataset | None = None,
    split: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    network: nn.Module | None = None,
) -> OpenedRun:
    """Return a finished run with a split of its own or of other data; see `evaluate_run`.

    Args:
        network: the module, when the run was not made from a blueprint.

    Raises:
        ModelError: the run is not finished, or its network is a module of the user's own that is not given.
        DataError: the split has no images, or the other data have a class that the run does not know.
    """
    run, progress = _finished(path), progress or Progress()
    info = run.info()
    given, moved = (data, None) if isinstance(data, Dataset) else (None, data)
    own = reopen(run, given, moved) if where is None else _own(run, where, info, progress)
    where = where if where is not None else ""
    dataset = _other(where, info, progress) if own is None else own
    progress.noun = dataset.noun
    split = split or ("test" if "test" in dataset.splits else "all")
    chosen = np.arange(len(dataset)) if split == "all" else dataset.splits.get(split, np.empty(0, np.intp))
    choose("split", split, dict.fromkeys((*SPLITS, "all")))
    if not len(chosen):
        fix = f"choose another --split: {', '.join([*dataset.splits, 'all'])}"
        raise DataError(f"the data have no {split} images", where=dataset.where, fix=fix)
    if own is None:
        dataset = _with_copies_noted(dataset, chosen, run, progress)
    prepared = _prepared(dataset.with_splits({split: chosen}), info, device, progress)
    return OpenedRun(run, info, prepared, split, network_of(run, prepared, network), own is not None)


def spread(opened: OpenedRun, most: int) -> Indices:
    """Return at most so many images of the split, evenly spread; 0 for all."""
    chosen = opened.prepared.dataset.splits[opened.split]
    if not most or len(chosen) <= most:
        return chosen
    return chosen[np.linspace(0, len(chosen) - 1, most).astype(np.intp)]


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """Return which data were evaluated."""
    return {
        "name": dataset.name,
        "where": dataset.where,
        "path": absolute_path(dataset.where),
        "fingerprint": fingerprint(dataset),
        "notes": list(dataset.notes),
    }


def folder_of(parent: Path, about: dict[str, Any], ending: str = "") -> Path:
    """Return the folder of an evaluation: that of an earlier one of the same data, else a new one."""
    name = f"{Path(about['data']['name']).name}-{about['split']}{ending}"
    for number in count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        if not folder.exists() or _key(_read_scores(folder)) == _key(about):
            return folder
    raise AssertionError("there is always one more number")


def _key(about: dict[str, Any]) -> Any:
    data = about.get("data")
    return data.get("fingerprint") if isinstance(data, dict) else None


def _read_scores(folder: Path) -> dict[str, Any]:
    """Return an earlier evaluation's document; nothing where it is not one."""
    try:
        return dict(read_json(folder / "scores.json", "scores"))
    except (ModelError, OSError, TypeError, ValueError):
        return {}


def calibrate_run(
    path: Path, *, data: str | None = None, device: str = "auto", progress: Progress | None = None
) -> dict[str, Any]:
    """Fit a temperature on a run's validation images, and write RUN/calibration.json, which `predict` uses.

    Returns {"temperature", "weights" (SHA-256 of the weights it is for), "splits"}, where each of the splits has
    {"num_images", "before", "after"}, and these {"loss", "ece"}. Only validation images are fitted on.

    Raises:
        ModelError: the run is not finished.
        DataError: the run predicts numbers, which have no probabilities; or no temperature is best.
    """
    run, progress = _finished(path), progress or Progress()
    info = run.info()
    way, dataset = temperature_of(from_json(info["task"])), reopen(run, where=data)
    require_held_out(dataset)
    chosen = {name: dataset.splits[name] for name in ("val", "test") if len(dataset.splits.get(name, ()))}
    prepared = _prepared(dataset.with_splits(chosen), info, device, progress)
    network, task = network_of(run, prepared), prepared.task
    outputs = {name: outputs_of(network, task, prepared.loader(name)) for name in chosen}
    try:
        temperature = fit_temperature(way, *(column.numpy() for column in outputs["val"]))
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
        write(folder / "predictions.csv", {split: row.pop("table")})
        write_json(folder / "scores.json", row["scores"])
        row["predictions"] = str(folder / "predictions.csv")
    return found


def _finished(path: Path) -> RunDir:
    run = RunDir(path)
    from_json(run.info()["task"])  # names the plugin that is missing, before data are opened for it
    if not run.weights.is_file():
        raise ModelError("the run has no weights yet", where=path, fix=f"finish it with `striate resume {path}`")
    return run


def _own(run: RunDir, where: str | Dataset, info: RunInfo, progress: Progress) -> Dataset | None:
    """Return the run's own dataset if that is what lies there, perhaps at a new place; else None.

    Taken for other data, its training images would be scored as well.
    """
    try:
        found = reopen(run, where) if isinstance(where, Dataset) else reopen(run, where=where)
    except UserError:
        return None
    before = info["dataset"]
    if outline(found) != before.get("outline", before["fingerprint"]):
        return None
    if "outline" in before and fingerprint(found) != before["fingerprint"]:
        return None
    name = where.name if isinstance(where, Dataset) else where
    progress.line(f"{name} holds the run's own data: their splits are those of the run")
    _warn_of_pixels(found, progress)
    return found


def _other(where: str | Dataset, info: RunInfo, progress: Progress) -> Dataset:
    task = info["task"]
    if len(from_json(task).targets) > 1:
        what = "a run of several targets is evaluated on its own data only"
        raise DataError(what, where=info["name"], fix="leave the data out")
    options, target = info["dataset"]["options"], info["dataset"].get("target", task)  # older runs had but the task
    known = (task["target"], target["kind"], target["names"], options)
    dataset = as_known(where, *known) if isinstance(where, Dataset) else open_to_evaluate(where, *known)
    channels, has = info["input"]["channels"], dataset.channels
    try:
        dataset = in_channels(dataset, channels)
    except SettingsError as problem:
        fix = f"choose images of {channels} channels"
        raise DataError(f"the run does not read them: {problem.what}", where=dataset.where, fix=fix) from problem
    if has > channels and has not in WORDS:
        progress.warn(f"the run reads {first_bands_text(channels, has)} of these images")
    for note in dataset.notes:
        if note.startswith("left out") or "without images" in note:
            progress.line(note)
    _warn_of_pixels(dataset, progress)
    return dataset


def _warn_of_pixels(dataset: Dataset, progress: Progress) -> None:
    for item in prescan(dataset, progress):
        if item.kind in ABOUT_PIXELS:
            progress.warn(item.text)


def _with_copies_noted(dataset: Dataset, chosen: Indices, run: RunDir, progress: Progress) -> Dataset:
    """Say how many of the chosen images of other data the run was trained on: scores show what it remembers of them."""
    try:
        own = reopen(run)
    except UserError as problem:
        note = f"not compared with the run's training images ({problem.what})"
        progress.line(note)
    else:
        same = copies(dataset, chosen, own, progress)
        if not same:
            return dataset
        which = listed([dataset.ids[index] for index in same], 3)
        are = verb(len(same), "is an exact copy", "are exact copies")
        note = f"{len(same):,} of {plural(len(chosen), 'image')} {are} of training images of the run: {which}"
        progress.warn(note)
    return replace(dataset, notes=(*dataset.notes, note))


def _prepared(dataset: Dataset, info: RunInfo, device: str, progress: Progress) -> Prepared:
    data = info["input"]
    geometry = Geometry.from_json(data)
    recipe, task, mean, std = Recipe.parse(info["recipe"]), from_json(info["task"]), data["mean"], data["std"]
    store = open_store(dataset, geometry.times(task.scale), progress=progress)
    size, num = info["batch_size"], info["num_epochs"]
    place, inputs = devices.pick(device), task.inputs(dataset, geometry.size_hw, progress)
    return Prepared(dataset, recipe, task, geometry, store, mean, std, size, num, place, inputs=inputs)
