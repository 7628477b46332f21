import os
import re
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import encoded, photo, pixels
from PIL import Image

from striate.base.errors import DataError
from striate.data import decode as door
from striate.data.decode import decode, decode_bytes, examine, header, sniff


def read(data: bytes, name: str = "x.png", **options: object) -> np.ndarray:
    return decode_bytes(data, name=name, **options)


def refusal(data: bytes, name: str = "x.png") -> str:
    with pytest.raises(DataError) as caught:
        read(data, name)
    assert caught.value.where == name and caught.value.fix
    return caught.value.what


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha.astype(np.float64)[..., None] / 255
    return np.rint(colour * share + 255 * (1 - share))


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, colour, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_rgb_and_grey_come_out_as_they_went_in() -> None:
    picture = photo(1)
    assert np.array_equal(read(encoded(picture, "PNG")), pixels(picture))
    grey = picture.convert("L")
    assert np.array_equal(read(encoded(grey, "PNG"))[..., 0], pixels(grey))
    assert np.array_equal(read(encoded(grey, "PNG"), channels=3), np.repeat(pixels(grey)[..., None], 3, axis=2))


def test_grey_of_colour_is_the_luma_of_itu_r_601() -> None:
    picture = photo(2)
    luma = pixels(picture).astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(read(encoded(picture, "PNG"), channels=1)[..., 0] - luma).max() <= 1


def test_one_bit_is_black_and_white() -> None:
    bits = np.random.default_rng(0).random((20, 30)) > 0.5
    assert np.array_equal(read(encoded(Image.fromarray(bits), "PNG"))[..., 0], bits * 255)


def test_transparency_lies_on_white() -> None:
    colour = pixels(photo(3))
    alpha = np.linspace(0, 255, colour.shape[1]).astype(np.uint8)[None, :].repeat(colour.shape[0], axis=0)
    rgba = Image.fromarray(np.dstack([colour, alpha]))
    assert np.abs(read(encoded(rgba, "PNG")) - on_white(colour, alpha)).max() <= 1
    assert np.abs(read(encoded(rgba, "WEBP", lossless=True, exact=True), "x.webp") - on_white(colour, alpha)).max() <= 1
    grey_alpha = Image.fromarray(np.dstack([colour[..., 0], alpha]))
    found = read(encoded(grey_alpha, "PNG"))
    assert found.shape[2] == 1 and np.abs(found - on_white(colour[..., :1], alpha)).max() <= 1


def test_transparent_palette_entry_becomes_white() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    found = read(encoded(picture, "PNG", transparency=0))
    assert found[0, 1].tolist() == [200, 100, 50] and found[0, 0].tolist() == [255, 255, 255]


def test_cmyk_becomes_rgb() -> None:
    inks = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    picture = Image.frombytes("CMYK", (8, 8), inks.tobytes())
    wanted = (255 - inks[..., :3].astype(np.float64)) * (255 - inks[..., 3:]) / 255
    assert np.abs(read(encoded(picture, "TIFF"), "x.tif") - wanted).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_never_clipped(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256 * 256).astype(np.uint16).reshape(256, 256)
    found = read(encoded(Image.fromarray(ramp), kind), f"x.{kind.lower()}")[..., 0]
    assert np.abs(found - ramp / 257).max() <= 0.51
    assert found.min() == 0 and found.max() == 255


def test_16_bit_colour_keeps_its_range() -> None:
    values = np.linspace(0, 65535, 3 * 64).astype(">u2").reshape(1, 64, 3)
    found = read(png(64, 1, 16, 2, b"\0" + values.tobytes()))
    assert found.shape == (1, 64, 3) and np.abs(found - values / 257).max() <= 1


