"""Every network of the zoo gives maps of the image's size, or a list of maps; a place sees its part of it."""

import pytest
import torch

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.decoder import with_map, with_pyramid
from striate.model.walk import walk
from striate.task import Map, Pyramid, Vector

IMAGES = ("autoencoder", "residual_unet", "unet")  # and their kin give maps as they are
SMALL = sorted(name for name in zoo.ZOO if zoo.blueprint(name).size <= 64 and not name.startswith(IMAGES))
LARGE = ("resnet18", "mobilenet_v2", "googlenet", "densenet121", "convnext_tiny", "squeezenet1_1", "vgg11")


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_a_network_of_the_zoo_makes_maps(name):
    size = zoo.blueprint(name).size if name in SMALL else 64
    plan = zoo.blueprint(name)
    body = {row.name for row in plan.rows}
    extended = Map(7).extended(plan, channels=3, size_hw=(size, size))
    network = build(extended, channels=3, outputs=7, size_hw=(size, size), seed=0)
    images = torch.randn(2, 3, size, size)
    outputs = network(images)
    assert Map(7).fits(outputs, images)
    outputs.sum().backward()
    missing = [key for key, one in network.named_parameters() if one.requires_grad and one.grad is None]
    assert not missing
    assert extended.head not in body
    assert not extended.auxiliary_heads
    assert Map(7).extended(extended, channels=3, size_hw=(size, size)) == extended
    assert Blueprint.from_json(extended.to_json()) == extended


@pytest.mark.parametrize("name", ["bipyramid", "resnet20", "vit_cifar", "mlp", "mobilenet_v2_cifar"])
def test_a_network_of_the_zoo_makes_a_list_of_maps(name):
    size = zoo.blueprint(name).size
    plan = Pyramid(4).extended(zoo.blueprint(name), channels=3, size_hw=(size, size))
    network = build(plan, channels=3, outputs=4, size_hw=(size, size), seed=0)
    images = torch.randn(2, 3, size, size)
    outputs = network(images)
    assert Pyramid(4).fits(outputs, images)
    sides = [one.shape[2] for one in outputs]
    assert sides == sorted(sides, reverse=True)
    sum(one.sum() for one in outputs).backward()
    assert all(one.grad is not None for one in network.parameters())
    assert Blueprint.from_json(plan.to_json()) == plan


def test_maps_of_other_sizes_and_sides_that_differ():
    plan = with_map(zoo.blueprint("bipyramid"), channels=3, size_hw=(64, 64))
    network = build(plan, channels=3, outputs=2, size_hw=(64, 64), seed=0).eval()
    assert network(torch.randn(1, 3, 96, 48)).shape == (1, 2, 96, 48)


def test_a_change_far_away_changes_a_place_less_than_one_near():
    plan = with_map(zoo.blueprint("resnet20"), channels=3, size_hw=(64, 64))
    network = build(plan, channels=3, outputs=1, size_hw=(64, 64), seed=0).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    network(images)[0, 0, 8, 8].backward()
    gradient = images.grad.abs().sum((0, 1))
    assert gradient[:16, :16].sum() > 10 * gradient[48:, 48:].sum()


def test_what_is_counted_and_where_the_body_ends():
    plan = zoo.blueprint("resnet20")
    extended = with_map(plan, channels=3, size_hw=(32, 32))
    before, after = (walk(one, size_hw=(32, 32), channels=3, outputs=5) for one in (plan, extended))
    ours = build(extended, channels=3, outputs=5, size_hw=(32, 32), seed=0)
    assert after.parameters == sum(one.numel() for one in ours.parameters()) != before.parameters
    assert extended.rows[extended.names.index(extended.head) - 1].name == "stage3"
    assert ours.stages == build(plan, channels=3, outputs=5, size_hw=(32, 32), seed=0).stages


def test_a_vector_head_leaves_the_blueprint_and_what_has_no_features_is_refused():
    plan = zoo.blueprint("mlp")
    assert Vector(3).extended(plan, channels=3, size_hw=(64, 64)) is plan
    bare = Blueprint("bare", (Row("flatten"),))
    with pytest.raises(SettingsError, match="no map and no vector of features"):
        with_pyramid(bare, channels=3, size_hw=(8, 8))
    with pytest.raises(SettingsError, match="end 'nothing' is no row"):
        Blueprint("odd", (Row("conv", 8),), ends=("nothing",))
