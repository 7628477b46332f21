"""The maps of rows that stay as they are, taken once for each image and view: what is behind them trains on those.

They go to the cache as 16-bit floats, like features of a body, so another seed or run on the same rows, images and
augmentation finds them there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from striate.base.progress import Progress
from striate.base.tensors import read_tensors, write_tensors
from striate.base.text import plural
from striate.data.augment import Mosaic, Pipeline
from striate.data.augment.mix import Mixing
from striate.data.cache import cached
from striate.data.eviction import make_room, touch
from striate.data.loader import Loader
from striate.data.sample import Batch
from striate.data.store import Indices
from striate.engine.precision import autocast
from striate.engine.regularise import frozen_rows
from striate.model.network import Network, plan
from striate.run.prepare import Prepared

from .features import digest_of, key_of
from .fuse import fuse_batch_norms
from .regions import sees_regions

MOST_BYTES = 4 << 30  # of the maps of a run, which lie in memory


@dataclass(frozen=True)
class Trunk:
    """The rows of a network that stay as they are.

    Args:
        rows: their names.
        ends: those of them that other rows take.
    """

    network: Network
    rows: tuple[str, ...]
    ends: tuple[str, ...]
    precision: str

    @classmethod
    def of(cls, network: Network, last: str, precision: str) -> "Trunk | None":
        """Return the rows up to `last`, or None where nothing stays as it is."""
        frozen = {id(row) for row in frozen_rows(network, last)}
        blueprint = network.blueprint
        rows = tuple(name for name in blueprint.names if id(network.rows[name]) in frozen)
        wanted = blueprint.ends or (blueprint.names[-1],)
        behind = [(name, sources) for name, sources, _ in plan(blueprint, wanted) if name not in rows]
        ends = tuple(name for name in rows if any(name in sources for _, sources in behind))
        return cls(network, rows, ends, precision) if ends else None

    @torch.inference_mode()
    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each end for normalised images, in 16 bits; batch norm uses its running statistics."""
        with autocast(images.device, self.precision):
            found = self.network.outputs_of(images, self.ends)
        return {name: values.to(torch.float16) for name, values in found.items()}

    @property
    def num_bytes(self) -> int:
        """Of the maps of one image."""
        return sum(2 * prod(self.network.shapes[name]) for name in self.ends)

    def is_same(self, other: nn.Module) -> bool:
        """Return whether another network of the same rows has the same weights and statistics in them."""
        states = self.network.state_dict(), other.state_dict()
        mine = [name for name in states[0] if name.split(".")[1] in self.rows]
        return all(torch.equal(states[0][name], states[1][name]) for name in mine)


