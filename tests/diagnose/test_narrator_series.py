"""A gradient that vanishes over time: measured in runs of recurrent networks, said where it kept them from learning."""

import json
import shutil

import pytest

import striate as st
from striate.base.files import write_json
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.diagnose import narrate


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A plain RNN on long series, an LSTM on short ones, convolutions on long ones; an epoch each."""
    root, made = tmp_path_factory.mktemp("series"), {}
    for name, length in (("rnn", 300), ("lstm", 40), ("fcn_1d", 300)):
        run = st.train(f"toy:order?n=40&length={length}", name, out=root / name, epochs=1, progress=Progress("quiet"))
        made[name] = RunDir(run.folder.path)
    return made


def vanishing(run):
    return [one for one in narrate(run) if one.state == "vanishing_gradients"]


def test_a_plain_rnn_on_long_series_is_told_why_it_does_not_learn(runs):
    (remark,) = vanishing(runs["rnn"])
    assert runs["rnn"].info()["result"]["time_reach"] < 1e-6
    assert "vanishes over time" in remark.evidence and "how a series begins" in remark.evidence
    assert remark.command.endswith("--model resnet_1d")


def test_gates_on_short_series_and_convolutions_are_not(runs):
    assert runs["lstm"].info()["result"]["time_reach"] > 1e-3 and not vanishing(runs["lstm"])
    assert runs["fcn_1d"].info()["result"]["time_reach"] is None and not vanishing(runs["fcn_1d"])


@pytest.mark.parametrize(("reach", "is_learned", "is_told"), [(9e-4, False, True), (1.1e-3, False, False), (1e-9, True, False), (0.0, False, True)])  # fmt: skip  # noqa: E501
def test_it_takes_a_thousandth_and_little_learned(runs, tmp_path, reach, is_learned, is_told):
    run = RunDir(shutil.copytree(runs["rnn"].path, tmp_path / "run"))
    (run.path / "SHA256SUMS").unlink()
    info, scores = run.info(), run.scores()
    write_json(run.path / "run.json", {**info, "result": info["result"] | {"time_reach": reach}})
    write_json(run.path / "scores.json", scores | {"train": scores["train"] | {"loss": 0.1 if is_learned else 0.69}})
    assert bool(vanishing(run)) == is_told


def test_the_recipe_of_python_is_that_of_the_command(runs):
    assert json.loads((runs["lstm"].path / "run.json").read_text())["recipe_name"] == "series changed"
