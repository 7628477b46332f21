"""Damaged files are refused or warned of; good ones never are. The damage is done here, the golden pixels are known."""

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo
from PIL import Image, ImageDraw

from striate.data import open_dataset
from striate.data.check.check import check, prescan
from striate.data.decode import Probe, decode_bytes, decode_heard, examine
from striate.data.jpeg_stream import parse

END = b"\xff\xd9"
KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restart": {"restart_marker_rows": 1},
    "optimised": {"optimize": True},
    "grey": {"mode": "L"},
    "444": {"subsampling": 0},
    "turned": {"exif": 6},
    "cmyk": {"mode": "CMYK"},
}


def jpeg(kind: str, seed: int = 0, size_hw: tuple[int, int] = (160, 208)) -> bytes:
    options: dict[str, object] = dict(KINDS[kind])
    image = photo(seed, size_hw).convert(str(options.pop("mode", "RGB")))
    if "exif" in options:
        tags = Image.Exif()
        tags[0x0112] = options["exif"]
        options["exif"] = tags
    return encoded(image, "JPEG", **options)


def look(data: bytes, name: str = "x.jpg", short_side_px: int | None = None) -> Probe:
    return examine(data, name=name, short_side_px=short_side_px)[0]


def body(data: bytes) -> int:
    """Where the pixels of a JPEG begin."""
    stream = parse(data)
    assert stream is not None
    return len(data) - len(stream.scans) + 16


