"""Memory that processes see: sums and messages of three threads that stand for processes, and one that has died."""

import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from striate.base.shared import MESSAGE_BYTES, Shared, SharedGradients, can_share, machine, segments

pytestmark = pytest.mark.skipif(not can_share(), reason="no memory without a name")
NUM_BYTES = mmap.PAGESIZE + 2 * MESSAGE_BYTES
SHAPES = [(3, 5), (1,), (4, 3, 3, 3), (), (7, 2)]


def in_all(size: int, work: Callable[[Shared, Callable[[Any], list[Any]]], Any]) -> list[Any]:
    """What `size` ranks make of it, each in its thread."""
    barrier, said = threading.Barrier(size), [None] * size

    def of(rank: int) -> Any:
        def tell(value: Any) -> list[Any]:
            said[rank] = value
            barrier.wait(20)
            found = list(said)
            barrier.wait(20)
            return found

        maps = segments(NUM_BYTES, tell)
        assert maps is not None
        return work(Shared(rank, [os.getpid()] * size, maps, 20.0), tell)

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(of, range(size)))


@pytest.mark.parametrize("size", [2, 3])
def test_gradients_are_the_sums_and_the_same_bits(size):
    rng = np.random.default_rng(0)
    numbers = [[rng.standard_normal((size, *shape)).astype(np.float32) for shape in SHAPES] for _ in range(2)]

    def work(shared, tell):
        parameters = [torch.zeros(shape, requires_grad=True) for shape in SHAPES]
        parameters[2] = torch.zeros(SHAPES[2]).to(memory_format=torch.channels_last).requires_grad_()
        maps = segments(SharedGradients.num_bytes(parameters), tell)
        gradients, found = SharedGradients(shared, parameters, maps), []
        for step in numbers:
            for place, parameter in enumerate(parameters):
                has = place < 3 or (place == 4 and shared.rank == 1)  # one has none anywhere, one has it in one process
                parameter.grad = torch.from_numpy(step[place][shared.rank]) if has else None
            gradients.sum()
            assert parameters[2].grad.is_contiguous(memory_format=torch.channels_last)
            found.append([None if one.grad is None else one.grad.numpy().copy() for one in parameters])
            for parameter in parameters:  # as clipping does: no other process may see it
                if parameter.grad is not None:
                    parameter.grad *= shared.rank
        return found

    first, *others = in_all(size, work)
    for step, found in zip(numbers, first, strict=True):
        for place in range(3):
            np.testing.assert_allclose(found[place], step[place].sum(0, dtype=np.float64), rtol=1e-5, atol=1e-6)
        assert found[3] is None
        np.testing.assert_array_equal(found[4], step[4][1])
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            assert all(a is b is None or np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_messages_come_whole_and_in_order():
    def work(shared, tell):
        return [
            [one.tolist() for one in shared.all(torch.tensor([turn, shared.rank], dtype=torch.uint8))]
            for turn in range(50)
        ]

    for found in in_all(3, work):
        assert found == [[[turn, rank] for rank in range(3)] for turn in range(50)]


def test_a_dead_process_is_not_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    maps = [mmap.mmap(-1, NUM_BYTES) for _ in range(2)]
    shared = Shared(0, [os.getpid(), child.pid], maps, 20.0)
    with child:
        child.kill()
        with pytest.raises(RuntimeError, match=f"connection closed by process {child.pid}"):
            shared.meet()
    slow = Shared(0, [os.getpid(), os.getpid()], maps, 0.05)
    with pytest.raises(RuntimeError, match="timed out waiting"):
        slow.meet()


def test_memory_that_one_cannot_have_is_had_by_none():
    barrier, said = threading.Barrier(2), [None] * 2

    def of(rank: int) -> Any:
        def tell(value: Any) -> list[Any]:
            said[rank] = [2**22 + 1, 0] if rank and isinstance(value, list) else value  # no such process
            barrier.wait(20)
            found = list(said)
            barrier.wait(20)
            return found

        return segments(4096, tell)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(of, range(2))) == [None, None]


def test_memory_beyond_the_limit_of_a_file_is_not_had():
    """`ulimit -f` holds for memory without a name as well."""
    code = "import resource; from striate.base.shared import segments; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); print(segments(8192, lambda value: [value]))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "None\n"


def test_without_proc_no_memory_is_shared(monkeypatch):
    def refuse(*_: Any) -> str:
        raise FileNotFoundError

    assert machine()
    monkeypatch.setattr(Path, "read_text", refuse)
    assert machine() == ""
