"""Predictions as images: maps of classes over the image and as PNG with a palette, boxes, images that were made."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from striate.base.cells import cell
from striate.base.errors import DataError, SettingsError
from striate.base.files import write_bytes, write_text
from striate.base.slices import centre_of, three_planes
from striate.base.text import shown
from striate.data.bands import in_depth, shown_bands
from striate.data.decode import decode, decode_bytes
from striate.data.geometry import coloured
from striate.data.given import pixels_of, png_of
from striate.data.levels import FULL, Levels
from striate.data.sample import IGNORE, ImageU8
from striate.data.target.palette import class_colours, colour_of, covered, line_px

if TYPE_CHECKING:
    from striate.data.given import Given

    from .prediction import Prediction
    from .predictor import Predictor
    from .volumes import VolumeDrawer

LEGEND = "classes.csv"
OVERLAY, MASK, RESTORED = "-overlay.png", "-mask.png", "-restored.png"


def rgb_of(image: "Given", levels: Levels = FULL) -> ImageU8:
    """Return an image that a program gives as (H, W, 3) uint8, upright.

    Raises:
        DataError: it cannot be read.
    """
    if isinstance(image, str | Path):
        return decode(Path(image), channels=3, levels=levels)
    if isinstance(image, Image.Image):
        return decode_bytes(png_of(image, "image"), name="image", channels=3)
    return coloured(pixels_of(image, "image"), 3)


def planes_covered(volume: npt.NDArray[Any], labels: npt.NDArray[Any], names: Sequence[str]) -> ImageU8:
    """Return three planes of a volume (D, H, W, C) through the middle of what is labelled, half covered with labels."""
    at = centre_of(labels)
    planes = three_planes(shown_bands(in_depth(volume, 8)), at)
    return covered(planes, three_planes(labels, at), names)


def overlay(image_u8: ImageU8, classes: npt.NDArray[Any], names: Sequence[str], name: str = "image") -> ImageU8:
    """Return an image (H, W, 3) half covered with the colours of a map (H, W) of classes; a background stays clear.

    Raises:
        DataError: the image is of another size than the map.
    """
    if image_u8.shape[:2] != classes.shape:
        sizes = " and ".join("x".join(map(str, shape)) for shape in (image_u8.shape[:2], classes.shape))
        raise DataError(f"an image and a map of different sizes ({sizes})", where=name, fix="give the image predicted")
    return covered(image_u8, classes.astype(np.uint8), names)


def colours_of(names: Sequence[str]) -> ImageU8:
    """Return the colour (256, 3) of each class id; a background is black, 255 grey."""
    return class_colours(names)


def mask_png(classes: npt.NDArray[Any], names: Sequence[str]) -> bytes:
    """Return a map (H, W) as a PNG of class ids, 255 where nothing was seen, with the classes' colours as its palette.

    Its text "classes" names each id in a line.
    """
    image, text, content = Image.fromarray(classes.astype(np.uint8), "P"), PngInfo(), io.BytesIO()
    image.putpalette(class_colours(names).tobytes())
    text.add_itxt("classes", "\n".join(f"{number} {shown(name, 200)}" for number, name in enumerate(names)))
    image.save(content, "PNG", pnginfo=text)
    return content.getvalue()


def legend(names: Sequence[str]) -> str:
    """Return a table of the classes: id, name, colour.

    Example:
        >>> print(legend(("background", "cat")), end="")
        id,name,red,green,blue
        0,background,0,0,0
        1,cat,36,96,242
        255,not seen,128,128,128
    """
    rows = [*enumerate(names), (IGNORE, "not seen")]
    colours = class_colours(names)
    lines = (",".join([str(number), cell(name), *map(str, colours[number].tolist())]) for number, name in rows)
    return "\n".join(["id,name,red,green,blue", *lines, ""])


def boxed(image_u8: ImageU8, box: Sequence[float], label: int) -> ImageU8:
    """Return an image (H, W, 3) with a box (x0, y0, x1, y1 in its pixels) in the colour of its class."""
    import cv2

    drawn = image_u8.copy()
    left, top, right, bottom = (round(side) for side in box)
    cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), colour_of(label), line_px(drawn))
    return drawn


def drawer_of(predictor: "Predictor", folder: Path) -> "Drawer | ImageDrawer | BoxDrawer | VolumeDrawer | None":
    """Return what draws each prediction of a network into a folder; None where only a contact sheet shows them.

    Raises:
        SettingsError: it answers no images.
    """
    if len(predictor.geometry.size_hw) == 3:
        from .volumes import VolumeDrawer

        return VolumeDrawer(predictor, folder)
    if predictor.makes_images:
        return ImageDrawer(folder)
    if predictor.predicts_maps:
        return Drawer(folder, predictor.task.names, predictor.levels)
    if predictor.is_placed:
        return BoxDrawer(folder, predictor.levels)
    if not predictor.reads_images:
        raise SettingsError("a run of series reads no images to draw", where="--draw", fix="leave --draw out")
    return None


class ImageDrawer:
    """Writes for each image what was made of it, as `NAME-restored.png`, into a folder; see `Drawer` for NAME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file_names = Names()

    def draw(self, path: Path, prediction: "Prediction") -> dict[str, str]:
        """Write the image of a prediction at its own size; return {"restored": path}.

        Raises:
            ResourceError: the folder cannot be written.
        """
        pixels, content = prediction.image, io.BytesIO()
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
        file = self.folder / f"{self._file_names(path.stem)}{RESTORED}"
        write_bytes(file, content.getvalue())
        return {"restored": str(file)}


