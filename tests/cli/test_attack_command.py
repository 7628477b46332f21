"""`striate evaluate --adversarial`: against a count by hand, and the lines that mistakes end in."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from striate.base.errors import SettingsError
from striate.cli.app import run
from striate.evaluate.interval import proportion_interval
from striate.run.adversarial import parse_eps
from striate.run.evaluate import open_split


def shown(capsys, *arguments):
    capsys.readouterr()
    code = run(["evaluate", *arguments, "--threads", "1", "--quiet"])
    return code, capsys.readouterr()


def test_the_score_under_fgsm_is_that_of_a_gradient_by_hand(finished, capsys):
    code, said = shown(capsys, str(finished), "--adversarial", "--eps", "4/255", "--steps", "2", "--json")
    assert code == 0, said.err
    found = json.loads(said.out)
    opened = open_split(finished)
    network, mean, std = (
        opened.network.eval(),
        *(torch.tensor(v).view(1, -1, 1, 1) for v in (opened.prepared.mean, opened.prepared.std)),
    )
    right = total = 0
    for batch in opened.prepared.loader("test").batches(0):
        x = (batch.images * std + mean).clamp(0, 1).requires_grad_()
        truth = batch.targets["label"]
        nn.functional.cross_entropy(network((x - mean) / std), truth, reduction="sum").backward()
        changed = (x.detach() + 4 / 255 * x.grad.sign()).clamp(0, 1)
        right += int((network((changed - mean) / std).argmax(1) == truth).sum())
        total += len(truth)
    clean, fgsm, pgd = found["attacks"]
    assert (clean["method"], fgsm["method"], pgd["method"]) == ("none", "fgsm", "pgd")
    assert found["num_images"] == total
    assert fgsm["scores"]["accuracy"] == pytest.approx(right / total)
    assert fgsm["scores"]["intervals"]["accuracy"] == pytest.approx(proportion_interval(right, total))
    assert clean["scores"]["accuracy"] == json.loads((finished / "scores.json").read_text())["test"]["accuracy"]
    assert pgd["scores"]["loss"] >= clean["scores"]["loss"]
    assert (pgd["steps"], pgd["step_size"]) == (2, pytest.approx(2.5 * 4 / 255 / 2))
    written = json.loads(Path(found["scores"]).read_text())
    assert written["attacks"] == found["attacks"]


def test_the_table_has_a_row_an_eps_and_fewer_images_are_counted(finished, capsys):
    code, said = shown(capsys, str(finished), "--adversarial", "--eps", "8,1/255", "--steps", "1", "--images", "5")
    assert code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "test.accuracy under attack, 5 images (95 % interval)"
    assert [line.split()[0] for line in lines[2:5]] == ["0", "1/255", "8/255"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--eps", "3"], "--eps is of attacks"),
        (["--adversarial", "--eps", "much"], "'much' is no eps"),
        (["--adversarial", "--tta"], "do not go together"),
    ],
)
def test_mistakes_end_in_one_line(finished, options, line, last_line):
    assert run(["evaluate", str(finished), *options]) == 2
    assert line in last_line()


def test_a_run_that_predicts_numbers_is_refused(tmp_path, quick, last_line):
    folder = tmp_path / "run"
    options = ["--task", "regress", "--target", "angle", "--out", str(folder)]
    assert run(["train", "toy:shapes?n=80&size=16", *quick, *options]) == 0
    last_line()
    assert run(["evaluate", str(folder), "--adversarial"]) == 3
    assert "the task regress gives no classes or tags" in last_line()


@pytest.mark.parametrize("text", ["", "0", "-1/255", "1/0", "300", "a", "0.1,,"])
def test_what_is_no_eps_is_refused(text):
    with pytest.raises(SettingsError, match="is no eps"):
        parse_eps(text)
