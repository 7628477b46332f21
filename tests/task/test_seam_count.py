"""A task defined here, and nowhere else: how many shapes are on an image. Its loss, metric and section are its own."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from markupsafe import Markup
from PIL import Image
from seam import drive

from striate.base.rundir import RunDir
from striate.metric import Metric
from striate.report.tasks import Section, Sections
from striate.report.tasks import register as show
from striate.task import Decoded, Defaults, Vector, mean_sigmoid, register


@register
class Count(Defaults):
    """Of K counts: K - 1 questions "are there more than k?", each a logit (Frank and Hall 2001)."""

    name: ClassVar[str] = "count"
    kind: ClassVar[str] = "label"
    kinds: ClassVar[tuple[str, ...]] = ("label",)
    views: ClassVar[Any] = mean_sigmoid
    metrics: ClassVar[Any] = (
        Metric("miscount", "mean miscount", "min", possible=(0.0, 9.0), record=lambda a: np.abs(a.truth - a.values)),
        Metric("exact", "exact count", form="percent", possible=(0.0, 1.0), record=lambda a: a.truth == a.values),
    )

    @property
    def head(self):
        return Vector(len(self.names) - 1)

    def losses(self, outputs, batch):
        is_more = batch.targets[self.target][:, None] > torch.arange(outputs.shape[1], device=outputs.device)
        return F.binary_cross_entropy_with_logits(outputs, is_more.float(), reduction="none").sum(1)

    def decode(self, outputs):
        more = F.pad(outputs.sigmoid().cummin(1).values, (1, 0), value=1.0)
        return Decoded((outputs.cummin(1).values > 0).sum(1), more - F.pad(more[:, 1:], (0, 1)))

    def details(self, answers):
        return {"miscounts": np.bincount(np.abs(answers.truth - answers.values), minlength=len(self.names)).tolist()}


class CountSections(Sections):
    def inside(self, subject):
        rows = [scores["miscounts"] for scores in subject.scores]
        text = Markup("<p>Off by 0, 1, 2, ...: {}</p>").format(rows)
        return [Section("miscounts", "miscounts", "How far off the counts are", text), *super().inside(subject)]


show("count", CountSections())


def squares(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 16 px with 1 to 3 bright squares on places that do not touch."""
    rng = np.random.default_rng(seed)
    counts, images = rng.integers(1, 4, num), rng.integers(0, 60, (num, 16, 16, 3), dtype=np.uint8)
    for image, count in zip(images, counts, strict=True):
        for place in rng.choice(9, count, replace=False):
            row, column = divmod(int(place), 3)
            image[5 * row + 1 : 5 * row + 4, 5 * column + 1 : 5 * column + 4] += 150
    return images, counts - 1


@pytest.mark.filterwarnings("ignore")
def test_a_task_of_a_file_goes_all_the_way(tmp_path, capsys):
    (train, labels), (test, others) = squares(150, 0), squares(50, 1)
    np.savez(tmp_path / "squares.npz", x_train=train, y_train=labels, x_test=test, y_test=others)
    Image.fromarray(test[0]).save(tmp_path / "one.png")
    gave = drive(capsys, str(tmp_path / "squares.npz"), "count", tmp_path, tmp_path / "one.png")
    scores = RunDir(tmp_path / "whole").scores()["test"]
    assert sum(scores["miscounts"]) == 50
    far = sum(number * place for place, number in enumerate(scores["miscounts"]))
    assert scores["miscount"] == pytest.approx(far / 50)
    assert scores["exact"] == pytest.approx(scores["miscounts"][0] / 50)
    assert scores["intervals"]["miscount"][0] <= scores["miscount"] <= scores["intervals"]["miscount"][1]
    assert gave["study"]["verdict"]["metric"] == "miscount"
    assert 'id="miscounts"' in gave["page"]
    assert "How far off the counts are" in gave["page"]
    assert "miscount" in gave["page"]
    assert gave["evaluate"]["views"] == 2
    assert gave["predict"]["predictions"][0]["prediction"][0] in {"0", "1", "2"}
