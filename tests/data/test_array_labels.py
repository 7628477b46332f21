"""Labels in .npz, IDX and CIFAR files: classes that occur, one-hot columns, and arrays that do not fit each other."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.sources.arrays import from_arrays

RNG = np.random.default_rng(0)
CLASS = np.arange(60) % 3
PIXELS = RNG.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def refused(where: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        open_dataset(where, **options)
    return caught.value


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_one_1_in_every_row_is_a_class(tmp_path: Path, dtype: type) -> None:
    path = npz(tmp_path / "a.npz", x=PIXELS, y=np.eye(3)[CLASS].astype(dtype))
    dataset = open_dataset(path)
    assert dataset.classes == ("0", "1", "2") and dataset.target().values.tolist() == CLASS.tolist()
    assert "exactly one 1" in dataset.readings[0].text
    assert open_dataset(path, task="tag").target().kind == "tags"
    several = np.eye(3)[CLASS].astype(dtype)
    several[4] = 1
    tags = open_dataset(npz(tmp_path / "b.npz", x=PIXELS, y=several)).target()
    assert tags.kind == "tags" and tags.values[4].tolist() == [1, 1, 1]


@pytest.mark.parametrize("ids", [(0, 500_000, 1_000_000), (11_001, 90_210, 2_000_000_000), (1, 2, 3), (2, 10, 9)])
def test_the_ids_that_occur_are_the_classes(tmp_path: Path, ids: tuple[int, ...]) -> None:
    path = npz(tmp_path / "a.npz", x=PIXELS, y=np.array(ids)[CLASS])
    dataset = open_dataset(path)
    assert dataset.classes == tuple(map(str, sorted(ids)))
    assert [int(dataset.classes[index]) for index in dataset.target().values] == np.array(ids)[CLASS].tolist()
    named = open_dataset(npz(tmp_path / "b.npz", x=PIXELS, y=np.array(ids)[CLASS], classes=np.array(["a", "b", "c"])))
    assert [named.classes[index] for index in named.target().values] == [
        "abc"[sorted(ids).index(one)] for one in np.array(ids)[CLASS]
    ]


def test_numbers_in_arrays(tmp_path: Path) -> None:
    seconds = 1_700_000_000 + np.arange(60)
    path = npz(tmp_path / "a.npz", x=PIXELS, y=seconds)
    assert "--task regress" in refused(path).fix
    target = open_dataset(path, task="regress").target()
    assert target.kind == "value" and target.values[:, 0].tolist() == seconds.tolist()
    assert from_arrays(PIXELS, CLASS.astype(np.float32)).classes == ("0", "1", "2")
    assert from_arrays(PIXELS, CLASS / 7).target().kind == "value"
    spoilt = CLASS / 7
    spoilt[5] = np.nan
    with pytest.raises(DataError, match="image 5"):
        from_arrays(PIXELS, spoilt)


SPLIT = {"x_train": PIXELS[:40], "y_train": CLASS[:40], "x_test": PIXELS[40:], "y_test": CLASS[40:]}


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"x_test": np.zeros((20, 10, 10, 3), np.uint8)}, ("x_train", "x_test")),
        ({"x_test": np.zeros((20, 8, 8), np.uint8)}, ("x_train", "x_test")),
        ({"x_test": np.zeros((20, 8, 8, 3), np.float32)}, ("x_train", "x_test")),
        ({"y_test": CLASS[40:, None]}, ("y_train", "y_test")),
        ({"y_test": np.eye(3)[CLASS[40:]]}, ("y_train", "y_test")),
        ({"y_test": np.array(["a", "b"] * 10)}, ("y_train", "y_test")),
        ({"y_train": CLASS[:20], "y_test": CLASS[:40]}, ("x_train", "y_train")),
        ({"y_test": np.int64(3)}, ("x_test", "y_test")),
        ({"y_test": CLASS[40:] + 1}, ("class '3'", "test")),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, changed: dict, names: tuple[str, str]) -> None:
    problem = refused(npz(tmp_path / "a.npz", **SPLIT | changed))
    assert all(name in problem.what for name in names) and problem.where == str(tmp_path / "a.npz")


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **SPLIT)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    found = set()
    for at in np.random.default_rng(1).integers(0, len(whole), 40):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        (tmp_path / "b.npz").write_bytes(changed)
        try:
            open_dataset(tmp_path / "b.npz")
        except DataError as problem:
            found.add(problem.what.split("(")[0])
    assert any("array x_train" in what for what in found)
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x.npy", member.getvalue() + bytes(80))
        archive.writestr("y.npy", member.getvalue() + bytes(80))
    assert "array x claims 8,000,000,000,000,000 bytes" in refused(tmp_path / "c.npz").what


def idx(path: Path, array: np.ndarray, code: int = 8) -> None:
    shape = b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(bytes([0, 0, code, array.ndim]) + shape + array.tobytes())


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [((40, 8, 8), (20, 9, 8), "8 x 9 pixels"), ((0, 8, 8), (20, 8, 8), "shape"), ((40, 0, 8), (20, 0, 8), "shape")],
)
def test_idx_files_that_do_not_fit(tmp_path: Path, train: tuple[int, ...], test: tuple[int, ...], words: str) -> None:
    for prefix, shape in (("train", train), ("t10k", test)):
        idx(tmp_path / f"{prefix}-images-idx3-ubyte", np.zeros(shape, np.uint8))
        idx(tmp_path / f"{prefix}-labels-idx1-ubyte", (np.arange(shape[0]) % 2).astype(np.uint8))
    problem = refused(tmp_path)
    assert words in problem.what and "idx3" in problem.where


def test_idx_labels(tmp_path: Path) -> None:
    for prefix, labels in (("train", 5 + np.arange(40) % 3), ("t10k", 5 + np.arange(20) % 3)):
        idx(tmp_path / f"{prefix}-images-idx3-ubyte", RNG.integers(0, 255, (len(labels), 8, 8), dtype=np.uint8))
        idx(tmp_path / f"{prefix}-labels-idx1-ubyte", labels.astype(np.uint8))
    assert open_dataset(tmp_path).classes == ("5", "6", "7")
    idx(tmp_path / "t10k-labels-idx1-ubyte", (np.arange(20) % 4 + 5).astype(np.uint8))
    assert "class '8' is in test but not in train" in refused(tmp_path).what
    idx(tmp_path / "train-labels-idx1-ubyte", np.arange(40).astype(">f4"), code=0x0D)
    assert "IDX labels are of type" in refused(tmp_path).what


def test_cifar_names_that_are_not_utf8(tmp_path: Path) -> None:
    records = RNG.integers(0, 256, (20, 1 + 3 * 32 * 32), dtype=np.uint8)
    records[:, 0] = np.arange(20) % 3
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes())
    (tmp_path / "batches.meta.txt").write_bytes("car\navión\ncoche\n".encode("latin-1"))
    problem = refused(tmp_path)
    assert "not UTF-8" in problem.what and problem.where == f"{tmp_path / 'batches.meta.txt'}:2"
    (tmp_path / "batches.meta.txt").unlink()
    (tmp_path / "test_batch.bin").write_bytes(np.where(np.arange(3073) == 0, 7, records[:3]).astype(np.uint8).tobytes())
    assert "class '7' is in test but not in train" in refused(tmp_path).what
