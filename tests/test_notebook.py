"""Objects print in a few lines on a terminal, and as escaped tables without script in a notebook."""

import pickle
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import striate as st
from striate.base.files import to_json
from striate.base.html import Html, bar, table, text
from striate.base.rundir import StudyDir
from striate.data.check.finding import Finding, Findings
from striate.data.sample import Dataset
from striate.data.target import Angle, Label, Tags, Target
from striate.model.blueprint import Blueprint, Row
from striate.predict.prediction import Prediction

HOSTILE = '<script>alert("x")</script>&\x1b[31m'
VOID = {"br", "meta"}


class Page(HTMLParser):
    """Reads HTML, refusing what is not closed, and keeps tags, styles and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.styles: list[str] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.styles += [value for key, value in attrs if key == "style"]
        assert not any(key.startswith("on") for key, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.said.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.said).split())


def shown_page(item) -> Page:
    """The page of an object, which must be safe, small and without colours of its own."""
    html = item._repr_html_()
    page = Page(html)
    assert "script" not in page.tags and "\x1b" not in html and len(html) < 200_000
    assert not any("background:" in style and "currentColor" not in style for style in page.styles)
    return page


def few_lines(item, most: int) -> str:
    lines = repr(item).split("\n")
    assert len(lines) <= most and max(map(len, lines)) <= 160 and "\x1b" not in repr(item)
    return repr(item)


class Closed:
    """Images that nobody may read."""

    def __len__(self) -> int:
        return 6

    def __getattr__(self, name: str):
        raise AssertionError(name)


def dataset(names: tuple[str, ...] = ("cat", "dog"), **targets: Target) -> Dataset:
    labels = np.array([0, 0, 1, 1, 1, 0]) % len(names)
    splits = {"train": np.array([0, 1, 2]), "val": np.array([3]), "test": np.array([4])}
    found = targets or {"label": Label(labels, names)}
    return Dataset("pets", "pets/", Closed(), tuple("abcdef"), found, splits, 3, notes=("a note",))


def test_a_dataset_is_counted_by_class_and_split_without_reading_pictures() -> None:
    page = shown_page(dataset())
    assert "class train val test sum cat 2 0 0 2 dog 1 1 1 3 all images 3 1 1 5" in page.words
    assert "6 images, RGB, 2 classes" in page.words and "label (classify)" in page.words
    assert "1 image in no split" in page.words and "a note" in page.words
    assert few_lines(dataset(), 1) == "Dataset('pets': 6 images, 2 classes; train 3, val 1, test 1)"


def test_tags_numbers_and_many_classes_have_tables_too() -> None:
    tags = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1], [0, 0]], np.uint8)
    assert "wet 2 0 1 3 cold 2 0 1 3" in shown_page(dataset(tags=Tags(tags, ("wet", "cold")))).words
    angle = Angle(np.zeros((6, 1), np.float32), ("angle",))
    words = shown_page(dataset(angle=angle)).words
    assert "all images 3 1 1 5" in words and "angle, value in deg (regress)" in words
    many = shown_page(dataset(tuple(f"c{i}" for i in range(300))))
    assert many.tags.count("tr") == 23 and "280 more classes 0 0 0 0" in many.words
    assert "pets" in shown_page(replace(dataset(), splits={})).words
    assert "pets" in shown_page(replace(dataset(), targets={})).words


def test_findings_name_their_files_the_worst_first() -> None:
    found = st.check(st.open("toy:shapes?n=60"))
    items = (
        Finding("unreadable", "error", tuple(f"{i}.jpg" for i in range(9)), "9 files are broken", "mend them"),
        Finding("few", "note", (), "few images"),
    )
    found = replace(found, items=items)
    words = shown_page(found).words
    assert "1 error, 1 note in 60 images" in words and "0.jpg 1.jpg 2.jpg 3.jpg 4.jpg and 4 more mend them" in words
    assert few_lines(found, 7) == "Findings(1 error, 1 note)\n  error: 9 files are broken\n  note: few images"
    assert few_lines(items[0], 1) == "Finding('unreadable', error: 9 files are broken [9 images])"
    nothing = Findings((), np.array([], np.intp), found.scan)
    assert repr(nothing) == "Findings(nothing found)" and "Nothing found in 60 images" in shown_page(nothing).words


def test_a_recipe_says_what_is_not_as_usual() -> None:
    recipe = st.recipe("regularized").changed(["augment=light", "train.epochs=4"])
    text_ = few_lines(recipe, 4)
    assert str(recipe) == text_ and "augment=light" in text_ and "train.epochs=4" in text_ and "clip" not in text_
    words = shown_page(recipe).words
    assert "train.epochs 4 auto" in words and "flip horizontal 0.5" in words
    assert "medium up to 20,000 training images" in shown_page(st.recipe("augmented")).words
    assert "all settings as usual" in repr(st.Recipe()) and "no augmentation" in shown_page(st.Recipe()).words
    assert "transfer.weights=" in few_lines(recipe.changed([f"transfer.weights='{HOSTILE[:25]}'"]), 5)


def test_a_recipe_repeats_what_it_says() -> None:
    """The changes it prints, given to `--set`, make it again."""
    for name in ("regularized", "finetune", "frozen", "features"):
        recipe = st.recipe(name)
        changes = repr(recipe).split("\n", 1)[1].split()
        assert st.Recipe(text=recipe.text).changed(changes) == recipe


def test_a_variant_says_what_it_changes() -> None:
    plain = st.ladder()[-1]
    assert few_lines(plain, 1) == "Variant('regularized': bipyramid, recipe regularized)"
    recipe = plain.recipe.changed(["train.epochs=4"])
    changed = replace(plain, recipe=recipe, num_train=500)
    assert repr(changed).endswith("recipe regularized, train.epochs=4, 500 training images)")
    words = shown_page(changed).words
    assert "model bipyramid recipe regularized training images 500" in words and "train.epochs 4 auto" in words
    assert "no setting is changed" in shown_page(plain).words


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet121"])
def test_a_blueprint_is_a_table_of_rows(name: str) -> None:
    plan = st.zoo.blueprint(name)
    few_lines(plan, 4)
    page = shown_page(plan)
    assert page.tags.count("svg") == 1 and plan._repr_svg_().startswith("<svg")
    assert page.tags.count("tr") == 1 + len(plan.rows) + (1 + len(plan.defaults) if plan.defaults else 0)
    assert all(row.name in page.words for row in plan.rows)


def test_a_row_prints_as_it_would_be_typed() -> None:
    row = Row("conv", 64, stride=2, inputs=("image",), options={"kernel": 7})
    assert repr(row) == "Row('conv', 64, stride=2, inputs=['image'], options={'kernel': 7})"
    assert eval(repr(row), {"Row": Row}) == row  # noqa: S307


def test_printing_leaves_equality_and_copies_alone() -> None:
    first, second = st.zoo.blueprint("lenet5"), st.zoo.blueprint("lenet5")
    first._repr_html_()
    assert first == second and replace(first) == second and first.to_json() == second.to_json()
    assert pickle.loads(pickle.dumps(first)) == second  # noqa: S301
    assert st.recipe("regularized") == st.recipe("regularized") and st.ladder() == st.ladder()
    assert Prediction("a", ("x",)) == Prediction("a", ("x",)) and hash(Prediction("a", ("x",)))


def test_a_prediction_has_bars_of_the_five_most_probable() -> None:
    shares = {"robin": 0.9, "wren": 0.05, "tit": 0.03, "a": 0.01, "b": 0.006, "c": 0.004}
    one = Prediction("x.jpg", ("robin",), (), shares)
    assert few_lines(one, 1) == "Prediction('x.jpg': robin 90.0%; then wren 5.0%, tit 3.0%)"
    page = shown_page(one)
    assert page.words.startswith("x.jpg robin robin 90.0% wren 5.0%") and page.words.count("%") == 5
    assert sum("width:90.0%" in style for style in page.styles) == 1
    numbers = Prediction("x.jpg", ("x", "y"), (1.0, 2.5))
    assert few_lines(numbers, 1) == "Prediction('x.jpg': x 1, y 2.5)" and "x 1 y 2.5" in shown_page(numbers).words
    none = Prediction("x.jpg", (), (), {"wet": 0.2, "cold": float("nan")})
    assert (
        few_lines(none, 1) == "Prediction('x.jpg': none; then wet 20.0%, cold n/a)" and "n/a" in shown_page(none).words
    )


def test_hostile_names_are_only_text() -> None:
    recipe = st.Recipe(text=HOSTILE)
    rows = (Row("conv", 8, options={"activation": HOSTILE}), Row("global_pool"), Row("linear"))
    found = st.check(st.open("toy:shapes?n=60"))
    items = [
        replace(dataset((HOSTILE, "dog")), name=HOSTILE, notes=(HOSTILE,)),
        replace(found, items=(Finding("x", "error", (HOSTILE,), HOSTILE, HOSTILE),)),
        recipe,
        st.Variant(HOSTILE, HOSTILE, recipe, HOSTILE, HOSTILE),
        Prediction(HOSTILE, (HOSTILE,), (), {HOSTILE: 1.0}),
        Prediction(HOSTILE, (HOSTILE,), (1.0,)),
        Blueprint(HOSTILE, rows, paper=HOSTILE),
    ]
    for item in items:
        assert "alert" in shown_page(item).words
        few_lines(item, 6)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study of two variants, one seed, three epochs."""
    recipe = st.recipe("baseline").changed(["train.epochs=3", "train.patience=0", "data.size=32"])
    rungs = [
        st.Variant("mlp", "mlp", recipe, "baseline"),
        st.Variant("slow", "mlp", recipe.changed(["train.lr=1e-5"]), "baseline"),
    ]
    path = tmp_path_factory.mktemp("notebook") / "study"
    st.study(st.open("toy:shapes?n=60"), rungs, seeds=1, out=path)
    return path


