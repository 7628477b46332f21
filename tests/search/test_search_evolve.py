"""Evolution: a function of the history; the poor half is cut, the oldest die, the better ones have children."""

import math
from dataclasses import replace

import pytest

from striate.base.files import to_json
from striate.search.evolve import Candidate, Rules, front, lineage, propose
from striate.search.outcome import outcome, sentence
from striate.search.space import Frame, Genome, Limit, Stage, cost, start

FRAME = Frame((8, 8), 1, 3)
FIRST = start(FRAME, 12)
RULES = Rules(FRAME, Limit("macs", cost(FIRST, FRAME)["macs"]), "max", 3, 1, 0, FIRST, population=6, tournament=3)


def candidate(number: int, *scores: float, genome: Genome | None = FIRST, status: str = "", **values) -> Candidate:
    spent = {"macs": values.pop("macs", 100), "parameters": values.pop("parameters", 100)}
    status = status or ("finished" if len(scores) == 3 else "cut")
    return Candidate(number, values.pop("parent", None), "", genome, **spent, scores=scores, status=status)


def evolve(rules: Rules, count: int, score) -> list[Candidate]:
    """A history whose candidates score what `score` says of their genomes."""
    history = [replace(candidate(0, *[score(FIRST)] * 3), **cost(FIRST, FRAME))]
    while len(history) < count:
        found = propose(history, rules)
        values = {"genome": found.genome, "parent": found.parent, **cost(found.genome, FRAME)}
        history.append(candidate(len(history), *[score(found.genome)] * 3, **values))
    return history


def taste(genome: Genome) -> float:
    """A score that likes three kinds of change."""
    return sum((stage.kernel == 5) + (stage.pool == "avg") for stage in genome.stages) + (genome.norm == "group")


@pytest.fixture(scope="module")
def history() -> list[Candidate]:
    return evolve(RULES, 30, taste)


def test_candidates_are_new_within_the_limit_and_the_same_every_time(history):
    genomes = [one.genome for one in history]
    assert len(set(genomes)) == len(genomes)
    assert all(one.macs <= RULES.limit.value for one in history)
    again = propose(history[:17], RULES)
    assert (again.genome, again.parent) == (history[17].genome, history[17].parent)
    assert propose(history[:17], replace(RULES, seed=1)) != again


def test_parents_are_among_the_youngest(history):
    assert all(one.parent >= one.number - RULES.population for one in history[RULES.population :])


def test_the_best_of_a_tournament_is_the_parent():
    rules = replace(RULES, tournament=6)  # everyone alive takes part
    history = evolve(rules, 12, taste)
    for one in history[6:]:
        alive = history[one.number - 6 : one.number]
        assert taste(history[one.parent].genome) == max(taste(rival.genome) for rival in alive)


def test_evolution_gets_better(history):
    first = max(taste(one.genome) for one in history[: RULES.population])
    assert taste(RULES.best(history).genome) > first


def test_a_seed_outside_the_space_has_no_children_and_the_start_comes_first():
    history = [candidate(0, 0.9, 0.9, 0.9, genome=None)]
    assert propose(history, RULES).genome == FIRST
    history.append(candidate(1, 0.1, 0.1, 0.1))
    for number in range(2, 9):
        found = propose(history, RULES)
        assert found.parent
        history.append(candidate(number, 0.5, genome=found.genome))


def test_the_worse_half_is_cut_at_the_rung():
    rivals = [candidate(number, score) for number, score in enumerate((0.1, 0.2, 0.3, 0.4, 0.5))]
    assert [RULES.should_continue(rivals, [score]) for score in (0.29, 0.3, 0.31)] == [False, True, True]
    assert not RULES.should_continue(rivals, [math.nan])
    assert RULES.should_continue(rivals, [0.9, 0.0]), "only the rung counts"
    assert RULES.should_continue(rivals[:2], [0.0]), "too few rivals"
    errors = replace(RULES, mode="min")
    assert [errors.should_continue(rivals, [score]) for score in (0.29, 0.3, 0.31)] == [True, True, False]
    assert replace(RULES, epochs=1).should_continue(rivals, [0.0]), "nothing is left to save"


