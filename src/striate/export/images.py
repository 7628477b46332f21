"""Images that a network makes: its graph sees one tile, and the script blends tiles as `striate predict` does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.predict import Predictor


def settings_of_images(predictor: Predictor) -> dict[str, Any]:
    """Return what config.json says of how an image is taken and made; nothing where none is made."""
    if not predictor.makes_images:
        return {}
    red = np.array([[[250, 10, 90]]], np.uint8)
    is_grey = predictor.geometry.channels == 3 and np.ptp(predictor.task.taken(red)) == 0
    return {"image": {"scale": predictor.task.scale, "is_grey": bool(is_grey)}}


def pixels_of(predictor: Predictor, stored: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Return stored images as the network is to get them: where it makes images larger, theirs are too large."""
    if not predictor.makes_images:
        return list(stored)
    return [predictor.task.taken(predictor.framed(one)) for one in stored]
