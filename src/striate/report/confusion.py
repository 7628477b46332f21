"""The confusion matrix whose cells open their images; for very many classes, the pairs most often confused."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.base.numbers import number
from striate.base.rundir import RunDir

from .thumbnails import EmbeddedImage, ThumbnailStore

MAX_CLASSES = 40  # beyond this a matrix cannot be read on a page
MAX_PAIRS = 40
MAX_IMAGES_A_CELL = 12
MAX_NAMES_A_CELL = 24
MAX_NAMES = 1500
NUM_LEVELS = 10


@dataclass(frozen=True)
class Sample:
    """An image with one answer, and of `num_runs` runs how many gave it; `confidence` is their mean, NaN if unknown."""

    run: RunDir
    split: str
    id: str
    truth: str
    prediction: str
    confidence: float
    num_times: int = 1
    num_runs: int = 1

    @property
    def is_right(self) -> bool:
        """Whether the answer is the truth."""
        return self.truth == self.prediction


@dataclass(frozen=True)
class Thumbnail:
    """An image with what the network answered, how sure it was and, of several runs, how many answered so."""

    image: EmbeddedImage | None
    id: str
    truth: str
    prediction: str
    sure: str
    runs: str = ""


@dataclass(frozen=True)
class Panel:
    """The images behind one cell: thumbnails, then names, then how many more there are."""

    anchor: str
    truth: str
    prediction: str
    count: int
    thumbnails: list[Thumbnail]
    names: list[str]
    num_more: int
    is_right: bool


@dataclass(frozen=True)
class Cell:
    """One cell: its count, share of the row, shade 0..10 and the anchor of its panel ("" without images)."""

    truth: str
    prediction: str
    count: int
    share: str
    level: int
    anchor: str
    is_diagonal: bool


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix ready to be laid out; `pairs`: most frequent off-diagonal cells; `num_pairs`: all of them."""

    names: list[str]
    rows: list[tuple[str, int, list[Cell]]]
    pairs: list[Cell]
    panels: list[Panel]
    is_large: bool
    num_images: int
    num_pairs: int
    prefix: str = ""


def build(
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    samples: Iterable[Sample],
    store: ThumbnailStore,
    *,
    prefix: str = "",
    max_names: int = MAX_NAMES,
) -> Matrix:
    """Return the matrix of `counts` (rows truth, columns prediction) with the images of its cells.

    Args:
        prefix: keeps the anchors of several matrices on a page apart.
        max_names: how many images without a thumbnail are named.
    """
    index = {name: k for k, name in enumerate(names)}
    images: dict[tuple[int, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.truth in index and sample.prediction in index:
            images[index[sample.truth], index[sample.prediction]].append(sample)
    is_large = len(names) > MAX_CLASSES
    wrong = ranked(counts)
    shown = wrong[:MAX_PAIRS] if is_large else [*wrong, *((k, k) for k in range(len(names)) if counts[k][k])]
    panels = _panels([cell for cell in shown if images[cell]], counts, names, images, store, prefix, max_names)
    anchors = {(panel.truth, panel.prediction): panel.anchor for panel in panels}
    cells = [_cell(truth, said, counts, names, anchors) for truth, said in wrong[:MAX_PAIRS]]
    every = range(0 if is_large else len(names))
    rows = [(names[k], sum(counts[k]), [_cell(k, said, counts, names, anchors) for said in every]) for k in every]
    return Matrix(list(names), rows, cells, panels, is_large, sum(map(sum, counts)), len(wrong), prefix)


def ranked(counts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the wrong cells: of the pair of classes most often confused first, in it the more frequent direction.

    Example:
        >>> ranked([[9, 2, 3], [2, 9, 0], [0, 0, 9]])
        [(0, 1), (1, 0), (0, 2)]
    """
    cells = [(a, b) for a, row in enumerate(counts) for b, count in enumerate(row) if count and a != b]
    return sorted(cells, key=lambda cell: (-_both(counts, *cell), sorted(cell), -counts[cell[0]][cell[1]], cell))


def _both(counts: Sequence[Sequence[int]], a: int, b: int) -> int:
    return counts[a][b] + counts[b][a]


def _cell(
    truth: int,
    said: int,
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    anchors: Mapping[tuple[str, str], str],
) -> Cell:
    count, total = counts[truth][said], sum(counts[truth])
    share = count / total if total else 0.0
    # A square root, so that a few per cent of confusions can be told from none.
    level = max(1, round(NUM_LEVELS * math.sqrt(share))) if count else 0
    anchor = anchors.get((names[truth], names[said]), "")
    return Cell(names[truth], names[said], count, f"{share:.1%}", level, anchor, truth == said)


def _panels(
    cells: Sequence[tuple[int, int]],
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    images: Mapping[tuple[int, int], list[Sample]],
    store: ThumbnailStore,
    prefix: str,
    max_names: int,
) -> list[Panel]:
    panels, num_names = [], 0
    for truth, said in cells:
        ordered = sorted(images[truth, said], key=surest_first)
        kept = [one for one in ordered if store.has(one.run, one.split, one.id)][:MAX_IMAGES_A_CELL]
        thumbnails = [thumbnail for one in kept if (thumbnail := take(one, store)).image]
        shown = {thumbnail.id for thumbnail in thumbnails}
        room = max(0, min(MAX_NAMES_A_CELL, max_names - num_names))
        others = [one.id for one in ordered if one.id not in shown]
        num_names += len(others[:room])
        more = max(0, len(others) - room)
        anchor, is_right = f"{prefix}cell-{truth}-{said}", truth == said
        panel = Panel(anchor, names[truth], names[said], counts[truth][said], thumbnails, others[:room], more, is_right)
        panels.append(panel)
    return panels


def surest_first(sample: Sample) -> tuple[int, float, str]:
    """Sort key: the answer of most runs first, then by confidence, then by name."""
    return -sample.num_times, *most_confident(sample)


def most_confident(sample: Sample) -> tuple[float, str]:
    """Sort key: by confidence, then by name."""
    return -(sample.confidence if math.isfinite(sample.confidence) else -1.0), sample.id


def take(sample: Sample, store: ThumbnailStore) -> Thumbnail:
    """Return an image with its thumbnail, as far as the store's budget reaches."""
    sure = f"{sample.confidence:.1%}" if math.isfinite(sample.confidence) else ""
    runs = f"{sample.num_times} of {sample.num_runs} runs" if sample.num_runs > 1 else ""
    image = store.take(sample.run, sample.split, sample.id)
    return Thumbnail(image, sample.id, sample.truth, sample.prediction, sure, runs)


def recorded(scores: Mapping[str, Any], num_classes: int) -> list[list[int]] | None:
    """Return the confusion counts that the scores hold; None when they do not fit the number of classes."""
    given = scores.get("confusion")
    if not isinstance(given, list) or len(given) != num_classes or not given:
        return None
    rows = [row for row in given if isinstance(row, list) and len(row) == num_classes]
    return [[int(number(value) or 0) for value in row] for row in rows] if len(rows) == num_classes else None


def add(tables: Sequence[list[list[int]]]) -> list[list[int]] | None:
    """Return the sum of confusion tables of the same size; None when there is none."""
    if not tables:
        return None
    return [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]
