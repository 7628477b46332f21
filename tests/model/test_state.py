"""States of wrapped modules and of tied tensors: own names, tied ones once, equal when they are read again."""

import copy

import pytest
import torch
from torch import nn

from striate.model.state import load_state, state_of


class Tied(nn.Module):
    """Two layers with one weight, and one that is called like the inside of a wrapper."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.second.weight = self.first.weight
        self.module = nn.Linear(4, 2)

    def forward(self, x):
        return self.module(self.norm(self.second(self.first(x))))


def compiled(network):
    return torch.compile(network, backend="eager")


def compiled_inside(network):
    network.norm = compiled(network.norm)
    network.module = nn.DataParallel(network.module)
    return network


WRAPS = {
    "plain": lambda network: network,
    "compiled": compiled,
    "parallel": nn.DataParallel,
    "both": lambda network: nn.DataParallel(compiled(network)),
    "inside": compiled_inside,
}
OWN = {name for name in Tied().state_dict() if name != "second.weight"}


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_state_has_the_networks_own_names_and_tied_tensors_once(wrap):
    assert set(state_of(WRAPS[wrap](Tied()))) == OWN


@pytest.mark.parametrize("before", WRAPS)
@pytest.mark.parametrize("after", WRAPS)
def test_any_wrapping_reads_the_state_of_any_other(before, after):
    torch.manual_seed(0)
    network, other = Tied(), Tied()
    expected = copy.deepcopy(network.state_dict())
    given = {name: tensor.clone() for name, tensor in state_of(WRAPS[before](network)).items()}
    load_state(WRAPS[after](other), given)
    found = {name: other.get_parameter(name) for name, _ in Tied().named_parameters()} if after != "inside" else {}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    assert torch.equal(other.second.weight, expected["first.weight"]) and other.second.weight is other.first.weight
    assert state_of(other).keys() == OWN


def test_a_state_with_names_of_wrappers_and_both_tied_tensors_is_read():
    torch.manual_seed(0)
    network, other = Tied(), Tied()
    load_state(other, {f"_orig_mod.{name}": tensor.clone() for name, tensor in network.state_dict().items()})
    x = torch.randn(5, 4)
    torch.testing.assert_close(other.eval()(x), network.eval()(x), rtol=0, atol=0)


def test_what_is_missing_or_unknown_is_an_error():
    state = state_of(Tied())
    for wrong in ({**state, "other": state["first.bias"]}, {k: v for k, v in state.items() if k != "first.bias"}):
        with pytest.raises(RuntimeError, match=r"other|first\.bias"):
            load_state(Tied(), wrong)
