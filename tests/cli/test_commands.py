"""The commands as a person types them, in this process: results, JSON, exit codes, files."""

import json

import numpy as np
import pytest
from PIL import Image

from striate.cli.app import run

TOY = "toy:shapes?n=80&size=16"


@pytest.fixture
def trained(tmp_path, capsys, quick):
    folder = tmp_path / "run"
    assert run(["train", TOY, *quick, "--out", str(folder)]) == 0
    capsys.readouterr()
    return folder


def document(capsys):
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == 1
    return found


def picture(path, value=90, size=(20, 24), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(value)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8), mode=None).save(path)


def test_a_study_trains_decides_reports_and_repeats_nothing(tmp_path, capsys):
    folder = tmp_path / "study"
    command = [
        "study",
        TOY,
        "--seeds",
        "1",
        "--set",
        "train.epochs=1",
        "--quiet",
        "--threads",
        "1",
        "--out",
        str(folder),
        "--json",
    ]
    assert run(command) == 0
    first = document(capsys)["verdict"]
    assert [row["name"] for row in first["variants"]]
    assert (folder / "report.html").stat().st_size > 10_000
    times = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/weights.safetensors")}
    assert len(times) == 4
    (folder / "verdict.json").unlink()
    assert run(["resume", str(folder), "--json", "--quiet"]) == 0
    assert document(capsys)["verdict"] == first
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_study_file_names_its_variants(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(
        f'data = "{TOY}"\nseeds = 1\nset = ["train.epochs=1"]\n'
        '[[variant]]\nname = "plain"\n[[variant]]\nname = "few"\nnum_train = 20\n'
    )
    assert run(["study", str(path), "--out", str(tmp_path / "s"), "--quiet", "--threads", "1", "--json"]) == 0
    assert {row["name"] for row in document(capsys)["verdict"]["variants"]} == {"plain", "few"}
    split = json.loads((tmp_path / "s" / "runs" / "few-seed0" / "split.json").read_text())
    assert len(split["train"]) == 20
    path.write_text('[[variant]]\nname = "a"\nrecipee = "baseline"\n')
    assert run(["study", str(path)]) == 2
    assert "did you mean recipe" in capsys.readouterr().err


def test_folds_test_every_image_once_a_seed(tmp_path, capsys):
    folder = tmp_path / "folds"
    path = tmp_path / "f.toml"
    path.write_text(
        f'data = "{TOY}"\nseeds = 1\nfolds = 2\nset = ["train.epochs=1"]\n'
        '[[variant]]\nname = "a"\n[[variant]]\nname = "b"\n'
    )
    assert run(["study", str(path), "--out", str(folder), "--quiet", "--threads", "1"]) == 0
    tested = [
        json.loads((folder / "runs" / f"a-seed0-fold{fold}" / "split.json").read_text())["test"] for fold in (0, 1)
    ]
    assert len(tested[0]) + len(tested[1]) == len(set(tested[0]) | set(tested[1])) == 80


def test_results_of_a_run_as_json(trained, tmp_path, capsys):
    picture(tmp_path / "new" / "a.png")
    assert run(["predict", str(trained), str(tmp_path / "new"), "--json"]) == 0
    one = document(capsys)["predictions"][0]
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert run(["evaluate", str(trained), "--quiet", "--json"]) == 0
    again = document(capsys)["scores"]["accuracy"]
    assert again == json.loads((trained / "scores.json").read_text())["test"]["accuracy"]
    assert run(["report", str(trained), "--json"]) == 0
    assert document(capsys)["report"].endswith("report.html")
    assert run(["analyze", str(trained), "--size", "16", "--json"]) == 0
    assert document(capsys)["parameters"] == json.loads((trained / "run.json").read_text())["model"]["parameters"]


def test_a_folder_without_images_is_no_answer(trained, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run(["predict", str(trained), str(tmp_path / "empty")]) == 3
    assert "no images found" in capsys.readouterr().err.splitlines()[-1]
    picture(tmp_path / "new" / "a.png")
    assert run(["predict", str(trained), str(tmp_path / "empty"), str(tmp_path / "new")]) == 0
    said = capsys.readouterr()
    assert "warning: no images found" in said.err and len(said.out.splitlines()) == 1


@pytest.mark.parametrize(
    "command", [["models"], ["models", "resnet18"], ["recipes"], ["recipes", "regularized"], ["doctor"]]
)
def test_lists_are_one_json_document(command, capsys):
    assert run([*command, "--json"]) == 0
    document(capsys)
