"""Each option that a network declares changes what it says; every network takes any input and has named stages."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import nn

from striate.model import zoo
from striate.model.build import assemble, build
from striate.model.network import Network
from striate.nn.blocks.attention import Transformer
from striate.nn.blocks.neocognitron import SimpleCells
from striate.nn.blocks.queries import Queries
from striate.nn.blocks.regions import GivenBoxes, Proposals, Regions, ThirdLook
from striate.nn.blocks.residual import DropPath

LAYERS = nn.Conv2d | nn.Linear | SimpleCells


def of(network: nn.Module, kind: Any) -> list[Any]:
    return [part for part in network.modules() if isinstance(part, kind)]


def kinds(network: nn.Module) -> set[str]:
    return {type(part).__name__ for part in network.modules()}


def norms(network: nn.Module) -> set[str]:
    return {kind for kind in kinds(network) if "Norm" in kind}


def drops(rate: float) -> Callable[[Network, Network], bool]:
    return lambda old, new: any(part.p == rate for part in of(new, nn.Dropout | nn.Dropout2d))


def deeper(old: Network, new: Network) -> bool:
    old_layers, new_layers = (of(network, LAYERS) + of(network, nn.RNNBase) for network in (old, new))
    return len(new_layers) > len(old_layers)


def wider(old: Network, new: Network) -> bool:
    before, after = (
        [len(part.weight) for part in of(network, LAYERS)] + [part.hidden_size for part in of(network, nn.RNNBase)]
        for network in (old, new)
    )
    return sum(after) > sum(before)


def kernels(network: Network) -> list[Any]:
    return [part.kernel_size for part in of(network, nn.Conv2d)]


def inner_width(network: Network, row: str) -> int:
    return len(of(network.rows[row], LAYERS)[0].weight)


DEEPER: dict[type, Callable[[Any], Any]] = {
    int: lambda depth: depth + 1,
    float: lambda depth: depth * 3,
    list: lambda depth: [*depth[:-1], depth[-1] + 1],
    tuple: lambda depth: [*depth[:-1], depth[-1] + 1],
}
# Option -> its other value, given the usual one, and what is then true of the network before and of the one after.
CHANGES: dict[str, tuple[Callable[[Any], Any], Callable[[Network, Network], bool]]] = {
    "width": (lambda width: width * 3, wider),
    "depth": (lambda depth: DEEPER[type(depth)](depth), deeper),
    "norm": (lambda norm: "batch" if norm == "layer" else "layer", lambda old, new: bool(norms(new) - norms(old))),
    "activation": (lambda _: "elu", lambda old, new: "ELU" in kinds(new) and "ELU" not in kinds(old)),
    "early_activation": (lambda _: "elu", lambda old, new: "ELU" in kinds(new) and "ELU" not in kinds(old)),
    "dropout": (lambda _: 0.15, drops(0.15)),
    "aux_dropout": (lambda _: 0.15, drops(0.15)),
    "layer_dropout": (lambda _: 0.15, drops(0.15)),
    "spatial_dropout": (lambda _: 0.15, drops(0.15)),
    "drop_path": (
        lambda _: 0.45,
        lambda old, new: 0.3 < max(part.rate for part in of(new, DropPath)) < 0.4501,
    ),
    "head": (lambda head: "flatten" if head == "pool" else "pool", lambda old, new: new.rows.keys() != old.rows.keys()),
    "dense": (lambda _: 6, lambda old, new: new.shapes["dense"] == (6,) and "dense" not in old.rows),
    "size": (lambda size: size * 4, lambda old, new: deeper(old, new) and new.blueprint.size == 4 * old.blueprint.size),
    "shortcut": (lambda _: "projection", deeper),
    "aux": (
        lambda _: False,
        lambda old, new: bool(old.blueprint.auxiliary_heads) and not new.blueprint.auxiliary_heads,
    ),
    "five": (lambda _: 5, lambda old, new: (5, 5) in kernels(new) and (5, 5) not in kernels(old)),
    "growth": (lambda growth: growth + 3, lambda old, new: inner_width(new, "block1") > inner_width(old, "block1")),
    "bottleneck": (lambda _: 0, lambda old, new: deeper(new, old)),
    "padding": (
        lambda padding: padding + 1 if isinstance(padding, int) else "tensorflow",
        lambda old, new: (
            "TensorFlowConv2d" in kinds(new) - kinds(old)
            or of(new, nn.Conv2d)[0].padding == (of(old, nn.Conv2d)[0].padding[0] + 1,) * 2
        ),
    ),
    "c3": (lambda _: "dense", lambda old, new: "PartialConv" in kinds(old) - kinds(new)),
    "subsampling": (lambda _: "max", lambda old, new: "MaxPool2d" in kinds(new) - kinds(old)),
    "stem": (lambda stem: stem + 2, lambda old, new: inner_width(new, "stem") == inner_width(old, "stem") + 2),
    "patch": (lambda patch: patch // 2, lambda old, new: new.shapes["patches"][1] == 2 * old.shapes["patches"][1]),
    "heads": (lambda heads: heads // 2, lambda old, new: of(new, Transformer)[0].heads < of(old, Transformer)[0].heads),
    "queries": (
        lambda num: num + 3,
        lambda old, new: len(of(new, Queries)[0].asked) == len(of(old, Queries)[0].asked) + 3,
    ),
    "regions": (
        lambda num: num // 2,
        lambda old, new: of(new, Proposals | GivenBoxes)[0].num == of(old, Proposals | GivenBoxes)[0].num // 2,
    ),
    "objects": (lambda num: num // 2, lambda old, new: new.shapes["detections"][1] == old.shapes["detections"][1] // 2),
    **dict.fromkeys(
        ("mask_depth", "point_depth"),
        (
            lambda depth: depth + 1,
            lambda old, new: len(of(new, ThirdLook)[0].convs) == len(of(old, ThirdLook)[0].convs) + 1,
        ),
    ),
    "points": (lambda num: num + 2, lambda old, new: new.shapes["points"][0] == old.shapes["points"][0] + 2),
    "levels": (
        lambda _: 1,
        lambda old, new: any(name.startswith("pyramid") for name in old.rows.keys() - new.rows.keys()),
    ),
    "pool": (lambda _: "max", lambda old, new: of(new, Regions)[0].pool == "max" != of(old, Regions)[0].pool),
    "units": (lambda units: units * 2, lambda old, new: new.shapes["units1"][0] == 2 * old.shapes["units1"][0]),
    "expand": (lambda expand: expand * 2, wider),
    "latent": (lambda latent: 2 * latent, lambda old, new: new.shapes["latent"] == (2 * old.shapes["latent"][0],)),
    "kernel": (lambda kernel: kernel + 2, lambda old, new: kernels(new)[0][1] == kernels(old)[0][1] + 2),
    "scale": (lambda _: 2, lambda old, new: new.shapes["restored"][1] == 2 * old.shapes["restored"][1]),
    "upsample": (
        lambda usual: "resize" if usual != "resize" else "subpixel",
        lambda old, new: "Subpixel" in kinds(old) ^ kinds(new) or "Transposed" in kinds(old) - kinds(new),
    ),
    "output_stride": (lambda stride: stride * 2, lambda old, new: len(new.stages) == len(old.stages) + 1),
    "rates": (lambda _: [1, 2], lambda old, new: "aspp_3x3_3" in old.rows.keys() - new.rows.keys()),
    "pyramid_width": (lambda width: width * 2, wider),
    "encoder": (lambda _: "lenet5", lambda old, new: "c1" in new.rows.keys() - old.rows.keys()),
}
NEEDS: dict[tuple[str, str], dict[str, Any]] = {
    ("lenet5", "width"): {"c3": "dense"},
    ("lenet5_dense", "c3"): {"c3": "partial", "width": 1.0},
    ("bipyramid", "depth"): {"depth": 2},
    ("airbench", "depth"): {"depth": 1},
    ("neocognitron", "depth"): {"depth": 2},
    **{(f"residual_unet{way}", "upsample"): {"scale": 2} for way in ("", "_transposed", "_resize")},
}


# The others of a family declare the same options through the same function; they are checked with the slow tests.
FIRST = {entry.make.func if hasattr(entry.make, "func") else entry.make: name for name, entry in zoo.ZOO.items()}
NAMES = [pytest.param(name, marks=[] if name in FIRST.values() else pytest.mark.slow) for name in zoo.names()]
SINGLE = [name for name in NAMES if not zoo.blueprint(str(name.values[0])).ends]  # outputs, no list of them
CASES = [
    pytest.param(name, option, marks=[] if name in FIRST.values() else pytest.mark.slow)
    for name in zoo.names()
    for option in zoo.options(name)
]


def made(name: str, side: int, options: dict[str, Any]) -> Network:
    """Return a network on the meta device; options that change one after the other are held against one usual one."""
    return _made(name, side, json.dumps(options))


@lru_cache(maxsize=2)
def _made(name: str, side: int, text: str) -> Network:
    options = json.loads(text)
    if "size" in zoo.options(name):
        options = {"size": side, **options}
    size_hw = (options.get("size", side),) * 2
    return assemble(zoo.blueprint(name, **options), channels=3, outputs=3, size_hw=size_hw)


@pytest.mark.parametrize(("name", "option"), CASES)
def test_an_option_changes_what_it_says(name: str, option: str, tiny) -> None:
    given, (size, _) = tiny[name]
    given = {**given, **NEEDS.get((name, option), {})}
    usual = given.get(option, zoo.options(name)[option])
    change, is_changed = CHANGES[option]
    value = change(size if option == "size" else usual)
    old = made(name, size, given)
    new = made(name, size, {**given, option: value})
    assert is_changed(old, new), f"{option}: {usual} -> {value}"


def test_width_depth_norm_activation_and_dropout_are_options_wherever_a_network_has_them() -> None:
    cells = {"neocognitron"}  # whose normalisation and activation are what the cells are
    for name in zoo.names():
        known = zoo.options(name)
        if name == zoo.RCNN:
            continue  # is another network as it is
        assert {"width", "dropout"} <= known.keys(), name
        assert name in {*cells, "rnn", "lstm", "gru"} or {"norm", "activation"} <= known.keys(), name
        plan = zoo.blueprint(name)
        if plan.encoder:
            continue  # the body's options are another network's
        blocks = {row.block for row in plan.rows}
        residual = {"basic", "bottleneck", "pre_bottleneck", "inverted", "convnext", "transformer", "xception", "cell"}
        assert ("drop_path" in known) == bool(blocks & {*residual, "inception_residual"}), name


@pytest.mark.parametrize("name", SINGLE)
def test_any_classes_channels_and_size(name: str, tiny) -> None:
    given, (_, size) = tiny[name]
    for channels, outputs, size_hw in ((1, 2, (size, size)), (2, 7, (size, size + 8)), (5, 1, (size + 8, size))):
        if name.startswith("vit"):
            size_hw = (size, size + 16)  # whole patches
        plan = zoo.blueprint(name, **given)
        network = build(plan, channels=channels, outputs=outputs, size_hw=size_hw, seed=0).eval()
        with torch.no_grad():
            y = network(torch.zeros(2, channels, *size_hw))
        assert y.shape == (2, outputs, *(size_hw if y.ndim == 4 else ()))
        if name == "mlp":
            assert of(network, nn.Linear)[0].in_features == channels * size_hw[0] * size_hw[1]


def test_tokens_come_as_the_map_of_their_patches() -> None:
    network = zoo.build("vit_cifar", classes=4, size=32, width=12, depth=2, seed=0).eval()
    x = torch.randn(2, 3, 32, 40)[:, :, :, :32]
    seen: list[torch.Tensor] = []
    network.rows["norm"].register_forward_hook(lambda _, __, y: seen.append(y))
    maps = network.features(x)["norm"]
    assert maps.shape == (2, 12, 8, 8) and seen[0].shape == (2, 12, 65)
    assert torch.equal(maps[:, :, 1, 2], seen[0][:, :, 1 + 8 + 2])  # the class token comes first, then row by row
    assert network.features(x, at="encoder")["encoder"].shape == (2, 12, 8, 8)
    assert network.features(x, at="first")["first"].shape == (2, 12)
