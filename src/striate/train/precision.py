"""Which precision trains faster here: a short measured trial, recorded with the run."""

import copy
import statistics
import time
from typing import Any

import torch
from torch import nn

from .update import autocast

GAIN_NEEDED = 1.15  # bf16 has fewer digits: it must be clearly faster, and timer noise must not decide
REPEATS = 3


def has_bf16(device: torch.device) -> bool:
    """Return whether the device computes in bf16 natively."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "AVX512" in torch.backends.cpu.get_cpu_capability()


def choose_precision(model: nn.Module, images: torch.Tensor, wanted: str = "auto") -> dict[str, Any]:
    """Return {"name": "float32" or "bf16", "trial": {"float32_ms", "bf16_ms"} or None}.

    A copy of the model runs forward and backward on `images` (N, C, H, W) in both precisions.
    """
    if wanted != "auto" or not has_bf16(images.device):
        return {"name": "float32" if wanted == "auto" else wanted, "trial": None}
    trial_model = copy.deepcopy(model).train()
    with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
        times = {name: _step_ms(trial_model, images, name) for name in ("float32", "bf16")}
    is_faster = times["float32"] > GAIN_NEEDED * times["bf16"]
    trial = {f"{name}_ms": round(value, 3) for name, value in times.items()}
    return {"name": "bf16" if is_faster else "float32", "trial": trial}


def _step_ms(model: nn.Module, images: torch.Tensor, precision: str) -> float:
    times = []
    for _ in range(REPEATS + 1):  # the first one warms up
        start = time.perf_counter()
        with autocast(images.device, precision):
            outputs = model(images)
        outputs.float().square().mean().backward()
        model.zero_grad(set_to_none=True)
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[1:])
