"""`toy:order`: series with a bump and a burst of fast waves in noise; the class is which of them comes first.

Both may point up or down and lie anywhere, a quarter to three eighths of the length apart: more than a short window
sees. So neither a sum of weighted samples nor a count of events tells the classes apart.
"""

from collections.abc import Mapping

import numpy as np

from striate.base.seeds import rng_for

from ..sample import Dataset, Usual
from ..target import Label
from .series_images import SeriesImages, ranges_of

OPTIONS: dict[str, tuple[float, float, float]] = {  # default, lowest, highest
    "n": (500, 10, 100_000),
    "length": (64, 40, 4096),
    "seed": (0, 0, 2**31),
    "noise": (0.8, 0, 5),
}
CLASSES = ("bump-first", "burst-first")
UNTRUE = frozenset({"flip", "alternating_flip", "rotate", "shear", "perspective", "crop", "zoom", "hue", "grey"})


def make(name: str, options: Mapping[str, float]) -> Dataset:
    """Return `n` series of `length` samples; the events are at least a quarter of the length apart."""
    n, length = int(options["n"]), int(options["length"])
    rng = rng_for(int(options["seed"]), "order")
    truth = np.arange(n) % len(CLASSES)
    time, edge = np.arange(length), 4
    gap = rng.integers(length // 4, 3 * length // 8 + 1, n)
    first = rng.integers(edge, length - edge - gap)
    second = first + gap
    bump_at, burst_at = (np.where(truth == one, first, second)[:, None] for one in (0, 1))
    up = rng.choice([-1.0, 1.0], (2, n, 1))
    bump = up[0] * np.exp(-(((time - bump_at) / 2) ** 2) / 2)
    burst = up[1] * np.exp(-(((time - burst_at) / 2) ** 2) / 2) * np.cos(np.pi * (time - burst_at))
    waves = np.sin(2 * np.pi * (rng.uniform(1, 2, (n, 1)) * time / length + rng.uniform(size=(n, 1))))
    values = 3 * (bump + burst) + 0.5 * waves + options["noise"] * rng.standard_normal((n, length))
    series = tuple(values[..., None].astype(np.float32))
    return Dataset(
        name=name.replace(":", "-").partition("?")[0],
        where=name,
        images=SeriesImages(series, ranges_of(series)),
        ids=tuple(str(number) for number in range(n)),
        targets={"label": Label(truth.astype(np.int64), CLASSES)},
        splits={},
        channels=1,
        bands=("value",),
        usual=Usual("series", 16, "squash", (1, length), batch_size=16, untrue_after=UNTRUE),
    )