def test_who_came_further_ranks_higher_and_diverged_last():
    cut, whole = candidate(1, 0.9), candidate(2, 0.1, 0.2, 0.15)
    burst, lost = candidate(3, 0.99, status="diverged"), candidate(4, math.nan, math.nan, math.nan)
    assert sorted([whole, burst, cut], key=RULES.rank) == [burst, cut, whole]
    assert RULES.score(whole) == 0.2
    assert RULES.score(lost) is None
    assert replace(RULES, mode="min").score(whole) == 0.1
    assert RULES.best([candidate(0, 1, 1, 1), cut, whole, burst, lost]) == whole
    assert RULES.best([candidate(0, 1, 1, 1), cut]) is None


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_front_is_what_nothing_beats_at_its_cost(history, mode):
    rules = replace(RULES, mode=mode)
    sign = 1 if mode == "max" else -1
    scored = [(one.macs, sign * taste(one.genome), one.number) for one in history]
    undominated = {
        (macs, score)
        for macs, score, _ in scored
        if not any(m <= macs and s >= score and (m, s) != (macs, score) for m, s, _ in scored)
    }
    assert {(one.macs, sign * taste(one.genome)) for one in front(history, rules)} == undominated


def test_a_lineage_leads_back_to_the_start(history):
    line = lineage(history, 29)
    assert line[0].parent is None
    assert line[-1].number == 29
    assert [one.parent for one in line[1:]] == [one.number for one in line[:-1]]


def test_a_candidate_travels_as_json():
    import json

    one = candidate(3, 0.5, math.nan, genome=Genome(8, "batch", (Stage(widen=1), Stage(widen=1.5))), parent=1)
    back = Candidate.from_json(json.loads(to_json(one.to_json())))
    assert back.genome == one.genome
    assert back.scores[0] == 0.5
    assert math.isnan(back.scores[1])


def verdict(a: str, mean: float, low: float, high: float, mode: str = "max") -> dict:
    names = ["searched", "seed"]
    other = names[1 - names.index(a)]
    row = {"a": a, "b": other, "mean": mean, "interval": [low, high], "separable": low > 0 or high < 0}
    metric = "accuracy" if mode == "max" else "mae"
    return {"metric": metric, "unit": "", "mode": mode, "split_reported": "test", "differences": [row]}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (verdict("searched", 0.02, 0.01, 0.03), "beat its seed: its accuracy on test is 2.0 points better"),
        (verdict("searched", 0.02, 0.01, 0.03), "of the gain 1.0 to 3.0 points"),
        (verdict("seed", 0.02, 0.01, 0.03), "worse than its seed: its accuracy on test is 2.0 points worse"),
        (verdict("seed", 0.02, 0.01, 0.03), "of the gain -3.0 to -1.0 points"),
        (verdict("seed", 0.02, -0.01, 0.05), "did not find a network significantly different from its seed"),
        (
            verdict("searched", -0.5, -0.7, -0.3, "min"),
            "beat its seed: its mean absolute error on test is 0.500 better",
        ),
        (verdict("seed", -0.5, -0.7, -0.3, "min"), "worse than its seed"),
        (verdict("searched", 0.0, -0.2, 0.2), "different from its seed: its accuracy on test is the same (95%"),
    ],
)
def test_the_sentence_says_whether_the_seed_was_beaten(found, said):
    assert said in sentence(found, candidate(0, 0.1), candidate(1, 0.2))


def test_the_outcome_counts_what_became_of_the_candidates(history):
    mixed = [*history, candidate(30, 0.1), candidate(31, 0.1, status="diverged")]
    found = outcome(mixed, RULES, RULES.best(mixed), verdict("searched", 0.02, 0.01, 0.03))
    assert (found["candidates"], found["finished"], found["cut"], found["diverged"]) == (32, 30, 1, 1)
    assert found["lineage"][-1] == found["best"]