class BoxDrawer:
    """Writes for each image, as `NAME-box.png`, the image with the box that was predicted; see `Drawer` for NAME.

    Of a task that finds any number of objects it is `NAME-boxes.png`, of one that places points `NAME-points.png`.
    """

    def __init__(self, folder: Path, levels: Levels = FULL) -> None:
        self.folder, self.levels = folder, levels
        self._file_names = Names()

    def draw(self, path: Path, prediction: "Prediction") -> dict[str, str]:
        """Write the image with what was found; return {"box": path}, {"boxes": path} or {"points": path}.

        Raises:
            DataError: the image cannot be read, or nothing with a place was predicted.
            ResourceError: the folder cannot be written.
        """
        content = io.BytesIO()
        Image.fromarray(prediction.overlay(rgb_of(path, self.levels))).save(content, "PNG", compress_level=4)
        what = "boxes" if prediction.things is not None else "points" if prediction.points else "box"
        file = self.folder / f"{self._file_names(path.stem)}-{what}.png"
        write_bytes(file, content.getvalue())
        return {what: str(file)}


class Names:
    """Names of files, each given once: where two images share one, `-2` and so on is added."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, stem: str) -> str:
        """Return the stem, or one with a number that is still free."""
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name


class Drawer:
    """Writes for each image `NAME-overlay.png` and `NAME-mask.png` into a folder, and once `classes.csv`.

    NAME is the image file's without its extension; where two images share it, `-2` and so on is added.

    Args:
        names: the classes of the maps.
        levels: of images with 16 bits, as the predictor has them.

    Raises:
        SettingsError: there are more classes than a PNG has ids.
    """

    def __init__(self, folder: Path, names: Sequence[str], levels: Levels = FULL) -> None:
        self.folder, self.names, self.levels = folder, tuple(names), levels
        self._file_names = Names()
        if len(self.names) > IGNORE:
            fix = "leave --draw out, and take the maps in Python"
            raise SettingsError(f"{len(self.names)} classes do not fit a mask of 255 ids", where="--draw", fix=fix)
        write_text(folder / LEGEND, legend(self.names))

    def draw(self, path: Path, prediction: "Prediction") -> dict[str, str]:
        """Write the two images of a prediction, at the image's own size; return {"overlay": path, "mask": path}.

        Raises:
            DataError: the image cannot be read, or a prediction is no map of classes.
            ResourceError: the folder cannot be written.
        """
        pixels, content = prediction.overlay(rgb_of(path, self.levels)), io.BytesIO()
        assert prediction.map is not None
        Image.fromarray(pixels).save(content, "PNG", compress_level=4)
        name = self._file_names(path.stem)
        files = {self.folder / f"{name}{OVERLAY}": content.getvalue()}
        files[self.folder / f"{name}{MASK}"] = mask_png(prediction.map, self.names)
        for file, data in files.items():
            write_bytes(file, data)
        return dict(zip(("overlay", "mask"), map(str, files), strict=True))
