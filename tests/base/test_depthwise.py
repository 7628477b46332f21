"""Gradients of depthwise convolutions beside sums of shifted maps in float64: odd shapes, layouts and requests."""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.base.kernels import guard

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 5e-2}  # torch adds up columns of bf16 in bf16
Pair = tuple[int, int]


def shifted(x: torch.Tensor, weight: torch.Tensor, stride: Pair, padding: Pair) -> torch.Tensor:
    """A depthwise convolution as a sum over the places of the weights."""
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    high, wide = ((x.shape[2 + axis] - weight.shape[2 + axis]) // stride[axis] + 1 for axis in (0, 1))
    rows, columns = (high - 1) * stride[0] + 1, (wide - 1) * stride[1] + 1
    places = itertools.product(range(weight.shape[2]), range(weight.shape[3]))
    return sum(  # type: ignore[return-value]
        x[:, :, i : i + rows : stride[0], j : j + columns : stride[1]] * weight[:, 0, i, j][:, None, None]
        for i, j in places
    )


def laid_out(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values with other strides."""
    if layout == "channels-last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "every other column":
        return x.repeat_interleave(2, 3)[..., ::2]
    return x.mT.contiguous().mT if layout == "turned" else x[:1].expand(x.shape) if layout == "expanded" else x


LAYOUTS = ("plain", "channels-last", "every other column", "turned", "expanded")
ASKED = ((True,) * 3, (True, False, False), (False, True, False), (False, True, True), (False, False, True))


def gradients_of(layer: Any, values: Sequence[torch.Tensor], asked: Sequence[bool], slope: Any) -> list[torch.Tensor]:
    leaves = [value.detach().requires_grad_(wanted) for value, wanted in zip(values, asked, strict=True)]
    wanted = [leaf for leaf, is_asked in zip(leaves, asked, strict=True) if is_asked]
    return list(torch.autograd.grad(layer(*leaves), wanted, slope))


def compare(x: torch.Tensor, kernel: Pair, stride: Pair, padding: Pair, asked: Sequence[bool] = ASKED[0]) -> None:
    channels, dtype = x.shape[1], x.dtype
    weight, bias = torch.randn(channels, 1, *kernel).to(dtype), torch.randn(channels).to(dtype)
    layer = lambda x, weight, bias: F.conv2d(x, weight, bias, stride, padding, 1, channels)  # noqa: E731
    slope = torch.randn_like(layer(x, weight, bias))
    found = gradients_of(layer, (x, weight, bias), asked, slope)
    plain = lambda x, weight, bias: shifted(x, weight, stride, padding) + bias[:, None, None]  # noqa: E731
    right = gradients_of(plain, [one.double() for one in (x, weight, bias)], asked, slope.double())
    for ours, theirs in zip(found, right, strict=True):
        assert ours.dtype == dtype
        scale = max(1.0, float(theirs.abs().max())) if theirs.numel() else 1.0
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_random_odd_layers_are_those_of_shifted_sums(dtype: torch.dtype) -> None:
    """Maps narrower than the weights, strides beyond them, padding of any width, empty batches, one channel."""
    guard()
    rng, num = np.random.default_rng(3), 0
    torch.manual_seed(3)
    while num < 120:
        size, kernel, padding = (tuple(map(int, rng.integers(low, 10, 2))) for low in (1, 1, 0))
        stride = ((1, 1), (2, 2), (1, 2), (5, 3), (20, 20))[rng.integers(5)]
        if any(size[axis] + 2 * padding[axis] < kernel[axis] for axis in (0, 1)):
            continue
        shape = (int(rng.integers(0, 4)), int(rng.choice((1, 2, 3, 16, 17))), *size)
        x = laid_out(torch.randn(shape).to(dtype), LAYOUTS[num % 5])
        compare(x, kernel, stride, padding, ASKED[rng.integers(5)])
        num += 1


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        ((2, 9), (6, 6), (11, 2), (7, 4)),  # the only unit from above sees no more than padding
        ((4, 1), (3, 6), (20, 20), (6, 8)),
        ((11, 3), (2, 5), (20, 20), (3, 9)),
    ],
)
def test_units_that_see_nothing_but_padding(size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> None:
    guard()
    compare(torch.randn(2, 16, *size).bfloat16(), kernel, stride, padding)


@pytest.mark.parametrize(("dtype", "stride"), [(torch.float32, 1), (torch.bfloat16, 2)])
def test_one_number_in_a_list_stands_for_both_axes(dtype: torch.dtype, stride: int) -> None:
    guard()
    x, weight = (torch.randn(shape).to(dtype).requires_grad_() for shape in ((2, 8, 9, 9), (8, 1, 5, 5)))
    short = torch.autograd.grad(F.conv2d(x, weight, None, [stride], [2], [1], 8).sum(), (x, weight))
    usual = torch.autograd.grad(F.conv2d(x, weight, None, stride, 2, 1, 8).sum(), (x, weight))
    assert all(map(torch.equal, short, usual))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.strided = nn.Conv2d(8, 8, 7, 1, 3, groups=8), nn.Conv2d(8, 8, 5, 2, 2, groups=8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.strided(self.wide(x).sin())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1)])
def test_gradients_of_gradients(dtype: torch.dtype, stride: Pair) -> None:
    guard()
    x, weight = torch.randn(2, 4, 5, 6), torch.randn(4, 1, 3, 5)

    def second(layer: Any, kind: torch.dtype) -> tuple[torch.Tensor, ...]:
        both = [one.to(dtype).to(kind).requires_grad_() for one in (x, weight)]
        first = torch.autograd.grad(layer(*both).square().sum(), both, create_graph=True)
        return torch.autograd.grad(sum(one.square().sum() for one in first), both)

    found = second(lambda x, weight: F.conv2d(x, weight, None, stride, (1, 2), 1, 4), dtype)
    right = second(lambda x, weight: shifted(x, weight, stride, (1, 2)), torch.float64)
    for ours, theirs in zip(found, right, strict=True):
        atol = TOLERANCE[dtype] * float(theirs.abs().max())
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=atol)


def test_autocast_gives_gradients_in_the_weights_own_precision() -> None:
    guard()
    torch.manual_seed(0)
    network, x = Small(), torch.randn(2, 8, 9, 11)
    network(x).square().sum().backward()
    right = [one.grad for one in network.parameters()]
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = network(x)
    out.float().square().sum().backward()
    for one, theirs in zip(network.parameters(), right, strict=True):
        assert one.grad is not None and theirs is not None
        assert one.grad.dtype == torch.float32
        torch.testing.assert_close(one.grad, theirs, rtol=0, atol=5e-2 * float(theirs.abs().max()))


def test_compiled_exported_and_per_sample_gradients_are_the_usual_ones() -> None:
    guard()
    network, x = Small(), torch.randn(3, 8, 9, 11)
    names = [name for name, _ in network.named_parameters()]

    def slopes(call: Any) -> dict[str, torch.Tensor]:
        found = torch.autograd.grad(call(x).square().sum(), list(network.parameters()))
        return dict(zip(names, found, strict=True))

    usual = slopes(network)
    torch.testing.assert_close(slopes(torch.compile(network, backend="aot_eager")), usual)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch
        program = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(program(x), network(x))

    def loss(values: dict[str, torch.Tensor], one: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(network, values, one[None]).square().sum()

    values = {name: one.detach() for name, one in network.named_parameters()}
    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(values, x)
    torch.testing.assert_close({name: one.sum(0) for name, one in each.items()}, usual, rtol=1e-4, atol=1e-4)
