"""Series of several dimensions in tables and `.npz` files: the dataset of the `.ts` files of the same numbers."""

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.cli.app import run
from striate.data import open_dataset

RNG = np.random.default_rng(0)
CASES = [RNG.normal(size=(int(n), 2)).astype(np.float32) for n in RNG.integers(9, 14, 24)]
NAMES = ["a", "b"]
PARTS = (("X_TRAIN", CASES[:16]), ("X_TEST", CASES[16:]))


def text(value):
    return repr(float(value))


def write_ts(path, cases):
    head = "@problemName X\n@timeStamps false\n@univariate false\n@classLabel true a b\n@data\n"
    lines = [
        ":".join([*(",".join(map(text, column)) for column in case.T), NAMES[n % 2]]) for n, case in enumerate(cases)
    ]
    path.with_suffix(".ts").write_text(head + "\n".join(lines) + "\n")


def write_wide(path, cases):
    """Columns of one time beside each other, to show that their names count and not their order."""
    wide = max(map(len, cases))
    lines = [[f"{name}_{n}" for n in range(wide) for name in ("acc x", "gyro")] + ["class"]]
    for n, case in enumerate(cases):
        lines.append([*map(text, case.reshape(-1)), *[""] * (2 * wide - case.size), NAMES[n % 2]])
    path.with_suffix(".csv").write_text("".join(",".join(line) + "\n" for line in lines))


def write_steps(path, cases):
    rows = [f"c{n}\t{t / 10}\t{text(a)}\t{NAMES[n % 2]}\t{text(b)}" for n, case in enumerate(cases) for t, (a, b) in enumerate(case)]  # fmt: skip  # noqa: E501
    path.with_suffix(".tsv").write_text("\n".join(["case\ttime\tacc x\tlabel\tgyro", *rows]) + "\n")


def padded(cases):
    wide = max(map(len, cases))
    return np.stack([np.pad(case, ((0, wide - len(case)), (0, 0)), constant_values=np.nan) for case in cases])


def write_npz(path, cases):
    labels = np.array([NAMES[n % 2] for n in range(len(cases))])
    np.savez(path.with_suffix(".npz"), series=padded(cases), labels=labels)


def same(found, wanted):
    assert found.ids == wanted.ids and found.classes == wanted.classes == ("a", "b")
    assert found.target().values.tolist() == wanted.target().values.tolist() and found.usual == wanted.usual
    assert {n: p.tolist() for n, p in found.splits.items()} == {n: p.tolist() for n, p in wanted.splits.items()}
    for one, other in zip(found.images.values, wanted.images.values, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("write", [write_wide, write_steps, write_npz])
def test_several_dimensions_are_those_of_the_ts_files(tmp_path, write):
    for folder, writer in (("ts", write_ts), ("other", write)):
        (tmp_path / folder).mkdir()
        for name, part in PARTS:
            writer(tmp_path / folder / name, part)
    ts, other = (open_dataset(tmp_path / name, seed=3) for name in ("ts", "other"))
    same(other, ts)
    assert other.bands == (ts.bands if write is write_npz else ("acc x", "gyro"))


def test_an_archive_may_hold_its_splits_and_number_its_classes(tmp_path):
    parts = {f"series_{name}": padded(part)[:, :, 0] for name, part in (("train", CASES[:16]), ("test", CASES[16:]))}
    labels = {"labels_train": np.arange(16) % 2, "labels_test": np.arange(8.0) % 2}
    np.savez(tmp_path / "x.npz", **parts, **labels, classes=np.array(NAMES))
    dataset = open_dataset(tmp_path / "x.npz")
    assert {name: len(part) for name, part in dataset.splits.items()}["test"] == 8
    assert (dataset.classes, dataset.channels, dataset.ids[0]) == (("a", "b"), 1, "train/1")
    assert [len(one) for one in dataset.images.values] == [len(case) for case in CASES]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"series": np.zeros((4, 9))}, "series without labels"),
        ({"series": np.zeros((4, 9)), "labels": np.arange(3)}, "4 series but 3 labels"),
        ({"series": np.full((4, 9), np.nan), "labels": np.arange(4)}, "fewer than two samples in series 0"),
        ({"series": np.full((4, 9), np.inf), "labels": np.arange(4)}, "no number"),
        ({"series": np.zeros((4, 9)), "labels": np.arange(4) / 2}, "label 0.5 is no class"),
        ({"series": np.zeros((4, 9)), "labels": np.arange(4), "classes": np.array(NAMES)}, "label 2 is no class of 2"),
        ({"series": np.zeros(9), "labels": np.arange(9)}, r"shape \(9,\)"),
        ({"series_test": np.zeros((4, 9)), "labels_test": np.arange(4)}, "no training series"),
        ({"x": np.zeros((4, 9)), "y": np.arange(4)}, "is called series"),
    ],
)
def test_what_is_wrong_with_an_archive_names_the_array(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c0,5,1,a,", "a missing value in column 'gyro'"),
        ("c0,5,1,b,2", "case c0 has the classes a and b"),
        ("c0,0,1,a,2", "the time of case c0 does not rise"),
        (",5,1,a,2", "a step without case or class"),
        ("c9,5,1,a,2", "case c9 has one step"),
    ],
)
def test_what_is_wrong_with_steps_names_the_line(tmp_path, row, message):
    head = "case,time,acc,label,gyro\n" + "".join(f"c{n},{t},1,a,2\n" for n in range(9) for t in range(3))
    (tmp_path / "x.csv").write_text(head + row + "\n")
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "x.csv")


def test_series_of_an_archive_are_predicted_without_their_classes(tmp_path, capsys):
    write_npz(tmp_path / "X", [*RNG.normal(size=(60, 12, 2)).astype(np.float32)])
    out = tmp_path / "run"
    words = ["--model", "fcn_1d", "--set", "train.epochs=1", "--threads", "1", "--quiet", "--out", str(out)]
    assert run(["train", str(tmp_path / "X.npz"), *words]) == 0
    np.savez(tmp_path / "new.npz", series=padded(CASES[:3]))
    capsys.readouterr()
    assert run(["predict", str(out), str(tmp_path / "new.npz")]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["new/1", "new/2", "new/3"]
