"""Convolutions learn from right gradients in channels-last, and leave memory alone: in children that could die."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from striate.base import depthwise
from striate.base.kernels import guard

TOOLS = Path(__file__).parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import kernels  # noqa: E402


def pointwise(batch: int, c_in: int, width: int, size: tuple[int, ...], *stride: int, **more: Any) -> kernels.Case:
    axes = len(size)
    fixed = {"kernel": (1,) * axes, "stride": stride * (axes // len(stride)), "padding": (0,) * axes}
    return kernels.Case(more.pop("kind", "pointwise"), size, batch, c_in, width, **fixed, dilation=(1,) * axes, **more)


def dilated(c_in: int, width: int, kernel: tuple[int, int], *dilation: int, groups: int = 1) -> kernels.Case:
    size, plain = (23, 46), {"stride": (1, 1), "padding": (0, 0), "dtype": "bfloat16"}
    return kernels.Case("square", size, 2, c_in, width, kernel, dilation=dilation, groups=groups, **plain)


def one_filter_a_channel(
    channels: int, size: tuple[int, int], kernel: tuple[int, int], *stride: int, **more: Any
) -> kernels.Case:
    fixed = {"kernel": kernel, "stride": stride, "padding": (kernel[0] // 2, kernel[1] // 2), "dilation": (1, 1)}
    return kernels.Case("depthwise", size, 3, channels, channels, groups=channels, **fixed, **more)


# Without the guard most of these end the process, hang, or have a wrong gradient: the first ones on AVX2, the others
# on AVX-512, where torch is 2.13.
CASES = [
    pointwise(14, 4, 8, (32, 10), 2),
    pointwise(14, 4, 64, (32, 34), 2, 1),
    pointwise(32, 3, 16, (33, 33), 3),
    pointwise(4, 3, 64, (56, 56), 2),
    pointwise(8, 12, 3, (20, 20), 2, kind="transposed"),
    pointwise(3, 15, 5, (34, 36), 2, kind="transposed"),
    pointwise(4, 8, 8, (56, 56), 2),
    pointwise(32, 15, 16, (56, 56), 2),
    pointwise(1, 7, 9, (36, 6), 2, dtype="bfloat16"),
    pointwise(1, 3, 3, (38, 32), 2, dtype="bfloat16"),
    pointwise(8, 3, 8, (64,), 2, kind="line"),
    pointwise(4, 3, 8, (6, 8, 8), 2, kind="volume"),
    dilated(17, 3, (3, 5), 2, 2),
    dilated(70, 20, (3, 3), 2, 1),
    dilated(18, 98, (1, 7), 3, 1),
    dilated(14, 90, (3, 7), 2, 2, groups=2),
    dilated(8, 8, (2, 4), 3, 3, groups=8),
    one_filter_a_channel(16, (1, 1), (7, 7), 1, 1),  # maps that some columns of the weights do not see
    one_filter_a_channel(16, (2, 2), (7, 7), 1, 1, dtype="bfloat16"),
    one_filter_a_channel(16, (2, 1), (5, 5), 2, 2, dtype="bfloat16"),
]
WIDE_OR_STRIDED = [
    *(one_filter_a_channel(24, (19, 18), (3, 3), *stride, dtype="bfloat16") for stride in ((2, 2), (1, 2), (3, 2))),
    *(one_filter_a_channel(40, (14, 15), (kernel, kernel), 2, 2, dtype="bfloat16") for kernel in (4, 5, 7)),
    *(one_filter_a_channel(40, (14, 15), (kernel, kernel), 1, 1, dtype="bfloat16") for kernel in (4, 5, 7)),
    *(one_filter_a_channel(17, (9, 12), (2, kernel), 1, 1) for kernel in (4, 6, 7)),
    one_filter_a_channel(32, (4, 4), (7, 7), 1, 1, dtype="bfloat16"),
    one_filter_a_channel(32, (4, 3), (7, 7), 1, 1, is_last=False),
]


@pytest.mark.parametrize(
    ("isa", "threads"),
    [
        ("ALL", 1),
        ("AVX2", 2),
        *(pytest.param(isa, n, marks=pytest.mark.slow) for isa, n in (("ALL", 2), ("AVX2", 1), ("AVX512_CORE", 1))),
    ],
)
def test_gradients_are_those_of_float64_and_the_heap_is_whole(isa: str, threads: int) -> None:
    cases = CASES + WIDE_OR_STRIDED
    done, ended = kernels.run_some(cases, kernels.Setting(isa, threads, is_guarded=True), repeats=2)
    assert done == ["right"] * len(cases), f"{done} {ended} {cases[min(len(done), len(cases) - 1)]}"


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["ALL", "AVX2"])
def test_random_layers_are_right(isa: str) -> None:
    wanted = kernels.cases(300, seed=11)
    found = dict(kernels.run_all(wanted, kernels.Setting(isa, 2, is_guarded=True)))
    assert not [f"{case}: {text}" for case, text in found.items() if not text.startswith(("right", "refused"))]


TRAINING = """
import numpy as np, torch, striate as st
from striate.run.recipe import named
from torch import nn
from torch.nn import functional as F
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 1, 2), nn.Linear(8, 2)
        self.d = nn.Parameter(torch.randn(8, 3, 1, 1) / 2)
    def forward(self, x):
        maps = self.a(x) + self.b(x) + F.conv2d(x, self.d, stride=2)
        return self.c(torch.relu(maps).mean((2, 3)))
