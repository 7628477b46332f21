"""Batches for training and evaluation, from a store, without worker processes: threads decode nothing twice.

The order is a function of (seed, epoch), what augmentation does to a sample of (seed, epoch, sample), with whom it
is mixed of (seed, epoch, batch). So neither threads nor a resume inside an epoch can change what a sample gets.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from striate.base.device import num_cpus
from striate.base.errors import DataError
from striate.base.progress import say
from striate.base.seeds import rng_for, seed_for

from .augment.apply import Normal, Recycler, apply_cpu
from .augment.mix import Mixing, refuse_unmixable
from .augment.mosaic import Mosaic
from .augment.pipeline import Pipeline
from .augment.plan import Plan
from .planes import open_plane
from .sample import Batch, Dataset, ImageU8, See
from .store import Indices, Store, in_order
from .target import Place, Ragged, Target
from .target.place import MIN_SEEN

if TYPE_CHECKING:
    import torch

    from striate.base.processes import Processes

Sent = TypeVar("Sent", bound="torch.Tensor | Ragged")
RELEASE_BYTES = 256 << 20  # mapped pages read before they are given back
MAX_LOST_FRAC = 0.01


class Loader:
    """Batches of one split.

    Images come as (B, C, H, W), volumes as (B, C, D, H, W) float32, normalised, with channels-last strides, on
    `device`; targets as their `batch` says, see `data.target`. What belongs to an image moves with it. Where images are
    mixed, partners come from the same batch, so there the batch size matters too. A last batch of one joins the batch
    before it, because batch normalisation cannot train on a single image.

    On a GPU the whole store lies in its memory as uint8 when it fits, and augmentation runs there.

    Args:
        store: the decoded images.
        dataset: gives ids and targets.
        split: "train", "val", "test", or indices into the dataset.
        targets: names of the targets to deliver; all by default.
        pipeline: augmentation; None is the evaluation view.
        mean, std: of each channel, in 0..1 (`statistics` of the training split).
        batch_size: images a batch.
        seed: of order and augmentation.
        device: where the batches are wanted.
        shuffle: a new order every epoch.
        threads: that prepare images on a CPU; by default one a core.
        weights: (len(indices),) draw as many samples as there are, with replacement, by these weights.
        drop_last: leave out a last batch that is not full.
        ahead: batches prepared while one is being used.
        lost: index and problem of images that became unreadable, shared by loaders: each is told of once.
        see: makes of a batch what a network gets of it, with a number an image to draw from, which depends on seed,
            epoch and the image's id only.
        min_seen: a box of which a smaller share is in the image is left out.
        processes: that share each batch; this one gets its part of it. Where images are mixed it makes the whole batch
            first, since partners may be another's.

    Raises:
        DataError: the split is empty.
        SettingsError: the pipeline mixes images and a target cannot be mixed.
    """

    def __init__(
        self, store: Store, dataset: Dataset, split: "str | Indices", *, targets: Sequence[str] | None = None,
        pipeline: Pipeline | None = None, mean: Sequence[float], std: Sequence[float], batch_size: int = 64,
        seed: int = 0, device: "torch.device | str" = "cpu", shuffle: bool = False, threads: int | None = None,
        weights: npt.NDArray[np.floating] | None = None, drop_last: bool = False, ahead: int = 1,
        lost: dict[int, str] | None = None, see: See | None = None, min_seen: float = MIN_SEEN,
        processes: "Processes | None" = None,
    ) -> None:  # fmt: skip
        import torch

        wanted = dataset.splits[split] if isinstance(split, str) else np.asarray(split, np.intp)
        stored = store.row_of[wanted] >= 0
        self.indices: Indices = wanted[stored]
        if not len(self.indices):
            raise DataError(f"no images in split {split!r}", where=dataset.where, fix="check the dataset's splits")
        self.store, self.dataset, self.pipeline = store, dataset, pipeline or Pipeline()
        self.targets = {name: dataset.target(name) for name in (dataset.targets if targets is None else targets)}
        for name, target in self.targets.items():
            refuse_unmixable(self.pipeline.ops, name, target)
        self.batch_size, self.seed, self.shuffle, self.ahead = batch_size, seed, shuffle, ahead
        self.device, self.threads = torch.device(device), threads or num_cpus()
        self.weights = None if weights is None else np.asarray(weights, np.float64)[stored]
        self.lost, self.see, self.min_seen = {} if lost is None else lost, see, min_seen
        self.processes = processes
        self._is_mirrored = all(target.mirrors for target in self.targets.values())
        self._keys = np.array([seed_for(name) for name in dataset.ids], np.int64) if see else None
        self._levels = [torch.tensor(values, dtype=torch.float32, device=self.device) for values in (mean, std)]
        self._normal = Normal.of(mean, std, store.geometry.size_hw)
        self._recycler = Recycler()
        self._bounds = _bounds(len(self.indices), batch_size, drop_last)
        self._pool = ThreadPoolExecutor(self.threads, "striate-image")
        self._conductor = ThreadPoolExecutor(1, "striate-batch")
        self._beside = ThreadPoolExecutor(1, "striate-plane")
        self._places = {name: self._place(target) for name, target in self.targets.items()}

    def __len__(self) -> int:
        return len(self._bounds)

    def __repr__(self) -> str:
        return f"Loader({len(self.indices):,} images, {len(self)} batches of {self.batch_size}, {self.pipeline})"

    def order(self, epoch: int) -> Indices:
        """Return the dataset index of every sample of an epoch, in order."""
        if self.weights is not None:
            chance = self.weights / self.weights.sum()
            return rng_for(self.seed, "order", epoch).choice(self.indices, len(self.indices), p=chance)
        return rng_for(self.seed, "order", epoch).permutation(self.indices) if self.shuffle else self.indices

    def batches(self, epoch: int, start: int = 0, every: int = 1, view: int | None = None) -> Iterator[Batch]:
        """Yield each, or `every` so many, of the batches of an epoch from number `start` on; others are not decoded.

        Args:
            view: augment as in epoch number `view` of seed 0, whatever the seed and the epoch.

        Raises:
            DataError: more than 1 % of the images have become unreadable while they are decoded on the fly.
        """
        order, used_bytes = self.order(epoch), 0
        # A sample that is drawn twice must not look the same twice: then the row is its place in the epoch.
        row_of = np.arange(len(order)) if self.weights is not None else order
        draws = self.pipeline.draw(int(row_of.max()) + 1, *((self.seed, epoch) if view is None else (0, view)))

        def prepare(bounds: tuple[int, int]) -> Batch | None:
            part = self._rows(*bounds)
            batch = self._prepare(order[part], draws[row_of[part]])
            return self._seen(self._own(batch, bounds[1] - bounds[0]), epoch)

        bounds = self._bounds[start::every]
        made = in_order(self._conductor, prepare, bounds, self.ahead + 1) if self._gains_ahead else map(prepare, bounds)
        for batch in made:
            if batch is not None:
                yield batch
                used_bytes += len(batch) * self.store.geometry.num_bytes
            if used_bytes > RELEASE_BYTES:
                self.store.release()
                used_bytes = 0
        self.store.release()

    @property
    def _gains_ahead(self) -> bool:
        """Whether making batches while others are computed on saves time.

        Not where torch has all cores: what a thread beside it takes, every other one waits for. Two cores, four-block
        network at 64 px: an epoch of 1.67 s ahead, 1.56 s in turns, 1.60 s of it computing.
        """
        import torch

        is_computing_everywhere = self.device.type == "cpu" and torch.get_num_threads() >= self.threads
        return not is_computing_everywhere or self.store.images is None

    @property
    def _makes_whole(self) -> bool:
        """Whether the images of a batch depend on each other."""
        return any(isinstance(op, Mixing | Mosaic) for op in self.pipeline.ops)

    def _rows(self, first: int, last: int) -> slice:
        """Those of a batch's images that this process makes."""
        if self.processes is None or self._makes_whole:
            return slice(first, last)
        rows, _ = self.processes.part(last - first)
        return slice(first + rows.start, first + rows.stop)

    def _own(self, whole: Batch | None, num: int) -> Batch | None:
        """The part that is this process's of a batch of `num` images.

        Raises:
            DataError: none of its images can be read; the other processes wait for it.
        """
        if self.processes is None:
            return whole
        if whole is None:
            raise DataError(f"none of {num} images can be read", where=self.dataset.where, fix="restore them")
        rows, own = self.processes.part(len(whole) if self._makes_whole else num)
        return whole.part(rows, own) if self._makes_whole else replace(whole, own=own)

    def _prepare(self, indices: Indices, draws: npt.NDArray[np.float32]) -> Batch | None:
        resident = self.store.on_device(self.device) if self.device.type == "cuda" else None
        images: list[ImageU8] = []
        if resident is None:
            images, kept = self._read(indices)
            indices, draws = indices[kept], draws[kept]
            if not images:
                return None
        plan = self._plan(indices, draws, self.store.means(indices, images))
        begun = {
            name: self._beside.submit(target.batch, indices, plan, self._places[name])
            for name, target in self.targets.items()
            if target.has_plane  # its pixels are moved while those of the images are
        }
        if self.device.type == "cpu":
            pixels = self._on_cpu(images, plan)
        else:
            pixels = self._on_device(self._together(images, plan) if resident is None else resident, indices, plan)
        targets: dict[str, torch.Tensor | Ragged] = {}
        for name, target in self.targets.items():
            if target.is_input:
                targets[name] = pixels
                continue
            made = begun[name].result() if name in begun else target.batch(indices, plan, self._places[name])
            targets[name] = target.widened(self._sent(made))
        view = self.store.geometry.size_hw
        return Batch(pixels, targets, indices, None if plan.out_hw == view else view)

    def _plan(self, indices: Indices, draws: npt.NDArray[np.float32], means: npt.NDArray[np.floating]) -> Plan:
        """What happens to these images; operations on objects get to know where these are."""
        geometry = self.store.geometry
        objects = None
        if self.pipeline.asks_for_objects:
            objects = next((found for name, target in self.targets.items()
                            if (found := target.objects(indices, self._places[name])) is not None), None)  # fmt: skip
        sizes = self._sizes(indices) if len(geometry.size_hw) == 3 else None
        plan = self.pipeline.matrices(draws, geometry.store_hw, geometry.size_hw, means, objects, sizes)
        return plan if self._is_mirrored else replace(plan, is_mirrored=False)

    def _seen(self, batch: Batch | None, epoch: int) -> Batch | None:
        """The batch as the network gets it; in an epoch without shuffling, such as of validation, always the same."""
        if batch is None or self.see is None or self._keys is None:
            return batch
        return self.see(batch, self._keys[batch.index] ^ seed_for(self.seed, "see", epoch, self.shuffle))

    def _read(self, indices: Indices) -> tuple[list[ImageU8], npt.NDArray[np.bool_]]:
        """The stored images that can be read, and which of `indices` they are."""
        if self.store.images is not None:
            return [self.store.images[row] for row in self.store.row_of[indices]], np.ones(len(indices), bool)
        found = list(self._pool.map(self._decoded, indices))
        for index, image in zip(indices, found, strict=True):
            if isinstance(image, DataError):
                self._lose(int(index), image)
        kept = np.array([not isinstance(image, DataError) for image in found])
        return [image for image in found if not isinstance(image, DataError)], kept

    def _decoded(self, index: np.intp) -> ImageU8 | DataError:
        try:
            return self.store.image(int(index))
        except DataError as problem:
            return problem

    def _lose(self, index: int, problem: DataError) -> None:
        is_new = index not in self.lost
        self.lost[index] = str(problem)
        num_lost = int(np.isin(self.indices, list(self.lost)).sum())
        if num_lost > MAX_LOST_FRAC * len(self.indices):
            raise DataError(
                f"{problem.what}, as did {num_lost - 1:,} more images since training began",
                where=problem.where, fix=problem.fix, details=tuple(self.lost.values()),
            ) from problem  # fmt: skip
        if is_new:
            say(f"warning: {problem}; until then it is left out")

    def _on_cpu(self, images: list[ImageU8], plan: Plan) -> "torch.Tensor":
        import torch

        if len(plan.out_hw) == 3:
            return self._on_device(self._together(images, plan), np.empty(0, np.intp), plan)
        out = self._recycler.take((len(plan), *plan.out_hw, self.store.geometry.channels))
        pixels = apply_cpu(images, plan, normal=self._normal, out=out, pool=self._pool, parts=2 * self.threads)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    @staticmethod
    def _together(images: list[ImageU8], plan: Plan) -> "ImageU8 | list[ImageU8]":
        """The images as one array, but not volumes of which patches are taken."""
        return images if len(plan.out_hw) == 3 and plan.in_hw != plan.out_hw else np.stack(images)

    def _sizes(self, indices: Indices) -> npt.NDArray[np.int64] | None:
        """The volumes' own sizes, where more is stored than the network sees."""
        geometry = self.store.geometry
        if geometry.store_hw == geometry.size_hw:
            return None
        return np.array([self.store.size_hw(int(index)) for index in indices], np.int64)

    def _on_device(
        self, source: "torch.Tensor | ImageU8 | list[ImageU8]", indices: Indices, plan: Plan
    ) -> "torch.Tensor":
        import torch

        from .augment.device import apply_torch

        if isinstance(source, list):
            return apply_torch(source, plan, *self._levels)
        if isinstance(source, torch.Tensor):
            is_deep = source.dtype == torch.uint16  # of which CUDA takes no rows: it does of the same bits as int16
            rows = self._sent(torch.from_numpy(self.store.row_of[indices]))
            images = source.view(torch.int16)[rows].view(torch.uint16) if is_deep else source[rows]
        else:
            images = self._sent(torch.from_numpy(source))
        return apply_torch(images, plan, *self._levels)

    def _place(self, target: Target) -> Place:
        if not target.has_plane:
            return Place(self.store.geometry, self.store.size_hw, min_seen=self.min_seen)
        plane = open_plane(self.store, target, threads=self.threads)
        return Place(self.store.geometry, self.store.size_hw, lambda found: plane.squares(found, self._pool.map))

    def _sent(self, tensor: Sent) -> Sent:
        """On the device; pinned, so that the copy to a GPU does not wait."""
        if self.device.type == "cpu":
            return tensor
        pinned: Any = tensor.pin_memory() if self.device.type == "cuda" else tensor
        sent: Sent = pinned.to(self.device, non_blocking=True)
        return sent


@dataclass(frozen=True)
class Turns:
    """The whole batches of a loader that one of several processes has, which take them in turns."""

    loader: Loader
    processes: "Processes"

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's batches of an epoch, of those from number `start` on."""
        return self.loader.batches(epoch, start + self.processes.rank, self.processes.size)


def _bounds(num: int, batch_size: int, drop_last: bool) -> list[tuple[int, int]]:
    edges = [*range(0, num, batch_size), num]
    last = edges[-1] - edges[-2]
    if len(edges) > 2 and (last == 1 or (drop_last and last < batch_size)):
        del edges[-1 if drop_last else -2]
    return list(pairwise(edges))
