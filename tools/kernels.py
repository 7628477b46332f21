"""Try seeded random convolutions on this processor in the layout of training, and print which are wrong or crash.

    python tools/kernels.py                         400 cases, 1 and 2 threads, the processor's best instructions
    python tools/kernels.py --isa ALL,AVX2          also as on a processor whose best unit is AVX2
    python tools/kernels.py --unguarded             torch's own kernels, without `striate.base.kernels`
    python tools/kernels.py --only pointwise        one family of cases

Each runs forward and backward in a child process, under glibc's checks of the heap where it has them, with new memory
full of huge numbers. Values are held against float64 in the default layout. Exit 1 when one is wrong.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

import numpy as np

Rng = np.random.Generator
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}  # of a norm; rounding gives 1e-6 and 5e-3
REPEATS, ALONE_REPEATS = 2, 20
MOST_WEIGHTS, MOST_MACS = 600, 200_000_000  # of a channel, and of a layer: float64 is slow
SILENT_S = 60.0  # a child that says nothing for so long hangs
CHECKED_HEAP = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "128"}
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 32, 48, 64, 100, 128, 256, 512)


@dataclass(frozen=True)
class Case:
    """A layer and its input; `size` is the input's, without batch and channels."""

    kind: str
    size: tuple[int, ...]
    batch: int
    c_in: int
    width: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    dtype: str = "float32"
    has_bias: bool = True
    is_last: bool = True  # channels-last

    def __str__(self) -> str:
        shape = f"{self.batch}x{self.c_in}->{self.width} of {'x'.join(map(str, self.size))}"
        layer = f"kernel {self.kernel} stride {self.stride} padding {self.padding} dilation {self.dilation}"
        layout = "channels-last" if self.is_last else "default layout"
        return f"{self.kind}: {shape}, {layer}, groups {self.groups}, {self.dtype}, {layout}"


# ---- drawing cases


