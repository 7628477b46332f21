"""Ablation: the part that goes is gone, and nothing else; parameters by arithmetic, outputs by the same by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.ablate import PARTS, ablate, ablated_name, parts_of, split_name
from striate.model.blueprint import Blueprint, Row
from striate.model.build import assemble, build
from striate.model.network import Network
from striate.nn.blocks.pool import POOLS, window

POOLINGS = ("avg", "max", "stride")


def made(name: str, without=(), pool=None, size: int = 64, outputs: int = 10, **options) -> Network:
    plan = ablate(zoo.blueprint(name, **options), without, pool)
    return build(plan, channels=3, outputs=outputs, size_hw=(size, size), seed=0).eval()


def count(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def shaken(network: Network) -> Network:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.dtype.is_floating_point and value.ndim == 1:
                value.add_(torch.rand(value.shape, generator=generator) * 0.5)
    return network


class PlainPair(nn.Module):
    """Convolution, norm, ReLU twice: He et al., figure 3 middle."""

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm2(self.conv2(self.norm1(self.conv1(x)).relu())).relu()


def test_resnet20_without_skip_is_the_plain_network() -> None:
    network = shaken(made("resnet20", ["skip"], size=32))
    plan = [(16, 16, 1)] * 3 + [(16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 1)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    body = [PlainPair(*row) for row in plan]
    plain = nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval()
    theirs, ours = plain.state_dict(), list(network.state_dict().values())
    assert [value.shape for value in theirs.values()] == [value.shape for value in ours]
    plain.load_state_dict(dict(zip(theirs, ours, strict=True)))
    x = draw(2, 3, 32, 32)
    torch.testing.assert_close(network(x), plain(x), rtol=1e-4, atol=1e-5)
    assert (network(x) - made("resnet20", size=32)(x)).abs().max() > 1e-3


def test_convnext_without_skip_is_scale_times_branch() -> None:
    network = shaken(made("convnext_tiny", ["skip"], size=32, width=4, depth=[1, 1, 1, 1]))
    block, x = network.rows["stage1"], draw(2, 4, 8, 8)
    assert torch.equal(block.scale, torch.ones(4, 1, 1))
    y = F.conv2d(x, block.depthwise.conv.weight, block.depthwise.conv.bias, padding=3, groups=4)
    y = F.layer_norm(y.permute(0, 2, 3, 1), (4,), block.norm.weight, block.norm.bias, 1e-6)
    y = F.linear(F.gelu(F.linear(y, block.up.weight, block.up.bias)), block.down.weight, block.down.bias)
    torch.testing.assert_close(block(x), (block.scale * y.permute(0, 3, 1, 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("block", ["pre_basic", "pre_bottleneck", "bottleneck", "basic", "inverted", "xception"])
def test_a_block_without_skip_is_its_branch_alone(block: str) -> None:
    rows = (Row(block, 8, name="one"), Row("global_pool"), Row("linear"))
    whole = shaken(build(Blueprint("x", rows), channels=8, outputs=2, size_hw=(8, 8), seed=0).eval())
    plain = build(ablate(Blueprint("x", rows), ["skip"]), channels=8, outputs=2, size_hw=(8, 8), seed=1).eval()
    plain.load_state_dict(whole.state_dict())
    x = draw(2, 8, 8, 8)
    before = [whole.rows["one"](x), plain.rows["one"](x)]
    if block in {"basic", "bottleneck"}:  # their sum goes through a ReLU
        branch = plain.rows["one"].branch(x)
        torch.testing.assert_close(before[1], branch.relu(), rtol=0, atol=0)
        torch.testing.assert_close(before[0], (branch + x).relu(), rtol=1e-5, atol=1e-6)
    else:
        torch.testing.assert_close(before[0] - before[1], x, rtol=1e-4, atol=1e-5)


def test_a_transformer_without_skip_is_attention_then_hidden_layer() -> None:
    network = made("vit_cifar", ["skip"], size=32, width=12, depth=1)
    block, x = network.rows["encoder"], draw(2, 12, 5)
    layers = nn.MultiheadAttention(12, 12, batch_first=True)
    layers.load_state_dict(
        {
            "in_proj_weight": block.query_key_value.weight,
            "in_proj_bias": block.query_key_value.bias,
            "out_proj.weight": block.project.weight,
            "out_proj.bias": block.project.bias,
        }
    )
    y = F.layer_norm(x.transpose(1, 2), (12,), eps=1e-6)
    y = layers(y, y, y)[0]
    y = block.down(F.gelu(block.up(F.layer_norm(y, (12,), eps=1e-6)))).transpose(1, 2)
    torch.testing.assert_close(block(x), y, rtol=1e-4, atol=1e-6)


def test_projection_shortcuts_go_with_the_skip() -> None:
    whole, plain = (made("resnet18", parts, width=8) for parts in ((), ("skip",)))
    projections = sum(c_in * width + 2 * width for c_in, width in ((8, 16), (16, 32), (32, 64)))
    assert count(whole) - count(plain) == projections
    assert count(made("resnet20", size=32)) == count(made("resnet20", ["skip"], size=32))  # option A has none


def test_without_norm_each_convolution_has_a_bias_instead_of_two_numbers_a_channel() -> None:
    whole, bare = (made("resnet18", parts, width=8) for parts in ((), ("norm",)))
    convs = [part for part in whole.modules() if isinstance(part, nn.Conv2d)]
    branches = [part for part in convs if part.kernel_size != (1, 1)]  # a projection is added to what has a bias
    gone = sum(2 * part.out_channels for part in convs)
    assert count(whole) - count(bare) == gone - sum(part.out_channels for part in branches)
    assert not any("Norm" in type(part).__name__ for part in bare.modules())
    biased = [part for part in bare.modules() if isinstance(part, nn.Conv2d) and part.kernel_size != (1, 1)]
    assert all(part.bias is not None for part in biased)


@pytest.mark.parametrize("name", ["resnetv2_50", "densenet_cifar", "nasnetamobile", "bipyramid"])
def test_no_convolution_that_ends_a_layer_is_left_without_bias(name: str, tiny) -> None:
    options, (size, _) = tiny[name]
    options = options | ({"norm": "batch"} if name == "bipyramid" else {})
    network = made(name, ["norm"], size=size, **options)
    assert not any("Norm" in type(part).__name__ for part in network.modules())
    bare = [
        key
        for key, part in network.named_modules()
        if isinstance(part, nn.Conv2d) and part.bias is None and "depthwise" not in key and "projection" not in key
    ]
    assert not bare


def test_depthwise_becomes_dense_and_parameters_rise_by_the_channels() -> None:
    whole, dense = (made("mobilenet_v2_cifar", parts, size=32) for parts in ((), ("depthwise",)))
    inner = [part.out_channels for part in whole.modules() if isinstance(part, nn.Conv2d) and part.groups > 1]
    assert len(inner) == 17
    assert count(dense) - count(whole) == sum(9 * channels * (channels - 1) for channels in inner)
    assert all(part.groups == 1 for part in dense.modules() if isinstance(part, nn.Conv2d))
    grouped = Blueprint("g", (Row("conv", 8), Row("conv", 8, options={"groups": 8}), Row("global_pool"), Row("linear")))
    assert "groups" not in ablate(grouped, ["depthwise"]).rows[1].options
    with pytest.raises(SettingsError, match="no depthwise"):
        ablate(zoo.blueprint("resnext50_32x4d"), ["depthwise"])


def test_without_se_the_two_small_layers_are_gone() -> None:
    whole, bare = (made("mobilenet_v3_small", parts) for parts in ((), ("se",)))
    table = zoo.mobilenet.V3_SMALL
    gone = 0
    for _, inner, _, squeezes, _, _ in table:
        inside = max(8, (inner // 4 + 4) // 8 * 8)
        inside += 8 if inside < 0.9 * (inner // 4) else 0
        gone += squeezes * (2 * inner * inside + inside + inner)
    assert count(whole) - count(bare) == gone
    rows = (Row("conv", 8), Row("squeeze_excite"), Row("conv", 4), Row("global_pool"), Row("linear"))
    plain = ablate(Blueprint("x", rows), ["se"])
    assert [row.block for row in plain.rows] == ["conv", "conv", "global_pool", "linear"]
    assert plain.sources["conv2"] == ("conv1",)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_without_aux_is_the_network_built_without(name: str) -> None:
    plain = ablate(zoo.blueprint(name), ["aux"])
    built = zoo.blueprint(name, aux=False)
    shapes = [
        {key: value.shape for key, value in assemble(one, channels=3, outputs=7, size_hw=(96, 96)).state_dict().items()}
        for one in (plain, built)
    ]
    assert plain.names == built.names and shapes[0] == shapes[1] and not plain.auxiliary_heads


def test_an_add_row_keeps_the_branch_and_what_led_to_the_skip_alone_goes() -> None:
    rows = (
        Row("conv", 8, name="stem"),
        Row("conv", 8, options={"kernel": 1}, name="way_round"),
        Row("conv", 8, inputs=("stem",), name="branch"),
        Row("add", inputs=("way_round", "branch"), options={"activation": "relu"}, name="sum"),
        Row("global_pool"),
        Row("linear"),
    )
    plan = ablate(Blueprint("x", rows), ["skip"])
    assert plan.names == ("stem", "branch", "sum", "global_pool1", "linear1") and not plan.auxiliary_heads
    network = build(plan, channels=3, outputs=2, size_hw=(8, 8), seed=0)
    x = draw(1, 3, 8, 8)
    maps = {name: network.features(x, at=name)[name] for name in ("branch", "sum")}
    torch.testing.assert_close(maps["sum"], maps["branch"].relu())
    assert (maps["branch"] < 0).any()  # the activation does not work in place on another row's map


def test_stochastic_depth_goes_with_the_skip() -> None:
    plan = ablate(zoo.blueprint("efficientnet_b0", drop_path=0.5), ["skip"])
    assert not any("drop_path" in {**row.options, **row.each} for row in plan.rows)
    with pytest.raises(SettingsError, match="leaves nothing"):
        assemble(
            Blueprint("x", (Row("basic", 8, options={"skip": False, "drop_path": 0.1}), Row("global_pool"))),
            channels=8,
            outputs=2,
            size_hw=(8, 8),
        )


def test_lenet_s_trained_subsampling_gives_way_to_plain_pooling() -> None:
    assert ablate(zoo.blueprint("lenet5"), pool="avg").rows == zoo.blueprint("lenet5", subsampling="avg").rows
    assert count(made("lenet5", size=32)) - count(made("lenet5", pool="max", size=32)) == 2 * 6 + 2 * 16


def middles(x: np.ndarray, kernel: int, stride: int, padding: int, count: int) -> np.ndarray:
    """The middle of each window, clamped to the map, one at a time."""
    taken = [min(max(i * stride - padding + (kernel - 1) // 2, 0), len(x) - 1) for i in range(count)]
    return x[taken]


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("ceil", [False, True])
def test_three_poolings_give_one_size_and_stride_takes_middles(kernel: int, stride: int, ceil: bool) -> None:
    for padding in range(kernel // 2 + 1):
        for size in range(kernel, 14):
            x = draw(1, 2, size, size + 1)
            maps = {kind: window(kind, kernel, stride, padding, ceil=ceil)(x) for kind in POOLS}
            assert len({y.shape for y in maps.values()}) == 1
            expected = np.apply_along_axis(middles, 2, x.numpy(), kernel, stride, padding, maps["max"].shape[2])
            expected = np.apply_along_axis(middles, 3, expected, kernel, stride, padding, maps["max"].shape[3])
            np.testing.assert_array_equal(maps["stride"].numpy(), expected)


def test_stride_equals_the_convolution_before_with_that_stride() -> None:
    network = made("bipyramid", pool="stride", size=32, width=4, depth=2)
    conv, x = network.rows["conv1"].conv, draw(2, 3, 32, 32)
    y = F.conv2d(x, conv.weight, conv.bias, stride=2, padding=1).relu()
    torch.testing.assert_close(network.features(x, at="pool1")["pool1"], y, rtol=1e-5, atol=1e-6)


ONE_A_FAMILY = [
    *("bipyramid", "mlp", "lenet5", "alexnet", "vgg11_bn", "googlenet", "inception_v2", "inception_v3"),
    *("inception_resnet_v2", "squeezenet1_0", "densenet121", "xception", "xception_small", "resnet18", "resnet50"),
    *("resnetv2_50", "resnet20", "mobilenetv1_100", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5"),
    *("efficientnet_b0", "nasnetamobile", "convnext_tiny", "vit_cifar", "unet", "segnet"),
]


def switches(plan: Blueprint) -> list[tuple[tuple[str, ...], str | None]]:
    """Every single switch the blueprint has, and all parts at once."""
    parts = parts_of(plan)
    found: list[tuple[tuple[str, ...], str | None]] = [((part,), None) for part in parts]
    found += [(parts, None)] if len(parts) > 1 else []
    for kind in POOLINGS:
        try:
            ablate(plan, pool=kind)
        except SettingsError:
            continue
        found.append(((), kind))
    return found


def check_switches(name: str, options: dict, size: int) -> None:
    known = zoo.options(name)
    options = {**options, **({"size": size} if "size" in known else {})}
    options |= {"norm": "batch"} if known.get("norm") == "none" else {}
    plan = zoo.blueprint(name, **options)
    whole = assemble(plan, channels=3, outputs=3, size_hw=(size, size))
    for without, pool in switches(plan):
        changed = ablate(plan, without, pool)
        assert Blueprint.from_json(changed.to_json()) == changed != plan
        assert split_name(changed.name) == (plan.name, without, pool)
        network = build(changed, channels=3, outputs=3, size_hw=(size, size), seed=0)
        kept = network.shapes.keys()
        assert {row: shape for row, shape in whole.shapes.items() if row in kept} == network.shapes, (without, pool)
        outputs = network(draw(4, 3, size, size), auxiliary=True).values()
        vectors = [y.flatten(2).mean(2) if y.ndim == 4 else y for y in outputs]
        sum(F.cross_entropy(y, torch.tensor([0, 1, 2, 0])) for y in vectors).backward()
        trained = [value for value in network.parameters() if value.requires_grad]
        assert all(value.grad is not None and value.grad.isfinite().all() for value in trained)
        assert set(without).isdisjoint(parts_of(changed))


@pytest.mark.parametrize("name", ONE_A_FAMILY)
def test_every_switch_builds_keeps_the_shapes_and_trains(name: str, tiny) -> None:
    check_switches(name, tiny[name][0], tiny[name][1][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in zoo.names() if name not in ONE_A_FAMILY])
def test_every_switch_of_the_others(name: str, tiny) -> None:
    check_switches(name, tiny[name][0], tiny[name][1][0])


@pytest.mark.parametrize(
    ("name", "without", "pool", "what", "fix"),
    [
        ("resnet20", ["se"], None, "resnet20 has no se", "it has skip, norm"),
        ("densenet121", ["skip"], None, "densenet121 has no skip", "it has norm, pool avg, pool max, pool stride"),
        ("nasnetamobile", ["skip"], None, "has no skip", "norm, depthwise"),
        ("mlp", ["norm"], None, "mlp has no norm", "another network"),
        ("bipyramid", [], "max", "pools by max already", "avg or stride"),
        ("resnet20", [], "avg", "no pooling between maps", "it has skip, norm"),
        ("resnet20", ["skp"], None, "unknown part 'skp'", "'skip'"),
        ("bipyramid", [], "mean", "unknown pooling 'mean'", "max"),
    ],
)
def test_what_a_network_does_not_have_is_refused_with_what_it_has(name, without, pool, what, fix) -> None:
    with pytest.raises(SettingsError) as caught:
        ablate(zoo.blueprint(name), without, pool)
    assert what in caught.value.what and fix in caught.value.fix


def test_names_tell_and_are_told() -> None:
    for without in ((), ("skip",), ("skip", "norm"), tuple(PARTS)):
        for pool in (None, *POOLINGS):
            assert split_name(ablated_name("resnet18", without[::-1], pool)) == ("resnet18", without, pool)
    assert split_name("plans/my nets without skips.toml") == ("plans/my nets without skips.toml", (), None)
    assert split_name("a.toml without skip") == ("a.toml", ("skip",), None)
    twice = ablate(ablate(zoo.blueprint("resnet18"), ["norm"]), ["skip"], "avg")
    assert twice == ablate(zoo.blueprint("resnet18"), ["skip", "norm"], "avg")
