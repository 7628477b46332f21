"""The verdict in plain sentences, each made from the study's numbers; none says more than its interval holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from striate.base.text import duration, plural

from .compare import Comparison, Entrant
from .narrator.symptoms import POOR_SHARE
from .wording import Wording, counted, is_known, listed

MANY_COMPARISONS = 3
NOTICEABLE_GAP = 0.05  # of a share: 5 points
NOTICEABLE_SHARE = 0.1  # of the baseline's gap
NOTICEABLE_RATIO = 0.25  # of an error: a quarter of the reported error
Row = Mapping[str, Any]


def sentences(verdict: Mapping[str, Any], found: Comparison) -> list[str]:
    """Return what the study found: the best, the differences, the cost, overfitting, and what limits all of it."""
    tale = _Tale(verdict, found)
    parts = (tale.best(), tale.differences(), tale.rungs(), tale.cost(), tale.overfitting(), tale.limits())
    return [sentence for part in parts for sentence in part]


class _Tale:
    def __init__(self, verdict: Mapping[str, Any], found: Comparison) -> None:
        self.verdict, self.found = verdict, found
        self.say = Wording(found.metric, found.unit)
        self.rows: dict[str, Row] = {row["name"]: row for row in verdict["variants"]}
        self.name: str = verdict["best"]
        self.row = self.rows[self.name]
        others = (row for row in verdict["differences"] if row["a"] == self.name and row["b"] not in found.dropped)
        self.against = {row["b"]: row for row in others}

    def best(self) -> Iterator[str]:
        test, split = self.row["test"], "test" if self.found.split == "test" else "validation"
        spread = f", spread {self.say.amount(test['std'])}" if is_known(test["std"]) else ""
        verb = "has the best validation score" if self.verdict["ties"] else "is best"
        yield (
            f"{self.name} {verb}: {split} {self.say.name} {self.say.value(test['mean'])}, {self._runs()}"
            f"{spread}, 95% interval {self.say.span(test['interval'])}; it was chosen on validation "
            f"({self.say.value(self.row['val']['mean'])})."
        )

    def differences(self) -> Iterator[str]:
        """The baseline first, then ties, then the others."""
        baseline = self.against.get(self.found.baseline)
        if baseline:
            yield self._against_baseline(baseline)
        elif self.name == self.found.baseline and len(self.rows) > 1:
            yield "It is the baseline itself: no other variant did better on validation."
        others = [row for name, row in self.against.items() if name != self.found.baseline]
        ties = [row for row in others if not row["separable"]]
        if ties:
            yield f"The data cannot tell it from {listed([self._tie(row) for row in ties])}."
        better, worse = ([row for row in others if row["separable"] and self._won(row) == won] for won in (True, False))
        if better:
            yield f"It beats {self._each(better)}."
        if worse:
            yield (
                f"On the {self.found.split} images it is behind {self._each(worse)}; validation did not foresee that: "
                "more validation images or seeds are needed to choose."
            )

    def _against_baseline(self, row: Row) -> str:
        name = f"{row['b']} ({self.say.value(self.rows[row['b']]['test']['mean'])})"
        if not row["separable"]:
            return f"The data cannot tell it from the baseline: {self._tie(row)}."
        if self._won(row):
            return f"It beats {name} by {self._by(row)}."
        return f"On the {self.found.split} images it is behind {name} by {self._by(row)}."

    def _tie(self, row: Row) -> str:
        place = "ahead" if self._won(row) else "behind"
        return f"{row['b']} ({self.say.amount(row['mean'])} {place}, {self._span(row, is_for_a=True)})"

    def _each(self, rows: list[Row]) -> str:
        return listed([f"{row['b']} by {self._by(row)}" for row in rows])

    def _by(self, row: Row) -> str:
        """Amount and interval of a difference, counted in favour of the better of the two."""
        return f"{self.say.amount(row['mean'])} ({self._span(row, is_for_a=self._won(row))})"

    def _span(self, row: Row, is_for_a: bool) -> str:
        return f"95% interval {self._ends(row, is_for_a)}"

    def _ends(self, row: Row, is_for_a: bool) -> str:
        low, high = row["interval"]
        if is_known(low) and is_known(high) and is_for_a != (self.found.mode == "max"):
            low, high = -high, -low
        return self.say.span([low, high], is_change=True)

    def _won(self, row: Row) -> bool:
        return bool((row["mean"] > 0) == (self.found.mode == "max"))

    def rungs(self) -> Iterator[str]:
        """What each rung of a ladder brings on top of the one before it."""
        if steps := self.verdict["rungs"]:
            each = ", then ".join(self._step(row) for row in steps)
            yield f"Gain of each rung over the one before, with 95% intervals: {each}."

    def _step(self, row: Row) -> str:
        sign = "" if row["mean"] == 0 else "+" if self._won(row) else "-"
        unsure = "" if row["separable"] else ", cannot be told from zero"
        return f"{row['a']} {sign}{self.say.amount(row['mean'])} ({self._ends(row, is_for_a=True)}{unsure})"

    def cost(self) -> Iterator[str]:
        other = self.rows.get(self.found.baseline)
        time_s, base_s = self.row["time_s"]["mean"], other["time_s"]["mean"] if other else None
        if time_s is None:
            return
        text = f"A run of it takes {duration(time_s)}"
        if other is not None and other is not self.row and base_s:
            text += f", {_times(time_s / base_s)} {self.found.baseline} ({duration(base_s)})"
        if self.row["parameters"] is not None:
            text += f"; it has {counted(self.row['parameters'])} parameters"
            if other is not None and other is not self.row and other["parameters"] is not None:
                same = other["parameters"] == self.row["parameters"]
                text += f", as many as {other['name']}" if same else f", {other['name']} {counted(other['parameters'])}"
        yield f"{text}."
        yield from self._cheaper()

    def _cheaper(self) -> Iterator[str]:
        ties = [self.rows[name] for name in self.verdict["ties"] if is_known(self.rows[name]["time_s"]["mean"])]
        fastest = min(ties, key=lambda row: row["time_s"]["mean"], default=None)
        if fastest and fastest["time_s"]["mean"] < 0.9 * self.row["time_s"]["mean"]:
            yield (
                f"{fastest['name']}, which the data cannot tell from it, takes {duration(fastest['time_s']['mean'])}"
                f" a run with {counted(fastest['parameters'])} parameters: the cheaper choice."
            )

    def overfitting(self) -> Iterator[str]:
        baseline = self.rows.get(self.found.baseline)
        if baseline is None or not is_known(baseline["gap"]["mean"]):
            return
        gap, name, epoch = baseline["gap"]["mean"], baseline["name"], baseline["overfit_epoch"]
        way = "better" if gap > 0 else "worse"
        fit = f"its {self.say.name} is {self.say.amount(gap)} {way} in training than on validation"
        if not self._is_wide(baseline):
            train = (baseline["val"]["mean"] or 0.0) + gap
            if self.say.is_share and train < POOR_SHARE:
                yield f"{name} underfits: its {self.say.name} is {self.say.value(train)} even in training" + (
                    f" ({self.say.amount(gap)} {way} than on validation), so it has not fitted what it was shown."
                )
            else:
                yield f"{name} hardly overfits: {fit}, so there is little for a remedy to remove."
            return
        turn = (
            "though its validation loss did not turn"
            if epoch is None
            else f"its validation loss rose after epoch {epoch:g}"
        )
        yield f"{name} overfits: {fit}, {turn}."
        if baseline is not self.row and is_known(self.row["gap"]["mean"]):
            yield self._removed(baseline)

    def _removed(self, baseline: Row) -> str:
        before, after = baseline["gap"]["mean"], self.row["gap"]["mean"]
        share = 1 - after / before
        gone = f"{100 * min(share, 1):.0f}% of it is gone" if share >= NOTICEABLE_SHARE else "it has not shrunk"
        change = f"In {self.name} the gap is {'-' if after < 0 else ''}{self.say.amount(after)}: {gone}"
        epoch, base_epoch = self.row["overfit_epoch"], baseline["overfit_epoch"]
        if epoch is None:
            turn = "validation loss did not turn" if base_epoch else ""
        else:
            turn = f"validation loss rose after epoch {epoch:g}"
        return f"{change}{', and ' + turn if turn else ''}."

    def _is_wide(self, row: Row) -> bool:
        gap, score = row["gap"]["mean"], row["val"]["mean"]
        limit = NOTICEABLE_GAP if self.say.is_share else NOTICEABLE_RATIO * abs(score or 0)
        return bool(gap > limit)

    def limits(self) -> Iterator[str]:
        missing = [run for entrant in self.found.entrants for run in self._missing(entrant)]
        if missing:
            named = listed(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            yield f"Not counted: {named}; a variant that fails for some seeds looks better than it is."
        if self.found.folds:
            yield (
                f"Intervals are over {self.found.folds} folds, widened because their training images overlap "
                "(Nadeau and Bengio 2003)."
            )
        elif self.found.num_seeds == 1:
            yield "There is one seed: intervals cover the choice of images, not the luck of training; use --seeds 3."
        if self.found.split != "test":
            yield "There is no test split: these are the validation scores that chose the best, so they flatter it."
        num = len(self.verdict["differences"])
        if num >= MANY_COMPARISONS and any(row["separable"] for row in self.verdict["differences"]):
            yield f"Each of the {num} differences has its own 95% interval; a single narrow win among them may be luck."

    def _missing(self, entrant: Entrant) -> list[str]:
        """Runs that ought to be there; not those that were never begun since their variant had been given up."""
        is_dropped = entrant.name in self.found.dropped
        return [run for run in entrant.missing if not (is_dropped and run.endswith("(missing)"))]

    def _runs(self) -> str:
        num, folds = self.row["n"], self.found.folds
        runs = f"{plural(num, 'run')} ({folds} folds)" if folds else plural(num, "seed")
        return f"{'mean of' if num > 1 else 'from'} {runs} on {plural(self.found.num_images, 'image')}"


def _times(ratio: float) -> str:
    """Return how one duration compares with another: `1.6 times as long as`."""
    if 0.95 < ratio < 1.05:
        return "as long as"
    return f"{ratio:.1f} times as long as" if ratio > 1 else f"{100 * ratio:.0f}% of the time of"
