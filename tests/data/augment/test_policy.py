"""RandAugment and TrivialAugment: the list and ranges of torchvision, and each choice as the operation it names."""

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.base.settings import Settings
from striate.data.augment import Flip, Mixup, Op, Pipeline, RandAugment, TrivialAugment
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch

v2 = tv.load("torchvision.transforms.v2")
OURS = {  # torchvision's name -> kind and pattern of draws
    "Identity": None, "ShearX": ("shear", "~."), "ShearY": ("shear", ".~"), "TranslateX": ("shift", "~."),
    "TranslateY": ("shift", ".~"), "Rotate": ("rotate", "~"), "Brightness": ("brightness", "~"),
    "Color": ("saturation", "~"), "Contrast": ("contrast", "~"), "Sharpness": ("sharpness", "~"),
    "Posterize": ("posterise", ".+"), "Solarize": ("solarise", ".+"), "AutoContrast": ("autocontrast", "."),
    "Equalize": ("equalise", "."),
}  # fmt: skip
PAIRS = [(RandAugment, "RandAugment", 331), (TrivialAugment, "TrivialAugmentWide", 224)]


def reach(op, draw: float) -> float:
    """The setting of an operation at one draw, in torchvision's unit."""
    row = np.array([[draw, 0.5]] if op.kind in {"shear", "shift"} else [[0.5, draw]], np.float32)
    if op.kind in {"posterise", "solarise"}:
        value = op.values(row)[0, 0]
        return 8 - np.log2(value) if op.kind == "posterise" else value / 256
    if op.kind == "shear":
        return op.matrices(row)[0, 0, 1]
    if op.kind == "shift":
        return -op.matrices(row)[0, 0, 2] / 2
    row = np.array([[draw]], np.float32)
    if op.kind == "rotate":
        return np.rad2deg(np.arctan2(*op.matrices(row)[0, [1, 0], 0]))
    if op.kind == "sharpness":
        return op.values(row)[0, 0] - 1
    matrix = op.matrices(row, np.zeros(1))[0]
    return matrix[0, 0] - 1 if op.kind != "saturation" else (matrix[0, 0] - 0.299) / (1 - 0.299) - 1


@pytest.mark.parametrize(("policy", "name", "side"), PAIRS)
def test_the_choices_and_their_ranges_are_torchvisions(policy, name, side):
    space = getattr(v2, name)._AUGMENTATION_SPACE
    ours = [None if op is None else (op.kind, pattern) for op, pattern in policy.choices]
    assert ours == [OURS[key] for key in space]
    for (op, _), (magnitudes, is_signed) in zip(policy.choices, space.values(), strict=True):
        if (span := magnitudes(31, side, side)) is None:
            continue
        last = float(span[-1]) / (side if op.kind == "shift" else 1)
        assert reach(op, 1.0) == pytest.approx(last, abs=1e-3)
        assert not is_signed or reach(op, 0.0) == pytest.approx(-last, abs=1e-3)
        first = float(span[0]) / (side if op.kind == "shift" else 1)
        assert reach(op, 0.5 if is_signed else 0.0) == pytest.approx(first, abs=1e-6)


def picks(op, num: int = 14_000) -> dict[tuple[str, str], np.ndarray]:
    found: dict[tuple[str, str], np.ndarray] = {}
    for number, (one, draws, chosen) in enumerate(op.parts(op.draw(num, 0, 0, 0))):
        found[number, one.kind] = draws[chosen]
    return found


def test_trivialaugment_draws_every_choice_and_magnitude_equally_often():
    found = picks(TrivialAugment(), 28_000)
    counts = [len(draws) for draws in found.values()]
    assert len(counts) == 13 and min(counts) > 1750 and max(counts) < 2250
    rotations = next(draws for (_, kind), draws in found.items() if kind == "rotate")[:, 0]
    assert len(np.unique(rotations.round(4))) == 61 and rotations.min() == 0 and rotations.max() == 1
    bits = next(draws for (_, kind), draws in found.items() if kind == "posterise")[:, 1]
    assert len(np.unique(bits)) == 31 and bits.min() == 0 and bits.max() == 1


