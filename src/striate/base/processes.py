"""The processes that train one run together: who is who, and what they tell each other.

Only this file knows of torch.distributed. What they are is in the environment, as `torchrun` and `run.launch` write it:
RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT.
"""

import atexit
import json
import mmap
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .device import num_cpus
from .errors import LostError, ResourceError, SettingsError
from .rank import leave_mark, rank, remove_mark, size
from .shared import MESSAGE_BYTES, Shared, SharedGradients, can_share, machine, segments

PATIENT_S = 86_400  # while one of them builds a store, or scores the finished run
STEP_S = 600  # of one step: whoever does not answer for so long is lost
HEAD_BYTES = 1024  # of what is said of the tensors that follow; more goes in a second message
ALIGNED = 16  # bytes: a tensor of any type may begin there
LOST = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "timed out waiting", "socket")


class Processes:
    """Those that train one run; a process that is alone is one of one, and talks to nobody.

    Args:
        rank: from 0; the first one writes the run folder and is the one that speaks.
        size: how many there are.
        num_local: how many of them are on this machine.
        group: of torch.distributed, with the timeout of a step.
    """

    def __init__(self, rank: int = 0, size: int = 1, num_local: int = 1, group: Any = None) -> None:
        self.rank, self.size, self.num_local, self._group = rank, size, num_local, group
        self.signal_number: int | None = None  # that came to this process
        self.agreed: int | None = None  # that all know of since the same `gather`
        self._rooms: dict[str, int] = {}  # bytes that exchanges of a name have needed so far, the same in all
        self._shared: Shared | None = None

    def __repr__(self) -> str:
        return f"Processes(rank={self.rank}, size={self.size})"

    @property
    def is_first(self) -> bool:
        """Whether this one writes and speaks for all."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """The CPU threads that are this process's share of the machine."""
        return max(1, num_cpus() // self.num_local)

    def own(self, num: int) -> slice:
        """Return which of `num` things, such as the images of a batch, are this process's.

        Example:
            >>> [Processes(rank, 3).own(64) for rank in range(3)]
            [slice(0, 21, None), slice(21, 42, None), slice(42, 64, None)]
        """
        return slice(num * self.rank // self.size, num * (self.rank + 1) // self.size)

    def part(self, num: int) -> tuple[slice, slice]:
        """Return `own` with a neighbour where it is less than two images, and which of these are `own`.

        A batch needs two for batch normalisation; what another process has already must not count twice.

        Example:
            >>> Processes(1, 3).part(64), Processes(2, 3).part(2)
            ((slice(21, 42, None), slice(0, 21, None)), (slice(0, 2, None), slice(1, 2, None)))
        """
        own = self.own(num)
        start, stop = own.start, own.stop
        while stop - start < min(2, num):
            start, stop = (start, stop + 1) if stop < num else (start - 1, stop)
        return slice(start, stop), slice(own.start - start, own.stop - start)

    def gather(self, tensors: Sequence[Tensor], name: str = "") -> list[list[Tensor]]:
        """Return the tensors of every process, in order of rank; shapes may differ, this one's own keep no gradient.

        A signal that came to one of them is known to all afterwards, see `agreed`.

        Args:
            name: of exchanges that need about the same bytes each time; on CPUs these are one message, not two.
        """
        if self.size == 1:
            return [list(tensors)]
        device = tensors[0].device if tensors else torch.device("cpu")
        said: list[Any] = [[str(one.dtype).removeprefix("torch."), list(one.shape)] for one in tensors]
        room = self._rooms.get(name, 0) if device.type == "cpu" else 0
        heads, contents = self._heads(said, tensors if _total(said) <= room else (), room)
        self.agreed = max(signal for signal, _ in heads) or None
        most = max(_total(parts) for _, parts in heads)
        if most > room:
            contents = self._all(_write(torch.zeros(most, dtype=torch.uint8, device=device), tensors))
        if name:
            self._rooms[name] = max(most, room)
        return [_unpacked(one.to(device), parts) for one, (_, parts) in zip(contents, heads, strict=True)]

    def _heads(
        self, parts: list[Any], tensors: Sequence[Tensor], room: int
    ) -> tuple[list[tuple[int, list[Any]]], list[Tensor]]:
        """What every process says of its tensors, with the signal that came to it, 0 for none; and `room` bytes."""
        text = json.dumps([self.signal_number or 0, parts]).encode()
        sent = _padded(text if len(text) <= HEAD_BYTES else str(len(text)).encode(), HEAD_BYTES + room)
        _write(sent[HEAD_BYTES:], tensors)
        both = self._all(sent)
        found = [json.loads(one[:HEAD_BYTES].numpy().tobytes()) for one in both]
        lengths = [one for one in found if isinstance(one, int)]
        if lengths:
            length = max(*lengths, HEAD_BYTES)
            found = [json.loads(one.numpy().tobytes()) for one in self._all(_padded(text, length))]
        return [(signal, said) for signal, said in found], [one[HEAD_BYTES:] for one in both]

    def _all(self, tensor: Tensor) -> list[Tensor]:
        """One tensor of each process; all have one shape."""
        if self._shared is not None and tensor.device.type == "cpu" and len(tensor) <= MESSAGE_BYTES:
            return self._shared.all(tensor)
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor, group=self._group)
        return found

    def _tell(self, value: Any) -> list[Any]:
        """A document of JSON of each process."""
        text = json.dumps(value).encode()
        return [json.loads(one.numpy().tobytes()) for (one,) in self.gather([_padded(text, len(text))])]

    def share(self) -> None:
        """Let the processes see each other's memory from here on, where all are on this machine and it can be had."""
        where = self._tell([can_share() and machine(), os.getpid()])
        if not where[0][0] or any(place != where[0][0] for place, _ in where):
            return
        maps = segments(mmap.PAGESIZE + 2 * MESSAGE_BYTES, self._tell)
        self._shared = None if maps is None else Shared(self.rank, [pid for _, pid in where], maps, STEP_S)

    def _text(self, text: str) -> str:
        length = torch.tensor([len(text.encode())])
        dist.broadcast(length, 0)
        content = _padded(text.encode(), int(length)) if self.is_first else torch.zeros(int(length), dtype=torch.uint8)
        dist.broadcast(content, 0)
        return content.numpy().tobytes().decode()

    def same(self, value: Any) -> Any:
        """Return what the first process says here, a document of JSON; the others wait for it as long as it takes."""
        return json.loads(self._text(json.dumps(value))) if self.size > 1 else value

    def place(self, device: torch.device) -> torch.device:
        """Return the device that is this process's own: each has its GPU."""
        if device.type == "cuda" and device.index is None and self.size > 1:
            return torch.device("cuda", torch.cuda.current_device())
        return device

    @torch.no_grad()
    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the first one's values of these tensors."""
        for one in tensors if self.size > 1 else ():
            value = one.contiguous()
            dist.broadcast(value, 0)
            one.copy_(value)

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        for one in tensors if self.size > 1 else ():
            value = one.contiguous()
            dist.all_reduce(value, group=self._group)
            one.copy_(value / self.size)

    def parallel(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are those of all processes' outputs, averaged; in turn with no other.

        Buffers are each process's own, see `spread`.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch 2.13 on a name that 2.11 needs
            return DistributedDataParallel(
                module,
                process_group=self._group,
                static_graph=True,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
            )

    def gradients(self, parameters: Sequence[Tensor]) -> SharedGradients | None:
        """Return what adds up the gradients where processes see each other's memory; elsewhere `parallel` does."""
        if self._shared is None or any(one.dtype != torch.float32 or one.device.type != "cpu" for one in parameters):
            return None
        maps = segments(SharedGradients.num_bytes(parameters), self._tell)
        return None if maps is None else SharedGradients(self._shared, parameters, maps)

    def wait(self) -> None:
        """Wait until all processes are here; one that has gone is not waited for."""
        if self.size > 1:
            with suppress(RuntimeError):
                dist.barrier()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let this process have the threads of all on this machine in the block, while the others wait."""
        before = torch.get_num_threads()
        if self.size > 1:
            torch.set_num_threads(min(num_cpus(), before * self.num_local))
        try:
            yield
        finally:
            torch.set_num_threads(before)

    @contextmanager
    def together(self, where: object, command: str) -> Iterator[None]:
        """Say in one line that another process has gone while this block waits for it.

        Raises:
            LostError: `command` goes on with what is at `where`.
        """
        try:
            yield
        except RuntimeError as problem:
            text = str(problem).lower()
            if self.size == 1 or not any(sign in text for sign in LOST):
                raise
            how = "does not answer" if "timed out" in text else "has ended"
            what = f"another process of the run {how}; the last saved state is kept"
            raise LostError(what, where=where, fix=command) from problem


ALONE = Processes()


def sum_over_all(values: Tensor) -> Tensor:
    """Return the sum over the processes; gradients flow to the values of all."""
    found: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return found


@cache
def join() -> Processes:
    """Return the processes that this one trains with, by its environment; they meet here, once.

    Raises:
        SettingsError: there are fewer GPUs than processes on this machine.
        ResourceError: they do not find each other.
    """
    if size() == 1:
        return ALONE
    num_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    has_gpu = torch.cuda.is_available()
    if has_gpu and torch.cuda.device_count() < num_local:
        what = f"{num_local} processes, but {torch.cuda.device_count()} GPU on this machine"
        raise SettingsError(what, where="processes", fix="start as many as there are GPUs, or hide these")
    if num_local == size() and sys.platform == "linux":  # a container's own name often leads nowhere
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo", timeout=timedelta(seconds=PATIENT_S))
        found = Processes(rank(), size(), num_local, dist.new_group(timeout=timedelta(seconds=STEP_S)))
        if num_local == found.size:
            found.share()
    except (RuntimeError, ValueError, OSError) as problem:
        first = str(problem).splitlines()[0]
        raise ResourceError(f"the processes do not find each other: {first}", fix="check MASTER_ADDR") from problem
    if has_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    leave_mark()
    atexit.register(remove_mark)
    if "TORCHELASTIC_RUN_ID" in os.environ and torch.get_num_threads() == 1:  # as torchrun has it where nobody says
        torch.set_num_threads(found.threads)
    return found


def _padded(content: bytes, length: int) -> Tensor:
    return torch.frombuffer(bytearray(content.ljust(length)), dtype=torch.uint8)


def _bytes(kind: str, shape: Sequence[int]) -> int:
    return _aligned(torch.Size(shape).numel() * getattr(torch, kind).itemsize)


def _aligned(length: int) -> int:
    return -(-length // ALIGNED) * ALIGNED


def _total(parts: Sequence[tuple[str, Sequence[int]]]) -> int:
    return sum(_bytes(kind, shape) for kind, shape in parts)


def _write(into: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """Put the bytes of tensors where `_unpacked` looks for them."""
    place = 0
    for one in tensors:
        flat = one.detach().contiguous().reshape(-1).view(torch.uint8)
        into[place : place + len(flat)] = flat
        place += _aligned(len(flat))
    return into


def _unpacked(content: Tensor, parts: Sequence[tuple[str, Sequence[int]]]) -> list[Tensor]:
    found, place = [], 0
    for kind, shape in parts:
        dtype = getattr(torch, kind)
        length = torch.Size(shape).numel() * dtype.itemsize
        found.append(content[place : place + length].view(dtype).reshape(shape))
        place += _bytes(kind, shape)
    return found


class _Sum(torch.autograd.Function):
    """The sum over the processes: what each contributes has the sum of the gradients that come back to all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        found = values.contiguous().clone()
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        found = gradients[0].contiguous().clone()
        dist.all_reduce(found)
        return found
