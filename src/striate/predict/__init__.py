"""Use a trained network on new images, prepared exactly as in training."""

from .predictor import Predictor

__all__ = ["Predictor"]