@pytest.mark.parametrize(("n", "m"), [(1, 30), (2, 9), (3, 0)])
def test_randaugment_applies_n_operations_at_one_magnitude(n, m):
    found = picks(RandAugment(n=n, m=m))
    assert len(found) == 13 * n
    assert sum(map(len, found.values())) == pytest.approx(14_000 * n * 13 / 14, rel=0.02)
    for (_, kind), draws in found.items():
        if kind == "rotate":
            np.testing.assert_allclose(np.unique(draws), np.unique([0.5 - m / 60, 0.5 + m / 60]), atol=1e-6)


def picture(side: int, seed: int, channels: int) -> np.ndarray:
    yy, xx = np.mgrid[:side, :side] / side
    rng = np.random.default_rng(seed)
    waves = [np.sin(rng.uniform(2, 6) * xx + rng.uniform(2, 6) * yy + rng.uniform(0, 6)) for _ in range(channels)]
    return (np.stack(waves, axis=2) * 110 + 128).astype(np.uint8)


@pytest.mark.parametrize("op", [RandAugment(n=1, m=20), TrivialAugment()], ids=lambda op: op.kind)
def test_a_picture_gets_what_its_operation_alone_would_give(op):
    images = [picture(32, seed, 3) for seed in range(60)]
    pipeline, means = Pipeline([op]), np.stack([image.mean((0, 1)) for image in images])
    table = pipeline.draw(60, 0, 0)
    views = apply_cpu(images, pipeline.matrices(table, (32, 32), (32, 32), means))
    expected = np.stack(images)
    for one, draws, chosen in op.parts(table):
        for row in np.flatnonzero(chosen):
            plan = Pipeline([one]).matrices(draws[row : row + 1], (32, 32), (32, 32), means[row : row + 1])
            expected[row] = apply_cpu([images[row]], plan)[0]
    np.testing.assert_array_equal(views, expected)
    assert (expected != np.stack(images)).any((1, 2, 3)).mean() > 0.6


@pytest.mark.parametrize("op", [RandAugment(n=3), TrivialAugment()], ids=lambda op: op.kind)
@pytest.mark.parametrize("channels", [1, 3])
def test_cpu_and_gpu_code_agree_within_two_levels(op, channels):
    images = np.stack([picture(40, seed, channels) for seed in range(40)])
    pipeline, mean, std = Pipeline([Flip(), op]), [0.5] * channels, [0.25] * channels
    plan = pipeline.matrices(pipeline.draw(40, 0, 0), (40, 40), (36, 36), images.mean((1, 2)))
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, (36, 36)))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std)).permute(0, 2, 3, 1)
    levels = np.abs(ours - other.numpy()) * 255 * 0.25
    # sharpening and contrast multiply what the interpolations differ by, steps of posterise and equalise too
    assert levels.mean() < 0.4 and (levels > 2.01).mean() < 0.02 and levels.max() < 12


def test_batches_do_not_change_a_policy():
    images = [picture(24, seed, 3) for seed in range(12)]
    pipeline = Pipeline([RandAugment(), TrivialAugment()])
    table, means = pipeline.draw(12, 0, 0), np.full((12, 3), 100.0)
    whole = apply_cpu(images, pipeline.matrices(table, (24, 24), (24, 24), means))
    for row in range(12):
        plan = pipeline.matrices(table[row : row + 1], (24, 24), (24, 24), means[:1])
        np.testing.assert_array_equal(apply_cpu([images[row]], plan)[0], whole[row])


class Recipe(Settings):
    augment: tuple[Op, ...] = ()


def test_an_operation_may_be_written_as_its_name():
    recipe = Recipe.parse({"augment": ["flip", {"kind": "mixup", "alpha": 0.2}, "randaugment"]})
    assert recipe.augment == (Flip(), Mixup(alpha=0.2), RandAugment())
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe
