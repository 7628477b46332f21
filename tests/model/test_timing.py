"""Timing: all arms take turns, the reference is the one of that name, nothing is fetched."""

import torch

from striate.model import zoo
from striate.model.timing import Timing, measure, reference


def test_every_step_is_timed_beside_the_reference(monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    state = torch.random.get_rng_state()
    done = []
    plan = zoo.blueprint("squeezenet1_1")
    found = measure(plan, size_hw=(32, 32), batches=(1, 2), rounds=1, advance=lambda: done.append(1))
    assert [(one.step, one.batch) for one in found] == [(s, n) for n in (1, 2) for s in ("inference", "training")]
    assert all(len(one.ms) == 5 and min(one.ms.values()) > 0 for one in found) and len(done) == 4
    assert torch.equal(state, torch.random.get_rng_state())


def test_ratios() -> None:
    ms = {"ours": 2.0, "reference": 4.0, "ours_channels_last": 3.0, "reference_channels_last": 2.0}
    found = Timing("inference", 1, ms | {"ours_as_trained": 1.0})
    assert (found.ratio, found.ratio_channels_last, found.speedup) == (0.5, 1.5, 4.0)
    assert Timing("training", 1, {"ours": 1.0}).to_json()["ratio"] is None


def test_references() -> None:
    count = sum(value.numel() for value in reference("mobilenet_v2").parameters())
    assert count == 3_504_872
    assert reference("bipyramid") is None
