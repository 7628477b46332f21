"""What a verdict's numbers mean, before any wording: who is better than whom, by how much, how surely."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from striate.base.text import listed
from striate.evaluate.interval import Difference
from striate.metric import Metric

State = Literal["alone", "best", "tied", "behind", "uncompared"]
Ends = tuple[float | None, float | None]
LEVEL = 0.05


@dataclass(frozen=True)
class Gain:
    """How much better `subject` is than `other` on a split: `size` above 0 is better, also where less of it is.

    `interval` is that of `size`, in favour of the subject; its ends are None where they are not known.
    `is_significant`: it excludes zero; `is_after_correction`: also after Holm's correction for the study's comparisons.
    """

    subject: str
    other: str
    size: float
    interval: Ends
    is_significant: bool
    split: str
    is_after_correction: bool = True

    @classmethod
    def of(cls, row: Mapping[str, Any], mode: str, split: str) -> "Gain":
        """Read a difference of a verdict, which is A minus B in the metric's own unit."""
        low, high = row.get("interval") or (None, None)
        is_kept = row.get("p_holm", 0) < LEVEL
        found = cls(row["a"], row["b"], float(row["mean"]), (low, high), bool(row["separable"]), split, is_kept)
        return found if mode == "max" else replace(found, size=-found.size, interval=_negated(found.interval))

    @classmethod
    def between(cls, subject: str, other: str, found: Difference, mode: str, split: str) -> "Gain":
        """Read the difference of two variants, subject minus other."""
        return cls.of(difference_row(subject, other, found, mode) | {"p_holm": 0.0}, mode, split)

    def turned(self) -> "Gain":
        """Return the same fact with the other one as its subject."""
        return replace(self, subject=self.other, other=self.subject, size=-self.size, interval=_negated(self.interval))

    def of_the_better(self) -> "Gain":
        """Return the same fact with the better one as its subject."""
        return self.turned() if self.size < 0 else self


def difference_row(a: str, b: str, found: Difference, mode: str) -> dict[str, Any]:
    """Return the difference of variants A and B, A minus B, as verdict.json holds it."""
    return {
        "a": a,
        "b": b,
        "mean": found.mean,
        "interval": ends(found.interval),
        "probability": found.probability if mode == "max" else 1 - found.probability,
        "p": found.p,
        "smallest": found.smallest if math.isfinite(found.smallest) else None,
        "separable": found.is_separable,
    }


def ends(interval: Sequence[float]) -> list[float | None]:
    """Return the ends of an interval, None for one that is not known."""
    return [end if math.isfinite(end) else None for end in interval]


def _negated(interval: Ends) -> Ends:
    low, high = (None if end is None else -end for end in interval)
    return high, low


@dataclass(frozen=True)
class Conclusion:
    """What a study found of the variant that validation chose.

    `state`: "best" (significantly better than every other one), "tied" (not so than some), "behind" (some are
    significantly better on the reported images), "uncompared" (some share no finished run with it), "alone" (there is
    no other one). `gains` are its differences from the others, itself the subject; variants that were given up count
    only where they are significantly better.
    """

    best: str
    state: State
    gains: tuple[Gain, ...]
    ties: tuple[str, ...]
    behind: tuple[str, ...]
    uncompared: tuple[str, ...]
    split: str
    num_dropped: int
    is_one_run: bool

    @property
    def headline(self) -> str:
        """The conclusion in a sentence."""
        images = "test images" if self.split == "test" else "validation images of the seeds that both have"
        rest = " of the variants that were not given up" if self.num_dropped else ""
        rest += " (one run each)" if self.is_one_run else ""
        winners = f"{listed(self.behind)} {'is' if len(self.behind) == 1 else 'are'}" if self.behind else ""
        return {
            "alone": f"{self.best} is the only variant with results.",
            "best": f"{self.best} is best{rest}.",
            "tied": "No variant is clearly best.",
            "behind": f"{self.best} is best on validation; on the {images} {winners} significantly better.",
            "uncompared": f"No variant is clearly best: {self.best} has no run that could be compared with "
            f"{listed(self.uncompared)}.",
        }[self.state]


def conclude(verdict: Mapping[str, Any]) -> Conclusion:
    """Return the conclusion of a verdict, from its variants and differences alone."""
    best, split, dropped = verdict["best"], str(verdict["split_reported"]), verdict.get("dropped") or ()
    rows = [row for row in verdict["differences"] if isinstance(row, Mapping) and best in (row.get("a"), row.get("b"))]
    found = [Gain.of(row, verdict["mode"], split) for row in rows if math.isfinite(row.get("mean", math.nan))]
    every = [one if one.subject == best else one.turned() for one in found]
    gains = {one.other: one for one in every if one.other not in dropped or (one.is_significant and one.size < 0)}
    behind = tuple(name for name, one in gains.items() if one.is_significant and one.size < 0)
    ties = tuple(name for name, one in gains.items() if not one.is_significant)
    others = [row["name"] for row in verdict["variants"] if row["name"] != best and row["n"]]
    lost = tuple(name for name in others if name not in gains and name not in dropped)
    state: State = "behind" if behind else "uncompared" if lost else "tied" if ties else "best"
    if not others:
        state = "alone"
    is_one_run = all(row["n"] < 2 for row in verdict["variants"])
    return Conclusion(best, state, tuple(gains.values()), ties, behind, lost, split, len(dropped), is_one_run)


def clause(gain: Gain, say: Metric) -> str:
    """Say a gain, its subject first: `augmented is 2.5 points better than baseline (95% interval ...)`."""
    size = say.amount(gain.size)
    span = f"95% interval {say.span(gain.interval, is_change=True)}"
    if not any(digit in size for digit in "123456789"):
        return f"{gain.subject} and {gain.other} score the same ({span})"
    return f"{gain.subject} is {size} {'better' if gain.size > 0 else 'worse'} than {gain.other} ({span})"


def surely(gain: Gain) -> str:
    """Say how sure a gain is: `significant`, `not significant`, or significant before the correction only."""
    if not gain.is_significant:
        return "not significant"
    return "significant" if gain.is_after_correction else "significant by itself, not after Holm's correction"
