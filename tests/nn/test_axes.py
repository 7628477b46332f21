"""Blocks of signals and volumes: equal to torch's layers with the same weights; costs equal to torch's counter."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.walk import walk
from striate.model.zoo import blueprint
from striate.nn.blocks import BLOCKS
from striate.task import Map

SIZES = {1: (16,), 2: (16, 12), 3: (8, 12, 10)}
AXES = pytest.mark.parametrize("dims", [1, 2, 3])


def layer(name, dims):
    return getattr(nn, f"{name}{dims}d")


def maps(dims, channels=4):
    return torch.randn(2, channels, *SIZES[dims], generator=torch.Generator().manual_seed(0))


@AXES
def test_convolution_and_normalisation_equal_torch(dims):
    block = BLOCKS["conv"](4, 6, stride=2, norm="batch", activation="relu", dims=dims)
    conv, norm = layer("Conv", dims)(4, 6, 3, 2, 1, bias=False), layer("BatchNorm", dims)(6)
    conv.load_state_dict(block[0].state_dict())
    assert torch.equal(block(maps(dims)), norm(conv(maps(dims))).relu())


@AXES
@pytest.mark.parametrize(("kind", "name"), [("max_pool", "MaxPool"), ("avg_pool", "AvgPool")])
def test_pooling_equals_torch(dims, kind, name):
    block = BLOCKS[kind](4, kernel=3, stride=2, padding=1, dims=dims)
    assert torch.equal(block(maps(dims)), layer(name, dims)(3, 2, 1)(maps(dims)))


@AXES
def test_global_pooling_is_the_mean_over_all_axes(dims):
    assert torch.allclose(BLOCKS["global_pool"](4, dims=dims)(maps(dims)), maps(dims).flatten(2).mean(2), atol=1e-6)


@AXES
def test_transposed_convolution_equals_torch_and_fits_another_map(dims):
    block = BLOCKS["transposed"]((4, 3), 5, stride=2, dims=dims)
    plain = layer("ConvTranspose", dims)(4, 5, 2, 2)
    plain.load_state_dict(block.conv.state_dict())
    assert torch.equal(block(maps(dims)), plain(maps(dims)))
    like = torch.zeros(1, 3, *(2 * side - 1 for side in SIZES[dims]))
    cut = tuple(slice(side) for side in like.shape[2:])
    assert torch.equal(block(maps(dims), like), plain(maps(dims))[(..., *cut)])


@AXES
def test_unpooling_puts_maxima_back_as_torch_does(dims):
    pooled, at = layer("MaxPool", dims)(2, 2, return_indices=True)(maps(dims))
    wanted = layer("MaxUnpool", dims)(2, 2)(pooled, at)
    assert torch.equal(BLOCKS["max_unpool"]((4, 4), dims=dims)(pooled, maps(dims)), wanted)


@pytest.mark.parametrize("name", ["unet", "encoder_decoder", "segnet", "segnet_nearest"])
def test_what_a_study_of_segmentation_compares_works_on_volumes(name):
    network = build(blueprint(name, width=4), channels=1, outputs=3, size_hw=(16, 32, 16), seed=0).eval()
    assert network(torch.randn(1, 1, 16, 32, 16)).shape == (1, 3, 16, 32, 16)
    walk(network)


@AXES
@pytest.mark.parametrize("stride", [1, 2])
def test_a_residual_block_equals_its_parts(dims, stride):
    block = BLOCKS["basic"](4, 6, stride=stride, norm="none", dims=dims).eval()
    first, second = (part[0] for part in block.branch)
    x = maps(dims)
    conv = getattr(nn.functional, f"conv{dims}d")
    y = conv(x, first.weight, first.bias, stride, 1).relu()
    y = conv(y, second.weight, second.bias, 1, 1) + conv(x, block.shortcut[0].weight, None, stride)
    assert torch.allclose(block(x), y.relu(), atol=1e-6)


@AXES
@pytest.mark.parametrize("name", ["bottleneck", "pre_basic", "pre_bottleneck", "pre_conv", "normalise"])
def test_other_blocks_take_maps_of_any_axes(dims, name):
    given = {} if name == "normalise" else {"width": 8}
    out = BLOCKS[name](4, **given, dims=dims)(maps(dims))
    assert out.shape == (2, 4 if name == "normalise" else 8, *SIZES[dims])


@pytest.mark.parametrize("dims", [1, 3])
def test_what_the_walk_says_equals_torch_of_networks_of_any_axes(dims):
    rows = (
        Row("conv", 8, options={"norm": "batch"}),
        Row("basic", 8, repeat=2),
        Row("max_pool", stride=2),
        Row("bottleneck", 16),
        Row("global_pool"),
        Row("linear"),
    )
    plan, size = Blueprint("net", rows, dims=dims, size=16), SIZES[dims]
    network = build(plan, channels=3, outputs=5, size_hw=size, seed=0).eval()
    found = walk(network)
    with FlopCounterMode(display=False) as counter:
        out = network(torch.zeros(1, 3, *size))
    assert out.shape == (1, 5) and 2 * found.macs == counter.get_total_flops()
    assert found.parameters == sum(value.numel() for value in network.parameters())
    assert found.layers[1].out_shape == (8, *size) and walk(plan, outputs=5).parameters == found.parameters


def test_a_unet_of_volumes_gives_a_map_of_their_size_and_costs_what_torch_counts():
    plan = blueprint("unet_3d", width=4, depth=2)
    network = build(plan, channels=1, outputs=3, size_hw=(8, 12, 10), seed=0).eval()
    with FlopCounterMode(display=False) as counter:
        out = network(torch.randn(1, 1, 8, 12, 10))
    found = walk(network)
    assert out.shape == (1, 3, 8, 12, 10) and 2 * found.macs == counter.get_total_flops()
    flat = walk(blueprint("unet", width=4, depth=2), size_hw=(12, 10), channels=1, outputs=3)
    assert found.layers[-1].receptive_field_hw == flat.layers[-1].receptive_field_hw
    assert Blueprint.from_json(plan.to_json()) == plan and plan.dims == 3


def test_the_middle_slice_of_a_volume_alike_in_depth_is_what_the_flat_network_makes():
    """Kernels that are zero but in their middle slice see each slice alone."""
    flat = BLOCKS["conv"](4, 6, bias=False)
    deep = BLOCKS["conv"](4, 6, bias=False, dims=3)
    with torch.no_grad():
        deep[0].weight.zero_()[:, :, 1] = flat[0].weight
    volume = maps(3)
    wanted = torch.stack([flat(volume[:, :, depth]) for depth in range(8)], 2)
    assert torch.allclose(deep(volume), wanted, atol=1e-6)


def test_a_block_of_images_alone_says_so_on_volumes():
    with pytest.raises(SettingsError, match="unet_3d"):
        build(Blueprint("net", (Row("separable", 8), Row("conv"))), channels=1, outputs=3, size_hw=(8, 8, 8))


def test_a_classifier_of_images_gets_a_decoder_for_volumes():
    plan = Map(3).extended(blueprint("resnet18", width=4), channels=1, size_hw=(32, 40, 36))
    network = build(plan, channels=1, outputs=3, size_hw=(32, 40, 36), seed=0).eval()
    assert network(torch.zeros(1, 1, 32, 40, 36)).shape == (1, 3, 32, 40, 36)
