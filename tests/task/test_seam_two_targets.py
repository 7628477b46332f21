"""A task defined here, and nowhere else: the class of a shape and its direction, by one network and one loss."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from seam import drive

from striate.base.errors import SettingsError
from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.data.target import Angle, Label, Number
from striate.evaluate.predictions import read
from striate.metric import Metric
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.task import Decoded, Defaults, Vector, mean_outputs, register

TOY = "toy:shapes?n=150&size=16&clutter=0"


def turned(answers: Any) -> np.ndarray:
    """The angle between truth and prediction (N,), in degrees."""
    error = np.abs(answers.truth[:, 1] - answers.values[:, 1]) % 360
    return np.minimum(error, 360 - error)


@register
@dataclass(frozen=True)
class ShapeAndAngle(Defaults):
    """Outputs: a logit a class, then the sine and cosine of the direction. An answer is (class, degrees)."""

    num_classes: int = 0
    name: ClassVar[str] = "shape-and-angle"
    target_names: ClassVar[tuple[str, ...]] = ("label", "angle")
    views: ClassVar[Any] = mean_outputs
    metrics: ClassVar[Any] = (
        Metric("shape", "shapes right", form="percent", possible=(0.0, 1.0), record=lambda a: right(a)),
        Metric("turned_deg", "mean error", "min", unit="deg", possible=(0.0, 180.0), record=turned),
    )

    @classmethod
    def fit(cls, targets: Mapping[str, Any], train: np.ndarray, **settings: Any) -> Self:
        return replace(super().fit(targets, train), num_classes=len(targets["label"].names))

    @property
    def head(self) -> Vector:
        return Vector(self.num_classes + 2)

    def loss(self, outputs, batch):
        radians = torch.deg2rad(batch.targets["angle"][:, 0]).float()
        direction = torch.stack([radians.sin(), radians.cos()], 1)
        shape = F.cross_entropy(outputs[:, : self.num_classes], batch.targets["label"])
        return {"shape": shape, "direction": F.mse_loss(outputs[:, self.num_classes :], direction)}

    def decode(self, outputs):
        logits, (sine, cosine) = outputs[:, : self.num_classes], outputs[:, self.num_classes :].double().unbind(1)
        return Decoded(torch.stack([logits.argmax(1).double(), torch.rad2deg(torch.atan2(sine, cosine)) % 360], 1))

    def undo_view(self, outputs, view):
        sign = torch.ones_like(outputs[0])
        sign[-1] = -1 if view.is_mirrored else 1  # left and right change places
        return outputs * sign


def right(answers: Any) -> np.ndarray:
    """Whether the shape is right (N,)."""
    return answers.truth[:, 0] == answers.values[:, 0]


@pytest.mark.filterwarnings("ignore")
def test_two_targets_go_all_the_way(tmp_path, capsys):
    data = open_dataset(TOY)
    Image.fromarray(data.images.read(0)).save(tmp_path / "one.png")
    gave = drive(capsys, TOY, "shape-and-angle", tmp_path, tmp_path / "one.png")
    run = RunDir(tmp_path / "whole")
    scores, table = run.scores()["test"], read(run.predictions, run.info()["task"])["test"]
    places = [data.ids.index(name) for name in table.ids]
    np.testing.assert_array_equal(table.truth[:, 0], data.targets["label"].values[places])
    np.testing.assert_allclose(table.truth[:, 1], data.targets["angle"].values[places, 0], rtol=1e-6)
    assert scores["shape"] == pytest.approx(np.mean(right(table)))
    assert scores["turned_deg"] == pytest.approx(np.mean(turned(table)))
    assert {"shape", "turned_deg", "loss"} <= run.history()[-1]["val"].keys()
    assert gave["study"]["verdict"]["metric"] == "shape"
    assert gave["predict"]["predictions"][0]["values"].keys() == {"label", "angle"}
    header = run.predictions.read_text().splitlines()[0]
    assert header == "split,id,truth:label,truth:angle,prediction:label,prediction:angle,error,loss"


def test_the_loss_of_an_image_is_that_of_a_batch_of_it_and_a_mirrored_view_is_undone():
    from striate.data.sample import Batch
    from striate.task import View

    task, rng = ShapeAndAngle("label", ("shape", "angle"), 3), np.random.default_rng(0)
    truth = {"label": torch.tensor([0, 2]), "angle": torch.tensor([[10.0], [350.0]], dtype=torch.float64)}
    outputs = torch.from_numpy(rng.normal(size=(2, 5)).astype(np.float32))
    losses = task.losses(outputs, Batch(torch.zeros(2, 1, 1, 1), truth, np.arange(2)))
    for i in range(2):
        alone = outputs[i].double().numpy()
        a = np.deg2rad(truth["angle"][i, 0].item())
        nll = np.log(np.exp(alone[:3]).sum()) - alone[truth["label"][i]]
        expected = nll + ((alone[3] - np.sin(a)) ** 2 + (alone[4] - np.cos(a)) ** 2) / 2
        assert losses[i].item() == pytest.approx(expected, rel=1e-5)
    angle = task.decode(outputs).values[:, 1]
    mirrored = task.decode(task.undo_view(outputs, View(is_mirrored=True))).values[:, 1]
    np.testing.assert_allclose(mirrored, (180 - angle) % 360, atol=1e-4)


def test_each_number_of_several_targets_has_the_name_of_its_target():
    targets = {
        "label": Label(np.array([0, 1]), ("disc", "star", "bar")),
        "angle": Angle(np.zeros((2, 1))),
        "size": Number(np.zeros((2, 2)), ("w", "h")),
    }
    assert Defaults.fit(targets, np.arange(2)).names == ("label", "angle", "size.w", "size.h")
    assert Defaults.fit({"size": targets["size"]}, np.arange(2)).names == ("w", "h")
    assert Defaults.fit({"angle": targets["angle"]}, np.arange(2)).names == ("angle",)


def test_a_head_is_not_solved_for_two_targets(quiet):
    recipe = named("regularized").changed(["transfer.head=solved"])
    data = open_dataset(TOY, task="shape-and-angle")
    with pytest.raises(SettingsError, match="the task shape-and-angle has 2"):
        prepare(data, recipe, target=None, device=torch.device("cpu"), progress=quiet)
