"""`toy:digits`: turned digits, drawn with the fonts that matplotlib ships, or handwritten ones of a copy of MNIST.

Everything is a function of the options in the name: `toy:digits?n=5000&angle=45&size=28&seed=0&noise=0.05`. Each digit
is turned by an angle drawn evenly from -angle to angle, anticlockwise as one sees it; `angle=0` leaves them upright.
With a folder of MNIST's IDX files beside the name (`--root mnist`) its digits are turned instead: those of the training
files for train and val, those of the test files for test. Handwriting leans by itself, so that the angle of such a
digit is known only as well as its writer wrote upright.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.seeds import rng_for

from ..sample import Dataset, ImageU8
from ..target import Angle, Label, Target
from . import idx
from .images import ArrayImages

OPTIONS: dict[str, tuple[float, float, float]] = {  # default, lowest, highest
    "n": (2000, 10, 60_000),
    "size": (28, 16, 512),
    "seed": (0, 0, 2**31),
    "noise": (0.05, 0, 0.5),
    "angle": (45, 0, 180),
}
FONTS = (  # upright ones, bold ones too; slanted fonts would blur what angle a digit has
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold",
    "STIXGeneral", "STIXGeneralBol", "cmr10", "cmb10", "cmss10", "cmtt10",
)  # fmt: skip
DIGITS = tuple("0123456789")
GLYPH_PX, HEIGHT = 112, 0.68  # of a drawn glyph before it is turned; the digit's share of it
SCALES, MAX_SHIFT = (0.85, 1.1), 0.06  # of a drawn digit, as shares of the image
TEST_SHARE = 0.15


def make(name: str, options: Mapping[str, float], root: Path | None) -> Dataset:
    """Return the dataset; targets: "angle" (degrees, unless `angle=0`) and "label" (the digit).

    Args:
        name: as it was typed.
        options: a value for each of `OPTIONS`.
        root: a folder with MNIST's files, whose digits are turned; without it they are drawn.

    Raises:
        DataError: the folder does not hold them, or too few.
    """
    n, size, seed = int(options["n"]), int(options["size"]), int(options["seed"])
    rng = rng_for(seed, "digits", n)
    angles = rng.uniform(-options["angle"], options["angle"], n)
    upright, labels, num_test = _handwritten(root, n, rng) if root else _drawn(n, rng)
    pixels = np.stack([_turned(*one, size) for one in zip(upright, angles, strict=True)]).astype(np.float32)
    if not root:
        pixels += 255 * np.float32(options["noise"]) * rng.standard_normal(pixels.shape, dtype=np.float32)
    images = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
    targets: dict[str, Target] = {"label": Label(labels.astype(np.int64), DIGITS)}
    if options["angle"]:
        targets = {"angle": Angle((angles % 360)[:, None].astype(np.float32), ("angle",)), **targets}
    first = np.arange(n - num_test, dtype=np.intp)
    return Dataset(
        name="digits",
        where=name,
        images=ArrayImages(images[..., None]),
        ids=tuple(f"{index:06d}" for index in range(n)),
        targets=targets,
        splits={"train": first, "test": np.arange(n - num_test, n, dtype=np.intp)} if num_test else {},
        channels=1,
        notes=(f"digits of {root.name}, turned" if root else "drawn, not written by hand: a test bench",),
    )


def _handwritten(root: Path, n: int, rng: np.random.Generator) -> tuple[ImageU8, npt.NDArray[np.int64], int]:
    """Digits of MNIST (N, 28, 28), those for test last, their classes and how many are for test."""
    known = idx.read(root, str(root))
    labels = known.target("label")
    assert isinstance(labels, Label)
    num_test = round(TEST_SHARE * n)
    rows = []
    for split, count in (("train", n - num_test), ("test", num_test)):
        members = known.splits.get(split, np.empty(0, np.intp))
        if len(members) < count:
            what = f"{len(members):,} digits in the {split} files, {count:,} are wanted"
            raise DataError(what, where=root, fix="ask for fewer with n=, or name a whole copy of MNIST")
        rows.append(rng.choice(members, count, replace=False))
    chosen = np.concatenate(rows)
    pixels = np.stack([known.images.read(int(index))[..., 0] for index in chosen])
    return pixels, labels.values[chosen], num_test


def _drawn(n: int, rng: np.random.Generator) -> tuple[ImageU8, npt.NDArray[np.int64], int]:
    """Digits (N, GLYPH_PX, GLYPH_PX) in the fonts, larger or smaller and off the middle by a little."""
    glyphs = np.stack([[_glyph(font, digit) for digit in DIGITS] for font in FONTS])
    fonts, labels = rng.integers(0, len(FONTS), n), rng.integers(0, len(DIGITS), n)
    scales = rng.uniform(*SCALES, n)
    shifts = GLYPH_PX * rng.uniform(-MAX_SHIFT, MAX_SHIFT, (n, 2))
    return np.stack([_moved(*one) for one in zip(glyphs[fonts, labels], scales, shifts, strict=True)]), labels, 0


def _glyph(font: str, digit: str) -> ImageU8:
    """A white digit in the middle of a black square."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    path = Path(get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    probe = ImageFont.truetype(path, GLYPH_PX).getbbox(digit)
    scaled = ImageFont.truetype(path, GLYPH_PX * HEIGHT * GLYPH_PX / (probe[3] - probe[1]))
    image = Image.new("L", (GLYPH_PX, GLYPH_PX))
    ImageDraw.Draw(image).text((GLYPH_PX / 2, GLYPH_PX / 2), digit, fill=255, font=scaled, anchor="mm")
    glyph = np.asarray(image)
    ends = [(axis.min() + axis.max() + 1) // 2 for axis in np.nonzero(glyph)]  # a font's middle is not the ink's
    return np.roll(glyph, [GLYPH_PX // 2 - end for end in ends], (0, 1))


def _moved(glyph: ImageU8, scale: float, shift: npt.NDArray[np.float64]) -> ImageU8:
    import cv2

    middle = (GLYPH_PX - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), 0, scale)
    matrix = matrix + np.array([[0, 0, shift[0]], [0, 0, shift[1]]])
    return np.asarray(cv2.warpAffine(glyph, matrix, (GLYPH_PX, GLYPH_PX)), dtype=np.uint8)


def _turned(upright: ImageU8, angle_deg: float, size: int) -> ImageU8:
    """A digit (S, S) turned about the middle of its square, anticlockwise as seen, at the wanted size."""
    import cv2

    side = len(upright)
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), angle_deg, 1.0)
    turned = cv2.warpAffine(upright, matrix, (side, side), flags=cv2.INTER_CUBIC)
    way = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return np.asarray(turned if size == side else cv2.resize(turned, (size, size), interpolation=way), dtype=np.uint8)
