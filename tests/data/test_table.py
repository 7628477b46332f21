"""CSV and TSV tables: what is read, and the line in every message."""

from pathlib import Path

import numpy as np
import pytest
from pictures import tree

from striate.base.errors import DataError
from striate.data import open_dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path, {"pics": 12})


def table(root: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    path = root / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(labels: list[str], header: str = "path,label") -> str:
    return "\n".join([header, *(f"pics/{index}.jpg,{label}" for index, label in enumerate(labels))])


def refused(root: Path, text: str, line: int | None, **options: object) -> DataError:
    path = table(root, text)
    with pytest.raises(DataError) as caught:
        open_dataset(path, **options)
    assert caught.value.where == (f"{path}:{line}" if line else str(path)) and caught.value.fix
    return caught.value


def test_labels_are_text(root: Path) -> None:
    dataset = open_dataset(table(root, rows(["010", "10", "9"] * 4)))
    assert dataset.classes == ("9", "010", "10") and dataset.channels == 3
    assert dataset.target().values.tolist()[:3] == [1, 2, 0]
    assert dataset.ids[3] == "pics/3.jpg" and dataset.images.read(3).shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        (rows(["a", "b"] * 6), "x.csv", "utf-8-sig"),
        (rows(["a", "b"] * 6).replace(",", ";"), "x.csv", "utf-8"),
        (rows(["a", "b"] * 6).replace(",", "\t"), "x.tsv", "utf-8"),
        (rows(["a", "b"] * 6).replace("\n", "\r\n") + "\r\n\r\n", "x.csv", "utf-8"),
        (rows(["a", "b"] * 6).replace("path,label", "Filename, Class "), "x.csv", "utf-8"),
    ],
)
def test_usual_forms_of_a_table(root: Path, text: str, name: str, encoding: str) -> None:
    dataset = open_dataset(table(root, text, name, encoding))
    assert dataset.classes == ("a", "b") and len(dataset) == 12


def test_a_quoted_delimiter_belongs_to_the_label(root: Path) -> None:
    dataset = open_dataset(table(root, rows(['"cat, black"', "dog"] * 6)))
    assert dataset.classes == ("cat, black", "dog")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (rows(["a", "b", ""] * 4), 4, "label is empty"),
        (rows(["a", "b"] * 6) + "\npics/99.jpg,a", 14, "'pics/99.jpg' is missing"),
        (rows(["a", "b"] * 6) + "\npics/3.jpg,a", 14, "is also in line 5"),
        (rows(["a", "b"] * 6) + "\n../out.jpg,a", 14, "leads out of"),
        (rows(["a", "b"] * 6) + "\n,a", 14, "path is empty"),
        (rows(["a", "b, c"] * 6), 3, "3 cells in this line, 2 in the header"),
        (rows(["a", 'b"x"'] * 2) + '\n"pics/5.jpg"z,a', 6, "not a table line"),
        (rows(["a"] * 12), None, "only one class"),
        (rows(["Cat", "cat"] * 6), None, "differ only by case"),
        (rows(["0.5", "1.5"] * 6), None, "holds numbers such as 0.5"),
        ("pics/0.jpg,a\npics/1.jpg,b", 1, "no header line"),
        ("label,kind\na,b", 1, "no path column"),
        ("path,label,label\npics/0.jpg,a,b", 1, "'label' is there twice"),
        ("path,label", None, "no rows"),
        ("path,remark\npics/0.jpg,x", 1, "no column to learn from"),
        (rows(["a,train", "b,trian"] * 6, "path,label,split"), 3, "split is 'trian'"),
        (rows(["a,test", "b,test"] * 6, "path,label,split"), None, "no line has the split train"),
        (rows(["a,train", "b,train", "c,val"] * 4, "path,label,split"), 4, "class 'c' in val but not in train"),
    ],
)
def test_the_message_has_the_line(root: Path, text: str, line: int | None, words: str) -> None:
    assert words in refused(root, text, line).what


def test_other_encodings_are_refused_with_the_line(root: Path) -> None:
    path = table(root, rows(["a", "b", "é"] * 4), encoding="latin-1")
    with pytest.raises(DataError, match="not UTF-8") as caught:
        open_dataset(path)
    assert caught.value.where == f"{path}:4"


def test_splits_and_groups_of_the_table(root: Path) -> None:
    splits = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3
    text = rows(
        [f"{'ab'[index % 2]},{split},g{index // 2}" for index, split in enumerate(splits)], "path,label,split,group"
    )
    dataset = open_dataset(table(root, text))
    assert [found.tolist() for found in dataset.splits.values()] == [[*range(6)], [6, 7, 8], [9, 10, 11]]
    assert dataset.groups is not None and dataset.groups[:3] == ("g0", "g0", "g1")


def test_the_root_may_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    path = table(tmp_path / "tables", rows(["a", "b"] * 6))
    assert len(open_dataset(path, root=root)) == 12
    absolute = table(tmp_path / "tables", rows(["a", "b"] * 6).replace("pics/", f"{root}/pics/"))
    assert open_dataset(absolute, root=root).ids[0] == "pics/0.jpg"


def test_several_labels_in_one_cell(root: Path) -> None:
    dataset = open_dataset(table(root, rows(["red|big", "big", "", "red | small"] * 3)), separator="|")
    target = dataset.target()
    assert target.kind == "tags" and dataset.classes == ("big", "red", "small")
    assert target.values[:4].tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert "3 images without any label" in dataset.notes


def test_one_column_a_class(root: Path) -> None:
    text = rows([f"{index % 2},{index % 3 == 0:d}" for index in range(12)], "path,small,big")
    target = open_dataset(table(root, text)).target()
    assert target.kind == "tags" and target.names == ("big", "small")
    assert np.array_equal(target.values, [[index % 3 == 0, index % 2] for index in range(12)])


def test_numbers(root: Path) -> None:
    text = rows(
        [f"{'ab'[index % 2]},{index / 2},{index},{30 * index}" for index in range(12)], "path,label,x,y,turn_deg"
    )
    path = table(root, text)
    dataset = open_dataset(path)
    assert list(dataset.targets) == ["label", "x", "y", "turn_deg"] and dataset.target("turn_deg").unit == "deg"
    with pytest.raises(DataError, match="several targets for task 'regress': x, y, turn_deg"):
        open_dataset(path, task="regress")
    both = open_dataset(path, target="x,y").target()
    assert both.kind == "value" and np.array_equal(both.values, [[index / 2, index] for index in range(12)])
    assert open_dataset(path, target="x").target().kind == "value"
    only = open_dataset(table(root, rows([str(index / 2) for index in range(12)])), task="regress").target()
    assert only.kind == "value" and only.values[:, 0].tolist() == [index / 2 for index in range(12)]
    assert "not a finite number" in refused(root, rows(["1", "nan"] * 6), 3, task="regress").what
    assert "did you mean 'x'" in refused_target(path, "xx").fix


def refused_target(path: Path, target: str) -> DataError:
    table(path.parent, rows([f"a,{index}" for index in range(12)], "path,label,x"))
    with pytest.raises(DataError) as caught:
        open_dataset(path, target=target)
    return caught.value
