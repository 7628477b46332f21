"""Images from worse images of themselves: one task a way of spoiling them."""

from .restore import Restore
from .ways import Colourise, Denoise, Inpaint, Reconstruct, Superresolve

__all__ = ["Colourise", "Denoise", "Inpaint", "Reconstruct", "Restore", "Superresolve"]
