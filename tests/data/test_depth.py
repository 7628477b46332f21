"""Sixteen bits, transparency and white as zero at every depth: golden values from the samples written here."""

import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError, SettingsError
from striate.data.decode import decode, decode_bytes, examine
from striate.data.levels import parse_levels, to_eight
from striate.data.upright import orientation

WIDTHS = {3: "H", 4: "I"}


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def png(samples: np.ndarray, depth: int, kind: int, key: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG of (H, W, C) samples, each row filtered in another way."""
    height, width, channels = samples.shape
    if depth >= 8:
        rows = samples.astype(">u2" if depth == 16 else "u1").reshape(height, -1).view(np.uint8)
    else:
        bits = np.unpackbits(samples.astype(np.uint8)[..., 0, None], axis=2)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    step, above, packed = max(1, depth * channels // 8), np.zeros_like(rows[0]), b""
    for number, row in enumerate(rows):
        filtered = number % 3  # none, left neighbour, row above
        left = np.concatenate([np.zeros(step, np.uint8), row[:-step]])
        packed += bytes([filtered]) + (row - (0, left, above)[filtered]).astype(np.uint8).tobytes()
        above = row
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, kind, 0, 0, 0])
    chunks = chunk(b"IHDR", head) + more + (chunk(b"tRNS", key) if key else b"")
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")


def tiff(samples: np.ndarray, photometric: int, *, planes: int = 1, order: str = "<", packed: bool = False,
         turned: int = 1, bits: int = 16) -> bytes:  # fmt: skip
    """A TIFF of (H, W, C) samples, 4 channels with straight alpha, in one strip a plane."""
    height, width, channels = samples.shape
    raw = samples.astype(f"{order}u2")
    strips = [raw[..., at].tobytes() for at in range(channels)] if planes == 2 else [raw.tobytes()]
    if bits == 12:
        flat = samples.reshape(height, -1, 2).astype(np.int64)
        triple = np.stack([flat[..., 0] >> 4, (flat[..., 0] & 15) << 4 | flat[..., 1] >> 8, flat[..., 1] & 255], axis=2)
        strips = [triple.astype(np.uint8).tobytes()]
    strips = [zlib.compress(strip) for strip in strips] if packed else strips
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [8 if packed else 1]),
            262: (3, [photometric]), 273: (4, [0] * len(strips)), 274: (3, [turned]), 277: (3, [channels]),
            278: (4, [height]), 279: (4, [len(strip) for strip in strips]), 284: (3, [planes])}  # fmt: skip
    tags |= {338: (3, [2])} if channels == 4 else {}
    start = 14 + 12 * len(tags)
    outside = {tag: struct.calcsize(f"<{len(values)}{WIDTHS[kind]}") for tag, (kind, values) in tags.items()}
    at = start + sum(size for size in outside.values() if size > 4)
    tags[273] = (4, [at + sum(map(len, strips[:number])) for number in range(len(strips))])
    entries, blobs = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(values)}{WIDTHS[kind]}", *values)
        entries += struct.pack(f"{order}HHI", tag, kind, len(values))
        entries += content.ljust(4, b"\0") if len(content) <= 4 else struct.pack(f"{order}I", start + len(blobs))
        blobs += content if len(content) > 4 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + b"\0\0\0\0" + blobs + b"".join(strips)


def noise(channels: int, top: int = 65535, size_hw: tuple[int, int] = (9, 8)) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, top + 1, (*size_hw, channels))


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours 0..255 on white by an opacity 0..1."""
    return colours * alpha[..., None] + 255 * (1 - alpha[..., None])


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("has_key", [False, True])
def test_grey_png_of_every_depth_with_and_without_a_transparent_level(depth: int, has_key: bool) -> None:
    top = 2**depth - 1
    samples = noise(1, top)
    samples[:, :3] = top // 3  # the transparent level, hidden under it a grey
    data = png(samples, depth, 0, key=(top // 3).to_bytes(2, "big") if has_key else b"")
    golden = samples * 255 / top
    if has_key:
        golden = np.where(samples == top // 3, 255, golden)
    found = decode_bytes(data, name="x.png")
    assert found.shape == golden.shape and np.abs(found - golden).max() <= 0.51
    assert np.abs(decode_bytes(data, name="x.png", channels=3) - golden).max() <= 0.51


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_colour_png_with_alpha_or_a_transparent_colour(depth: int, channels: int) -> None:
    top = 2**depth - 1
    samples = noise(3, top)
    samples[:, :3] = [7, 77, 177]
    key = b"".join(value.to_bytes(2, "big") for value in (7, 77, 177))
    is_key = (samples == [7, 77, 177]).all(axis=2)
    cases = [(png(samples, depth, 2), samples * 255 / top)]
    cases.append((png(samples, depth, 2, key), on_white(samples * 255 / top, 1.0 - is_key)))
    rgba, grey_alpha = noise(4, top), noise(2, top)
    cases.append((png(rgba, depth, 6), on_white(rgba[..., :3] * 255 / top, rgba[..., 3] / top)))
    grey = on_white(grey_alpha[..., :1] * 255 / top, grey_alpha[..., 1] / top)
    cases.append((png(grey_alpha, depth, 4), np.repeat(grey, 3, axis=2)))
    gamma = chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    cases.append((png(samples, depth, 2, more=gamma), samples * 255 / top))
    for data, golden in cases:
        wanted = golden @ [[0.299], [0.587], [0.114]] if channels == 1 else golden
        found = decode_bytes(data, name="x.png", channels=channels)
        assert found.shape == wanted.shape and np.abs(found - wanted).max() <= (1.6 if channels == 1 else 1.1)


@pytest.mark.parametrize("turned", [1, 6])
def test_tiff_of_sixteen_bits_in_every_layout(turned: int) -> None:
    for channels, photometric, planes, order, packed in itertools.product(
        (1, 3, 4), (0, 1, 2), (1, 2), "<>", (False, True)
    ):
        if (channels == 1) != (photometric < 2) or (channels == 1 and planes == 2):
            continue
        samples = noise(channels)
        data = tiff(samples, photometric, planes=planes, order=order, packed=packed, turned=turned)
        golden = samples / 257
        if photometric == 0:
            golden = 255 - golden
        if channels == 4:
            golden = on_white(golden[..., :3], samples[..., 3] / 65535)
        if turned == 6:
            golden = np.rot90(golden, -1)
        found = decode_bytes(data, name="x.tif")
        assert found.shape == golden.shape
        assert np.abs(found - golden).max() <= (2.2 if planes == 2 and packed else 1.0)  # only high bytes are there


def test_tiff_of_twelve_bits_uses_its_own_range() -> None:
    samples = noise(1, 4095)
    probe, found = examine(tiff(samples, 1, bits=12), name="x.tif")
    assert found is not None and np.abs(found - samples * 255 / 4095).max() <= 0.6
    assert probe.used is not None and probe.used[1] > 60_000


def test_packed_planes_are_refused_where_their_low_bytes_count() -> None:
    data = tiff(noise(3), 2, planes=2, packed=True)
    with pytest.raises(DataError, match="separate planes"):
        decode_bytes(data, name="x.tif", levels=(0, 1023))


@pytest.mark.parametrize("levels", [(0, 65535), (0, 1023), (300, 700)])
def test_levels_are_spread_and_clipped_whatever_the_file(levels: tuple[int, int]) -> None:
    low, high = levels
    grey, colour, rgba = noise(1, 1500), noise(3, 1500), noise(4, 1500)
    rgba[..., 3] *= 43

    def spread(samples: np.ndarray) -> np.ndarray:
        return np.clip((samples - low) / (high - low), 0, 1) * 255

    cases = [(png(grey, 16, 0), "x.png", spread(grey)), (png(colour, 16, 2), "x.png", spread(colour))]
    cases += [(tiff(grey, 1), "x.tif", spread(grey)), (tiff(colour, 2, order=">"), "x.tif", spread(colour))]
    cases += [(tiff(grey, 0), "x.tif", spread(65535 - grey)), (tiff(colour, 2, planes=2), "x.tif", spread(colour))]
    cases.append((png(rgba, 16, 6), "x.png", on_white(spread(rgba[..., :3]), rgba[..., 3] / 65535)))
    for data, name, golden in cases:
        found = decode_bytes(data, name=name, levels=levels)
        assert np.abs(found - golden).max() <= 1.01, name
    eight = png(grey % 256, 8, 0)
    assert np.array_equal(decode_bytes(eight, name="x.png", levels=levels)[..., 0], (grey % 256)[..., 0])


def test_every_level_by_hand() -> None:
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_eight(every, (0, 65535)), np.rint(every / 257))
    assert to_eight(np.array([9, 10, 11, 12, 13], np.uint16), (10, 12)).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    "text", ["", "fulll", "5-5", "9-3", "0-65536", "-1-9", "0", "1e3-2e3", "0-4095 ", (0, 9), [0, 9], 5]
)
def test_what_is_no_range_is_refused(text: Any) -> None:
    with pytest.raises(SettingsError, match="no range of levels"):
        parse_levels(text)


def bmp(samples: np.ndarray, header_bytes: int = 124) -> bytes:
    """A bitmap of 32 bits with masks for red, green, blue and alpha."""
    height, width = samples.shape[:2]
    head = struct.pack("<IiiHHIIiiII", header_bytes, width, height, 1, 32, 3, 0, 0, 0, 0, 0)
    head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = head.ljust(header_bytes, b"\0")
    body = samples[::-1, :, [2, 1, 0, 3]].astype(np.uint8).tobytes()
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + body


def test_a_bitmap_whose_alpha_is_nowhere_is_opaque() -> None:
    samples = noise(4, 255)
    samples[..., 3] = 0
    assert np.array_equal(decode_bytes(bmp(samples), name="x.bmp"), samples[..., :3])
    samples[0, 0, 3] = 255  # now alpha is meant
    found = decode_bytes(bmp(samples), name="x.bmp")
    assert found[0, 0].tolist() == samples[0, 0, :3].tolist() and (found[1:] == 255).all()


def test_pillows_own_files_of_sixteen_bits(tmp_path: Path) -> None:
    """What Pillow and OpenCV write comes back as it was."""
    import cv2

    grey, colour = noise(1).astype(np.uint16), noise(3).astype(np.uint16)
    Image.fromarray(grey[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(grey[..., 0]).save(tmp_path / "grey.tif", compression="tiff_lzw")
    cv2.imwrite(str(tmp_path / "colour.png"), colour[..., ::-1])
    cv2.imwrite(str(tmp_path / "colour.tif"), colour[..., ::-1])
    for name, golden in (("grey.png", grey), ("grey.tif", grey), ("colour.png", colour), ("colour.tif", colour)):
        assert np.array_equal(decode(tmp_path / name), np.rint(golden / 257)), name


def test_orientation_of_what_has_none() -> None:
    assert orientation(Image.new("L", (2, 2))) == 1
