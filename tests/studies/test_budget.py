"""What a study says of its time before it starts: also on a machine that other work slows down."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.studies import budget
from striate.studies.budget import Seconds, expectation
from striate.studies.plan import task_series
from striate.task.detect import Detect
from striate.task.regress import Regress
from striate.task.restore import Denoise
from striate.task.segment import Segment


def prepared(num_train=64):
    return SimpleNamespace(
        dataset=SimpleNamespace(splits={"train": np.arange(num_train)}),
        recipe=SimpleNamespace(transfer=SimpleNamespace(head="no", views=1)),
        num_epochs=2,
        batch_size=32,
        geometry=SimpleNamespace(channels=1, size_hw=(8, 8)),
        device=torch.device("cpu"),
    )


class Slow(torch.nn.Module):
    """A network that waits, as one does whose processor is taken by others."""

    def forward(self, images):
        time.sleep(0.02)
        return images


def test_waiting_is_no_work(monkeypatch):
    monkeypatch.setattr(budget, "build_network", lambda *_: Slow())
    one = prepared()
    (took,) = budget.expected_s([("slow", one)])
    assert took.now > 0.02 * 2 * 2 * budget.BACKWARD > 5 * took.free > 0  # two batches, two epochs
    line = expectation([("slow", one)], [took])
    assert "1 run, at most 128 training images" in line and "at its present load" in line


def test_a_free_machine_has_one_time():
    runs = [("net", prepared()), ("net", prepared())]
    line = expectation(runs, [Seconds(60, 70), Seconds(60, 70)], 2)
    assert line == "2 runs, at most 256 training images: about 1 min 00 s by a short trial"
    line = expectation(runs, [Seconds(60, 240), Seconds(60, 240)], 2)
    assert line.endswith("about 1 min 00 s on a free machine, 4 min 00 s at its present load, by a short trial")
    assert "0 runs" in expectation([], [])


def test_weights_add_the_encoder_with_and_without_them():
    plain = [one.name for one in task_series(Segment, ["train.epochs=2"])]
    variants = task_series(Segment, ["train.epochs=2", "data.size=64"], weights="net.npz", base="resnet18")
    assert [one.name for one in variants] == [*plain, "encoder", "encoder-weights"]
    scratch, started = variants[-2:]
    assert scratch.recipe.model.encoder == started.recipe.model.encoder == "resnet18"
    assert (scratch.recipe.transfer.weights, started.recipe.transfer.weights) == (None, "net.npz")
    assert "resnet18" in scratch.text and all(one.recipe.train.epochs == 2 for one in variants)
    with pytest.raises(SettingsError, match="images of two sizes"):
        task_series(Segment, weights="net.npz")
    with pytest.raises(SettingsError, match="starts from no weights"):
        task_series(Denoise, weights="net.npz")
    boxes = task_series(Detect, ["data.size=64"], weights="net.npz", base="resnet18")
    assert [one.name for one in boxes] == ["rcnn", "fast_rcnn", "faster_rcnn", "one_stage"]
    assert {(one.recipe.model.encoder, one.recipe.transfer.weights) for one in boxes} == {("resnet18", "net.npz")}
    assert [one.name for one in task_series(Detect)] == ["fast_rcnn", "faster_rcnn", "one_stage"]
    assert task_series(Regress)  # no steps of its own: the classic exercise
