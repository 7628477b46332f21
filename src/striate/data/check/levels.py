"""Images with sixteen bits whose levels are few of those that become black to white."""

from collections.abc import Iterator

import numpy as np

from striate.base.text import plural

from ..levels import FEW, FULL, Levels
from ..sample import Dataset
from ..sources.images import ArrayImages, FileImages
from .finding import Finding, listed
from .scan import Scan


def level_findings(dataset: Dataset, seen: Scan) -> Iterator[Finding]:
    """Yield a warning when most images with 16 bits use less than an eighth of the levels they are read by, and a
    note when they go beyond them."""
    images = dataset.images
    used = {dataset.ids[index]: probe.used for index, probe in enumerate(seen.probes) if probe.used is not None}
    if isinstance(images, ArrayImages) and images.used is not None:
        used = dict.fromkeys(dataset.ids, images.used)
    if not used or not isinstance(images, ArrayImages | FileImages):
        return
    lows, highs = np.array(list(used.values())).T
    low, high = images.levels
    inside = np.clip(highs, low, high) - np.clip(lows, low, high)
    if np.median(inside) * FEW < high - low:
        yield _few(tuple(used), (int(lows.min()), int(highs.max())), images.levels, int(np.median(inside)))
    beyond = [name for name, (lowest, highest) in used.items() if lowest < low or highest > high]
    if beyond:
        text = f"{plural(len(beyond), 'image')} with levels beyond {low} to {high}, which become black or white"
        yield Finding("beyond_levels", "note", tuple(beyond), f"{text}: {listed(beyond)}", "use --levels auto")


def _few(ids: tuple[str, ...], used: Levels, levels: Levels, width: int) -> Finding:
    low, high = levels
    left = 1 + 255 * width // (high - low)
    top = min(FULL[1], (1 << max(1, used[1]).bit_length()) - 1)
    text = (
        f"{plural(len(ids), 'image')} with 16 bits use levels {used[0]} to {used[1]} of {low} to {high}, about "
        f"{plural(left, 'grey level')} of 256: --levels auto spreads them, or for example --levels 0-{top}"
    )
    return Finding("few_levels", "warning", ids, text, f"use --levels auto, or for example --levels 0-{top}")
