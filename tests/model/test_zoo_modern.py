"""Networks since 2015 equal their originals: parameters, logits and gradients with the original's weights copied in."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.build import assemble, build
from striate.model.network import Network
from striate.model.walk import walk
from striate.model.weights import copy_by_order
from striate.model.zoo import convnext, efficientnet, mnasnet, mobilenet, nasnet, resnet, vit
from striate.nn.blocks import BLOCKS

MINE = [name for family in (resnet, mobilenet, efficientnet, mnasnet, nasnet, convnext, vit) for name in family.ENTRIES]

# Networks that neither torchvision nor timm has: parameters as published, and where.
PUBLISHED = {
    "resnet20": (269_722, 10),  # 0.27 M, He et al., table 6; exact number: akamaster/pytorch_resnet_cifar10
    "resnet32": (464_154, 10),
    "resnet44": (658_586, 10),
    "resnet56": (853_018, 10),
    "resnet110": (1_727_962, 10),
    "mobilenetv1_cifar": (3_217_226, 10),  # the same body as mobilenetv1_100, and a head for 10 classes
    "mobilenet_v2_cifar": (2_236_682, 10),  # 2.24 M, chenyaofo/pytorch-cifar-models
    "nasnetamobile": (5_289_978, 1000),  # Cadene/pretrained-models.pytorch; 5.3 M, Zoph et al., table 3
    "vit_cifar": (2_697_610, 10),  # counted by hand below
}
QUICK = {
    "resnetv2_50": (64, 97),
    "resnext50_32x4d": (64,),
    "mobilenetv1_100": (64, 97),
    "mobilenet_v2": (64, 97),
    "mobilenet_v3_small": (64, 97),
    "mobilenet_v3_large": (64,),
    "efficientnet_b0": (64, 97),
    "mnasnet0_5": (64, 97),
    "mnasnet1_0": (64,),
}


def reference(name: str, **options) -> nn.Module:
    """The network as torchvision or timm has it, with random weights far from where training starts."""
    torch.manual_seed(0)
    models = tv.load("torchvision.models")
    if name in models.list_models():
        network = models.get_model(name, **options)
    else:
        network = pytest.importorskip("timm").create_model(name, **options)
    return shaken(network)


def shaken(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, with no parameter or statistic left at a constant."""
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.dtype.is_floating_point and (value.ndim == 1 or value.std() < 1e-4):
                value.add_(torch.rand_like(value) * 0.1)
    return network.eval()


def assert_equal(ours: Network, theirs: nn.Module, size: int) -> None:
    """Logits and the gradients of the first layer are equal for a batch of random images."""
    copy_by_order(ours, theirs.state_dict())
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    one, other = ours.eval()(x), theirs(x)
    assert other.std() > 0
    assert (one - other).abs().max() <= 1e-4 * other.abs().max()
    first = [next(part for part in network.modules() if isinstance(part, nn.Conv2d)) for network in (ours, theirs)]
    a, b = (
        torch.autograd.grad(y.square().mean(), layer.weight)[0] for y, layer in zip((one, other), first, strict=True)
    )
    assert b.abs().max() > 0
    assert (a - b).abs().max() <= 1e-4 * b.abs().max()


def test_every_network_here_has_a_reference_or_a_published_number() -> None:
    models = tv.load("torchvision.models").list_models()
    timm = pytest.importorskip("timm")
    assert all(name in models or timm.is_model(name) or name in PUBLISHED for name in MINE)


@pytest.mark.parametrize("name", MINE)
def test_parameters_are_those_of_the_reference(name: str) -> None:
    count, outputs = PUBLISHED.get(name, (0, 1000))
    if not count:
        with torch.device("meta"):
            models = tv.load("torchvision.models")
            make = models.get_model if name in models.list_models() else pytest.importorskip("timm").create_model
            count = sum(value.numel() for value in make(name).parameters())
    blueprint = zoo.blueprint(name)
    network = assemble(blueprint, channels=3, outputs=outputs, size_hw=(blueprint.size, blueprint.size))
    assert sum(value.numel() for value in network.parameters()) == count


@pytest.mark.parametrize("name", QUICK)
def test_logits_and_gradients_equal_the_reference(name: str) -> None:
    theirs = reference(name)
    for size in QUICK[name]:
        assert_equal(zoo.build(name, classes=1000, size=size, seed=0), theirs, size)


