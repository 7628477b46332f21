"""Where what can be made again is kept: decoded stores and the results of checks."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return $STRIATE_CACHE, or ~/.cache/striate."""
    named = os.environ.get("STRIATE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "striate"
