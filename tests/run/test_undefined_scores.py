"""A score that is not defined decides nothing: the loss does, and training ends with the right weights."""

import math
from dataclasses import replace

import numpy as np
import pytest

from striate.data.target import Tags
from striate.engine.stop import Stop
from striate.predict import Predictor
from striate.run.execute import train
from striate.run.recipe import named

NAN = math.nan


@pytest.mark.parametrize(
    ("epochs", "best"),  # (score, loss) of each epoch
    [
        ([(0.0, 0.9), (NAN, 0.2), (NAN, 0.3)], 2),  # F1 is undefined exactly when everything is right
        ([(NAN, 0.5), (NAN, 0.4), (NAN, 0.6)], 2),
        ([(NAN, 0.5), (0.1, 0.9)], 1),
        ([(NAN, 0.5), (0.8, 0.3), (0.9, 0.4)], 3),
        ([(0.5, 0.4), (NAN, NAN), (0.5, 0.3)], 3),
        ([(NAN, NAN), (NAN, 0.7)], 2),
        ([(0.5, NAN), (0.5, 0.7)], 2),
        ([(NAN, math.inf), (NAN, 2.0)], 2),
        ([(0.6, math.inf), (0.5, 2.0)], 1),
        ([(NAN, NAN), (NAN, NAN)], 0),
    ],
)
def test_the_loss_decides_where_the_score_is_undefined(epochs, best):
    stop = Stop("max", 0)
    for epoch, (score, loss) in enumerate(epochs, 1):
        stop.is_better(score, loss, epoch)
    assert stop.best_epoch == best


def test_without_a_positive_tag_in_validation_the_network_that_gives_none_is_kept(tiny_tags, quiet, tmp_path, capsys):
    recipe = named("baseline").changed(
        ["train.epochs=6", "train.patience=0", "train.lr=0.02", "train.precision=float32", "model.width=8"]
    )
    run = train(tiny_tags, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    rows = run.history()
    undefined = [row["epoch"] for row in rows if row["val"]["f1"] is None]
    assert undefined, "the case is not met"
    best = min((row for row in rows if row["val"]["f1"] is None), key=lambda row: row["val"]["loss"])
    assert run.info()["result"]["best_epoch"] == best["epoch"]
    assert any("f1 is undefined" in note for note in run.info()["notes"])
    assert "the loss chose the best" in capsys.readouterr().err
    dark = np.full((16, 16, 3), 30, np.uint8)
    assert Predictor.load(run)([dark])[0].names == ()


@pytest.fixture
def tiny_tags(tiny):
    """Bright images have the tag, dark ones none; validation has dark ones only."""
    rng = np.random.default_rng(0)
    tags = (np.arange(96) % 3 == 0).astype(np.uint8)[:, None]
    images = rng.integers(0, 60, (96, 16, 16, 3)) + 150 * tags[:, :, None, None]
    val = np.flatnonzero(tags[:, 0] == 0)[:20]
    rest = np.setdiff1d(np.arange(96), val)
    return replace(
        tiny,
        images=type(tiny.images)(images.astype(np.uint8)),
        targets={"tags": Tags(tags, ("bright",))},
        splits={"train": rest[:60], "val": val, "test": rest[60:]},
    )
