"""The store: built once, whole or not at all, true to the images, mapped and not loaded."""

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base import files
from striate.base.errors import DataError, ResourceError
from striate.base.progress import Progress
from striate.data.geometry import Geometry
from striate.data.sample import Dataset
from striate.data.sources.images import ArrayImages, FileImages
from striate.data.store import open_store, statistics
from striate.data.target import Boxes, Label

QUIET = Progress("quiet")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def dataset_of(images, splits=None, targets=None, channels=3) -> Dataset:
    count = len(images)
    targets = targets or {"label": Label(np.arange(count) % 2, ("a", "b"))}
    splits = splits or {"train": np.arange(count)}
    return Dataset("test", "nowhere", images, tuple(f"{i}.png" for i in range(count)), targets, splits, channels)


@pytest.fixture
def folder(tmp_path) -> Path:
    root, rng = tmp_path / "pictures", np.random.default_rng(0)
    root.mkdir()
    for number in range(10):
        pixels = rng.integers(0, 256, (30 + number, 45, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
    return root


def file_dataset(root: Path, count: int = 10, **options) -> Dataset:
    return dataset_of(FileImages(root, tuple(f"{i}.png" for i in range(count)), 3), **options)


def counting(dataset: Dataset, monkeypatch) -> list[int]:
    """Record every image that is decoded."""
    read, original = [], FileImages.read

    def watched(self, index, short_side_px=None):
        read.append(index)
        return original(self, index, short_side_px)

    monkeypatch.setattr(FileImages, "read", watched)
    return read


def test_each_picture_is_what_the_geometry_makes_of_it(folder):
    geometry, dataset = Geometry((20, 20), margin=1.2), file_dataset(folder)
    store = open_store(dataset, geometry, QUIET)
    assert repr(store) == "Store(10 x 24 x 24 x 3, mapped)"
    for index in range(10):
        np.testing.assert_array_equal(store.image(index), geometry.to_store(dataset.images.read(index, 24)))
        assert store.size_hw(index) == (30 + index, 45)


def test_it_is_built_once_and_only_of_pictures_in_a_split(folder, monkeypatch):
    dataset = file_dataset(folder, splits={"train": np.array([7, 2]), "test": np.array([4])})
    read = counting(dataset, monkeypatch)
    first = open_store(dataset, Geometry((16, 16)), QUIET)
    again = open_store(dataset, Geometry((16, 16)), QUIET)
    assert sorted(read) == [2, 4, 7] and first.key == again.key
    assert first.row_of.tolist() == [-1, -1, 0, -1, 1, -1, -1, 2, -1, -1]
    np.testing.assert_array_equal(first.images, again.images)


def test_other_geometry_file_or_split_is_another_store(folder):
    dataset = file_dataset(folder)
    geometries = Geometry((16, 16)), Geometry((17, 17)), Geometry((16, 16), "squash")
    keys = {open_store(dataset, geometry, QUIET).key for geometry in geometries}
    keys.add(open_store(dataset.keep(range(5)), Geometry((16, 16)), QUIET).key)
    Image.new("RGB", (40, 40), (9, 8, 7)).save(folder / "3.png")
    changed = open_store(dataset, Geometry((16, 16)), QUIET)
    assert len(keys | {changed.key}) == 5
    assert (changed.image(3) == (9, 8, 7)).all()


def test_a_file_that_went_bad_is_named(folder, cache):
    (folder / "3.png").write_bytes(b"<html>")
    (folder / "8.png").unlink()
    with pytest.raises(DataError, match=r"1 more file.*3\.png") as caught:
        open_store(file_dataset(folder), Geometry((16, 16)), QUIET)
    assert [name in text for name, text in zip(("3.png", "8.png"), caught.value.details, strict=True)] == [True, True]
    assert not list((cache / "stores").iterdir())


def test_bad_files_can_be_skipped(folder):
    (folder / "3.png").write_bytes(b"<html>")
    dataset, geometry = file_dataset(folder), Geometry((16, 16))
    for _ in range(2):  # as built, then as found in the cache
        store = open_store(dataset, geometry, QUIET, skip_bad=True)
        assert np.flatnonzero(store.row_of < 0).tolist() == [3] and len(store.images) == 9
        np.testing.assert_array_equal(store.image(4), geometry.to_store(dataset.images.read(4, 16)))
    with pytest.raises(DataError, match=r"3\.png"):
        open_store(dataset, geometry, QUIET)


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_leaves_nothing_half_built(folder, cache, step):
    def full(name, path):
        if name == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with files.faults(full), pytest.raises(ResourceError, match="No space left"):
        open_store(file_dataset(folder), Geometry((16, 16)), QUIET)
    assert not list((cache / "stores").iterdir())
    assert len(open_store(file_dataset(folder), Geometry((16, 16)), QUIET).images) == 10


@pytest.mark.parametrize("name", ["images.u8", "rows.f64", "store.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_store_is_built_again(folder, cache, name, damage):
    first = np.array(open_store(file_dataset(folder), Geometry((16, 16)), QUIET).images)
    (path,) = cache.glob(f"stores/*/{name}")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    np.testing.assert_array_equal(open_store(file_dataset(folder), Geometry((16, 16)), QUIET).images, first)


def test_arrays_of_the_right_size_are_used_without_a_copy(cache):
    array = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    store = open_store(dataset_of(ArrayImages(array), channels=1), Geometry((28, 28), channels=1), QUIET)
    assert np.shares_memory(store.images, array) and not cache.exists()
    np.testing.assert_array_equal(store.image(7), array[7])
    resized = open_store(dataset_of(ArrayImages(array), channels=1), Geometry((14, 14), channels=1), QUIET)
    assert resized.images.shape == (20, 14, 14, 1) and cache.exists()


def test_a_store_over_the_budget_streams_the_same_pixels(folder, cache):
    dataset, geometry = file_dataset(folder), Geometry((20, 20))
    streamed = open_store(dataset, geometry, QUIET, max_bytes=1000)
    assert streamed.images is None and "streamed" in repr(streamed)
    assert not any((cache / "stores").iterdir())
    stored = open_store(dataset, geometry, QUIET)
    everything = np.arange(10)
    images = [streamed.image(index) for index in range(10)]
    np.testing.assert_array_equal(images, stored.images)
    np.testing.assert_allclose(streamed.means(everything, images), stored.means(everything, images))
    np.testing.assert_allclose(statistics(streamed, everything), statistics(stored, everything))
    assert streamed.size_hw(3) == stored.size_hw(3) == (33, 45)


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_all_pixels_of_the_split(channels):
    array = np.random.default_rng(0).integers(0, 200, (30, 12, 12, channels), np.uint8)
    array[15:] //= 3
    store = open_store(dataset_of(ArrayImages(array), channels=channels), Geometry((12, 12), channels=channels), QUIET)
    mean, std = statistics(store, np.arange(10, 25))
    pixels = array[10:25].reshape(-1, channels) / 255
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-9)


def test_a_constant_channel_is_named():
    array = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    array[..., 1] = 77
    store = open_store(dataset_of(ArrayImages(array)), Geometry((8, 8)), QUIET)
    with pytest.raises(DataError, match="green channel is constant"):
        statistics(store, np.arange(5))


def test_boxes_ask_for_full_size_pictures(tmp_path):
    Image.new("RGB", (640, 480)).save(tmp_path / "0.jpg")
    images = FileImages(tmp_path, ("0.jpg",), 3)
    boxes = {"box": Boxes.of(np.zeros((1, 1, 4)))}
    assert open_store(dataset_of(images, targets=boxes), Geometry((32, 32)), QUIET).size_hw(0) == (480, 640)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_the_store_is_mapped_not_loaded(tmp_path):
    """200 MB of images: building stays far below, and released pages do not count as ours."""

    class Drawn:
        def __len__(self):
            return 1000

        def read(self, index, short_side_px=None):
            return np.full((256, 256, 3), index % 256, np.uint8)

        def path(self, index):
            return None

        def stamp(self, index):
            return str(index)

    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = resident_bytes()
    store = open_store(dataset_of(Drawn()), Geometry((256, 256)), QUIET)
    assert resident_bytes() - before < 60e6
    assert [int(store.image(index).mean()) for index in range(0, 1000, 3)] == [i % 256 for i in range(0, 1000, 3)]
    assert int(np.asarray(store.images).max()) == 255  # touches every page
    assert resident_bytes() - before > 150e6
    store.release()
    assert resident_bytes() - before < 60e6
    assert int(store.image(7).mean()) == 7
