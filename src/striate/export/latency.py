"""How long a network takes to answer, by everything that can run it here, in turns.

Protocol: each engine has run before it is timed. In each round every engine runs for a fifth of a second, at least
three times; the figures are over the calls of all rounds. Threads are the same for all. Images are noise of the run's
size: what they show changes no time.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.base.errors import UserError

from .engines import ENGINES, Call, prepared
from .graph import VALUES
from .onnx_file import require_packages, write_onnx

ROUNDS, ROUND_S, LEAST_CALLS = 5, 0.2, 3
BASE = "eager"
FROM_FILE = {"onnxruntime", "openvino"}  # engines that need an ONNX file


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call of one engine at one batch size; `why` says why there are none.

    Args:
        median_ms, p95_ms: over all calls.
    """

    engine: str
    batch: int
    median_ms: float | None = None
    p95_ms: float | None = None
    why: str = ""

    @property
    def images_per_s(self) -> float | None:
        """Images a second."""
        return None if self.median_ms is None else 1000 * self.batch / self.median_ms

    def to_json(self) -> dict[str, Any]:
        """Return a plain document."""
        return {**vars(self), "images_per_s": self.images_per_s}


def measure(
    module: nn.Module,
    shape: Sequence[int],
    *,
    batches: Iterable[int] = (1, 32),
    engines: Sequence[str] = tuple(ENGINES),
    also: Sequence[Path] = (),
    rounds: int = ROUNDS,
) -> list[Latency]:
    """Return the latencies of a module in evaluation mode, batch size by batch size.

    Args:
        shape: (C, H, W) of an image.
        also: further ONNX files of the same input, such as a quantised one, by ONNX Runtime.
    """
    threads = torch.get_num_threads()
    found: list[Latency] = []
    with TemporaryDirectory() as folder:
        path, why = Path(folder) / "model.onnx", ""
        try:
            if FROM_FILE & set(engines):
                require_packages()
                write_onnx(module, torch.randn(2, *shape), path, [VALUES, *_others(module, shape)], {})
        except UserError as problem:
            why = problem.what
        able = [name for name in engines if not why or name not in FROM_FILE]
        for batch in batches:
            images = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
            found += _of_batch(module, images, path, able, also, threads, rounds)
            found += [Latency(name, batch, why=why) for name in engines if name not in able]
    return found


def _others(module: nn.Module, shape: Sequence[int]) -> list[str]:
    with torch.inference_mode():
        outputs = module(torch.randn(2, *shape))
    return [f"output{number}" for number in range(1, len(outputs))] if isinstance(outputs, tuple) else []


def _of_batch(
    module: nn.Module,
    images: Tensor,
    path: Path,
    engines: Sequence[str],
    also: Sequence[Path],
    threads: int,
    rounds: int,
) -> list[Latency]:
    ready = {name: prepared(name, module, images, path, threads) for name in engines}
    ready |= {one.stem: prepared("onnxruntime", module, images, one, threads) for one in also}
    calls = {name: call for name, (call, _) in ready.items() if call is not None}
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for _ in range(rounds):
            for name, call in calls.items():
                times[name] += _timed(call)
    return [
        Latency(
            name, len(images),
            float(np.median(times[name])) if name in calls else None,
            float(np.percentile(times[name], 95)) if name in calls else None,
            why,
        )
        for name, (_, why) in ready.items()
    ]  # fmt: skip


def _timed(call: Call) -> list[float]:
    found: list[float] = []
    end = time.perf_counter() + ROUND_S
    while len(found) < LEAST_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - start))
    return found


def table(found: Sequence[Latency]) -> str:
    """Return the latencies as lines, the best of each batch size named; ratios are to torch as it is."""
    width = max(len(one.engine) for one in found)
    lines = [f"{'batch':>5}  {'engine':<{width}}  {'median ms':>9}  {'p95 ms':>8}  {'images/s':>8}  speed"]
    for batch in dict.fromkeys(one.batch for one in found):
        rows = [one for one in found if one.batch == batch]
        base = next((one.median_ms for one in rows if one.engine == BASE), None)
        best = min((one.median_ms for one in rows if one.median_ms is not None), default=None)
        for one in rows:
            if one.median_ms is None or one.images_per_s is None:
                lines.append(f"{batch:>5}  {one.engine:<{width}}  not here: {one.why}")
                continue
            ratio = f"{base / one.median_ms:.2f}x" if base else ""
            mark = "  best" if one.median_ms == best else ""
            figures = f"{one.median_ms:>9.2f}  {one.p95_ms:>8.2f}  {one.images_per_s:>8.0f}"
            lines.append(f"{batch:>5}  {one.engine:<{width}}  {figures}  {ratio}{mark}")
    return "\n".join(lines)
