"""The end of a run: best weights, scores of each split, a row for every image, small images."""

import io
import resource
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image
from torch import nn

from striate.base.documents import read_json
from striate.base.errors import DivergedError
from striate.base.files import write_bytes, write_files, write_json
from striate.base.lock import locked
from striate.base.progress import Progress, say
from striate.base.run_info import ResultInfo, RunInfo, TaskInfo
from striate.base.rundir import RunDir
from striate.base.seeds import rng_for
from striate.base.tensors import write_tensors
from striate.base.text import plural
from striate.data.augment.preview import preview
from striate.data.bands import in_depth, shown_bands
from striate.data.loader import Loader
from striate.data.originals import Originals
from striate.evaluate.curves import overfit_epoch
from striate.evaluate.layout import Sidecar, layout_of
from striate.evaluate.own_size import OwnSize
from striate.evaluate.predictions import Predictions, read, write
from striate.evaluate.run import Evaluation, evaluate
from striate.evaluate.scores import scores_of
from striate.inside.through_time import pull_of
from striate.model.state import load_state, state_of
from striate.task import Task, from_json
from striate.transfer import regions
from striate.transfer.features import Features, cut, take
from striate.transfer.regions import sees_regions
from striate.transfer.training import ProbeTraining

from .network import network_of
from .part_times import part_times_ms
from .prepare import Prepared
from .track import tracked
from .training import Training

MAX_TRAIN = 2000  # un-augmented training images that are scored, for the generalisation gap
MAX_PICTURES = 400  # a split
PICTURE_PX = 128
AUGMENTED, NUM_AUGMENTED, GRID_PX = "augmented.jpg", 7, 640


def finish(folder: Path, training: Training | ProbeTraining, info: RunInfo, ended: str, is_test_open: bool) -> RunDir:
    """Write everything a finished run holds, and return its folder.

    Raises:
        DivergedError: no epoch had a validation loss.
    """
    run, prepared, network = RunDir(folder), training.prepared, training.network
    if not training.best:
        raise DivergedError(
            "the validation loss is no number in any epoch", where=run.path, fix="train again with a lower --lr"
        )
    load_state(network, training.best)
    write_tensors(run.weights, state_of(network))
    splits = ("train", "val", "test") if is_test_open else ("train", "val")
    task = score_splits(run, prepared, network, splits, info["precision"]["name"])
    info = {**info, "task": cast(TaskInfo, task.to_json())}
    keep_augmented(run, prepared)
    history = run.history()
    result: ResultInfo = {
        "epochs": len(history),
        "best_epoch": training.stop.best_epoch,
        "stopped": ended,
        "time_s": training.position.time_s,
        "train_images_per_s": float(np.median([row["images_per_s"] for row in history])),
        "overfit_epoch": None if isinstance(training, ProbeTraining) else overfit_epoch(history),
        "peak_memory_mb": peak_memory_mb(),
        "skipped": training.num_lost,
        "skipped_steps": training.num_skipped,
        "time_reach": _time_reach(prepared, network),
        "part_times_ms": part_times_ms(prepared, network, info["precision"]["name"]),
    }
    monitor = prepared.task.monitor
    if num := sum(row["val"].get(monitor) is None for row in history):
        note = f"{monitor} is undefined on the validation images in {plural(num, 'epoch')}: the loss chose the best"
        say(f"warning: {note}")
        info = {**info, "notes": [*info.get("notes", []), note]}
    if training.num_lost:
        say(f"warning: {prepared.dataset.noun.count(training.num_lost)} went bad while training, left out")
    if training.num_skipped:
        say(f"warning: {plural(training.num_skipped, 'step')} skipped, since the gradient was not finite")
    run.save_info({**info, "status": "finished", "result": result})
    run.seal()
    if not info.get("keep_checkpoints", False):
        shutil.rmtree(run.checkpoints, ignore_errors=True)
    return run


def open_test(run: RunDir, prepared: Prepared) -> None:
    """Score a finished run's test split, unless that was done before."""
    with locked(run.path), run.changing(), tracked(run, run.info().get("track", {})):
        if "test" not in run.scores() and len(prepared.dataset.splits.get("test", ())):
            prepared = replace(prepared, task=from_json(run.info()["task"]))
            score_splits(run, prepared, network_of(run, prepared), ("test",), run.info()["precision"]["name"])
            run.save_info({**run.info(), "is_test_open": True})
    if not run.is_sealed:  # killed while this was done
        run.seal()


def score_splits(run: RunDir, prepared: Prepared, network: nn.Module, splits: tuple[str, ...], precision: str) -> Task:
    """Evaluate splits and merge them into scores.json, predictions.csv and pictures/; return the task, settled on
    the answers to the validation images where these are among them."""
    scores, found = run.scores(), dict[str, Evaluation]()
    sizes = {split: own_size_of(prepared) for split in splits if split != "train"}
    tables = read(run.predictions, prepared.task.to_json()) if run.predictions.exists() else {}
    for split in splits:
        if len(prepared.dataset.splits.get(split, ())):
            sidecar = Sidecar(run.path, split) if split in sizes else None
            source = _source(prepared, network, split, precision)
            found[split] = evaluate(*source, sidecar, sizes.get(split), originals_of(prepared))
    if "val" in found:
        prepared = replace(prepared, task=prepared.task.settled(found["val"]))
    for split, answers in found.items():
        scores[split] = {**scores_of(prepared.task, answers), **(sizes[split].scores() if split in sizes else {})}
        if split != "train":
            tables[split] = rows_of(prepared, answers, split)[split]
            keep_pictures(run, prepared, answers, split)
    write(run.predictions, tables)
    write_json(run.path / "scores.json", scores)
    return prepared.task


