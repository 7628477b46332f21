"""A run's report where something is missing, broken or odd: it is said, and is never a crash."""

import json
import math
from pathlib import Path

import pytest
from report_pages import Element, parse
from report_runs import write_json, write_run

from striate.base.rundir import RunDir
from striate.report import report_run


def report(path: Path) -> Element:
    return parse(report_run(RunDir(path)))


def edit(path: Path, name: str, change) -> None:
    document = json.loads((path / name).read_text())
    change(document)
    (path / name).write_text(json.dumps(document))


def test_without_a_test_split_validation_is_reported_and_said_so(folder):
    path = folder("label")
    edit(path, "scores.json", lambda scores: scores.pop("test"))
    page = report(path)
    assert "accuracy on the validation split" in page.get("result").text
    assert "The test split has no scores (it was not evaluated); this is validation." in page.text


def test_a_closed_test_split_is_explained(folder):
    path = folder("label")
    edit(path, "scores.json", lambda scores: scores.pop("test"))
    edit(path, "run.json", lambda info: info.update(is_test_open=False))
    assert "stays closed until the study ends" in report(path).text


@pytest.mark.parametrize(("status", "kind"), [("interrupted", "label"), ("running", "tags"), ("diverged", "angle")])
def test_an_unfinished_run_shows_what_it_has(folder, status, kind):
    path = folder(kind)
    for name in ("scores.json", "predictions.csv", "pictures/index.json"):
        (path / name).unlink()
    (path / "history.jsonl").write_text("\n".join((path / "history.jsonl").read_text().split("\n")[:7]) + "\n")
    edit(path, "run.json", lambda info: (info.pop("result"), info.update(status=status)))
    page = report(path)
    assert page.all("p", "figure")[0].text == "n/a"
    assert "epoch 7" in page.get("result").text
    assert len(page.get("training").all("svg", "plot")) == 2
    assert len(page.get("training").all("tbody")[0].all("tr")) == 7


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "x"])
def test_a_metric_that_is_no_number_is_not_available(folder, value):
    path = folder("label")

    def spoil(scores):
        scores["test"] |= {"accuracy": value, "loss": value, "ece": value, "intervals": {"accuracy": [value, value]}}
        scores["test"]["per_class"][3] |= {"f1": value, "precision": value, "recall": value}
        scores["test"]["calibration"][-1] |= {"accuracy": value, "confidence": value}

    edit(path, "scores.json", spoil)
    page = report(path)
    assert page.all("p", "figure")[0].text == "n/a"
    assert "nan" not in page.text.lower().split()
    last = page.get("classes").all("tbody")[0].all("tr")[-1]
    assert last.text.startswith("diamond n/a n/a n/a")
    assert "not defined" in page.get("classes").text


def test_a_gap_in_the_curve_is_said(folder):
    path = folder("label")
    lines = (path / "history.jsonl").read_text().splitlines()
    row = json.loads(lines[4])
    row["val"] = {"loss": math.nan, "accuracy": None}
    lines[4] = json.dumps(row)
    (path / "history.jsonl").write_text("\n".join(lines) + "\n")
    page = report(path)
    assert "A gap in a curve is a value that was not a number" in page.get("training").text
    assert page.get("training").all("tbody")[0].all("tr")[4].text.count("n/a") == 2
    solid = page.get("training").all("svg", "plot")[0].all("path")
    assert any(one.attributes["d"].count("M") == 2 for one in solid if "s-val" in one.classes)


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_very_short_histories(folder, lines):
    path = folder("label")
    kept = (path / "history.jsonl").read_text().splitlines()[:lines]
    (path / "history.jsonl").write_text("".join(line + "\n" for line in kept))
    section = report(path).get("training")
    assert ("No epoch was recorded" in section.text) == (lines == 0)
    assert len(section.all("svg", "plot")) == (2 if lines else 0)


BROKEN = (None, b"", b"\x00\xff\xfe garbage\n", b'{"a": [1, 2', b"[]", b'"split","id"\n"unclosed')
FILES = ("predictions.csv", "scores.json", "history.jsonl", "pictures/index.json")


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [("label", name, content) for name in FILES[:2] for content in BROKEN]
    + [("label", name, content) for name in FILES[2:] for content in BROKEN[:3]]
    + [(kind, "predictions.csv", content) for kind in ("tags", "angle") for content in BROKEN[:3]],
)
def test_a_broken_file_costs_only_its_part(folder, kind, name, content):
    path = folder(kind)
    if content is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(content)
    page = report(path)
    assert page.get("settings").text
    if name != "pictures/index.json" and (content is None or b"unclosed" in content):
        assert "n/a" in page.text


@pytest.mark.parametrize(
    "key", ["dataset", "task", "recipe", "model", "versions", "device", "precision", "result", "input"]
)
@pytest.mark.parametrize("value", [None, "x"])
def test_a_sparse_run_description_is_enough(folder, key, value):
    path = folder("label")
    edit(path, "run.json", lambda info: info.update({key: value}))
    assert report(path).all("h1")[0].text == "bipyramid regularized"


def test_a_class_without_images_in_a_split(tmp_path):
    run = write_run(tmp_path / "run", images={"val": 30, "test": 12}, num_pictures=5)
    assert "n/a" in report(run.path).get("classes").text


def test_one_class_and_no_mistakes(tmp_path):
    page = report(write_run(tmp_path / "run", names=("only",), images={"val": 5, "test": 5}).path)
    assert "None: every image was classified correctly" in page.get("mistakes").text
    assert "Every image was classified correctly" in page.get("confusion").text


def test_file_names_that_are_not_text_still_find_their_picture(tmp_path):
    run = write_run(tmp_path / "run", images={"val": 10, "test": 20}, num_pictures=20)
    name = "\udcff\udcfe.jpg"
    rows = run.predictions.read_text().splitlines()
    old = rows[-1].split(",")[1]
    run.predictions.write_bytes("\n".join(rows).replace(old, name).encode("utf-8", "surrogateescape"))
    index = json.loads((run.pictures / "index.json").read_text())
    write_json(run.pictures / "index.json", {key.replace(old, name): value for key, value in index.items()})
    page = report(run.path)
    shown = [one for one in page.all("img") if one.attributes["alt"] == "\\udcff\\udcfe.jpg"]
    assert shown
