"""What a unit sees is the support of its input's gradient: for every network of the zoo, and for single operations."""

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from zoo_families import marked

from striate.model import zoo
from striate.model.blueprint import Blueprint
from striate.model.build import build
from striate.model.network import Network
from striate.model.walk import Layer, walk

WIDTH_PX = 96  # pixels across: what is held are heights, so that deep networks see less than the image
SAME = {F.relu, torch.relu, torch.relu_, torch.Tensor.relu, F.relu6, F.hardtanh, F.hardswish, F.silu, F.gelu, F.elu}
SAME |= {F.leaky_relu, F.dropout}


class Smooth(TorchFunctionMode):
    """Takes averages for maxima and leaves activations out, so that no path of the gradient is cut by chance."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in SAME:
            return args[0]
        if func is F.hardsigmoid:
            return args[0].sigmoid()
        if getattr(func, "__name__", "") in ("boolean_dispatch", "fn", "_max_pool2d", "max_pool2d"):
            given = inspect.signature(F._max_pool2d).bind(*args, **kwargs).arguments
            kept = {key: given[key] for key in ("kernel_size", "stride", "padding", "ceil_mode") if key in given}
            return F.avg_pool2d(given["input"], **kept)
        return func(*args, **kwargs)


def shaken(network: nn.Module) -> nn.Module:
    """Return the network in double precision, every weight drawn anew, so that none is zero."""
    torch.manual_seed(0)
    network = network.double().eval()
    with torch.no_grad():
        for value in network.parameters():
            value.normal_(0, 1 / max(1, value[0].numel()) ** 0.5 if value.dim() > 1 else 0.5)
    return network


def extent(y: torch.Tensor, x: torch.Tensor) -> tuple[int, int]:
    """Return the height and width of the support of the gradient of the unit in the middle of a map (N, C, H, W)."""
    unit = y[0, :, y.shape[2] // 2, y.shape[3] // 2]
    mixed = (unit * torch.rand(unit.shape, dtype=unit.dtype)).sum()  # a plain sum can cancel
    grad = torch.autograd.grad(mixed, x, retain_graph=True)[0]
    support = (grad[0] != 0).any(0).numpy()
    spans = [np.nonzero(support.any(axis))[0] for axis in (1, 0)]
    return tuple(int(span[-1] - span[0] + 1) for span in spans)


def chosen(network: Network) -> tuple[list[Layer], list[Layer]]:
    """Return the first, a middle and the last row that see part of the image, and the last that sees all of it."""
    layers = walk(network).layers
    part = [layer for layer in layers if not layer.is_global and len(layer.out_shape) == 3]
    whole = [layer for layer in layers if layer.is_global and layer.receptive_field_hw[0]]
    return ([part[0], part[len(part) // 2], part[-1]] if part else []), whole[-1:]


def maps_of(network: Network, layers: list[Layer], x: torch.Tensor) -> list[torch.Tensor]:
    """Return the outputs of rows as maps (N, C, H, W)."""
    maps = {}
    for layer in layers:
        network.rows[layer.name].register_forward_hook(lambda _, args, out, name=layer.name: maps.setdefault(name, out))
    with Smooth():
        network(x, auxiliary=bool(network.blueprint.auxiliary_heads))
    found = [maps[layer.name] for layer in layers]
    return [y if y.dim() == 4 else y.unflatten(1, (-1, 1, 1)) if y.dim() == 2 else y[..., None] for y in found]


ONE_MAP = [name for name in zoo.names() if not zoo.blueprint(name).ends]  # a list's places are of several maps
NARROW = {"transformer_1d": 8}  # in which every pixel attends to every other
OWN_NORM = {"unet_3d": {"norm": "batch"}}  # its instance norm reads a whole map, as no layer's own reach does


def check_fields(plan: Blueprint) -> None:
    layers = walk(plan, size_hw=(512, WIDTH_PX)).layers
    reach = max((layer.receptive_field_hw[0] for layer in layers if not layer.is_global), default=16)
    width_px = NARROW.get(plan.name, WIDTH_PX)
    for height in (reach + 64, reach + 97):
        network = shaken(build(plan, channels=3, outputs=2, size_hw=(height, width_px), seed=0))
        part, whole = chosen(network)
        x = torch.randn(1, 3, height, width_px, dtype=torch.float64, requires_grad=True)
        for layer, y in zip(part + whole, maps_of(network, part + whole, x), strict=True):
            seen = extent(y, x)[0]
            if layer.is_global:  # but for a rest of pixels that strides leave over
                rest = max((layer.jump_hw[0] for layer in part), default=0)
                assert layer.receptive_field_hw[0] >= seen > height - max(1, rest), (layer.name, height)
            else:
                assert layer.receptive_field_hw[0] == seen, (layer.name, height)


@pytest.mark.parametrize("name", marked(ONE_MAP))
def test_fields_of_small_variants(name: str, tiny) -> None:
    check_fields(zoo.blueprint(name, **tiny[name][0], **OWN_NORM.get(name, {})))


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_MAP)
def test_fields_at_full_depth(name: str, tiny) -> None:
    narrow = {key: value for key, value in tiny[name][0].items() if key in ("width", "stem", "growth")}
    check_fields(zoo.blueprint(name, **narrow, **OWN_NORM.get(name, {})))


def framed(x: torch.Tensor) -> torch.Tensor:
    """Return a map written into the middle of a larger one."""
    y = x.new_zeros(*x.shape[:2], 40, 40)
    y[:, :, 4:36, 4:36] = x
    return y


def overwritten(x: torch.Tensor) -> torch.Tensor:
    """Return a map of which every second row is the mean of all."""
    y = x.clone()
    y[:, :, ::2] = x.mean((2, 3), keepdim=True)
    return y


OPERATIONS = {
    "framed": framed,
    "overwritten": overwritten,
    "strided slice": lambda x: x[:, :, ::2, ::2],
    "shifted slice": lambda x: x[:, :, 1::3],
    "space to depth": lambda x: torch.cat([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "pixel shuffle": lambda x: F.pixel_shuffle(torch.cat([x, x, x, x], 1), 2),
    "flip": lambda x: x.flip(2),
    "flip, then add": lambda x: x + x.flip(3),
    "side by side": lambda x: torch.cat([x[:, :, 16:], x[:, :, :16]], 2),
    "reflection": lambda x: F.pad(x, (2, 2, 2, 2), mode="reflect"),
    "replication": lambda x: F.pad(x, (1, 0, 1, 0), mode="replicate"),
    "crop": lambda x: F.pad(x, (-3, -3, -2, -2)),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear, smaller": lambda x: F.interpolate(x, size=(20, 20), mode="bilinear"),
    "bilinear, corners": lambda x: F.interpolate(x, size=(50, 50), mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "nearest": lambda x: F.interpolate(x, size=(45, 45), mode="nearest"),
    "nearest exact": lambda x: F.interpolate(x, size=(45, 45), mode="nearest-exact"),
    "area": lambda x: F.interpolate(x, size=(11, 11), mode="area"),
    "adaptive, odd": lambda x: F.adaptive_avg_pool2d(x, 7),
    "adaptive, more": lambda x: F.adaptive_avg_pool2d(x, 40),
    "average with ceil": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "power average": lambda x: F.lp_pool2d(x.abs() + 1, 2, 2),
    "channel softmax": lambda x: x.softmax(1),
    "row softmax": lambda x: x.softmax(3),
    "local response": lambda x: F.local_response_norm(x, 2),
    "halves of channels": lambda x: x.chunk(2, 1)[1],
    "one channel": lambda x: x[:, 1].unsqueeze(1),
    "channels picked": lambda x: x[:, [1, 0]],
    "gated": lambda x: F.glu(x, 1),
    "to the end and back": lambda x: x.permute(0, 2, 3, 1).flatten(1, 2).unflatten(1, (32, 32)).permute(0, 3, 1, 2),
    "standard deviation": lambda x: x / x.std((2, 3), keepdim=True),
    "running sum": lambda x: x.cumsum(2).flip(2).cumsum(2),
    "circular": lambda x: F.pad(x, (2, 2, 2, 2), mode="circular"),
}
OVER = {"framed", "circular", "running sum", "side by side"}  # taken for the whole where it is less


class Of(nn.Module):
    """An operation as a layer, as a user's module has it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return OPERATIONS[self.name](x)


