"""Which precision trains faster here: a short measured trial, recorded with the run."""

import copy
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from striate.base.run_info import PrecisionInfo
from striate.task.views import leaves

GAIN_NEEDED = 1.15  # bf16 has fewer digits: it must be clearly faster, and timer noise must not decide
REPEATS = 3  # after a round that warms up
PRECISIONS = ("float32", "bf16")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs at `precision` ("float32" or "bf16")."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def fastest_kernels() -> Iterator[None]:
    """Let cuDNN try its kernels for each new shape and take the fastest, unless torch is to be deterministic.

    Images of one size pay for the trial at once: 3 to 6 % more images a second of three networks on an H100.
    """
    before = torch.backends.cudnn.benchmark
    is_free = not (torch.backends.cudnn.deterministic or torch.are_deterministic_algorithms_enabled())
    torch.backends.cudnn.benchmark = is_free or before
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def has_bf16(device: torch.device) -> bool:
    """Return whether the device computes in bf16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and "AVX512" in torch.backends.cpu.get_cpu_capability()


def choose_precision(
    model: nn.Module, images: torch.Tensor, wanted: str = "auto", *, is_training: bool = True
) -> PrecisionInfo:
    """Return {"name": "float32" or "bf16", "trial": {"float32_ms", "bf16_ms"} or None}.

    A copy of the model runs forward and backward on `images` (N, C, H, W) in both precisions, or only forward and in
    evaluation mode when it is not going to be trained.
    """
    if wanted != "auto" or not has_bf16(images.device):
        return {"name": "float32" if wanted == "auto" else wanted, "trial": None}
    trial_model = copy.deepcopy(model).train(is_training)
    with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
        rounds = [
            {name: _step_ms(trial_model, images, name, is_training) for name in PRECISIONS} for _ in range(REPEATS + 1)
        ]
    # they take turns, and the least disturbed step counts, so that other work on the machine does not decide
    times = {name: min(one[name] for one in rounds[1:]) for name in PRECISIONS}
    is_faster = times["float32"] > GAIN_NEEDED * times["bf16"]
    trial = {f"{name}_ms": round(value, 3) for name, value in times.items()}
    return {"name": "bf16" if is_faster else "float32", "trial": trial}


def _step_ms(model: nn.Module, images: torch.Tensor, precision: str, is_training: bool) -> float:
    start = time.perf_counter()
    with autocast(images.device, precision), torch.set_grad_enabled(is_training):
        outputs = model(images)
    if is_training:
        torch.stack([one.float().square().mean() for one in leaves(outputs) if one.requires_grad]).sum().backward()
        model.zero_grad(set_to_none=True)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return (time.perf_counter() - start) * 1000
