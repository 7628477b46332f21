"""Detectors learn 300 drawn images so well that they find nearly all objects of others."""

import pytest

from striate.base.progress import Progress
from striate.data.open import open_dataset
from striate.run.execute import train
from striate.run.recipe import named

DATA = "toy:shapes?objects=1..3&n=430&size=64"  # 300 of them to train on
SETTINGS = {"one_stage": ["train.epochs=40", "train.lr=0.003"]}  # those of other kinds are not known yet


@pytest.mark.slow
@pytest.mark.parametrize("kind", SETTINGS)
def test_shapes_are_found(kind, tmp_path):
    same = ["data.size=64", "model.encoder=xception_small", "augment=none"]
    run = train(
        open_dataset(DATA, task="detect"), kind, named("detect").changed([*same, *SETTINGS[kind]]),
        out=tmp_path / kind, progress=Progress("quiet"),
    )  # fmt: skip
    assert run.scores()["test"]["ap50"] >= 0.95
