"""A map of images as the network sees them: its last features, laid out on a plane, and who lies next to whom.

N images, D features. PCA is exact and keeps distances as well as a plane can; t-SNE and UMAP keep neighbours, and their
distances between groups mean little.

Reference: van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 9 (2008); McInnes et al., UMAP,
arXiv:1802.03426.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.errors import DataError, SettingsError
from striate.model.network import Network

from .tap import Probe, borrowed

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
PERPLEXITY, UMAP_NEIGHBOURS = 30, 15  # the libraries' own defaults, less where there are few images
UMAP_LEAST = 4  # images: of 3 it finds no spectral start, umap-learn 0.5.12
CHUNK = 1024  # rows whose distances to all others are held at once


def penultimate(network: nn.Module) -> str:
    """Return the name of the layer whose output the last row takes: the features that the head reads.

    Raises:
        SettingsError: the network has one row only.
    """
    if isinstance(network, Network):
        source: str = network.blueprint.sources[network.blueprint.names[-1]][0]
        if source in network.rows:
            return source
    linear = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    layers = [name for name, part in network.named_modules() if name and not any(True for _ in part.children())]
    before: list[str] = layers[: layers.index(linear[-1])] if linear else []
    if not before:
        raise SettingsError("no layer before the last", where=type(network).__name__, fix="name a layer")
    return before[-1]


def features(network: nn.Module, batches: Iterable[Tensor], layer: str | None = None) -> npt.NDArray[np.float32]:
    """Return features (N, D) of normalised images; of a map the mean over its places.

    Args:
        layer: by default the `penultimate`.

    Raises:
        SettingsError: no layer has that name.
        DataError: there are no images.
    """
    name = layer or penultimate(network)
    with borrowed(network) as probe, torch.no_grad():
        parts = [_features(probe, images, name) for images in batches]
    if not parts:
        raise DataError("no images to lay out", fix="give at least one")
    return np.concatenate(parts)


def _features(probe: Probe, images: Tensor, name: str) -> npt.NDArray[np.float32]:
    maps = probe.maps(probe.ready(images), [name])[1][name][-1]
    vectors = maps.flatten(2).mean(2) if maps.ndim > 2 else maps
    return np.array(vectors.float().cpu().numpy())


@dataclass(frozen=True, eq=False)
class Layout:
    """Images on a plane.

    Args:
        method: "pca", "tsne" or "umap".
        points: (N, 2).
        explained: share of the variance along each axis; PCA's only.
        settings: of the method.
    """

    method: str
    points: Floats
    explained: tuple[float, ...] = ()
    settings: tuple[tuple[str, float], ...] = ()


def lay_out(values: npt.ArrayLike, method: str = "pca", seed: int = 0) -> Layout:
    """Return features (N, D) on a plane.

    Args:
        method: "pca", "tsne" (scikit-learn) or "umap" (umap-learn).
        seed: of t-SNE and UMAP; PCA has no chance in it.

    Raises:
        SettingsError: the method's library is not installed, or the method is unknown.
        DataError: fewer than 3 images.
    """
    lay = choose("layout", method, LAYOUTS)
    rows = np.asarray(values, np.float64)
    if len(rows) < 3:
        raise DataError(f"{len(rows)} images are no map", where=method, fix="give 3 or more")
    return lay(rows, seed)


def pca(values: Floats, num: int = 2) -> tuple[Floats, Floats]:
    """Return points (N, num) along the directions of most variance, and the variance (num,) as a share of all.

    Each direction is turned so that its largest weight is positive, so that a map is the same on every machine.
    """
    centred = values - values.mean(0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:num]
    largest = np.abs(directions).argmax(1)
    directions = directions * np.where(directions[np.arange(len(directions)), largest] < 0, -1, 1)[:, None]
    points = centred @ directions.T
    total = float((lengths**2).sum())
    shares = (lengths[:num] ** 2) / total if total else np.zeros(len(directions))
    missing = num - points.shape[1]
    return np.pad(points, ((0, 0), (0, missing))), np.pad(shares, (0, missing))


def _pca(values: Floats, seed: int) -> Layout:
    points, shares = pca(values)
    return Layout("pca", points, tuple(shares.tolist()))


def _tsne(values: Floats, seed: int) -> Layout:
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise _missing("tsne", "scikit-learn", "pip install 'striate[sklearn]'") from None
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    found = TSNE(2, perplexity=perplexity, init="pca", random_state=seed % (1 << 32)).fit_transform(values)
    return Layout("tsne", found.astype(np.float64), settings=(("perplexity", perplexity), ("seed", seed)))


def _umap(values: Floats, seed: int) -> Layout:
    try:
        umap = import_module("umap")  # an extra, which type checkers need not have
    except ImportError:
        raise _missing("umap", "umap-learn", "pip install umap-learn") from None
    if len(values) < UMAP_LEAST:
        raise DataError(f"UMAP lays out no {len(values)} images", where="umap", fix="give 4 or more, or take pca")
    near = min(UMAP_NEIGHBOURS, len(values) - 1)
    found = umap.UMAP(n_neighbors=near, random_state=seed % (1 << 32), n_jobs=1).fit_transform(values)
    return Layout("umap", np.asarray(found, np.float64), settings=(("neighbours", near), ("seed", seed)))


def _missing(method: str, library: str, command: str) -> SettingsError:
    return SettingsError(f"{method} needs {library}, which is not installed", where="--method", fix=command)


LAYOUTS: dict[str, Callable[[Floats, int], Layout]] = {"pca": _pca, "tsne": _tsne, "umap": _umap}


def neighbours(values: npt.ArrayLike, num: int = 5) -> tuple[Indices, Floats]:
    """Return the nearest others (N, num) of each image by Euclidean distance of features, nearest first, and how far.

    Among equally near ones the first counts. `num` is at most N - 1.
    """
    rows = np.asarray(values, np.float64)
    num = min(num, len(rows) - 1)
    rows = rows - rows.mean(0)  # distances stay, and lose fewer digits below
    squares = (rows**2).sum(1)
    nearest, far = np.empty((len(rows), num), np.intp), np.empty((len(rows), num))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        distances = squares[part, None] + squares[None] - 2 * rows[part] @ rows.T
        at = np.arange(len(distances))
        distances[at, start + at] = np.inf
        order = np.argsort(distances, axis=1, kind="stable")[:, :num]
        nearest[part] = order
        far[part] = np.linalg.norm(rows[part][:, None] - rows[order], axis=2)
    return nearest, far


def extremes(points: Floats, num: int = 3) -> Indices:
    """Return the images that lie furthest out: `num` at each end of both axes, each once.

    Example:
        >>> extremes(np.array([[0, 0], [5, 0], [-5, 0], [0, 9], [0, -9]]), 1).tolist()
        [2, 1, 4, 3]
    """
    found: list[int] = []
    for axis in (0, 1):
        order = np.argsort(points[:, axis], kind="stable")
        for end in (order[:num], order[::-1][:num]):
            found += [int(index) for index in end if int(index) not in found]
    return np.array(found, np.intp)
