"""The commands as a person types them, in this process: results, JSON, exit codes, files."""

import json

import numpy as np
import pytest
from PIL import Image

from striate.cli.app import run

QUICK = [
    "--set",
    "train.epochs=1",
    "--set",
    "train.precision=float32",
    "--set",
    "model.width=4",
    "--quiet",
    "--threads",
    "1",
]
TOY = "toy:shapes?n=80&size=16"


@pytest.fixture
def trained(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(["train", TOY, *QUICK, "--out", str(folder)]) == 0
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


@pytest.mark.parametrize(
    "command", [["models"], ["models", "resnet18"], ["recipes"], ["recipes", "regularized"], ["doctor"]]
)
def test_lists_are_one_json_document(command, capsys):
    assert run([*command, "--json"]) == 0
    document(capsys)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["train", "nowhere"], 3, "nowhere"),
        (["train", TOY, "--model", "resnet81"], 2, "did you mean 'resnet18'"),
        (["train", TOY, "--set", "train.learning_rate=1"], 2, "unknown setting"),
        (["train", TOY, "--limit", "train=x"], 2, "--limit"),
        (["resume", "nowhere"], 4, "nowhere"),
        (["tarin", TOY], 2, "striate -h"),
        (["recipes", "regularised"], 2, "did you mean 'regularized'"),
    ],
)
def test_mistakes_end_in_one_line_and_an_exit_code(command, code, says, capsys):
    assert run(command) == code
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("error: ")
    assert " -- fix: " in last
    assert says in last


@pytest.fixture
def messy(tmp_path):
    """A folder as people have it: two classes, and one of each mishap."""
    root = tmp_path / "messy"
    for index in range(14):
        picture(root / "round" / f"{index}.jpg", index)
        picture(root / "square" / f"{index}.jpg", 100 + index)
    whole = (root / "round" / "1.jpg").read_bytes()
    (root / "round" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "square" / "text.jpg").write_text("not a picture")
    picture(root / "round" / "grey.png", 201, mode="L")
    picture(root / "round" / "alpha.png", 202, mode="RGBA")
    deep = np.linspace(0, 65535, 480).reshape(24, 20).astype(np.uint16)
    Image.fromarray(deep).save(root / "square" / "deep.png")
    (root / "round" / "copy.jpg").write_bytes((root / "round" / "2.jpg").read_bytes())
    (root / "square" / "wrong.jpg").write_bytes((root / "round" / "3.jpg").read_bytes())
    return root


def test_the_messy_folder_is_named_file_by_file(messy, tmp_path, capsys):
    assert run(["check", str(messy), "--out", str(tmp_path / "check"), "--quiet", "--strict"]) == 7
    said = capsys.readouterr().out
    for name in (
        "round/cut.jpg",
        "square/text.jpg",
        "square/deep.png",
        "round/alpha.png",
        "round/copy.jpg",
        "square/wrong.jpg",
    ):
        assert name in said, name
    assert (tmp_path / "check" / "contact-sheet.png").exists()


def test_the_messy_folder_stops_training_or_trains_without_the_bad_files(messy, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(["train", str(messy), *QUICK, "--out", str(out)]) == 3
    said = capsys.readouterr().err
    assert "round/cut.jpg" in said
    assert "square/text.jpg" in said
    assert not out.exists()
    assert run(["train", str(messy), *QUICK, "--out", str(out), "--on-bad", "skip"]) == 0
    skipped = (out / "skipped.csv").read_text()
    assert "round/cut.jpg" in skipped
    assert "square/text.jpg" in skipped
    used = [name for names in json.loads((out / "split.json").read_text()).values() for name in names]
    assert "round/cut.jpg" not in used
    assert len(used) == 14 + 14 + 5


def test_an_empty_class_folder_is_refused_unless_allowed(messy, tmp_path, capsys):
    (messy / "triangle").mkdir()
    assert run(["train", str(messy), *QUICK, "--out", str(tmp_path / "a")]) == 3
    assert "triangle" in capsys.readouterr().err
