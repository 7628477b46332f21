"""Splits: stratified, grouped on request, and a function of the seed and the ids only (never of file order)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from striate.base.seeds import seed_for

Indices = npt.NDArray[np.intp]


def shuffled(ids: Sequence[str], seed: int) -> Indices:
    """Return positions of `ids` in an order that depends on the seed and the ids alone."""
    keys = np.array([seed_for(seed, "split", name) for name in ids], dtype=np.uint64)
    return np.argsort(keys, kind="stable")


def allocate(counts: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """Share `total` out in proportion to `counts`, never more than is there (largest remainder).

    Example:
        >>> allocate(np.array([10, 20, 3]), 11).tolist()
        [3, 7, 1]
    """
    total = min(total, int(counts.sum()))
    exact = counts * (total / max(1, int(counts.sum())))
    given: npt.NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - given), kind="stable")
    given[order[: total - int(given.sum())]] += 1
    return given


def choose_some(ids: Sequence[str], stratum: npt.NDArray[np.int64], total: int, seed: int) -> Indices:
    """Return `total` positions, sorted, in the proportions of the strata; larger totals contain smaller ones' picks."""
    order = shuffled(ids, seed)
    kinds, counts = np.unique(stratum, return_counts=True)
    wanted = allocate(counts, total)
    picks = [order[stratum[order] == kind][:num] for kind, num in zip(kinds, wanted, strict=True)]
    return np.sort(np.concatenate(picks)) if picks else np.zeros(0, dtype=np.intp)


def assign(
    ids: Sequence[str],
    stratum: npt.NDArray[np.int64],
    shares: Sequence[float],
    seed: int,
    groups: Sequence[str] | None = None,
) -> npt.NDArray[np.int64]:
    """Return the part (index into `shares`) of every image (N,), each stratum divided in the given shares.

    What one stratum loses by rounding the next gets back, so the totals are right to one image as well. With
    `groups`, images of one group get the same part and the shares hold as well as the groups allow.
    """
    part = np.zeros(len(ids), dtype=np.int64)
    share = np.asarray(shares, dtype=np.float64) / sum(shares)
    order = shuffled(ids, seed)
    if groups is not None:
        return _assign_groups(order, stratum, share, groups)
    due = np.zeros(len(share))
    for kind in np.unique(stratum):
        members = order[stratum[order] == kind]
        due += len(members) * share
        counts = np.floor(len(members) * share + 1e-9).astype(np.int64)
        due -= counts
        for _ in range(len(members) - int(counts.sum())):
            lucky = 0 if counts[0] == 0 and share[0] > 0 else int(np.argmax(np.round(due, 9)))
            counts[lucky] += 1
            due[lucky] -= 1
        part[members] = np.repeat(np.arange(len(share)), counts)
    return part


def assign_tags(
    ids: Sequence[str], tags: npt.NDArray[np.generic], shares: Sequence[float], seed: int
) -> npt.NDArray[np.int64]:
    """Return the part (index into `shares`) of every image (N,) with tags (N, K), each tag divided in the given shares.

    Each part has every tag that has as many images as there are parts; of rarer ones the first parts do. Images go one
    by one, those of the rarest tag first, to the part that lacks most of it.

    Reference: Sechidis et al. 2011, On the stratification of multi-label data.

    Example:
        >>> one = np.eye(2, dtype=bool)[[0] * 17 + [1] * 3]
        >>> part = assign_tags([str(n) for n in range(20)], one, (0.7, 0.15, 0.15), seed=0)
        >>> sorted(part[17:].tolist())
        [0, 1, 2]
    """
    has, share = np.asarray(tags).astype(bool), np.asarray(shares, dtype=np.float64) / sum(shares)
    part = np.full(len(ids), -1, dtype=np.int64)
    room = len(ids) * share
    lacks = np.stack([_quota(int(num), share) for num in has.sum(0)], 1).astype(np.float64)
    order = shuffled(ids, seed)
    own = [np.flatnonzero(row) for row in has]
    left = has.sum(0)
    while left.any():
        rarest = int(np.where(left > 0, left, len(ids) + 1).argmin())
        for index in order[has[order, rarest] & (part[order] < 0)]:
            most = np.flatnonzero(lacks[:, rarest] == lacks[:, rarest].max())
            part[index] = best = most[room[most].argmax()]
            lacks[best, own[index]] -= 1
            left[own[index]] -= 1
            room[best] -= 1
    for index in order[part[order] < 0]:
        part[index] = best = int(np.round(room, 9).argmax())
        room[best] -= 1
    return part


def _quota(num: int, share: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Share `num` images out in these shares, but none for a part only where there are not enough."""
    found = allocate(np.round(share * 1_000_000).astype(np.int64), num)
    for poor in range(len(share)):
        rich = int(found.argmax())
        if found[poor] == 0 and found[rich] > 1:
            found[poor], found[rich] = 1, found[rich] - 1
    return found


def _assign_groups(
    order: Indices, stratum: npt.NDArray[np.int64], share: npt.NDArray[np.float64], groups: Sequence[str]
) -> npt.NDArray[np.int64]:
    kinds, kind_index = np.unique(stratum, return_inverse=True)
    members: dict[str, list[int]] = {}
    for index in order:  # so that equal sizes come in the seed's order
        members.setdefault(groups[index], []).append(int(index))
    wanted = np.bincount(kind_index, minlength=len(kinds))[None, :] * share[:, None]
    have = np.zeros_like(wanted)
    part = np.zeros(len(order), dtype=np.int64)
    for group in sorted(members.values(), key=len, reverse=True):
        adds = np.bincount(kind_index[group], minlength=len(kinds))
        # the part that most lacks these classes, relative to its size
        lack = ((wanted - have) * adds / np.maximum(wanted, 1e-9)).sum(axis=1)
        best = int(np.argmax(lack))
        have[best] += adds
        part[group] = best
    return part
