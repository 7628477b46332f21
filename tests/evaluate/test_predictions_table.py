"""predictions.csv: what is read is what was written, whatever the names."""

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from striate.base.cells import guarded, unguarded
from striate.base.errors import ModelError, ResourceError, SettingsError
from striate.base.files import faults
from striate.evaluate.layout import Answers, Labels, Numbers, Tags
from striate.evaluate.predictions import Predictions, read, write

ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=8)
ODD_NAMES = (
    *("a,b", 'say "hi"', "line\nbreak", "carriage\rreturn", "both\r\n", "\U0001f600", " lead", "tab\tx", "\tlead"),
    *("=cmd|' /C calc'!A0", "+1", "-x", "@sum", "'=x", "''=x", "'tis", "a|b", "a\\|b", "\\", "\u2028", "\x00nul"),
    *("e\u0301", "\udcff.jpg", "\udcc3\udca9", "\ud83d"),
)


def labels(names: tuple[str, ...], ids: tuple[str, ...], seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(len(names)), len(ids)).astype(np.float32)
    truth = rng.integers(0, len(names), len(ids))
    return Predictions(truth, p.argmax(1), rng.random(len(ids)).astype(np.float32), p, layout=Labels(names), ids=ids)


def tags(names: tuple[str, ...], ids: tuple[str, ...], seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    p = rng.random((len(ids), len(names)))
    truth = (rng.random(p.shape) < 0.4).astype(np.uint8)
    return Predictions(truth, (p > 0.5).astype(np.uint8), rng.random(len(ids)), p, layout=Tags(names), ids=ids)


def numbers(names: tuple[str, ...], ids: tuple[str, ...], seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    truth, said = (rng.normal(0, 1000, (len(ids), len(names))) for _ in range(2))
    return Predictions(truth, said, rng.random(len(ids)), layout=Numbers(names), ids=ids)


LABEL = {"kind": "label"}
MAKERS = {"label": labels, "tags": tags, "value": numbers}


def assert_same(found: Predictions, given: Predictions) -> None:
    assert (found.kind, found.names, found.ids) == (given.kind, given.names, given.ids)
    assert np.array_equal(np.asarray(found.truth, given.truth.dtype), given.truth)
    assert np.array_equal(np.asarray(found.values, given.values.dtype), given.values)
    assert found.losses == pytest.approx(given.losses, rel=1e-7)
    for name in ("probabilities", "errors"):
        if getattr(given, name) is not None:
            assert getattr(found, name) == pytest.approx(getattr(given, name), rel=1e-7)


@pytest.mark.parametrize("kind", MAKERS)
def test_odd_names_come_back_exactly(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "predictions.csv"
    tables = {split: MAKERS[kind](ODD_NAMES, ODD_NAMES, seed) for seed, split in enumerate(("val", "test"))}
    write(path, tables)
    found = read(path, {"kind": kind})
    assert list(found) == ["val", "test"]
    for split, table in tables.items():
        assert_same(found[split], table)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(ANY_TEXT, min_size=1, max_size=4, unique=True), ids=st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_any_names_come_back_exactly(tmp_path: Path, kind: str, names: list[str], ids: list[str]) -> None:
    path, table = tmp_path / "predictions.csv", MAKERS[kind](tuple(names), tuple(ids))
    write(path, {"test": table})
    assert_same(read(path, {"kind": kind})["test"], table)


@given(ANY_TEXT)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert guarded(text)[0] not in "=+-@"
    assert unguarded(guarded(text)) == text


def test_a_spreadsheet_sees_the_promised_columns(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    p = np.array([[0.75, 0.25], [0.5, 0.5]], dtype=np.float32)
    table = Predictions(
        np.array([0, 1]),
        np.array([0, 0]),
        np.array([0.25, 0.5]),
        p,
        layout=Labels(("cat", "=dog")),
        ids=("cat/1.jpg", "=2.jpg"),
    )
    write(path, {"test": table})
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["split", "id", "truth", "prediction", "correct", "loss", "p:cat", "p:=dog"],
        ["test", "cat/1.jpg", "cat", "cat", "1", "0.25", "0.75", "0.25"],
        ["test", "'=2.jpg", "'=dog", "cat", "0", "0.5", "0.5", "0.5"],
    ]


def test_numbers_have_their_fields_and_error(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    table = Predictions(
        np.array([[-1.5, 2.0]]), np.array([[1, 2]]), np.array([0.5]), layout=Numbers(("x", "y")), ids=("a",)
    )
    write(path, {"test": table})
    assert path.read_text().splitlines() == [
        "split,id,truth:x,truth:y,prediction:x,prediction:y,error,loss",
        "test,a,-1.5,2,1,2,1.25,0.5",
    ]


def test_file_names_that_are_not_utf8_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write(path, {"test": labels(("cat", "dog"), ("caf\udce9.jpg",))})
    assert b"caf\xe9.jpg" in path.read_bytes()


def test_what_is_read_and_written_again_is_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    for kind, make in MAKERS.items():
        write(path, {"val": make(ODD_NAMES, ODD_NAMES)})
        before = path.read_bytes()
        write(path, read(path, {"kind": kind}))
        assert path.read_bytes() == before


def test_infinite_and_undefined_losses_come_back(tmp_path: Path) -> None:
    table = labels(("a", "b"), ("1", "2"))
    table.losses[:] = [np.inf, np.nan]
    write(tmp_path / "p.csv", {"test": table})
    assert np.array_equal(read(tmp_path / "p.csv", LABEL)["test"].losses, [np.inf, np.nan], equal_nan=True)


def test_correct_wants_all_tags_right() -> None:
    table = Predictions(
        np.array([[1, 0], [1, 1]]),
        np.array([[1, 0], [1, 0]]),
        np.zeros(2),
        np.zeros((2, 2)),
        layout=Tags(("a", "b")),
        ids=("1", "2"),
    )
    assert table.correct.tolist() == [True, False]


def test_no_splits_make_an_empty_file_that_reads_as_none(tmp_path: Path) -> None:
    write(tmp_path / "p.csv", {})
    with pytest.raises(ModelError, match="header"):
        read(tmp_path / "p.csv", LABEL)


@pytest.mark.parametrize("damage", [b"", b"a,b\n1,2\n", b"split,id,truth,prediction,correct,loss,p:a\ntest,1,a,a,1\n",
                                    b"split,id,truth,prediction,correct,loss,p:a\ntest,1,a,b,1,0.5,x\n"])  # fmt: skip
def test_a_damaged_table_is_refused_with_its_name(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(damage)
    with pytest.raises(ModelError) as problem:
        read(path, LABEL)
    assert problem.value.where == str(path) and problem.value.fix


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        read(tmp_path / "none.csv", LABEL)


def test_a_failed_write_keeps_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write(path, {"test": labels(("a", "b"), ("1",))})
    before = path.read_bytes()

    def fail(step: str, _: Path) -> None:
        if step == "rename":
            raise OSError(28, "No space left on device")

    with faults(fail), pytest.raises(ResourceError):
        write(path, {"test": labels(("a", "b"), ("1", "2"))})
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]


def test_reading_takes_the_memory_of_its_numbers_and_writing_that_of_its_file(tmp_path: Path) -> None:
    table = labels(tuple(map(str, range(200))), tuple(map(str, range(1000))))
    peaks = []
    for act in (write, lambda path, _: read(path, LABEL, only=("test",))):
        tracemalloc.start()
        act(tmp_path / "p.csv", {"val": table, "test": table})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 2 * (tmp_path / "p.csv").stat().st_size
    assert peaks[1] < 2 * 8 * 200 * 1000
    assert read(tmp_path / "p.csv", LABEL, only=("test",)).keys() == {"test"}


def test_answers_that_are_not_one_number_a_name_are_refused():
    answers = Answers(np.zeros((3, 2)), np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(SettingsError, match="2 numbers an image, its names are 1"):
        Numbers(("level",)).kept(answers, None)
    flat = Numbers(("level",)).kept(Answers(np.arange(3), np.ones(3), np.zeros(3)), None)
    assert flat.truth.tolist() == [[0], [1], [2]]
