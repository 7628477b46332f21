"""Shapes without numbers equal those of torch's operations on real tensors."""

import subprocess
import sys

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from striate.model.meta import ShapesOnly

SIDE = st.integers(1, 12)
SMALL = st.integers(1, 4)


def both(act, *shapes: tuple[int, ...]) -> None:
    """Compare an operation on real tensors with the same on the meta device: equal shapes, or both refuse."""
    try:
        wanted = act(*(torch.zeros(shape) for shape in shapes)).shape
    except RuntimeError:
        with pytest.raises(RuntimeError), ShapesOnly(), torch.no_grad():
            act(*(torch.empty(shape, device="meta") for shape in shapes))
        return
    with ShapesOnly(), torch.no_grad():
        assert act(*(torch.empty(shape, device="meta") for shape in shapes)).shape == wanted


@settings(max_examples=150, deadline=None)
@given(SIDE, SIDE, SMALL, SMALL, SMALL, st.integers(0, 3), SMALL, st.sampled_from([1, 2, 3]), st.booleans())
def test_convolution(high, wide, kernel, kernel_wide, stride, padding, dilation, groups, fits) -> None:
    channels = 6 if fits else 5
    options = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (1, dilation), "groups": groups}
    shapes = (2, channels, high, wide), (12, 6 // groups, kernel, kernel_wide)
    both(lambda x, w: F.conv2d(x, w, **options), *shapes)


@settings(max_examples=100, deadline=None)
@given(SIDE, SMALL, SMALL, st.integers(0, 2), SMALL, st.sampled_from([1, 2]), st.integers(0, 3))
def test_transposed_convolution(side, kernel, stride, padding, dilation, groups, more) -> None:
    assume(more < max(stride, dilation) and (side - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1 > 0)
    options = {"padding": padding, "output_padding": more, "dilation": dilation, "groups": groups}
    both(lambda x, w: F.conv_transpose2d(x, w, None, stride, **options), (1, 4, side, side), (4, 3, kernel, kernel))


@settings(max_examples=150, deadline=None)
@given(SIDE, SIDE, SMALL, SMALL, st.integers(0, 2), SMALL, st.booleans(), st.booleans())
def test_pooling(high, wide, kernel, stride, padding, dilation, ceil, is_max) -> None:
    def pool(x: torch.Tensor) -> torch.Tensor:
        if is_max:
            return F.max_pool2d(x, kernel, stride, padding, dilation, ceil)
        return F.avg_pool2d(x, (kernel, 1), stride, (padding, 0), ceil)

    both(pool, (2, 3, high, wide))


OTHERS = {
    "sum over places": (lambda x: x.sum((2, 3)), (2, 3, 4, 5)),
    "mean, kept": (lambda x: x.mean((2, -1), keepdim=True), (2, 3, 4, 5)),
    "mean of all": (lambda x: x.mean(), (2, 3)),
    "maximum": (lambda x: x.amax(1), (2, 3, 4)),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (2, 3, 4, 5)),
    "pad": (lambda x: F.pad(x, (1, 0, 2, -1)), (2, 3, 4, 5)),
    "pad too little": (lambda x: F.pad(x, (-3, -3)), (2, 3, 4, 5)),
    "chosen channels": (lambda x: x[:, torch.tensor([0, 2, 2], device=x.device)], (2, 3, 4, 5)),
    "repeat": (lambda x: x.repeat(2, 1, 3), (4, 5)),
    "joined": (lambda x, y: torch.cat((x, y), -3), (2, 3, 4, 5), (2, 1, 4, 5)),
    "cannot be joined": (lambda x, y: torch.cat((x, y), 1), (2, 3, 4, 5), (2, 3, 4, 4)),
    "broadcast": (lambda x, y: x * y, (2, 3, 4, 5), (3, 1, 1)),
    "no broadcast": (lambda x, y: x + y, (2, 3, 4, 5), (2, 1, 1)),
    "in place": (lambda x, y: x.add_(y), (2, 3, 4, 5), (3, 1, 1)),
    "in place, too large": (lambda x, y: x.add_(y), (3, 1, 1), (2, 3, 4, 5)),
    "matrices": (lambda x, y: x @ y, (2, 3, 4), (2, 4, 5)),
    "matrices that do not fit": (lambda x, y: x @ y, (3, 4), (5, 6)),
    "attention": (lambda x: F.softmax(F.layer_norm(x, (4,)), -1), (2, 3, 4)),
    "batch norm": (lambda x, y: F.batch_norm(F.silu(x), y, y), (2, 3, 4, 5), (3,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_operations(name: str) -> None:
    both(*OTHERS[name])


def test_a_refusal_names_the_sizes() -> None:
    says = "window of 7 pixels does not fit into an input of 4 with 1 around it"
    with pytest.raises(RuntimeError, match=says), ShapesOnly():
        nn.Conv2d(3, 4, 7, padding=1, device="meta")(torch.empty(1, 3, 4, 4, device="meta"))


def test_a_walk_does_without_symbolic_mathematics() -> None:
    code = (
        "import sys\nfrom striate.model import zoo\nfrom striate.model.walk import walk\n"
        "for name in ('bipyramid', 'lenet5', 'neocognitron', 'resnet18', 'nasnetamobile', 'vit_b_16'):\n"
        "    plan = zoo.blueprint(name)\n"
        "    walk(plan, channels=1 if name.startswith(('lenet', 'neo')) else 3)\n"
        "    assert 'sympy' not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
