"""Small generated images and datasets, the same for the same arguments."""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
SMALL = ("--set", "train.epochs=1", "--set", "model.width=4", "--set", "model.depth=1", "-q")
"""Options of the smallest training: one epoch of a network with a few hundred parameters."""


def pixels(name: str, size_px: int = 24, band: int = 0, num_bands: int = 2, channels: int = 3) -> Pixels:
    """Return patches and noise (S, S, C) that are a function of `name`, with a bright band that tells the class."""
    rng = np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogatepass")))
    place = np.arange(size_px) * 6 // size_px
    patches = rng.integers(0, 130, (6, 6, channels), dtype=np.uint8)[place][:, place]
    found = patches + rng.integers(0, 25, (size_px, size_px, channels), dtype=np.uint8)
    rows = slice(band * size_px // num_bands, (band + 1) * size_px // num_bands)
    found[rows] += 100
    return found


def photo(name: str, size_hw: tuple[int, int] = (64, 96)) -> Image.Image:
    """Return coloured noise with the 1/f spectrum of natural images, a function of `name`."""
    rng, (height, width) = np.random.default_rng(zlib.crc32(name.encode())), size_hw
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    radius[0, 0] = 1
    spectra = (rng.standard_normal((3, height, width)) + 1j * rng.standard_normal((3, height, width))) / radius
    shared = np.fft.ifft2(spectra.mean(axis=0)).real
    planes = np.stack([shared + 0.4 * np.fft.ifft2(spectrum).real for spectrum in spectra], axis=-1)
    planes = (planes - planes.mean()) / planes.std()
    return Image.fromarray(np.clip(128 + 50 * planes, 0, 255).astype(np.uint8))


def encoded(picture: Pixels | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return the bytes of an image file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture.squeeze())
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def put(path: Path, content: bytes | str) -> Path:
    """Write a file and the folders above it; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
    return path


def write_tree(
    root: Path, classes: Sequence[str] = ("cat", "dog"), num: int = 14, size_px: int = 24, prefix: str = ""
) -> Path:
    """Write `num` PNGs a class below `root` as `class/NN.png`, and return the root."""
    for band, name in enumerate(classes):
        for index in range(num):
            picture = pixels(f"{prefix}{name}{index}", size_px, band, len(classes))
            put(root / name / f"{index:02d}.png", encoded(picture))
    return root


def write_split(root: Path, classes: Mapping[str, Sequence[str]], num: int = 8) -> Path:
    """Write a tree that comes split: `classes` maps a split to its class folders."""
    for split, names in classes.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        write_tree(root / split, names, num, prefix=split)
    return root


def write_table(path: Path, rows: Sequence[Sequence[str]], header: str = "path,label", delimiter: str = ",") -> Path:
    """Write a table and, below its folder, an image for every row; return the table's path."""
    for row in rows:
        name = row[0].strip('"')
        if not (path.parent / name).exists():
            put(path.parent / name, encoded(pixels(name)))
    return put(path, "\n".join([header.replace(",", delimiter), *(delimiter.join(row) for row in rows)]) + "\n")
