"""How near training comes to what the processor can do: the rates of its matrix product and of a copy in memory.

    python benchmarks/ceilings.py                        the best instructions of this processor
    python benchmarks/ceilings.py --isa ALL,AVX2         also as on a processor whose best unit is AVX2

One thread, time of the processor and not of the clock. All parts take turns within one process, and each is held
against the product and the copy of the same turn, so that other work on the machine cancels. The network is that of
`epoch.py`: 3x3 convolutions of 32, 64, 128 and 256 filters with ReLU and 2x2 max-pooling, global average, linear; Adam;
flip, rotation, zoom.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

Part = tuple[Callable[[], object], float, float]  # what to call, its floating-point operations, the bytes it must move
ISA = {
    "ALL": {},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "AVX512_CORE": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}
WIDTHS = ((3, 32), (32, 64), (64, 128), (128, 256))
COPY_BYTES, PRODUCT, NUM_BATCHES = 1 << 28, 1024, 10
PRODUCTS = ("product", "product as 1x1")  # by two libraries: the faster one is the ceiling
LEAST_S = 0.03  # of a part in a turn

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--isa", default="ALL", help=f"of {', '.join(ISA)}")
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--turns", type=int, default=7)
parser.add_argument("--json", action="store_true")
parser.add_argument("--child", choices=("float32", "bf16"), help=argparse.SUPPRESS)
arguments = parser.parse_args()


def measure(precision: str) -> dict[str, object]:
    """Return what every part of training reaches in a precision."""
    import torch

    from striate.base.device import best_unit

    torch.set_num_threads(1)
    torch.manual_seed(0)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b, c = (torch.randn(PRODUCT, PRODUCT).to(dtype) for _ in range(3))
    source, copy = (torch.ones(COPY_BYTES // 4) for _ in range(2))
    field, filters = a.t().reshape(1, PRODUCT, 32, -1).contiguous(memory_format=torch.channels_last), b[..., None, None]
    parts: dict[str, Part] = {
        PRODUCTS[0]: (lambda: torch.mm(a, b, out=c), 2.0 * PRODUCT**3, 0.0),
        PRODUCTS[1]: (lambda: torch.conv2d(field, filters), 2.0 * PRODUCT**3, 0.0),
        "copy": (lambda: copy.copy_(source), 0.0, 2.0 * COPY_BYTES),
        **dict(pieces(dtype)),
    }
    work = sum(part[1] for name, part in parts.items() if name.startswith("conv"))
    with TemporaryDirectory() as folder:
        parts |= dict(training(Path(folder), precision, work))
        for part in parts.values():  # kernels are made at the first call
            part[0]()
        times: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(arguments.turns):
            for name, part in parts.items():
                times[name].append(seconds(part[0]))
    rows = {name: summary(name, part, parts, times) for name, part in parts.items()}
    return {"precision": precision, "unit": best_unit(), "torch": torch.__version__, "parts": rows}


def pieces(dtype: object) -> Iterator[tuple[str, Part]]:
    """Yield the layers of the network by themselves, forward and backward, channels-last."""
    import torch
    import torch.nn.functional as F

    def maps(width: int, side: int) -> torch.Tensor:
        made = torch.randn(arguments.batch, width, side, side).to(dtype)
        return made.contiguous(memory_format=torch.channels_last)

    for index, (c_in, width) in enumerate(WIDTHS):  # pooled before the activation, as `striate.model.late` has it
        side, pair = arguments.size >> index, ([1, 1], [1, 1], [1, 1])
        x, y, pooled = maps(c_in, side), maps(width, side), maps(width, side // 2)
        layer = torch.nn.Conv2d(c_in, width, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
        weight, bias = layer.weight.detach(), layer.bias.detach()
        work, num_bytes = 2.0 * 9 * c_in * width * side * side * arguments.batch, 1.0 * (x.nbytes + y.nbytes)
        wanted, num_backward = [index > 0, True, True], 2 if index else 1  # nobody asks for the images' gradient

        def forward(x=x, weight=weight, bias=bias) -> object:
            return F.conv2d(x, weight, bias, padding=1)

        def backward(x=x, y=y, weight=weight, width=width, pair=pair, wanted=wanted) -> object:
            return torch.ops.aten.convolution_backward(y, x, weight, [width], *pair, False, [0, 0], 1, wanted)

        def around(y=y, pooled=pooled) -> None:
            F.relu(F.max_pool2d(y.detach().requires_grad_(), 2)).backward(pooled)

        yield f"conv {index + 1} forward", (forward, work, num_bytes)
        yield f"conv {index + 1} backward", (backward, num_backward * work, num_backward * num_bytes)
        places = 8 * pooled.numel()
        yield f"pool, relu {index + 1}", (around, 0.0, 2.0 * (y.nbytes + places) + 7 * pooled.nbytes)


def training(folder: Path, precision: str, work: float) -> Iterator[tuple[str, Part]]:
    """Yield Striate's own step on a batch that is ready, the making of a batch, and a whole epoch."""
    import numpy as np

    from striate.base import device as devices
    from striate.base.progress import Progress
    from striate.base.rundir import RunDir
    from striate.data.sources.arrays import from_arrays
    from striate.model.zoo import blueprint
    from striate.run.network import build_network
    from striate.run.prepare import prepare
    from striate.run.recipe import Recipe
    from striate.run.training import Training

    rng, num = np.random.default_rng(0), NUM_BATCHES * arguments.batch
    images = rng.integers(0, 256, (num + 64, arguments.size, arguments.size, 3), dtype=np.uint8)
    places = np.arange(len(images))
    data = from_arrays(images, rng.integers(0, 2, len(images)))
    data = data.with_splits({"train": places[:num], "val": places[num:]})
    augment = [{"kind": "flip"}, {"kind": "rotate", "max_deg": 18}, {"kind": "zoom", "min": 0.8, "max": 1.2}]
    settings = {"epochs": 1000, "batch_size": arguments.batch, "optimiser": "adam", "schedule": "constant", "lr": 1e-4}
    recipe = Recipe.parse({"augment": augment, "data": {"size": arguments.size}, "train": settings})
    quiet, device = Progress("quiet"), devices.pick("cpu")
    prepared = prepare(data, recipe, target=None, device=device, progress=quiet)
    network = devices.place(build_network(blueprint("bipyramid", depth=4), prepared, 0), device)
    own = Training(RunDir(folder), prepared, network, seed=0, precision=precision, progress=quiet, fixed={})
    batch = next(iter(own.loader.batches(0)))

    def batches() -> int:
        return sum(len(batch) for batch in own.loader.batches(0))

    def epoch() -> None:
        for batch in own.loader.batches(0):
            own.update(batch, 0)

    own.update.train_mode()
    yield "step", (lambda: own.update(batch, 0), work, 0.0)
    yield "batches", (batches, 0.0, 0.0)
    yield "epoch", (epoch, NUM_BATCHES * work, 0.0)