def draw(kind: str, rng: Rng) -> Case:
    """Return a random case of a family."""
    num_axes = {"line": 1, "volume": 3}.get(kind, 2)
    kernel = tuple(int(rng.choice((1, 1, 2, 3, 3, 4, 5, 7))) for _ in range(num_axes))
    fitting = [num for num in CHANNELS if num <= MOST_WEIGHTS // math.prod(kernel)]
    c_in, width = (int(rng.choice(fitting)) for _ in range(2))
    stride = _pick(rng, (1, 1, 2, 2, 3, 4), num_axes)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    dilation = _pick(rng, (1, 1, 1, 2), num_axes)
    groups = 1
    if kind == "pointwise" or rng.random() < 0.3:
        kernel, padding, dilation = ((1,) * num_axes, (0,) * num_axes, (1,) * num_axes)
    if kind == "depthwise":
        width, groups = c_in * int(rng.choice((1, 1, 2))), c_in
    if kind == "grouped":
        groups = int(rng.choice((2, 4)))
        c_in, width = groups * int(rng.integers(1, 17)), groups * int(rng.integers(1, 17))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    top = {1: 120, 2: 40, 3: 12}[num_axes]
    size = tuple(int(rng.integers(r, r + top)) for r in reach)
    if rng.random() < 0.6:  # kernels often want a map that the stride divides
        size = tuple(-(-n // s) * s for n, s in zip(size, stride, strict=True))
    dtype, is_last = str(rng.choice(("float32", "float32", "bfloat16"))), bool(rng.random() < 0.85)
    more: dict[str, Any] = {"dtype": dtype, "is_last": is_last, "has_bias": bool(rng.random() < 0.5)}
    batch = int(rng.choice((1, 2, 3, 8, 14, 32)))
    num_macs = c_in * width // groups * math.prod(kernel) * math.prod(size)
    batch = max(1, min(batch, MOST_MACS // num_macs))
    return Case(kind, size, batch, c_in, width, kernel, stride, padding, dilation, groups, **more)


def _pick(rng: Rng, values: Sequence[int], num: int) -> tuple[int, ...]:
    """The same value for every axis, or one for each."""
    return tuple(map(int, rng.choice(values, num))) if rng.random() < 0.3 else (int(rng.choice(values)),) * num


FAMILIES = {"pointwise": 8, "square": 5, "depthwise": 2, "grouped": 2, "transposed": 2, "line": 2, "volume": 1}
OTHERS = {"pool": 1, "norm": 1}  # spot checks


def cases(num: int, seed: int, only: str = "") -> list[Case]:
    """Return random cases of all families, or of one."""
    rng, shares = np.random.default_rng(seed), FAMILIES | OTHERS
    weights = np.array([0 if only and name != only else share for name, share in shares.items()], float)
    return [draw(str(rng.choice(list(shares), p=weights / weights.sum())), rng) for _ in range(num)]


# ---- in a child: one case


def layer_of(case: Case) -> Callable[..., Any]:
    """Return a function of (x, weight, bias) that does what the layer does."""
    import torch
    from torch.nn import functional as F

    plain = {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}
    if case.kind == "pool":
        least = min(case.size) if case.dilation != (1, 1) else 0
        window = (min(3, least or 3),) * 2
        max_pool = lambda x, w, b: F.max_pool2d(x, window, case.stride)  # noqa: E731
        average = lambda x, w, b: F.avg_pool2d(x, window, case.stride)  # noqa: E731
        return max_pool if case.has_bias else average
    if case.kind == "norm":
        return lambda x, w, b: F.batch_norm(x, None, None, w[:, 0, 0, 0].contiguous(), b, training=True)
    if case.kind == "transposed":
        extra = tuple(min(s - 1, 1) for s in case.stride)
        options = {**plain, "output_padding": extra, "groups": case.groups}
        return lambda x, w, b: F.conv_transpose2d(x, w, b, **options)
    names = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
    return lambda x, w, b: names[len(case.size)](x, w, b, **plain, groups=case.groups)


def errors(case: Case) -> dict[str, float]:
    """Return how far output and gradients are from those in float64 and the default layout, by norm."""
    import torch

    generator = torch.Generator().manual_seed(0)
    fan = (case.width, case.c_in // case.groups)
    if case.kind in ("transposed", "norm", "pool"):
        fan = (case.c_in, 1 if case.kind != "transposed" else case.width)
    size = tuple(max(3, n) for n in case.size) if case.kind == "pool" else case.size
    shapes = ((case.batch, case.c_in, *size), (*fan, *case.kernel), (fan[0] if case.kind == "norm" else case.width,))
    dtype = getattr(torch, case.dtype)
    drawn = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    layer, has_bias = layer_of(case), case.has_bias or case.kind == "norm"

    def carry_out(place: Callable[[Any], Any]) -> list[Any]:
        x, weight, bias = (place(value).requires_grad_() for value in drawn)
        y = layer(x, weight, bias if has_bias else None)
        slope = place(torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype))
        return [y, *torch.autograd.grad(y, (x, weight, bias), slope, allow_unused=True)]

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}

    def last(value: Any) -> Any:
        form = formats.get(value.ndim) if case.is_last else None
        if case.is_last and case.kind == "line" and value.ndim == 3 and value.shape[2] > 1:  # torch has no name for it
            return value.detach().transpose(1, 2).clone(memory_format=torch.contiguous_format).transpose(1, 2)
        return value.detach().clone(memory_format=form or torch.contiguous_format)

    found, right = carry_out(last), carry_out(lambda value: value.detach().double())
    pairs = zip(("y", "dx", "dweight", "dbias"), found, right, strict=True)
    return {name: distance(a, b) for name, a, b in pairs if a is not None and b is not None}


def distance(a: Any, b: Any) -> float:
    """Return the norm of the difference over the norm."""
    far = float((a.detach().double() - b.detach()).norm() / max(float(b.detach().norm()), 1e-12))
    return far if np.isfinite(far) else float("inf")


def child(threads: int, is_guarded: bool) -> None:
    """Read cases from stdin, a line each, and answer each with a line; say first which is begun."""
    import torch

    torch.set_num_threads(threads)
    if is_guarded:
        from striate.base.kernels import guard

        guard()
    for number, line in enumerate(sys.stdin):
        document = json.loads(line)
        repeats = document.pop("repeats")
        case = Case(**{name: tuple(v) if isinstance(v, list) else v for name, v in document.items()})
        print(json.dumps({"begun": number}), flush=True)
        try:
            worst: dict[str, float] = {}
            for _ in range(repeats):
                worst = {name: max(worst.get(name, 0.0), far) for name, far in errors(case).items()}
            print(json.dumps({"done": number, "errors": worst}), flush=True)
        except (RuntimeError, ValueError) as problem:
            print(json.dumps({"done": number, "refused": str(problem).split("\n")[0]}), flush=True)


# ---- in the parent: many cases


@dataclass(frozen=True)
class Setting:
    """What children run under."""

    isa: str
    threads: int
    is_guarded: bool


def run_all(wanted: list[Case], setting: Setting) -> Iterator[tuple[Case, str]]:
    """Yield each case with what came of it: "right", or what is wrong; a child that dies is followed by another."""
    start = 0
    while start < len(wanted):
        done, ended = run_some(wanted[start:], setting, REPEATS)
        yield from zip(wanted[start:], done, strict=False)
        start += len(done)
        if start < len(wanted):
            alone, ended_alone = run_some([wanted[start]], setting, ALONE_REPEATS)
            text = alone[0] if alone else ended_alone
            yield wanted[start], text if text != "right" else f"{ended}, not again when alone: one before it?"
            start += 1


def run_some(wanted: list[Case], setting: Setting, repeats: int) -> tuple[list[str], str]:
    """Return what came of the cases up to the first that ends the child, and how that ended."""
    lines = "".join(json.dumps({**asdict(case), "repeats": repeats}) + "\n" for case in wanted)
    threads = {"OMP_NUM_THREADS": str(setting.threads), "OMP_WAIT_POLICY": "passive"}  # others may need the cores
    environment = {**os.environ, **CHECKED_HEAP, **threads}
    if setting.isa != "ALL":
        environment["ONEDNN_MAX_CPU_ISA"] = setting.isa
        environment["ATEN_CPU_CAPABILITY"] = "avx2" if "AVX512" not in setting.isa else "avx512"
    command = [sys.executable, __file__, "--child", str(setting.threads), *(["--unguarded"] * (not setting.is_guarded))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        Thread(target=_feed, args=(process.stdin, lines), daemon=True).start()
        said: list[str] = []
        listener = Thread(target=lambda: said.extend(process.stderr), daemon=True)
        listener.start()
        done: list[str] = []
        for answer in _answers(process.stdout):
            if answer is None:
                process.kill()
                listener.join()
                return done, "hangs"
            if "done" in answer:
                done.append(judged(wanted[answer["done"]], answer))
        code = process.wait()
        listener.join()
    return done, f"ends the process ({code}: {' '.join(said[-1:]).strip()[-60:]})"


def judged(case: Case, answer: dict[str, Any]) -> str:
    """Return "right", "refused" or which values are wrong."""
    if "refused" in answer:
        return f"refused ({answer['refused'][:60]})"
    wrong = [f"{name} {far:.1e}" for name, far in answer["errors"].items() if far > TOLERANCE[case.dtype]]
    return f"wrong: {', '.join(wrong)}" if wrong else "right"


def _feed(stream: IO[str], lines: str) -> None:
    try:
        stream.write(lines)
        stream.close()
    except BrokenPipeError:
        pass


def _answers(stream: IO[str]) -> Iterator[dict[str, Any] | None]:
    """Yield what the child says until it ends; None when it says nothing for too long."""
    queue: Queue[str] = Queue()

    def read() -> None:
        for line in stream:
            queue.put(line)
        queue.put("")

    Thread(target=read, daemon=True).start()
    while True:
        try:
            line = queue.get(timeout=SILENT_S)
        except Empty:
            yield None
            return
        if not line:
            return
        if line.startswith("{"):
            yield json.loads(line)


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default="ALL", help="limits for oneDNN, comma-separated: ALL,AVX512_CORE,AVX2,SSE41")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", choices=["", *FAMILIES, *OTHERS])
    parser.add_argument("--unguarded", action="store_true", help="torch's own kernels")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, not options.unguarded)
        return 0
    wanted, num_wrong = cases(options.cases, options.seed, options.only), 0
    for isa in options.isa.split(","):
        for threads in map(int, options.threads.split(",")):
            tally: Counter[str] = Counter()
            for case, text in run_all(wanted, Setting(isa, threads, not options.unguarded)):
                tally[text.split(":")[0].split(" (")[0]] += 1
                if text != "right" and not text.startswith("refused"):
                    print(f"  {isa} {threads}: {case}: {text}", flush=True)
                    num_wrong += 1
            print(f"{isa}, threads {threads}: {dict(tally)}", flush=True)
    return 1 if num_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
