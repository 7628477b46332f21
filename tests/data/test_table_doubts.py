"""Tables whose cells a person may mean otherwise: dressed numbers, slips among classes, splits, several labels."""

from pathlib import Path

import pytest
from pictures import tree

from striate.base.errors import DataError
from striate.data import Dataset, open_dataset
from striate.data.sources.kinds import is_dressed

LINES = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree(tmp_path_factory.mktemp("doubts"), {"pics": LINES})


def opened(root: Path, options: dict[str, object] | None = None, **columns: list[str]) -> Dataset:
    lines = [
        ";".join(["path", *columns]),
        *(";".join([f"pics/{at}.jpg", *row]) for at, row in enumerate(zip(*columns.values(), strict=True))),
    ]
    (root / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return open_dataset(root / "t.csv", **(options or {}))


def warned(data: Dataset) -> str:
    return "; ".join(f"{one.text} -- {one.fix}" for one in data.readings if one.is_doubtful)


@pytest.mark.parametrize("dress", ["{},5", "{}%", "{} kg", "$ {}", "1,{}00", "\u2212{}", "1\u00a0{}00"])
@pytest.mark.parametrize("name", ["weight", "label"])
@pytest.mark.parametrize("options", [{}, {"target": None}, {"task": "regress"}])
def test_numbers_that_only_a_person_can_read_are_no_classes(
    root: Path, dress: str, name: str, options: dict[str, object]
) -> None:
    options = {"target": name} if "target" in options else options
    with pytest.raises(DataError, match="has a comma|not a finite number") as caught:
        opened(root, options, **{name: [dress.format(at + 1) for at in range(LINES)]})
    assert caught.value.where == f"{root / 't.csv'}:2" and "1234.5" in str(caught.value.fix)


def test_words_with_figures_are_no_dressed_numbers() -> None:
    assert not any(map(is_dressed, ["cat 3", "A4", "2021-01-02", "", "kg", "3 little pigs"]))


@pytest.mark.parametrize("name", ["label", "kind"])
def test_a_slip_among_whole_numbers_is_named(root: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"2\.5 among 2 whole numbers") as caught:
        opened(root, **{name: ["1.0", "2.0"] * 5 + ["2.5", "1.0"]})
    assert caught.value.where == f"{root / 't.csv'}:12"


def test_splits_under_any_name_are_used_where_all_words_are_known(root: Path) -> None:
    labels, words = ["a", "b"] * 6, ["train"] * 8 + ["valid"] * 2 + ["test"] * 2
    found = opened(root, label=labels, phase=words).splits
    assert {name: len(rows) for name, rows in found.items()} == {"train": 8, "val": 2, "test": 2}
    odd = opened(root, label=labels, phase=[*words[:-1], "extra"])
    assert "not used: phase" in warned(odd)
    assert "--split-column test" in warned(opened(root, label=labels, test=["0", "1", "0"] * 4))


def test_the_fix_of_a_gap_in_yes_and_no_works(root: Path) -> None:
    labels, flags = ["a", "b"] * 6, ["1", "1", "0", "1"] * 3
    with pytest.raises(DataError, match="not a split") as caught:
        opened(root, label=labels, is_train=["", *flags[1:]])
    assert caught.value.fix == "write 1 or 0"
    assert len(opened(root, label=labels, is_train=flags).splits["test"]) == 3


def test_nearly_one_hot_is_a_warning_and_no_classes(root: Path) -> None:
    columns = {"a": ["1", "0"] * 6, "b": ["0", "1"] * 5 + ["1", "1"]}
    assert "line 12 has not" in warned(opened(root, **columns))
    assert not warned(opened(root, {"task": "tag"}, **columns))
    with pytest.raises(DataError, match="2 cells") as caught:
        opened(root, {"task": "classify"}, **columns)
    assert caught.value.where == f"{root / 't.csv'}:12"


def test_a_rare_missing_word_among_classes_is_doubtful(root: Path) -> None:
    assert "'nan' in line 3" in warned(opened(root, label=["a", "nan", *["b", "a"] * 5]))
    assert not warned(opened(root, label=["None", "Mild", "Severe"] * 4))


def test_several_labels_in_a_cell_are_doubtful(root: Path) -> None:
    assert "--separator '|'" in warned(opened(root, label=["a|b", "a", "b", "b|a"] * 3))
    assert "--separator ' '" in warned(opened(root, tags=["a b", "a", "b", "b a"] * 3))
    assert not warned(opened(root, label=["Pepper,_bell", "Tomato", "hot dog", "dog"] * 3))


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ('path,label\npics/0.jpg,a\npics/1.jpg,"b\npics/2.jpg,a', 3, "quotes"),
        ("path,label\npics/0.jpg,a\0", 2, "UTF-8"),
        ("path,label\npics/0.jpg", 2, "missing cells"),
    ],
)
def test_a_broken_line_is_named_where_it_begins(root: Path, text: str, line: int, word: str) -> None:
    (root / "broken.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        open_dataset(root / "broken.csv")
    assert caught.value.where == f"{root / 'broken.csv'}:{line}" and word in str(caught.value.fix)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("fold", list("123451234512")),
        ("Fold", list("010101010101")),
        ("split", list("abcabcabcabc")),
        ("is_valid", ["yes", "no"] * 6),
        ("set", list("ABABABABABAB")),
    ],
)
def test_a_column_that_divides_the_images_is_no_class_unless_it_is_named(
    root: Path, name: str, cells: list[str]
) -> None:
    with pytest.raises(DataError, match="no column to learn from") as caught:
        opened(root, **{name: cells})
    assert caught.value.fix == f"add a column `label`, or use --target {name}"
    assert opened(root, {"target": name, "task": "classify"}, **{name: cells}).classes == tuple(sorted(set(cells)))
    found = opened(root, kind=["a", "b"] * 6, **{name: cells})
    assert found.classes == ("a", "b") and f"1 column not used: {name}" in warned(found)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("first", ["sep=;", "SEP=,", '"sep=|"', "sep=\t", "sep=;;;"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_first_line_may_say_the_separator(root: Path, suffix: str, first: str, end: str, mark: str) -> None:
    separator = first.strip('"')[4]
    rows = [["path", "label"], *([f"pics/{at}.jpg", "ab"[at % 2]] for at in range(LINES)), ["pics/none.jpg", "a"]]
    lines = [first, *(separator.join(row) for row in rows)]
    path = root / f"s.{suffix}"
    path.write_bytes((mark + end.join(lines)).encode())
    with pytest.raises(DataError, match="missing") as caught:
        open_dataset(path)
    assert caught.value.where == f"{path}:{len(lines)}"
    path.write_bytes((mark + end.join(lines[:-1])).encode())
    assert open_dataset(path).target().values.tolist() == [0, 1] * (LINES // 2)
