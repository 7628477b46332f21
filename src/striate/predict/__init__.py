"""Use a trained network on new pictures, prepared exactly as in training."""

from .predictor import Predictor

__all__ = ["Predictor"]
