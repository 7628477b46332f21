"""The body of a network runs once over every image; its outputs are kept, and a head is solved on them.

Features of each image and view go to the cache as 16-bit floats, so another head, seed or run on the same body,
images and augmentation finds them there.
"""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.base.errors import SettingsError
from striate.base.files import to_json
from striate.base.progress import Progress
from striate.base.tensors import read_tensors, write_tensors
from striate.data.augment import Cutmix, Mixup, Pipeline
from striate.data.cache import cached
from striate.data.eviction import make_room, touch
from striate.data.loader import Loader
from striate.data.sample import Batch
from striate.data.store import Indices
from striate.engine.precision import autocast
from striate.model.network import Network
from striate.run.network import HIDDEN
from striate.run.prepare import Prepared

from .fuse import fuse_batch_norms

VERSION = 2  # part of every key: raise it when the features of the same body and images change
PART = 4096  # rows a batch
MIXED = 64  # images that are mixed with one another, at least


@dataclass(frozen=True)
class Body:
    """A network cut before its last linear layers.

    Args:
        network: the whole of it, in evaluation mode while features are taken.
        cut: the row whose output, a vector an image, is the features.
        head: the layers behind it; training them trains the network's own.
    """

    network: Network
    cut: str
    head: nn.Sequential
    precision: str

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """Return (N, D) float32 features of normalised images; batch norm uses its running statistics."""
        with autocast(images.device, self.precision):
            found: Tensor = self.network.features(images, at=self.cut)[self.cut]
        return found.float()

    def head_with(self, state: dict[str, Tensor]) -> nn.Sequential:
        """Return a copy of the head with this state."""
        head = copy.deepcopy(self.head)
        head.load_state_dict(state)
        return head

    def whole_with(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the network's state with this state of the head, as copies."""
        names, whole = self.network.blueprint.names, self.network.state_dict()
        for name, value in state.items():
            place, _, rest = name.partition(".")
            whole[f"rows.{names[len(names) - len(self.head) + int(place)]}.{rest}"] = value
        return {name: value.detach().clone() for name, value in whole.items()}

    def key(self) -> str:
        """Return a digest of the body: its rows, its weights and statistics, its precision."""
        names = self.network.blueprint.names
        return digest_of(self.network, names[: names.index(self.cut) + 1], self.precision)


def digest_of(network: Network, rows: Sequence[str], precision: str) -> str:
    """Return a digest of rows of a network: their blueprint, their weights and statistics, the precision."""
    digest = hashlib.sha256(to_json([VERSION, rows, precision, str(network.blueprint)]).encode())
    for name, tensor in network.state_dict().items():
        if name.split(".")[1] in rows:
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cut(network: nn.Module, precision: str = "float32") -> Body:
    """Return the network cut before its last linear layers.

    Raises:
        SettingsError: its last row is not a linear layer on a vector.
    """
    if isinstance(network, Network) and has_head(network):
        names = network.blueprint.names
        first = _first_of_head(network)
        head = nn.Sequential(*(network.rows[name] for name in names[first:]))
        return Body(network, names[first - 1], head, precision)
    name = network.blueprint.name if isinstance(network, Network) else type(network).__name__
    what = f"{name} does not end in a linear layer on a vector of features"
    raise SettingsError(what, fix="use the recipe frozen or finetune")


def has_head(network: nn.Module) -> bool:
    """Return whether a network can be cut: its last row is a linear layer on a vector of features."""
    if not isinstance(network, Network) or network.blueprint.rows[-1].block != "linear":
        return False
    return len(network.shapes[network.blueprint.names[_first_of_head(network) - 1]]) == 1


def _first_of_head(network: Network) -> int:
    names = network.blueprint.names
    return len(names) - (2 if HIDDEN in names else 1)


@dataclass(frozen=True)
class Features:
    """Features of one split: the rows of every view, one view after the other.

    Args:
        values: (V x N, D) float32.
        truth: (V x N, ...) targets as a loader gives them; what belongs to an image has moved with the view. Labels
            are shares of classes (V x N, K) when a view is mixed.
        index: (N,) of the dataset.
    """

    values: Tensor
    truth: Tensor
    index: Indices
    target: str

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the first view in parts, in order, as a loader does images."""
        for part in torch.arange(len(self.index)).split(PART)[start:]:
            yield Batch(self.values[part], {self.target: self.truth[part]}, self.index[part.numpy()])


def take(
    body: Body, prepared: Prepared, split: str, *, views: int, progress: Progress, indices: Indices | None = None
) -> Features:
    """Return features of a split, on the device of the run, from the cache or by running the body.

    Args:
        views: the first is the image as it is evaluated; the others are augmented, each by its own draws.
        indices: only these images of the split.
    """
    found, key, device = [], body.key(), prepared.device
    for view in range(views):
        pipeline = prepared.pipeline if view else Pipeline()
        is_mixed = any(isinstance(op, Mixup | Cutmix) for op in pipeline.ops)
        batch_size = max(MIXED, prepared.batch_size) if is_mixed else None
        loader = prepared.loader(split, indices=indices, pipeline=pipeline, batch_size=batch_size)
        path = cached("features", f"{key_of(key, prepared, loader, view)}.safetensors")
        if path.is_file():
            touch(path)
        else:
            write_tensors(path, _run(body, loader, view, progress, f"features of {split}, view {view + 1}/{views}"))
        found.append(read_tensors(path))
    make_room(0)
    return Features(
        torch.cat([one["features"] for one in found]).to(device, torch.float32),
        torch.cat(_alike([one["truth"] for one in found])).to(device),
        found[0]["index"].numpy(),
        prepared.task.target,
    )


def _alike(truths: list[Tensor]) -> list[Tensor]:
    """Class indices (N,) as shares (N, K), where another view has shares since its images are mixed."""
    if len({truth.ndim for truth in truths}) == 1:
        return truths
    num = max(truth.shape[1] for truth in truths if truth.ndim > 1)
    return [F.one_hot(truth, num).float() if truth.ndim == 1 else truth for truth in truths]


def _run(body: Body, loader: Loader, view: int, progress: Progress, name: str) -> dict[str, Tensor]:
    columns: list[tuple[Tensor, Tensor, Tensor]] = []
    fused = replace(body, network=fuse_batch_norms(body.network))
    with progress.bar(name, len(loader), "batch", "batches") as bar:
        for batch in loader.batches(view):
            (truth,) = batch.targets.values()
            features = fused.features(batch.images).to("cpu", torch.float16)
            columns.append((features, truth.cpu(), torch.from_numpy(batch.index)))
            bar.advance()
    return {
        name: torch.cat(parts)
        for name, parts in zip(("features", "truth", "index"), zip(*columns, strict=True), strict=True)
    }


def key_of(body: str, prepared: Prepared, loader: Loader, view: int) -> str:
    """Return a digest of all that the features of a split depend on, that of the body among it."""
    geometry = prepared.geometry
    views = f"{view} {loader.pipeline!r}" if loader.pipeline.ops else ""
    if any(isinstance(op, Mixup | Cutmix) for op in loader.pipeline.ops):
        views += f" {loader.batch_size}"  # who is mixed with whom is a matter of the batch
    head = [body, prepared.store.key, repr(geometry), prepared.mean, prepared.std, views, prepared.task.target]
    digest = hashlib.sha256(to_json(head).encode())
    digest.update(loader.indices.tobytes())
    for part in prepared.dataset.target(prepared.task.target).content(loader.indices):
        digest.update(part)
    return digest.hexdigest()[:32]
