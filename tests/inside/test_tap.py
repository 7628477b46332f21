"""A network is given back exactly as it was, whatever happens while it is borrowed."""

import copy

import pytest
import torch
from torch import nn
from toy_networks import Reused, images, plain

from striate.base.errors import SettingsError
from striate.inside.explain import METHODS, explain
from striate.inside.tap import borrowed
from striate.task.classify import Classify

TASK = Classify("label", ("a", "b", "c"))


def snapshot(network: nn.Module) -> dict[str, object]:
    """All that a borrower could change."""
    tensors = {name: (value, value.clone()) for name, value in network.state_dict(keep_vars=True).items()}
    return {
        "modes": [module.training for module in network.modules()],
        "hooks": [
            (list(one._forward_hooks), list(one._forward_pre_hooks), list(one._backward_hooks))
            for one in network.modules()
        ],
        "grads": [None if value.grad is None else value.grad.clone() for value in network.parameters()],
        "flags": [value.requires_grad for value in network.parameters()],
        "dtypes": [(value.dtype, value.device) for value in network.state_dict().values()],
        "tensors": tensors,
    }


def require_same(before: dict[str, object], network: nn.Module) -> None:
    after = snapshot(network)
    for key in ("modes", "hooks", "flags", "dtypes"):
        assert before[key] == after[key], key
    for old, new in zip(before["grads"], after["grads"], strict=True):
        assert (old is None and new is None) or torch.equal(old, new)
    for name, (tensor, value) in before["tensors"].items():
        assert after["tensors"][name][0] is tensor or after["tensors"][name][0].data_ptr() == tensor.data_ptr(), name
        assert torch.equal(value, tensor), name


def busy(inplace: bool = True) -> nn.Module:
    """A network in the midst of training: parts in either mode, a frozen layer, gradients, a hook of its owner's."""
    network = plain(inplace=inplace).train()
    network[1].eval()
    network[4].weight.requires_grad_(False)
    network(images(4)).sum().backward()
    network[2].register_forward_hook(lambda module, args, out: None)
    return network


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_it_back(method: str) -> None:
    network = busy()
    before, given = snapshot(network), images()
    kept = given.clone()
    explain(network, TASK, given, method=method)
    require_same(before, network)
    assert torch.equal(kept, given) and not given.requires_grad


@pytest.mark.parametrize("method", ["smoothgrad", "integrated", "occlusion"])
def test_it_is_given_back_when_the_work_is_cancelled(method: str) -> None:
    network = busy()
    before, calls = snapshot(network), []

    def cancel(done: int, total: int) -> None:
        calls.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(network, TASK, images(), method=method, report=cancel)
    require_same(before, network)
    assert len(calls) == 1 and calls[0][0] < calls[0][1]  # no work after it


def test_it_is_given_back_when_the_network_fails() -> None:
    network = busy()
    before = snapshot(network)
    with pytest.raises(RuntimeError), borrowed(network) as probe:
        probe.maps(torch.zeros(1, 5, 8, 8), ["0", "2"])
    with pytest.raises(RuntimeError), borrowed(network) as probe:
        probe.uses(torch.zeros(1, 5, 8, 8))
    with pytest.raises(SettingsError), borrowed(network) as probe:
        probe.maps(images(), ["0", "nowhere"])
    require_same(before, network)


def test_explanations_are_of_evaluation_mode() -> None:
    trained, still = plain().train(), plain().eval()
    for method in METHODS:
        ours, theirs = (explain(one, TASK, images(), method=method) for one in (trained, still))
        assert all((a.map == b.map).all() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_callers_may_have_gradients_off(mode) -> None:
    wanted = explain(plain(), TASK, images(), method="gradient")
    with mode():
        found = explain(plain(), TASK, images(), method="gradient")
        assert not torch.is_grad_enabled()
        inside = explain(plain(), TASK, images() * 1, method="gradcam")
    assert (found[0].map == wanted[0].map).all() and inside[0].map.max() > 0


def test_weights_of_half_precision_are_explained_in_float32() -> None:
    rounded = plain().bfloat16()
    exact = copy.deepcopy(rounded).float()
    before = snapshot(rounded)
    with torch.autocast("cpu", torch.bfloat16):
        for method in METHODS:
            found, wanted = (explain(one, TASK, images(), method=method)[0] for one in (rounded, exact))
            assert found.map.dtype == "float32" and (found.map == wanted.map).all(), method
    require_same(before, rounded)


def test_maps_are_those_before_they_were_overwritten() -> None:
    given = images()
    with borrowed(plain(inplace=True)) as probe, borrowed(plain(inplace=False)) as other:
        outputs, found = probe.maps(given, ["0", "1", "4"])
        wanted_outputs, wanted = other.maps(given, ["0", "1", "4"])
    assert torch.equal(outputs, wanted_outputs)
    for name in ("0", "1", "4"):
        assert torch.equal(found[name][0], wanted[name][0]) and found[name][0].min() < 0


def test_each_use_of_a_module_has_its_map() -> None:
    network, given = Reused(), images()
    with borrowed(network) as probe:
        _, found = probe.maps(given, ["act", "again"])
        _, uses = probe.uses(given)
    first = network.first(given).relu()
    second = network.again(first).relu()
    assert [torch.allclose(a, b) for a, b in zip(found["act"], (first, second), strict=True)] == [True, True]
    assert torch.allclose(found["again"][1], network.again(second))
    assert [(use.name, use.index) for use in uses] == [
        ("first", 0), ("act", 0), ("again", 0), ("act", 1), ("again", 1), ("head", 0),
    ]  # fmt: skip


def test_gradients_of_weights_stay_in_the_probe() -> None:
    network = plain()
    before = snapshot(network)
    with borrowed(network, has_weight_gradients=True) as probe:
        probe(images()).sum().backward()
        assert probe.state["0.weight"].grad is not None
    require_same(before, network)
