"""IDX, CIFAR binary, .npz, toys and public names."""

import gzip
import os
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from pictures import tree
from PIL import Image

from striate.base import torchvision
from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.decode import decode
from striate.data.sources import idx, toy
from striate.data.sources.arrays import from_arrays, to_uint8

RNG = np.random.default_rng(0)


def refused(where: object, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        open_dataset(where, **options)
    return caught.value


def idx_bytes(array: np.ndarray) -> bytes:
    shape = b"".join(side.to_bytes(4, "big") for side in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes()


def mnist(folder: Path, *, packed: bool, train: int = 40, test: int = 10) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = RNG.integers(0, 256, (train + test, 6, 5), dtype=np.uint8), np.arange(train + test) % 4
    for prefix, part in (("train", slice(train)), ("t10k", slice(train, None))):
        for kind, number, values in (("images", 3, images[part]), ("labels", 1, labels[part])):
            data = idx_bytes(values)
            name = f"{prefix}-{kind}-idx{number}-ubyte" + (".gz" if packed else "")
            (folder / name).write_bytes(gzip.compress(data) if packed else data)
    return images, labels


@pytest.mark.parametrize("packed", [True, False])
def test_idx(tmp_path: Path, packed: bool) -> None:
    images, labels = mnist(tmp_path, packed=packed)
    dataset = open_dataset(tmp_path)
    assert dataset.channels == 1 and dataset.classes == ("0", "1", "2", "3")
    assert np.array_equal(np.stack([dataset.images.read(index)[..., 0] for index in range(50)]), images)
    assert np.array_equal(dataset.target().values, labels)
    assert dataset.splits["test"].tolist() == list(range(40, 50))
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 40


def test_damaged_idx(tmp_path: Path) -> None:
    mnist(tmp_path, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for content, words in (
        (whole[: len(whole) // 2], "cannot be read"),
        (gzip.compress(gzip.decompress(whole)[:-1]), "truncated"),
        (gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "claims"),
        (gzip.compress(b"PK\3\4 something"), "not an IDX file"),
    ):
        path.write_bytes(content)
        problem = refused(tmp_path)
        assert words in problem.what and problem.where == str(path)
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((3, 6, 5)))))
    assert "3 images but labels of shape (40,)" in refused(tmp_path).what
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert "no train-labels file" in refused(tmp_path).what


def test_real_fashion_mnist(real_data: Path) -> None:
    dataset = open_dataset(real_data / "fashion_mnist", limit={"train": 100, "val": 50, "test": 50})
    assert dataset.classes == idx.FASHION and dataset.images.array.shape == (200, 28, 28, 1)


@pytest.mark.parametrize(("fine", "names"), [(1, "batches.meta.txt"), (2, "fine_label_names.txt")])
def test_cifar_binary(tmp_path: Path, fine: int, names: str) -> None:
    pixels = RNG.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(20, dtype=np.uint8) % 3
    records = np.column_stack([np.tile(labels[:, None], fine), pixels.reshape(20, -1)]).astype(np.uint8)
    files = ("data_batch_1.bin", "test_batch.bin") if fine == 1 else ("train.bin", "test.bin")
    (tmp_path / files[0]).write_bytes(records[:15].tobytes())
    (tmp_path / files[1]).write_bytes(records[15:].tobytes())
    (tmp_path / names).write_text("plane\ncar\nbird\n\n")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("plane", "car", "bird") and dataset.splits["test"].tolist() == [15, 16, 17, 18, 19]
    assert np.array_equal(dataset.images.read(7), pixels[7].transpose(1, 2, 0))
    assert np.array_equal(dataset.target().values, labels)
    (tmp_path / files[1]).write_bytes(records[15:].tobytes()[:-1])
    assert "not a whole number of records" in refused(tmp_path).what


@pytest.mark.parametrize(("names", "wrong"), [(None, 77), (None, 10), ("a\nb\nc\n", 3)])
def test_an_impossible_cifar_label(tmp_path: Path, names: str | None, wrong: int) -> None:
    records = RNG.integers(0, 256, (20, 1 + 3 * 32 * 32), dtype=np.uint8)
    records[:, 0] = np.arange(20) % 3
    if names:
        (tmp_path / "batches.meta.txt").write_text(names)
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes())
    assert open_dataset(tmp_path).classes == (("a", "b", "c") if names else ("0", "1", "2"))
    records[7, 0] = records[11, 0] = wrong
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    problem = refused(tmp_path)
    count = 3 if names else 10
    assert problem.what == f"record 7 (the first is 0) has label {wrong}, but there are {count} classes"
    assert problem.where == str(tmp_path / "test_batch.bin")


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("keys", [("x_{}", "y_{}"), ("{}_images", "{}_labels")])
def test_npz_with_splits(tmp_path: Path, keys: tuple[str, str]) -> None:
    images = RNG.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    labels = (np.arange(30) % 3)[:, None]
    arrays = {}
    for split, part in (("train", slice(20)), ("test", slice(20, None))):
        arrays |= {keys[0].format(split): images[part], keys[1].format(split): labels[part]}
    dataset = open_dataset(npz(tmp_path / "a.npz", **arrays, classes=np.array(["x", "y", "z"])))
    assert dataset.classes == ("x", "y", "z") and dataset.splits["test"].tolist() == list(range(20, 30))
    assert np.array_equal(dataset.images.array, images)


def test_npz_without_splits(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", images=RNG.random((20, 8, 8)), labels=np.arange(20) % 2)
    dataset = open_dataset(path)
    assert dataset.channels == 1 and {name: len(found) for name, found in dataset.splits.items()} == {
        "train": 14,
        "val": 3,
        "test": 3,
    }


def test_npz_never_unpickles(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(canary),)

    np.savez(tmp_path / "a.npz", images=np.array([Payload()], dtype=object), labels=np.zeros(1))
    assert "Python objects" in refused(tmp_path / "a.npz").what
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Payload()))
    assert "not a readable .npz" in refused(tmp_path / "b.npz").what
    assert not canary.exists()
    assert "no images and labels among q" in refused(npz(tmp_path / "c.npz", q=np.zeros(3))).what


