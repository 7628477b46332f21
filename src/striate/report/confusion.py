"""The confusion matrix whose cells open their images; for very many classes, the pairs most often confused."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.base.rundir import RunDir

from .metrics import number
from .pictures import Album, Picture
from .rows import Row

MAX_CLASSES = 40  # beyond this a matrix cannot be read on a page
MAX_PAIRS = 40
MAX_PICTURES_A_CELL = 12
MAX_NAMES_A_CELL = 24
MAX_NAMES = 1500
NUM_LEVELS = 10


@dataclass(frozen=True)
class Seen:
    """One image as one or several runs judged it."""

    run: RunDir
    row: Row
    num_times: int = 1
    num_runs: int = 1


@dataclass(frozen=True)
class Shot:
    """A picture with what the network said of it, how sure it was and, of several runs, how many said so."""

    picture: Picture | None
    id: str
    truth: str
    prediction: str
    sure: str
    is_right: bool
    runs: str = ""


@dataclass(frozen=True)
class Panel:
    """The images behind one cell: pictures, then names, then how many more there are."""

    anchor: str
    truth: str
    prediction: str
    count: int
    shots: list[Shot]
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
    seen: Iterable[Seen],
    album: Album,
    *,
    prefix: str = "",
    max_names: int = MAX_NAMES,
) -> Matrix:
    """Return the matrix of `counts` (rows truth, columns prediction) with the images of its cells.

    Args:
        prefix: keeps the anchors of several matrices on a page apart.
        max_names: how many images without a picture are named.
    """
    index = {name: k for k, name in enumerate(names)}
    images: dict[tuple[int, int], list[Seen]] = defaultdict(list)
    for one in seen:
        if one.row.truth in index and one.row.prediction in index:
            images[index[one.row.truth], index[one.row.prediction]].append(one)
    is_large = len(names) > MAX_CLASSES
    wrong = ranked(counts)
    shown = wrong[:MAX_PAIRS] if is_large else [*wrong, *((k, k) for k in range(len(names)) if counts[k][k])]
    panels = _panels([cell for cell in shown if images[cell]], counts, names, images, album, prefix, max_names)
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
    images: Mapping[tuple[int, int], list[Seen]],
    album: Album,
    prefix: str,
    max_names: int,
) -> list[Panel]:
    panels, num_names = [], 0
    for truth, said in cells:
        ordered = sorted(images[truth, said], key=surest_first)
        with_picture = [one for one in ordered if album.has(one.run, one.row.split, one.row.id)][:MAX_PICTURES_A_CELL]
        shots = [shot for one in with_picture if (shot := take(one, album)).picture]
        pictured = {shot.id for shot in shots}
        room = max(0, min(MAX_NAMES_A_CELL, max_names - num_names))
        others = [one.row.id for one in ordered if one.row.id not in pictured]
        num_names += len(others[:room])
        more = max(0, len(others) - room)
        anchor, is_right = f"{prefix}cell-{truth}-{said}", truth == said
        panel = Panel(anchor, names[truth], names[said], counts[truth][said], shots, others[:room], more, is_right)
        panels.append(panel)
    return panels


def surest_first(one: Seen) -> tuple[int, float, str]:
    """Sort key: the answer of most runs first, then by confidence, then by name."""
    return -one.num_times, *most_confident(one)


def most_confident(one: Seen) -> tuple[float, str]:
    """Sort key: by confidence, then by name."""
    confidence = one.row.confidence
    return -(confidence if math.isfinite(confidence) else -1.0), one.row.id


def take(one: Seen, album: Album) -> Shot:
    """Return an image with its picture, as far as the album's budget reaches."""
    row = one.row
    sure = f"{row.confidence:.1%}" if math.isfinite(row.confidence) else ""
    runs = f"{one.num_times} of {one.num_runs} runs" if one.num_runs > 1 else ""
    return Shot(album.take(one.run, row.split, row.id), row.id, row.truth, row.prediction, sure, row.is_right, runs)


def table(scores: Mapping[str, Any], names: Sequence[str], seen: Iterable[Seen]) -> list[list[int]] | None:
    """Return the confusion counts of the scores when they fit the class list, else counted from the images."""
    given = scores.get("confusion")
    if isinstance(given, list) and len(given) == len(names) > 0:
        counts = [
            [int(number(value) or 0) for value in row]
            for row in given
            if isinstance(row, list) and len(row) == len(names)
        ]
        if len(counts) == len(names):
            return counts
    index = {name: k for k, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for one in seen:
        if one.row.truth in index and one.row.prediction in index:
            counts[index[one.row.truth]][index[one.row.prediction]] += 1
    return counts if any(map(sum, counts)) else None


def add(tables: Sequence[list[list[int]]]) -> list[list[int]] | None:
    """Return the sum of confusion tables of the same size; None when there is none."""
    if not tables:
        return None
    return [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]
