"""The narrator on runs really made to have each fault: seconds of training on images of 16 px."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import DivergedError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data.sample import Dataset
from striate.data.sources.arrays import ArrayImages
from striate.data.target import Label
from striate.diagnose import Remark, narrate
from striate.run.execute import train
from striate.run.recipe import named

Tell = Callable[..., tuple[Remark, ...]]


def bands(num_train: int = 150, num_val: int = 150, *, bright: int = 60, wrong: float = 0.0) -> Dataset:
    """Images of 16 px in 3 classes: a bright band at the top, in the middle or at the bottom; some labels wrong."""
    rng = np.random.default_rng(0)
    num = num_train + num_val
    labels = np.arange(num) % 3
    images = rng.integers(0, 120, (num, 16, 16, 3), dtype=np.uint8)
    for index, label in enumerate(labels):
        images[index, 5 * label : 5 * label + 5] += np.uint8(bright)
    is_wrong = rng.random(num) < wrong
    said = np.where(is_wrong, (labels + rng.integers(1, 3, num)) % 3, labels).astype(np.int64)
    target = {"label": Label(said, ("top", "middle", "bottom"))}
    splits = {"train": np.arange(num_train), "val": np.arange(num_train, num)}
    return Dataset("bands", "", ArrayImages(images), tuple(f"{i}.png" for i in range(num)), target, splits, 3)


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Train on `bands` and have the run told."""
    torch.set_num_threads(1)

    def carry_out(data: Dataset, model: Any, *changes: str, recipe: str = "baseline") -> tuple[Remark, ...]:
        fixed = ["train.precision=float32", "train.record_gradients=true"]
        settings = named(recipe).changed([*fixed, *changes])
        with contextlib.suppress(DivergedError):
            train(data, model, settings, recipe_name=recipe, out=tmp_path / "run", progress=Progress("quiet"))
        return narrate(RunDir(tmp_path / "run"))

    return carry_out


SMALL = ("model.width=8", "model.depth=2")


def test_a_healthy_run(tell: Tell) -> None:
    (remark,) = tell(bands(), "bipyramid", *SMALL, "train.epochs=12", "augment=none", recipe="regularized")
    assert remark.state == "healthy" and "nothing can be gained" in remark.evidence  # all of its images are right


def test_a_rate_that_is_far_too_high(tell: Tell) -> None:
    remarks = tell(bands(), "bipyramid", *SMALL, "train.epochs=4", "train.lr=1", "model.norm=batch")
    assert remarks[0].state == "rate_too_high" and "rate" in remarks[0].evidence and "0.001" in remarks[0].next


def test_a_run_that_diverges(tell: Tell) -> None:
    remarks = tell(bands(), "mlp", "train.epochs=4", "train.lr=1e9", "train.optimiser=sgd")
    assert remarks[0].state == "rate_too_high"


def test_a_rate_that_is_far_too_low(tell: Tell) -> None:
    remarks = tell(bands(), "bipyramid", *SMALL, "train.epochs=4", "train.lr=1e-6")
    assert [one.state for one in remarks] == ["rate_too_low"]


def test_long_training_on_few_noisy_images_without_a_remedy(tell: Tell) -> None:
    remarks = tell(bands(24, bright=8), "mlp", "train.epochs=40", "train.patience=0")
    assert [one.state for one in remarks] == ["over_fitting"] and "augmentation" in remarks[0].next


def test_a_tiny_network_with_heavy_dropout(tell: Tell) -> None:
    changes = ("model.width=2", "model.depth=2", "model.dropout=0.9", "train.epochs=8", "train.patience=0")
    remarks = tell(bands(), "bipyramid", *changes)
    assert [one.state for one in remarks] == ["under_fitting"] and "Drop fewer units" in remarks[0].next


def test_relus_with_biases_far_below_zero(tell: Tell) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    nn.init.constant_(network[0].bias, -50.0)  # type: ignore[arg-type]
    remarks = tell(bands(), network, "train.epochs=3")
    assert remarks[0].state == "dead_units" and "100% of the units" in remarks[0].evidence


def test_relus_that_a_huge_rate_killed(tell: Tell) -> None:
    remarks = tell(bands(), "bipyramid", *SMALL, "train.epochs=4", "train.lr=1")
    assert {"dead_units", "rate_too_high"} <= {one.state for one in remarks}
    assert all("rate of 0.001" in one.next for one in remarks if one.state == "dead_units")


def test_a_deep_sigmoid_network(tell: Tell) -> None:
    changes = ("model.depth=10", "model.width=16", "model.activation=sigmoid", "train.epochs=4")
    remarks = tell(bands(), "mlp", *changes)
    assert remarks[0].state == "vanishing_gradients" and "Use ReLUs" in remarks[0].next


def test_batch_norm_on_two_images(tell: Tell) -> None:
    remarks = tell(bands(60), "bipyramid", *SMALL, "train.epochs=3", "train.batch_size=2", "model.norm=batch")
    assert remarks[0].state == "batch_too_small_for_norm" and "2 images a step" in remarks[0].evidence


def test_wrong_labels_that_the_recipe_made(tell: Tell) -> None:
    remarks = tell(bands(), "bipyramid", *SMALL, "train.epochs=4", "train.label_noise=0.4", "model.norm=batch")
    assert remarks[0].state == "label_noise" and "40%" in remarks[0].evidence


def test_wrong_labels_in_the_data(tell: Tell) -> None:
    data = bands(600, 300, wrong=0.4)
    remarks = tell(data, "bipyramid", *SMALL, "train.epochs=8", "model.norm=batch", "train.lr=0.01")
    assert "label_noise" in [one.state for one in remarks]
    assert "mistakes on validation" in remarks[0].evidence


def test_a_solved_head_gets_no_remark_on_epochs(tell: Tell, tmp_path: Path) -> None:
    base = tmp_path / "base"
    train(bands(), "bipyramid", named("baseline").changed([*SMALL, "train.epochs=6", "train.lr=0.01"]), out=base,
          progress=Progress("quiet"))  # fmt: skip
    remarks = tell(bands(), "bipyramid", f"transfer.weights={base}", recipe="features")
    assert {one.state for one in remarks} <= {"healthy", "over_fitting", "under_fitting"}
    assert not any("epoch" in one.evidence + one.next for one in remarks)
