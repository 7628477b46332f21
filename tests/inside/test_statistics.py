"""Statistics of rows against numpy on maps from plain hooks, dead units that are planted, gradients by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.errors import DataError
from striate.data.sample import Batch
from striate.inside.gradients import RowGradient, gradients, reading
from striate.inside.statistics import feature_maps, row_names, statistics
from striate.model.build import build
from striate.model.zoo import blueprint
from striate.task.classify import Classify

FIGURES = ("least", "most", "mean", "rms", "zeros")


@pytest.fixture
def network():
    return build(blueprint("bipyramid", width=4, depth=2), channels=3, outputs=3, size_hw=(16, 16), seed=1)


@pytest.fixture
def images():
    return torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_figures_are_those_of_numpy_over_all_images_whatever_the_batches(network, images):
    kept, handles = {}, []
    for name, row in network.rows.items():
        hook = lambda module, args, out, name=name: kept.update({name: out.clone()})  # noqa: E731
        handles.append(row.register_forward_hook(hook))
    with torch.no_grad():
        network.eval()(images)
    for handle in handles:
        handle.remove()
    found = statistics(network, images.split(3))
    assert [one.name for one in found] == list(network.blueprint.names)
    for one in found:
        rows = np.moveaxis(kept[one.name].double().numpy(), 1, 0).reshape(one.shape[0], -1)
        expected = rows.min(1), rows.max(1), rows.mean(1), np.sqrt((rows**2).mean(1)), (rows == 0).mean(1)
        for name, values in zip(FIGURES, expected, strict=True):
            assert np.allclose(getattr(one, name), values, rtol=1e-5, atol=1e-7), (one.name, name)
        above = (kept[one.name] > 0).flatten(2).any(2) if kept[one.name].ndim > 2 else kept[one.name] > 0
        assert one.num_awake.tolist() == above.sum(0).tolist()
        assert one.num_images == 7


def test_maps_are_those_of_a_hook_and_of_features(network, images):
    name = network.blueprint.names[0]
    (found,) = feature_maps(network, images, [name]).values()
    with torch.no_grad():
        assert torch.allclose(found, network.eval().features(images, at=name)[name], atol=1e-6)
    assert set(feature_maps(network, images)) == set(network.blueprint.names)


def test_a_unit_that_never_wakes_is_found_and_no_other(images):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(6 * 14 * 14, 2))
    with torch.no_grad():
        network[0].bias[[1, 4]] = -100.0
    found = {one.name: one for one in statistics(network, [images])}
    assert row_names(network) == ("0", "1", "2", "3")
    assert found["1"].dead == [1, 4]
    assert found["1"].zeros[[1, 4]].tolist() == [1, 1]
    assert found["0"].dead == found["3"].dead == [] and found["3"].to_json()["dead"] is None  # below 0 is not dead
    assert (found["0"].least[[1, 4]] < -50).all()  # what the convolution gave, not what ReLU wrote over it


def test_the_saturated_share_is_counted_where_the_slope_is_small():
    network = nn.Sequential(nn.Flatten(), nn.Sigmoid())
    x = torch.tensor([[-9.0, -3.8, 0.0, 3.5, 3.8, 20.0]]).view(1, 6, 1, 1)  # y(1-y) < 0.025 beyond 3.64
    found = {one.name: one for one in statistics(network, [x])}
    assert found["1"].saturated == pytest.approx(4 / 6)
    assert found["0"].saturated is None


def test_no_images_are_refused(network):
    with pytest.raises(DataError, match="no images"):
        statistics(network, [])


def test_gradients_are_those_of_autograd_by_hand(network, images):
    task, truth = Classify("label", ("a", "b", "c")), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    found = gradients(network, task, Batch(images, {"label": truth}, np.arange(7)))
    assert all(one.grad is None for one in network.parameters())
    nn.functional.cross_entropy(network.eval()(images), truth).backward()
    for one in found:
        pairs = [(value.detach(), value.grad) for value in network.rows[one.name].parameters() if value.ndim > 1]
        assert one.weight_norm == pytest.approx(math.sqrt(sum(float((v**2).sum()) for v, _ in pairs)), rel=1e-5)
        assert one.gradient_norm == pytest.approx(math.sqrt(sum(float((g**2).sum()) for _, g in pairs)), rel=1e-4)
    assert [one.name for one in found] == [
        name for name in network.blueprint.names if any(v.ndim > 1 for v in network.rows[name].parameters())
    ]


def test_gradients_vanish_through_sigmoids_and_not_through_relus(images):
    task, truth = Classify("label", ("a", "b", "c")), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    batch, said = Batch(images, {"label": truth}, np.arange(7)), {}
    for activation in ("sigmoid", "relu"):
        plan = blueprint("bipyramid", width=4, depth=4, activation=activation, norm="none")
        said[activation] = reading(gradients(build(plan, channels=3, outputs=3, size_hw=(16, 16), seed=0), task, batch))
    assert "vanish:" in said["sigmoid"]
    assert "Neither" in said["relu"]


@pytest.mark.parametrize(("first", "text"), [(1e-4, "Gradients vanish"), (0.5, "Neither"), (1e4, "Gradients explode")])
def test_the_reading_says_what_the_numbers_say(first, text):
    assert text in reading([RowGradient("a", 1, first, 1), RowGradient("b", 1, 1, 1)])
    assert "nothing can be compared" in reading([RowGradient("a", 1, first, 1)])
