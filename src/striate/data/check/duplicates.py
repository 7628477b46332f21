"""Images that are the same: pixel for pixel, re-encoded or resized, turned or flipped, cut at the rim.

Two images are compared by the low frequencies of their 32 x 32 grey thumbnails (cosine transform), each frequency
weighted by its own size: natural images have most energy in the low ones, and without the weights every bright spot
on a dark ground looks like every other. The correlation of these vectors is near 1 for copies of one image whatever
its size, compression, brightness or contrast, and below 0.9 for different ones. In this form a flip is a change of
sign and a quarter turn an exchange of axes, so turned copies cost no further transform.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from striate.base.seeds import rng_for

from .scan import THUMB_PX

Floats = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.intp]

ROWS = 1024  # of the blocks of correlations computed at once
MAX_PAIRS = 1_000_000  # beyond: a film or a set of blanks, where pairs say nothing new
MIN_CONTRAST = 4.0  # grey levels: flatter images have no form to compare
COARSE, FINE = 10, 16  # frequencies a side: to find candidates, to confirm them
CANDIDATE, SAME = 0.86, 0.90
STRICT_CANDIDATE, STRICT = 0.97, 0.985  # in a set of look-alikes, see `_is_uniform`
MANY, VERY_MANY = 4, 30  # look-alikes of one image
BURST, MAX_TRIED = 0.8, 16  # so many of an image's look-alikes (the first 16) are alike each other: one scene
MIN_LOOSE, SURELY_LOOSE, MIN_PLACES = 10, 30, 3
CROP_CANDIDATE, CROP_SAME, CROP_SIDE = 0.80, 0.94, 0.9
QUARTER = "turned by 90 degrees"  # to the left or to the right: the only turn that is not its own inverse
SAME_TINT = 0.05  # of the sum of the three channels
TURNS = {  # name: (exchange the axes, flip rows, flip columns), applied in this order
    "mirrored": (False, False, True),
    "upside down mirrored": (False, True, False),
    "turned by 180 degrees": (False, True, True),
    "turned and mirrored": (True, False, False),
    "turned and mirrored the other way": (True, True, True),
    QUARTER: (True, False, True),
}


@dataclass(frozen=True)
class Alike:
    """Pairs (P, 2) of images that are the same but for `how`: "near", a key of TURNS, or "cropped".

    `least` is the correlation that was asked for: SAME, or STRICT in a set of look-alikes.
    """

    how: str
    pairs: Pairs
    least: float


def exact_groups(digests: npt.NDArray[np.uint8], members: npt.NDArray[np.intp]) -> list[list[int]]:
    """Return the groups of members whose digests are equal, each sorted, in the order of their first."""
    members = np.sort(members)
    halves = np.ascontiguousarray(digests[members]).view(np.uint64)  # (N, 2)
    order = np.lexsort(halves.T)  # stable: equal ones stay in ascending order
    halves = halves[order]
    starts = np.flatnonzero(np.append(True, (halves[1:] != halves[:-1]).any(axis=1)))
    sizes = np.diff(np.append(starts, len(members)))
    return sorted(
        members[order[start : start + size]].tolist()
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True)
    )


def look_alikes(thumbs: npt.NDArray[np.uint8], colours: Floats, *, turns: bool = True) -> Iterator[Alike]:
    """Yield the near copies among N grey thumbnails (N, 32, 32); with `turns` also the turned and the cropped ones.

    `colours` (N, 3) are the mean colours: a turned or cropped copy must have the tint of the other, a near copy not.

    In a set of look-alikes (digits, garments on white), where many images have several that pass for copies, only
    the closest count, and crops are not looked for.
    """
    usable = np.flatnonzero(_contrast(thumbs) >= MIN_CONTRAST)
    pictures = thumbs[usable].astype(np.float32)
    views = _Views.of(pictures)
    candidate, same = (STRICT_CANDIDATE, STRICT) if _is_uniform(views) else (CANDIDATE, SAME)
    near = views.confirm(_candidates(views.coarse, views.coarse, candidate, upper=True), views, same)
    yield Alike("near", usable[near], same)
    if not turns:
        return
    known = {(int(a), int(b)) for a, b in near}
    for how, turn in TURNS.items():
        other = views.turned(*turn)
        pairs = _candidates(views.coarse, other.coarse, candidate, upper=how != QUARTER)
        pairs = _of_one_tint(views.confirm(pairs, other, same), colours[usable])
        yield Alike(how, usable[_without(pairs, known)], same)
    if same == SAME:
        pairs = _of_one_tint(_cropped(pictures, features(pictures, 8)), colours[usable])
        yield Alike("cropped", usable[_without(pairs, known)], CROP_SAME)


@dataclass(frozen=True)
class _Views:
    """The features of N images: coarse to find candidates, fine and without the rim to confirm them."""

    coarse: Floats
    fine: Floats
    inner: Floats

    @classmethod
    def of(cls, pictures: Floats) -> "_Views":
        inner = np.ascontiguousarray(pictures[:, 4:-4, 4:-4])  # a common frame makes no copy
        return cls(features(pictures, COARSE), features(pictures, FINE), features(inner, COARSE))

    def turned(self, swap: bool, flip_rows: bool, flip_columns: bool) -> "_Views":
        turn = (swap, flip_rows, flip_columns)
        return _Views(
            turned(self.coarse, COARSE, *turn), turned(self.fine, FINE, *turn), turned(self.inner, COARSE, *turn)
        )

    def confirm(self, pairs: Pairs, other: "_Views", same: float) -> Pairs:
        pairs = pairs[_dot(self.fine, other.fine, pairs) >= same]
        return pairs[_dot(self.inner, other.inner, pairs) >= min(CANDIDATE, same)]


def _is_uniform(views: _Views) -> bool:
    """Return whether many of a sample of images have several that pass for their copies and are none.

    Copies of one image, or a burst of one scene, are all alike each other. The look-alikes of an image that is
    `loose` are not: a digit leans to the left or to the right. A set is uniform when more than one image in a
    hundred is loose, at least 10, and they are in three groups or more than 30; or when one image in ten looks like
    a tenth of the set, which no burst is (X-rays of one body part, one scene seen by a fixed camera).
    """
    count = len(views.coarse)
    sample = rng_for(0, "look-alikes").permutation(count)[:1000]
    pairs = _candidates(views.coarse[sample], views.coarse, CANDIDATE, upper=False)
    if len(pairs) == MAX_PAIRS:
        return True
    pairs = np.stack([sample[pairs[:, 0]], pairs[:, 1]], axis=1)
    pairs = views.confirm(pairs[pairs[:, 0] != pairs[:, 1]], views, SAME)
    num_alike = np.bincount(pairs[:, 0], minlength=count)
    if (num_alike > max(VERY_MANY, 0.1 * count)).sum() > 0.1 * len(sample):
        return True
    crowded = np.flatnonzero(num_alike >= MANY)
    loose = crowded[_cohesion(views, pairs, crowded) < BURST]
    if len(loose) < max(MIN_LOOSE, 0.01 * len(sample)):
        return False
    return len(loose) > SURELY_LOOSE or len(join(pairs[np.isin(pairs[:, 0], loose)])) >= MIN_PLACES


def _cohesion(views: _Views, pairs: Pairs, members: npt.NDArray[np.intp]) -> Floats:
    """Return the share of pairs among the look-alikes of each member that are look-alikes too; 1 is a clique."""
    found = np.empty(len(members), dtype=np.float32)
    for place, index in enumerate(members):
        others = pairs[pairs[:, 0] == index, 1][:MAX_TRIED]
        among = np.stack(np.triu_indices(len(others), 1), axis=1)
        is_alike = _dot(views.coarse, views.coarse, others[among]) >= CANDIDATE
        found[place] = len(views.confirm(others[among[is_alike]], views, SAME)) / len(among)
    return found


def _contrast(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the deviation (N,) of the levels, some thousands at a time: numpy makes float64 of them twice."""
    parts = [thumbs[start : start + 4096].std(axis=(1, 2)) for start in range(0, len(thumbs), 4096)]
    return np.concatenate([np.zeros(0), *parts])


