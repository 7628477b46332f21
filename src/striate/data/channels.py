"""Grey or colour: what a dataset is read as, by a look at some headers of each class, or as a person wants it."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from striate.base.errors import SettingsError
from striate.base.text import plural

from .bands import WORDS, channels_text, first_bands_text
from .decode import Probe, header
from .sample import Dataset, Images

NUM_SAMPLED, MIN_A_GROUP, MAX_SAMPLED = 256, 2, 4096
_READ_AS = "read as "


def sampled_channels(root: Path, names: Sequence[str], groups: Sequence[Hashable] | None = None) -> tuple[int, str]:
    """Return the channels of a sample of files by their headers, 3 where they differ, and a sentence that says so.

    Args:
        groups: of each file: some of every group are looked at, evenly spread; by default the folder it is in.
    """
    groups = groups if groups is not None else [name.rpartition("/")[0] for name in names]
    probes = [header(root / names[place]) for place in _sample(groups)]
    found = [probe.channels for probe in probes if probe.mode]
    kinds = set(found)
    num_grey, channels = found.count(1), kinds.pop() if len(kinds) == 1 else 3
    names_of_bands = probes[0].band_names if probes else ()
    said = f"{_READ_AS}{channels_text(channels, names_of_bands)}, by the headers of {plural(len(found), 'file')}"
    if 0 < num_grey < len(found):
        said += f", {num_grey:,} in grey and {len(found) - num_grey:,} in colour; --channels 1 makes all grey"
    num_bands = min((probe.bands for probe in probes if probe.mode), default=0)
    if num_bands > channels:
        said += f"; the files have {num_bands} bands, --channels {num_bands} reads them"
    return channels, said


def in_channels(dataset: Dataset, channels: int | None) -> Dataset:
    """Return the dataset with its images read as 1 (grey) or 3 (RGB) channels, or as the first of more.

    None leaves them as they are.

    Raises:
        SettingsError: they cannot be.
    """
    if channels is None or channels == dataset.channels:
        return dataset
    has = max(dataset.channels, _first(dataset).bands)
    is_colour = {channels, dataset.channels} <= set(WORDS)
    if not (is_colour or (1 <= channels <= has and has not in WORDS)):
        fix = "give 1 (grey) or 3 (RGB)" if has in WORDS else f"give 1 to {has}"
        what = f"images of {channels} channels from images of {dataset.channels}"
        raise SettingsError(what, where="--channels", fix=fix)
    notes = [note for note in dataset.notes if not note.startswith(_READ_AS)]
    images = cast(Images, cast(Any, dataset.images).in_channels(channels))
    read_as = channels_text(channels) if is_colour else first_bands_text(channels, has)
    said, bands = f"{_READ_AS}{read_as}, as asked for", dataset.bands[:channels]
    return replace(dataset, images=images, channels=channels, bands=bands, notes=(*notes, said))


def with_band_names(dataset: Dataset) -> Dataset:
    """Return the dataset with the names of its bands, where its files have them."""
    names = _first(dataset).band_names if dataset.channels not in WORDS and not dataset.bands else ()
    return replace(dataset, bands=names[: dataset.channels]) if names else dataset


def _first(dataset: Dataset) -> Probe:
    """The header of the first file, an empty one where there is none."""
    path = dataset.images.path(0) if len(dataset) else None
    return header(path) if path else Probe()


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
