"""Automatic augmentation leaves out what may make a target untrue; operations that are named are taken."""

import numpy as np

from striate.base.progress import Progress
from striate.data import open_dataset
from striate.run.prepare import suited
from striate.run.recipe import named


def kinds(target: str, *changes: str, progress: Progress | None = None) -> list[str]:
    recipe = named("augmented").changed(changes)
    return [op.kind for op in suited(recipe, open_dataset("toy:shapes?n=40&size=16"), 8, [target], progress).ops]


def test_only_targets_that_stay_true_are_turned_and_mirrored():
    whole = ["flip", "rotate", "shift", "zoom", "brightness", "contrast", "saturation"]
    assert kinds("label") == kinds("mask") == whole
    assert kinds("box") == [kind for kind in whole if kind != "rotate"]  # the upright hull of a turned box is too large
    assert kinds("angle") == whole[1:]
    assert kinds("angle", 'augment=["flip", "rotate"]') == ["flip", "rotate"]
    assert kinds("angle", "augment=light") == ["shift"]


def test_numbers_keep_their_place_and_size(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "n.npz", x_train=images, y_train=rng.normal(size=60))
    data = open_dataset(tmp_path / "n.npz")
    name = next(iter(data.targets))
    recipe = named("augmented")
    assert [op.kind for op in suited(recipe, data, 8, [name]).ops] == ["shift", "brightness", "contrast", "saturation"]


def test_what_is_left_out_is_said(capsys):
    kinds("angle", progress=Progress("plain"))
    assert "augmentation without flip: angle may no longer be right after it" in capsys.readouterr().err