rng = np.random.default_rng(0); y = np.arange(160) % 2
x = rng.integers(0, 60, (160, 16, 16, 3), dtype=np.uint8); x[y == 1] += 120
np.savez("two.npz", images=x, labels=y)
recipe = named("regularized").changed(["train.epochs=2", "train.batch_size=14"])
st.train(st.open("two.npz"), Net(), recipe, out="run")
print("trained")
"""


def test_network_of_a_user_trains_where_the_best_unit_is_avx2(tmp_path: Path) -> None:
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "STRIATE_CACHE": str(tmp_path / "cache")}
    environment = {**os.environ, **kernels.CHECKED_HEAP, **limits}
    command = [sys.executable, "-c", TRAINING]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("trained\n"), (done.returncode, done.stderr[-300:])


def test_second_gradients_and_compiled_code_come_by_the_guard() -> None:
    guard()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *both: F.conv2d(*both, stride=2), (x, weight))
    assert torch.autograd.gradgradcheck(lambda *both: F.conv2d(*both, stride=2), (x, weight))

    def slope(call: Any) -> torch.Tensor:
        return torch.autograd.grad(call(x, weight).square().sum(), weight)[0]

    compiled = torch.compile(lambda x, weight: F.conv2d(x, weight, stride=2), backend="aot_eager")
    torch.testing.assert_close(slope(compiled), slope(lambda x, weight: F.conv2d(x[..., ::2, ::2], weight)))
    keys = torch._C._dispatch_dump("aten::convolution_backward")
    assert any(line.startswith("CPU:") for line in keys.splitlines())


@pytest.mark.parametrize(
    ("kernel", "stride", "dtype", "wanted"),
    [
        (3, 2, torch.bfloat16, [((1, 1), 3, [True, False, False]), ((2, 2), 3, [False, True, True])]),
        (3, 2, torch.float32, [((2, 2), 3, [True, True, True])]),
        (3, 1, torch.bfloat16, [((1, 1), 3, [True, True, True])]),
        (
            5,
            1,
            torch.float32,
            [((1, 1), 3, [False, True, True]), ((1, 1), 2, [False, True, False]), ((1, 1), 5, [True, False, False])],
        ),
        (7, 1, torch.float64, [((1, 1), 7, [True, True, True])]),
    ],
)
def test_only_slow_gradients_of_depthwise_layers_go_another_way(
    kernel: int, stride: int, dtype: torch.dtype, wanted: list[tuple[Any, ...]]
) -> None:
    calls, x, weight = [], torch.ones(2, 8, 9, 9, dtype=dtype), torch.ones(8, 1, kernel, kernel, dtype=dtype)
    slope = F.conv2d(x, weight, stride=stride, padding=kernel // 2, groups=8)

    def call(*given: Any) -> Any:
        calls.append((tuple(given[3]), given[2].shape[3], list(given[5])))
        return torch.ops.aten.convolution_backward(*given[:3], [8], *given[3:5], [1, 1], False, [0, 0], 8, given[5])

    assert depthwise.gradients(call, slope, x, weight, (stride,) * 2, (kernel // 2,) * 2, (True, True, True))
    assert calls == wanted
