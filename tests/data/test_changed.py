"""Images that are changed or replaced behind the same names, sizes and times are noticed."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.data import open_dataset
from striate.data.check import scan as scanning
from striate.data.check.check import check, prescan
from striate.data.decode import decode_bytes, examine
from striate.data.geometry import Geometry
from striate.data.sample import Dataset
from striate.data.sources.arrays import from_arrays
from striate.data.store import open_store
from striate.run import prepare
from striate.run.prepare import describe_dataset, fingerprint, is_same_data, outline


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def bitmaps(root: Path, *, negative: bool = False, num: int = 24, side: int = 16) -> Path:
    """Write BMPs, all of one size and one time, as an archive sets them."""
    for band, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(num):
            pixels = np.random.default_rng(100 * band + index).integers(0, 120, (side, side, 3), np.uint8)
            write(root / name / f"{index:02d}.bmp", 255 - pixels if negative else pixels)
    return root


def write(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)
    os.utime(path, (0, 0))


def test_a_set_replaced_under_the_same_names_is_decoded_anew(tmp_path: Path) -> None:
    import shutil

    geometry = Geometry((16, 16))
    before = open_store(open_dataset(bitmaps(tmp_path / "set")), geometry)
    first = np.array(before.images)
    shutil.rmtree(tmp_path / "set")
    dataset = open_dataset(bitmaps(tmp_path / "set", negative=True))
    after = open_store(dataset, geometry)
    assert after.key != before.key
    assert np.array_equal(np.array(after.images), 255 - first)
    assert open_store(open_dataset(tmp_path / "set"), geometry).key == after.key


def test_a_store_is_found_by_every_way_to_write_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bitmaps(tmp_path / "set")
    (tmp_path / "link").symlink_to("set")
    monkeypatch.chdir(tmp_path)
    keys = {
        open_store(open_dataset(where), Geometry((16, 16))).key for where in ("set", "./set/", str(tmp_path / "link"))
    }
    assert len(keys) == 1


def test_a_file_damaged_in_place_is_seen_and_full_reads_all_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, looked = bitmaps(tmp_path / "set", num=6), []
    check(open_dataset(root))
    (root / "cat" / "03.bmp").write_bytes(bytes((root / "cat" / "03.bmp").stat().st_size))
    os.utime(root / "cat" / "03.bmp", (0, 0))
    look = scanning._look
    monkeypatch.setattr(scanning, "_look", lambda *a, **k: (looked.append(a[2]), look(*a, **k)))
    assert len(prescan(open_dataset(root)).bad) == 1 and len(looked) == 1
    looked.clear()
    assert len(prescan(open_dataset(root), full=True).bad) == 1 and not looked
    check(open_dataset(root), full=True)
    assert len(looked) == 12


def test_where_the_system_has_no_time_of_change_content_stands_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_dataset(bitmaps(tmp_path / "set", num=8)).images
    monkeypatch.setattr("striate.data.sources.images.KNOWS_CHANGES", False)
    before = images.stamp(0)
    os.utime(images.path(0), (0, 0))
    assert images.stamp(0) == before
    bitmaps(tmp_path / "set", negative=True, num=8)
    assert images.stamp(0) != before


def change_one(dataset: Dataset) -> None:
    """Change one pixel of one training image, and nothing else that can be seen of the file."""
    path = dataset.images.path(int(dataset.splits["train"][0]))
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, (0, 0))


def test_the_fingerprint_is_of_content_and_not_of_place_or_time(tmp_path: Path) -> None:
    import shutil

    dataset = open_dataset(bitmaps(tmp_path / "set"))
    before, sizes = fingerprint(dataset), outline(dataset)
    shutil.copytree(tmp_path / "set", tmp_path / "copy")
    assert fingerprint(open_dataset(tmp_path / "copy")) == before
    change_one(dataset)
    assert fingerprint(dataset) != before and outline(dataset) == sizes


def test_of_a_large_dataset_pieces_of_each_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MAX_READ_BYTES", 10_000)
    monkeypatch.setattr(prepare, "SAMPLED_BYTES", 1024)
    dataset = open_dataset(bitmaps(tmp_path / "set", num=8, side=40))
    before, path = fingerprint(dataset), dataset.images.path(int(dataset.splits["train"][0]))
    change_one(dataset)  # the last byte but one
    assert fingerprint(dataset) != before
    write(path, 255 - np.asarray(Image.open(path)))
    assert fingerprint(dataset) != before


def test_arrays_of_the_same_shape_with_other_pixels_have_another_fingerprint() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8)
    other = pixels.copy()
    other[:, 3, 3] ^= 1
    labels = np.arange(60) % 2
    splits = {"train": np.arange(60)}
    first, same, second = (
        fingerprint(from_arrays(one, labels).with_splits(splits)) for one in (pixels, pixels.copy(), other)
    )
    assert first == same != second


def test_a_run_of_an_older_version_is_known_by_names_and_sizes(tmp_path: Path) -> None:
    dataset = open_dataset(bitmaps(tmp_path / "set"))
    now = describe_dataset(dataset, "label")
    assert is_same_data({"fingerprint": outline(dataset)}, now) and is_same_data(now, now)
    assert not is_same_data({"fingerprint": "0" * 64}, now)
    assert not is_same_data({**now, "fingerprint": "0" * 64}, now)


def png(order: str) -> bytes:
    """An animated PNG with its chunks in this order: A acTL (2 frames), F and G fcTL, I IDAT, D fdAT."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + bytes([9 * row] * 24) for row in range(8)))
    frame = struct.pack(">IIIIHHBB", 8, 8, 0, 0, 1, 10, 0, 0)
    parts = {
        "A": chunk(b"acTL", struct.pack(">II", 2, 0)),
        "F": chunk(b"fcTL", struct.pack(">I", 0) + frame),
        "G": chunk(b"fcTL", struct.pack(">I", 1) + frame),
        "I": chunk(b"IDAT", rows),
        "D": chunk(b"fdAT", struct.pack(">I", 1) + rows),
    }
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts[name] for name in order) + chunk(b"IEND", b"")


@pytest.mark.parametrize("order", ["AI", "AID", "AFID", "AFIGD", "AIFD", "AFIDD", "AFFID", "ADI", "IA", "AIGD"])
def test_the_look_takes_what_the_store_takes(order: str) -> None:
    probe, pixels = examine(png(order), name="x.png", channels=3, short_side_px=64)
    try:
        stored = decode_bytes(png(order), name="x.png", channels=3, short_side_px=147)
    except Exception as problem:
        assert pixels is None and probe.problem == problem.what
    else:
        assert np.array_equal(pixels, stored)


def test_what_the_store_cannot_read_is_skipped_on_request(tmp_path: Path) -> None:
    from striate.data.check.skip import without_bad

    root = bitmaps(tmp_path / "set", num=6)
    (root / "cat" / "odd.png").write_bytes(png("AID"))
    dataset, skipped = without_bad(open_dataset(root), "skip", None)
    assert [name for name, _ in skipped] == ["cat/odd.png"]
    assert len(open_store(dataset, Geometry((8, 8))).images) == 12
