"""Memory: how much there is, whether an error says it ran out, and that of large maps, kept from step to step."""

import ctypes
import errno
import os
from contextlib import suppress
from pathlib import Path

from .errors import ResourceError

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # glibc's names for two settings of malloc, see mallopt(3)
SIGNS = (
    *("can't allocate memory", "cannot allocate memory", "not enough memory", "unable to allocate", "bad_alloc"),
    *("insufficient memory", "failed to allocate", "can't start new thread", "out of memory"),
)
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
    found = [one for one in (_free_bytes(), _group_bytes(), _own_bytes()) if one is not None]
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


def give_back() -> None:
    """Give the system what malloc keeps for later, where it can."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(problem: BaseException) -> bool:
    """Return whether an error says that memory, or room for one more thread, ran out.

    Python, torch's allocators, numpy, OpenCV and the system each say so in their own way.
    """
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
        return True
    if isinstance(problem, OSError) and problem.errno == errno.ENOMEM:
        return True
    is_known = isinstance(problem, RuntimeError) or type(problem).__module__.startswith("cv2")
    return is_known and any(sign in str(problem).lower() for sign in SIGNS)


def no_memory(problem: BaseException) -> ResourceError:
    """Return what to tell of an error that says that memory ran out."""
    if "thread" in str(problem):
        what = "no more threads can be started: memory or the number of processes is limited"
        return ResourceError(
            what,
            where="threads",
            fix="set OMP_NUM_THREADS=1, raise the limit (`ulimit -u`, `ulimit -v`)",
            option="--threads 1",
        )
    reason = " ".join(str(problem).split("\n")[0].split())[-100:] or type(problem).__name__
    num_bytes = available_bytes()
    free = f"; {num_bytes / 1e9:.1f} GB are free" if num_bytes is not None else ""
    what = f"not enough memory ({reason}){free}"
    return ResourceError(what, where="memory", fix="free memory, or use a machine with more")


def _own_bytes() -> int | None:
    """What is left of the limit that is set for this process (`ulimit -v`)."""
    try:
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        return None
    return max(0, most - pages * resource.getpagesize()) if most != resource.RLIM_INFINITY else None
