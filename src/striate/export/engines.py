"""What can run a network on this processor: torch as it is, compiled, ONNX Runtime, OpenVINO."""

import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.device import best_unit, place
from striate.base.errors import SettingsError, UserError
from striate.base.text import shown

from .onnx_file import Session

Call = Callable[[], object]
"""Runs the network once on the images it was made for."""


def eager(module: nn.Module, images: Tensor, onnx: Path, threads: int) -> Call:
    """Return torch in float32 with channels-last maps."""
    ready, pixels = place(module, "cpu"), images.contiguous(memory_format=torch.channels_last)
    return lambda: ready(pixels)


def bf16(module: nn.Module, images: Tensor, onnx: Path, threads: int) -> Call:
    """Return torch under autocast to bfloat16.

    Raises:
        SettingsError: the processor has no units for it.
    """
    if "bf16" not in best_unit() and best_unit() != "AMX":
        raise SettingsError("the processor has no units for bf16", fix="leave it out")
    call = eager(module, images, onnx, threads)

    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return call()

    return run


def compiled(module: nn.Module, images: Tensor, onnx: Path, threads: int) -> Call:
    """Return what torch.compile makes of it; the first call compiles."""
    ready: Any = torch.compile(place(module, "cpu"), dynamic=False)
    pixels = images.contiguous(memory_format=torch.channels_last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler about itself
        ready(pixels)
    return lambda: ready(pixels)


def onnx_runtime(module: nn.Module, images: Tensor, onnx: Path, threads: int) -> Call:
    """Return ONNX Runtime on an exported file."""
    session, pixels = Session(onnx, threads), images.contiguous().numpy()
    return lambda: session(pixels)


def openvino(module: nn.Module, images: Tensor, onnx: Path, threads: int) -> Call:
    """Return OpenVINO on an exported file.

    Raises:
        SettingsError: it is not installed.
    """
    if find_spec("openvino") is None:
        raise SettingsError("OpenVINO is not installed", fix="pip install openvino")
    import openvino as ov

    core: Any = ov.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    ready, pixels = core.compile_model(str(onnx), "CPU", settings), images.contiguous().numpy()
    return lambda: ready(pixels)


ENGINES: Mapping[str, Callable[[nn.Module, Tensor, Path, int], Call]] = {
    "eager": eager,
    "eager-bf16": bf16,
    "compiled": compiled,
    "onnxruntime": onnx_runtime,
    "openvino": openvino,
}


def prepared(name: str, module: nn.Module, images: Tensor, onnx: Path, threads: int) -> tuple[Call | None, str]:
    """Return an engine that has run once, or None and why there is none."""
    try:
        with torch.inference_mode():
            call = ENGINES[name](module, images, onnx, threads)
            call()
        return call, ""
    except UserError as problem:
        return None, problem.what
    except Exception as problem:  # a compiler's or a runtime's own, of which none is the user's
        return None, shown(" ".join(str(problem).split()), 100) or type(problem).__name__
