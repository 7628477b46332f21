"""Data: sources, splits, checks, the store, augmentation and the loader."""

from .open import open_dataset
from .sample import Batch, Dataset, Images
from .target import Target

__all__ = ["Batch", "Dataset", "Images", "Target", "open_dataset"]
