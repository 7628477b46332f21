"""The walk: counts and views equal to independent computation."""

import numpy as np
import pytest
import torch
from flop_count import count_by_torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.base import torchvision as tv
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.table import render
from striate.model.walk import walk


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "vit_b_16", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_any_module_can_be_walked(name: str) -> None:
    with torch.device("meta"):
        network = getattr(tv.load("torchvision.models"), name)()
    found = walk(network, size_hw=(224, 224))
    assert found.macs == count_by_torch(network, (3, 224, 224))
    assert found.parameters == sum(value.numel() for value in network.parameters())


def test_published_figures() -> None:
    figures = {"resnet18": (1.814, 18, 44.7), "resnet34": (3.664, 34, 83.3), "resnet50": (4.089, 50, 97.8)}
    for name, (giga, depth, megabytes) in figures.items():
        found = walk(zoo.blueprint(name))
        assert round(found.macs / 1e9, 3) == giga and found.depth == depth
        assert found.size_mb == pytest.approx(megabytes, abs=0.2)


def test_first_layer_of_alexnet_has_the_lecture_s_parameters() -> None:
    rows = (Row("conv", 96, stride=4, options={"kernel": 11, "padding": "valid"}),)
    layer = walk(Blueprint("alex", rows), size_hw=(227, 227)).layers[0]
    assert layer.out_shape == (96, 55, 55) and layer.parameters == 34_944
    assert layer.macs == 105_415_200  # 55 * 55 * 96 * 11 * 11 * 3


def seen_by_centre(network: nn.Module, at: str, size: int) -> tuple[int, int]:
    """Return height and width of the support of the input gradient of the unit in the middle of a row's output."""
    network = network.double().eval()
    with torch.no_grad():
        for value in network.parameters():
            value.fill_(1e-3)
    x = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    y = network.features(x, at=at)[at]
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    support = x.grad[0].abs().sum(0).numpy() > 0
    rows, columns = np.nonzero(support.any(1))[0], np.nonzero(support.any(0))[0]
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