def test_a_run_shows_scores_and_curves(study: Path) -> None:
    run = st.Study(study).run("mlp")
    few_lines(run, 6)
    assert str(run).startswith(repr(run))
    page = shown_page(run)
    assert "split accuracy 95% interval images test" in page.words and "3 epochs" in page.words
    assert page.tags.count("svg") == 2 and page.tags.count("circle") == 2


def test_a_study_shows_its_table_and_its_sentences(study: Path) -> None:
    found = st.Study(study)
    page = shown_page(found)
    assert page.tags.count("tr") == 3 and "it was chosen on validation" in page.words and "best on val" in page.words
    assert "mlp" in repr(found)


@pytest.mark.parametrize("gone", ["scores.json", "history.jsonl", "run.json", "predictions.csv"])
@pytest.mark.parametrize("how", ["missing", "broken", "odd"])
def test_a_run_prints_whatever_is_missing(study: Path, tmp_path: Path, gone: str, how: str) -> None:
    shutil.copytree(study / "runs" / "mlp-seed0", tmp_path / "run")
    run, path = st.Run(tmp_path / "run"), tmp_path / "run" / gone
    if how == "missing":
        path.unlink()
    else:
        path.write_text("{" if how == "broken" else '{"schema": 1, "test": 3}\n')
    assert repr(run) and str(run) and shown_page(run).words


