"""The cache: where it lies when the usual place cannot be written, how large it gets, and what is in use."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data import cache, eviction, open_dataset
from striate.data.geometry import Geometry
from striate.data.store import open_store

QUIET = Progress("quiet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(cache.TEMPORARY, raising=False)
    cache._reason_against.cache_clear()
    rng = np.random.default_rng(0)
    for index in range(24):
        path = tmp_path / "set" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(path)
    return tmp_path / "set"


def stored(folder: Path, side: int):
    return open_store(open_dataset(folder), Geometry((side, side)), QUIET)


def names(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache" / "stores").iterdir()}


def test_a_cache_that_cannot_be_written_gives_way_to_a_temporary_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = stored(folder, 16)
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "cache"):  # the second is read-only: what it holds is used
        monkeypatch.setenv("STRIATE_CACHE", str(place))
        with monkeypatch.context() as patch:
            patch.setattr(cache, "_reason_against", lambda folder: f"the cache {folder} cannot be written")
            again, other = stored(folder, 16), stored(folder, 12)
        assert np.array_equal(again.images, there.images) and other.images.shape == (24, 12, 12, 3)
    said = capsys.readouterr().err
    assert said.count("warning") == 1 and "set STRIATE_CACHE to a folder that can be written" in said
    temporary = Path(os.environ[cache.TEMPORARY])
    assert len(list((temporary / "stores").iterdir())) == 2
    assert len(names(tmp_path)) == 1
    cache._remove(str(temporary), os.getpid())
    assert not temporary.exists()


def test_why_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in cache._reason_against(tmp_path / "file" / "cache")
    assert cache._reason_against(tmp_path / "new" / "cache") == ""


def test_a_user_without_a_home_gets_a_temporary_cache_that_vanishes(tmp_path: Path) -> None:
    code = "from pathlib import Path; Path.home = lambda: 1 / 0; import striate.data.cache as c; "
    code = code.replace("1 / 0", "(_ for _ in ()).throw(RuntimeError('no home'))")
    code += "print(c.cached('stores', 'x').parents[1]); print(c.cached('scans'))"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STRIATE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    place = Path(done.stdout.split("\n")[0])
    assert place.parent == tmp_path and not place.exists() and done.stdout.split("\n")[1] == str(place / "scans")
    assert done.stderr.count("warning") == 1 and "STRIATE_CACHE" in done.stderr


def test_the_longest_unused_goes_first_and_never_what_is_in_use(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = (16, 17, 18)
    keys = [stored(folder, side).key[:32] for side in sides]
    for age, key in zip((3000, 2000, 1000), keys, strict=True):
        os.utime(tmp_path / "cache" / "stores" / key / "store.json", (1e9 - age, 1e9 - age))
    used = stored(folder, 17)  # now the youngest, and held
    each = eviction.size_of([tmp_path / "cache" / "stores" / keys[2]])
    have = sum(entry.num_bytes for entry in eviction.entries())
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", str(have / 1e9))
    eviction.make_room(each // 2)
    assert names(tmp_path) == set(keys[1:])
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", str(1 / 1e9))
    eviction.make_room(0)
    assert names(tmp_path) == {keys[1]}
    first = np.array(used.images[0])
    del used
    assert np.array_equal(first, stored(folder, 17).images[0])
    eviction.make_room(0)
    assert not names(tmp_path)


def test_what_is_larger_than_the_limit_is_not_kept_and_it_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "0.000001")
    found = open_store(open_dataset(folder), Geometry((16, 16)), Progress("lines"))
    assert found.images is None and found.image(3).shape == (16, 16, 3)
    assert "STRIATE_CACHE_LIMIT" in capsys.readouterr().err
    monkeypatch.setenv("STRIATE_CACHE_LIMIT", "all")
    with pytest.raises(SettingsError, match="gigabytes"):
        eviction.limit_bytes()


def test_what_a_killed_process_left_half_written_is_found(folder: Path, tmp_path: Path) -> None:
    left = tmp_path / "cache" / "stores" / ".0123.99.tmp"
    left.mkdir(parents=True)
    (left / "images.u8").write_bytes(bytes(1000))
    assert not eviction.entries()  # perhaps someone is at it
    os.utime(left, (1e9, 1e9))
    assert [(entry.kind, entry.num_bytes) for entry in eviction.entries()] == [("half written", 1000)]
