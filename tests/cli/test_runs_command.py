"""`striate runs` and `striate compare`: against the folders' own files, read here with json and csv."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from striate.cli.app import run

from .conftest import TOY


@pytest.fixture(scope="module")
def folder(tmp_path_factory, finished, quick):
    root = tmp_path_factory.mktemp("listed")
    shutil.copytree(finished, root / "001-first")
    other = [*quick, "--seed", "1", "--lr", "0.02"]
    assert run(["train", TOY, *other, "--out", str(root / "deeper" / "002-second")]) == 0
    (root / "003-broken").mkdir()
    (root / "003-broken" / "run.json").write_text("{")
    return root


def said(capsys, *words):
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def score_in(path):
    return json.loads((path / "scores.json").read_text())["test"]


def test_each_folder_is_listed_with_its_score_and_size(folder, capsys):
    rows = {row["path"]: row for row in said(capsys, "runs", str(folder))["runs"]}
    for path in (folder / "001-first", folder / "deeper" / "002-second"):
        info = json.loads((path / "run.json").read_text())
        row = rows[str(path)]
        scores = score_in(path)
        assert (row["score"], row["interval"]) == (scores["accuracy"], scores["intervals"]["accuracy"])
        assert (row["split"], row["metric"], row["status"], row["epochs"]) == ("test", "accuracy", "finished", 1)
        assert (row["data"], row["created"]) == (info["dataset"]["name"], info["created"])
        assert row["num_bytes"] == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert rows[str(folder / "003-broken")]["status"] == "unreadable"
    assert "run.json" in rows[str(folder / "003-broken")]["problem"]


def test_lists_are_sorted_and_filtered(folder, capsys):
    def names(*words):
        return [Path(row["path"]).name for row in said(capsys, "runs", str(folder), *words)["runs"]]

    scores = {name: score_in(folder / name)["accuracy"] for name in ("001-first", "deeper/002-second")}
    best = [Path(name).name for name in sorted(scores, key=lambda name: -scores[name])]
    assert names("--sort", "score") == [*best, "003-broken"]
    assert names() == ["001-first", "003-broken", "002-second"]
    assert names("--filter", "SECOND", "--filter", "shapes") == ["002-second"]
    assert names("--filter", "second", "--filter", "first") == []


def test_a_narrow_terminal_gets_fewer_columns(folder, capsys, monkeypatch):
    for width in ("44", "200"):
        monkeypatch.setenv("COLUMNS", width)
        capsys.readouterr()
        assert run(["runs", str(folder)]) == 0
        lines = capsys.readouterr().out.splitlines()[:4]
        assert max(map(len, lines)) <= int(width)
        assert ("size" in lines[0]) == (width == "200")
        assert "score" in lines[0]


def rights(path):
    with (path / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return {row["id"]: row["truth"] == row["prediction"] for row in rows}


def test_two_runs_are_compared_image_by_image(folder, capsys):
    first, second = folder / "001-first", folder / "deeper" / "002-second"
    found = said(capsys, "compare", str(first), str(second))
    a, b = rights(first), rights(second)
    assert found["num_images"] == len(a) == len(b)
    assert found["differences"][0]["mean"] == pytest.approx(sum(b[name] - a[name] for name in a) / len(a))
    low, high = found["differences"][0]["interval"]
    assert low < found["differences"][0]["mean"] < high
    assert found["settings"]["seed"] == ["0", "1"]
    assert found["settings"]["train.lr"][1] == "0.02"
    assert "train.epochs" not in found["settings"]


def test_runs_on_other_images_are_not_subtracted(folder, quick, tmp_path, capsys):
    other = tmp_path / "other"
    assert run(["train", "toy:shapes?n=60&size=16", *quick, "--out", str(other)]) == 0
    found = said(capsys, "compare", str(folder / "001-first"), str(other))
    assert found["differences"] == [{"reason": "scored on other images"}]
    assert found["settings"]["fingerprint of the data"][0] != found["settings"]["fingerprint of the data"][1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["runs", "nowhere"], 4, "no such folder"),
        (["runs", ".", "--sort", "scor"], 2, "did you mean 'score'"),
        (["compare", "RUN"], 2, "two different runs"),
        (["compare", "RUN", "RUN"], 2, "two different runs"),
        (["compare", "RUN", "nowhere"], 4, "no such run"),
    ],
)
def test_mistakes_end_in_one_line(folder, last_line, words, code, message):
    given = [str(folder / "001-first") if word == "RUN" else word for word in words]
    assert run(given) == code
    assert message in last_line()
