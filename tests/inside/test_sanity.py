"""Randomised from the top, a network's maps become others; a map that has nothing to do with it is caught."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from toy_networks import images, plain

from striate.inside import sanity
from striate.inside.explain import METHODS
from striate.inside.explanation import explanations, scores_of
from striate.inside.tap import borrowed
from striate.task.classify import Classify

NAMES = ("a", "b", "c")


def test_layers_are_randomised_from_the_top() -> None:
    network, x = plain().eval(), images(1, 24)
    found = sanity.check(network, Classify("label", NAMES), x, stages=4)
    assert found.layers == ("9", "4", "1", "0")  # linear, second convolution, batch norm, first convolution
    with borrowed(network) as probe:
        changed = sanity.randomised(probe, ["9", "4"], seed=1)
        assert set(changed) == {"9.weight", "9.bias", "4.weight", "4.bias"}
        for name, value in changed.items():
            assert sorted(value.flatten().tolist()) == sorted(probe.state[name].flatten().tolist())
            assert not torch.equal(value, probe.state[name])


def test_a_map_of_the_image_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def edges(probe, x, objective, *, report=None):
        across = (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().sum(1)
        return explanations("edges", objective, scores_of(probe, x, objective), across, is_signed=False)

    monkeypatch.setitem(METHODS, "edges", edges)
    network, x = plain().eval(), images(1, 24)
    task = Classify("label", NAMES)
    found = sanity.check(network, task, x, method="edges")
    assert found.correlations == pytest.approx((1, 1, 1, 1)) and not found.is_passed
    assert sanity.check(network, task, x, method="gradient").is_passed


def test_rank_correlation_is_scipys() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 9, (5, 7)).astype(np.float32), draw.normal(size=(5, 7)).astype(np.float32)
    assert sanity.rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert sanity.rank_correlation(one, np.zeros_like(one)) == 0
