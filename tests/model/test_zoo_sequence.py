"""Networks that read in the order of time, against torch's own modules with the same weights."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.model import zoo
from striate.model.build import build
from striate.model.network import Network
from striate.model.walk import walk

LENGTH, DIMS, CLASSES = 19, 3, 4
RECURRENT = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def network(name: str, **options: object) -> Network:
    plan = zoo.blueprint(name, **options)
    return build(plan, channels=DIMS, outputs=CLASSES, size_hw=(1, LENGTH), seed=0).eval()


def series() -> torch.Tensor:
    return torch.randn(5, DIMS, 1, LENGTH, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_equal_torch_s_stack_of_them(name: str) -> None:
    net, x = network(name, width=8, depth=2), series()
    stack = RECURRENT[name](DIMS, 8, num_layers=2, batch_first=True)
    for layer, part in enumerate(net.rows["states"]):
        for key, value in part.rnn.named_parameters():
            getattr(stack, key.replace("_l0", f"_l{layer}")).copy_(value)
    states, _ = stack(x[:, :, 0].transpose(1, 2))
    outputs = net.rows["outputs"].linear
    torch.testing.assert_close(net(x), F.linear(states[:, -1], outputs.weight, outputs.bias), rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_layer_costs_its_two_matrices_each_step(name: str) -> None:
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[name]
    found = walk(zoo.blueprint(name, width=16), size_hw=(1, 30), channels=2, outputs=5)
    assert found.macs == 30 * gates * 16 * (2 + 16) + 16 * 5
    assert found.parameters == gates * 16 * (2 + 16 + 2) + (16 + 1) * 5


@torch.no_grad()
def test_a_copy_of_a_recurrent_network_uses_its_own_weights() -> None:
    net, x = network("lstm", width=8), series()
    other, before = copy.deepcopy(net), net(x)
    shifted = {name: value + 0.1 for name, value in net.state_dict().items()}
    called = torch.func.functional_call(net, shifted, (x,))
    other.load_state_dict(shifted)
    torch.testing.assert_close(called, other(x))
    torch.testing.assert_close(net(x), before)
    assert not torch.allclose(called, before)


def test_the_forget_gate_of_an_lstm_starts_open() -> None:
    rnn = network("lstm", width=8).rows["states"].rnn
    assert (rnn.bias_ih_l0 + rnn.bias_hh_l0).tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


class Chomp(nn.Module):
    """The authors' way to a causal convolution: padding on both sides, then cut at the end."""

    def __init__(self, conv: nn.Module, dilation: int) -> None:
        super().__init__()
        weight = conv.weight.data[:, :, 0]
        self.cut = (weight.shape[2] - 1) * dilation
        self.conv = nn.Conv1d(weight.shape[1], weight.shape[0], weight.shape[2], padding=self.cut, dilation=dilation)
        self.conv.weight.data, self.conv.bias.data = weight, conv.bias.data

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x)[:, :, : -self.cut])


@torch.no_grad()
def test_tcn_equals_the_authors_blocks() -> None:
    net, x = network("tcn", width=6, depth=3, kernel=3), series()
    y = x[:, :, 0]
    for number in (1, 2, 3):
        inner = y
        for part in ("conv1", "conv2"):
            inner = Chomp(net.rows[f"block{number}_{part}"].conv, 2 ** (number - 1))(inner)
        around = net.rows["block1_shortcut"].conv
        y = F.relu(inner + (F.conv1d(y, around.weight[:, :, 0], around.bias) if number == 1 else y))
    outputs = net.rows["outputs"].linear
    torch.testing.assert_close(net(x), F.linear(y[:, :, -1], outputs.weight, outputs.bias), rtol=1e-5, atol=1e-6)


def test_tcn_sees_nothing_that_comes_later_and_its_field_is_what_the_walk_says() -> None:
    net = build(zoo.blueprint("tcn", width=4, depth=3, kernel=3), channels=1, outputs=2, size_hw=(1, 64), seed=0)
    net = net.double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.abs_().add_(1e-3)  # so that nothing is cut by ReLU
    x = torch.rand(1, 1, 1, 64, dtype=torch.float64, requires_grad=True)
    net.features(x, at="block3")["block3"][0, :, 0, 40].sum().backward()
    seen = x.grad.flatten().nonzero().flatten().tolist()
    assert seen == list(range(40 - 28, 41))  # 1 + 2 (kernel - 1) (1 + 2 + 4) samples, the last one its own
    layer = next(one for one in walk(net).layers if one.name == "block3")
    assert layer.receptive_field_hw == (1, 29)


@torch.no_grad()
def test_transformer_equals_torch_s_encoder() -> None:
    net, x = network("transformer_1d", width=8, depth=2, heads=2), series()
    cut = net.rows["samples"].conv
    tokens = F.conv1d(F.pad(x[:, :, 0], (3, 4)), cut.weight[:, :, 0], cut.bias).transpose(1, 2)
    y = tokens + net.rows["tokens"].positions
    for part in net.rows["encoder"]:
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True).eval()
        layer.self_attn.in_proj_weight.copy_(part.query_key_value.weight)
        layer.self_attn.in_proj_bias.copy_(part.query_key_value.bias)
        own = (part.project, part.up, part.down, part.norm1.norm, part.norm2.norm)
        for mine, theirs in zip(own, (layer.self_attn.out_proj, layer.linear1, layer.linear2, layer.norm1, layer.norm2),
                                strict=True):  # fmt: skip
            theirs.load_state_dict(mine.state_dict())
        y = layer(y)
    y = net.rows["norm"].norm(y).mean(1)
    outputs = net.rows["outputs"].linear
    torch.testing.assert_close(net(x), F.linear(y, outputs.weight, outputs.bias), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*RECURRENT, "tcn", "transformer_1d"])
def test_each_learns_to_tell_which_of_two_bumps_comes_first(name: str) -> None:
    """The course's toy: what counts is the order, which no mean over time of single samples knows."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 2, (64,), generator=generator)
    x = 0.1 * torch.randn(64, 1, 1, 20, generator=generator)
    x[torch.arange(64), 0, 0, 5] += torch.where(truth == 1, 2.0, -2.0)
    x[torch.arange(64), 0, 0, 13] -= torch.where(truth == 1, 2.0, -2.0)
    options = {"width": 16, **({"depth": 2} if name in {"tcn", "transformer_1d"} else {})}
    net = build(zoo.blueprint(name, **options), channels=1, outputs=2, size_hw=(1, 20), seed=0).train()
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        F.cross_entropy(net(x), truth).backward()
        optimiser.step()
    assert (net.eval()(x).argmax(1) == truth).float().mean() > 0.95
