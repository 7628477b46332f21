"""What the check says of a dataset: one finding a problem, with the files it is about."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..sample import Dataset
from .scan import Scan

SEVERITIES = ("error", "warning", "note")
MAX_DETAILS = 50
MAX_LINES, LINE = 5, 110  # of findings on a terminal, and characters in each


@dataclass(frozen=True)
class Finding:
    """One thing found.

    `severity`: "error" (a training stops at it), "warning" (results would suffer) or "note" (good to know);
    `ids` are the images it is about; `text` says it in a sentence, `fix` what to do; `reasons` say of each of `ids` why
    it cannot be used, where that is so.
    """

    kind: str
    severity: str
    ids: tuple[str, ...]
    text: str
    fix: str = ""
    reasons: tuple[str, ...] = ()

    def __repr__(self) -> str:
        about = f" [{plural(len(self.ids), 'image')}]" if self.ids else ""
        return f"Finding({self.kind!r}, {self.severity}: {shown(self.text, LINE)}{about})"


@dataclass(frozen=True)
class Findings:
    """All findings on a dataset, errors first; `bad` are the sorted indices of images that cannot be used."""

    items: tuple[Finding, ...]
    bad: npt.NDArray[np.intp]
    scan: Scan = field(repr=False)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        lines = [f"  {item.severity}: {shown(item.text, LINE)}" for item in self.items[:MAX_LINES]]
        more = [f"  and {len(self) - MAX_LINES:,} more"] if len(self) > MAX_LINES else []
        return "\n".join([f"Findings({self._tally() or 'nothing found'})", *lines, *more])

    def _repr_html_(self) -> str:
        from ..card import findings_card

        return findings_card(self, self._tally())

    def _tally(self) -> str:
        """How many there are of each severity, the worst first: `1 error, 2 notes`."""
        counts = Counter(item.severity for item in self.items)
        return ", ".join(plural(counts[severity], severity) for severity in SEVERITIES if counts[severity])

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The errors and warnings: what `check --strict` refuses."""
        return tuple(item for item in self.items if item.severity != "note")

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of one kind, for example "near_duplicate"."""
        return tuple(item for item in self.items if item.kind == kind)

    def reasons(self, dataset: Dataset) -> list[tuple[str, str]]:
        """Return id and reason of every image that cannot be used, in the order of the dataset."""
        return [(dataset.ids[index], self.scan.probes[index].problem) for index in self.bad]

    def require_usable(self, dataset: Dataset) -> None:
        """Return if every image can be used.

        Raises:
            DataError: with the first file, the count, and the list in `details`.
        """
        if not len(self.bad):
            return
        reasons = self.reasons(dataset)
        first = dataset.images.path(int(self.bad[0])) or reasons[0][0]
        what = reasons[0][1]
        if len(reasons) > 1:
            what = f"{len(reasons):,} of {plural(len(dataset), 'image')} cannot be used; the first: {what}"
        details = [f"  {shown(name, 120)}: {reason}" for name, reason in reasons[:MAX_DETAILS]]
        if len(reasons) > MAX_DETAILS:
            details.append(f"  and {len(reasons) - MAX_DETAILS:,} more")
        raise DataError(what, where=first, fix="mend or remove", option="--on-bad skip", details=tuple(details))

    def summary(self) -> dict[str, Any]:
        """Return counts of formats and modes, and the smallest, median and largest size (height, width)."""
        seen = [probe for probe in self.scan.probes if probe.mode]
        sizes = np.array([probe.size_hw for probe in seen], dtype=np.int64).reshape(-1, 2)
        areas = sizes.prod(axis=1)
        return {
            "images": len(self.scan.probes),
            "unusable": len(self.bad),
            "formats": dict(Counter(probe.format for probe in seen if probe.format).most_common()),
            "modes": dict(Counter(probe.mode for probe in seen).most_common()),
            "smallest": sizes[areas.argmin()].tolist() if len(sizes) else None,
            "median": np.median(sizes, axis=0).astype(int).tolist() if len(sizes) else None,
            "largest": sizes[areas.argmax()].tolist() if len(sizes) else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        items = [
            {"kind": item.kind, "severity": item.severity, "ids": list(item.ids), "text": item.text, "fix": item.fix}
            for item in self.items
        ]
        return {"summary": self.summary(), "findings": items}


def listed(names: Sequence[str], most: int = 4) -> str:
    """Return the first names as text, and how many more there are.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        'a, b and 1 more'
    """
    said = ", ".join(shown(name, 80) for name in names[:most])
    return said + (f" and {len(names) - most:,} more" if len(names) > most else "")
