"""Runs that start together on the same data decode it once, and none trips over another's store."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from striate.data import open_dataset, planes, store
from striate.data.eviction import entries
from striate.data.geometry import Geometry
from striate.data.planes import open_plane
from striate.data.store import open_store
from striate.data.target import Mask
from striate.data.turn import is_free, turn

NUM = 6


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for index in range(12):
        path = tmp_path / "data" / f"class{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
    return tmp_path / "data"


def together(work):
    """What `NUM` threads return that begin at one moment; each opens its own lock file, as processes do."""
    start = Barrier(NUM)

    def begin(_):
        start.wait()
        return work()

    with ThreadPoolExecutor(NUM) as pool:
        return list(pool.map(begin, range(NUM)))


def counted(monkeypatch, module):
    calls, build = [], module._build

    def slow(*args, **options):
        calls.append(1)
        time.sleep(0.2)
        return build(*args, **options)

    monkeypatch.setattr(module, "_build", slow)
    return calls


def test_a_store_is_built_once(folder, monkeypatch):
    calls, data = counted(monkeypatch, store), open_dataset(folder)
    stores = together(lambda: open_store(data, Geometry((32, 32))))
    assert len(calls) == 1
    assert all(np.array_equal(found.image(3), stores[0].image(3)) for found in stores)


def test_a_plane_is_built_once(folder, monkeypatch):
    calls, data = counted(monkeypatch, planes), open_dataset(folder)
    masks = [np.full((20, 20), index % 2, np.uint8) for index in range(len(data))]
    opened = [open_store(data, Geometry((32, 32))) for _ in range(NUM)]
    targets = [Mask.of(masks, ("a", "b")) for _ in range(NUM)]
    pairs = iter(zip(opened, targets, strict=True))
    found = together(lambda: open_plane(*next(pairs)))
    assert len(calls) == 1
    assert all((plane.squares(np.array([3]))[0] == 1).all() for plane in found)


def test_what_another_process_builds_is_not_removed(folder):
    open_store(open_dataset(folder), Geometry((32, 32)))
    (entry,) = [entry for entry in entries() if entry.kind == "decoded images"]
    script = (
        "import sys, time; from pathlib import Path; from striate.data.turn import turn\n"
        "with turn(Path(sys.argv[1]), print): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(entry.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert not is_free(entry.path)
        assert not entry.remove()
        waits = []
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: turn(entry.path, lambda: waits.append(1)).__enter__())
            time.sleep(0.2)
            assert not waiting.done()
            other.kill()
            waiting.result(timeout=10)
        assert waits == [1]


def test_nothing_is_left_of_a_turn(folder):
    with turn(folder / "x", print):
        assert (folder / ".x.turn").exists()
    assert not (folder / ".x.turn").exists()
    assert is_free(folder / "x")
