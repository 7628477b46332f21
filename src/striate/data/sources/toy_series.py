"""`toy:order`: series with a rise and a fall somewhere in noise on slow waves; the class is which of them comes first.

Both lie far apart, so that what tells the classes apart is more than a short window sees, and no count of events does.
"""

from collections.abc import Mapping

import numpy as np

from striate.base.seeds import rng_for

from ..sample import Dataset, Usual
from ..target import Label
from .series_images import SeriesImages, ranges_of

OPTIONS: dict[str, tuple[float, float, float]] = {  # default, lowest, highest
    "n": (600, 10, 100_000),
    "length": (80, 40, 4096),
    "seed": (0, 0, 2**31),
    "noise": (0.3, 0, 5),
}
CLASSES = ("rise-first", "fall-first")
UNTRUE = frozenset({"flip", "alternating_flip", "rotate", "shear", "perspective", "crop", "zoom", "hue", "grey"})


def make(name: str, options: Mapping[str, float]) -> Dataset:
    """Return `n` series of `length` samples; the events are at least half of the length apart."""
    n, length = int(options["n"]), int(options["length"])
    rng = rng_for(int(options["seed"]), "order")
    truth = np.arange(n) % len(CLASSES)
    time, edge = np.arange(length), length // 10
    first = rng.integers(edge, length // 2 - edge, n)
    second = np.minimum(first + length // 2 + rng.integers(0, length // 4, n), length - edge)
    sign = np.where(truth == 0, 1.0, -1.0)[:, None]
    bumps = [np.exp(-(((time - at[:, None]) / 2) ** 2) / 2) for at in (first, second)]
    waves = np.sin(2 * np.pi * (rng.uniform(1, 2, (n, 1)) * time / length + rng.uniform(size=(n, 1))))
    values = 3 * sign * (bumps[0] - bumps[1]) + 0.5 * waves + options["noise"] * rng.standard_normal((n, length))
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
