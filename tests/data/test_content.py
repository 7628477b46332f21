"""Images are known by what they hold, and what is not read is a warning by format."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo, tree
from PIL import Image, features

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.check.check import check, prescan
from striate.data.decode import decode

TWO = {"cat": 10, "dog": 10}
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(600)
KINDS = {"a.JPG_large": "JPEG", "b": "PNG", "c.dat": "WEBP", "d.png.part": "GIF", "e.image": "BMP", "f.txt": "PNG"}


def test_images_without_their_suffix_are_images(tmp_path: Path) -> None:
    root = tree(tmp_path, TWO)
    for seed, (name, kind) in enumerate(KINDS.items()):
        (root / "cat" / name).write_bytes(encoded(photo(900 + seed, (24, 32)), kind))
    (root / "cat" / "tiff").write_bytes(encoded(photo(999, (24, 32)), "TIFF"))
    dataset = open_dataset(root)
    assert {f"cat/{name}" for name in (*KINDS, "tiff")} < set(dataset.ids) and not dataset.left_out
    assert len(dataset) == 27 and not len(check(dataset).bad)
    assert all(dataset.images.read(index).shape == (24, 32, 3) for index in range(len(dataset)))


def test_formats_that_are_not_read_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("striate.data.decode_heif.util.find_spec", lambda name: None)
    root = tree(tmp_path, TWO)
    contents = {"1.heic": HEIC, "2.HEIC": HEIC, "3.psd": b"8BPS" + bytes(99), "4.dcm": bytes(128) + b"DICM"}
    contents |= {"5.jxl": b"\xff\x0a" + bytes(9), "6.nef": b"II*\0" + bytes(99), "7.txt": b"a cat", "8.csv": b"a,b\n"}
    contents |= {"9.zip": b"PK\3\4", "empty": b""}
    for name, content in contents.items():
        (root / "cat" / name).write_bytes(content)
    dataset = open_dataset(root)
    assert len(dataset) == 20
    wanted = {"2 HEIC images", "1 PSD image", "1 DICOM image", "1 JPEG XL image", "1 TIFF behind .nef image"}
    for findings in (check(dataset), prescan(dataset)):
        items = findings.of("left_out")
        found = {(item.severity, item.text.removeprefix("left out: ").partition(" (")[0]) for item in items}
        assert found == {*(("warning", text) for text in wanted), ("note", "4 files that are not images")}
        assert next(item.fix for item in findings.of("left_out") if "HEIC" in item.text) == "install striate[heif]"
    (root / "cat" / "named.jpg").write_bytes(HEIC)
    with pytest.raises(DataError, match=r"format not read: HEIC; install striate\[heif\]"):
        decode(root / "cat" / "named.jpg")


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_avif_is_read_upright(tmp_path: Path) -> None:
    root, picture = tree(tmp_path, TWO), photo(3, (24, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    picture.save(root / "cat" / "x.avif", quality=100, subsampling="4:4:4")
    picture.save(root / "cat" / "turned.avif", quality=100, subsampling="4:4:4", exif=exif)
    dataset = open_dataset(root)
    assert len(dataset) == 22 and not dataset.left_out and not len(check(dataset).bad)
    plain, turned = (decode(root / "cat" / f"{name}.avif").astype(int) for name in ("x", "turned"))
    assert np.abs(plain - np.asarray(picture)).max() < 12
    assert np.abs(turned - np.rot90(np.asarray(picture), -1)).max() < 12


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    root, picture = tree(tmp_path, TWO), photo(3, (64, 96))
    heif.from_pillow(picture).save(root / "cat" / "x.heic", quality=100, chroma=444)
    shutil.copy(root / "cat" / "x.heic", root / "cat" / "phone.jpg")
    dataset = open_dataset(root)
    assert {"cat/x.heic", "cat/phone.jpg"} < set(dataset.ids) and not dataset.left_out
    assert np.abs(decode(root / "cat" / "x.heic").astype(int) - np.asarray(picture)).max() < 12