def features(pictures: Floats, count: int) -> Floats:
    """Return (N, count * count) unit vectors of the weighted low frequencies of square images (N, S, S).

    Reference: the cosine transform as in "pHash"; the weights whiten the 1/f amplitude of natural images
    (Field 1987).
    """
    basis = _cosines(pictures.shape[1], count)
    spectrum = basis @ pictures @ basis.T
    vectors = (spectrum * _weights(count)).reshape(len(pictures), count * count)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6)))


def turned(vectors: Floats, count: int, swap: bool, flip_rows: bool, flip_columns: bool) -> Floats:
    """Return the features of the turned images: axes exchanged, then flipped."""
    spectrum = vectors.reshape(-1, count, count)
    sign = np.where(np.arange(count) % 2, -1, 1).astype(np.float32)
    spectrum = spectrum.transpose(0, 2, 1) if swap else spectrum
    spectrum = spectrum * sign[:, None] if flip_rows else spectrum
    spectrum = spectrum * sign if flip_columns else spectrum
    return np.ascontiguousarray(spectrum.reshape(vectors.shape))


def _weights(count: int) -> Floats:
    radius = np.hypot(*np.meshgrid(np.arange(count), np.arange(count), indexing="ij"))
    return np.where(radius <= count, radius, 0).astype(np.float32)


def _cosines(size: int, count: int) -> Floats:
    at, frequency = np.arange(size), np.arange(count)[:, None]
    return np.asarray((np.cos(np.pi * (2 * at + 1) * frequency / (2 * size)) * np.sqrt(2 / size)).astype(np.float32))


