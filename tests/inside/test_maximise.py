"""Activation maximisation: on a linear unit the best image is known, elsewhere the value must beat every real image."""

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import SettingsError
from striate.inside.adversarial import PixelSpace
from striate.inside.maximise import Unit, maximise
from striate.model.build import build
from striate.model.zoo import blueprint

SPACE = PixelSpace((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def test_a_linear_unit_sees_its_own_weights():
    torch.manual_seed(0)
    weights = nn.functional.interpolate(torch.randn(1, 3, 3, 3), size=(12, 12), mode="bicubic")[0]
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 144, 2))
    with torch.no_grad():
        network[1].weight[1] = weights.flatten()
    found = maximise(network, Unit(channel=1), SPACE, (12, 12), steps=100, jitter=0.0)
    std = torch.tensor(SPACE.std).view(3, 1, 1)
    best = (weights > 0).float()  # of pixels in 0..1 whose weight counts
    values = [
        float(network(SPACE.normalised(one[None]))[0, 1].detach())
        for one in (best, torch.full_like(best, 0.5), torch.from_numpy(found.image).permute(2, 0, 1))
    ]
    assert values[2] == pytest.approx(found.value, rel=1e-5)
    assert values[1] < 0.9 * values[0] < values[2] <= values[0]
    right = (found.image > 0.5) == best.permute(1, 2, 0).numpy().astype(bool)
    assert right[np.abs((weights / std).permute(1, 2, 0).numpy()) > 1].mean() > 0.95


@pytest.mark.parametrize("unit", [Unit(channel=2), Unit("conv2", 3), Unit("conv2", 3, (1, 2))])
def test_the_value_is_the_networks_own_and_beats_noise_and_grey(unit):
    network = build(blueprint("bipyramid", width=8, depth=2), channels=3, outputs=3, size_hw=(16, 16), seed=1).train()
    found = maximise(network, unit, SPACE, (16, 16), steps=40, seed=5)
    assert network.training
    others = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = torch.cat([torch.from_numpy(found.image).permute(2, 0, 1)[None], others, torch.full((1, 3, 16, 16), 0.5)])
    network.eval()
    with torch.no_grad():
        ready = SPACE.normalised(images)
        out = network.features(ready, at=unit.row)[unit.row] if unit.row else network(ready)
    values = out[:, unit.channel]
    values = values[:, unit.place[0], unit.place[1]] if unit.place else values.reshape(len(values), -1).mean(1)
    assert found.value == pytest.approx(float(values[0]), rel=1e-4)
    assert found.value > float(values[1:].max())
    assert found.image.shape == (16, 16, 3)
    assert found.image.min() >= 0
    assert found.image.max() <= 1


def test_a_seed_makes_one_image_and_another_seed_another():
    network = build(blueprint("bipyramid", width=4, depth=2), channels=3, outputs=3, size_hw=(16, 16), seed=1)
    one, same, other = (maximise(network, Unit(), SPACE, (16, 16), steps=3, seed=seed).image for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_progress_is_reported_and_can_end_the_work():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2))

    def stop(done, whole):
        assert whole == 10
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maximise(network, Unit(), SPACE, (4, 4), steps=10, report=stop)


@pytest.mark.parametrize("unit", [Unit(channel=3), Unit("conv2", 99), Unit("conv2", 0, (50, 0)), Unit("nothing")])
def test_what_is_not_there_is_refused(unit):
    network = build(blueprint("bipyramid", width=4, depth=2), channels=3, outputs=3, size_hw=(16, 16), seed=1)
    with pytest.raises(SettingsError):
        maximise(network, unit, SPACE, (16, 16), steps=1)
    with pytest.raises(SettingsError):
        maximise(network, Unit(), SPACE, (16, 16), steps=0)
