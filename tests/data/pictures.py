"""Images for the tests of this folder: drawn or filtered noise, written where a test wants them."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image


def photo(seed: int, size_hw: tuple[int, int] = (96, 128)) -> Image.Image:
    """Return coloured noise with the 1/f spectrum of natural images, different for every seed."""
    rng = np.random.default_rng(seed)
    height, width = size_hw
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    radius[0, 0] = 1
    spectra = (rng.standard_normal((3, height, width)) + 1j * rng.standard_normal((3, height, width))) / radius
    shared = np.fft.ifft2(spectra.mean(axis=0)).real
    planes = np.stack([shared + 0.4 * np.fft.ifft2(spectrum).real for spectrum in spectra], axis=-1)
    planes = (planes - planes.mean()) / planes.std()
    return Image.fromarray(np.clip(128 + 50 * planes, 0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def write(path: Path, seed: int = 0, **options: object) -> Path:
    """Write a small photo of its own to `path`, in the format of its extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".bmp": "BMP", ".tif": "TIFF"}
    path.write_bytes(encoded(photo(seed, (24, 32)), kind.get(path.suffix.lower(), "JPEG"), **options))
    return path


def tree(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """Write so many images into each named folder below `root`."""
    for number, (folder, count) in enumerate(counts.items()):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            write(root / folder / f"{index}.jpg", first_seed + 1000 * number + index)
    return root


def pixels(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Return an image as an array."""
    return np.asarray(picture)