BRANCHES = {
    "two 3x3 see 5x5": (Row("conv", 2), Row("conv", 2, name="end")),
    "stride": (Row("conv", 2, stride=2), Row("conv", 2, stride=2), Row("conv", 2, name="end")),
    "dilation": (Row("conv", 2, options={"dilation": 2}), Row("conv", 2, options={"dilation": (1, 4)}, name="end")),
    "average pooling": (
        Row("conv", 2),
        Row("avg_pool", stride=2, options={"kernel": 3, "padding": 1}),
        Row("conv", 2, name="end"),
    ),
    "tall and wide kernels": (
        Row("conv", 2, options={"kernel": (1, 7)}),
        Row("conv", 2, options={"kernel": (5, 1)}, name="end"),
    ),
    "branches": (
        Row("conv", 2, name="stem", stride=2),
        Row("conv", 2, name="small", inputs=("stem",), options={"kernel": 1}),
        Row("conv", 2, name="large", inputs=("stem",), options={"kernel": (3, 7)}),
        Row("conv", 2, name="deep", inputs=("small",)),
        Row("concat", name="mixed", inputs=("small", "large", "deep")),
        Row("conv", 2, name="end"),
    ),
    "residual": (
        Row("conv", 4),
        Row("basic", 4, repeat=2, options={"norm": "none"}),
        Row("bottleneck", 8, repeat=2, stride=2, options={"norm": "batch"}, name="end"),
    ),
    "not centred": (
        Row("conv", 2, options={"padding": "valid"}, name="stem", stride=2),
        Row("conv", 2, options={"padding": 3, "kernel": 5}, stride=2, name="left"),
        Row("conv", 2, options={"padding": 4, "kernel": 6}, stride=2, name="right", inputs=("stem",)),
        Row("concat", inputs=("left", "right")),
        Row("conv", 2, name="end"),
    ),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_receptive_field_is_the_support_of_the_gradient(name: str) -> None:
    network = build(Blueprint("x", BRANCHES[name]), channels=3, outputs=2, size_hw=(96, 96), seed=0)
    layer = next(layer for layer in walk(network).layers if layer.name == "end")
    assert layer.receptive_field_hw == seen_by_centre(network, "end", 96)


CONV = st.builds(
    lambda kernel, stride, dilation: Row("conv", 2, stride=stride, options={"kernel": kernel, "dilation": dilation}),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(CONV, min_size=1, max_size=4))
def test_receptive_field_of_random_stacks(rows: list[Row]) -> None:
    network = build(Blueprint("x", tuple(rows)), channels=3, outputs=2, size_hw=(192, 192), seed=0)
    last = walk(network).layers[-1]
    assert last.receptive_field_hw == seen_by_centre(network, last.name, 192)
    assert last.jump_hw[0] == np.prod([row.stride for row in rows])


def test_a_unit_after_global_pooling_sees_the_whole_image() -> None:
    found = walk(zoo.blueprint("mlp"), size_hw=(20, 30))
    assert found.layers[0].receptive_field_hw == (20, 30)
    rows = (Row("conv", 4), Row("global_pool", name="end"))
    assert walk(Blueprint("x", rows), size_hw=(20, 30)).layers[-1].receptive_field_hw == (22, 32)  # with padding


@pytest.mark.parametrize("kind", ["transposed", "nearest", "pad", "gate", "linear"])
def test_views_through_other_operations(kind: str) -> None:
    class Gate(nn.Module):
        def forward(self, x):
            return x * x.mean((2, 3), keepdim=True)

    class Pointwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    middle = {
        "transposed": (nn.ConvTranspose2d(2, 2, 2, 2), (6.0, 6.0)),
        "nearest": (nn.Upsample(scale_factor=2), (6.0, 6.0)),
        "pad": (nn.ZeroPad2d((0, 1, 0, 1)), (7, 7)),
        "gate": (Gate(), (36, 36)),
        "linear": (Pointwise(), (7, 7)),
    }[kind]
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 2, 3, 2, 1), middle[0], nn.Conv2d(2, 2, 3, 1, 1))
    network.to_empty(device="meta")
    found = walk(network, size_hw=(32, 32)).layers[-1].receptive_field_hw
    real = network.to_empty(device="cpu")
    assert found[0] >= _support(real, 32) >= found[0] - (4 if kind == "gate" else 2)


def _support(network: nn.Module, size: int) -> int:
    network = network.double()
    with torch.no_grad():
        for value in network.parameters():
            value.fill_(1e-2)
    x = torch.ones(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    y = network(x)
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    rows = np.nonzero(x.grad[0].abs().sum((0, 2)).numpy())[0]
    return int(rows[-1] - rows[0] + 1)


def test_walk_gives_the_network_back_unchanged() -> None:
    network = zoo.build("resnet18", classes=4, size=32, width=8, seed=0)
    network.rows["stem"].eval()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    walk(network)
    assert modes == [module.training for module in network.modules()]
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    with pytest.raises(RuntimeError):
        walk(network, channels=3, size_hw=(0, 32))
    assert modes == [module.training for module in network.modules()]


def test_activation_bytes_count_what_is_made_for_one_image() -> None:
    rows = (Row("conv", 4, options={"norm": "batch", "activation": "relu"}), Row("flatten"), Row("linear"))
    found = walk(Blueprint("x", rows), size_hw=(8, 8), outputs=3)
    # convolution and normalisation make a map each; ReLU works in place; flatten is a view
    assert [layer.activation_bytes for layer in found.layers] == [2 * 4 * 64 * 4, 0, 3 * 4]


def test_table_is_aligned_and_adds_up() -> None:
    text = render(walk(zoo.blueprint("resnet50")))
    lines = text.split("\n")
    assert lines[0] == "resnet50 on 224x224x3"
    assert len({len(line) for line in lines[1:-1]}) == 1
    assert "25,557,032" in lines[-1] and "4.089 G" in lines[-1] and "50 weighted layers" in lines[-1]
    assert "bottleneck x6" in text and "267x267" in text
