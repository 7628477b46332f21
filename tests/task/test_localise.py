"""One object an image: losses and scores held against torchvision, and the way of a box through it all."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from striate.base import torchvision as tv
from striate.base.errors import DataError
from striate.base.rundir import RunDir
from striate.cli.app import run as command
from striate.data import open_dataset
from striate.data.sample import Batch
from striate.data.target import Boxes, Ragged
from striate.evaluate.predictions import read
from striate.metric import Answers
from striate.metric.box import BOTH_RIGHT, BOX_IOU, box_iou
from striate.predict import Predictor
from striate.task import fit_task, from_json

TOY = "toy:shapes?n=120&size=32&clutter=0&noise=0.02"


def boxes_at_random(rng, num):
    corners = rng.uniform(0, 32, (num, 2, 2))
    return np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)


def task_of(**options):
    data = open_dataset(TOY)
    return fit_task(data.targets, data.splits["train"], name="localise", target="box", options=options)


def test_losses_are_those_of_torchvision():
    generalized_box_iou_loss = tv.load("torchvision.ops").generalized_box_iou_loss
    rng, task = np.random.default_rng(0), task_of(class_weight=0.5, box_weight=3.0)
    true = torch.from_numpy(boxes_at_random(rng, 6))
    labels = torch.from_numpy(rng.integers(0, 5, 6))
    outputs = torch.from_numpy(rng.normal(size=(7, 9)).astype(np.float32))
    ragged = Ragged(true, (1, 1, 0, 1, 1, 1, 1), {"labels": labels})
    batch = Batch(torch.zeros(7, 3, 32, 32), {"box": ragged}, torch.arange(7))
    seen = torch.tensor([0, 1, 3, 4, 5, 6])
    middle, size = outputs[seen, 5:].sigmoid().chunk(2, 1)
    given = torch.cat([middle - size / 2, middle + size / 2], 1).clamp(0, 1)
    of_class = F.cross_entropy(outputs[seen, :5], labels, reduction="none")
    of_box = (given - true / 32).abs().mean(1) + generalized_box_iou_loss(given, true / 32, reduction="none")
    expected = torch.zeros(7)
    expected[seen] = 0.5 * of_class + 3 * of_box
    assert task.losses(outputs, batch).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    parts = task.loss(outputs, batch)
    assert parts["class"].item() == pytest.approx(0.5 * of_class.mean().item(), rel=1e-5)
    assert parts["box"].item() == pytest.approx(3 * of_box.mean().item(), rel=1e-5)
    assert from_json(task.to_json()) == task


def test_scores_are_those_of_torchvision():
    pairwise = tv.load("torchvision.ops").box_iou
    rng = np.random.default_rng(1)
    true, given = boxes_at_random(rng, 300), boxes_at_random(rng, 300)
    given[:150] = true[:150] + rng.normal(0, 1, (150, 4))
    expected = pairwise(torch.from_numpy(true), torch.from_numpy(given)).diagonal().numpy()
    assert box_iou(true, given) == pytest.approx(expected, abs=1e-6)
    labels = rng.integers(0, 3, (2, 300)).astype(float)
    answers = Answers(np.column_stack([labels[0], true]), np.column_stack([labels[1], given]), np.zeros(300))
    assert BOX_IOU.score(BOX_IOU.records(answers)) == pytest.approx(expected.mean())
    both = ((expected >= 0.5) & (labels[0] == labels[1])).mean()
    assert BOTH_RIGHT.score(BOTH_RIGHT.records(answers)) == pytest.approx(both)
    assert box_iou([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [0]


def test_one_box_an_image_is_asked_for():
    boxes = Boxes.of([[[0, 0, 4, 4]], [], [[0, 0, 2, 2], [1, 1, 3, 3]]], None, ("thing",))
    with pytest.raises(DataError, match="2 of 3 images have no box, or several"):
        fit_task({"box": boxes}, np.arange(3), name="localise")


@pytest.mark.filterwarnings("ignore")
def test_a_box_goes_all_the_way(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", TOY, "--task", "localise", "--model", "mlp", "--epochs", "2", "--threads", "1", "--quiet"]
    assert command([*words, "--set", "train.precision=float32", "--out", str(out)]) == 0
    run = RunDir(out)
    table, scores = read(run.predictions, run.info()["task"])["test"], run.scores()["test"]
    assert scores["box_iou"] == pytest.approx(box_iou(table.truth[:, 1:], table.values[:, 1:]).mean())
    assert {"both_right", "accuracy", "box_right"} <= scores.keys()
    data = open_dataset(TOY)
    index = data.ids.index(table.ids[0])
    assert table.truth[0, 1:] * 32 == pytest.approx(data.target("box").xyxy[index], abs=0.6)
    large = np.repeat(np.repeat(data.images.read(index), 4, 0), 4, 1)
    Image.fromarray(large).save(tmp_path / "one.png")
    prediction = Predictor.load(run)([tmp_path / "one.png"])[0]
    assert np.array(prediction.box) == pytest.approx(table.values[0, 1:] * 128, abs=3)
    capsys.readouterr()
    assert command(["predict", str(out), str(tmp_path / "one.png"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)["predictions"][0]
    assert document["box"] == pytest.approx(list(prediction.box))
    assert document["prediction"] == list(prediction.names)
    assert "class and box are both right" in (out / "report.html").read_text()
    assert scores["intervals"].keys() >= {"both_right", "accuracy", "box_right", "box_iou"}
    assert run.info()["input"]["fit"] == "squash"
    drawn = tmp_path / "drawn"
    assert command(["predict", str(out), str(tmp_path / "one.png"), "--draw", str(drawn)]) == 0
    pixels, plain = np.asarray(Image.open(drawn / "one-box.png")), np.asarray(Image.open(tmp_path / "one.png"))
    left, top, right, bottom = (round(side) for side in prediction.box)
    rows, columns = np.nonzero((pixels != plain).any(2))
    assert (columns.min(), rows.min()) == pytest.approx((left, top), abs=1)
    assert (columns.max() + 1, rows.max() + 1) == pytest.approx((right, bottom), abs=1)
