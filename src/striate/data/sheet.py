"""The contact sheet: some images of each class in a row, as one PNG."""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

from striate.base.errors import DataError
from striate.base.own import SOFTWARE
from striate.base.seeds import rng_for
from striate.base.text import shown

from .bands import shown_bands
from .geometry import coloured
from .raster import Samples
from .sample import Dataset, ImageU8
from .sources.series_images import SeriesImages

PAPER, INK, QUIET = (255, 255, 255), (32, 32, 32), (128, 128, 128)
GAP_PX, TITLE_PX, SWATCH_PX = 4, 18, 10
MAX_ROWS = 40


def own_mark() -> PngInfo:
    """Return the text by which a PNG is known as ours."""
    mark = PngInfo()
    for key, text in SOFTWARE.items():
        mark.add_text(key, text)
    return mark


def contact_sheet(
    dataset: Dataset,
    *,
    per_row: int = 8,
    tile_px: int = 96,
    seed: int = 0,
    skip: npt.NDArray[np.intp] | Sequence[int] = (),
) -> bytes:
    """Return a PNG with up to `per_row` images of each class, drawn at random by `seed`, whole and undistorted.

    Datasets without classes give rows of any images. At most 40 rows are drawn; images that cannot be decoded
    are shown as an empty tile.

    Args:
        skip: indices to leave out, such as `findings.bad`.
    """
    rows = _rows(dataset, per_row, seed, set(np.asarray(skip, dtype=np.intp).tolist()))
    width = GAP_PX + per_row * (tile_px + GAP_PX)
    row_px = TITLE_PX + tile_px + GAP_PX
    font = ImageFont.load_default()
    legend = _legend(dataset, width, font)
    above = TITLE_PX * (max((line for line, *_ in legend), default=-1) + 1)
    sheet = Image.new("RGB", (width, above + max(1, len(rows)) * row_px + GAP_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    for line, left, name, colour in legend:
        top = GAP_PX + line * TITLE_PX
        draw.rectangle((left, top + 2, left + SWATCH_PX, top + 2 + SWATCH_PX), fill=colour)
        draw.text((left + SWATCH_PX + GAP_PX, top + 2), name, fill=INK, font=font)
    for number, (title, members) in enumerate(rows):
        top = GAP_PX + above + number * row_px
        draw.text((GAP_PX, top + 2), title, fill=INK, font=font)
        for column, index in enumerate(members):
            place = (GAP_PX + column * (tile_px + GAP_PX), top + TITLE_PX)
            sheet.paste(_tile(dataset, index, tile_px), place)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True, pnginfo=own_mark())
    return buffer.getvalue()


def _legend(dataset: Dataset, width: int, font: Any) -> list[tuple[int, int, str, tuple[int, int, int]]]:
    """The line, the left edge, the name and the colour of each class that the first target draws, as far as shown."""
    target = next(iter(dataset.targets.values()), None)
    places, line, left = [], 0, GAP_PX
    for name, colour in [] if target is None else target.legend()[:MAX_ROWS]:
        text = printable(shown(name, 30))
        wide = SWATCH_PX + 4 * GAP_PX + math.ceil(font.getlength(text))
        if left > GAP_PX and left + wide > width:
            line, left = line + 1, GAP_PX
        places.append((line, left, text, colour))
        left += wide
    return places


def _rows(dataset: Dataset, per_row: int, seed: int, skip: set[int]) -> list[tuple[str, list[int]]]:
    used = np.concatenate(list(dataset.splits.values())) if dataset.splits else np.arange(len(dataset))
    order = [int(index) for index in rng_for(seed, "sheet").permutation(np.sort(used)) if int(index) not in skip]
    target = dataset.class_target
    if target is None:
        cuts = range(0, min(len(order), 4 * per_row), per_row)
        return [
            (f"{dataset.name}: {len(order):,} images" if not cut else "", order[cut : cut + per_row]) for cut in cuts
        ]
    rows, shuffled = [], np.array(order, dtype=np.intp)
    for index, name in enumerate(target.classes[:MAX_ROWS]):
        members = target.members(index, shuffled).tolist()
        rows.append((printable(f"{shown(name, 60)}  ({len(members):,})"), members[:per_row]))
    return rows


def printable(text: str) -> str:
    """Return a text in Latin letters, all that the built-in font has: others as escapes, not as empty boxes."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1")


CURVES = ((10, 92, 132), (178, 51, 21), (27, 115, 70), (148, 96, 0), (86, 93, 102), (110, 60, 130))


def curves(samples: Samples, tile_px: int) -> Image.Image:
    """Return a series (1, L, D) as curves of its first six dimensions; the training values' range fills the tile."""
    tile = Image.new("RGB", (tile_px, tile_px), (245, 245, 245))
    draw, last = ImageDraw.Draw(tile), tile_px - 1
    across = np.linspace(0, last, samples.shape[1])
    half = samples[0].astype(np.float64) / 65535 * 2 - 0.5  # the range lies in the middle half of the levels
    for dim in reversed(range(min(samples.shape[2], len(CURVES)))):
        down = last * (1 - half[:, dim].clip(0, 1))
        draw.line(list(zip(across.tolist(), down.tolist(), strict=True)), fill=CURVES[dim])
    return tile


def _tile(dataset: Dataset, index: int, tile_px: int) -> Image.Image:
    if isinstance(dataset.images, SeriesImages):
        return curves(dataset.images.read_samples(index, None, 16), tile_px)
    try:
        pixels = _drawn(dataset, index, tile_px)
    except DataError:
        tile = Image.new("RGB", (tile_px, tile_px), PAPER)
        ImageDraw.Draw(tile).rectangle((0, 0, tile_px - 1, tile_px - 1), outline=QUIET)
        return tile
    picture = Image.fromarray(pixels)
    small = max(picture.size) < tile_px
    way = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return ImageOps.pad(picture, (tile_px, tile_px), method=way, color=(235, 235, 235))


def _drawn(dataset: Dataset, index: int, tile_px: int) -> ImageU8:
    """An image (H, W, 3) with the first target drawn on it; places need the image at its own size."""
    target = next(iter(dataset.targets.values()), None)
    pixels = dataset.images.read(index, None if target is not None and target.has_places else tile_px)
    pixels = coloured(shown_bands(pixels), 3)
    return pixels if target is None else target.draw(pixels, index)
