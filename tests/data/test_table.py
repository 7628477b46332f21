"""CSV and TSV tables: what is read, and the line in every message."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pictures import tree

from striate.base.errors import DataError, SettingsError
from striate.data import open_dataset
from striate.data.arguments import option_words
from striate.data.check.check import check, prescan


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


def columns(**cells: list[str]) -> str:
    """Return a table of these columns beside `path`, as text."""
    return "\n".join(
        [
            ",".join(["path", *cells]),
            *(f"pics/{i}.jpg,{','.join(row)}" for i, row in enumerate(zip(*cells.values(), strict=True))),
        ]
    )


HOT = [[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 4  # one line an image


def flags(rows: list[list[int]], yes: str, no: str) -> dict[str, list[str]]:
    return {name: [yes if row[at] else no for row in rows] for at, name in enumerate(("MEL", "NV", "BCC"))}


@pytest.mark.parametrize("words", [("1", "0"), ("1.0", "0.0"), ("1", "-1"), ("True", "False"), ("yes", "no")])
def test_one_hot_columns_are_classes_and_others_tags(root: Path, words: tuple[str, str]) -> None:
    dataset = open_dataset(table(root, columns(**flags(HOT, *words))))
    assert dataset.target().kind == "label" and dataset.classes == ("BCC", "MEL", "NV")
    assert dataset.target().values.tolist() == [1, 2, 0] * 4  # MEL, NV, BCC in natural order
    assert any("exactly one 1" in reading.text for reading in dataset.readings)
    assert open_dataset(table(root, columns(**flags(HOT, *words))), task="tag").target().kind == "tags"
    several = [[1, 1, 0], [0, 0, 0], *HOT[2:]]
    target = open_dataset(table(root, columns(**flags(several, *words)))).target()
    assert target.kind == "tags" and target.values.tolist() == [[row[2], row[0], row[1]] for row in several]


@pytest.mark.parametrize("cell", ["", "nan", "-1", "NA", "-1.0", "2", "maybe"])
def test_a_cell_among_flags_that_is_none_is_refused_by_line(root: Path, cell: str) -> None:
    cells = flags(HOT, "1", "0")
    cells["NV"][6] = cell
    problem = refused(root, columns(**cells), 8)
    assert "NV is " in problem.what and (repr(cell) in problem.what or "empty" in problem.what)
    if cell in {"2", "maybe"}:
        refused(root, columns(**cells), 8, blank="negative")
        return
    known = open_dataset(table(root, columns(**cells)), blank="negative")
    assert len(known) == 12 and known.target("label" if HOT[6][1] == 0 else "tags").values[6] == 1
    fewer = open_dataset(table(root, columns(**cells)), blank="ignore")
    assert len(fewer) == 11 and "pics/6.jpg" not in fewer.ids
    assert any("1 image with a blank cell" in reading.text for reading in fewer.readings)


def test_a_column_that_is_mostly_blank_is_a_tag_still(root: Path) -> None:
    """CheXpert's own form: nothing, 1.0, 0.0 and -1.0."""
    cells = {"Edema": ["", "1.0", "", "", "0.0", "", "", "-1.0", "", "", "", ""], "Cardiomegaly": ["1.0", "0.0"] * 6}
    refused(root, columns(**cells), 2)
    target = open_dataset(table(root, columns(**cells)), blank="negative").target()
    assert target.names == ("Cardiomegaly", "Edema") and target.values[:, 1].tolist() == [0, 1] + [0] * 10


def test_a_single_column_of_flags_is_two_classes(root: Path) -> None:
    for yes, no, names in (("1", "0", ("0", "1")), ("1.0", "0.0", ("0", "1")), ("True", "False", ("False", "True"))):
        dataset = open_dataset(table(root, columns(has_crack=[yes, no] * 6)))
        assert dataset.target().kind == "label" and dataset.classes == names
        assert any("has_crack" in reading.text for reading in dataset.readings)
    assert "is empty" in refused(root, columns(has_crack=["1", "0"] * 5 + ["", "0"]), 12).what


def test_class_numbers_written_as_floats(root: Path) -> None:
    dataset = open_dataset(table(root, rows(["0.0", "1.0", "10.0"] * 4)))
    assert dataset.classes == ("0", "1", "10") and any("read as classes" in one.text for one in dataset.readings)
    assert "'nan', no class" in refused(root, rows(["0.0", "1.0", "2.0"] * 3 + ["nan", "0.0", "1.0"]), 11).what


