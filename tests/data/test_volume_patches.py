"""Volumes larger than what a network sees: random patches to train on, overlapping tiles to answer."""

import tracemalloc

import numpy as np
import pytest
import torch

from striate.data import Dataset
from striate.data.augment.geometric import Rotate, Zoom
from striate.data.augment.move import move_masks
from striate.data.augment.pipeline import Pipeline
from striate.data.augment.space import apply_space
from striate.data.loader import Loader
from striate.data.store import Rows, Store
from striate.data.target import VolumeMask
from striate.data.target.arrays import ListImages
from striate.data.volume_geometry import VolumeGeometry
from striate.nn.tiles import tiled

BOX, VIEW = (16, 24, 20), (8, 8, 8)
ONE = torch.ones(1)


def numbered(own, num=1):
    """Volumes whose voxels have each a number of their own, in the middle of what is stored; and labels of them."""
    source = [slice((side - kept) // 2, (side - kept) // 2 + kept) for side, kept in zip(BOX, own, strict=True)]
    stored = np.full((num, *BOX, 1), 65535, np.uint16)
    stored[(slice(None), *source, 0)] = np.arange(num * np.prod(own)).reshape(num, *own)
    return stored


def loader(stored, own, **settings):
    num = len(stored)
    geometry = VolumeGeometry(VIEW, channels=1, depth=16, box=BOX)
    rows = Rows(np.zeros((num, 2, 1)), np.tile(own, (num, 1)))
    store = Store(geometry, "key", np.arange(num), None, full_size=True, images=stored, rows=rows)
    masks = ListImages(tuple((one % 3).astype(np.uint8) for one in stored))
    target = VolumeMask(masks, ("a", "b", "c"), (BOX,) * num, (None,) * num)
    ids = tuple(map(str, range(num)))
    dataset = Dataset("v", "v", None, ids, {"mask": target}, {"train": np.arange(num)}, 1)
    return Loader(store, dataset, "train", mean=[0.0], std=[1.0], batch_size=2, threads=1, **settings)


def as_numbers(images):
    return np.rint(images.numpy()[:, 0] * 65535).astype(np.int64)


@pytest.mark.parametrize("own", [(16, 24, 20), (11, 19, 20), (16, 6, 12)])
def test_a_patch_is_a_part_of_the_volume_and_its_labels_are_those_voxels(own):
    stored, places = numbered(own), set()
    made = loader(stored, own, pipeline=Pipeline((), is_in_space=True), shuffle=True)
    for epoch in range(40):
        (batch,) = made.batches(epoch)
        (found,) = as_numbers(batch.images)
        assert batch.tile_hw is None and found.shape == VIEW
        at = np.argwhere(stored[0, ..., 0] == found[found < 65535].min())[0] - np.argwhere(found == found[found < 65535].min())[0]  # fmt: skip  # noqa: E501
        part = tuple(slice(start, start + side) for start, side in zip(at, VIEW, strict=True))
        assert np.array_equal(found, stored[0, ..., 0][part])
        assert np.array_equal(batch.targets["mask"][0].numpy(), stored[0, ..., 0][part] % 3)
        places.add(tuple(at.tolist()))
        for start, side, kept, have in zip(at, VIEW, own, BOX, strict=True):
            first = (have - kept) // 2
            assert first <= start <= first + kept - side if kept > side else start == (have - side) // 2
    assert len(places) > 20


def test_the_same_epoch_takes_the_same_patches_and_another_epoch_others():
    stored = numbered(BOX)
    first, again = (loader(stored, BOX, pipeline=Pipeline((), is_in_space=True), seed=3) for _ in range(2))
    one, two, other = (as_numbers(next(made.batches(epoch)).images) for made, epoch in ((first, 1), (again, 1), (first, 2)))  # fmt: skip  # noqa: E501
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_what_is_not_trained_on_is_seen_whole_and_says_the_size_of_its_tiles():
    stored = numbered(BOX)
    (batch,) = loader(stored, BOX).batches(0)
    assert batch.tile_hw == VIEW and np.array_equal(as_numbers(batch.images)[0], stored[0, ..., 0])
    assert batch.targets["mask"].shape == (1, *BOX)


def test_a_turned_patch_equals_the_same_part_of_the_whole_volume_turned():
    """The whole volume sampled at the patch's places by torch, without the cutting out before."""
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 256, (3, *BOX, 1)).astype(np.uint8)
    pipeline = Pipeline((Rotate(max_deg=30), Zoom(min=0.8, max=1.25)), is_in_space=True)
    plan = pipeline.matrices(pipeline.draw(3, 0, 0), BOX, VIEW, np.full((3, 1), 100.0))
    found = apply_space(list(volumes), plan, 0 * ONE, ONE).numpy()[:, 0] * 255
    grid = torch.nn.functional.affine_grid(torch.tensor(plan.warp, dtype=torch.float32), [3, 1, *VIEW], False)
    whole = torch.tensor(volumes).movedim(-1, 1).float()
    wanted = torch.nn.functional.grid_sample(whole, grid, padding_mode="reflection", align_corners=False)[:, 0].numpy()
    assert np.abs(found - wanted).max() < 0.05
    labels = (volumes[..., 0] > 128).astype(np.uint8)
    nearest = torch.nn.functional.grid_sample(
        torch.tensor(labels)[:, None].float(), grid, "nearest", padding_mode="reflection", align_corners=False
    )
    assert (move_masks(list(labels), plan) != nearest[:, 0].numpy()).mean() < 0.001  # of voxels halfway between two


def test_a_patch_of_a_large_volume_takes_the_memory_of_a_patch():
    large = np.zeros((192, 192, 192, 1), np.uint16)  # 14 MB, 28 MB as float32
    pipeline = Pipeline((Rotate(max_deg=10),), is_in_space=True)
    plan = pipeline.matrices(pipeline.draw(2, 0, 0), large.shape[:3], (32, 32, 32), np.zeros((2, 1)))
    tracemalloc.start()
    apply_space([large, large], plan, 0 * ONE, ONE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6


def test_tiles_of_a_short_sighted_network_are_the_whole():
    torch.manual_seed(0)
    network = torch.nn.Conv3d(2, 3, 3, padding=1)
    whole = torch.randn(2, 2, 20, 33, 16)
    with torch.no_grad():
        assert torch.allclose(tiled(network, whole, (16, 16, 16)), network(whole), atol=1e-5)
