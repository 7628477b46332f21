"""D1, D6, D7, D9: the threads that read images: what goes wrong in one, what they may not change, what they keep."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_split
from .sheet import Row

SPLITS = dict.fromkeys(("train", "val", "test"), ("cat", "dog"))
STREAMED = {"STRIATE_CACHE_LIMIT": "0.0000001"}  # gigabytes: too few for a store, so that files are read every epoch
LOUD = tuple(word for word in SMALL if word != "-q")
THREE = (*LOUD, "--set", "train.epochs=3", "--set", "train.batch_size=16", "--set", "train.precision=float32")


def _fail_on(content: bytes) -> Callable[[], None]:
    """Return what makes the decoder fail, as no decoder should, on the file with this content."""

    def install() -> None:
        from striate.data import decode

        real = decode.flawless

        def failing(data: bytes, *rest: Any) -> Any:
            if data == content:
                raise RuntimeError("planted")
            return real(data, *rest)

        decode.flawless = failing

    return install


def failing_thread(bench: Bench) -> str:
    """A decoder that raises what it never promised names the file, wherever a thread meets it."""
    data = write_split(bench.folder / "data", SPLITS, 12)
    bad = data / "train" / "cat" / "07.png"
    act, name = _fail_on(bad.read_bytes()), "train/cat/07.png"
    bench.refuses(3, "train", data, *THREE, "--out", "run", names=[name, "RuntimeError"], before=act)
    outcome = bench.works("check", data, "--out", "sheet", before=act)
    expect(name in outcome.out + outcome.err, "check does not name the file")
    bench.works("train", data, *THREE, "--out", "run", "--on-bad", "skip", before=act)
    outcome = _in_child(bench, lambda: act() or _store_of(data))
    expect(name in outcome and "RuntimeError" in outcome, f"the store does not name the file: {outcome}")
    return "found by check, train and the store; threads ended"


def _store_of(data: Path) -> str:
    """The message of a store that cannot be built, and the threads that are left of it."""
    from striate.base.errors import DataError
    from striate.base.progress import Progress
    from striate.data import open_dataset
    from striate.data.geometry import Geometry
    from striate.data.store import open_store

    before = threading.active_count()
    try:
        open_store(open_dataset(str(data)), Geometry((16, 16)), Progress("quiet"), threads=4)
    except DataError as problem:
        expect(threading.active_count() == before, "threads are left")
        return str(problem)
    raise AssertionError("a store was built")


def _in_child(bench: Bench, work: Callable[[], object]) -> str:
    """Return what `work` returns in a process of its own, as text."""
    outcome = bench.start(before=lambda: print(work())).wait()
    expect(outcome.code == 0, f"exit {outcome.code}: {outcome.last[:200]}")
    return outcome.out.strip()


def same_batches(bench: Bench) -> str:
    """One stream of batches for any number of threads and batches ahead; and no augmentation twice."""
    data = bench.folder / "data"
    one = encoded(pixels("one"))
    for number in range(48):
        put(data / ("cat", "dog")[number % 2] / f"{number:02d}.png", one)  # so that only the draws tell them apart
    found = json.loads(_in_child(bench, lambda: json.dumps(_streams(data))))
    expect(len(set(found["streams"])) == 1, f"{len(set(found['streams']))} streams, not 1")
    expect(found["different"] == found["drawn"], f"{found['different']} of {found['drawn']} augmented images differ")
    return f"{len(found['streams'])} settings, 1 stream; {found['drawn']} draws, all different"


def _streams(data: Path) -> dict[str, Any]:
    """The hash of two epochs for each setting; and how many of all augmented images differ from all others."""
    import numpy as np

    from striate.base.progress import Progress
    from striate.data import open_dataset
    from striate.data.augment import STRENGTHS, Pipeline
    from striate.data.geometry import Geometry
    from striate.data.loader import Loader
    from striate.data.store import open_store

    dataset = open_dataset(str(data))
    dataset.splits.clear()
    dataset.splits["train"] = np.arange(len(dataset))
    streams, images = [], []
    options: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.2] * 3, "batch_size": 10, "shuffle": True, "seed": 1}
    for max_bytes in (None, 0):  # from a store, and decoded every time
        store = open_store(dataset, Geometry((20, 20)), Progress("quiet"), max_bytes=max_bytes)
        for threads, ahead in ((1, 0), (1, 1), (2, 1), (4, 3)):
            pipeline = Pipeline(STRENGTHS["strong"])
            loader = Loader(store, dataset, "train", pipeline=pipeline, threads=threads, ahead=ahead, **options)
            digest, images = hashlib.sha256(), []
            for batch in (batch for epoch in (0, 1) for batch in loader.batches(epoch)):
                images += [image.numpy().tobytes() for image in batch.images]
                digest.update(b"".join(images[-len(batch) :]) + batch.index.tobytes())
            streams.append(digest.hexdigest())
    return {"streams": streams, "drawn": len(images), "different": len(set(images))}


NUM_NAMES, NUM_USED, EPOCHS = 200_000, 40_000, 3
MAX_SLOPE = 0.01  # of the memory in use, an epoch


def flat_memory(bench: Bench) -> str:
    """The memory of a process that iterates, epoch after epoch, over some of a dataset of 200,000 names."""
    sizes_mb = [float(size) for size in _in_child(bench, _sizes).split()]
    slope = (sizes_mb[-1] / sizes_mb[0]) ** (1 / EPOCHS) - 1
    expect(slope < MAX_SLOPE, f"memory grows by {slope:.1%} an epoch: {sizes_mb}")
    return f"{NUM_USED:,} of {NUM_NAMES:,} images an epoch, {sizes_mb[-1]:.0f} MB, {slope:+.2%} an epoch"


def _sizes() -> str:
    """The resident memory in MB after the first epoch and after each of three more."""
    import gc

    import numpy as np

    from striate.base.progress import Progress
    from striate.data.augment import STRENGTHS, Pipeline
    from striate.data.geometry import Geometry
    from striate.data.loader import Loader
    from striate.data.sample import Dataset
    from striate.data.sources.images import ArrayImages
    from striate.data.store import open_store
    from striate.data.target import Label

    array = np.random.default_rng(0).integers(0, 256, (NUM_NAMES, 4, 4, 3), np.uint8)
    names = tuple(f"images/{number:06d}.png" for number in range(NUM_NAMES))
    targets = {"label": Label(np.arange(NUM_NAMES) % 2, ("a", "b"))}
    splits = {"train": np.arange(0, NUM_NAMES, NUM_NAMES // NUM_USED)}
    dataset = Dataset("many", "nowhere", ArrayImages(array), names, targets, splits, 3)
    store = open_store(dataset, Geometry((4, 4)), Progress("quiet"))
    options: dict[str, Any] = {"mean": [0.5] * 3, "std": [0.2] * 3, "batch_size": 500, "shuffle": True, "threads": 2}
    loader, found = Loader(store, dataset, "train", pipeline=Pipeline(STRENGTHS["light"]), **options), []
    for epoch in range(1 + EPOCHS):
        num = sum(len(batch) for batch in loader.batches(epoch))
        expect(num == NUM_USED, f"{num} images in an epoch")
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    return " ".join(f"{size:.2f}" for size in found)


def _spoil_at(step: int, spoil: Callable[[], object]) -> Callable[[], None]:
    """Return what calls `spoil` during a step of the training."""

    def install() -> None:
        from striate.engine.update import Update

        call = Update.__call__

        def spoiling(self: Update, batch: Any, at: int) -> Any:
            if at == step:
                spoil()
            return call(self, batch, at)

        Update.__call__ = spoiling  # type: ignore[method-assign]

    return install


def lost_files(bench: Bench) -> str:
    """Files that go bad while they are read anew every epoch: few are left out, of many the run stops."""
    data = write_split(bench.folder / "data", SPLITS, 4)
    for band, name in enumerate(SPLITS["train"]):  # 240 training images: two are below one in a hundred
        for number in range(4, 120):
            put(data / "train" / name / f"{number:03d}.png", encoded(pixels(f"{name}{number}", 12, band)))
    files = sorted((data / "train").rglob("*.png"))
    whole = {path: path.read_bytes() for path in files[:3]}
    harms = (Path.unlink, lambda path: path.write_bytes(whole[path][:40]), lambda path: path.write_bytes(b""))

    def harm(num: int) -> Callable[[], None]:
        return lambda: [act(path) for act, path in list(zip(harms, whole, strict=True))[:num]]  # type: ignore[return-value]

    may = [str(path.relative_to(bench.folder)) for path in whole]
    words = ("train", data, *THREE, "--threads", "1")
    outcome = bench.works(*words, "--out", "few", before=_spoil_at(17, harm(2)), env=STREAMED, may_change=may)
    expect(outcome.err.count("left out") == 3, f"not said once a file and at the end: {outcome.err[-500:]}")
    expect(all(f"{path.parent.name}/{path.name}" in outcome.err for path in list(whole)[:2]), "the files are not named")
    result = json.loads((bench.folder / "few" / "run.json").read_text())["result"]
    expect(result["skipped"] == 2 and result["epochs"] == 3, f"counted: {result['skipped']} in {result['epochs']}")
    _write(whole)
    outcome = bench.striate(*words, "--out", "many", before=_spoil_at(17, harm(3)), env=STREAMED, may_change=may)
    bench.is_clear(outcome, 3, ["data/train/cat", "the state is saved", "striate resume"])
    state = max((bench.folder / "many" / "checkpoints").glob("step-*"))
    expect(int(state.name.partition("-")[2]) >= 17, f"the last state kept is {state.name}")
    _write(whole)
    bench.works("resume", "many", "-q", env=STREAMED, may_change=["many"])
    return "2 of 240 left out and counted; at 3 the run keeps its state, stops and can be resumed"


def _write(contents: dict[Path, bytes]) -> None:
    for path, content in contents.items():
        path.write_bytes(content)


ROWS = (
    Row("D1", "decoder that raises in a reading thread", failing_thread, max_cpu_s=30, max_mb=400),
    Row(
        "D6", "batches by 1, 2 and 4 threads, 0 to 3 ahead; every draw differs", same_batches, max_cpu_s=20, max_mb=400
    ),
    Row("D7", "memory from epoch to epoch", flat_memory, max_cpu_s=40, max_mb=500),
    Row("D9", "files deleted or cut while training", lost_files, max_cpu_s=30, max_mb=500),
)
