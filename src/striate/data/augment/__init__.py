"""Augmentation: draw a table of random numbers, then apply one geometric and one colour matrix an image.

Settings and pipelines only; pixels are moved in `apply` (CPU) and `device` (GPU), what belongs to them in `move`,
images in `preview`.
"""

from .colour import Brightness, Contrast, Grey, Hue, Invert, Saturation
from .erase import Erase
from .geometric import AlternatingFlip, Crop, Flip, Perspective, Rotate, Shear, Shift, Zoom
from .jpeg import Jpeg
from .mix import Cutmix, Mixup, refuse_unmixable
from .mosaic import Mosaic
from .objects import ObjectCrop
from .operation import Operation
from .pipeline import STRENGTHS, Op, Pipeline
from .plan import Plan
from .policy import RandAugment, TrivialAugment
from .quality import Blur, Noise, Resolution, Sharpness
from .series import Jitter, Scale, TimeWarp, Window
from .tone import Autocontrast, Equalise, Posterise, Solarise

__all__ = [
    "STRENGTHS", "AlternatingFlip", "Autocontrast", "Blur", "Brightness", "Contrast", "Crop", "Cutmix", "Equalise",
    "Erase", "Flip", "Grey", "Hue", "Invert", "Jitter", "Jpeg", "Mixup", "Mosaic", "Noise", "ObjectCrop", "Op",
    "Operation", "Perspective", "Pipeline", "Plan", "Posterise", "RandAugment", "Resolution", "Rotate",
    "Saturation", "Scale", "Sharpness", "Shear", "Shift", "Solarise", "TimeWarp", "TrivialAugment", "Window",
    "Zoom", "refuse_unmixable",
]  # fmt: skip