@pytest.mark.parametrize("short_side_px", [None, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_is_cut_and_ended_is_refused(kind: str, short_side_px: int | None) -> None:
    for seed in range(5):
        data = jpeg(kind, seed)
        for share in (0.1, 0.3, 0.6, 0.8):
            cut = data[: body(data) + int(share * (len(data) - body(data)))] + END
            probe = look(cut, short_side_px=short_side_px)
            assert probe.problem.startswith("damaged: ") and not probe.complaint
            assert "rows are missing" in probe.problem or kind == "progressive"


def test_the_share_of_missing_rows_is_right() -> None:
    """libjpeg fills with mid-grey what it has no data for: counted here in Pillow's own pixels."""
    for seed in range(6):
        data = jpeg("baseline", seed)
        cut = data[: body(data) + (len(data) - body(data)) // 2] + END
        grey = (np.asarray(Image.open(io.BytesIO(cut))) == 128).all(axis=(1, 2)).mean()
        said = int(look(cut).problem.split()[1])
        assert grey > 0.2 and abs(said - 100 * grey) <= 6  # rows of blocks of 8 pixels


@pytest.mark.parametrize("kind", ["baseline", "restart", "progressive", "turned", "cmyk"])
def test_zeros_inside_a_jpeg_are_never_unsaid(kind: str) -> None:
    for seed in range(12):
        data, rng = jpeg(kind, seed), np.random.default_rng(seed)
        for length in (24, 100, 512):
            at = int(rng.integers(body(data), len(data) - length - 2))
            probe = look(data[:at] + bytes(length) + data[at + length :])
            assert probe.problem or probe.complaint


def test_a_progressive_jpeg_without_its_last_scans_is_named() -> None:
    """The decoder has no complaint about it: every scan that is there is whole."""
    data = jpeg("progressive")
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    for at in scans[1:]:
        probe = look(data[: data.rindex(b"\xff\xc4", 0, at)] + END)
        assert probe.complaint == "a scan is missing" or probe.problem
    assert not look(data).complaint


def test_what_surrounds_the_pixels_is_no_complaint() -> None:
    """Metadata that are broken, bytes between segments, zeros before the end marker, an image behind the first."""
    for kind in ("baseline", "grey", "turned"):
        data = jpeg(kind)
        bad_profile = b"\xff\xe2" + (2 + 14).to_bytes(2, "big") + b"ICC_PROFILE\0\x03\x01"
        for odd in (
            data[:2] + bad_profile + data[2:],
            data[:-2] + bytes(64) + END,
            data[:-2] + b"\xff" * 9 + END,
            data + data,
            data + b"appended",
            data[: body(data) - 18] + b"stray bytes" + data[body(data) - 18 :] if kind == "baseline" else data,
        ):
            pixels, complaint = decode_heard(odd, name="x.jpg")
            assert complaint == "" and np.array_equal(pixels, decode_bytes(data, name="x.jpg"))


def test_damage_is_heard_behind_a_complaint_about_metadata() -> None:
    data = jpeg("baseline")
    bad_profile = b"\xff\xe2" + (2 + 14).to_bytes(2, "big") + b"ICC_PROFILE\0\x03\x01"
    assert "rows are missing" in look(data[:2] + bad_profile + data[2 : len(data) // 2] + END).problem


def test_flat_and_drawn_pictures_are_not_blamed_for_their_zeros() -> None:
    """In a flat image long rows of zero bits are the code of empty blocks."""
    canvas = Image.new("RGB", (320, 240), "white")
    ImageDraw.Draw(canvas).ellipse((30, 30, 200, 200), fill="black", outline="red")
    flats = [Image.new(mode, (320, 240), colour) for mode, colour in (("L", 0), ("L", 128), ("RGB", (9, 99, 199)))]
    for image in (*flats, canvas, canvas.convert("L"), canvas.convert("CMYK"), Image.new("RGB", (320, 240))):
        for quality in (5, 50, 95):
            for options in ({}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}):
                probe = look(encoded(image, "JPEG", quality=quality, **options))
                assert not probe.problem and not probe.complaint


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_wrong_pixels_behind_deflate_are_refused(place: str) -> None:
    """libtiff stops when it has pixels enough, and never comes to the checksum."""
    for seed in range(4):
        data = encoded(photo(seed, (160, 208)), "TIFF", compression="tiff_adobe_deflate")
        at = {"start": len(data) // 4, "middle": len(data) // 2, "end": len(data) - 700}[place]
        probe = look(data[:at] + bytes(256) + data[at + 256 :], "x.tif")
        assert "checksum" in probe.problem
        assert not look(data, "x.tif").problem


def test_a_deflate_bomb_in_a_tiff_is_refused_in_small_memory() -> None:
    packed = zlib.compress(bytes(300_000_000), 9)
    data = encoded(Image.new("L", (16, 16)), "TIFF", compression="tiff_adobe_deflate")
    opened = Image.open(io.BytesIO(data))
    length = opened.tag_v2[279][0]  # type: ignore[attr-defined]
    place = opened.tag_v2[273][0]  # type: ignore[attr-defined]
    swapped = data.replace(place.to_bytes(4, "little"), len(data).to_bytes(4, "little"))
    bomb = swapped.replace(length.to_bytes(4, "little"), len(packed).to_bytes(4, "little")) + packed
    assert look(bomb, "x.tif").problem


def test_check_training_and_prediction_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from striate.cli.app import run as main

    for name in ("cat", "dog"):
        for seed in range(12):
            path = tmp_path / "data" / name / f"{seed}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg("baseline", seed + 50 * (name == "dog"), (48, 48)))
    data = jpeg("baseline", 99, (48, 64))
    doubtful = data[:-2] + b"\x12\x34\x56\x78" * 9 + END
    (tmp_path / "data" / "cat" / "odd.jpg").write_bytes(doubtful)
    dataset = open_dataset(tmp_path / "data")
    for findings in (prescan(dataset), check(dataset)):
        (found,) = findings.of("damaged")
        assert found.ids == ("cat/odd.jpg",) and found.severity == "warning" and "extraneous bytes" in found.text
        assert not len(findings.bad)
    run, small = tmp_path / "run", ["--size", "16", "--set", "train.epochs=1", "--set", "model.depth=1"]
    assert main(["train", str(tmp_path / "data"), "--out", str(run), *small, "--set", "model.width=4"]) == 0
    assert "cat/odd.jpg (33 extraneous bytes" in capsys.readouterr().err
    assert main(["predict", str(run), str(tmp_path / "data" / "cat" / "odd.jpg"), "--json"]) == 0
    said = capsys.readouterr()
    assert "warning: may be damaged" in said.err and json.loads(said.out)["doubtful"][0]["id"].endswith("odd.jpg")
    assert main(["evaluate", str(run), str(tmp_path / "data"), "--split", "all"]) == 0
    assert "cat/odd.jpg (33 extraneous bytes" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="may be damaged"):
        from striate.predict import Predictor

        Predictor.load(run)([tmp_path / "data" / "cat" / "odd.jpg"])


def test_no_real_image_is_blamed(real_data: Path) -> None:
    """What is known to be damaged apart, no file of the real sets has a complaint (all: `tools/damage.py --good`)."""
    known = {"bitflips_1.jpg", "bitflips_2.jpg", "bitflips_5.jpg"}
    names = [*sorted((real_data / "bad_images").rglob("*.jp*g")), *sorted(real_data.glob("*/**/*.jpg"))[::40]]
    assert len(names) > 100
    for path in names:
        complaint = look(path.read_bytes(), path.name, 64).complaint
        assert bool(complaint) == (path.name in known), (path, complaint)