def test_arrays_of_every_form() -> None:
    images = RNG.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    assert np.array_equal(to_uint8(images.transpose(0, 3, 1, 2), ""), images)
    assert np.array_equal(to_uint8(images / 255, ""), images)
    assert from_arrays(images, np.array(["b", "a", "b", "b", "a", "b"])).target().values.tolist() == [1, 0, 1, 1, 0, 1]
    assert from_arrays(images, RNG.random((6, 2))).target().kind == "value"
    assert from_arrays(images, np.tri(6, dtype=int)).target().kind == "tags"
    for bad, words in ((images * 2.0, "range"), (images[0, 0], "shape"), (np.zeros((0, 4, 4)), "shape")):
        with pytest.raises(DataError, match=words):
            to_uint8(bad, "")
    for labels in (np.array([-1] * 6), np.full((6, 2), 3), np.full(6, np.nan), np.arange(5)):
        with pytest.raises(DataError):
            from_arrays(images, labels)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_become_eight_as_in_files(tmp_path: Path, order: str) -> None:
    level = np.arange(65536).reshape(1, 256, 256)
    grey = to_uint8(level.astype(order), "")
    assert np.array_equal(grey[..., 0], np.rint(level * 255 / 65535)) and grey.dtype == np.uint8
    Image.fromarray(level[0].astype(np.uint16)).save(tmp_path / "grey.png")
    assert np.array_equal(grey[0], decode(tmp_path / "grey.png", channels=1))
    colour = RNG.integers(0, 65536, (2, 8, 8, 3)).astype(order)
    assert np.array_equal(to_uint8(colour, ""), np.rint(colour.astype(np.int64) / 257))
    path = npz(tmp_path / "deep.npz", images=RNG.integers(0, 65536, (20, 6, 6)).astype(order), labels=np.arange(20) % 2)
    assert open_dataset(path).images.array.max() > 200
    with pytest.raises(DataError, match="none above 255"):  # they would all be black
        to_uint8((level % 256).astype(order), "")
    assert np.array_equal(to_uint8((level % 2).astype(order), ""), (level % 2 * 255)[..., None])


def test_the_toy_is_a_function_of_its_name() -> None:
    first, second = toy.read("toy:shapes?n=60&seed=3"), toy.read("toy:shapes?n=60&seed=3")
    assert np.array_equal(first.images.array, second.images.array)
    longer = toy.read("toy:shapes?n=400&seed=3")
    assert np.array_equal(longer.images.array[:60], first.images.array)
    assert np.array_equal(longer.target("box").xyxy[:60], first.target("box").xyxy)
    assert not np.array_equal(toy.read("toy:shapes?n=60&seed=4").images.array, first.images.array)


