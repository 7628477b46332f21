"""Data: sources, splits, checks, the store, augmentation and the loader."""