@pytest.mark.parametrize("name", OPERATIONS)
def test_fields_of_modules_of_one_s_own(name: str) -> None:
    wide = Of(name)(torch.zeros(1, 2, 32, 32)).shape[1]
    network = nn.Sequential(nn.Conv2d(3, 2, 3, 2, 1), Of(name), nn.Conv2d(wide, 2, 3, padding=1))
    network = shaken(network)
    layer = walk(network, size_hw=(64, 64)).layers[-1]
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    seen = extent(network(x), x)
    assert layer.out_shape == tuple(network(x).shape[1:])
    for found, true in zip(layer.receptive_field_hw, seen, strict=True):
        assert found >= true if name in OVER or layer.is_global else found == true


def test_published_fields_and_jumps() -> None:
    """ResNet-20's from He et al.'s table by hand: stages of 7, 6 and 6 convolutions of 3x3 at jumps of 1, 2 and 4."""
    for size in (32, 160):
        found = {layer.name: layer for layer in walk(zoo.blueprint("resnet20"), size_hw=(size, size)).layers}
        assert [found[name].receptive_field_hw[0] for name in ("stage1", "stage2", "stage3")] == [15, 37, 81]
        assert [found[name].jump_hw[0] for name in ("stage1", "stage2", "stage3")] == [1, 2, 4]
    vgg = walk(zoo.blueprint("vgg16"), size_hw=(256, 256)).layers
    assert max(layer.receptive_field_hw[0] for layer in vgg if not layer.is_global) == 244
    nasnet = {layer.name: layer for layer in walk(zoo.blueprint("nasnetalarge")).layers}
    assert nasnet["cell18"].jump_hw == (32, 32)
