"""Identical copies of training images in val and test: many are refused before a training, few are said."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.text import plural, shown

from ..sample import SPLITS, Dataset
from ..sources.names import SPLIT_NAMES
from .duplicates import exact_groups
from .finding import MAX_DETAILS, Finding, Findings
from .scan import Scan, digests

KIND = "split_leak"
MAX_SHARE, MIN_COPIES = 0.05, 2  # of the images of val or test: more than this share, and at least so many, are refused
FIX = "remove the copies (striate check DATA lists them)"
Pairs = list[tuple[int, int]]  # a copy, and the first of its originals


def leak_findings(dataset: Dataset, seen: Scan) -> Iterator[Finding]:
    """Yield one finding on the images of val and test that are in train too, and one on those of test that are in val.

    The first is an error when more than 5 % of a split, and at least two images, are copies: its scores would say
    how well the network remembers. Else it is a warning, and so is the second. Copies have the same bytes or the same
    decoded pixels; their digests come from the scan, so this costs 0.1 s for 70,000 images, in files or in memory.
    """
    usable = seen.usable
    side = _sides(dataset)
    groups = exact_groups(seen.digests, usable)
    num_images = np.bincount(side[usable] + 1, minlength=len(SPLITS) + 1)[1:]
    train, val, test = range(len(SPLITS))
    found = {split: _pairs(groups, side, split, train) for split in (val, test)}
    if any(found.values()):
        is_refused = any(len(found[at]) > max(MIN_COPIES - 1, MAX_SHARE * num_images[at]) for at in found)
        counts = " and ".join(f"{len(found[at]):,} of {num_images[at]:,} {SPLITS[at]}" for at in found if found[at])
        pairs = found[val] + found[test]
        text = f"{counts} images {'are' if len(pairs) > 1 else 'is'} also in train"
        yield _finding(dataset, "error" if is_refused else "warning", text, pairs)
    again = _pairs(groups, side, test, val)
    if again:
        text = f"{len(again):,} of {num_images[test]:,} test images {'are' if len(again) > 1 else 'is'} also in val"
        yield _finding(dataset, "warning", text, again)


def copies(dataset: Dataset, members: npt.NDArray[np.intp], train: Dataset, progress: Progress) -> list[int]:
    """Return which `members` of a dataset are exact copies of training images of another one; of usable images only."""
    originals, found = digests(train, progress), digests(dataset, progress)
    known = {originals[index] for index in train.splits["train"].tolist() if index in originals}
    return [index for index in members.tolist() if found.get(index) in known]


def require_apart(dataset: Dataset, findings: Findings) -> None:
    """Return if val and test are not made of training images; it holds whatever `--on-bad` says.

    Raises:
        DataError: with the first pair, the counts of each split, and the pairs in `details`.
    """
    for finding in findings.of(KIND):
        if finding.severity == "error":
            copy, original = finding.ids[:2]
            first = dataset.images.path(dataset.ids.index(copy)) or copy
            what = f"training on {finding.text.partition(' images')[0]} images, the first as {shown(original, 80)}"
            names = [shown(name, 120) for name in finding.ids]
            details = [f"  {a} = {b}" for a, b in zip(names[::2], names[1::2], strict=True)]
            if len(details) > MAX_DETAILS:
                details[MAX_DETAILS:] = [f"  and {len(details) - MAX_DETAILS:,} more"]
            raise DataError(what, where=first, fix=finding.fix, details=tuple(details))


def _sides(dataset: Dataset) -> npt.NDArray[np.intp]:
    """Return the split (N,) of every image as its place in SPLITS, -1 for none."""
    side = np.full(len(dataset), -1, dtype=np.intp)
    for place, split in enumerate(SPLITS):
        side[dataset.splits.get(split, np.zeros(0, dtype=np.intp))] = place
    return side


def _pairs(groups: list[list[int]], side: npt.NDArray[np.intp], split: int, source: int) -> Pairs:
    """Return the images of a split that have a copy in another one, `source`, each with the first of these copies."""
    pairs = []
    for group in groups:
        originals = [index for index in group if side[index] == source]
        pairs += [(index, originals[0]) for index in group if originals and side[index] == split]
    return pairs


def _finding(dataset: Dataset, severity: str, text: str, pairs: Pairs) -> Finding:
    """Return the finding on some pairs: its ids are copy, original, copy, original, ..."""
    ids = tuple(dataset.ids[index] for pair in pairs for index in pair)
    said = ", ".join(f"{shown(a, 80)} = {shown(b, 80)}" for a, b in zip(ids[:8:2], ids[1:8:2], strict=True))
    said += f" and {plural(len(pairs) - 4, 'more', 'more')}" if len(pairs) > 4 else ""
    fix = f"{FIX}, or open {_folder(ids[1])}/ alone" if _folder(ids[1]) != _folder(ids[0]) else FIX
    return Finding(KIND, severity, ids, f"{text}: {said}", fix)


def _folder(name: str) -> str:
    """Return the folder of the split that an image lies in, or "" where the folders are no splits."""
    first = PurePosixPath(name).parts[0]
    return first if "/" in name and first.casefold() in SPLIT_NAMES else ""