def test_an_unfinished_run_says_how_far_it_is(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "runs" / "mlp-seed0", tmp_path / "run")
    run = st.Run(tmp_path / "run")
    info = run.folder.info() | {"status": "running", "result": None}
    run.folder.save_info({key: value for key, value in info.items() if key not in {"schema", "kind"}})
    (tmp_path / "run" / "scores.json").unlink()
    words = shown_page(run).words
    assert "has not finished" in words and "Not evaluated yet; accuracy on validation after epoch" in words
    (tmp_path / "run" / "history.jsonl").unlink()
    assert "No epoch is done yet" in shown_page(run).words and "running" in repr(run)


@pytest.mark.parametrize("kept", ["{", '{"best": 3, "variants": 4}', None])
def test_a_study_prints_without_its_verdict(study: Path, tmp_path: Path, kept: str | None) -> None:
    shutil.copytree(
        study, tmp_path / "study", ignore=shutil.ignore_patterns("SHA256SUMS")
    )  # edits are not what is tried
    found = st.Study(tmp_path / "study")
    (tmp_path / "study" / "verdict.json").unlink()
    if kept is not None:
        (tmp_path / "study" / "verdict.json").write_text(kept)
    assert "study" in repr(found)
    words = shown_page(found).words
    assert kept is not None or ("No verdict yet: 2 of 2 runs finished" in words and "mlp" in words)
    (tmp_path / "study" / "study.json").unlink()
    assert repr(found) and shown_page(found).words


def test_hostile_names_in_folders_are_only_text(study: Path, tmp_path: Path) -> None:
    shutil.copytree(
        study, tmp_path / "study", ignore=shutil.ignore_patterns("SHA256SUMS")
    )  # edits are not what is tried
    found = StudyDir(tmp_path / "study")
    verdict = to_json(found.verdict()).replace('"mlp', f'"{"<script>alert(1)</script>"}')
    (tmp_path / "study" / "verdict.json").write_text(verdict)
    (tmp_path / "study" / "study.json").write_text(
        (tmp_path / "study" / "study.json").read_text().replace('"mlp"', '"<script>alert(1)</script>"')
    )
    assert "alert(1)" in shown_page(st.Study(tmp_path / "study")).words
    run = found.run("slow", 0)
    names = (run.path / "run.json").read_text().replace('"shapes"', '"<script>alert(1)</script>"')
    (run.path / "run.json").write_text(names)
    assert "alert(1)" in shown_page(st.Run(run)).words


def test_pieces_of_html() -> None:
    assert text("<") == "&lt;" and text(Html("<br>")) == "<br>"
    assert "width:100.0%" in bar(7) and "width:0.0%" in bar(float("nan")) and "width:0.0%" in bar(-1)
    assert table([["<b>", 1]]).count("<td") == 2 and "<b>" not in table([["<b>", 1]])
