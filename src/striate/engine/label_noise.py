"""Wrong targets on purpose: how much a recipe suffers from them, or gains from not trusting them fully."""

from dataclasses import replace

import numpy as np

from striate.base.errors import SettingsError
from striate.base.seeds import rng_for
from striate.data.sample import Target


def with_wrong_labels(target: Target, ids: tuple[str, ...], indices: np.ndarray, share: float, seed: int) -> Target:
    """Return the target with a share of the labels among `indices` changed, each to another class at random.

    Whether an image is hit, and what it becomes, depends on the seed and its id alone: neither order nor the other
    images matter. Of several tags each is flipped with that chance. Numbers all get normal noise, whose deviation is
    that share of the numbers' own.

    Raises:
        SettingsError: the target is of another kind.

    Example:
        >>> labels = Target("label", np.zeros(1000, np.int64), ("a", "b", "c"))
        >>> names = tuple(map(str, range(1000)))
        >>> int((with_wrong_labels(labels, names, np.arange(1000), 0.1, seed=0).values > 0).sum())
        102
    """
    if target.kind not in {"label", "tags", "value"}:
        what = f"label noise needs classes, tags or numbers; the target is of kind {target.kind!r}"
        raise SettingsError(what, where="train.label_noise", fix="set it to 0")
    values, num_classes = target.values.copy(), len(target.names)
    deviation = share * values[indices].std(axis=0) if target.kind == "value" else 0.0
    for index in indices:
        rng = rng_for(seed, "label noise", ids[index])
        if target.kind == "value":
            values[index] += (deviation * rng.normal(size=num_classes)).astype(values.dtype)
        elif target.kind == "tags":
            values[index] ^= (rng.random(num_classes) < share).astype(values.dtype)
        elif rng.random() < share:
            values[index] = (values[index] + rng.integers(1, num_classes)) % num_classes
    return replace(target, values=values)
