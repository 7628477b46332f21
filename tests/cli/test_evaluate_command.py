"""striate evaluate in its several ways, and what predict says of a temperature."""

import json
import shutil

import pytest

from striate.cli.app import run

TOY = "toy:shapes?n=80&size=16"


@pytest.fixture
def one_run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def given(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_tta_is_six_views(one_run, capsys):
    assert run(["evaluate", str(one_run), "--tta", "--json"]) == 0
    by_name = given(capsys)
    assert run(["evaluate", str(one_run), "--views", "6", "--json"]) == 0
    assert given(capsys) == by_name and by_name["views"] == 6
    assert run(["evaluate", str(one_run), "--tta"]) == 0
    assert "mean of 6 views" in capsys.readouterr().out


def test_calibrate_writes_a_temperature_and_predict_says_so(one_run, capsys):
    (picture,) = sorted((one_run / "pictures").glob("*-0000.jpg"))[:1]
    assert run(["predict", str(one_run), str(picture), "--json"]) == 0
    plain = given(capsys)
    assert run(["evaluate", str(one_run), "--calibrate"]) == 0
    text = capsys.readouterr().out
    assert "temperature" in text and "calibration error" in text and "->" in text
    assert run(["predict", str(one_run), str(picture)]) == 0
    assert "calibrated probabilities: temperature" in capsys.readouterr().err
    assert run(["predict", str(one_run), str(picture), "--json"]) == 0
    calibrated = given(capsys)
    assert plain["temperature"] == 1 and calibrated["temperature"] != 1
    assert plain["predictions"][0]["prediction"] == calibrated["predictions"][0]["prediction"]
    assert plain["predictions"][0]["probabilities"] != calibrated["predictions"][0]["probabilities"]


def test_the_ensembles_of_a_study_as_a_table_and_as_json(tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'data = "{TOY}"\nseeds = 2\n[base]\nset = ["train.epochs=1", "model.width=4"]\n'
        '[grid]\n"train.lr" = [0.01, 0.1]\n'
    )
    study = str(tmp_path / "study")
    assert run(["study", str(plan), "--out", study, "--threads", "1", "-q"]) == 0
    capsys.readouterr()
    assert run(["evaluate", study, "--ensemble", "--json"]) == 0
    found = given(capsys)
    assert [row["name"] for row in found["rows"]] == ["lr-0.01", "lr-0.1", "all variants"]
    assert found["combined"] == "mean probability" and found["chosen_on"] == "val"
    assert run(["evaluate", study, "--ensemble", "--variant", "lr-0.1", "--split", "val"]) == 0
    text = capsys.readouterr().out
    assert "mean probability of the runs; accuracy" in text
    assert "best on validation: lr-0.1" in text and "lr-0.01 " not in text
    assert run(["evaluate", study]) == 4
    assert run(["evaluate", study, "--ensemble", "--split", "train"]) == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--ensemble", "--calibrate"], "do not go together"),
        (["--calibrate", "--tta"], "--calibrate and --tta do not go together"),
        (["--calibrate", "--views", "2"], "--calibrate and --views do not go together"),
        ([TOY, "--calibrate"], "leave DATA out"),
        (["--variant", "x"], "add --ensemble"),
        (["--views", "0"], "0 views"),
        (["--ensemble"], "study"),
    ],
)
def test_what_does_not_go_together_is_refused(one_run, words, what, last_line):
    assert run(["evaluate", str(one_run), *words]) in {2, 4}
    assert what in last_line()