def _candidates(left: Floats, right: Floats, least: float, *, upper: bool) -> Pairs:
    """Return the pairs (P, 2) with left[i] . right[j] >= least, i != j; only i < j when `upper`."""
    found: list[Pairs] = [np.zeros((0, 2), dtype=np.intp)]
    room = np.empty(min(ROWS, len(left)) * len(right), dtype=np.float32)  # one block, used again: fresh pages cost more
    for start in range(0, len(left), ROWS):
        first = start if upper else 0
        rows = left[start : start + ROWS]
        block = room[: len(rows) * (len(right) - first)].reshape(len(rows), -1)
        np.matmul(rows, right[first:].T, out=block)
        hit = np.flatnonzero(block.max(axis=1) >= least)  # most rows have none: look for columns in the others only
        at, columns = np.nonzero(block[hit] >= least)
        pairs = np.stack([hit[at] + start, columns + first], axis=1)
        found.append(pairs[pairs[:, 0] < pairs[:, 1] if upper else pairs[:, 0] != pairs[:, 1]])
        if sum(map(len, found)) > MAX_PAIRS:
            break
    return np.concatenate(found)[:MAX_PAIRS]


def _dot(left: Floats, right: Floats, pairs: Pairs) -> Floats:
    """Return left[i] . right[j] for each pair, some thousands at a time."""
    parts = [np.einsum("pd,pd->p", left[chunk[:, 0]], right[chunk[:, 1]]) for chunk in _chunks(pairs, 4096)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _of_one_tint(pairs: Pairs, colours: Floats) -> Pairs:
    tint = colours / np.maximum(colours.sum(axis=1, keepdims=True), 1)
    return np.asarray(pairs[np.abs(tint[pairs[:, 0]] - tint[pairs[:, 1]]).sum(axis=1) <= SAME_TINT])


def _without(pairs: Pairs, known: set[tuple[int, int]]) -> Pairs:
    """Return the pairs not in `known`, each once in ascending order; they are added to it."""
    kept = []
    for a, b in pairs:
        pair = (int(min(a, b)), int(max(a, b)))
        if pair not in known:
            known.add(pair)
            kept.append(pair)
    return np.array(kept, dtype=np.intp).reshape(-1, 2)


def _cropped(pictures: Floats, vectors: Floats) -> Pairs:
    """Return pairs of which the second shows nine tenths of the first: from the middle, a corner or between."""
    found = [np.zeros((0, 2), dtype=np.intp)]
    for down, right in ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
        part = features((_enlarge(down) @ pictures @ _enlarge(right).T).astype(np.float32), 8)
        found.append(_candidates(part, vectors, CROP_CANDIDATE, upper=False))
    pairs = np.unique(np.concatenate(found), axis=0)
    keep = [_best_crop(pictures[chunk[:, 0]], pictures[chunk[:, 1]]) >= CROP_SAME for chunk in _chunks(pairs, 256)]
    return pairs[np.concatenate(keep)] if keep else pairs


def _best_crop(whole: Floats, cut: Floats) -> Floats:
    """Return the best correlation (P,) of the cut images with 9 x 9 parts of the whole ones."""
    count, places = 12, np.linspace(0, 1, 9)
    basis = _cosines(THUMB_PX, count)
    looks = np.concatenate([basis @ _enlarge(place) for place in places])  # every place at once, per axis
    spectra = (looks @ whole @ looks.T).reshape(-1, len(places), count, len(places), count) * _weights(count)[:, None]
    wanted = features(cut, count).reshape(-1, count, count)
    products = np.einsum("pyvxu,pvu->pyx", spectra, wanted)
    lengths = np.sqrt(np.einsum("pyvxu,pyvxu->pyx", spectra, spectra))
    return np.asarray((products / np.maximum(lengths, 1e-6)).max(axis=(1, 2)).astype(np.float32))


def _enlarge(place: float) -> Floats:
    """Return the (32, 32) matrix of linear interpolation from 0.9 of 32 pixels, at 0 (start) to 1 (end), to 32."""
    start = place * (1 - CROP_SIDE) * THUMB_PX
    at = np.clip(start + (np.arange(THUMB_PX) + 0.5) * CROP_SIDE - 0.5, 0, THUMB_PX - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(THUMB_PX))).astype(np.float32))


def _chunks(pairs: Pairs, size: int) -> Iterator[Pairs]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def join(pairs: Pairs) -> list[list[int]]:
    """Return the connected groups of pairs, each sorted, in the order of their first member.

    Example:
        >>> join(np.array([[4, 1], [1, 7], [2, 3]]))
        [[1, 4, 7], [2, 3]]
    """
    above: dict[int, int] = {}

    def top(index: int) -> int:
        while above.setdefault(index, index) != index:
            above[index] = above[above[index]]
            index = above[index]
        return index

    for a, b in pairs.tolist():
        low, high = sorted((top(a), top(b)))
        above[high] = low
    groups: dict[int, list[int]] = {}
    for index in sorted(above):
        groups.setdefault(top(index), []).append(index)
    return [groups[key] for key in sorted(groups)]
