"""The body of a network runs once over every region of every image, and its outputs are kept: features of regions.

They go to the cache as 16-bit floats, so another head or run on the same body, images and proposals finds them there.
N images, R regions, D features.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from striate.base.files import to_json
from striate.base.progress import Progress
from striate.base.size import SizeHW
from striate.base.tensors import read_tensors, write_tensors
from striate.data.augment import Pipeline
from striate.data.cache import cached
from striate.data.eviction import make_room, touch
from striate.data.loader import Loader
from striate.data.proposals import NAME
from striate.data.proposals import VERSION as SEARCH_VERSION
from striate.data.sample import Batch
from striate.data.store import Indices
from striate.data.target import Ragged
from striate.run.prepare import Prepared
from striate.task import Task
from striate.task.detect import Detect
from striate.task.detect.proposed import FEATURES, regions_of
from striate.task.detect.rcnn import CONTEXT, REGIONS_AT_ONCE, Rcnn

from .features import Body, key_of
from .fuse import fuse_batch_norms

VERSION = 1  # part of every key: raise it when the features of the same body and regions change


@dataclass(frozen=True)
class RegionFeatures:
    """Features of the regions of a split, and of its true boxes.

    Args:
        regions: (R, 4) of N images, with the field `FEATURES` (R, D).
        truth: the true boxes, with their features.
        index: (N,) of the dataset.
        size_hw: of the network's view.
        device: where batches are wanted.
    """

    regions: Ragged
    truth: Ragged
    index: Indices
    target: str
    size_hw: SizeHW
    device: torch.device

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield one image after the other, without pixels: the regions' features stand for them."""
        nothing = torch.zeros(1, device=self.device).expand(1, 1, *self.size_hw)
        rows = zip(_alone(self.truth), _alone(self.regions), strict=True)
        for row, (truth, regions) in enumerate(rows):
            if row >= start:
                targets = {self.target: truth.to(self.device), NAME: regions.to(self.device)}
                yield Batch(nothing, targets, self.index[row : row + 1])


def _alone(rows: Ragged) -> Iterator[Ragged]:
    """Each image's rows."""
    ends = np.cumsum(rows.lengths)
    for end, length in zip(ends.tolist(), rows.lengths, strict=True):
        part = slice(end - length, end)
        yield Ragged(rows.values[part], (length,), {name: values[part] for name, values in rows.fields.items()})


def take(body: Body, prepared: Prepared, split: str, progress: Progress) -> RegionFeatures:
    """Return the features of a split's regions, from the cache or by running the body."""
    loader = prepared.loader(split, pipeline=Pipeline())
    path = cached("features", f"{_key(body, prepared, loader)}.safetensors")
    if path.is_file():
        touch(path)
    else:
        write_tensors(path, _run(body, prepared, loader, progress, f"regions of {split}"))
        make_room(0)
    found = read_tensors(path)
    both = [
        Ragged(found[f"{name}.values"], tuple(found[f"{name}.lengths"].tolist()), _fields(found, name))
        for name in (NAME, TRUTH)
    ]
    height, width = prepared.geometry.size_hw
    return RegionFeatures(
        both[0], both[1], found["index"].numpy(), prepared.task.target, (height, width), prepared.device
    )


TRUTH = "truth"


def _fields(found: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    start = f"{name}.fields."
    return {key.removeprefix(start): values for key, values in found.items() if key.startswith(start)}


def _key(body: Body, prepared: Prepared, loader: Loader) -> str:
    task = prepared.task
    assert isinstance(task, Detect)
    settings = task.settings
    same = key_of(body.key(), prepared, loader, 0)
    parts = [
        VERSION,
        SEARCH_VERSION,
        same,
        settings.proposals,
        settings.region_px,
        CONTEXT,
        prepared.recipe.data.min_seen,
    ]
    return hashlib.sha256(to_json(parts).encode()).hexdigest()[:32]


def _run(body: Body, prepared: Prepared, loader: Loader, progress: Progress, name: str) -> dict[str, Tensor]:
    task, fused = prepared.task, replace(body, network=fuse_batch_norms(body.network))
    assert isinstance(task, Detect)
    assert isinstance(task.reading, Rcnn)
    given: dict[str, list[Ragged]] = {NAME: [], TRUTH: []}
    index = []
    with progress.bar(name, len(loader), "batch", "batches") as bar:
        for batch in loader.batches(0):
            found, truth = regions_of(batch, task.settings.proposals), batch.targets[task.target]
            regions = Ragged(torch.cat(found), tuple(map(len, found)), {})
            for key, rows in ((NAME, regions), (TRUTH, truth)):
                features = _features(fused, task.reading, batch.images, rows)
                given[key].append(replace(rows, fields={**rows.fields, FEATURES: features}))
            index.append(torch.from_numpy(batch.index))
            bar.advance()
    out = {"index": torch.cat(index)}
    for key, parts in given.items():
        out[f"{key}.values"] = torch.cat([one.values.cpu() for one in parts])
        out[f"{key}.lengths"] = torch.tensor([length for one in parts for length in one.lengths])
        for field in parts[0].fields:
            out[f"{key}.fields.{field}"] = torch.cat([one.fields[field].cpu() for one in parts])
    return out


def _features(body: Body, reading: Rcnn, images: Tensor, boxes: Ragged) -> Tensor:
    """(R, D) in 16 bits, on the host; a part of the crops lies in memory at once."""
    image = torch.repeat_interleave(torch.arange(len(images)), torch.tensor(boxes.lengths)).to(images.device)
    parts = zip(boxes.values.float().split(REGIONS_AT_ONCE), image.split(REGIONS_AT_ONCE), strict=True)
    found = [body.features(reading.warped(images, *part)).to("cpu", torch.float16) for part in parts if len(part[0])]
    return torch.cat(found) if found else torch.zeros(0, 0, dtype=torch.float16)


def sees_regions(task: Task) -> bool:
    """Return whether the network sees regions of an image, so that it has no features of the whole."""
    return isinstance(task, Detect) and isinstance(task.reading, Rcnn)
