"""Augmentation: draw a table of random numbers, then apply one affine and one colour matrix an image."""
