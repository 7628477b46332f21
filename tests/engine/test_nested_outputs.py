"""A step on outputs that are a dict of a list: as the same network with one tensor, with every way of training."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate.base.errors import ModelError, SettingsError
from striate.data.sample import Batch
from striate.engine.average import Average
from striate.engine.optim import build
from striate.engine.update import Update
from striate.metric import Metric
from striate.model import zoo
from striate.task import Decoded, Defaults, Parts, Vector
from striate.task.outputs import outputs_of
from striate.task.tally import gather, total


@dataclass(frozen=True)
class Two(Defaults):
    """A class and a number; `is_nested` outputs are {"a": [logits], "b": number}, else side by side."""

    is_nested: bool = False
    name = "two"
    target_names = ("a", "b")
    metrics = (Metric("right", "right", record=lambda answers: answers.truth[:, 0] == answers.values[:, 0]),)

    @property
    def head(self):
        return Parts((("a", Vector(3)), ("b", Vector(1)))) if self.is_nested else Vector(4)

    def _parts(self, outputs):
        return (outputs["a"], outputs["b"]) if self.is_nested else (outputs[:, :3], outputs[:, 3:])

    def loss(self, outputs, batch):
        logits, number = self._parts(outputs)
        return {"a": F.cross_entropy(logits, batch.targets["a"]), "b": F.mse_loss(number, batch.targets["b"])}

    def decode(self, outputs):
        logits, number = self._parts(outputs)
        return Decoded(torch.cat([logits.argmax(1, keepdim=True).double(), number.double()], 1))


class Net(nn.Module):
    """A body and a head, whose outputs are parted or not."""

    def __init__(self, is_nested: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))
        self.is_nested = is_nested

    def forward(self, images):
        outputs = self.body(images)
        return {"a": outputs[:, :3], "b": outputs[:, 3:]} if self.is_nested else outputs


def batch(num: int = 9) -> Batch:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(num, 3, 2, 2)).astype(np.float32))
    targets = {"a": torch.from_numpy(rng.integers(0, 3, num)), "b": torch.from_numpy(rng.normal(size=(num, 1)))}
    return Batch(images, {"a": targets["a"], "b": targets["b"].float()}, np.arange(num))


def trained(is_nested: bool, precision: str = "float32", **options):
    model, task = Net(is_nested), Two("a", ("class", "number"), is_nested)
    optimiser = build(model, "sgd", lr=0.1, momentum=0.9, weight_decay=1e-3)
    average = Average(model, 0.5) if options.pop("ema", False) else None
    update = Update(model, task, optimiser, lambda step: 0.1, precision=precision, average=average, **options)
    update.train_mode()
    parts = []
    for step in range(3):
        torch.manual_seed(step)
        gather(parts, update(batch(), step), task.add)
    return (average.model if average else model), task.summarise(total(parts, task.add))


@pytest.mark.parametrize("options", [{}, {"clip": 0.5}, {"sam": 0.05}, {"weight_noise": 0.1}, {"l1": 1e-3}, {"ema": 1}])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_nested_outputs_train_as_one_tensor_does(options, precision):
    one, scores = trained(False, precision, **options)
    other, nested = trained(True, precision, **options)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert scores == nested
    assert np.isfinite(scores["loss"])


def test_what_a_module_returns_is_held_against_the_head():
    task = Two("a", ("class", "number"), True)
    assert set(outputs_of(Net(True), task, batch().images)) == {"a", "b"}
    with pytest.raises(ModelError, match=r"it makes 9x4 of 9x3x2x2, wanted is a dict \(a 9x3, b 9x1\)"):
        outputs_of(Net(False), task, batch().images)
    with pytest.raises(SettingsError, match="hand in a module of your own"):
        task.head.extended(zoo.blueprint("bipyramid"), channels=3, size_hw=(32, 32))


def test_the_loss_of_an_image_alone_is_the_default_of_each_image():
    task, data, model = Two("a", ("class", "number"), True), batch(), Net(True)
    with torch.no_grad():
        outputs = model(data.images)
    expected = F.cross_entropy(outputs["a"], data.targets["a"], reduction="none")
    expected += (outputs["b"] - data.targets["b"]).square()[:, 0]
    torch.testing.assert_close(task.losses(outputs, data), expected)
