"""Detection: any number of objects an image, by detectors of several kinds."""

from .detect import Detect
from .reading import Candidates, Dense, DetectOptions, Part, Reading, Truth
from .readings import READINGS

__all__ = ["READINGS", "Candidates", "Dense", "Detect", "DetectOptions", "Part", "Reading", "Truth"]
