"""Unusable files, before anything is trained on a dataset: stop at them, or leave them out and say which."""

from dataclasses import replace
from pathlib import Path

from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data.sample import Dataset

from .check import exclude_bad, prescan, skipped_finding
from .leaks import require_apart


def without_bad(dataset: Dataset, on_bad: str, progress: Progress | None) -> tuple[Dataset, list[tuple[str, str]]]:
    """Decode every file once; stop at unusable ones, or return the dataset without them and (id, reason) of each.

    What else would make results suffer is said, and travels with the dataset into the run folder.

    Raises:
        DataError: a file cannot be used and `on_bad` is "stop", all are listed; or, whatever `on_bad` says, more than
            a few images of val or test are identical copies of training images, see `check_leaks`.
    """
    if on_bad not in {"stop", "skip"}:
        raise SettingsError(f"unknown policy {on_bad!r}", where="--on-bad", fix="choose stop or skip")
    progress = progress or Progress()
    findings = prescan(dataset, full=on_bad == "skip", progress=progress)
    if on_bad == "stop":
        findings.require_usable(dataset)
    require_apart(dataset, findings)
    for item in findings.of("reading"):
        if item.severity == "note":
            progress.line(item.text)
    kept = exclude_bad(dataset, findings)
    skipped = skipped_finding(dataset, kept, findings)
    warnings = [*([skipped] if skipped else []), *(item for item in findings if item.severity == "warning")]
    for item in warnings:
        progress.warn(item.text)
    for item in findings.of("left_out"):
        if item.severity == "note":
            progress.line(item.text)
    said = tuple({"kind": i.kind, "severity": i.severity, "count": len(i.ids), "text": i.text} for i in warnings)
    return replace(kept, findings=said), findings.reasons(dataset)


def write_skipped(folder: Path, skipped: list[tuple[str, str]]) -> None:
    """Write skipped.csv when files were left out."""
    if not skipped:
        return
    import csv
    import io

    from striate.base.files import write_text

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "reason"), *skipped])
    write_text(folder / "skipped.csv", text.getvalue())
