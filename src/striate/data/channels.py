"""Grey or colour: what a dataset is read as, by a look at some headers of each class, or as a person wants it."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from striate.base.errors import SettingsError
from striate.base.text import plural

from .decode import header
from .sample import Dataset, Images

NUM_SAMPLED, MIN_A_GROUP, MAX_SAMPLED = 256, 2, 4096
WORDS = {1: "grey (1 channel)", 3: "RGB (3 channels)"}
_READ_AS = "read as "


def sampled_channels(root: Path, names: Sequence[str], groups: Sequence[Hashable] | None = None) -> tuple[int, str]:
    """Return 1 when every file of a sample is grey by its header, else 3, and a sentence that says so.

    Args:
        groups: of each file: some of every group are looked at, evenly spread; by default the folder it is in.
    """
    groups = groups if groups is not None else [name.rpartition("/")[0] for name in names]
    probes = [header(root / names[place]) for place in _sample(groups)]
    found = [probe.channels for probe in probes if probe.mode]
    num_grey, channels = found.count(1), 1 if found and set(found) == {1} else 3
    said = f"{_READ_AS}{WORDS[channels]}, by the headers of {plural(len(found), 'file')}"
    if 0 < num_grey < len(found):
        said += f", {num_grey:,} in grey and {len(found) - num_grey:,} in colour; --channels 1 makes all grey"
    return channels, said


def in_channels(dataset: Dataset, channels: int | None) -> Dataset:
    """Return the dataset with its images read as 1 (grey) or 3 (RGB) channels; None leaves them as they are.

    Raises:
        SettingsError: it is neither.
    """
    if channels is None or channels == dataset.channels:
        return dataset
    if channels not in WORDS:
        raise SettingsError(f"images of {channels} channels", where="--channels", fix="give 1 (grey) or 3 (RGB)")
    notes = [note for note in dataset.notes if not note.startswith(_READ_AS)]
    images = cast(Images, cast(Any, dataset.images).in_channels(channels))
    said = f"{_READ_AS}{WORDS[channels]}, as asked for"
    return replace(dataset, images=images, channels=channels, notes=(*notes, said))


def _sample(groups: Sequence[Hashable]) -> list[int]:
    """Some places of each group, evenly spread over it."""
    places: dict[Hashable, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    each = max(MIN_A_GROUP, NUM_SAMPLED // max(1, len(places)))
    chosen = [part[at] for part in places.values() for at in _evenly(len(part), each)]
    return [chosen[at] for at in _evenly(len(chosen), MAX_SAMPLED)]


def _evenly(count: int, wanted: int) -> list[int]:
    return [int(at) for at in np.linspace(0, count - 1, min(count, wanted)).round()]
