"""What a person typed is not forgotten: options beside a study file, commands that are printed, files named at once."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image

from striate.cli.app import run

PLAN = """data = "toy:shapes?n=60&size=16"
seeds = 2
set = ["train.epochs=1", "model.width=4", "train.precision=float32"]
[[variant]]
name = "a"
recipe = "baseline"
"""


def pictures(folder, classes=("a", "b"), count=10):
    """Write class folders of noise and return their folder."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    "words",
    ["--limit train=10", "--ladder", "--model mlp", "--folds 2", "--top-classes 3", "--set a=1", "--learning-curve"],
)
def test_what_a_study_file_says_is_refused_beside_it(tmp_path, monkeypatch, last_line, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.toml").write_text(PLAN)
    assert run(["study", "p.toml", *words.split()]) == 2
    assert last_line().startswith(f"error: {words.split()[0]} does not go with a study file: p.toml")
    assert not (tmp_path / "runs").exists()


def test_the_number_of_seeds_can_be_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.toml").write_text(PLAN)
    assert run(["study", "p.toml", "--seeds", "1", "--threads", "1", "-q", "--out", "s"]) == 0
    assert json.loads((tmp_path / "s" / "study.json").read_text())["seeds"] == [0]


def test_a_rate_is_for_the_target_it_was_found_with(tmp_path, capsys):
    words = ["--target", "angle", "--task", "regress", "--limit", "train=60,val=20,test=20", "--split-seed", "3"]
    steps = ["--steps", "60", "--threads", "1", "--set", "model.width=4", "--set", "train.lr=0.5", "-q"]
    steps += ["--out", str(tmp_path / "r.png")]
    assert run(["rate", "toy:shapes?n=160&size=16", *words, *steps, "--json"]) == 0
    typed = shlex.split(json.loads(capsys.readouterr().out)["train"])
    for option, value in zip(words[::2], words[1::2], strict=True):
        assert typed[typed.index(option) + 1] == value
    assert typed.count("--lr") == 1 and "train.lr=" not in " ".join(typed)


def test_the_next_step_of_check_is_what_was_looked_at(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "some birds")
    (tmp_path / "some birds" / "c").mkdir()
    assert run(["check", "some birds", "--limit", "train=8", "-q"]) == 0
    said = capsys.readouterr().out.strip().split("\n")[-1]
    assert said == "next: striate train 'some birds' --limit train=8 --allow-empty"
    (tmp_path / "some birds" / "a" / "0.png").write_bytes(b"text")
    assert run(["check", "some birds", "-q"]) == 0
    assert capsys.readouterr().out.strip().endswith("striate train 'some birds' --allow-empty --on-bad skip")


def test_check_says_what_numbers_look_like(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "p", ("a",), 20)
    rows = [f"p/a/{number}.png,{number / 2},{-number}.5" for number in range(20)]
    (tmp_path / "n.csv").write_text("\n".join(["path,weight,height", *rows]))
    assert run(["check", "n.csv", "-q"]) == 0
    said = capsys.readouterr().out
    assert "target weight: numbers" in said and "other targets (--target): height" in said
    assert "weight, train: 0" in said


def test_another_dataset_without_test_images_is_scored_whole(tmp_path, finished, capsys):
    names = json.loads((finished / "run.json").read_text())["task"]["names"]
    other = pictures(tmp_path / "new", names, 6)
    assert run(["evaluate", str(finished), str(other), "-q"]) == 0
    assert f"{6 * len(names)} images" in capsys.readouterr().out
    assert run(["evaluate", str(finished), str(other), "--split", "val", "-q"]) == 3
    assert "choose another --split: all" in capsys.readouterr().err


def test_predict_names_every_bad_file_or_leaves_them_out(tmp_path, finished, capsys):
    folder = pictures(tmp_path / "new", ("a",), 4) / "a"
    for number in (1, 3):
        (folder / f"{number}.png").write_bytes(b"text")
    assert run(["predict", str(finished), str(folder)]) == 3
    said = capsys.readouterr()
    assert not said.out and all(said.err.count(f"{number}.png") for number in (1, 3))
    assert "(and 1 more file)" in said.err
    assert run(["predict", str(finished), str(folder), "--on-bad", "skip", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert [row["id"][-5:] for row in document["predictions"]] == ["0.png", "2.png"]
    assert [name[-5:] for name in document["skipped"]] == ["1.png", "3.png"] and said.err.count("skipped: ") == 2
    assert run(["predict", str(finished), str(folder), "--on-bad", "ignore"]) == 2


def test_a_recipes_own_network_is_trained_unless_another_is_typed(tmp_path, capsys):
    small = ["--set", "model.width=4", "--set", "train.epochs=1", "--threads", "1", "-q", "--json"]
    for given, name in (([], "airbench"), (["--model", "mlp"], "mlp")):
        words = ["train", "toy:shapes?n=60&size=32", "--recipe", "fast-small", *given, *small]
        assert run([*words, "--out", str(tmp_path / name)]) == 0
        capsys.readouterr()
        assert json.loads((tmp_path / name / "run.json").read_text())["model"]["name"] == name


def test_the_old_name_of_prune_still_works_and_says_so(capsys):
    code = run(["study", "toy:shapes?n=60&size=16", "--folds", "2", "--drop-hopeless"])
    heard = capsys.readouterr().err
    assert code == 2 and "note: --drop-hopeless is called --prune now" in heard and "error: folds have" in heard
