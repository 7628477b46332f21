"""Named points of the one thing in an image."""

from .points import KeyPoints

__all__ = ["KeyPoints"]
