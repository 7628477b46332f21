"""Building: one seed, one network; what cannot work is refused at the door, with what would."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from striate.base.errors import ModelError, SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.init import start_at
from striate.model.network import Network, plan
from striate.model.weights import copy_by_order, load, to_bytes

HEAD = (Row("global_pool"), Row("linear"))
TINY = Blueprint("tiny", (Row("conv", 8, stride=2, options={"activation": "relu"}), *HEAD))


def make(*rows: Row, size: tuple[int, int] = (16, 16), channels: int = 3, outputs: int = 5, **options) -> Network:
    blueprint = Blueprint("x", rows, **options)
    return build(blueprint, channels=channels, outputs=outputs, size_hw=size, seed=0)


def test_one_seed_gives_one_network_and_the_global_state_is_left_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    a, b, c = (zoo.build("bipyramid", classes=4, size=32, width=4, seed=seed) for seed in (3, 3, 4))
    d, e = (zoo.build("bipyramid", classes=4, size=32, width=4) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    for one, other in ((a, c), (d, e)):
        assert not torch.equal(one.rows["conv1"].conv.weight, other.rows["conv1"].conv.weight)


def test_weights_start_he_normal_and_the_last_layer_small() -> None:
    network = zoo.build("bipyramid", classes=10, size=64, norm="batch", head="flatten", dense=128, seed=0)
    weight = network.rows["conv4"].conv.weight.detach().numpy()
    assert weight.std() == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.02)
    assert abs(weight.mean()) < 1e-3
    assert network.rows["outputs"].linear.weight.std().item() == pytest.approx(1 / 3 / np.sqrt(128), rel=0.1)
    assert network.rows["dense"].linear.bias.abs().max() == 0
    assert network.rows["norm1"].norm.running_var.eq(1).all()


def test_first_predictions_are_the_shares_of_the_classes() -> None:
    shares = [0.9, 0.09, 0.01]
    network = build(zoo.blueprint("unet", width=2), channels=3, outputs=3, size_hw=(16, 16), seed=0).eval()
    start_at(network, shares)
    with torch.no_grad():
        network.get_submodule("rows.outputs.conv").weight.zero_()
        found = network(torch.rand(1, 3, 16, 16)).softmax(1)
    torch.testing.assert_close(found.amax((0, 2, 3)), torch.tensor(shares))
    torch.testing.assert_close(found.amin((0, 2, 3)), torch.tensor(shares))


@pytest.mark.parametrize("name", ["bipyramid", "resnet18"])
def test_signal_keeps_its_size_through_the_layers(name: str) -> None:
    options = {"norm": "none"} if name == "bipyramid" else {}
    network = zoo.build(name, classes=10, size=64, seed=0, **options)
    x = torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        spreads = [y.std().item() for y in network.features(x).values()]
        loss = F.cross_entropy(network(x), torch.arange(16) % 10).item()
    assert all(0.2 < spread < 5 for spread in spreads)
    assert loss < 3.5  # ln 10 = 2.3


def test_module_with_parameters_but_no_start_is_an_error_of_ours() -> None:
    from striate.model.init import initialise

    with pytest.raises(TypeError, match="initialise"):
        initialise(nn.Sequential(nn.PReLU()), torch.Generator())


@pytest.mark.parametrize("name", ["bipyramid", "mlp", "resnet18"])
def test_network_works_channels_last_in_bf16_and_for_one_image(name: str) -> None:
    network = zoo.build(name, classes=4, size=32, width=8, norm="batch", seed=0).eval()
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = network(x)
        network = network.to(memory_format=torch.channels_last)
        y = x.to(memory_format=torch.channels_last)
        torch.testing.assert_close(network(y), plain, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(y[:1]), plain[:1], rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            low = network(y)
        assert low.dtype == torch.bfloat16
        torch.testing.assert_close(low.float(), plain, rtol=0.1, atol=0.1)


def test_maps_stay_channels_last_through_a_residual_network() -> None:
    network = zoo.build("resnet18", classes=4, size=32, width=8, seed=0).to(memory_format=torch.channels_last).eval()
    maps = network.features(torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last))
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in maps.values())


def test_state_goes_through_safetensors(tmp_path) -> None:
    one = zoo.build("resnet18", classes=4, size=32, width=8, seed=0).to(memory_format=torch.channels_last)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(to_bytes(one))
    other = zoo.build("resnet18", classes=4, size=32, width=8, seed=1, weights=path)
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_weights_that_do_not_fit_are_refused_with_the_tensor(tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(to_bytes(zoo.build("mlp", classes=4, size=8, seed=0)))
    with pytest.raises(ModelError, match=r"outputs.linear.weight.*4x256.*5x256"):
        zoo.build("mlp", classes=5, size=8, weights=path)
    with pytest.raises(ModelError, match="unknown, one is"):
        zoo.build("mlp", classes=4, size=8, depth=1, weights=path)
    with pytest.raises(ModelError, match="missing, one is"):
        zoo.build("mlp", classes=4, size=8, depth=3, width=256, weights=path)
    path.write_bytes(b"not a file of tensors")
    with pytest.raises(ModelError, match="cannot read"):
        load(build(TINY, channels=3, outputs=2, size_hw=(8, 8)), path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="missing, one is"):
        load(build(TINY, channels=3, outputs=2, size_hw=(8, 8)), path)


def test_copy_by_order_refuses_other_shapes_and_counts() -> None:
    network = build(TINY, channels=3, outputs=2, size_hw=(8, 8), seed=0)
    state = dict(build(TINY, channels=3, outputs=2, size_hw=(8, 8), seed=1).state_dict())
    copy_by_order(network, state)
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), state.values(), strict=True))
    with pytest.raises(ModelError, match="8x3x3x3"):
        copy_by_order(network, dict(reversed(state.items())))
    with pytest.raises(ModelError, match="3 there"):
        copy_by_order(network, dict(list(state.items())[:3]))


def test_inception_like_branches_by_named_inputs_equal_the_same_written_by_hand() -> None:
    network = make(
        Row("conv", 8, name="stem", options={"activation": "relu"}),
        Row("conv", 4, name="one", inputs=("stem",), options={"kernel": 1}),
        Row("conv", 6, name="reduce", inputs=("stem",), options={"kernel": 1, "activation": "relu"}),
        Row("conv", 8, name="five", options={"kernel": 5}),
        Row("max_pool", name="pool", inputs=("stem",), options={"kernel": 3, "padding": 1}),
        Row("conv", 3, name="project", options={"kernel": 1}),
        Row("concat", name="mixed", inputs=("one", "five", "project")),
        Row("conv", 8, name="narrow", options={"kernel": 1}),
        Row("add", name="sum", inputs=("narrow", "stem", "five"), options={"activation": "relu"}),
        *HEAD,
    ).eval()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    w = {name: (part.conv.weight, part.conv.bias) for name, part in network.rows.items() if hasattr(part, "conv")}
    stem = F.conv2d(x, *w["stem"], padding=1).relu()
    five = F.conv2d(F.conv2d(stem, *w["reduce"]).relu(), *w["five"], padding=2)
    project = F.conv2d(F.max_pool2d(stem, 3, 1, 1), *w["project"])
    mixed = torch.cat([F.conv2d(stem, *w["one"]), five, project], 1)
    total = (F.conv2d(mixed, *w["narrow"]) + stem + five).relu()
    expected = network.rows["linear1"](total.mean((2, 3)))
    assert network.shapes["mixed"] == (15, 16, 16)
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.features(x, at="mixed")["mixed"], mixed, rtol=1e-4, atol=1e-5)


def test_dense_links_by_named_inputs() -> None:
    rows = [Row("conv", 4, name="d0")]
    for level in range(1, 4):
        rows.append(Row("concat", name=f"c{level}", inputs=tuple(f"d{i}" for i in range(level))))
        rows.append(Row("conv", 4, name=f"d{level}"))
    network = make(*rows, *HEAD)
    assert [network.rows[f"d{level}"].conv.in_channels for level in range(4)] == [3, 4, 8, 12]
    network(torch.zeros(1, 3, 16, 16)).sum().backward()
    assert all(value.grad is not None for value in network.parameters())


def test_side_outputs_get_the_number_of_outputs_and_run_only_when_asked() -> None:
    network = make(
        Row("conv", 8, name="body"),
        Row("global_pool", name="side_mean", inputs=("body",)),
        Row("linear", name="side"),
        Row("conv", 8, name="more", inputs=("body",)),
        *HEAD,
    ).eval()
    ran = []
    network.rows["side"].register_forward_hook(lambda *_: ran.append(1))
    x = torch.zeros(2, 3, 16, 16)
    assert network(x).shape == (2, 5) and not ran
    both = network(x, auxiliary=True)
    assert list(both) == ["side", "linear1"] and both["side"].shape == (2, 5) and ran
    assert network.stages == ("more",)


def test_plan_forgets_each_map_after_its_last_use() -> None:
    rows = (
        Row("conv", 8, name="a"),
        Row("conv", 8, name="b"),
        Row("add", name="c", inputs=("a", "b")),
        Row("conv", 8, name="d", inputs=("b",)),
    )
    steps = plan(Blueprint("x", rows), ("d",))
    assert [step[0] for step in steps] == ["a", "b", "d"]
    assert [step[2] for step in steps] == [("image",), ("a",), ("b",)]


def test_features_are_the_last_map_at_each_size_and_the_head_is_left_out() -> None:
    network = zoo.build("resnet18", classes=4, size=64, width=8, seed=0).eval()
    x = torch.zeros(2, 3, 64, 64)
    shapes = {name: tuple(y.shape) for name, y in network.features(x).items()}
    assert shapes == {
        "stem": (2, 8, 32, 32),
        "stage1": (2, 8, 16, 16),
        "stage2": (2, 16, 8, 8),
        "stage3": (2, 32, 4, 4),
        "stage4": (2, 64, 2, 2),
    }
    assert list(network.features(x, at="mean")) == ["mean"]
    with pytest.raises(SettingsError) as caught:
        network.features(x, at="stge3")
    assert "stage3" in caught.value.fix
    explicit = make(Row("conv", 8), Row("conv", 5, name="classes"), Row("global_pool"), head="classes")
    assert explicit.stages == ("conv1",)


def test_number_of_outputs_goes_to_the_last_row_that_has_a_width() -> None:
    network = make(Row("conv", 8), Row("conv", options={"kernel": 1}), Row("global_pool"))
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_images_with_other_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="takes 3 channels; got 1"):
        make(Row("conv", 8), *HEAD)(torch.zeros(1, 1, 16, 16))


@pytest.mark.parametrize(
    ("rows", "where", "fix"),
    [
        ((Row("cnov", 8),), "row 0", "'conv'"),
        ((Row("conv", 8), Row("conv", 9, options={"groups": 4}), *HEAD), "row 1 (conv2: conv on 8x16x16)", "groups=1"),
        ((Row("conv", 8, options={"kernal": 3}), *HEAD), "row 0", "'kernel'"),
        ((Row("conv", 8, options={"kernel": 4}), *HEAD), "row 0", "odd"),
        ((Row("conv"), *HEAD), "row 0", "width"),
        ((Row("conv", 8), Row("global_pool", 8), Row("linear")), "row 1", "leave the width out"),
        ((Row("conv", 8), Row("global_pool", stride=2), Row("linear")), "row 1", "leave the stride out"),
        ((Row("conv", 8), Row("linear")), "row 1 (linear1: linear on 8x16x16)", "flatten"),
        ((Row("conv", 8), Row("conv", 4), Row("add", inputs=("conv1", "conv2"))), "row 2", "same width"),
        ((Row("conv", 8), Row("conv", 8, inputs=("conv1", "image")), *HEAD), "row 1", "concat"),
        ((Row("conv", 8, options={"norm": "bach"}), *HEAD), "row 0", "'batch'"),
        ((Row("conv", 8, options={"activation": "rel"}), *HEAD), "row 0", "relu, relu6"),
        ((Row("conv", 8, name="pop"), *HEAD), "row 0", "pop_1"),
        ((Row("dropout", options={"rate": 1.5}), *HEAD), "row 0", "0.5"),
        ((Row("conv", 8, options={"kernel": "three"}), *HEAD), "row 0", "options"),
        (
            (Row("conv", 8, options={"kernel": 19, "padding": "valid"}), *HEAD),
            "row 0 (conv1: conv on 3x16x16)",
            "19x19",
        ),
    ],
)
def test_row_that_cannot_work_is_named_with_what_would(rows, where: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make(*rows)
    assert where in caught.value.where and fix in caught.value.fix, str(caught.value)


@pytest.mark.parametrize(("size", "least"), [((1, 1), 16), ((3, 200), 16), ((15, 15), 16)])
def test_image_too_small_is_refused_with_the_size_that_works(size: tuple[int, int], least: int) -> None:
    levels = [row for _ in range(4) for row in (Row("conv", 2), Row("max_pool", stride=2))]
    with pytest.raises(SettingsError, match="pool") as caught:
        make(*levels, *HEAD, size=size)
    assert f"at least {least}x{least}" in caught.value.fix
    make(*levels, *HEAD, size=(least, least))
    zoo.build("bipyramid", classes=2, size=size, width=2)  # rounds up, so that any size works


def test_impossible_input_is_refused() -> None:
    for arguments in ({"channels": 0}, {"outputs": 0}, {"size": (0, 8)}):
        with pytest.raises(SettingsError, match="at least 1"):
            make(Row("conv", 8), *HEAD, **arguments)
