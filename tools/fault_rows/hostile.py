"""H1, H2, H3, H7: weights, documents and tensors from someone who means harm."""

import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .bench import Bench, expect
from .pictures import SMALL, write_tree
from .sheet import Row

NUM_MUTATED = 200


class Payload:
    """What touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (_touch, (str(self.canary),))


def _touch(path: str) -> None:
    Path(path).touch()


def pickles(bench: Bench) -> str:
    canary = bench.folder / "canary"
    plain = pickle.dumps({"conv1.weight": Payload(canary)}, protocol=2)
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("archive/data.pkl", plain)
        archive.writestr("archive/version", "3\n")
    table = io.BytesIO()
    np.save(table, np.array([Payload(canary)], dtype=object), allow_pickle=True)
    tables = io.BytesIO()
    np.savez(tables, a=np.array([Payload(canary)], dtype=object))
    canary.unlink(missing_ok=True)
    files = {f"{kind}.{end}": text for end in ("pt", "pth", "ckpt") for kind, text in
             (("plain", plain), ("zip", inside.getvalue()))}  # fmt: skip
    files |= {"a.npy": table.getvalue(), "a.npz": tables.getvalue(), "a.safetensors": plain}
    for name, content in files.items():
        (bench.folder / name).write_bytes(content)
        bench.refuses(
            4, "import-weights", name, "--model", "lenet5", "--out", "w.safetensors", names=[Path(name).suffix]
        )
        expect(not canary.exists(), f"{name} ran")
    expect(not (bench.folder / "w.safetensors").exists(), "something was written")
    return f"{len(files)} files refused, none ran"


def tensors(bench: Bench) -> str:
    run = _trained(bench)
    good = (run / "weights.safetensors").read_bytes()
    for name, content in _hostile(good):
        _with_weights(bench, content)
        outcome = bench.refuses(4, "predict", "copy", "data/cat/00.png", names=["weights.safetensors"])
        expect(outcome.cpu_s < 2, f"{name} takes {outcome.cpu_s:.1f} s")
        expect(outcome.peak_mb < 300, f"{name} takes {outcome.peak_mb:.0f} MB")
    return f"{len(list(_hostile(good)))} files refused in less than 2 s each"


def _hostile(good: bytes) -> Iterator[tuple[str, bytes]]:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    yield "header of 2^40 bytes", struct.pack("<Q", 1 << 40) + good[8:]
    yield "truncated", good[: len(good) // 2]
    yield "zip behind it", good + b"PK\x03\x04" + bytes(50)
    yield "overlap", _made({"a": entry, "b": entry}, 4)
    text = json.dumps(entry).encode()
    yield "same key twice", _raw(b'{"a":' + text + b',"a":' + text + b"}", 4)
    rows = {f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(300_000)}
    yield "300,000 tensors", _made(rows, 0)
    yield "shape of 10^18", _made({"a": {**entry, "shape": [10**18]}}, 4)
    yield "no header", b""


def _made(header: dict[str, Any], num_bytes: int) -> bytes:
    return _raw(json.dumps(header).encode(), num_bytes)


def _raw(header: bytes, num_bytes: int) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(num_bytes)


def documents(bench: Bench) -> str:
    """Replace every value of run.json in turn: wrong kinds, huge numbers, dotted paths, nothing at all."""
    run = _trained(bench)
    whole = json.loads((run / "run.json").read_text())
    copy = Path(shutil.copytree(run, bench.folder / "copy"))
    (copy / "SHA256SUMS").unlink()
    wrong: list[object] = [None, [], {}, "os.system", 10**9, -1, 1.5, True]
    places = [path for path in _places(whole) if path[0] in {"task", "input", "model", "recipe", "dataset", "seed"}]
    num, rng = 0, np.random.default_rng(0)
    for place in places:
        document = json.loads(json.dumps(whole))
        parent: Any = document
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = wrong[int(rng.integers(len(wrong)))]
        (copy / "run.json").write_text(json.dumps(document))
        outcome = bench.striate("predict", "copy", "data/cat/00.png")
        name = ".".join(map(str, place))
        expect(
            outcome.code in (0, 2, 3, 4, 5),
            f"{name} = {parent[place[-1]]!r}: exit {outcome.code}: {outcome.last[:160]}",
        )
        expect(outcome.peak_mb < 500, f"{name} takes {outcome.peak_mb:.0f} MB")
        num += 1
    return f"{num} values replaced, each read as it is or refused"


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items)[:12]:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def mutated(bench: Bench) -> str:
    """Change bytes of weights at random; one process reads them all, since it is the one that must not die."""
    from striate.base.errors import ModelError
    from striate.base.tensors import read_tensors

    run = _trained(bench)
    good, path = (run / "weights.safetensors").read_bytes(), bench.folder / "mutated.safetensors"
    seed_refused = bench.folder.with_name("refused")

    def read_all() -> None:
        rng, refused = np.random.default_rng(0), 0
        for _ in range(NUM_MUTATED):
            content = bytearray(good)
            for _ in range(int(rng.integers(1, 5))):
                content[int(rng.integers(min(len(content), 600)))] = int(rng.integers(256))
            path.write_bytes(content)
            try:
                read_tensors(path)
            except ModelError:
                refused += 1
        seed_refused.write_text(str(refused))

    outcome = bench.start(before=read_all).wait()
    expect(outcome.code == 0, f"exit {outcome.code}: {outcome.err[-300:]}")
    refused = int(seed_refused.read_text())
    seed_refused.unlink()
    return f"{refused} of {NUM_MUTATED} refused, the others are tensors still"


def _trained(bench: Bench) -> Path:
    write_tree(bench.folder / "data")
    bench.works("train", "data", *SMALL, "--out", "run")
    return bench.folder / "run"


def _with_weights(bench: Bench, content: bytes) -> None:
    shutil.rmtree(bench.folder / "copy", ignore_errors=True)
    copy = Path(shutil.copytree(bench.folder / "run", bench.folder / "copy"))
    (copy / "SHA256SUMS").unlink()  # its owner would have sealed it again
    (copy / "weights.safetensors").write_bytes(content)


ROWS = (
    Row("H1", "pickles that run something", pickles, max_cpu_s=15),
    Row("H2", "hostile safetensors", tensors, max_cpu_s=5, max_mb=300),
    Row("H3", "hostile run.json", documents, max_cpu_s=5, max_mb=500),
    Row("H7", "mutated safetensors", mutated, max_cpu_s=20, max_mb=300),
)
