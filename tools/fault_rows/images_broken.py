"""A1 to A7: files that are no usable image."""

import csv
import json
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

MB_PER_BOMB, MB_PER_LARGE = 100, 1000


def _refused(bench: Bench, files: Mapping[str, bytes], says: Mapping[str, str]) -> None:
    """Training must name every bad file and its reason; the check must find these and no others."""
    data = write_tree(bench.folder / "data")
    for name, content in files.items():
        put(data / "cat" / name, content)
    outcome = bench.refuses(3, "train", data, *SMALL, "--out", "run")
    expect(any(name in outcome.last for name in files), f"names none of the files: {outcome.last}")
    for name in files:
        lines = [line for line in outcome.err.split("\n") if name in line and says[name] in line]
        expect(lines, f"{name} is not listed with {says[name]!r}: {outcome.err[-400:]}")
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)
    errors = {name for item in found["findings"] if item["severity"] == "error" for name in item["ids"]}
    expect(errors == {f"cat/{name}" for name in files}, f"the check says {sorted(errors)}")
    expect(not (bench.folder / "run").exists(), "a run folder was begun")


def empty_file(bench: Bench) -> None:
    _refused(bench, {"cat.jpg": b""}, {"cat.jpg": "empty"})
    bench.works("train", "data", *SMALL, "--out", "run", "--on-bad", "skip")
    with (bench.folder / "run" / "skipped.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    expect(rows == [["id", "reason"], ["cat/cat.jpg", "file is empty"]], f"skipped.csv holds {rows}")
    info = json.loads((bench.folder / "run" / "run.json").read_text())
    expect(sum(info["dataset"]["counts"].values()) == 28, "the empty file was counted")
    expect(any("1 image" in note for note in info["dataset"]["notes"]), "the run does not say that one was left out")


def cut_jpeg(bench: Bench) -> None:
    whole = encoded(pixels("x", 96), "JPEG", quality=90)
    files = {f"cut{share}.jpg": whole[: len(whole) * share // 100] for share in (3, 50, 99)}
    _refused(bench, files, {"cut3.jpg": "not a readable JPEG", "cut50.jpg": "truncated", "cut99.jpg": "truncated"})


def cut_png(bench: Bench) -> None:
    whole = encoded(pixels("x", 96))
    flipped = bytearray(whole)
    flipped[whole.index(b"IDAT") + 200] ^= 0x10
    files = {"cut50.png": whole[: len(whole) // 2], "cut99.png": whole[:-9], "crc.png": bytes(flipped)}
    _refused(bench, files, {"cut50.png": "truncated", "cut99.png": "truncated", "crc.png": "checksum"})


def web_page(bench: Bench) -> None:
    page = b"<html><head><title>404 Not Found</title></head><body>nothing here</body></html>"
    files = {"page.jpg": page, "doctype.png": b"\n<!DOCTYPE html>\n" + page, "text.jpg": b"no image at all\n" * 9}
    _refused(bench, files, dict.fromkeys(files, "not an image"))


def foreign_format(bench: Bench) -> None:
    from striate.data import decode

    def trap() -> None:
        decode._READERS["TIFF"] = lambda file: (_ for _ in ()).throw(SystemError("the parser was entered"))

    tiff = encoded(pixels("x"), "TIFF")
    fits = b"SIMPLE  =                    T".ljust(2880)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    magic = {"TIFF": tiff, "EPS": eps, "PSD": b"8BPS\0\1".ljust(80, b"\0"), "FITS": fits}
    files = {f"{kind.lower()}.png": content for kind, content in magic.items()}
    _refused(bench, files, {f"{kind.lower()}.png": f"format not allowed: {kind}" for kind in magic})
    outcome = bench.striate("train", "data", *SMALL, "--out", "run", before=trap)
    expect("entered" not in outcome.err, "a parser was entered for a format that is not allowed")


def bomb(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    small = bench.works("check", data, "--out", "sheet", "-q")
    put(data / "cat" / "bomb.png", _declaring(20_000, 20_000))
    outcome = bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["bomb.png", "too large"])
    expect(outcome.cpu_s < 1, f"takes {outcome.cpu_s:.1f} s")
    looked = bench.works("check", data, "--out", "sheet2", "-q")
    growth_mb = max(looked.peak_mb, outcome.peak_mb) - small.peak_mb
    expect(growth_mb < MB_PER_BOMB, f"memory grows by {growth_mb:.0f} MB")
    return f"{outcome.cpu_s:.2f} s, {max(0.0, growth_mb):.0f} MB"


def large_picture(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    column = (np.arange(12_000) * 7 % 256).astype(np.uint8)
    large = Image.fromarray(np.broadcast_to(column[None, :, None], (7_000, 12_000, 3)))
    put(data / "cat" / "large.png", encoded(large, compress_level=1))
    outcome = bench.striate("train", data, *SMALL, "--out", "run")
    if outcome.code == 0:
        expect(outcome.peak_mb < MB_PER_LARGE, f"memory grows by {outcome.peak_mb:.0f} MB")
        return f"loads within {outcome.peak_mb:.0f} MB"
    bench.is_clear(outcome, 3, ["large.png", "--max-pixels"])
    return "refused"


def _declaring(width: int, height: int) -> bytes:
    """Return a PNG whose header declares this size while its pixel data are sixty bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(40_000), 9)[:60]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


ROWS = (
    Row("A1", "zero-byte image; left out on request", empty_file),
    Row("A2", "truncated JPEG", cut_jpeg),
    Row("A3", "truncated PNG, wrong checksum", cut_png),
    Row("A4", "web page or text saved as an image", web_page),
    Row("A5", "TIFF, EPS, PSD, FITS behind .png", foreign_format),
    Row("A6", "decompression bomb", bomb),
    Row("A7", "84 million pixels", large_picture),
)
