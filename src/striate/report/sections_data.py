"""What the network learned from: counts, class balance, findings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.base.numbers import NA, count, number
from striate.base.text import plural

from .read import SPLIT_WORDS, at, input_text

OPTIONS = {  # of `open_dataset`, in the words of a reader who did not type them
    "target": "target",
    "task": "opened for the task",
    "seed": "seed of the split",
    "group": "kept in one split (regular expression)",
    "separator": "separator of labels",
    "blank": "blank cells",
    "split_column": "column of splits",
    "root": "folder of the images",
    "limit": "images of a split, at most",
    "per_class": "images of a class, at most",
    "classes": "classes chosen",
    "top_classes": "largest classes, at most",
    "ignore": "ignored in masks",
    "allow_empty": "classes without images allowed",
}
IN_NOTES = {
    "split",
    "folds",
    "fold",
    "channels",
    "levels",
    "ranges",
}  # where they had an effect, the dataset's notes say so
SEVERITY = {"error": "problem", "warning": "warning", "note": "note"}


@dataclass(frozen=True)
class ClassCount:
    """One class: images in each split and the length of its bar, 0..100, of the training split."""

    name: str
    counts: list[str]
    bar: float


def data(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dataset's summary from a run.json or study.json."""
    dataset = at(info, "dataset", {})
    counts = {split: number(at(dataset, f"counts.{split}")) for split in SPLIT_WORDS}
    known = [value for value in counts.values() if value is not None]
    classes = [str(name) for name in at(dataset, "classes", [])]
    rows = _class_counts(dataset, classes)
    return {
        "name": str(at(dataset, "name") or NA),
        "where": str(at(dataset, "where", "")),
        "fingerprint": str(at(dataset, "fingerprint", "")),
        "splits": [
            (SPLIT_WORDS[split], count(num), 100 * (num or 0) / (sum(known) or 1)) for split, num in counts.items()
        ],
        "total": count(sum(known)) if known else NA,
        "classes": rows,
        "sentence": _balance_sentence(dataset, classes),
        "findings": _findings(dataset),
        "notes": [str(note) for note in at(dataset, "notes", [])],
        "options": [
            (OPTIONS.get(str(key), str(key).replace("_", " ")), str(value) if key == "seed" else _written(value))
            for key, value in at(dataset, "options", {}).items()
            if key not in IN_NOTES and value not in (None, "", [], {}, 0)
        ],
        "input": _input(info),
    }


def _written(value: Any) -> str:
    """Write an option's value for a person.

    Example:
        >>> _written({"train": 4000, "val": 100}), _written(["cat", "dog"]), _written(True), _written("csv")
        ('train 4,000, val 100', 'cat, dog', 'yes', 'csv')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_written(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value))
    return "yes" if value is True else f"{value:,}" if isinstance(value, int) else str(value)


def _class_counts(dataset: Mapping[str, Any], classes: list[str]) -> list[ClassCount]:
    given = at(dataset, "class_counts", {})
    columns = {
        split: given[split]
        for split in SPLIT_WORDS
        if isinstance(given.get(split), list) and len(given[split]) == len(classes)
    }
    if not columns:
        return []
    bars = columns.get("train") or next(iter(columns.values()))
    most = max((number(value) or 0 for value in bars), default=0) or 1
    return [
        ClassCount(
            name,
            [count(columns[split][k]) if split in columns else NA for split in SPLIT_WORDS],
            100 * (number(bars[k]) or 0) / most,
        )
        for k, name in enumerate(classes)
    ]


def _balance_sentence(dataset: Mapping[str, Any], classes: list[str]) -> str:
    given = at(dataset, "class_counts.train", [])
    sizes = [number(value) or 0 for value in given] if isinstance(given, list) else []
    if len(sizes) < 2 or len(sizes) != len(classes):
        return ""
    large, small = max(range(len(sizes)), key=sizes.__getitem__), min(range(len(sizes)), key=sizes.__getitem__)
    if sizes[large] == sizes[small]:
        return f"All {len(sizes)} classes have {plural(int(sizes[0]), 'training image')}."
    if not sizes[small]:
        return f"{classes[small]} has no training image: it cannot be learned."
    ratio = sizes[large] / sizes[small]
    verdict = "nearly balanced" if ratio < 1.5 else "somewhat unbalanced" if ratio < 4 else "strongly unbalanced"
    return (
        f"{len(sizes)} classes, {verdict}: from {count(sizes[small])} training images ({classes[small]}) "
        f"to {count(sizes[large])} ({classes[large]})."
    )


def _findings(dataset: Mapping[str, Any]) -> list[dict[str, str]]:
    order = list(SEVERITY)
    rows = [row for row in at(dataset, "findings", []) if isinstance(row, Mapping)]
    rows.sort(key=lambda row: order.index(row.get("severity", "note")) if row.get("severity") in order else len(order))
    return [
        {
            "severity": str(row.get("severity") if row.get("severity") in SEVERITY else "note"),
            "word": SEVERITY.get(str(row.get("severity")), "note"),
            "kind": str(row.get("kind", "")).replace("_", " "),
            "text": str(row.get("text", "")),
        }
        for row in rows
    ]


def _input(info: Mapping[str, Any]) -> str:
    size, fit, channels = input_text(info), at(info, "input.fit"), at(info, "input.channels")
    if not size:
        return ""
    form, box = at(info, "dataset.form"), at(info, "input.box")
    if form == "series":
        return f"The network sees {size} of {plural(channels, 'dimension')}; those of other lengths are resampled."
    if form == "volume":
        fitted = ", padded"
        if box:
            fitted = f"; of {' × '.join(map(str, box))} in random patches in training, in overlapping tiles after it"
        return f"The network sees {size}, {plural(channels, 'channel')}{fitted}."
    colour = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    shape = "a square" if at(info, "input.size_px") is not None else "this aspect"
    how = {"crop": f"cropped to {shape}", "letterbox": f"padded to {shape}", "squash": f"squashed to {shape}"}
    return f"The network sees {size}, {colour}, {how.get(str(fit), str(fit))}."
