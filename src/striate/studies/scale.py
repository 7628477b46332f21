"""What a study needs before it is begun: memory, disk, and the hours that more workers would make of it."""

import heapq
from collections.abc import Sequence

from striate.base.text import duration
from striate.run.finish import peak_memory_mb
from striate.run.memory import BACKWARD, COPIES, bytes_an_image
from striate.run.network import build_network
from striate.run.prepare import Prepared

WORKERS = (1, 2, 4, 8, 16, 32, 64)
FIRST_S = 6.0  # of a worker before its first run: its process, its libraries, the data side
EACH_S = 0.5  # of a run beside its training: given out, its files, its answer
STATES = 3 * 4  # checkpoints at once, times weights, best ones and two moments
PICTURE_BYTES, ROW_BYTES, MAX_PICTURES = 4_000, 80, 400  # of an image that is scored


def wall_s(
    times_s: Sequence[float],
    num_workers: int,
    *,
    first_s: float = FIRST_S,
    each_s: float = EACH_S,
    store_s: float = 0.0,
) -> float:
    """Return how long workers take for runs that are begun in this order, each by the worker that is free first.

    Args:
        times_s: of each run, on one worker.
        store_s: until the images are decoded, once a machine; nobody trains before.

    Example:
        >>> wall_s([60, 60, 60], 2, first_s=6, each_s=0.5), wall_s([60, 60, 60], 64, first_s=6, each_s=0.5)
        (127.0, 66.5)
    """
    free = [store_s + first_s] * min(num_workers, len(times_s))
    for time_s in times_s:
        heapq.heapreplace(free, free[0] + each_s + time_s)
    return max(free, default=0.0)


def needs(runs: Sequence[tuple[str, Prepared]], times_s: Sequence[float]) -> list[str]:
    """Return lines that say what these runs need of memory and disk, and how long how many workers would take.

    Args:
        runs: each a network's name and its data side.
        times_s: of each run.
    """
    sizes = [_bytes(model, prepared) for model, prepared in {id(one): (name, one) for name, one in runs}.values()]
    memory_mb = peak_memory_mb() + max(memory for memory, _, _ in sizes) / 1e6
    mean_disk = sum(disk for _, disk, _ in sizes) / len(sizes)
    at_work = max(states for _, _, states in sizes)
    workers = [num for num in WORKERS if num == 1 or num // 2 < len(runs)]
    took = ", ".join(f"{num}: {duration(wall_s(times_s, num))}" for num in workers)
    return [
        f"memory of a run: about {memory_mb:,.0f} MB; disk: about {len(runs) * mean_disk / 1e6:,.0f} MB"
        f" for all runs, and {at_work / 1e6:,.0f} MB for each that is at work",
        f"workers of one such processor, and the time: {took}",
    ]


def _bytes(model: str, prepared: Prepared) -> tuple[float, float, float]:
    """Bytes of memory beside what this process has, of disk for a finished run, and of disk for its states."""
    network, geometry = build_network(model, prepared, 0), prepared.geometry
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    each = bytes_an_image(network, (geometry.channels, *geometry.size_hw)) or BACKWARD * geometry.num_bytes
    scored = [len(ids) for name, ids in prepared.dataset.splits.items() if name != "train"]
    files = sum(num * ROW_BYTES + min(num, MAX_PICTURES) * PICTURE_BYTES for num in scored)
    return prepared.batch_size * each + COPIES * weights, weights + files, STATES * weights
