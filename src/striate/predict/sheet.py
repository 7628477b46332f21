"""Contact sheets of predictions: small images in rows, each with its name and what was said of it."""

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from striate.base.files import write_bytes
from striate.base.text import shown
from striate.data.bands import shown_bands
from striate.data.decode import decode
from striate.data.geometry import coloured
from striate.data.levels import FULL, Levels
from striate.data.sheet import GAP_PX, INK, PAPER, own_mark, printable

COLUMNS, ROWS = 8, 25
TILE_PX, LINE_PX = 112, 13
STEP_X, STEP_Y = TILE_PX + GAP_PX, TILE_PX + 2 * LINE_PX + 2 * GAP_PX
BESIDE = (235, 235, 235)


class Sheets:
    """Collects images as tiles and writes them as `contact-sheet.png`, `contact-sheet-2.png` and so on into a folder.

    Args:
        levels: of images with 16 bits, as the predictor has them.
    """

    def __init__(self, folder: Path, levels: Levels = FULL) -> None:
        self.folder, self.levels = folder, levels
        self.files: list[Path] = []
        self._tiles: list[tuple[Image.Image, str, str]] = []

    def add(self, path: Path, name: str, answer: str) -> None:
        """Add the image in a file under its name and the answer.

        Raises:
            DataError: it cannot be read.
            ResourceError: the folder cannot be written.
        """
        pixels = coloured(shown_bands(decode(path, short_side_px=TILE_PX, levels=self.levels)), 3)
        self._tiles.append((_tile(Image.fromarray(pixels)), name, answer))
        if len(self._tiles) == COLUMNS * ROWS:
            self.close()

    def close(self) -> list[Path]:
        """Write the sheet that was begun, and return the files of all of them."""
        if self._tiles:
            number = len(self.files) + 1
            file = self.folder / f"contact-sheet{f'-{number}' if number > 1 else ''}.png"
            write_bytes(file, _sheet(self._tiles))
            self.files.append(file)
            self._tiles = []
        return self.files


def _tile(image: Image.Image) -> Image.Image:
    way = Image.Resampling.NEAREST if max(image.size) < TILE_PX else Image.Resampling.LANCZOS
    return ImageOps.pad(image, (TILE_PX, TILE_PX), method=way, color=BESIDE)


def _sheet(tiles: list[tuple[Image.Image, str, str]]) -> bytes:
    columns = min(COLUMNS, len(tiles))
    size = (GAP_PX + columns * STEP_X, GAP_PX + -(-len(tiles) // columns) * STEP_Y)
    sheet, font, content = Image.new("RGB", size, PAPER), ImageFont.load_default(), io.BytesIO()
    draw = ImageDraw.Draw(sheet)
    for number, (tile, *lines) in enumerate(tiles):
        left, top = GAP_PX + number % columns * STEP_X, GAP_PX + number // columns * STEP_Y
        sheet.paste(tile, (left, top))
        for row, line in enumerate(lines):
            text = printable(shown(line, 200))
            while font.getlength(text) > TILE_PX:
                text = text[:-4] + "..." if text.endswith("...") else text[:-3] + "..."
            draw.text((left, top + TILE_PX + 1 + row * LINE_PX), text, fill=INK, font=font)
    sheet.save(content, "PNG", optimize=True, pnginfo=own_mark())
    return content.getvalue()
