"""Regularised evolution as a function of what was tried so far: the same history gives the same next candidate.

Reference: Real et al., Regularized Evolution for Image Classifier Architecture Search, arXiv:1802.01548; the cut of
poor candidates after Li et al., A System for Massively Parallel Hyperparameter Tuning, arXiv:1810.05934.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Self

from striate.base.errors import SettingsError
from striate.base.seeds import rng_for

from .space import Frame, Genome, Limit, cost, difference, fitted, mutated

POPULATION, TOURNAMENT = 16, 4
FIRST_STEPS = 6  # most changes of the start's first children
MIN_RIVALS = 3  # scores at the rung before a candidate can be cut
MAX_TRIES = 50  # draws of a child that was not there before


@dataclass(frozen=True)
class Candidate:
    """A network that was tried.

    Args:
        parent: number of the candidate it was made from.
        change: from the parent, in words.
        genome: None for a seed network that is not in the space.
        scores: on validation, one an epoch.
        status: "finished", "cut" at the rung, "diverged", or "waiting" before it was trained.
        time_s: of this candidate; `elapsed_s`: of the search up to its end.
    """

    number: int
    parent: int | None
    change: str
    genome: Genome | None
    macs: int
    parameters: int
    scores: tuple[float, ...]
    status: str
    time_s: float = 0.0
    elapsed_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "genome": self.genome.to_json() if self.genome else None}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Return the candidate that `to_json` described; null is a score that was no number."""
        genome = Genome.from_json(table["genome"]) if table["genome"] else None
        scores = tuple(math.nan if score is None else score for score in table["scores"])
        return cls(**{**table, "genome": genome, "scores": scores})


@dataclass(frozen=True)
class Rules:
    """What decides the search, but for the clock.

    Args:
        mode: "max" or "min", of the score.
        epochs: that a candidate trains; `rung`: after which the worse half is cut.
        first: the genome the search begins with; `seed_genome` is it too when the seed network is in the space.
    """

    frame: Frame
    limit: Limit
    mode: str
    epochs: int
    rung: int
    seed: int
    first: Genome
    population: int = POPULATION
    tournament: int = TOURNAMENT

    def signed(self, score: float) -> float:
        """Return the score so that more is better; one that is no number is the worst."""
        return -math.inf if math.isnan(score) else score if self.mode == "max" else -score

    def rank(self, candidate: Candidate) -> tuple[int, float]:
        """Return what candidates are compared by: how far it came, then its best score."""
        if candidate.status == "diverged" or not candidate.scores:
            return -1, -math.inf
        return len(candidate.scores), max(map(self.signed, candidate.scores))

    def score(self, candidate: Candidate) -> float | None:
        """Return the best score of a candidate, None without one."""
        best = max(map(self.signed, candidate.scores), default=-math.inf)
        return None if best == -math.inf else best if self.mode == "max" else -best

    def should_continue(self, history: Sequence[Candidate], scores: Sequence[float]) -> bool:
        """Return whether a candidate with these scores trains on: at the rung, if it is in the better half.

        The rivals are all candidates before it, so that none has to wait for another.
        """
        if len(scores) != self.rung or len(scores) >= self.epochs:
            return True
        rivals = [self.signed(one.scores[self.rung - 1]) for one in history if len(one.scores) >= self.rung]
        return len(rivals) < MIN_RIVALS or self.signed(scores[-1]) >= median(rivals)

    def best(self, history: Sequence[Candidate]) -> Candidate | None:
        """Return the best candidate that went all the way, the seed network apart."""
        found = [one for one in history if one.number and one.status == "finished" and self.score(one) is not None]
        return max(found, key=self.rank, default=None)


@dataclass(frozen=True)
class Proposal:
    """What to try next."""

    parent: int | None
    change: str
    genome: Genome


def propose(history: Sequence[Candidate], rules: Rules) -> Proposal:
    """Return the next candidate, which is not in the history and keeps within the limit.

    The first ones are the start with a few random changes, as wide as the limit allows. Then the best of a tournament
    among the youngest has a child with one change; it too is as wide as the limit allows, unless the change is one of
    width, so that cheaper networks are tried as well.

    Args:
        history: of at least the seed network; those at its end may be waiting to be trained.
    """
    rng = rng_for(rules.seed, "candidate", len(history))
    known = {one.genome for one in history}
    if rules.first not in known:
        return Proposal(None, "the start of the space", rules.first)
    for _ in range(MAX_TRIES):
        is_early = len(history) < rules.population
        if is_early:
            parent = next(one for one in history if one.genome == rules.first)
            num_changes = int(rng.integers(1, FIRST_STEPS + 1))
        else:
            parent, num_changes = _winner(history, rules, rng), 1
        assert parent.genome is not None
        child = parent.genome
        for _ in range(num_changes):
            name, child = mutated(child, rules.frame, rng)
        found = _within(child, rules, keeps_width=name == "width" and not is_early)
        if found is not None and found not in known:
            return Proposal(parent.number, difference(parent.genome, found), found)
    raise SettingsError("no new network was found within the limit", where="search", fix="raise the limit")


def _winner(history: Sequence[Candidate], rules: Rules, rng: Any) -> Candidate:
    """The best of a tournament; the oldest have died, so only the youngest take part."""
    tried = [one for one in history if one.genome is not None and one.status != "waiting"]
    alive = tried[-rules.population :]
    chosen = rng.choice(len(alive), size=min(rules.tournament, len(alive)), replace=False)
    parent: Candidate = max((alive[index] for index in sorted(chosen)), key=rules.rank)
    return parent


def _within(genome: Genome, rules: Rules, *, keeps_width: bool) -> Genome | None:
    if keeps_width and cost(genome, rules.frame)[rules.limit.kind] <= rules.limit.value:
        return genome
    return fitted(genome, rules.frame, rules.limit)


def lineage(history: Sequence[Candidate], number: int) -> list[Candidate]:
    """Return a candidate and its ancestors, the oldest first."""
    line = [history[number]]
    while line[0].parent is not None:
        line.insert(0, history[line[0].parent])
    return line


def front(history: Sequence[Candidate], rules: Rules) -> list[Candidate]:
    """Return the finished candidates that no other one beats at the same cost or less, the cheapest first."""
    scored = [one for one in history if one.status == "finished" and rules.score(one) is not None]
    found: list[Candidate] = []
    for one in sorted(scored, key=lambda one: (getattr(one, rules.limit.kind), -rules.rank(one)[1])):
        if not found or rules.rank(one)[1] > rules.rank(found[-1])[1]:
            found.append(one)
    return found
