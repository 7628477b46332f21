"""The images of a split as a finished run's network sees them: a map, and who lies next to whom."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from striate.base.files import write_bytes, write_text
from striate.base.progress import Progress
from striate.data.bands import in_depth, shown_bands
from striate.data.sample import Batch
from striate.inside.embedding import Layout, extremes, features, lay_out, neighbours, penultimate

from .evaluate import OpenedRun, describe_data, folder_of, open_split, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_IMAGES = 2000
NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class Embedding:
    """Images on a plane, by the features that the network's head reads.

    Args:
        ids: of the N images.
        layer: whose output the features are.
        features: (N, D).
        layout: where each lies.
        truth: (N,) class by index into `names`, or a number; None where it is neither.
        names: the classes; empty where truth is a number.
        nearest, distances: (N, K) the nearest others by features, nearest first, and how far.
        thumbnails: (index, pixels) of the images that lie furthest out.
        data: which data they are; `split` of these.
    """

    ids: tuple[str, ...]
    layer: str
    features: npt.NDArray[np.float32]
    layout: Layout
    truth: npt.NDArray[Any] | None
    names: tuple[str, ...]
    nearest: npt.NDArray[np.intp]
    distances: npt.NDArray[np.float64]
    thumbnails: tuple[tuple[int, npt.NDArray[Any]], ...]
    data: dict[str, Any]
    split: str

    @property
    def agreement(self) -> float | None:
        """Share of nearest neighbours that are of the image's own class; None without classes."""
        if self.truth is None or not self.names or not self.nearest.size:
            return None
        return float((self.truth[self.nearest] == self.truth[:, None]).mean())

    def neighbours(self, image: str) -> list[str]:
        """Return the ids of the images nearest to one, by its id."""
        return [self.ids[index] for index in self.nearest[self.ids.index(image)]]

    def figure(self) -> "Figure":
        """Return the map: classes by colour, thumbnails of the images that lie furthest out."""
        from striate.inside.figures import plane

        shares = self.layout.explained
        parts = [f"axis {number + 1}: {share:.0%} of the variance" for number, share in enumerate(shares)]
        labels = (parts[0], parts[1]) if parts else (self.layout.method, "")
        title = f"{len(self.ids):,} {self.split} images by the {self.features.shape[1]} features of {self.layer}"
        return plane(self.layout.points, self.truth, self.names, self.thumbnails, title, labels)

    def to_json(self) -> dict[str, Any]:
        """Return what it is, without points and neighbours."""
        return {
            "data": self.data,
            "split": self.split,
            "num_images": len(self.ids),
            "layer": self.layer,
            "num_features": self.features.shape[1],
            "method": self.layout.method,
            "settings": dict(self.layout.settings),
            "explained": list(self.layout.explained),
            "agreement": self.agreement,
        }

    def table(self) -> str:
        """Return a CSV: id, place on the map, truth, and the ids of the nearest images."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["id", "x", "y", "truth", *(f"nearest_{number + 1}" for number in range(self.nearest.shape[1]))])
        for index, (x, y) in enumerate(self.layout.points.tolist()):
            rows.writerow(
                [self.ids[index], f"{x:.6g}", f"{y:.6g}", self._truth(index), *self.neighbours(self.ids[index])]
            )
        return text.getvalue()

    def _truth(self, index: int) -> str:
        if self.truth is None:
            return ""
        return self.names[int(self.truth[index])] if self.names else str(self.truth[index])


def embed(
    opened: OpenedRun,
    *,
    method: str = "pca",
    layer: str | None = None,
    images: int = MAX_IMAGES,
    num_neighbours: int = NEIGHBOURS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Embedding:
    """Return the map of an opened run's split.

    Args:
        method: "pca", "tsne" or "umap".
        layer: whose output is laid out; by default what the head reads.
        images: at most so many, evenly spread over the split; 0 for all.

    Raises:
        SettingsError: the method's library is not installed, or there is no such layer.
    """
    prepared, chosen = opened.prepared, spread(opened, images)
    indices, truths = [], []
    with (progress or Progress("quiet")).bar("features", len(chosen)) as bar:

        def batches() -> Any:
            for batch in prepared.loader(opened.split, indices=chosen).batches(0):
                indices.append(batch.index)
                truths.append(_truth(opened, batch))
                yield batch.images
                bar.advance(len(batch))

        values = features(opened.network, batches(), layer)
    index = np.concatenate(indices)
    layout = lay_out(values, method, seed)
    nearest, far = neighbours(values, num_neighbours)
    known = [one for one in truths if one is not None]
    truth = np.concatenate(known) if len(known) == len(truths) else None
    is_class = truth is not None and np.issubdtype(truth.dtype, np.integer)
    names = tuple(prepared.task.names) if is_class else ()
    store = prepared.store
    shown = [(int(one), _thumbnail(store.image(int(index[one])))) for one in extremes(layout.points)]
    ids = tuple(prepared.dataset.ids[one] for one in index)
    return Embedding(
        ids, layer or penultimate(opened.network), values, layout, truth, names, nearest, far, tuple(shown),
        describe_data(prepared.dataset), opened.split,
    )  # fmt: skip


def _truth(opened: OpenedRun, batch: Batch) -> npt.NDArray[Any] | None:
    """The true class or the one true number of each image of a batch; None where truth is neither."""
    truth = opened.prepared.task.truth(batch)
    if not isinstance(truth, torch.Tensor) or truth.ndim > 2 or truth[:1].numel() > 1:
        return None
    return truth.reshape(len(truth)).cpu().numpy()


def _thumbnail(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The pixels (H, W, C) of a stored image in 8 bits; of a volume its middle slice."""
    pixels = shown_bands(in_depth(stored, 8))
    return pixels[len(pixels) // 2] if pixels.ndim == 4 else pixels


def embed_run(
    path: Path,
    where: str | None = None,
    *,
    data: str | None = None,
    split: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Write the map and the table of neighbours of a run's split, and return what they are and where.

    They go to RUN/evaluations/NAME-SPLIT-embedding-METHOD: map.png, neighbours.csv, scores.json.

    Args:
        where, data, split: see `evaluate_run`.
        settings: of `embed`.
    """
    from striate.base.files import write_json
    from striate.inside.figures import png

    opened = open_split(path, where, data=data, split=split, device=device, progress=progress)
    found = embed(opened, progress=progress, **settings)
    about = found.to_json()
    folder = folder_of(path / "evaluations", about, f"-embedding-{found.layout.method}")
    files = {"map": folder / "map.png", "neighbours": folder / "neighbours.csv"}
    write_bytes(files["map"], png(found.figure()))
    write_text(files["neighbours"], found.table())
    write_json(folder / "scores.json", about)
    return {**about, **{name: str(file) for name, file in files.items()}}