@dataclass(frozen=True)
class KnownMaps:
    """Batches of a loader, with the maps that are known of their images.

    Args:
        loaders: that of the images as they are, and that of augmented views; the same order of the same images.
        views: of each view the maps of all images; epochs take the views in turn.
        row_of: where an image of the dataset stands among the maps; -1 is nowhere.
    """

    loaders: tuple[Loader, Loader]
    views: tuple[dict[str, Tensor], ...]
    row_of: Indices

    def __len__(self) -> int:
        return len(self.loaders[0])

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on."""
        view = epoch % len(self.views)
        for batch in self.loaders[min(view, 1)].batches(epoch, start, view=view):
            rows = torch.from_numpy(self.row_of[batch.index])
            if (rows < 0).any():  # an image that became unreadable since: all are computed
                yield batch
                continue
            known = {name: maps[rows].to(batch.images.device).float() for name, maps in self.views[view].items()}
            yield replace(batch, known=known)


def known_maps(prepared: Prepared, trunk: Trunk, split: str, *, seed: int, views: int, progress: Progress) -> KnownMaps:
    """Return the batches of a split with the maps of its images, from the cache or by running the trunk.

    Args:
        views: the first is the image as it is evaluated; the others are augmented, each by its own draws.
    """
    is_training, key = split == "train", digest_of(trunk.network, trunk.rows, trunk.precision + "".join(trunk.ends))
    found = []
    for view in range(views):
        loader = prepared.loader(split, pipeline=prepared.pipeline if view else Pipeline())
        path = cached("features", f"{key_of(key, prepared, loader, view)}.safetensors")
        if path.is_file():
            touch(path)
        else:
            name = f"maps of {split}" + (f", view {view + 1}/{views}" if views > 1 else "")
            write_tensors(path, _run(trunk, loader, view, progress, name))
        found.append(read_tensors(path))
    make_room(0)
    index = [one.pop("index").numpy() for one in found]
    row_of = np.full(len(prepared.dataset.ids), -1, np.intp)
    row_of[index[0]] = np.arange(len(index[0]))
    plain, augmented = (
        prepared.loader(split, seed=seed, is_training=is_training, pipeline=pipeline)
        for pipeline in (Pipeline(), prepared.pipeline)
    )
    return KnownMaps((plain, augmented), tuple(found), row_of)


def _run(trunk: Trunk, loader: Loader, view: int, progress: Progress, name: str) -> dict[str, Tensor]:
    parts: dict[str, list[Tensor]] = {name: [] for name in (*trunk.ends, "index")}
    fused = replace(trunk, network=fuse_batch_norms(trunk.network))
    with progress.bar(name, len(loader), "batch", "batches") as bar:
        for batch in loader.batches(0, view=view):
            for end, maps in fused.maps(batch.images).items():
                parts[end].append(maps.cpu())
            parts["index"].append(torch.from_numpy(batch.index))
            bar.advance()
    return {name: torch.cat(some) for name, some in parts.items()}


def maps_of(
    prepared: Prepared, network: nn.Module, last: str, *, seed: int, precision: str, progress: Progress
) -> tuple[Trunk, KnownMaps, KnownMaps] | None:
    """Return the rows that stay as they are, and training and validation batches with their maps.

    None where nothing stays as it is, where outputs are not of places, where `transfer.views` is 0, and where maps
    cannot be kept; then it is said why.

    Args:
        last: the last row that stays as it is.
    """
    views, task = prepared.recipe.transfer.views, prepared.task
    if not (last and views and task.head.is_dense and isinstance(network, Network)) or sees_regions(task):
        return None
    trunk = Trunk.of(network, last, precision)
    if trunk is None:
        return None
    if why := why_live(prepared, trunk):
        progress.line(f"the frozen rows run in every epoch: {why}")
        return None
    some = f" of {plural(views, 'view')} of each image (--set transfer.views=0 draws anew)"
    augmented = some if prepared.pipeline.ops else ""
    progress.line(f"the maps of the frozen rows, up to {trunk.rows[-1]}, are kept{augmented}")
    views = views if prepared.pipeline.ops else 1
    train, val = (
        known_maps(prepared, trunk, split, seed=seed, views=some, progress=progress)
        for split, some in (("train", views), ("val", 1))
    )
    return trunk, train, val


def why_live(prepared: Prepared, trunk: Trunk) -> str:
    """Return in words why the maps of a trunk cannot be kept; empty where they can."""
    mixing = [op.kind for op in prepared.pipeline.ops if isinstance(op, Mixing | Mosaic)]
    num_bytes = trunk.num_bytes * (
        len(prepared.dataset.splits["val"]) + prepared.recipe.transfer.views * len(prepared.dataset.splits["train"])
    )
    reasons: Sequence[tuple[bool, str]] = (
        (bool(mixing), f"{mixing[0] if mixing else ''} mixes images of a batch"),
        (prepared.recipe.data.balance == "sampling", "images are drawn by their classes"),
        (prepared.processes.size > 1, "several processes share the images"),
        (prepared.task.see is not None, "what the network sees of an image is drawn anew"),
        (num_bytes > MOST_BYTES, f"they would take {num_bytes / 1e9:.1f} GB of memory"),
    )
    return next((text for is_so, text in reasons if is_so), "")
