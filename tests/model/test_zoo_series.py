"""Networks for series against torch's own layers of one dimension."""

import torch
from torch import nn
from torch.nn import functional as F

from striate.model import zoo
from striate.model.build import build
from striate.model.network import Network
from striate.model.walk import walk

LENGTH, DIMS, CLASSES = 37, 3, 5


def network(name: str, **options: object) -> Network:
    made = build(zoo.blueprint(name, **options), channels=DIMS, outputs=CLASSES, size_hw=(1, LENGTH), seed=0)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):  # not the identity
                module.running_mean.normal_(generator=torch.Generator().manual_seed(1))
                module.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(2))
    return made.eval()


def series() -> torch.Tensor:
    return torch.randn(4, DIMS, LENGTH, generator=torch.Generator().manual_seed(0))


def over_time(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What a convolution row does, by Conv1d and BatchNorm1d with its weights; without the activation."""
    conv, norm = part.conv, part.norm
    kernel = conv.kernel_size[1]
    one = nn.Conv1d(conv.in_channels, conv.out_channels, kernel, bias=False)
    one.weight.data = conv.weight.data[:, :, 0]
    return normalised(norm, one(F.pad(x, ((kernel - 1) // 2, kernel // 2))))


def normalised(norm: nn.BatchNorm2d, x: torch.Tensor) -> torch.Tensor:
    two = nn.BatchNorm1d(norm.num_features)
    two.load_state_dict(norm.state_dict())
    return two.eval()(x)


@torch.no_grad()
def test_fcn_is_three_convolutions_over_time_and_the_mean():
    net, x = network("fcn_1d"), series()
    y = x
    for name in ("conv1", "conv2", "conv3"):
        y = F.relu(over_time(net.rows[name], y))
    wanted = F.linear(y.mean(2), net.rows["outputs"].linear.weight, net.rows["outputs"].linear.bias)
    torch.testing.assert_close(net(x[:, :, None]), wanted, rtol=1e-4, atol=1e-4)
    assert [tuple(net.rows[f"conv{n}"].conv.weight.shape) for n in (1, 2, 3)] == [
        (128, DIMS, 1, 8), (256, 128, 1, 5), (128, 256, 1, 3),
    ]  # fmt: skip


@torch.no_grad()
def test_resnet_is_three_blocks_of_three_convolutions_with_a_shortcut():
    net, x = network("resnet_1d"), series()
    y = x
    for block in ("block1", "block2", "block3"):
        z = F.relu(over_time(net.rows[f"{block}_conv1"], y))
        z = F.relu(over_time(net.rows[f"{block}_conv2"], z))
        z = over_time(net.rows[f"{block}_conv3"], z)
        around = net.rows[f"{block}_shortcut"]
        y = F.relu(z + (over_time(around, y) if block != "block3" else normalised(around.norm, y)))
    wanted = F.linear(y.mean(2), net.rows["outputs"].linear.weight, net.rows["outputs"].linear.bias)
    torch.testing.assert_close(net(x[:, :, None]), wanted, rtol=1e-4, atol=1e-4)


def test_they_are_counted_for_a_series_not_for_a_square():
    found = walk(zoo.blueprint("fcn_1d"))
    assert found.size_hw == (1, 128)
    assert found.macs == 128 * (8 * 128 + 128 * 5 * 256 + 256 * 3 * 128) + 128 * 10


def test_resnet_1d_is_what_series_are_trained_with():
    assert zoo.usual(None, "series") == "resnet_1d"
