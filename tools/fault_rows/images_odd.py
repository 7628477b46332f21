"""A8 to A12: images of unusual depth, mode, orientation, number of frames or size."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .bench import Bench, expect
from .pictures import SMALL, Pixels, encoded, pixels, put, write_tree
from .sheet import Row


def _read(path: Path, channels: int = 3) -> Pixels:
    from striate.data.decode import decode

    return decode(path, channels=channels)


def _findings(bench: Bench, kind: str) -> list[dict[str, object]]:
    found = json.loads(bench.works("check", "data", "--out", "sheet", "--json").out)
    return [item for item in found["findings"] if item["kind"] == kind]


def sixteen_bits(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    path = put(data / "cat" / "ramp.png", encoded(Image.fromarray(ramp)))
    error = np.abs(_read(path).astype(float) - ramp[..., None] * (255 / 65535)).max()
    expect(error <= 1, f"off by {error:.2f} levels")
    expect([item["ids"] for item in _findings(bench, "sixteen_bit")] == [["cat/ramp.png"]], "the check is silent")
    bench.works("train", data, *SMALL, "--out", "run")
    return f"off by {error:.2f} levels at most"


def modes(bench: Bench) -> None:
    data = write_tree(bench.folder / "data")
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (24, 24, 4), dtype=np.uint8)
    grey, colour, alpha = rgba[..., 0], rgba[..., :3], rgba[..., 3:].astype(float) / 255
    on_white = colour * alpha + 255 * (1 - alpha)
    palette = Image.fromarray(colour).quantize(16)
    shades = np.array(palette.getpalette()).reshape(-1, 3)[np.asarray(palette)]
    shades[np.asarray(palette) == 3] = 255
    cmyk = rgba.astype(float)
    inks = (255 - cmyk[..., :3]) * (255 - cmyk[..., 3:]) / 255
    wanted = {
        "1.png": (Image.fromarray(grey > 127), np.where(grey > 127, 255.0, 0.0)),
        "L.png": (Image.fromarray(grey), grey),
        "LA.png": (Image.fromarray(rgba[..., [0, 3]], "LA"), grey * alpha[..., 0] + 255 * (1 - alpha[..., 0])),
        "RGBA.png": (Image.fromarray(rgba), on_white),
        "P.png": (palette, shades),
        "CMYK.tif": (Image.fromarray(rgba, "CMYK"), inks),
    }
    for name, (image, golden) in wanted.items():
        options = {"transparency": 3} if name == "P.png" else {}
        kind = "TIFF" if name.endswith("tif") else "PNG"
        path = put(data / "cat" / name, encoded(image, kind, **options))
        golden = golden if golden.ndim == 3 else golden[..., None]
        error = np.abs(_read(path) - golden).max()
        expect(error <= 1, f"{name} is off by {error:.1f} levels")
    bench.works("train", data, *SMALL, "--out", "run")
    for name, kind in (("F.tif", np.float32), ("I.tif", np.int32)):
        path = put(data / "dog" / name, encoded(Image.fromarray(grey.astype(kind) * 300), "TIFF"))
        bench.refuses(3, "train", data, *SMALL, "--out", "other", names=[name, "no fixed range"])
        path.unlink()


def orientation(bench: Bench) -> str:
    data = bench.folder / "data"
    stored = {  # how a camera held like that stores the upright image
        1: lambda upright: upright,
        2: lambda upright: upright[:, ::-1],
        3: lambda upright: upright[::-1, ::-1],
        4: lambda upright: upright[::-1],
        5: lambda upright: upright.transpose(1, 0, 2),
        6: lambda upright: np.rot90(upright, 1),
        7: lambda upright: np.rot90(upright.transpose(1, 0, 2), 2),
        8: lambda upright: np.rot90(upright, -1),
    }
    for band, name in enumerate(("cat", "dog")):
        for base in range(24):
            upright, tag = pixels(f"{name}{base}", 24, band)[:20], base % 8 + 1
            exif = Image.Exif()
            exif[0x0112] = tag
            put(data / name / f"{base}.png", encoded(np.ascontiguousarray(stored[tag](upright)), exif=exif))
            put(bench.folder / "twins" / name / f"{base}.png", encoded(upright))
    for path in data.rglob("*.png"):
        twin = _read(bench.folder / "twins" / path.relative_to(data))
        expect(np.array_equal(_read(path), twin), f"{path.name} is not upright")
    bench.works("train", data, *SMALL, "--out", "run")
    files = [
        path.relative_to(bench.folder) for place in ("data", "twins") for path in (bench.folder / place).rglob("*.png")
    ]
    found = json.loads(bench.works("predict", "run", *files, "--json").out)["predictions"]
    first_of: dict[str, object] = {}
    for one in found:
        same = first_of.setdefault(one["id"].partition("/")[2], one["probabilities"])
        expect(one["probabilities"] == same, f"{one['id']} is predicted unlike its twin")
    with (bench.folder / "run" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        given = first_of[row["id"]]["cat"]  # type: ignore[index]
        expect(abs(float(row["p:cat"]) - given) < 2e-6, f"{row['id']} differs between training and prediction")
    return f"{len(stored)} orientations, {len(found)} predicted and {len(rows)} evaluated alike"


def frames(bench: Bench) -> None:
    data = write_tree(bench.folder / "data")
    pages = [Image.fromarray(pixels(f"page{index}")) for index in range(3)]
    gif = put(data / "cat" / "film.gif", encoded(pages[0], "GIF", save_all=True, append_images=pages[1:]))
    tiff = put(data / "dog" / "pages.tif", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    expect(np.array_equal(_read(tiff), np.asarray(pages[0])), "not the first page")
    expect(np.array_equal(_read(gif), np.asarray(Image.open(gif).convert("RGB"))), "not the first frame")
    found = _findings(bench, "frames")
    expect(len(found) == 1 and "2 images" in str(found[0]["text"]), f"the check says {found}")
    outcome = bench.works("train", data, *[word for word in SMALL if word != "-q"], "--out", "run")
    said = [line for line in outcome.err.split("\n") if "several frames" in line]
    expect(len(said) == 1 and said[0].startswith("warning: 2 images"), f"training says {said}")


def too_small(bench: Bench) -> str:
    for index in range(14):
        for name in ("cat", "dog"):
            wide = np.repeat(pixels(f"{name}{index}", 3), 67, axis=1)[:, :200]
            put(bench.folder / "wide" / name / f"{index}.png", encoded(wide))
    deep = ("--model", "lenet5", "--set", "train.epochs=1", "-q")
    outcome = bench.refuses(3, "train", "wide", *deep, "--out", "run", names=["wide", "3 px", "lenet5", "at least"])
    least = int(outcome.last.partition("at least ")[2].split("x")[0])
    bench.works("train", "wide", *deep, "--out", "run", "--size", least)
    bench.refuses(2, "train", "wide", *deep, "--out", "no", "--size", least - 1, names=["lenet5", f"{least}x{least}"])
    dot = write_tree(bench.folder / "dots", size_px=1)
    bench.refuses(3, "train", dot, *deep, "--out", "no", names=["dots", "1 px", f"{least}x{least}"])
    data = write_tree(bench.folder / "data")
    put(data / "cat" / "dot.png", encoded(pixels("dot", 1)))
    expect([item["ids"] for item in _findings(bench, "tiny")] == [["cat/dot.png"]], "the check is silent on a 1x1")
    return f"lenet5 needs {least} px"


ROWS = (
    Row("A8", "16-bit grey PNG", sixteen_bits),
    Row("A9", "modes 1, L, LA, P, RGBA, CMYK, I, F", modes),
    Row("A10", "EXIF orientation 1 to 8, training and prediction", orientation),
    Row("A11", "animated GIF, TIFF of several pages", frames),
    Row("A12", "images smaller than the network allows", too_small),
)