def seconds(part: Callable[[], object]) -> float:
    """Return the processor's time for one call, of as many as fill a turn."""
    start, count = time.process_time(), 0
    while (spent := time.process_time() - start) < LEAST_S or not count:
        part()
        count += 1
    return spent / count


def summary(name: str, part: Part, parts: dict[str, Part], times: dict[str, list[float]]) -> dict[str, float]:
    """Return the median time of a part, its rates, their shares of the two ceilings, and its share of a step."""
    _, work, num_bytes = part
    found = {"ms": 1000 * statistics.median(times[name])}
    product = [min(pair) for pair in zip(*(times[one] for one in PRODUCTS), strict=True)]
    for key, amount, ceiling, most, fastest in (
        ("gflops", work, "product", parts[PRODUCTS[0]][1], product),
        ("gbytes", num_bytes, "copy", parts["copy"][2], times["copy"]),
    ):
        if amount:
            pairs = zip(times[name], fastest, strict=True)
            found[key] = amount / found["ms"] / 1e6
            found[f"of_{ceiling}"] = statistics.median(amount / own / (most / best) for own, best in pairs)
    steps = [time / (NUM_BATCHES if name in {"batches", "epoch"} else 1) for time in times[name]]
    found["of_step"] = statistics.median(own / whole for own, whole in zip(steps, times["step"], strict=True))
    return found


def line(name: str, row: dict[str, float]) -> str:
    """Return a part as a row of the table."""
    cells = [f"{row[key]:.0f}" if key in row else "" for key in ("gflops", "gbytes")]
    shares = [f"{100 * row[key]:.0f} %" if key in row else "" for key in ("of_product", "of_copy", "of_step")]
    texts = (f"{row['ms']:.2f}", cells[0], shares[0], cells[1], shares[1], shares[2])
    return f"{name:<16}" + "".join(f"{text:>11}" for text in texts)


if arguments.child:
    print(json.dumps(measure(arguments.child)))
    sys.exit()
results = []
for isa in arguments.isa.split(","):
    for precision in ("float32", "bf16") if isa == "ALL" else ("float32",):
        words = [f"--{key}={getattr(arguments, key)}" for key in ("size", "batch", "turns")]
        done = subprocess.run(
            [sys.executable, __file__, *words, "--child", precision],
            env={**os.environ, "OMP_NUM_THREADS": "1", **ISA[isa]},
            stdout=subprocess.PIPE,
            check=True,
        )
        results.append({"isa": isa, **json.loads(done.stdout)})
        if not arguments.json:
            found = results[-1]
            print(f"{isa} ({found['unit']}), {found['precision']}, torch {found['torch']}, {arguments.size} px")
            heads = ("ms", "GFLOP/s", "of product", "GB/s", "of copy", "of a step")
            print(f"{'':<16}" + "".join(f"{head:>11}" for head in heads))
            print("\n".join(line(name, row) for name, row in found["parts"].items()), flush=True)
if arguments.json:
    print(json.dumps(results, indent=1))
