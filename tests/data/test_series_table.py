"""Series in CSV and TSV tables: the same dataset as the `.ts` files of the same numbers; what is wrong is named."""

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.cli.app import run
from striate.data import open_dataset

RNG = np.random.default_rng(0)
CASES = [RNG.normal(size=int(n)).astype(np.float32) for n in RNG.integers(9, 14, 24)]
NAMES = ["a", "b"]


def cells(case):
    return [repr(float(value)) for value in case]


def write_ts(path, cases):
    head = "@problemName X\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
    path.write_text(head + "".join(f"{','.join(cells(case))}:{NAMES[n % 2]}\n" for n, case in enumerate(cases)))


def write_table(path, cases, *, gap="", place=0):
    mark = "\t" if path.suffix == ".tsv" else ","
    wide = max(map(len, cases))
    lines = [[f"t{n}" for n in range(wide)], *(cells(case) + [gap] * (wide - len(case)) for case in cases)]
    for n, line in enumerate(lines):
        line.insert(place if place >= 0 else len(line), "label" if n == 0 else NAMES[(n - 1) % 2])
    path.write_text("".join(mark.join(line) + "\n" for line in lines))


@pytest.mark.parametrize(("suffix", "gap", "place"), [(".csv", "", 0), (".csv", "nan", -1), (".tsv", "NaN", 0)])
def test_a_table_is_the_dataset_of_the_ts_files(tmp_path, suffix, gap, place):
    for folder in ("ts", "table"):
        (tmp_path / folder).mkdir()
    for name, part in (("X_TRAIN", CASES[:16]), ("X_TEST", CASES[16:])):
        write_ts(tmp_path / "ts" / f"{name}.ts", part)
        write_table(tmp_path / "table" / f"{name}{suffix}", part, gap=gap, place=place)
    ts, table = (open_dataset(tmp_path / name, seed=3) for name in ("ts", "table"))
    assert table.ids == ts.ids and table.classes == ts.classes == ("a", "b")
    assert table.target().values.tolist() == ts.target().values.tolist()
    assert {name: part.tolist() for name, part in table.splits.items()} == {n: p.tolist() for n, p in ts.splits.items()}
    for one, other in zip(table.images.values, ts.images.values, strict=True):
        np.testing.assert_array_equal(one, other)
    assert table.usual == ts.usual


def test_files_of_the_archive_have_no_header_and_their_class_first(tmp_path):
    lines = ["1.0000000e+00\t" + "\t".join(cells(CASES[0])), "-1\t" + "\t".join(cells(CASES[1]))]
    (tmp_path / "X.tsv").write_text("\n".join(lines * 5) + "\n")
    dataset = open_dataset(tmp_path / "X.tsv")
    assert set(dataset.classes) == {"-1", "1"} and len(dataset) == 10
    np.testing.assert_array_equal(dataset.images.values[1][:, 0], CASES[1])


def test_a_table_of_images_stays_one(tmp_path):
    from PIL import Image

    numbers = ",".join(f"n{i}" for i in range(9))
    rows = []
    for n in range(12):
        Image.fromarray(np.full((8, 8, 3), 20 * n, np.uint8)).save(tmp_path / f"{n}.png")
        rows.append(f"{n}.png,{NAMES[n % 2]}," + ",".join("1" for _ in range(9)))
    (tmp_path / "x.csv").write_text(f"path,label,{numbers}\n" + "\n".join(rows) + "\n")
    assert open_dataset(tmp_path / "x.csv", target="label").images.path(0).name == "0.png"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines[:4], lines[4].replace(lines[4].split(",")[3], "x"), *lines[5:]], "'x' is no number"),
        (lambda lines: [*lines[:4], lines[4].replace(lines[4].split(",")[3], ""), *lines[5:]], "a missing value"),
        (lambda lines: [*lines[:4], "," + lines[4].split(",", 1)[1], *lines[5:]], "a case without class"),
        (lambda lines: [*lines[:4], lines[4] + ",1,2,3,4,5,6", *lines[5:]], "cells under"),
    ],
)
def test_what_is_wrong_names_line_and_column(tmp_path, change, message):
    path = tmp_path / "x.csv"
    write_table(path, CASES)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(path)
    assert str(path) + ":5" in str(caught.value)


def test_cases_of_a_table_are_predicted(tmp_path, capsys):
    write_table(tmp_path / "X.csv", [*RNG.normal(size=(60, 12)).astype(np.float32)])
    out = tmp_path / "run"
    words = ["--model", "fcn_1d", "--set", "train.epochs=1", "--threads", "1", "--quiet", "--out", str(out)]
    assert run(["train", str(tmp_path / "X.csv"), *words]) == 0
    lines = (tmp_path / "X.csv").read_text().splitlines()
    (tmp_path / "new.csv").write_text("\n".join(line.split(",", 1)[1] for line in lines[:4]) + "\n")
    capsys.readouterr()
    assert run(["predict", str(out), str(tmp_path / "new.csv")]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["new/1", "new/2", "new/3"]
