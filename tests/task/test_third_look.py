"""Explanations of detectors that look three times: the same values, without the third look."""

import numpy as np
import pytest
import torch

from striate.inside.explain import METHODS, explain, objective_of
from striate.inside.sanity import check
from striate.inside.tap import borrowed
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.nn.blocks.regions import ThirdLook
from striate.task.detect import Detect

SIDE = 64
SETTINGS = {"smoothgrad": {"num": 2}, "integrated": {"steps": 4}, "occlusion": {"patch": 32, "stride": 32}}


def made(kind):
    """A task, its untrained network and two images."""
    rows = (*(Row("conv", 8, stride=2) for _ in range(5)), Row("global_pool"), Row("linear"))
    body = Blueprint("tiny", rows, size=SIDE, defaults={"norm": "batch", "activation": "relu"})
    task = Detect("box", ("a", "b"), kind, point_names=("tip",) if kind == "keypoint_rcnn" else ())
    shape = {"channels": 3, "size_hw": (SIDE, SIDE)}
    network = build(task.head.extended(body, **shape), outputs=task.head.outputs, seed=0, **shape).eval()
    return task, network, torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["mask_rcnn", "keypoint_rcnn"])
def test_an_explanation_is_the_same_without_the_third_look(kind):
    task, network, images = made(kind)
    wanted = {}
    with borrowed(network) as probe:
        objective = objective_of(probe, task, images)
        for name, method in METHODS.items():
            wanted[name] = method(probe, images, objective, **SETTINGS.get(name, {}))
    looks = []
    for block in network.modules():
        if isinstance(block, ThirdLook):
            block.register_forward_hook(lambda *_: looks.append(1))
    for name in METHODS:
        found = explain(network, task, images, method=name, **SETTINGS.get(name, {}))
        for one, other in zip(found, wanted[name], strict=True):
            assert (one.subject, one.score, one.layer, one.gap) == (other.subject, other.score, other.layer, other.gap)
            assert np.array_equal(one.map, other.map), name
    check(network, task, images[:1], stages=1)
    assert not looks
    network(images)
    assert looks and len(network.blueprint.ends) == 8


def test_only_a_third_look_is_left_out():
    task, network, _ = made("faster_rcnn")
    assert task.explained(network) is network
    task, network, _ = made("mask_rcnn")
    explained = task.explained(network)
    assert all(one is other for one, other in zip(explained.children(), network.children(), strict=True))
    plain = torch.nn.Sequential()
    assert task.explained(plain) is plain
