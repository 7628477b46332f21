"""Blocks against independent computation."""

import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.nn.blocks import BLOCKS
from striate.nn.blocks.conv import conv
from striate.nn.blocks.norm import ACTIVATIONS, MAP_NORMS, make_activation, make_norm
from striate.nn.blocks.residual import DropPath, basic, bottleneck


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups"),
    [(3, 1, "same", 1, 1), (3, 2, "valid", 1, 2), ((1, 5), 1, "same", 1, 1), (3, 1, "same", 2, 4), (2, 2, 1, 1, 1)],
)
def test_convolution_is_the_sliding_dot_product(kernel, stride, padding, dilation, groups) -> None:
    block = conv(4, 8, kernel=kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    x = draw(1, 4, 9, 8)
    weight, bias = block.conv.weight.detach().numpy(), block.conv.bias.detach().numpy()
    k_h, k_w = weight.shape[2:]
    if padding == "same":
        pad_h, pad_w = dilation * (k_h // 2), dilation * (k_w // 2)
    else:
        pad_h = pad_w = 0 if padding == "valid" else padding
    image = np.pad(x[0].numpy(), ((0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    y = block(x)[0].detach().numpy()
    for out, row, column in np.ndindex(y.shape):
        group = out // (8 // groups)
        part = image[group * (4 // groups) : (group + 1) * (4 // groups)]
        top, left = row * stride, column * stride
        window = part[
            :, top : top + dilation * (k_h - 1) + 1 : dilation, left : left + dilation * (k_w - 1) + 1 : dilation
        ]
        assert y[out, row, column] == pytest.approx((window * weight[out]).sum() + bias[out], abs=1e-4)
    if padding == "same" and stride == 1:
        assert y.shape[1:] == (9, 8)


@pytest.mark.parametrize(("kind", "axes"), [("layer", (1, 2, 3)), ("channel", (1,)), ("instance", (2, 3))])
def test_normalisations_take_mean_and_deviation_over_their_axes(kind: str, axes: tuple[int, ...]) -> None:
    x = draw(2, 6, 5, 4)
    array = x.numpy()
    expected = (array - array.mean(axes, keepdims=True)) / np.sqrt(array.var(axes, keepdims=True) + 1e-5)
    found = make_norm(kind, 6)(x).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_group_and_batch_normalisation() -> None:
    x = draw(2, 8, 3, 3)
    parts = x.numpy().reshape(2, 4, 2, 3, 3)
    expected = (parts - parts.mean((2, 3, 4), keepdims=True)) / np.sqrt(parts.var((2, 3, 4), keepdims=True) + 1e-5)
    found = make_norm({"kind": "group", "groups": 4}, 8)(x).detach().numpy()
    np.testing.assert_allclose(found, expected.reshape(2, 8, 3, 3), atol=1e-4)
    expected = (x.numpy() - x.numpy().mean((0, 2, 3), keepdims=True)) / np.sqrt(
        x.numpy().var((0, 2, 3), keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(make_norm("batch", 8)(x).detach().numpy(), expected, atol=1e-4)
    assert make_norm("group", 48).num_groups == 16  # the largest number up to 32 that divides both


def test_normalisation_settings() -> None:
    assert make_norm({"kind": "batch", "eps": 0.001, "momentum": 0.01}, 4).eps == 0.001
    with pytest.raises(SettingsError, match="does not take"):
        make_norm({"kind": "batch", "epsilon": 0.001}, 4)
    with pytest.raises(SettingsError, match="vector"):
        make_norm("instance", 4, vector=True)


@pytest.mark.parametrize("kind", MAP_NORMS)
def test_convolution_has_a_bias_only_if_no_normalisation_follows(kind: str) -> None:
    block = conv(3, 8, norm=kind, activation="relu")
    assert (block.conv.bias is not None) == (kind == "none")
    assert block(draw(2, 3, 5, 5)).min() == 0


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_are_finite_and_monotone_where_positive(kind: str) -> None:
    x = torch.linspace(0, 4, 50)
    y = make_activation(kind)(x.clone())
    assert y.isfinite().all() and (y.diff() >= 0).all()


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation() -> None:
    torch.manual_seed(0)
    part = DropPath(0.25)
    y = part(torch.ones(20_000, 2, 1, 1))
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(y[:, 0], y[:, 1])
    x = draw(4, 2, 3, 3)
    assert torch.equal(part.eval()(x), x)
    with pytest.raises(SettingsError):
        DropPath(1.0)


def test_residual_block_is_its_formula() -> None:
    x = draw(2, 8, 6, 6)
    for block in (basic(8, 8).eval(), basic(8, 16, stride=2).eval(), bottleneck(8, 16, stride=2, groups=2).eval()):
        shortcut = x if block.shortcut is None else block.shortcut(x)
        expected = (block.branch(x) + shortcut).clamp(min=0)
        torch.testing.assert_close(block(x), expected)
    assert basic(8, 8).shortcut is None and bottleneck(8, 16).shortcut is not None
    assert bottleneck(8, 16, inner=6).branch[1].conv.in_channels == 6


def test_every_block_says_what_it_is() -> None:
    assert all(block.__doc__ for block in BLOCKS.values())
