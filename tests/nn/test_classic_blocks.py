"""Blocks of the classics against independent computation."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import SettingsError
from striate.nn.blocks import BLOCKS


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_partial_convolution_is_the_dense_one_with_zeros() -> None:
    table = [(0, 2), (1, 3), (0, 1, 2), (3,), (0, 1, 2, 3)]
    block = BLOCKS["partial_conv"](4, table=table, kernel=3, activation="tanh")
    weight, bias = torch.zeros(5, 4, 3, 3), torch.cat([part.bias for part in block.parts])
    kernels = iter([kernel for part in block.parts for kernel in part.weight])
    for out, maps in enumerate(table):
        weight[out, list(maps)] = next(kernels)
    x = draw(2, 4, 7, 6)
    torch.testing.assert_close(block(x), F.conv2d(x, weight, bias, padding=1).tanh())
    with pytest.raises(SettingsError, match="map 1 takes"):
        BLOCKS["partial_conv"](4, table=[(0,), (4,)])


def test_subsampling_is_coefficient_times_mean_plus_bias() -> None:
    block = BLOCKS["subsample"](3, stride=2)
    with torch.no_grad():
        block.weight.copy_(torch.tensor([1.0, 2.0, -1.0]))
        block.bias.copy_(torch.tensor([0.0, 1.0, 0.5]))
    x = draw(2, 3, 6, 4)
    means = x.numpy().reshape(2, 3, 3, 2, 2, 2).mean((3, 5))
    expected = means * np.array([1, 2, -1])[:, None, None] + np.array([0, 1, 0.5])[:, None, None]
    np.testing.assert_allclose(block(x).detach().numpy(), expected, atol=1e-6)


def test_ways_are_joined_in_order() -> None:
    ways = [[(4, 1)], [(3, 1), (5, (1, 7))], [("max", 3), (2, 1)], [(6, 3), [[(2, (1, 3))], [(3, (3, 1))]]]]
    block = BLOCKS["inception"](3, ways=ways, norm="none").eval()
    x = draw(2, 3, 9, 8)
    one, deep, pooled, split = block.ways

    def conv(part, y):
        kernel = part.conv.kernel_size
        return F.conv2d(y, part.conv.weight, part.conv.bias, padding=(kernel[0] // 2, kernel[1] // 2)).relu()

    y = conv(split[0], x)
    expected = [
        conv(one, x),
        conv(deep[1], conv(deep[0], x)),
        conv(pooled[1], F.max_pool2d(x, 3, 1, 1)),
        conv(split[1].ways[0], y),
        conv(split[1].ways[1], y),
    ]
    assert block(x).shape == (2, 4 + 5 + 2 + 2 + 3, 9, 8)
    torch.testing.assert_close(block(x), torch.cat(expected, 1))
    half = BLOCKS["inception"](3, ways=[[(4, 3, 2, "valid")], [("avg", 3, 2, "valid")]])
    assert half(x).shape == (2, 7, 4, 3)


@pytest.mark.parametrize("ways", [[], [[]], "avg", [["avg"]], [[("mean", 3)]], [[(4,)]], [[(4, 1, 1, "same", 2)]]])
def test_ways_that_are_none_are_refused(ways) -> None:
    with pytest.raises(SettingsError, match="way"):
        BLOCKS["inception"](3, ways=ways)


def test_padding_counts_in_the_average_or_not() -> None:
    x = torch.ones(1, 2, 4, 4)
    for count in (True, False):
        y = BLOCKS["inception"](2, ways=[[("avg", 3)]], count_padding=count)(x)
        assert y[0, 0, 0, 0].item() == pytest.approx(4 / 9 if count else 1)


def test_inception_residual_is_its_formula() -> None:
    block = BLOCKS["inception_residual"](6, ways=[[(4, 1)], [(3, 3)]], scale=0.3, last="none").eval()
    x = draw(2, 6, 5, 5)
    torch.testing.assert_close(block(x), x + 0.3 * block.mix(block.ways(x)))
    block = BLOCKS["inception_residual"](6, ways=[[(4, 1)], [(3, 3)]], scale=0.3, drop_path=0.5).eval()
    torch.testing.assert_close(block(x), (x + 0.3 * block.mix(block.ways(x))).relu())


def test_auxiliary_pooling_has_five_by_five_means_at_least() -> None:
    x = draw(1, 2, 17, 17)
    torch.testing.assert_close(BLOCKS["auxiliary_pool"](2, size_hw=(17, 17), stride=3)(x), F.avg_pool2d(x, 5, 3))
    assert BLOCKS["auxiliary_pool"](2, size_hw=(4, 17), stride=3)(draw(1, 2, 4, 17)).shape == (1, 2, 5, 5)


def test_fire_squeezes_and_expands() -> None:
    block = BLOCKS["fire"](8, 12, squeeze=3)
    x = draw(2, 8, 5, 4)
    squeezed = block.squeeze(x)
    assert squeezed.shape == (2, 3, 5, 4)
    torch.testing.assert_close(block(x), torch.cat([block.expand1(squeezed), block.expand3(squeezed)], 1))
    with pytest.raises(SettingsError, match="odd"):
        BLOCKS["fire"](8, 11, squeeze=3)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_dense_layer_keeps_its_input_and_adds_to_it(norm: str) -> None:
    x = draw(2, 8, 5, 4)
    before = x.clone()
    for bottleneck in (0, 4):
        y = BLOCKS["dense"](8, 3, bottleneck=bottleneck, norm=norm)(x)
        assert y.shape == (2, 11, 5, 4) and torch.equal(y[:, :8], before) and torch.equal(x, before)


def test_pre_activation_is_convolution_of_the_activated_input() -> None:
    x = draw(2, 4, 5, 5)
    block = BLOCKS["pre_conv"](4, 6, norm="none")
    torch.testing.assert_close(block(x), F.conv2d(x.relu(), block.conv.weight, block.conv.bias, padding=1))
    assert BLOCKS["pre_conv"](4, 6).conv.bias is None


def test_separable_convolution_is_depthwise_then_pointwise() -> None:
    block = BLOCKS["separable"](4, 6, kernel=5, norm="none")
    x = draw(2, 4, 7, 7)
    deep, point = block.depthwise.conv, block.pointwise.conv
    dense = point.weight * deep.weight[:, 0][None]  # the one kernel it stands for, (6, 4, 5, 5)
    torch.testing.assert_close(block(x), F.conv2d(x, dense, point.bias, padding=2), rtol=1e-4, atol=1e-5)
    kinds = [type(part).__name__ for part in BLOCKS["separable"](4, 6, between=True, activation="relu").modules()]
    assert kinds.count("BatchNorm2d") == kinds.count("ReLU") == 2


def test_xception_unit_adds_its_input_as_it_was() -> None:
    x = draw(2, 6, 8, 8)
    before = x.clone()
    for options in ({}, {"stride": 2, "depth": 3, "grow": "last"}, {"start": False, "drop_path": 0.2}):
        block = BLOCKS["xception"](6, 6, norm="none", **options).eval()
        expected = block.branch(before) + (before if block.shortcut is None else block.shortcut(before))
        torch.testing.assert_close(block(x), expected)
        assert torch.equal(x, before)
    grown = BLOCKS["xception"](6, 9, depth=3, grow="last")
    widths = [part.out_channels for part in grown.branch.modules() if getattr(part, "kernel_size", 0) == (1, 1)]
    assert widths == [6, 6, 9]


def cells(kind: str, *args, **options):
    block = BLOCKS[kind](*args, **options)
    block.initialise(torch.Generator().manual_seed(0))
    return block


def test_simple_cells_answer_by_the_angle_to_their_pattern() -> None:
    block = cells("simple_cells", 2, 3, kernel=3, threshold=0.4)
    x = draw(1, 2, 5, 5).relu()
    found = block(x)[0].detach().numpy()
    weight, window = block.weight.detach().numpy(), block.window.numpy()
    image = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    for plane, row, column in np.ndindex(found.shape):
        patch = image[:, row : row + 3, column : column + 3]
        pattern = weight[plane] / window
        inner = (window * patch * pattern).sum()
        lengths = np.sqrt((window * patch**2).sum() * (window * pattern**2).sum())
        assert found[plane, row, column] == pytest.approx(max(inner / lengths - 0.4, 0) / 0.6, abs=1e-5)
    torch.testing.assert_close(block(100 * x), block(x))  # contrast does not matter
    assert block(torch.zeros(1, 2, 5, 5)).abs().max() == 0


def test_complex_cells_are_their_formula_and_forgive_a_shift() -> None:
    block = cells("complex_cells", 3, kernel=3, stride=2)
    x = draw(1, 3, 6, 6).relu()
    window = block.window.numpy()
    image = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    e = np.array(
        [
            [[(image[k, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3] * window).sum() for c in range(3)] for r in range(3)]
            for k in range(3)
        ]
    )
    y = np.maximum((1 + e) / (1 + e.mean(0)) - 1, 0)
    np.testing.assert_allclose(block(x)[0].numpy(), y / (0.5 + y), atol=1e-5)
    dot = torch.zeros(1, 3, 6, 6)
    dot[0, 0, 2, 2] = 1
    assert block(dot)[0, 0, 1, 1] > 0 and block(dot.roll(1, 3))[0, 0, 1, 1] > 0


def test_contrast_cells_see_edges_only() -> None:
    block = BLOCKS["contrast"](1)
    x = torch.full((1, 1, 12, 12), 0.7)
    assert block(x).abs().max() < 1e-6
    x[..., 6:] = 1.7
    on, off = block(x)[0]
    assert on[6, 6] > 0.09 and off[6, 5] > 0.09 and on[6, 5] == off[6, 6] == 0 and on[6, 0] < 1e-6


def test_competition_gives_each_pattern_its_plane() -> None:
    block = cells("simple_cells", 1, 4, kernel=5)
    with torch.no_grad():
        block.weight.zero_()
    across, down = torch.zeros(1, 1, 15, 15), torch.zeros(1, 1, 15, 15)
    across[..., 7, :] = 1
    down[..., :, 7] = 1
    for _ in range(3):
        for x in (across, down):
            block.compete(x, threshold=0.9)
    used = block.weight.flatten(1).amax(1) > 0
    assert used.sum() >= 2
    answers = [block(x)[0, :, 7, 7] for x in (across, down)]
    assert answers[0].argmax() != answers[1].argmax() and min(a.max() for a in answers) > 0.9
