"""A finished run as files that other programs load: checked against the run before they are kept."""

from .bundle import export

__all__ = ["export"]