@pytest.mark.parametrize("cell", ["", "nan", "inf", "-inf", "NA", '"3,14"', "30 kg", "1e999", "1_000"])
@pytest.mark.parametrize("name", ["weight", "label"])
@pytest.mark.parametrize("options", [{"task": "regress"}, {"task": "regress", "target": "NAME"}, {}])
def test_a_bad_number_is_named_by_its_line(root: Path, cell: str, name: str, options: dict[str, str]) -> None:
    cells = [str(index + 0.5) for index in range(12)]
    cells[7] = cell
    chosen = {key: value.replace("NAME", name) for key, value in options.items()}
    problem = refused(root, columns(**{name: cells}), 9, **chosen)
    assert name in problem.what and (cell.strip('"') in problem.what)


def test_numbers_are_not_silently_classes(root: Path) -> None:
    fractions = [str(index / 4) for index in range(12)]
    problem = refused(root, columns(label=fractions, row=[str(index) for index in range(12)]), None)
    assert "--target label --task regress" in problem.fix  # and this fix works:
    text = columns(label=fractions, row=[str(index) for index in range(12)])
    assert open_dataset(table(root, text), target="label", task="regress").target().kind == "value"
    few = columns(label=["0.5", "1.5"] * 6)
    assert "--task classify" in refused(root, few, None).fix
    assert open_dataset(table(root, few), target="label", task="classify").classes == ("0.5", "1.5")
    ages = columns(age=[str(20 + index) for index in range(12)], site=["a", "b"] * 6)
    assert open_dataset(table(root, ages), target="age").target().kind == "value"
    assert "classes or numbers?" in refused(root, columns(label=[str(20 + index) for index in range(12)]), None).what
    assert "--target breed" in refused(root, columns(breed=["a", "b"] * 6, size_cm=fractions), 1).fix
    assert "--target breed" in refused(root, columns(breed=["a", "b"] * 6, is_old=["0", "1"] * 6), 1).fix
    assert open_dataset(table(root, columns(digit=["3", "7", "1"] * 4)), target="digit").classes == ("1", "3", "7")


def test_a_column_that_is_not_used_is_a_warning(root: Path) -> None:
    cells = {"label": ["a", "b"] * 6, "age": [*map(str, range(11)), "nan"], "remark": list("abcdefghijkl")}
    dataset = open_dataset(table(root, columns(**cells)))
    (reading,) = (one for one in dataset.readings if one.is_doubtful)
    assert "2 columns not used: age, remark" in reading.text and "age in line 13 is 'nan'" in reading.text
    for findings in (prescan(dataset), check(dataset)):
        assert [item.severity for item in findings.of("reading")] == ["warning"]
    chosen = open_dataset(table(root, columns(**cells)), target="label")
    assert not any(reading.is_doubtful for reading in chosen.readings)


@pytest.mark.parametrize(
    ("name", "cells", "expected"),
    [
        ("is_valid", ["False"] * 9 + ["True"] * 3, {"val": [9, 10, 11]}),
        ("is_valid", ["0"] * 9 + ["1"] * 3, {"val": [9, 10, 11]}),
        ("is_train", ["1"] * 9 + ["0"] * 3, {"test": [9, 10, 11]}),
        ("set", ["train"] * 8 + ["dev"] * 2 + ["holdout"] * 2, {"val": [8, 9], "test": [10, 11]}),
        ("fold", ["Train"] * 8 + ["VALID"] * 2 + ["Test"] * 2, {"val": [8, 9], "test": [10, 11]}),
        ("subset", ["training"] * 9 + ["validation"] * 3, {"val": [9, 10, 11]}),
    ],
)
def test_the_authors_own_division_is_used(
    root: Path, name: str, cells: list[str], expected: dict[str, list[int]]
) -> None:
    dataset = open_dataset(table(root, columns(label=["a", "b"] * 6, **{name: cells})))
    for split, indices in expected.items():
        assert dataset.splits[split].tolist() == indices
    assert any(f"'{name}' divides the images" in reading.text for reading in dataset.readings)


def test_a_division_that_is_not_understood_is_a_warning(root: Path) -> None:
    text = columns(label=["a", "b"] * 6, fold=[str(1 + index % 5) for index in range(12)])
    assert any("not used: fold" in one.text and one.is_doubtful for one in open_dataset(table(root, text)).readings)
    assert "fold is '1', not a split" in refused(root, text, 2, split_column="fold").what
    named = columns(label=["a", "b"] * 6, Partition_2=["train"] * 8 + ["test"] * 4)
    assert open_dataset(table(root, named), split_column="Partition_2").splits["test"].tolist() == [8, 9, 10, 11]
    sound = columns(label=["a", "b"] * 6, is_valid=["True"] * 11 + ["False"])  # which files are sound
    assert any("not used: is_valid" in one.text for one in open_dataset(table(root, sound)).readings)
    nearly = columns(label=["a", "b"] * 6, set=["train"] * 8 + ["test"] * 3 + ["tset"])
    assert "set is 'tset'" in refused(root, nearly, 13).what


