"""The classics equal their originals: parameters, logits and gradients with the original's weights copied in."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.build import assemble
from striate.model.network import Network
from striate.model.walk import walk
from striate.model.weights import copy_by_order
from striate.model.zoo import alexnet, densenet, googlenet, inception, lenet, neocognitron, squeezenet, vgg, xception

FAMILIES = (lenet, neocognitron, alexnet, vgg, googlenet, inception, squeezenet, densenet, xception)
MINE = [name for family in FAMILIES for name in family.ENTRIES]
TIMM = {"inception_resnet_v2": "inception_resnet_v2", "xception": "legacy_xception"}

# Networks that neither torchvision nor timm has: what to build, and the parameters that are known.
PUBLISHED = {
    "lenet5": (1, 10, 32, 60_000 + 850),  # LeCun et al., section II.B; the paper's outputs have no trained weights
    "lenet5_dense": (1, 10, 32, 61_706),
    "inception_v2": (3, 1000, 224, 11_295_240 - 10_016),  # Cadene/pretrained-models.pytorch, with a bias a channel
    "densenet_cifar": (3, 10, 32, 769_162),  # 0.8 M, Huang et al., table 2; the number: osmr/imgclsmob
}
OURS = {*PUBLISHED, "neocognitron", "xception_small"}
QUICK = {
    "alexnet": (64, 97),
    "googlenet": (64, 97),
    "inception_v3": (80, 97),
    "squeezenet1_0": (64, 97),
    "squeezenet1_1": (64, 97),
    "densenet121": (64, 97),
    "xception": (64, 97),
}


def original(name: str) -> nn.Module:
    """The network as torchvision or timm has it."""
    models = tv.load("torchvision.models")
    if name in TIMM:
        return pytest.importorskip("timm").create_model(TIMM[name])
    slow_start = {"googlenet", "inception_v3", *vgg.ENTRIES}
    return models.get_model(name, **({"init_weights": False} if name in slow_start else {}))


def shaken(network: nn.Module) -> nn.Module:
    """The network in evaluation mode, with random weights of full strength and no statistic left at a constant."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, generator=generator)
        for value in (*network.parameters(), *network.buffers()):
            if value.dtype.is_floating_point and value.ndim == 1:
                value.add_(torch.rand(value.shape, generator=generator) * 0.1)
    return network.eval()


def assert_equal(ours: Network, theirs: nn.Module, size: int) -> None:
    """Logits and the gradients of the first layer are equal for a batch of random images."""
    copy_by_order(ours, theirs.state_dict())
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    one, other = ours.eval()(x), theirs(x)
    assert other.std() > 0
    assert close(one, other)
    first = [next(part for part in network.modules() if isinstance(part, nn.Conv2d)) for network in (ours, theirs)]
    a, b = (
        torch.autograd.grad(y.square().mean(), layer.weight)[0] for y, layer in zip((one, other), first, strict=True)
    )
    assert b.abs().max() > 0
    assert close(a, b)


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-4 * other.abs().max())


@pytest.mark.parametrize("name", [name for name in MINE if name not in OURS])
def test_parameters_are_those_of_the_reference(name: str) -> None:
    with torch.device("meta"):
        theirs = [value.shape for value in original(name).parameters()]
    blueprint = zoo.blueprint(name)
    network = assemble(blueprint, channels=3, outputs=1000, size_hw=(blueprint.size, blueprint.size))
    assert [value.shape for value in network.parameters()] == theirs


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    channels, outputs, size, count = PUBLISHED[name]
    network = assemble(zoo.blueprint(name), channels=channels, outputs=outputs, size_hw=(size, size))
    assert sum(value.numel() for value in network.parameters()) == count
    if name == "inception_v2":
        assert sum(part.out_channels for part in network.modules() if isinstance(part, nn.Conv2d)) == 10_016


@pytest.mark.parametrize("name", QUICK)
def test_logits_and_gradients_equal_the_reference(name: str) -> None:
    theirs = shaken(original(name))
    for size in QUICK[name]:
        assert_equal(zoo.build(name, classes=1000, size=size, seed=0), theirs, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MINE if name not in OURS and name not in QUICK])
def test_logits_and_gradients_equal_the_reference_for_the_large(name: str) -> None:
    theirs = shaken(original(name))
    for size in (80, 97):
        assert_equal(zoo.build(name, classes=1000, size=size, seed=0), theirs, size)


