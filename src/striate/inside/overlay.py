"""A map over an image, in colours: what it is high for shines, the rest of the image is grey and dim."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .explanation import Array, Explanation
from .filters import GREY, ImageU8

PERCENTILE = 99.0  # of |map| that has the full colour: one pixel alone would else darken all others
COLOURS, DIVERGING = "inferno", "RdBu_r"  # of maps without and with signs


def overlay(image: ImageU8, explanation: Explanation) -> ImageU8:
    """Return an image (H, W, 3) with a map of its size over it; a volume (D, H, W, 3) likewise.

    Maps without signs go from black over red to yellow. With signs, red speaks for what is explained, blue against it,
    and what is near 0 shows the image. The strongest percent of the pixels has the full colour.

    Args:
        image: (..., C) uint8, C = 1 or 3, as the network saw it.
    """
    import matplotlib

    share = shares(explanation.map, explanation.is_signed)
    grey = (image.astype(np.float64) @ GREY if image.shape[-1] == 3 else image[..., 0])[..., None] / 255
    if explanation.is_signed:
        colours = matplotlib.colormaps[DIVERGING]((share + 1) / 2)[..., :3]
        opacity = np.abs(share)[..., None] ** 0.75
    else:
        colours = matplotlib.colormaps[COLOURS](share)[..., :3]
        opacity = 0.35 + 0.55 * share[..., None]
    mixed = opacity * colours + (1 - opacity) * (0.25 + 0.75 * grey)
    return np.asarray(np.rint(255 * np.clip(mixed, 0, 1)), np.uint8)


def shares(values: Array, is_signed: bool) -> npt.NDArray[np.float64]:
    """Return a map in -1..1 (0..1 without signs), by its strongest percent; 0 where it is 0 everywhere.

    Example:
        >>> shares(np.array([[0, 1], [2, 4]], np.float32), False).round(2).tolist()
        [[0.0, 0.25], [0.51, 1.0]]
    """
    largest: Any = np.percentile(np.abs(values), PERCENTILE) or np.abs(values).max()
    scaled = values.astype(np.float64) / (float(largest) or 1.0)
    return np.clip(scaled, -1.0 if is_signed else 0.0, 1.0)