def test_the_index_of_pandas_is_left_out(root: Path) -> None:
    for name in ("", "Unnamed: 0"):
        lines = [f"{name},path,label", *(f"{i},pics/{i}.jpg,{'ab'[i % 2]}" for i in range(12))]
        dataset = open_dataset(table(root, "\n".join(lines)))
        assert list(dataset.targets) == ["label"] and "row numbers" in dataset.readings[0].text
    assert "index=False" in refused(root, ",path,label\nx,pics/0.jpg,a\nx,pics/1.jpg,b", 1).fix


def test_names_without_suffix(root: Path) -> None:
    text = "\n".join(["id,breed", *(f"{i},{'ab'[i % 2]}" for i in range(12))])
    dataset = open_dataset(table(root, text), root=root / "pics")
    assert dataset.ids[3] == "3.jpg" and dataset.classes == ("a", "b")
    assert any("12 files found by adding .jpg" in reading.text for reading in dataset.readings)
    (root / "pics" / "5.png").write_bytes(b"")
    with pytest.raises(DataError, match="'5' may be 5.jpg or 5.png"):
        open_dataset(table(root, text), root=root / "pics")


def test_names_in_another_unicode_form(root: Path) -> None:
    (root / "pics" / "3.jpg").rename(root / "pics" / unicodedata.normalize("NFD", "é.jpg"))
    text = rows(["a", "b"] * 6).replace("3.jpg", unicodedata.normalize("NFC", "é.jpg"))
    dataset = open_dataset(table(root, text))
    assert dataset.ids[3] == unicodedata.normalize("NFD", "pics/é.jpg") and dataset.images.read(3).size
    assert any("another Unicode form" in reading.text for reading in dataset.readings)


@pytest.mark.parametrize("twin", ["cat\u200b", "c\u00adat", "Cat", "c\u2060at", "ｃat"])
def test_classes_that_look_alike_are_refused(root: Path, twin: str) -> None:
    assert "differ only by" in refused(root, rows(["cat", twin, "dog"] * 4), None).what


def test_doubled_blanks_make_no_class(root: Path) -> None:
    for twin in ("red  fox", "red\u00a0fox", "red \tfox"):
        assert "differ only by" in refused(root, rows(["red fox", twin, "dog"] * 4), None).what


def test_pixels_in_columns_are_named(root: Path) -> None:
    for header in (["label", *(f"pixel{i}" for i in range(784))], ["emotion", "pixels"], ["5", *["0"] * 784]):
        problem = refused(root, ",".join(header) + "\n" + ",".join("1" for _ in header), 1)
        assert ".npz" in problem.fix


def test_tables_of_any_size_end_soon(root: Path) -> None:
    wide = [f"c{i}" for i in range(20_000)]
    text = ",".join(["path", "label", *wide]) + "\n"
    text += "\n".join(f"pics/{i}.jpg,{'ab'[i % 2]},{','.join(['x'] * len(wide))}" for i in range(12))
    dataset = open_dataset(table(root, text))
    assert dataset.classes == ("a", "b") and all(len(note) < 400 for note in dataset.notes)
    with table(root, "path,label\n").open("r+b") as file:
        file.truncate(40 << 30)  # sparse: more than memory
    with pytest.raises(DataError, match="more than 256"):
        open_dataset(root / "labels.csv")


def test_classes_with_commas_in_their_names(root: Path) -> None:
    tree(root / "plants", {"Pepper,_bell": 4, "Tomato": 4, "Corn": 4})
    dataset = open_dataset(root / "plants", classes=["Pepper,_bell", "Tomato"])
    assert dataset.classes == ("Pepper,_bell", "Tomato")
    assert option_words(dataset.options) == ["--classes", "Pepper,_bell", "--classes", "Tomato"]
    assert open_dataset(root / "plants", classes=["Corn, Tomato"]).options["classes"] == ["Corn", "Tomato"]
    with pytest.raises(SettingsError, match="no class is named"):
        open_dataset(root / "plants", classes=[""])


def test_options_of_tables_are_refused_elsewhere(root: Path) -> None:
    for option in ({"blank": "negative"}, {"split_column": "set"}):
        with pytest.raises(SettingsError, match="is for tables"):
            open_dataset("toy:shapes?n=40", **option)