@pytest.mark.parametrize("name", vgg.ENTRIES)
def test_narrow_vgg_equals_torchvision_s_layers(name: str) -> None:
    models = tv.load("torchvision.models.vgg")
    letter = {"11": "A", "13": "B", "16": "D", "19": "E"}[name.removesuffix("_bn")[-2:]]
    channels = ["M" if one == "M" else one // 16 for one in models.cfgs[letter]]
    body = models.make_layers(channels, batch_norm=name.endswith("_bn"))
    head = [nn.Linear(32 * 49, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 7)]
    theirs = shaken(nn.Sequential(body, nn.AdaptiveAvgPool2d(7), nn.Flatten(), *head))
    for size in (48, 65):
        assert_equal(zoo.build(name, classes=7, size=size, width=1 / 16), theirs, size)


def test_auxiliary_outputs_of_googlenet_equal_torchvision_s() -> None:
    theirs = shaken(original("googlenet"))
    ours = zoo.build("googlenet", classes=1000, size=96).eval()
    copy_by_order(ours, theirs.state_dict())
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = ours(x, auxiliary=True)
        assert list(found) == ["aux1", "aux2", "outputs"]
        for aux, row in (("aux1", "inception4a"), ("aux2", "inception4d")):
            assert close(found[aux], getattr(theirs, aux)(ours.features(x, at=row)[row]))


def test_auxiliary_output_of_inception_v3_equals_torchvision_s() -> None:
    theirs = shaken(original("inception_v3"))
    ours = zoo.build("inception_v3", classes=1000, size=299).eval()
    copy_by_order(ours, theirs.state_dict())
    x = y = torch.randn(2, 768, 17, 17, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name in ("aux_pool", "aux_conv1", "aux_conv2", "aux_mean", "aux"):
            y = ours.rows[name](y)
        assert close(y, theirs.AuxLogits(x))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_can_be_left_out(name: str) -> None:
    size = 96
    with_heads, without = (zoo.build(name, classes=5, size=size, width=0.1, seed=0, aux=aux) for aux in (True, False))
    assert with_heads.blueprint.auxiliary_heads and not without.blueprint.auxiliary_heads
    copy_by_order(without, {key: value for key, value in with_heads.state_dict().items() if "rows.aux" not in key})
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(with_heads.eval()(x), without.eval()(x), rtol=0, atol=0)


def test_published_macs() -> None:
    figures = {  # torchvision's own figures, in GMAC; without auxiliary heads
        "alexnet": 0.714,
        "vgg16": 15.470,
        "squeezenet1_0": 0.819,
        "squeezenet1_1": 0.349,
        "densenet121": 2.834,
        "densenet201": 4.291,
        "googlenet": 1.498,
        "inception_v3": 5.713,
    }
    for name, giga in figures.items():
        options = {"aux": False} if "aux" in zoo.options(name) else {}
        assert round(walk(zoo.blueprint(name, **options)).macs / 1e9, 3) == pytest.approx(giga, abs=0.0011)


def test_lenet_is_the_paper_s_row_by_row() -> None:
    layers = {layer.name: layer for layer in walk(zoo.blueprint("lenet5"), channels=1, outputs=10).layers}
    published = {  # section II.B: maps, trainable parameters, connections
        "c1": ((6, 28, 28), 156, 122_304),
        "s2": ((6, 14, 14), 12, 5_880),
        "c3": ((16, 10, 10), 1_516, 151_600),
        "s4": ((16, 5, 5), 32, 2_000),
        "c5": ((120, 1, 1), 48_120, 48_120),
        "f6": ((84,), 10_164, 10_164),
    }
    for name, (shape, parameters, connections) in published.items():
        layer = layers[name]
        assert layer.out_shape == shape and layer.parameters == parameters
        units = torch.Size(shape).numel()
        per_unit = 5 if name in {"s2", "s4"} else 1  # four inputs and the bias
        assert (units * per_unit if per_unit > 1 else layer.macs + units) == connections
    assert sum(layers[name].parameters for name in published) == 60_000
    digits = zoo.build("lenet5", classes=10, channels=1, size=28, padding=2)
    assert digits.shapes["c1"] == (6, 28, 28) and digits(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_inception_v2_has_the_paper_s_table_of_shapes() -> None:
    shapes = assemble(zoo.blueprint("inception_v2"), channels=3, outputs=1000, size_hw=(224, 224)).shapes
    published = {  # figure 5, where the line of a module with stride 2 gives the size before it
        "conv1": (64, 112, 112),
        "pool1": (64, 56, 56),
        "conv2": (192, 56, 56),
        "inception3a": (256, 28, 28),
        "inception3b": (320, 28, 28),
        "inception3c": (576, 14, 14),
        "inception4a": (576, 14, 14),
        "inception4b": (576, 14, 14),
        "inception4e": (1056, 7, 7),
        "inception5a": (1024, 7, 7),
        "inception5b": (1024, 7, 7),
        "mean": (1024,),
    }
    assert {name: shapes[name] for name in published} == published


def test_inception_resnet_has_the_shapes_of_the_code_published_with_the_paper() -> None:
    shapes = assemble(zoo.blueprint("inception_resnet_v2"), channels=3, outputs=9, size_hw=(299, 299)).shapes
    assert [shapes[name] for name in ("pool4", "stage5", "stage6", "stage7", "conv7b")] == [
        (192, 35, 35),
        (320, 35, 35),
        (1088, 17, 17),
        (2080, 8, 8),
        (1536, 8, 8),
    ]


def test_small_xception_is_small() -> None:
    found = walk(zoo.blueprint("xception_small"), outputs=2)
    assert 0.5e6 < found.parameters < 2e6
    assert found.parameters < walk(zoo.blueprint("bipyramid"), size_hw=(128, 128), outputs=2).parameters


OPTIONS = {
    "lenet5": {},
    "alexnet": {"width": 0.05},
    "vgg11": {"width": 0.05, "depth": [1, 1, 1, 1, 1]},
    "googlenet": {"width": 0.1, "aux": False},
    "inception_v2": {"width": 0.1},
    "inception_v3": {"width": 0.1, "aux": False},
    "inception_resnet_v2": {"width": 0.1, "depth": [2, 2, 2]},
    "squeezenet1_1": {"width": 0.2},
    "densenet121": {"width": 0.2, "depth": [2, 2, 2, 2]},
    "densenet_cifar": {"width": 0.3, "depth": [3, 3]},
    "xception": {"width": 0.05, "depth": 2},
    "xception_small": {"width": 0.1, "depth": 2},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_family_takes_norm_activation_dropout_and_drop_path(name: str) -> None:
    size = {"densenet_cifar": 32, "inception_v3": 112, "inception_resnet_v2": 112}.get(name, 64)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    make = partial(zoo.build, name, classes=4, size=size, seed=0, **OPTIONS[name])
    plain = make(dropout=0.0).eval()(x)
    for norm in ("batch", "layer", "group", "instance", "none"):
        if norm == "instance" and name == "alexnet":
            continue  # its last maps are one pixel here
        network = make(norm=norm, activation="elu")
        kinds = {type(part).__name__ for part in network.modules()}
        assert "ELU" in kinds and "ReLU" not in kinds and ("BatchNorm2d" in kinds) == (norm == "batch")
        network.train()(x).sum().backward()
        assert all(value.grad.isfinite().all() for value in network.parameters())
    dropped = make(dropout=0.5, **({"drop_path": 0.5} if "drop_path" in zoo.options(name) else {}))
    rates = [part.rate for part in dropped.modules() if type(part).__name__ == "DropPath"]
    assert rates == sorted(rates) and (not rates or max(rates) == 0.5)
    assert any(isinstance(part, nn.Dropout) and part.p == 0.5 for part in dropped.modules())
    torch.testing.assert_close(dropped.eval()(x), plain)


@pytest.mark.parametrize("name", ["xception", "densenet121", "inception_v3"])
def test_a_row_s_maps_are_not_changed_by_the_rows_after_it(name: str) -> None:
    options = {**OPTIONS[name], "norm": "none"}
    network = zoo.build(name, classes=4, size=96, seed=0, **options).eval()
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    for row, maps in network.features(x).items():
        assert torch.equal(maps, network.features(x, at=row)[row])


@pytest.mark.parametrize("name", ["vgg11", "alexnet"])
def test_head_of_means_takes_any_size(name: str) -> None:
    network = zoo.build(name, classes=4, size=96, head="pool", seed=0, **OPTIONS[name]).eval()
    assert network(torch.zeros(1, 3, 160, 128)).shape == (1, 4)
    assert "fc6" not in network.rows


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet5", {"width": 2}, "table I"),
        ("lenet5", {"c3": "sparse"}, "table I"),
        ("lenet5", {"subsampling": "sum"}, "no subsampling"),
        ("alexnet", {"head": "top"}, "no head"),
        ("vgg16", {"width": 0}, "not above 0"),
        ("neocognitron", {"depth": 4}, "not among"),
        ("xception_small", {"depth": 0}, "below 1"),
        ("densenet121", {"bottleneck": -1}, "below 0"),
        ("vgg16", {"depth": [1, 1]}, "must have 5 stages"),
        ("inception_resnet_v2", {"depth": 3}, "no list of blocks"),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        zoo.build(name, classes=4, size=96, **options)


@pytest.mark.parametrize(("name", "least"), [("inception_v3", 75), ("googlenet", 15), ("lenet5", 32), ("alexnet", 63)])
def test_image_too_small_is_refused_with_the_size_that_works(name: str, least: int) -> None:
    if name != "googlenet":
        with pytest.raises(SettingsError) as caught:
            assemble(zoo.blueprint(name), channels=1, outputs=2, size_hw=(least - 1, least - 1))
        assert f"at least {least}x{least}" in caught.value.fix
    assemble(zoo.blueprint(name), channels=1, outputs=2, size_hw=(least, least))


def test_walking_and_building_load_no_compiler() -> None:
    code = (
        "import sys\nimport torch\nfrom striate.model import zoo\nfrom striate.model.walk import walk\n"
        "with torch.inference_mode(): zoo.build('bipyramid', classes=2, size=32)\n"
        f"for name in {[next(iter(family.ENTRIES)) for family in FAMILIES]!r}: walk(zoo.blueprint(name))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
