"""Blocks that make maps larger equal PyTorch's layers, and fit any size."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.nn.blocks.resize import Resize
from striate.nn.blocks.upsample import BilinearTransposed, MaxUnpool, Subpixel, Transposed


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "more"), [(2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (8, 4, 2, 0)]
)
def test_a_transposed_convolution_is_torch_s(kernel: int, stride: int, padding: int, more: int) -> None:
    ours = Transposed((6,), 4, kernel=kernel, stride=stride)
    theirs = nn.ConvTranspose2d(6, 4, kernel, stride, padding, more)
    theirs.load_state_dict(ours.conv.state_dict())
    x = draw(2, 6, 5, 7)
    assert torch.equal(ours(x), theirs(x))
    assert ours(x).shape == (2, 4, 5 * stride, 7 * stride)


def test_a_transposed_convolution_undoes_one_with_a_stride_at_any_size() -> None:
    strided, back = nn.Conv2d(3, 6, 3, 2, 1), Transposed((6, 3), 4, kernel=3, stride=2)
    theirs = nn.ConvTranspose2d(6, 4, 3, 2, 1)
    theirs.load_state_dict(back.conv.state_dict())
    for size_hw in ((8, 9), (11, 6), (1, 1)):
        x = draw(1, 3, *size_hw)
        y = strided(x)
        assert torch.allclose(back(y, x), theirs(y, output_size=list(size_hw)), atol=1e-6)


def test_what_is_missing_at_the_end_repeats_the_last_column() -> None:
    y = Transposed((1, 3), 1, stride=2)(draw(1, 1, 2, 3), draw(1, 3, 5, 7))
    assert y.shape == (1, 1, 5, 7)
    assert torch.equal(y[..., -1], y[..., -2]) and torch.equal(y[:, :, -1], y[:, :, -2])


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_bilinear_at_the_start_is_interpolation(stride: int) -> None:
    plan = Blueprint("one", (Row("bilinear_transposed", stride=stride, name="up"),))
    network = build(plan, channels=3, outputs=3, size_hw=(6, 5), seed=0)
    x = draw(1, 3, 6, 5)
    expected = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    inside = slice(stride, -stride)  # beyond the border there are zeros here, repeated pixels there
    assert torch.allclose(network(x)[:, :, inside, inside], expected[:, :, inside, inside], atol=1e-6)
    fixed = BilinearTransposed((3,), stride=2, trains=False)
    assert not any(value.requires_grad for value in fixed.parameters())


def test_variance_is_kept_at_the_start() -> None:
    """Drawn for ReLU: a normal input of mean square 1 gives outputs of mean square 2, whatever the overlap."""
    for kernel, groups in ((2, 1), (4, 1), (4, 8)):
        options = {"kernel": kernel, "groups": groups}
        rows = (Row("transposed", 64, stride=2, options=options), Row("conv", 1))
        network = build(Blueprint("two", rows), channels=64, outputs=1, size_hw=(32, 32), seed=0)
        found = network.features(draw(1, 64, 32, 32), at="transposed1")["transposed1"]
        assert 1.6 < found.square().mean() < 2.4, (kernel, groups)


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil"), [(2, 2, 0, False), (3, 3, 1, False), (2, 2, 0, True)])
def test_unpooling_is_torch_s(kernel: int, stride: int, padding: int, ceil: bool) -> None:
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil, return_indices=True)
    x = draw(2, 4, 9, 11).requires_grad_()
    small, at = pool(x)
    y = (small * 2).relu()
    expected = nn.MaxUnpool2d(kernel, stride, padding)(y, at, output_size=x.shape[2:])
    found = MaxUnpool((4, 4), kernel=kernel, stride=stride, padding=padding, ceil=ceil)(y, x)
    assert torch.equal(found, expected)
    weights = draw(*found.shape)
    slopes = [torch.autograd.grad((one * weights).sum(), x, retain_graph=True)[0] for one in (found, expected)]
    assert torch.equal(*slopes)


def test_a_subpixel_convolution_is_torch_s() -> None:
    ours = Subpixel((5,), 4, scale=3)
    theirs = nn.Sequential(nn.Conv2d(5, 36, 3, padding=1), nn.PixelShuffle(3))
    theirs[0].load_state_dict(ours.conv.state_dict())
    x = draw(2, 5, 4, 6)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    assert ours(x, draw(1, 1, 11, 19)).shape == (2, 4, 11, 19)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_resizing_is_torch_s(mode: str) -> None:
    x = draw(1, 2, 5, 4)
    found = Resize((2,), scale=3, mode=mode)(x)
    assert torch.equal(found, nn.Upsample(scale_factor=3, mode=mode)(x))
    if mode == "nearest":
        assert torch.equal(found, x.repeat_interleave(3, 2).repeat_interleave(3, 3))
    assert torch.equal(Resize((2, 1), mode=mode)(x, draw(1, 1, 9, 7)), nn.Upsample(size=(9, 7), mode=mode)(x))


def test_mistakes_are_refused() -> None:
    for make in (lambda: Resize((2,)), lambda: Resize((2, 3), scale=2), lambda: Resize((2, 3, 4))):
        with pytest.raises(SettingsError, match="wanted size"):
            make()
    with pytest.raises(SettingsError, match="one width"):
        MaxUnpool((2, 3))
    with pytest.raises(SettingsError, match="groups=4"):
        Transposed((6,), 4, groups=4)
