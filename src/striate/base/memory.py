"""Memory: how much there is, and that of large maps, which the process keeps from step to step."""

import ctypes
import os
from pathlib import Path

from .errors import ResourceError

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's names for two settings of malloc, see mallopt(3)
NEVER = 2**31 - 1  # bytes that must lie idle at the end of the heap before they are given back


def keep_blocks() -> bool:
    """Let malloc keep large blocks for the next one of their size; return whether it does.

    glibc maps blocks of 32 MB and more anew each time, and the system clears every page of them: a third of a training
    step of a small network at 128 px on a CPU. Peak memory grows by about a tenth. Nothing is changed where the
    environment has settings of malloc (`MALLOC_...`), nor with another C library.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(MMAP_MAX, 0) and mallopt(TRIM_THRESHOLD, NEVER))


def available_bytes() -> int | None:
    """Return how much memory this process can still get, None where the system does not say."""
    found = [one for one in (_free_bytes(), _group_bytes()) if one is not None]
    return min(found, default=None)


def require_memory(num_bytes: int, what: str) -> None:
    """Refuse work that does not fit into the memory that is free, before it is begun.

    Raises:
        ResourceError: it does not.
    """
    free = available_bytes()
    if free is not None and num_bytes > free:
        said = f"{what} need {num_bytes / 1e9:,.1f} GB of memory, {free / 1e9:,.1f} GB are free"
        raise ResourceError(said, fix="give the network a smaller width, depth or size")


def _free_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _group_bytes() -> int | None:
    """What a container leaves of its limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / f"memory.{name}").read_text() for name in ("max", "current"))
        held = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, int(limit) - int(used) + int(held.get("inactive_file", 0)))
    except (OSError, ValueError):  # no group, or no limit in it
        return None
