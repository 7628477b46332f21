"""What processes on one machine tell each other through memory that all of them see, instead of sockets.

A message of two processes through gloo's sockets wakes four threads, and 45 MB of gradients take a tenth of a step of
ResNet-18; through memory both cost what reading and adding the numbers costs. The memory has no name and ends with the
processes, however they end. Linux on x86 only: there what one process writes is seen by another in the same order.
"""

import mmap
import os
import platform
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Tell = Callable[[Any], list[Any]]  # a document of JSON -> that of each process
MESSAGE_BYTES = 16 << 20  # of one process; pages that are never written take no memory
SPIN_S = 0.002  # a wait that is shorter does not give the core away, which costs more than such a wait
SLEEP_S = 0.001  # the longest time between two looks


def segments(num_bytes: int, tell: Tell) -> list[mmap.mmap] | None:
    """Return memory of each process, zeros at first, mapped in all; None where one of them cannot have it."""
    with ExitStack() as closing:
        try:
            own = os.memfd_create("striate", os.MFD_CLOEXEC)
            closing.callback(os.close, own)
            os.ftruncate(own, num_bytes)
        except OSError:  # no memory, or more than `ulimit -f` allows: then all learn it, as there is no such number
            own = -1
        try:
            maps = []
            for pid, number in tell([os.getpid(), own]):
                place = os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR)
                closing.callback(os.close, place)
                maps.append(mmap.mmap(place, num_bytes))
        except OSError:  # another user's process, or /proc is hidden
            maps = []
        return maps if all(tell(bool(maps))) else None


class Shared:
    """Counters and messages of the processes on this machine; each has written only to its own segment.

    Args:
        rank: of this process.
        pids: of all, by rank.
        maps: see `segments`.
        patience_s: a process that does not come for so long is lost.
    """

    def __init__(self, rank: int, pids: Sequence[int], maps: Sequence[mmap.mmap], patience_s: float) -> None:
        self.rank, self.size, self._patience_s = rank, len(pids), patience_s
        self._counts = [memoryview(one)[:8].cast("q") for one in maps]
        self._slots = [torch.frombuffer(one, dtype=torch.uint8, offset=mmap.PAGESIZE) for one in maps]
        self._count = self._slot = 0
        self._alive = select.poll()
        self._pid_of = {os.pidfd_open(pid): pid for other, pid in enumerate(pids) if other != rank}
        for number in self._pid_of:
            self._alive.register(number, select.POLLIN)

    def meet(self) -> None:
        """Wait until all processes are here: what they wrote before can be read, what they read may be written.

        Raises:
            RuntimeError: one has ended, or does not come.
        """
        self._count += 1
        self._counts[self.rank][0] = self._count
        start_s = time.monotonic()
        while not self._is_complete():
            waited_s = time.monotonic() - start_s
            if waited_s < SPIN_S:
                time.sleep(0)
                continue
            time.sleep(min(waited_s / 20, SLEEP_S))
            if (ended := self._alive.poll(0)) and not self._is_complete():
                raise RuntimeError(f"connection closed by process {self._pid_of[ended[0][0]]}")
            if waited_s > self._patience_s:
                raise RuntimeError("timed out waiting for another process")

    def _is_complete(self) -> bool:
        return all(count[0] >= self._count for count in self._counts)

    def all(self, message: Tensor) -> list[Tensor]:
        """Return the message of each process: (B,) uint8, of one length up to `MESSAGE_BYTES`.

        There are two places for it: whoever writes to one has seen all come to the other, so they have read this one.
        """
        self._slot = MESSAGE_BYTES - self._slot
        place = slice(self._slot, self._slot + len(message))
        self._slots[self.rank][place] = message
        self.meet()
        return [one[place].clone() for one in self._slots]


class SharedGradients:
    """The gradients of parameters, in memory that all processes see.

    Args:
        parameters: float32, on the CPU; the same in all processes.
        maps: `segments` of so many bytes as `num_bytes` says.
    """

    def __init__(self, shared: Shared, parameters: Sequence[Tensor], maps: Sequence[mmap.mmap]) -> None:
        self._shared, self._parameters = shared, parameters
        start, edges = _places(parameters)
        num = edges[-1]
        self._has = [torch.frombuffer(one, dtype=torch.bool, count=len(parameters)) for one in maps]
        self._flat = [torch.frombuffer(one, dtype=torch.float32, offset=start, count=num) for one in maps]
        self._part = [slice(num * rank // shared.size, num * (rank + 1) // shared.size) for rank in range(shared.size)]
        own = self._flat[shared.rank]
        self._views = [_like(one, own[edge : edge + one.numel()]) for one, edge in zip(parameters, edges, strict=False)]

    @staticmethod
    def num_bytes(parameters: Sequence[Tensor]) -> int:
        """Return the memory that a process needs."""
        start, edges = _places(parameters)
        return start + 4 * edges[-1]

    @torch.no_grad()
    def sum(self) -> None:
        """Let every gradient be the sum over the processes; one that no process has stays away.

        Each process adds up its part of the numbers, and takes the other parts from those who did.
        """
        rank, meet = self._shared.rank, self._shared.meet
        own, part = self._flat[rank], self._part
        for place, (parameter, view) in enumerate(zip(self._parameters, self._views, strict=True)):
            self._has[rank][place] = parameter.grad is not None
            if parameter.grad is None:
                view.zero_()
            else:
                view.copy_(parameter.grad)
            parameter.grad = view
        meet()
        has = torch.stack(self._has).any(0).tolist()
        for other, flat in enumerate(self._flat):
            if other != rank:
                own[part[rank]] += flat[part[rank]]
        meet()
        for other, flat in enumerate(self._flat):
            if other != rank:
                own[part[other]] = flat[part[other]]
        meet()  # from here on each may change its own
        for parameter, is_there in zip(self._parameters, has, strict=True):
            if not is_there:
                parameter.grad = None


def _places(parameters: Sequence[Tensor]) -> tuple[int, list[int]]:
    """Where the gradients begin, in bytes, and where each one does from there, in numbers: whole lines of the cache."""
    edges = [0]
    for one in parameters:
        edges.append(edges[-1] + -(-one.numel() // 16) * 16)
    return -(-len(parameters) // 64) * 64, edges


def _like(parameter: Tensor, flat: Tensor) -> Tensor:
    """The numbers of a flat tensor as a parameter has them, in its order in memory where it has no gaps."""
    strides = torch.empty_like(parameter, device="meta").stride()
    return flat.as_strided(parameter.shape, strides)


def can_share() -> bool:
    """Return whether this machine has what `segments` and `Shared` need."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        for number in (os.memfd_create("striate", os.MFD_CLOEXEC), os.pidfd_open(os.getpid())):
            os.close(number)
    except (AttributeError, OSError):  # an old system, or one that is imitated
        return False
    return True


def machine() -> str:
    """Return what processes have in common that can see each other's memory: system and space of process numbers.

    It is empty where /proc does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        return f"{boot.strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
