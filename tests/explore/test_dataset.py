"""The dataset view: the images that it shows of an epoch are the tensors that training got, bit for bit."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from explore_states import RUN

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.run.execute import reopen
from striate.run.prepare import prepare
from striate.run.recipe import Recipe
from striate.run.training import training_data
from striate.run.training_images import TrainingImages

PIXELS = "one => [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data]"
HEIGHTS = """[...document.querySelectorAll("svg.lengths")].map(
    one => [...one.querySelectorAll("rect")].map(bar => +bar.getAttribute("height")))"""
MIXED = {"augment": ["flip", {"kind": "erase", "p": 1.0}, {"kind": "mixup", "alpha": 0.8}], "size": 4}


@pytest.fixture(scope="module")
def run(stage):
    return stage.large.workspace.subjects[RUN].run


def training_batches(run, epochs):
    """The batches of the run, put together as `train` does."""
    info = run.info()
    task = {"target": info["task"]["target"], "task": info["task"]["name"]}
    recipe, device = Recipe.parse(info["recipe"]), torch.device("cpu")
    prepared = prepare(reopen(run), recipe, **task, device=device, progress=Progress("quiet"))
    loader = training_data(prepared, info["seed"]).loader("train", seed=info["seed"], is_training=True)
    ids = prepared.dataset.ids
    found = {}
    for epoch in epochs:
        for batch in loader.batches(epoch):
            for index, image in zip(batch.index, batch.images, strict=True):
                found.setdefault((ids[index], epoch), image.clone())  # the first, where it is drawn more than once
    return found


@pytest.fixture
def mixed(run, tmp_path):
    """The run as if it had been trained with mixup, drawn batches of four, and some wrong labels."""
    path = tmp_path / "mixed"
    shutil.copytree(run.path, path)
    (path / "SHA256SUMS").unlink()
    info = json.loads((path / "run.json").read_text())
    info["recipe"]["augment"], info["batch_size"] = MIXED["augment"], MIXED["size"]
    info["recipe"]["train"] |= {"batch_size": MIXED["size"], "label_noise": 0.3}
    info["recipe"]["data"]["balance"] = "sampling"
    (path / "run.json").write_text(json.dumps(info))
    return RunDir(path)


@pytest.mark.parametrize("kind", ["run", "mixed"])
def test_a_variant_is_the_training_tensor(request, kind):
    run = request.getfixturevalue(kind)
    images, wanted = TrainingImages(run), training_batches(run, (0, 3))
    assert len(images.operations()) >= 3
    for name in run.splits()["train"]:
        for epoch in (0, 3):
            found = images.variant(name, epoch)
            assert (found is None) == ((name, epoch) not in wanted)
            if found is not None:
                assert torch.equal(torch.from_numpy(found.values), wanted[name, epoch])


def test_operations_that_are_off_leave_the_others_as_they_were(run):
    images, name = TrainingImages(run), run.splits()["train"][0]
    every = range(len(images.operations()))
    plain = images.levels(images.variant(name, 1, off=every).values)
    np.testing.assert_array_equal(plain, images.stored(name).transpose(2, 0, 1))
    kinds = [one["kind"] for one in images.operations()]
    only = images.levels(images.variant(name, 1, off=set(every) - {kinds.index("brightness")}).values).astype(float)
    inside = (plain > 40) & (plain < 200)
    ratio = only[inside] / plain[inside]
    assert ratio.std() < 0.01 and abs(ratio.mean() - 1) > 0.005  # one factor for all pixels
    with pytest.raises(DataError, match="no training image"):
        images.variant(run.splits()["val"][0], 0)


def test_copies_between_splits_are_found(run, tmp_path):
    shutil.copytree(run.path.parent, tmp_path / "leaky")
    found = RunDir(tmp_path / "leaky" / "run")
    ids, info = found.splits(), json.loads((found.path / "run.json").read_text())
    data = tmp_path / "leaky" / "data"
    shutil.copy(data / ids["train"][0], data / ids["test"][0])
    info["dataset"] |= {"where": str(data), "path": str(data)}
    (found.path / "run.json").write_text(json.dumps(info))
    (found.path / "SHA256SUMS").unlink()
    pairs = TrainingImages(found).leaks()
    assert pairs == [{"copy": ids["test"][0], "split": "test", "original": ids["train"][0], "of": "train"}]
    assert TrainingImages(run).leaks() == []


def test_the_page_shows_the_counts_and_the_pixels_of_training(large, run):
    name = run.splits()["train"][1]
    page = large.open(f"#view=dataset&model={RUN}&sample={name}")
    counts = {split: len(ids) for split, ids in run.splits().items()}
    assert {split: int(page.inner_text(f"[data-count={split}]")) for split in counts} == counts
    bins = [one["counts"] for one in TrainingImages(run).side_counts().values()]
    heights = page.evaluate(HEIGHTS)
    bins = [counts for counts in bins if len(counts) > 1]  # sides that are all alike have no histogram
    assert [[round(bar / 48 * max(counts)) for bar in bars] for bars, counts in zip(heights, bins, strict=True)] == bins
    wanted = training_batches(run, (0,))[name, 0]
    mean, std = (torch.tensor(run.info()["input"][key]).reshape(3, 1, 1) for key in ("mean", "std"))
    levels = ((wanted * std + mean) * 255).round().clamp(0, 255).permute(1, 2, 0).numpy()
    shown = np.array(page.query_selector("[data-epoch='1'] canvas").evaluate(PIXELS)).reshape(*levels.shape[:2], 4)
    np.testing.assert_array_equal(shown[..., :3], levels)
    before = page.query_selector("[data-epoch='1'] canvas").evaluate(PIXELS)
    page.click("[data-operation=rotate]")
    large.ready()
    assert "off=" in page.url and page.query_selector("[data-epoch='1'] canvas").evaluate(PIXELS) != before
    page.click(f"[data-sample='{run.splits()['train'][2]}']")
    large.ready()
    assert run.splits()["train"][2] in page.inner_text(".augmented h2")
    page.click("[data-leaks]")
    page.wait_for_selector("[data-none]")


def test_the_histograms_of_sizes_count_every_file(run):
    images = TrainingImages(run)
    sizes = images._prepared.store.rows.sizes_hw
    sizes = np.concatenate([sizes, [[5, 300], [900, 7], [900, 8]]])
    images._prepared.store.rows = dataclasses.replace(images._prepared.store.rows, sizes_hw=sizes)
    found = images.side_counts()
    assert list(found) == ["height", "width"]
    for (edges, counts), sides in zip((one.values() for one in found.values()), sizes.T, strict=True):
        bounds = list(itertools.pairwise(edges))
        assert counts == [sum(low <= side < high for side in sides.tolist()) for low, high in bounds]
        assert sum(counts) == len(sides) and len(counts) == 12


def test_data_that_are_gone_are_said_to_be(large, run):
    data = run.path.parent / "data"
    data.rename(data.with_name("moved"))
    kept = large.site.workspace.tables
    try:
        large.site.workspace.tables = type(kept)(3)
        large.open("#view=start")
        page = large.open(f"#view=dataset&model={RUN}&split=val")
        assert "cannot be shown" in page.inner_text("main") and page.inner_text("[data-count=train]") == "17"
    finally:
        data.with_name("moved").rename(data)
        large.site.workspace.tables = kept
    large.open("#view=start")
