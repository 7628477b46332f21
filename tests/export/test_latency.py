"""Latencies are those of the engines, in turns; what cannot run here says why."""

import time

import pytest
import torch
from torch import nn

from striate.export import engines, latency


@pytest.fixture
def module():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def test_a_planted_delay_is_what_is_measured(module, monkeypatch):
    def slow(module, images, onnx, threads):
        return lambda: time.sleep(0.02 * len(images))

    def broken(module, images, onnx, threads):
        raise RuntimeError("no such unit")

    monkeypatch.setattr(latency, "ROUND_S", 0.05)
    monkeypatch.setattr(engines, "ENGINES", {**engines.ENGINES, "slow": slow, "broken": broken})
    found = latency.measure(module, (3, 8, 8), batches=(1, 3), engines=("eager", "slow", "broken"), rounds=2)
    assert [(one.engine, one.batch) for one in found] == [
        (name, batch) for batch in (1, 3) for name in ("eager", "slow", "broken")
    ]
    slow_ms = {one.batch: one.median_ms for one in found if one.engine == "slow"}
    assert slow_ms[1] >= 20 and slow_ms[3] >= 60 and slow_ms[1] < slow_ms[3]
    assert {one.why for one in found if one.engine == "broken"} == {"no such unit"}
    lines = latency.table(found).splitlines()
    assert len(lines) == 7 and sum("not here: no such unit" in line for line in lines) == 2
    best = [line.split()[1] for line in lines if line.endswith("best")]
    assert best == ["eager", "eager"]


def test_every_engine_that_is_here_answers_the_same(module, tmp_path, monkeypatch):
    images = torch.randn(3, 3, 8, 8)
    latency.write_onnx(module, images[:2], tmp_path / "a.onnx", ["values"], {})
    wanted = module(images).detach()
    for name in ("eager", "onnxruntime", "openvino"):
        call, why = engines.prepared(name, module, images, tmp_path / "a.onnx", 1)
        if call is None:
            assert name == "openvino" and "not installed" in why
            continue
        with torch.inference_mode():
            answer = call()
        rows = answer.values() if hasattr(answer, "to_dict") else answer  # OpenVINO gives a mapping
        given = answer if isinstance(answer, torch.Tensor) else torch.from_numpy(next(iter(rows)))
        torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-4)
