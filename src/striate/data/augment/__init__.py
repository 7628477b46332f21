"""Augmentation: draw a table of random numbers, then apply one affine and one colour matrix an image.

Settings and pipelines only; pixels are moved in `apply`, what belongs to them in `move`, pictures in `preview`.
"""

from .colour import Brightness, Contrast, Hue, Saturation
from .erase import Erase
from .geometric import Crop, Flip, Rotate, Shear, Shift, Zoom
from .pipeline import STRENGTHS, Op, Pipeline, Plan

__all__ = [
    "STRENGTHS",
    "Brightness",
    "Contrast",
    "Crop",
    "Erase",
    "Flip",
    "Hue",
    "Op",
    "Pipeline",
    "Plan",
    "Rotate",
    "Saturation",
    "Shear",
    "Shift",
    "Zoom",
]
