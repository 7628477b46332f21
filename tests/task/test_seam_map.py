"""A task defined here, and nowhere else: to which shape each pixel of an image belongs."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch.nn.functional as F
from PIL import Image
from seam import drive

from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.evaluate.predictions import read
from striate.metric import Metric
from striate.task import Decoded, Defaults, Map, mean_softmax, register

TOY = "toy:shapes?n=120&size=32&clutter=0&noise=0.02"


def pixels(answers: Any) -> np.ndarray:
    """Pixels that are right, and all (N, 2)."""
    right = (answers.truth == answers.values).sum((1, 2))
    return np.stack([right, np.full(len(right), answers.truth[0].size)], 1)


def overlaps(answers: Any) -> np.ndarray:
    """Pixels of shapes that are found, and those of truth or prediction (N, 2)."""
    true, given = answers.truth > 0, answers.values > 0
    return np.stack([(true & given).sum((1, 2)), (true | given).sum((1, 2))], 1)


def ratio(records: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum of the first column over that of the second."""
    hits, total = (weights @ records).T
    return hits / total


@register
class Outline(Defaults):
    """A class a pixel."""

    name: ClassVar[str] = "outline"
    kinds: ClassVar[tuple[str, ...]] = ("mask",)
    views: ClassVar[Any] = mean_softmax
    metrics: ClassVar[Any] = (
        Metric("shape_iou", "overlap of shapes", form="percent", possible=(0.0, 1.0), record=overlaps, value=ratio),
        Metric("pixels", "pixels right", form="percent", possible=(0.0, 1.0), record=pixels, value=ratio),
    )

    @property
    def head(self):
        return Map(len(self.names))

    def losses(self, outputs, batch):
        return F.cross_entropy(outputs, batch.targets[self.target], reduction="none", ignore_index=255).mean((1, 2))

    def decode(self, outputs):
        return Decoded(outputs.argmax(1))


@pytest.mark.filterwarnings("ignore")
def test_a_map_goes_all_the_way(tmp_path, capsys):
    data = open_dataset(TOY)
    Image.fromarray(data.images.read(0)).save(tmp_path / "one.png")
    gave = drive(capsys, TOY, "outline", tmp_path, tmp_path / "one.png")
    run = RunDir(tmp_path / "whole")
    scores, table = run.scores()["test"], read(run.predictions, run.info()["task"])["test"]
    hits, total = table.records["shape_iou"].sum(0)
    assert scores["shape_iou"] == pytest.approx(hits / total)
    assert scores["intervals"]["shape_iou"][0] <= scores["shape_iou"] <= scores["intervals"]["shape_iou"][1]
    first = run.history()[0]["val"]
    assert run.history()[-1]["val"]["loss"] < first["loss"]
    assert {"shape_iou", "pixels"} <= first.keys()
    assert gave["study"]["verdict"]["metric"] == "shape_iou"
    assert gave["evaluate"]["scores"]["pixels"] > 0.3
    assert gave["predict"]["predictions"]
