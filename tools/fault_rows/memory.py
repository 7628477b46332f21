"""E5, D7: memory that runs out is an error with a way on, and memory does not grow from epoch to epoch."""

import re
import resource
from pathlib import Path

from .bench import Bench, expect
from .pictures import write_tree
from .sheet import Row

ROOM_BYTES = 1200 << 20
ALL = ("--set", "train.batch_size=4096")
SMALL = ("--set", "train.epochs=1", "--set", "model.width=16", "--size", "128", "--threads", "1", "-q")


def _limit() -> None:
    """Let this process map no more than 1.2 GB beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def out_of_memory(bench: Bench) -> str:
    data = write_tree(bench.folder / "data", num=300, size_px=24)
    for precision in ("float32", "auto"):  # the second measures before there is a folder
        words = ("train", data, *SMALL, "--set", f"train.precision={precision}", "--model", "bipyramid")
        outcome = bench.refuses(5, *words, *ALL, "--out", "run", names=["420 images", "GB"], before=_limit)
        found = re.search(r"train again with --batch-size (\d+)", outcome.last)
        expect(found, f"no batch size that fits: {outcome.last}")
        assert found
        bench.works(*words, "--batch-size", found[1], "--out", f"fits-{precision}", before=_limit)
    for words in (("evaluate", "fits-auto"), ("predict", "fits-auto", data / "cat" / "00.png")):
        outcome = bench.refuses(5, *words, before=_fail, names=["memory"])
    return f"a batch of {found[1]} fits where all 420 do not"


def _fail() -> None:
    """Make every convolution fail as torch's allocator does."""
    import torch

    real = torch.nn.Conv2d.forward

    def failing(self: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        if images.is_meta:
            return real(self, images)
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    torch.nn.Conv2d.forward = failing  # type: ignore[method-assign, assignment]


ROWS = (Row("E5", "out of memory on a CPU", out_of_memory),)
