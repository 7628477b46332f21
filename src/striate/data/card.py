"""A dataset and its findings as a notebook shows them. What is in memory is enough; no file is read."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from striate.base.html import Html, card, line, quiet, table, text
from striate.base.text import plural, shown

from .sample import Dataset

if TYPE_CHECKING:
    from .check.finding import Finding, Findings
    from .target import Target

MOST_CLASSES, MOST_NOTES, MOST_FINDINGS, MOST_FILES = 20, 8, 30, 5
CHANNELS = {1: "grey", 3: "RGB"}


def dataset_card(dataset: Dataset) -> Html:
    """Return the images of each class and split, the targets and the notes."""
    classes = len(dataset.classes)
    about = [plural(len(dataset), "image"), CHANNELS.get(dataset.channels, plural(dataset.channels, "channel"))]
    about += [plural(classes, "class", "classes")] if classes else []
    unused = len(dataset) - sum(map(len, dataset.splits.values()))
    notes = [f"{plural(unused, 'image')} in no split"] if unused else []
    targets = "; ".join(_said(name, target) for name, target in dataset.targets.items())
    parts = [line(f"targets: {targets}") if targets else Html()]
    parts += [line(quiet(note)) for note in [*notes, *dataset.notes[:MOST_NOTES]]]
    head = ("class" if classes else "", *dataset.splits, "sum")
    return card(dataset.name, ", ".join(about), table(_counts(dataset), head, right=range(1, len(head))), *parts)


def _counts(dataset: Dataset) -> Iterator[Sequence[object]]:
    """Yield a row a class, as far as they are shown, and one of all images."""
    target = dataset.class_target
    if target is not None:
        columns = [target.counts(indices).tolist() for indices in dataset.splits.values()]
        rows = list(zip(*columns, strict=True))
        for name, row in zip(target.classes[:MOST_CLASSES], rows, strict=False):
            yield name, *_with_sum(row)
        if rest := rows[MOST_CLASSES:]:
            name = quiet(f"{plural(len(rest), 'more class', 'more classes')}")
            yield name, *_with_sum([sum(column) for column in zip(*rest, strict=True)])
    yield Html("<b>all images</b>"), *_with_sum([len(indices) for indices in dataset.splits.values()])


def _with_sum(counts: Sequence[int]) -> list[str]:
    return [f"{count:,}" for count in (*counts, sum(counts))]


def _said(name: str, target: "Target") -> str:
    """One target in words: `angle, value in deg (regress)`."""
    words = [shown(name), target.describe() if target.describe() != name else ""]
    return ", ".join(filter(None, words)) + (f" ({target.tasks[0]})" if target.tasks else "")


def findings_card(findings: "Findings", tally: str) -> Html:
    """Return a row a finding, the worst first, with the files it is about; `tally` counts them in words."""
    images = plural(len(findings.scan.probes), "image")
    if not findings.items:
        return card("Nothing found", f"in {images}")
    rows = [_finding(item) for item in findings.items[:MOST_FINDINGS]]
    more = len(findings) - len(rows)
    parts = (line(quiet(f"and {more:,} more; to_dict() has all")),) if more else ()
    return card(tally, f"in {images}", table(rows, ("", "what", "files", "what to do")), *parts)


def _finding(item: "Finding") -> Sequence[object]:
    severity = text(item.severity) if item.severity == "note" else Html(f"<b>{text(item.severity)}</b>")
    names = [text(name, 60) for name in item.ids[:MOST_FILES]]
    if more := len(item.ids) - len(names):
        names.append(quiet(f"and {more:,} more"))
    return severity, item.text, Html("<br>".join(names)), item.fix