@pytest.mark.parametrize(("mode", "word"), [("I", "32-bit integer"), ("F", "floating-point")])
def test_pictures_without_a_fixed_range_are_refused(mode: str, word: str) -> None:
    assert word in refusal(encoded(Image.new(mode, (4, 4), 3), "TIFF"), "x.tif")


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],  # stored so that a quarter turn to the right makes it upright
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_all_exif_orientations_give_one_picture(kind: str, tag: int) -> None:
    whole = pixels(photo(4, (40, 64)))
    exif = Image.Exif()
    exif[0x0112] = tag
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}[kind]
    stored = Image.fromarray(np.ascontiguousarray(UPRIGHT[tag](whole)))
    found = read(encoded(stored, kind, exif=exif, **options), f"x.{kind.lower()}")
    assert found.shape == whole.shape
    assert np.abs(found.astype(int) - whole).mean() <= (1.5 if kind == "JPEG" else 0)


def test_a_broken_orientation_tag_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert read(encoded(photo(5, (10, 20)), exif=exif), "x.jpg").shape == (10, 20, 3)


@pytest.mark.parametrize(("kind", "least"), [("JPEG", 1), ("PNG", 1), ("WEBP", 1), ("TIFF", 1), ("GIF", 3), ("BMP", 4)])
@pytest.mark.parametrize("short_side_px", [None, 16])
def test_a_file_cut_anywhere_is_refused(kind: str, least: int, short_side_px: int | None) -> None:
    """GIF ends in two and BMP in up to three bytes that hold no pixel."""
    data = encoded(photo(6, (45, 67)), kind)
    name = f"x.{kind.lower()}"
    for cut in {least, least + 1, len(data) // 100, len(data) // 10, len(data) // 2, len(data) - 600}:
        assert cut < 1 or examine(data[:-cut], name=name, short_side_px=short_side_px)[0].problem


def test_every_flipped_byte_of_png_pixels_is_noticed() -> None:
    data = encoded(photo(7, (20, 20)), "PNG")
    start = data.index(b"IDAT") + 4
    for at in range(start, len(data) - 16, 7):
        assert "checksum" in refusal(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]) or at < start


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html><head>404 not found", "an HTML page"),
        (b"  <!DOCTYPE html>", "an HTML page"),
        (b'{"error": 1}', "JSON"),
        (b"hello, this is text", "not an image"),
        (b"8BPS\x00\x01 a Photoshop file", "format not allowed: PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "format not allowed: EPS"),
        (b"SIMPLE  =                    T", "format not allowed: FITS"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\x00\x00\x00\x20ftypavif....", "AVIF"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    assert words in refusal(data)


def test_a_tiff_behind_another_name_never_reaches_its_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(8), "TIFF")
    assert read(data, "x.tif").shape == (96, 128, 3)
    monkeypatch.setitem(door._READERS, "TIFF", lambda file: pytest.fail("the parser was entered"))
    assert refusal(data, "x.png") == "format not allowed: TIFF behind .png"


def test_other_formats_are_read_whatever_their_name_says() -> None:
    picture = photo(9, (20, 30))
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        assert read(encoded(picture, kind), "x.bmp").shape == (20, 30, 3)


def test_a_decompression_bomb_is_refused_at_once() -> None:
    import resource

    bomb = png(20_000, 20_000, 8, 2, b"\0" * 60)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert "20,000 x 20,000" in refusal(bomb)
    assert time.monotonic() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.slow
def test_a_large_legal_picture_is_read() -> None:
    picture = Image.new("1", (12_000, 7_000))
    picture.putpixel((11_999, 6_999), 1)
    found = read(encoded(picture, "PNG"))
    assert found.shape == (7_000, 12_000, 1) and found[-1, -1] == 255


def test_the_pixel_limit_can_be_set() -> None:
    with pytest.raises(DataError, match="at most 100 pixels"):
        read(encoded(photo(1, (11, 10)), "PNG"), max_pixels=100)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_frames_is_used(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    probe, found = examine(data, name=f"x.{kind.lower()}")
    assert probe.frames == 3 and found is not None and found[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size_hw", [(500, 375), (129, 1000), (64, 64), (63, 100)])
def test_a_jpeg_is_never_smaller_than_asked_for(size_hw: tuple[int, int]) -> None:
    data = encoded(photo(10, size_hw))
    found = read(data, "x.jpg", short_side_px=32)
    assert 32 <= min(found.shape[:2]) < min(size_hw) or min(size_hw) < 64
    whole = Image.fromarray(read(data, "x.jpg")).resize(found.shape[1::-1], Image.Resampling.BOX)
    assert np.corrcoef(found.ravel(), pixels(whole).ravel())[0, 1] > 0.95


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        decode(tmp_path / "no.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        decode(tmp_path / "folder.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would wait for ever
    with pytest.raises(DataError, match="not a regular file"):
        decode(tmp_path / "pipe.jpg")


def test_the_header_says_what_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(encoded(photo(1, (30, 50)).convert("L")))
    assert (header(path).format, header(path).size_hw, header(path).channels) == ("JPEG", (30, 50), 1)
    assert header(tmp_path / "no.jpg").problem


def test_content_decides_the_format() -> None:
    for kind, name in (
        ("JPEG", "JPEG"),
        ("PNG", "PNG"),
        ("WEBP", "WebP"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF"),
    ):
        assert sniff(encoded(photo(1), kind)) == name
        assert examine(encoded(photo(1), kind), name="x.tif")[0].format == name


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]), st.data())
def test_damaged_files_only_ever_raise_data_errors(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(photo(11, (16, 16)), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(whole), "x.tif", max_pixels=1_000_000)
    except DataError:
        return
    assert found.dtype == np.uint8 and found.shape[2] in {1, 3}


def test_real_bad_files(real_data: Path) -> None:
    """Every file that Pillow cannot load is refused; what it loads is read, or refused for a reason of ours."""
    import csv

    ours = ("format not allowed", "not an image", "no fixed range", "too large", "checksum", "without a sign")
    with (real_data / "bad_images" / "index.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            path = real_data / "bad_images" / row["file"]
            if ".zip!" in row["file"]:
                continue
            probe, found = examine(door.read_bytes(path), name=path.name)
            if row["pillow"] not in {"ok", "warning"}:
                assert probe.problem, path
            elif probe.problem:
                assert any(reason in probe.problem for reason in ours), (path, probe.problem)
            assert (found is None) == bool(probe.problem)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_picture_is_taken_over_strip_by_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (37, 23, channels), np.uint8)
    path = tmp_path / "large.png"
    Image.fromarray(levels if channels == 3 else levels[..., 0]).save(path)
    for strip in (1, 23 * 5, 23 * 36, 23 * 37):
        monkeypatch.setattr(door, "STRIP_PIXELS", strip)
        assert np.array_equal(decode(path, channels=channels), levels)


@pytest.mark.parametrize("step", ["flawless", "_convert"])
def test_what_a_decoder_should_not_raise_names_the_file_and_memory_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(path)
    for problem in (RuntimeError("planted"), MemoryError()):
        monkeypatch.setattr(door, step, lambda *rest, one=problem: (_ for _ in ()).throw(one))
        with pytest.raises(MemoryError if isinstance(problem, MemoryError) else DataError) as caught:
            decode(path)
        if isinstance(caught.value, DataError):
            assert "one.png" in str(caught.value) and "planted" not in str(caught.value)
        else:
            with pytest.raises(MemoryError):
                examine(path.read_bytes(), name=path.name)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG"])
def test_a_file_cut_off_anywhere_is_refused_in_words_of_our_own(kind: str) -> None:
    data = encoded(photo(1, (16, 12)), kind)
    pillow = re.compile(r"unpack|buffer|chunk b'|driver|object|NoneType|index out of|decoder error|stream")
    said = [refusal(data[:length]) for length in range(1, min(len(data) // 2, 60))]
    assert all(said) and not [text for text in said if pillow.search(text)]
