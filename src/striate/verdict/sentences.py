"""The verdict in plain sentences, each made from the study's numbers; none says more than its interval holds."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from striate.base.numbers import counted, is_known, significant
from striate.base.text import duration, listed, plural
from striate.diagnose.symptoms import poor_share

from . import questions
from .compare import Comparison, VariantResult
from .detectable import GOAL
from .facts import Gain, clause, conclude, surely

NOTICEABLE_SHARE = 0.1  # of the baseline's gap
Row = Mapping[str, Any]


def sentences(verdict: Mapping[str, Any], found: Comparison) -> list[str]:
    """Return what the study found: the best, the differences, the cost, overfitting, and what limits all of it."""
    tale = _Tale(verdict, found)
    answers = questions.sentences(verdict["questions"], found)
    parts = (tale.best(), tale.differences(), tale.steps(), answers, tale.cost(), tale.overfitting(), tale.limits())
    return [sentence for part in parts for sentence in part]


class _Tale:
    def __init__(self, verdict: Mapping[str, Any], found: Comparison) -> None:
        self.verdict, self.found = verdict, found
        self.say = found.metric
        self.rows: dict[str, Row] = {row["name"]: row for row in verdict["variants"]}
        self.name: str = verdict["best"]
        self.row = self.rows[self.name]
        self.conclusion = conclude(verdict)
        self.split = "test" if found.split == "test" else "validation"

    def best(self) -> Iterator[str]:
        yield self.conclusion.headline
        test = self.row["test"]
        spread = f", spread {self.say.amount(test['std'])}" if is_known(test["std"]) else ""
        yield (
            f"{self.name}: {self.split} {self.say.name} {self.say.text(test['mean'])}, {self._runs()}"
            f"{spread}, 95% interval {self.say.span(test['interval'])}; it was chosen on validation "
            f"({self.say.text(self.row['val']['mean'])})."
        )

    def differences(self) -> Iterator[str]:
        """Those that are significant, then those that are so by themselves only, then the ties; the baseline first."""
        if self.name == self.found.baseline and len(self.rows) > 1:
            yield f"{self.name} is the baseline itself: no other variant did better on validation."
        gains = sorted(self.conclusion.gains, key=lambda one: one.other != self.found.baseline)
        num = self.verdict["num_comparisons"]
        starts = {
            "significant": f"Significant on the {self.split} images",
            "not significant": f"Not significant on the {self.split} images",
        }
        for sure in dict.fromkeys(["significant", *map(surely, gains), "not significant"]):
            each = [clause(one.of_the_better(), self.say) for one in gains if surely(one) == sure]
            start = starts.get(sure) or (
                f"Significant on the {self.split} images by itself, not after Holm's correction for {num} comparisons"
            )
            if each:
                yield f"{start}: {'; '.join(each)}."
        if self.conclusion.ties:
            yield from self._detectable()
        if self.conclusion.behind:
            yield "Validation did not foresee that: more validation images or seeds are needed to choose."

    def _detectable(self) -> Iterator[str]:
        """What this study could have found: the variance of its own differences says it."""
        rows = [row for row in self.verdict["differences"] if self.name in (row["a"], row["b"])]
        known = [row["smallest"] for row in rows if is_known(row["smallest"])]
        if known:
            least, goal = median(known), GOAL
            text = f"A true difference of {self.say.amount(least)} would be found in 80% of such studies"
            if self.say.is_share and least > goal:
                times = (least / goal) ** 2
                more = f"{times:,.{0 if times >= 10 else 1}f}"
                text += f"; to find {self.say.amount(goal)}, about {more} times as many seeds and test images"
            yield f"{text}."

    def steps(self) -> Iterator[str]:
        """What each step of an ablation series brings on top of the one before it."""
        steps = [Gain.of(row, self.found.metric.direction, self.found.split) for row in self.verdict["steps"]]
        if steps:
            each = "; ".join(f"{clause(one, self.say)[:-1]}, {surely(one)})" for one in steps)
            yield f"Step by step on the {self.split} images: {each}."

    def cost(self) -> Iterator[str]:
        other = self.rows.get(self.found.baseline)
        time_s, base_s = self.row["time_s"]["mean"], other["time_s"]["mean"] if other else None
        if time_s is None:
            return
        text = f"A run of {self.name} takes {duration(time_s)}"
        if other is not None and other is not self.row and base_s:
            text += f", {_times(time_s / base_s)} {self.found.baseline} ({duration(base_s)})"
        if self.row["parameters"] is not None:
            text += f"; it has {counted(self.row['parameters'])} parameters"
            if other is not None and other is not self.row and other["parameters"] is not None:
                same = other["parameters"] == self.row["parameters"]
                text += f", as many as {other['name']}" if same else f", {other['name']} {counted(other['parameters'])}"
        yield f"{text}."
        yield from self._cheaper()
        yield from self._part_times()

    def _part_times(self) -> Iterator[str]:
        """Say what an image takes with each variant, the fastest first, where that has parts."""
        known = {row["name"]: parts for row in self.verdict["variants"] if (parts := row.get("part_times_ms"))}
        if len(known) < 2:
            return
        each = [
            f"{name} {significant(sum(parts.values()))} ms ("
            f"{', '.join(f'{part} {significant(ms)}' for part, ms in parts.items())})"
            for name, parts in sorted(known.items(), key=lambda row: sum(row[1].values()))
        ]
        yield f"An image alone takes: {'; '.join(each)}."

    def _cheaper(self) -> Iterator[str]:
        ties = [self.rows[name] for name in self.verdict["ties"] if is_known(self.rows[name]["time_s"]["mean"])]
        fastest = min(ties, key=lambda row: row["time_s"]["mean"], default=None)
        if fastest and fastest["time_s"]["mean"] < 0.9 * self.row["time_s"]["mean"]:
            yield (
                f"{fastest['name']}, not significantly different from {self.name} on the {self.split} images, takes "
                f"{duration(fastest['time_s']['mean'])} a run with {counted(fastest['parameters'])} parameters: the "
                "cheaper choice."
            )

    def overfitting(self) -> Iterator[str]:
        baseline = self.rows.get(self.found.baseline)
        if baseline is None or not is_known(baseline["gap"]["mean"]):
            return
        gap, name, epoch = baseline["gap"]["mean"], baseline["name"], baseline["overfit_epoch"]
        is_level = self.say.amount(gap) == self.say.amount(0.0)
        way = "as good{} as" if is_level else f"{self.say.amount(gap)} {'better' if gap > 0 else 'worse'}{{}} than"
        fit = f"its {self.say.name} is {way.format(' in training')} on validation"
        num_over, num = self._overfit_runs(name)
        if 2 * num_over <= num:
            train = (baseline["val"]["mean"] or 0.0) + gap
            if self.say.is_share and train < poor_share(self.say.key):
                yield f"{name} underfits: its {self.say.name} is {self.say.text(train)} even in training" + (
                    f" ({way.format('')} on validation), so it has not fitted what it was shown."
                )
            elif num_over:
                yield f"{name} overfits in {num_over} of {plural(num, 'run')}: on average {fit}."
            else:
                yield f"{name} hardly overfits: {fit}, so there is little for regularization to remove."
            return
        turn = (
            "though its validation loss did not turn"
            if epoch is None
            else f"its validation loss rose after epoch {epoch:g}"
        )
        some = f" in {num_over} of {plural(num, 'run')}" if num_over < num else ""
        yield f"{name} overfits{some}: {fit}, {turn}."
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

    def _overfit_runs(self, name: str) -> tuple[int, int]:
        """How many of a variant's runs overfit, as each is read by itself, of those for which that is known."""
        known = [one.is_overfit for one in self.found[name].trials if one.is_overfit is not None]
        return sum(known), len(known)

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

    def _missing(self, entrant: VariantResult) -> list[str]:
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
