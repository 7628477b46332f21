"""PBM, PGM and PPM: every variant against numbers written here and against Pillow; hostile headers are refused."""

import io
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.base.errors import DataError
from striate.data.decode import decode_bytes, examine, header

RNG = np.random.default_rng(0)


def text(values: np.ndarray) -> bytes:
    return " ".join(map(str, values.ravel())).encode()


def read(data: bytes, name: str = "x.pnm", **options: object) -> np.ndarray:
    return decode_bytes(data, name=name, **options)


@pytest.mark.parametrize("top", [1, 15, 100, 255, 256, 1023, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_in_bytes_and_in_text(top: int, channels: int) -> None:
    values = RNG.integers(0, top + 1, (5, 7, channels))
    body = values.astype(">u2" if top > 255 else "u1").tobytes()
    for digit, pixels in ((5 if channels == 1 else 6, body), (2 if channels == 1 else 3, text(values))):
        for head in (b"P%d\n7 5\n%d\n", b"P%d 7 5 %d ", b"P%d# by hand\n# 7 9\n7\t5 # wide, high\n%d\n"):
            found = read(head % (digit, top) + pixels)
            assert found.shape == values.shape and np.abs(found - values * 255 / top).max() <= 0.51


def test_bitmaps_have_black_as_one() -> None:
    bits = RNG.integers(0, 2, (5, 11))
    packed = np.packbits(bits, axis=1).tobytes()
    for data in (b"P4 11 5\n" + packed, b"P1\n11 5\n" + text(bits), b"P1 11 5\n" + text(bits).replace(b" ", b"")):
        assert np.array_equal(read(data)[..., 0], 255 * (1 - bits))


def test_levels_of_sixteen_bits_are_spread() -> None:
    values = RNG.integers(0, 1024, (5, 7, 3))
    data = b"P6 7 5 65535\n" + values.astype(">u2").tobytes()
    assert np.abs(read(data, levels=(0, 1023)) - values * 255 / 1023).max() <= 0.51
    assert examine(data, name="x.ppm")[0].used == (values.min(), values.max())


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16"])
def test_what_pillow_writes(mode: str) -> None:
    deep = RNG.integers(0, 65536, (6, 10)).astype(np.uint16)
    image = Image.fromarray(deep) if mode == "I;16" else Image.fromarray((deep >> 8).astype(np.uint8)).convert(mode)
    content = io.BytesIO()
    image.save(content, "PPM")
    golden = np.rint(deep / 257) if mode == "I;16" else np.asarray(image).astype(np.uint8) * (255 if mode == "1" else 1)
    assert np.array_equal(read(content.getvalue()).squeeze(), golden.squeeze())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"P5 ", "header is not understood"),
        (b"P5 x 2 255\n", "header is not understood"),
        (b"P5 -3 2 255\n......", "header is not understood"),
        (b"P5 0 2 255\n", "a size of 0"),
        (b"P5 2 2 0\n....", "a maximum beyond"),
        (b"P5 2 2 65536\n....", "a maximum beyond"),
        (b"P5 99999999999 2 255\n", "header is not understood"),
        (b"P6 999999999 999999999 255\n", "too large"),
        (b"P1 20000 20000\n", "too large"),
        (b"P2 9000 9000 255\n1 2 3", "too large for pixels in text"),
        (b"P5 4 4 255\n" + bytes(15), "truncated"),
        (b"P5 4 4 256\n" + bytes(31), "truncated"),
        (b"P4 9 4\n" + bytes(7), "truncated"),
        (b"P1 2 2\n101", "truncated"),
        (b"P1 2 2\n1012", "no zeros and ones"),
        (b"P2 2 2 9\n1 2 3", "truncated"),
        (b"P2 2 2 9\n1 2 3 -4", "no numbers"),
        (b"P2 2 2 9\n1 2 3 99999999999999999999", "no numbers"),
        (b"P2 2 2 9\n1 2 3 10", "above its maximum 9"),
        (b"P5 2 2 9\n\1\2\3\12", "above its maximum 9"),
        (b"P7\nWIDTH 2\nHEIGHT 2\n", "format not allowed: PAM"),
        (b"P5 " + b"#" * 70_000 + b"\n2 2 255\n....", "header is not understood"),
        (b"P5 " + b" \t" * 40_000 + b"2 2 255\n....", "header is not understood"),
    ],
)
def test_hostile_headers_are_refused_at_once(data: bytes, says: str) -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError, match=says):
        read(data)
    assert time.process_time() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_it_is_read_only_where_the_name_asks_for_it() -> None:
    data = b"P5 2 2 255\n...."
    assert read(data, "x.pgm").shape == (2, 2, 1)
    for name in ("x.jpg", "x.png"):
        with pytest.raises(DataError, match=f"netpbm behind {name[1:]}"):
            read(data, name)


def test_the_header_says_what_a_file_is(tmp_path: Path) -> None:
    for data, mode, channels in ((b"P6 3 2 255\n", "RGB", 3), (b"P5 3 2 999\n", "I;16", 1), (b"P4 3 2\n", "1", 1)):
        path = tmp_path / "x.pnm"
        path.write_bytes(data)
        probe = header(path)
        assert (probe.format, probe.mode, probe.size_hw, probe.channels) == ("netpbm", mode, (2, 3), channels)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6), st.binary(max_size=60), st.integers(0, 10), st.integers(0, 255))
def test_damage_only_ever_raises_data_errors(digit: int, tail: bytes, place: int, value: int) -> None:
    data = bytearray(b"P%d 3 2 255\n" % digit + tail)
    data[place] = value
    try:
        found = read(bytes(data), "x.pnm", max_pixels=10_000)
    except DataError:
        return
    assert found.dtype == np.uint8 and found.shape[2] in {1, 3}