def test_the_targets_of_the_toy_fit_its_pictures() -> None:
    dataset = toy.read("toy:shapes?n=300&noise=0&clutter=0")
    masks, boxes = [dataset.target("mask").read(index) for index in range(300)], dataset.target("box").xyxy
    labels, angles = dataset.target("label").values, dataset.target("angle").values[:, 0]
    assert np.bincount(labels).min() > 40 and angles.min() >= 0 and angles.max() < 360
    shape_light = []
    for image, mask, box, label in zip(dataset.images.array, masks, boxes, labels, strict=True):
        rows, columns = np.nonzero(mask)
        assert set(np.unique(mask)) == {0, label + 1}
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        shape_light.append(image[mask > 0].mean() - image[mask == 0].mean())
    assert min(shape_light) > 20


def test_the_bite_points_where_the_angle_says() -> None:
    """Seen from the middle of a circle, what is left of it lies opposite to the angle (anticlockwise, 0 right)."""
    dataset = toy.read("toy:shapes?n=100&size=96")
    circles = np.flatnonzero(dataset.target("label").values == dataset.classes.index("circle"))
    for index in circles[:4]:
        rows, columns = np.nonzero(dataset.target("mask").read(index))
        left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
        radius = max(right - left, bottom - top) / 2
        middle = best_circle(rows, columns, radius)
        away = np.degrees(np.arctan2(rows.mean() - middle[0], middle[1] - columns.mean()))
        error = (away - dataset.target("angle").values[index, 0] + 180) % 360 - 180
        assert abs(error) < 12


def best_circle(rows: np.ndarray, columns: np.ndarray, radius: float) -> tuple[float, float]:
    """Return the centre whose disc of this radius covers all points most closely (independent of the drawing code)."""
    best = min(
        (np.hypot(rows - y, columns - x).max(), y, x)
        for y in np.arange(rows.mean() - radius / 2, rows.mean() + radius / 2, 0.7)
        for x in np.arange(columns.mean() - radius / 2, columns.mean() + radius / 2, 0.7)
    )
    return best[1], best[2]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("toy:shape", "did you mean 'shapes'"),
        ("toy:shapes?sise=3", "did you mean 'size'"),
        ("toy:shapes?n=many", "write n=NUMBER"),
        ("toy:shapes?n=3", "choose another n"),
    ],
)
def test_wrong_toys(name: str, words: str) -> None:
    assert words in refused(name).fix


def test_targets_and_tasks() -> None:
    assert next(iter(open_dataset("toy:shapes?n=100", task="regress").targets)) == "angle"
    assert next(iter(open_dataset("toy:shapes?n=100", target="box").targets)) == "box"
    assert "did you mean 'angle'" in refused("toy:shapes?n=100", target="angel").fix
    assert "needs label or tags" in refused("toy:shapes?n=100", target="angle", task="classify").what


def test_a_public_name_reads_the_copy_torchvision_keeps(tmp_path: Path) -> None:
    images, labels = mnist(tmp_path / "MNIST" / "raw", packed=False)
    dataset = open_dataset("mnist", root=tmp_path)
    assert len(dataset.classes) == 10 and dataset.splits["test"].tolist() == list(range(40, 50))
    assert np.array_equal(dataset.images.array[..., 0], images) and np.array_equal(dataset.target().values, labels)


def test_a_public_set_of_files(tmp_path: Path) -> None:
    tree(tmp_path / "eurosat" / "2750", {"Forest": 12, "River": 12})
    dataset = open_dataset("eurosat", root=tmp_path)
    assert dataset.classes == ("Forest", "River") and dataset.ids[0] == "eurosat/2750/Forest/0.jpg"
    assert dataset.images.read(0).shape == (24, 32, 3)


def test_a_public_name_takes_any_readable_copy(tmp_path: Path) -> None:
    mnist(tmp_path / "fashion_mnist", packed=True)
    assert len(open_dataset("fashion-mnist", root=tmp_path)) == 50


def test_no_copy_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = torchvision.load("torchvision.datasets.mnist")

    def offline(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(module, "download_and_extract_archive", offline)
    problem = refused("mnist", root=tmp_path)
    assert "mnist is not there and cannot be downloaded" in problem.what and "--root" in problem.fix
    assert "no such folder" in refused("mnist", root=tmp_path / "nowhere").what


def test_nothing_is_printed_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mnist(tmp_path / "MNIST" / "raw", packed=False)
    open_dataset("mnist", root=tmp_path)
    assert capsys.readouterr().out == ""
