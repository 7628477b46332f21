"""Check a dataset before anything is trained on it: every file decoded, copies, leaks, labels, shortcuts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.text import plural, shown

from ..decode import Probe
from ..format import expected_format
from ..sample import Dataset
from ..subset import take
from .duplicates import STRICT, Alike, exact_groups, join, look_alikes
from .finding import SEVERITIES, Finding, Findings, listed
from .labels import class_findings, group_findings, shortcut_findings
from .leaks import leak_findings
from .levels import level_findings
from .scan import Scan, scan

if TYPE_CHECKING:
    from ..geometry import Geometry

MAX_TURNED = 30_000  # beyond, turned and cropped copies are looked for on request only: the time grows with N x N
TINY_PX, LONG = 16, 5.0
ABOUT_PIXELS = ("damaged", "few_levels", "beyond_levels")  # findings that matter to the scores of any network


def prescan(dataset: Dataset, progress: Progress | None = None, *, full: bool = False) -> Findings:
    """Return the images that cannot be used, what is odd about the others and the classes, and leaks of exact copies.

    Every file is decoded once and what is known of it is kept. Near copies, which take longer, are for `check`.
    A file that did not change is not read again. Beyond 50,000 files or a minute the rest is looked at by header,
    unless `full`: what is to be skipped must be known before anything is built on the dataset.
    """
    seen = scan(dataset, full=full, progress=progress)
    return _findings(
        seen,
        [
            *_left_out_findings(dataset),
            *_reading_findings(dataset),
            *_file_findings(dataset, seen),
            *leak_findings(dataset, seen),
            *class_findings(dataset),
            *_target_findings(dataset, seen),
        ],
        dataset.ids,
    )


def check(
    dataset: Dataset, *, full: bool = False, progress: Progress | None = None, geometry: "Geometry | None" = None
) -> Findings:
    """Return everything found in a dataset.

    Unreadable files, odd formats and modes, constant and tiny images, exact and near copies inside and across
    splits (also mirrored, turned and cropped), copies with different labels, small, uneven and missing classes,
    groups in two splits, and classes that size, brightness, border or format alone give away.

    Args:
        full: decode every file anew, however long it takes, and look for turned and cropped copies in any number.
        geometry: how images become what a network sees, to say what is too small there.
    """
    seen = scan(dataset, full=full, is_anew=full, progress=progress)
    found = [
        *_file_findings(dataset, seen),
        *(leak for leak in leak_findings(dataset, seen) if leak.severity == "error"),  # each copy is named below
        *_copy_findings(dataset, seen, full or len(dataset) <= MAX_TURNED, progress or Progress("quiet")),
        *class_findings(dataset),
        *_target_findings(dataset, seen),
        *(dataset.target().findings_at(dataset.ids, _sizes_hw(seen), geometry) if geometry and dataset.targets else ()),
        *group_findings(dataset),
        *shortcut_findings(dataset, seen),
        *_left_out_findings(dataset),
        *_reading_findings(dataset),
        *(Finding("layout", "note", (), text) for text in dataset.notes if not text.startswith("left out: ")),
    ]
    return _findings(seen, found, dataset.ids)


def exclude_bad(dataset: Dataset, findings: Findings) -> Dataset:
    """Return the dataset without the images that cannot be used; every other image stays in its split.

    Raises:
        DataError: nothing is left in a split, or of a class in train.
    """
    if not len(findings.bad):
        return dataset
    good = np.setdiff1d(np.arange(len(dataset), dtype=np.intp), findings.bad)
    note = f"left out: {plural(len(findings.bad), 'image')} that cannot be used"
    kept = take(dataset, good)
    for split, members in kept.splits.items():
        lost = _lost_class(dataset, kept, split)
        if not len(members) or (lost and split == "train"):
            what = f"no image of {split} {f'and class {shown(lost, 40)!r} ' if len(members) else ''}can be used"
            first = findings.reasons(dataset)[0]
            what += f", the first: {shown(first[0], 60)}: {shown(first[1], 60)}"
            raise DataError(what, where=dataset.where, fix="mend the files that `check --fix-list` lists")
    return replace(kept, notes=(*dataset.notes, note))


def skipped_finding(dataset: Dataset, kept: Dataset, findings: Findings) -> Finding | None:
    """Return what `exclude_bad` left out, by split, and the classes that a split lost by it."""
    if not len(findings.bad):
        return None
    ids = tuple(dataset.ids[index] for index in findings.bad)
    counts = [f"{split} {num}" for split, own in dataset.splits.items() if (num := len(own) - len(kept.splits[split]))]
    text = (
        f"skipped {plural(len(ids), 'image')} that cannot be used ({', '.join(counts) or 'in no split'}): {listed(ids)}"
    )
    gone = [f"{shown(lost, 40)!r} in {split}" for split in kept.splits if (lost := _lost_class(dataset, kept, split))]
    text += f"; no image is left of class {', '.join(gone)}" if gone else ""
    return Finding("skipped", "warning", ids, text, "mend or remove them")


def _lost_class(dataset: Dataset, kept: Dataset, split: str) -> str:
    """Return the first class of which only `dataset` has images in a split, or an empty text."""
    target = dataset.target() if dataset.targets else None
    if target is None or not target.is_exclusive:
        return ""
    before, after = target.counts(dataset.splits[split]), kept.target().counts(kept.splits[split])
    lost = np.flatnonzero((before > 0) & (after == 0))
    return target.names[int(lost[0])] if len(lost) else ""


def _findings(seen: Scan, found: Iterable[Finding], ids: tuple[str, ...]) -> Findings:
    errors = [
        Finding("unreadable", "error", (name,), f"{shown(name, 120)}: {probe.problem}", FIX_BAD)
        for name, probe in zip(ids, seen.probes, strict=True)
        if probe.problem
    ]
    items = sorted([*errors, *found], key=lambda item: SEVERITIES.index(item.severity))
    reasons = {name: why for item in items for name, why in zip(item.ids, item.reasons, strict=False)}
    probes = [
        replace(probe, problem=probe.problem or reasons.get(name, ""))
        for name, probe in zip(ids, seen.probes, strict=True)
    ] if reasons else seen.probes  # fmt: skip
    bad = [index for index, probe in enumerate(probes) if probe.problem]
    return Findings(tuple(items), np.array(bad, dtype=np.intp), replace(seen, probes=probes))


FIX_BAD = "replace or remove the file, or use --on-bad skip"


def _left_out_findings(dataset: Dataset) -> Iterator[Finding]:
    """Yield one finding a reason: a warning where a person may miss images, else a note."""
    for one in dataset.left_out:
        yield Finding("left_out", "warning" if one.is_serious else "note", one.names, one.text, one.fix)


def _reading_findings(dataset: Dataset) -> Iterator[Finding]:
    """Yield how the source was read where that could be doubted."""
    for one in dataset.readings:
        yield Finding("reading", "warning" if one.is_doubtful else "note", (), one.text, one.fix)


def _file_findings(dataset: Dataset, seen: Scan) -> Iterator[Finding]:
    """Yield what is odd about files that can be used: one finding a kind, with all files it is about."""
    usable = [(index, probe) for index, probe in enumerate(seen.probes) if not probe.problem and probe.mode]
    for kind, severity, text, is_odd in _ODD:
        odd = [dataset.ids[index] for index, probe in usable if is_odd(dataset.ids[index], probe, dataset.channels)]
        if odd and not (kind in ("tiny", "long") and dataset.usual.form != "image"):
            is_asked_for = kind == "colour_in_grey" and "channels" in dataset.options
            level = "note" if is_asked_for else severity
            yield Finding(kind, level, tuple(odd), f"{plural(len(odd), 'image')} {text}: {listed(odd)}")
    yield from _complaints(dataset, seen)
    yield from level_findings(dataset, seen)
    flat = [dataset.ids[index] for index, _ in usable if seen.is_decoded[index] and _is_constant(seen, index)]
    if flat:
        text = f"{plural(len(flat), 'image')} of one colour only: {listed(flat)}"
        yield Finding("constant", "warning", tuple(flat), text, "remove them: there is nothing to learn from")
    unseen = int((~seen.is_decoded).sum()) - sum(1 for probe in seen.probes if probe.problem and not probe.mode)
    if unseen > 0:
        text = f"{plural(unseen, 'file')} looked at by header only"
        yield Finding("unchecked", "note", (), text, "use check --full to decode them all")


def _target_findings(dataset: Dataset, seen: Scan) -> Iterator[Finding]:
    """Yield what is wrong with the target that is learnt, whatever the images show."""
    if dataset.targets:
        yield from dataset.target().findings(dataset.ids, _sizes_hw(seen))


def _sizes_hw(seen: Scan) -> npt.NDArray[np.int64]:
    """The sizes (N, 2) of the images as they are read, upright."""
    upright = [probe.size_hw[::-1] if probe.orientation > 4 else probe.size_hw for probe in seen.probes]
    return np.array(upright, dtype=np.int64).reshape(-1, 2)


def _complaints(dataset: Dataset, seen: Scan) -> Iterator[Finding]:
    """Yield a finding on images that were read, but not without a complaint of the decoder."""
    said = {dataset.ids[index]: probe.complaint for index, probe in enumerate(seen.probes) if probe.complaint}
    if said:
        which = listed([f"{shown(name, 80)} ({complaint})" for name, complaint in said.items()])
        text = f"{plural(len(said), 'image')} may be damaged, the decoder complained: {which}"
        yield Finding("damaged", "warning", tuple(said), text, "look at them, and replace or remove what is damaged")


def _is_constant(seen: Scan, index: int) -> bool:
    contrast, border = seen.statistics[index, 7], seen.statistics[index, 11]
    used = seen.probes[index].used  # of 16 bits some levels may fall together
    return bool(seen.statistics[index, 0] and contrast == 0 and border == 0 and (used is None or used[0] == used[1]))


def _has_wrong_name(name: str, probe: Probe, channels: int) -> bool:
    return bool(probe.format and expected_format(name) and probe.format != expected_format(name))


def _has_alpha(name: str, probe: Probe, channels: int) -> bool:
    return probe.mode in {"RGBA", "LA", "PA"} and channels in (1, 3)  # of other numbers it is a band


_Test = Callable[[str, Probe, int], bool]
_ODD: tuple[tuple[str, str, str, _Test], ...] = (
    ("wrong_extension", "note", "of another format than their name says", _has_wrong_name),
    ("frames", "warning", "with several frames or pages: the first is used", lambda _, p, c: p.frames > 1),
    ("sixteen_bit", "note", "with 16 bits: read as 8 unless data.depth=16", lambda _, p, c: p.used is not None),
    (
        "colour_in_grey",
        "warning",
        "in colour among grey ones: read as grey (--channels 3 keeps their colour)",
        lambda _, p, c: c == 1 and p.channels == 3,
    ),
    ("grey_in_colour", "note", "in grey among coloured ones: read as RGB", lambda _, p, c: c == 3 and p.channels == 1),
    ("transparent", "note", "with an alpha channel: laid on white", _has_alpha),
    ("cmyk", "note", "in CMYK: converted to RGB", lambda _, p, c: p.mode == "CMYK"),
    ("rotated", "note", "turned upright by EXIF", lambda _, p, c: p.orientation != 1),
    ("tiny", "warning", f"with a side under {TINY_PX} pixels", lambda _, p, c: min(p.size_hw) < TINY_PX),
    (
        "long",
        "note",
        f"more than {LONG:g} times as long as wide",
        lambda _, p, c: max(p.size_hw) > LONG * min(p.size_hw),
    ),
)


def _copy_findings(dataset: Dataset, seen: Scan, turns: bool, progress: Progress) -> Iterator[Finding]:
    usable = seen.usable
    if not len(usable):
        return
    splits = _split_names(dataset)
    groups = exact_groups(seen.digests, usable)
    for group in groups:
        yield from _copies(dataset, splits, group, "duplicate", "are identical", is_exact=True)
    is_single = np.zeros(len(dataset), dtype=bool)
    is_single[seen.summed_up] = True
    for group in groups:
        is_single[np.array(group)[is_single[group]][1:]] = False  # one of them is compared with the others
    single = np.flatnonzero(is_single)
    with progress.bar("comparing images", len(single)) as bar:
        for alike in look_alikes(seen.thumbs[single], seen.statistics[single, 4:7], turns=turns):
            kind, how = _named(alike)
            bar.advance(0, how)
            for group in join(alike.pairs):
                members = [int(single[index]) for index in group]
                yield from _copies(dataset, splits, members, kind, how, is_sure=alike.least < STRICT)
    num_rest = len(usable) - len(seen.summed_up)
    if num_rest and dataset.usual.form == "image":
        sample = f"a sample of {len(usable) - num_rest:,} of {len(usable):,} images"
        text = f"identical images were looked for among all, near copies, blank ones and shortcuts among {sample}"
        yield Finding("unchecked", "note", (), text, "use check --full")
    if not turns and len(single) > 1:
        text = f"turned and cropped copies were not looked for among {len(single):,} images"
        yield Finding("unchecked", "note", (), text, "use check --full")


def _named(alike: Alike) -> tuple[str, str]:
    if alike.how == "near":
        return "near_duplicate", "are nearly identical" if alike.least < STRICT else "are very much alike"
    if alike.how == "cropped":
        return "cropped_duplicate", "are the same but for their rim"
    return "turned_duplicate", f"are the same but {alike.how}"


def _copies(
    dataset: Dataset,
    splits: list[str],
    group: list[int],
    kind: str,
    how: str,
    *,
    is_sure: bool = True,
    is_exact: bool = False,
) -> Iterator[Finding]:
    """Yield a finding on a group of copies: a leak when it is in two splits, and its conflict of labels.

    Leaks, conflicts and exact copies are warnings; near copies inside one split are a note. In a set of look-alikes
    nobody can be sure that two images are one: there all on near copies are notes.
    """
    severe = "warning" if is_sure else "note"
    ids = tuple(dataset.ids[index] for index in group)
    sides = list(dict.fromkeys(splits[index] for index in group if splits[index]))
    is_leak = len(sides) > 1
    where = f" across {' and '.join(sides)}" if is_leak else ""
    text = f"{plural(len(ids), 'image')} {how}{where}: {listed(ids)}"
    fix = "keep them in one split" if is_leak else "keep one of them"
    yield Finding(f"{kind}_leak" if is_leak else kind, severe if is_leak or is_exact else "note", ids, text, fix)
    labels = _labels(dataset, group)
    if len(set(labels)) > 1:
        said = ", ".join(f"{shown(name, 80)} ({label})" for name, label in list(zip(ids, labels, strict=True))[:4])
        text = f"{plural(len(ids), 'image')} {how} but labelled differently: {said}"
        yield Finding("conflicting_labels", severe, ids, text, "find out which label is right")


def _labels(dataset: Dataset, group: list[int]) -> list[str]:
    target = dataset.target() if dataset.targets else None
    return [] if target is None else [text for index in group if (text := target.text(index))]


def _split_names(dataset: Dataset) -> list[str]:
    names = [""] * len(dataset)
    for split, members in dataset.splits.items():
        for index in members:
            names[index] = split
    return names
