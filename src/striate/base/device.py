"""The device, the threads and the versions a run is made with."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ResourceError
from .kernels import guard
from .run_info import DeviceInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

OPENCV = "opencv-contrib-python-headless"
PACKAGES = ("striate", "torch", "torchvision", "numpy", "pillow", "simplejpeg", OPENCV, "safetensors")


def pick(name: str = "auto") -> "torch.device":
    """Return the device called `name`: "auto" takes a GPU when there is one, else the CPU.

    Raises:
        ResourceError: the named device is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ResourceError(
            f"device {name!r} is not available", fix="use --device cpu, or install a CUDA build of torch"
        )
    try:
        return torch.device(name)
    except RuntimeError as problem:
        raise ResourceError(f"unknown device {name!r}", fix="use auto, cpu or cuda") from problem


def place(model: "nn.Module", device: "torch.device | str") -> "nn.Module":
    """Return the model on the device with channels-last weights, the layout in which convolutions are fastest."""
    import torch

    guard()
    is_in_space = any(value.ndim == 5 for value in model.parameters())
    layout = torch.channels_last_3d if is_in_space else torch.channels_last
    placed: nn.Module = model.to(device).to(memory_format=layout)  # type: ignore[call-overload]
    return placed


def num_cpus() -> int:
    """Return the number of CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_unit() -> str:
    """Return the best unit for arithmetic that torch uses on this processor; speeds stand per kind.

    Example:
        >>> best_unit() in {"AMX", "AVX-512 with bf16", "AVX-512", "AVX2"} or platform.machine() != "x86_64"
        True
    """
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    if "AVX512" not in capability:
        return capability
    has = torch.cpu.get_capabilities()
    if has.get("amx_bf16") and has.get("amx_tile"):
        return "AMX"
    return "AVX-512 with bf16" if has.get("avx512_bf16") else "AVX-512"


def describe(device: "torch.device") -> DeviceInfo:
    """Return what the run folder records of the machine: device, threads, processor, system."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "type": device.type,
        "name": name,
        "threads": torch.get_num_threads(),
        "cpus": num_cpus(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that influence a result."""
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor() or platform.machine()
