"""`striate evaluate --adversarial`: against a count by hand, and the lines that mistakes end in."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate.api import Run
from striate.base.errors import SettingsError
from striate.cli.app import run
from striate.evaluate.interval import proportion_interval
from striate.inside.adversarial import PixelSpace
from striate.predict import Predictor
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


@pytest.fixture(scope="module")
def of_numbers(tmp_path_factory, quick):
    folder = tmp_path_factory.mktemp("numbers") / "run"
    options = ["--task", "regress", "--target", "angle", "--out", str(folder)]
    assert run(["train", "toy:shapes?n=80&size=16", *quick, *options]) == 0
    return folder


@pytest.fixture(scope="module")
def of_masks(tmp_path_factory, quick):
    folder = tmp_path_factory.mktemp("masks") / "run"
    assert run(["train", "toy:shapes?n=80&size=16", *quick, "--task", "segment", "--out", str(folder)]) == 0
    return folder


def changed_by_hand(opened, loss, eps):
    """Each batch of the test split with what one step of torch's own gradient of a loss makes of it, in 0..1."""
    network = opened.network.eval()
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (opened.prepared.mean, opened.prepared.std))
    for batch in opened.prepared.loader("test").batches(0):
        x = (batch.images * std + mean).clamp(0, 1).requires_grad_()
        loss(network((x - mean) / std), batch).backward()
        with torch.no_grad():
            yield batch, network(((x + eps * x.grad.sign()).clamp(0, 1) - mean) / std)


def test_the_error_of_numbers_under_fgsm_is_that_of_a_gradient_by_hand(of_numbers, capsys):
    code, said = shown(capsys, str(of_numbers), "--adversarial", "--eps", "8", "--steps", "2", "--json")
    assert code == 0, said.err

    def loss(outputs, batch):  # sine and cosine of each angle
        radians = torch.deg2rad(batch.targets["angle"].double())
        return (outputs - torch.cat([radians.sin(), radians.cos()], 1)).square().sum()

    errors = []
    for batch, outputs in changed_by_hand(open_split(of_numbers), loss, 8 / 255):
        found = torch.rad2deg(torch.atan2(*outputs.double().T)) - batch.targets["angle"][:, 0]
        errors += ((found + 180) % 360 - 180).abs().tolist()
    document = json.loads(said.out)
    clean, fgsm, pgd = (row["scores"]["mean_error_deg"] for row in document["attacks"])
    assert document["metric"] == "mean_error_deg"
    assert fgsm == pytest.approx(sum(errors) / len(errors), rel=1e-4)
    assert clean < fgsm and clean < pgd


def test_the_iou_of_masks_under_fgsm_is_counted_by_hand(of_masks, capsys):
    code, said = shown(capsys, str(of_masks), "--adversarial", "--eps", "8/255", "--steps", "1", "--json")
    assert code == 0, said.err

    def loss(outputs, batch):
        return nn.functional.cross_entropy(outputs, batch.targets["mask"], ignore_index=255, reduction="sum")

    opened = open_split(of_masks)
    num = len(opened.prepared.task.names)
    both, either = torch.zeros(num), torch.zeros(num)
    for batch, outputs in changed_by_hand(opened, loss, 8 / 255):
        truth, answer = batch.targets["mask"], outputs.argmax(1)
        for index in range(num):
            both[index] += ((truth == index) & (answer == index)).sum()
            either[index] += (((truth == index) | (answer == index)) & (truth != 255)).sum()
    shares = [float(b / e) for b, e in zip(both, either, strict=True) if e]
    document = json.loads(said.out)
    assert document["metric"] == "mean_iou"
    assert document["attacks"][1]["scores"]["mean_iou"] == pytest.approx(sum(shares) / len(shares), abs=1e-6)


def test_an_attack_of_one_image_moves_a_number_and_takes_pixels_from_a_class(of_numbers, of_masks):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    found = Run(of_masks).adversarial(image, 16 / 255)
    before, after = found.answer.map, found.answer_after.map
    most = np.bincount(before.ravel()).argmax() if before.any() else 0
    assert (after == most).sum() <= (before == most).sum()
    up, down = (Run(of_numbers).adversarial(image, 16 / 255, target=name) for name in ("angle", None))
    assert len(up.figure().axes) == 3 and up.answer.values == down.answer.values
    network, task = Predictor.load(of_numbers).network, Predictor.load(of_numbers).task
    space = PixelSpace(Predictor.load(of_numbers).mean, Predictor.load(of_numbers).std)

    def score(pixels):
        x = torch.from_numpy(pixels).movedim(2, 0)[None]
        with torch.no_grad():
            start = network(space.normalised(torch.from_numpy(up.before).movedim(2, 0)[None]))
            return float(task.objective(start).score(network(space.normalised(x))))

    assert score(down.after) < score(up.before) < score(up.after)


def test_numbers_do_not_flip(of_numbers):
    with pytest.raises(SettingsError, match="regress gives no classes or tags of images, which could flip"):
        Run(of_numbers).flips(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize("text", ["", "0", "-1/255", "1/0", "300", "a", "0.1,,"])
def test_what_is_no_eps_is_refused(text):
    with pytest.raises(SettingsError, match="is no eps"):
        parse_eps(text)
