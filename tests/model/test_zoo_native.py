"""Every network on the input it is made for: built and walked once, its counts, facts, issues, drawing and stages."""

from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch
from drawings import SVG, boxes
from flop_count import count_by_torch
from zoo_families import marked

from striate.model import zoo
from striate.model.build import build
from striate.model.catalogue import counted, facts
from striate.model.draw import draw
from striate.model.issues import Issue, examine
from striate.model.network import Network
from striate.model.walk import Walk, at_native

# Strides of the stages for the size each network is made for; "5x" of LeNet: 5x5 convolutions without padding.
STRIDES = {
    "unet_3d": [1, 2, 4, 8],
    **{key: [1] for key in ("fcn_1d", "resnet_1d", "rnn", "lstm", "gru", "tcn", "transformer_1d")},
    "bipyramid": [1, 2, 4, 8, 16, 32],
    "mlp": [],
    "airbench": [1, 2, 4, 8],
    "neocognitron": [1, 2, 4, 8],
    **{key: [1, 3, 6, 32] for key in ("lenet5", "lenet5_dense")},
    "alexnet": [4, 8, 16, 32],
    **{f"vgg{depth}{norm}": [1, 2, 4, 8, 16, 32] for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{key: [2, 4, 8, 16] for key in ("squeezenet1_0", "squeezenet1_1")},
    **{key: [1, 2, 4] for key in (f"resnet{layers}" for layers in (20, 32, 44, 56, 110))},
    "densenet_cifar": [1, 2, 4],
    "mobilenetv1_cifar": [1, 2, 4, 8, 16],
    "mobilenet_v2_cifar": [1, 2, 4, 8],
    "xception_small": [2, 4, 8, 16],
    **{f"convnext_{one}": [4, 8, 16, 32] for one in ("tiny", "small", "base", "large")},
    "vit_b_16": [16],
    **{key: [1, 2, 4, 8, 16] for key in ("unet", "encoder_decoder", "segnet", "segnet_nearest", "deeplabv3plus")},
    **{key: [1, 2, 4, 8, 16, 32] for key in ("fcn32s", "fcn16s", "fcn8s", "fpn", "linknet")},
    **{f"{name}_resnet{layers}": [2, 4, 8] for name in ("fcn", "deeplabv3") for layers in (50, 101)},
    **{key: [2, 4, 8, 16] for key in ("lraspp_mobilenet_v3_large", "yolo_v1", "detr")},
    "vit_cifar": [4],
    **{f"residual_unet{way}": [1, 2, 4, 8] for way in ("", "_transposed", "_resize")},
    **{f"autoencoder{size}": [2, 4, 8] for size in ("", "_32", "_512")},
}


@dataclass
class Native:
    """A network on the meta device, and what was found of it."""

    name: str
    network: Network
    walk: Walk
    issues: tuple[Issue, ...]


@pytest.fixture(scope="module", params=marked(zoo.names()))
def native(request: pytest.FixtureRequest) -> Native:
    network = at_native(zoo.blueprint(request.param))
    return Native(request.param, network, *examine(network))


def test_counts_equal_torch_and_the_state_dict(native: Native) -> None:
    network, found = native.network, native.walk
    buffers = {key for key, _ in network.named_buffers()}
    state = {key: value.numel() for key, value in network.state_dict().items()}
    assert found.parameters == sum(count for key, count in state.items() if key not in buffers)
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    assert sum(layer.macs for layer in found.layers) == found.macs
    assert found.macs == count_by_torch(network, (network.channels, *network.size_hw))
    assert found.size_mb == pytest.approx(sum(state.values()) * 4 / 2**20)


def test_the_catalogue_s_line_equals_a_new_walk(native: Native) -> None:
    line = facts(native.name)
    at = (line.size_px, line.channels, line.outputs)
    numbers = (line.parameters, line.macs, line.parameters_trained, line.depth, line.size_mb)
    assert (*at, *numbers) == counted(native.name, native.walk), "run `python -m striate.model.catalogue`"


def test_published_networks_have_notes_only(native: Native) -> None:
    assert all(issue.is_note for issue in native.issues), native.issues
    kinds = {issue.kind for issue in native.issues if issue.kind == "bias"}
    assert kinds == ({"bias"} if native.name.endswith("_bn") else set())


def test_every_network_can_be_drawn(native: Native) -> None:
    root = ElementTree.fromstring(draw(native.network))
    wide, high = map(float, root.get("viewBox").split()[2:])
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "rect", "text", "tspan", "path", "g")
    }
    drawn = boxes(root)
    rows = {row for title, _ in drawn for row in title.split(":")[0].split(", ")}
    assert rows == {"image", *native.network.blueprint.names}
    for _, face in drawn:
        assert face["x"] >= 0 and face["x"] + face["width"] <= wide
        assert face["y"] >= 0 and face["y"] + face["height"] <= high
    for one, other in combinations(drawn, 2):
        assert not _overlap(one[1], other[1]), (one, other)


def _overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    apart_x = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
    return not (apart_x or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"])


def test_there_is_a_named_stage_at_each_stride(native: Native, tiny) -> None:
    name, network, size = native.name, native.network, native.network.blueprint.size
    maps = [network.grids.get(row, network.shapes[row][1:])[-1] for row in network.stages]
    strides = STRIDES.get(name, [2, 4, 8, 16, 32])
    assert len(maps) == len(strides)
    # what padding leaves out makes maps a little smaller than size / stride
    for side, stride in zip(maps, strides, strict=True):
        assert 0.75 * size / stride <= side <= size / stride + 1, (name, dict(zip(strides, maps, strict=True)))
    given, (side, _) = tiny[name]
    small = build(zoo.blueprint(name, **given), channels=3, outputs=3, size_hw=(side, side), seed=0).eval()
    with torch.no_grad():
        found = small.features(torch.rand(2, 3, side, side))
    sides = [y.shape[-1] for y in found.values()]
    assert all(y.ndim == 4 for y in found.values()) and sides == sorted(set(sides), reverse=True)
    assert set(found) == set(small.stages) < set(small.rows)