TWICE = [name for name in MINE if name not in PUBLISHED and name not in {"vit_b_16", *QUICK}]


@pytest.mark.slow
@pytest.mark.parametrize("name", TWICE)
def test_logits_and_gradients_equal_the_reference_for_the_large(name: str) -> None:
    theirs = reference(name)
    for size in (64, 97):
        assert_equal(zoo.build(name, classes=1000, size=size, seed=0), theirs, size)


def small_vit(size: int) -> nn.Module:
    make = tv.load("torchvision.models").VisionTransformer
    return make(size, 8, num_layers=3, num_heads=4, hidden_dim=64, mlp_dim=256, num_classes=7)


def small_convnext(size: int) -> nn.Module:
    models = tv.load("torchvision.models.convnext")
    stages = [models.CNBlockConfig(*row) for row in ((8, 16, 1), (16, 32, 2), (32, 64, 3), (64, None, 1))]
    return models.ConvNeXt(stages, num_classes=7)


def small_nasnet(size: int) -> nn.Module:
    make = pytest.importorskip("timm.models.nasnet").NASNetALarge
    return make(num_classes=7, stem_size=12, num_features=24 * 8)


SMALL: dict[str, tuple[Callable[[int], nn.Module], dict, tuple[int, int]]] = {
    "vit_b_16": (small_vit, {"patch": 8, "width": 64, "depth": 3, "heads": 4}, (32, 48)),
    "convnext_tiny": (small_convnext, {"width": 8, "depth": (1, 2, 3, 1)}, (64, 97)),
    "nasnetalarge": (small_nasnet, {"stem": 12, "width": 8}, (64, 97)),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_variants_equal_the_reference_s(name: str) -> None:
    make, options, sizes = SMALL[name]
    for size in sizes:
        torch.manual_seed(0)
        assert_equal(zoo.build(name, classes=7, size=size, seed=0, **options), shaken(make(size)), size)


@pytest.mark.slow
def test_vit_b_16_equals_torchvision_s_at_two_sizes() -> None:
    for size in (64, 224):
        assert_equal(zoo.build("vit_b_16", classes=1000, size=size), reference("vit_b_16", image_size=size), size)


def test_small_vit_has_the_parameters_one_counts_by_hand() -> None:
    d, layers, tokens = 192, 9, 65
    block = 2 * 2 * d + (3 * d * d + 3 * d) + (d * d + d) + (d * 2 * d + 2 * d) + (2 * d * d + d)
    assert PUBLISHED["vit_cifar"][0] == d + (48 * d + d) + tokens * d + layers * block + 2 * d + 10 * d + 10


def test_macs_of_the_small_mobilenet_are_the_published_ones() -> None:
    found = walk(zoo.blueprint("mobilenet_v2_cifar"), outputs=10)
    assert round(found.macs / 1e6, 1) == 88.0  # 87.98 M, chenyaofo/pytorch-cifar-models
    assert round(walk(zoo.blueprint("mobilenetv1_100")).macs / 1e6) == 569  # Howard et al., table 8
    assert round(walk(zoo.blueprint("nasnetamobile")).macs / 1e6) == 564  # Zoph et al., table 3


def test_option_a_is_the_input_with_maps_of_zeros_around() -> None:
    block = BLOCKS["basic"](4, 8, stride=2, shortcut="pad")
    x = torch.randn(2, 4, 7, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, 8, 4, 3)
    expected[:, 2:6] = x[:, :, ::2, ::2]
    torch.testing.assert_close(block.shortcut(x), expected, rtol=0, atol=0)
    with pytest.raises(SettingsError, match="'pad' cannot go from 8 to 4"):
        BLOCKS["basic"](8, 4, shortcut="pad")


def test_tensorflow_padding_equals_timm_s_at_even_and_odd_sizes() -> None:
    same = pytest.importorskip("timm.layers").Conv2dSame
    for kernel, stride, dilation, size in (
        (3, 2, 1, (8, 9)),
        (5, 2, 1, (9, 8)),
        (3, 1, 2, (7, 7)),
        (7, 3, 1, (20, 11)),
    ):
        theirs = same(3, 4, kernel, stride, dilation=dilation, bias=False)
        ours = BLOCKS["conv"](3, 4, kernel=kernel, stride=stride, dilation=dilation, padding="tensorflow", bias=False)
        ours.conv.weight = theirs.weight
        x = torch.randn(2, 3, *size)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


OPTIONS = {
    "resnet18": {"width": 8},
    "resnetv2_50": {"width": 8, "depth": [1, 1, 1, 1]},
    "resnet20": {"width": 8},
    "mobilenet_v2": {"width": 0.25},
    "mobilenet_v3_small": {"width": 0.25},
    "efficientnet_b0": {"width": 0.25, "depth": 0.5},
    "mnasnet0_5": {"width": 0.25},
    "nasnetamobile": {"width": 8, "depth": 1, "stem": 8},
    "convnext_tiny": {"width": 8, "depth": [1, 1, 2, 1]},
    "vit_cifar": {"width": 24, "depth": 2},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_family_takes_norm_activation_dropout_and_drop_path(name: str) -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    make = partial(zoo.build, name, classes=4, size=64, seed=0, **OPTIONS[name])
    plain = make().eval()(x)
    for norm in ("batch", "layer", "group", "instance", "none"):
        if (name, norm) == ("vit_cifar", "instance"):
            continue
        network = make(norm=norm, activation="elu")
        kinds = {type(part).__name__ for part in network.modules()}
        assert "ELU" in kinds and ("BatchNorm2d" in kinds) == (norm == "batch" and name != "vit_cifar")
        assert network.train()(x).isfinite().all()
    dropped = make(dropout=0.5, drop_path=0.5)
    rates = [part.rate for part in dropped.modules() if type(part).__name__ == "DropPath"]
    assert 0.4 < max(rates) <= 0.5 and rates == sorted(rates)  # the last block may have no way around
    assert any(isinstance(part, nn.Dropout) and part.p == 0.5 for part in dropped.modules())
    torch.testing.assert_close(dropped.eval()(x), plain)


def test_small_vit_reads_its_outputs_from_a_token_or_the_mean() -> None:
    x = torch.zeros(2, 3, 32, 32)
    token = zoo.build("vit_cifar", classes=4, size=32, **OPTIONS["vit_cifar"])
    mean = zoo.build("vit_cifar", classes=4, size=32, head="pool", **OPTIONS["vit_cifar"])
    assert list(token.features(x)) == ["norm"] and list(mean.features(x)) == ["grid"]
    encoded = mean.eval().features(x, at="norm")["norm"]
    torch.testing.assert_close(mean.features(x, at="mean")["mean"], encoded.mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet50", {"depth": 3}, "no list of blocks"),
        ("resnet50", {"depth": [3, 0]}, "no list of blocks"),
        ("mobilenet_v2", {"width": 0}, "not above 0"),
        ("efficientnet_b0", {"depth": 0}, "not above 0"),
        ("vit_b_16", {"head": "last"}, "head 'last'"),
        ("nasnetalarge", {"width": 2}, "cannot be"),
        ("mobilenet_v2", {"padding": "smae"}, "unknown padding"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        zoo.build(name, classes=4, size=64, **options)


def test_blocks_refuse_what_cannot_work() -> None:
    with pytest.raises(SettingsError, match="must divide the 12 features"):
        BLOCKS["transformer"](12, 12, heads=5)
    with pytest.raises(SettingsError, match="keeps the width"):
        BLOCKS["convnext"](8, 16)
    with pytest.raises(SettingsError, match="pair 0 of a cell"):
        BLOCKS["cell"]((8, 8), 8, pairs=[("same", 2, "same", 0)], give=(2,))
    with pytest.raises(SettingsError, match="unknown operation"):
        BLOCKS["cell"]((8, 8), 8, pairs=[("conv", 1, "same", 0)], give=(2,))


def test_build_and_walk_of_the_largest_touch_no_weights() -> None:
    blueprint = zoo.blueprint("efficientnet_b7")
    network = assemble(blueprint, channels=3, outputs=10, size_hw=(64, 64))
    assert all(value.is_meta for value in network.parameters())
    assert build(zoo.blueprint("resnet20"), channels=1, outputs=2, size_hw=(32, 32), seed=0).channels == 1