def _time_reach(prepared: Prepared, network: nn.Module) -> float | None:
    """How much the loss pulls on the start of a series, over its pull on the end; None but for recurrent networks."""
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    if not is_recurrent or prepared.dataset.usual.form != "series":
        return None
    batch = next(iter(prepared.loader("train").batches(0)))
    return pull_of(network, batch.images, lambda outputs: prepared.task.losses(outputs, batch).mean()).reach


def _source(
    prepared: Prepared, network: nn.Module, split: str, precision: str
) -> tuple[nn.Module, Task, Loader | Features | regions.RegionFeatures]:
    """What is evaluated on what: a network on images, or a head on the features it was solved on."""
    if prepared.recipe.transfer.head != "only":
        return network, prepared.task, _plain_loader(prepared, split)
    body, quiet = cut(network, precision), Progress("quiet")
    if sees_regions(prepared.task):
        return body.head, prepared.task, regions.take(body, prepared, split, quiet)
    return body.head, prepared.task, take(body, prepared, split, views=1, progress=quiet)


def _plain_loader(prepared: Prepared, split: str) -> Loader:
    indices = prepared.dataset.splits[split]
    if split == "train" and len(indices) > MAX_TRAIN:
        indices = np.sort(rng_for("train sample").choice(indices, MAX_TRAIN, replace=False))
    return prepared.loader(split, indices=indices)


def own_size_of(prepared: Prepared) -> OwnSize:
    """Return what scores maps in the images' own pixels."""
    return OwnSize(prepared.task, prepared.dataset.target(prepared.task.target), prepared.geometry)


def originals_of(prepared: Prepared) -> Originals:
    """Return what answers in the images' own pixels need."""
    target = prepared.dataset.target(prepared.task.target)
    return Originals(target, prepared.geometry, prepared.store.size_hw)


def rows_of(prepared: Prepared, found: Evaluation, split: str) -> dict[str, Predictions]:
    """Return the per-image table of an evaluated split."""
    task = prepared.task.to_json()
    ids = [prepared.dataset.ids[index] for index in found.index]
    return {split: Predictions.of(layout_of(task).of(task), ids, found)}


def keep_pictures(run: RunDir, prepared: Prepared, found: Evaluation, split: str) -> None:
    """Keep small JPEGs of a split: the images with the largest loss first, then an even sample of the others."""
    order = np.argsort(-found.losses, kind="stable")
    worst, rest = order[: MAX_PICTURES // 2], order[MAX_PICTURES // 2 :]
    sample = rest[np.linspace(0, len(rest) - 1, min(len(rest), MAX_PICTURES // 2)).astype(int)] if len(rest) else rest
    index_path = run.pictures / "index.json"
    index, files = read_json(index_path) if index_path.exists() else {}, dict[Path, bytes]()
    for number, place in enumerate(np.concatenate([worst, sample])):
        name = f"{split}-{number:04d}.jpg"
        files[run.pictures / name] = _flat(prepared, int(found.index[place]))
        index[f"{split}/{prepared.dataset.ids[found.index[place]]}"] = name
    write_files(files)
    write_json(index_path, index)


def keep_augmented(run: RunDir, prepared: Prepared) -> None:
    """Keep a small JPEG of one training image, as it is evaluated and as training saw it, where that differs."""
    pipeline = prepared.pipeline
    if not pipeline.ops or prepared.dataset.usual.form != "image" or prepared.dataset.usual.is_in_space:
        return
    lost = prepared.lost  # files that went bad while training
    first = [int(index) for index in prepared.dataset.splits["train"] if int(index) not in lost][:8]
    image, *others = [np.asarray(in_depth(prepared.store.image(index), 8), np.uint8) for index in first]
    geometry = replace(prepared.geometry, depth=8)
    target, size_hw = prepared.dataset.target(prepared.task.target), prepared.store.size_hw
    grid = preview(image, pipeline, geometry, NUM_AUGMENTED, run.info()["seed"], others, target, first, size_hw)
    write_bytes(run.pictures / AUGMENTED, _jpeg(grid, GRID_PX))


def _flat(prepared: Prepared, index: int) -> bytes:
    """A stored image as it is shown: of a volume three planes through what its target is about, side by side."""
    store, geometry = prepared.store, prepared.geometry
    if not prepared.dataset.usual.is_in_space:
        is_detailed = prepared.task.is_placed and prepared.task.head.is_dense  # many small things, each with its place
        return _jpeg(store.image(index), PICTURE_PX * (2 if is_detailed else 1))
    target = prepared.dataset.target(prepared.task.target)
    at = target.centre(index, target.square(index, geometry))
    return _jpeg(geometry.flat(store.image(index), at), 2 * PICTURE_PX)


def _jpeg(image_u8: np.ndarray, side_px: int) -> bytes:
    shown = shown_bands(in_depth(image_u8, 8))
    picture = Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown)
    picture.thumbnail((side_px, side_px))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=85)
    return content.getvalue()


def peak_memory_mb() -> float:
    """Return the most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
