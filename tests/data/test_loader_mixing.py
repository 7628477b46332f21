"""Batches of mixed images: soft targets of the right type, by seed, epoch and batch, refused where senseless."""

import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data.augment import Cutmix, Jpeg, Mixup, Noise, Perspective, Pipeline, RandAugment
from striate.data.augment.device import apply_torch
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.sample import Dataset
from striate.data.sources.images import ArrayImages
from striate.data.store import open_store
from striate.data.target import Angle, Label, Number, Tags

COUNT, MIXED = 50, Pipeline([RandAugment(), Perspective(), Noise(), Jpeg(), Mixup(alpha=0.4, p=0.5), Cutmix()])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def make_dataset() -> Dataset:
    rng = np.random.default_rng(0)
    targets = {
        "label": Label(rng.integers(0, 3, COUNT), ("a", "b", "c")),
        "tags": Tags(rng.integers(0, 2, (COUNT, 4)).astype(np.uint8), tuple("wxyz")),
        "weight": Number(rng.random((COUNT, 2)).astype(np.float32), ("kg", "cm")),
        "angle": Angle(rng.uniform(0, 360, (COUNT, 1)).astype(np.float32), ("angle",)),
    }
    images = ArrayImages(rng.integers(0, 256, (COUNT, 24, 24, 3), np.uint8))
    return Dataset("test", "x", images, tuple(map(str, range(COUNT))), targets, {"train": np.arange(COUNT)}, 3)


def make_loader(targets=("label", "tags"), pipeline=MIXED, **options) -> Loader:
    dataset = make_dataset()
    store = open_store(dataset, Geometry((24, 24)), Progress("quiet"))
    shown = {"mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 16, "shuffle": True, "seed": 3}
    return Loader(store, dataset, "train", targets=targets, pipeline=pipeline, **shown | options)


def test_mixed_targets_are_shares_of_two_samples_of_the_batch():
    loader = make_loader(pipeline=Pipeline([Mixup(alpha=1)]))
    truth = loader.dataset.targets["label"].values
    for batch in loader.batches(0):
        labels, tags = batch.targets["label"], batch.targets["tags"]
        assert labels.dtype == tags.dtype == torch.float32 and labels.shape == (len(batch), 3)
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
        own = labels[torch.arange(len(batch)), torch.from_numpy(truth[batch.index])]
        assert (own > 0).all() and (labels.max(1).values < 1).any()
        assert ((tags > 0) & (tags < 1)).any()


def test_numbers_are_mixed_by_mixup_and_refused_by_cutmix():
    loader = make_loader(("weight",), Pipeline([Mixup(alpha=1)]))
    values = loader.dataset.targets["weight"].values
    batch = next(loader.batches(0))
    assert (batch.targets["weight"].numpy() != values[batch.index]).any()
    np.testing.assert_allclose(batch.targets["weight"].mean(), values[batch.index].mean(), atol=0.15)
    for name, op in (("weight", Cutmix()), ("angle", Mixup()), ("angle", Cutmix())):
        with pytest.raises(SettingsError, match="cannot mix"):
            make_loader((name,), Pipeline([op]))


@pytest.mark.parametrize("options", [{"threads": 1, "ahead": 0}, {"threads": 4, "ahead": 3}, {"threads": 2}])
def test_threads_and_prefetch_do_not_change_a_bit(options):
    reference = list(make_loader(threads=1, ahead=0).batches(1))
    for one, other in zip(reference, make_loader(**options).batches(1), strict=True):
        np.testing.assert_array_equal(one.index, other.index)
        assert torch.equal(one.images, other.images)
        assert all(torch.equal(one.targets[name], other.targets[name]) for name in one.targets)


def test_starting_in_the_middle_gives_the_rest_and_epochs_differ():
    whole, rest = list(make_loader().batches(2)), list(make_loader().batches(2, start=1))
    assert all(torch.equal(one.images, other.images) for one, other in zip(whole[1:], rest, strict=True))
    other = {
        int(i): t
        for batch in make_loader().batches(3)
        for i, t in zip(batch.index, batch.targets["label"], strict=True)
    }
    mine = {int(i): t for batch in whole for i, t in zip(batch.index, batch.targets["label"], strict=True)}
    assert any(not torch.equal(mine[i], other[i]) for i in mine)


def test_a_whole_batch_in_another_order_holds_the_same_pictures():
    """With one batch an epoch, order cannot matter: partners follow drawn numbers, not places."""
    found = [
        {int(i): (image, label) for i, image, label in zip(b.index, b.images, b.targets["label"], strict=True)}
        for shuffle in (True, False)
        for b in [next(make_loader(batch_size=COUNT, shuffle=shuffle).batches(0))]
    ]
    for index, (image, label) in found[0].items():
        torch.testing.assert_close(found[1][index][0], image, atol=1e-5, rtol=0)
        assert torch.equal(found[1][index][1], label)


def test_the_code_for_gpus_makes_the_same_batches():
    loader = make_loader()
    table = loader.pipeline.draw(COUNT, loader.seed, 0)
    for batch in loader.batches(0):
        squares = np.stack([loader.store.image(index) for index in batch.index])
        plan = loader.pipeline.matrices(
            table[batch.index], (24, 24), (24, 24), loader.store.means(batch.index, squares)
        )
        other = apply_torch(torch.from_numpy(squares), plan, *loader._levels)
        levels = (batch.images - other).abs() * 255 * 0.25
        assert levels.mean() < 1.5  # white noise, sharpened, through JPEG: the worst case of rounding
        labels = loader.dataset.targets["label"].batch(batch.index, plan, None)
        np.testing.assert_array_equal(batch.targets["label"], labels)
