"""Every clause of a rendered verdict against the numbers: who, which way, how much, how surely, on which images."""

import math
import re
from typing import Any

import numpy as np
import pytest

from striate.evaluate.interval import holm
from striate.metric import by_key
from striate.verdict.compare import Comparison, RunResult, VariantResult
from striate.verdict.render import render
from striate.verdict.verdict import verdict_of

NUMBER = r"-?[\d,]*\.?\d+(?:e-?\d+)?"
CLAUSE = re.compile(
    rf"(?P<a>\S+) (?:is (?P<size>{NUMBER}) (?:points|degrees) (?P<way>better|worse) than|and) "
    rf"(?P<b>\S+?)(?: score the same)?"
    rf" \(95% interval (?:(?P<low>{NUMBER}) to (?P<high>{NUMBER}) (?:points|degrees)|n/a)"
)
NAMES = ("baseline", "v1", "is-better", "than", "a.b", "x+1")


def drawn(rng: np.random.Generator) -> Comparison:
    """A random study: ties, wins, wins the wrong way round, no test split, folds, one seed, all right, all wrong."""
    num_variants, num = int(rng.integers(1, 7)), int(rng.choice([6, 40, 300]))
    is_error, folds = bool(rng.random() < 0.3), int(rng.choice([0, 0, 0, 3]))
    keys = [(seed, fold) for seed in range(rng.integers(1, 4)) for fold in (range(folds) if folds else [None])]
    kind, split = rng.choice(["any", "right", "wrong", "alike", "turned"]), rng.choice(["test", "test", "val"])
    entrants = []
    for name in NAMES[:num_variants]:
        skill, trials = rng.uniform(0.2, 0.95), []
        for key in keys if rng.random() < 0.6 else [key for key in keys if rng.random() < 0.5]:
            level = {"right": 1.0, "wrong": 0.0, "alike": 0.7}.get(kind, skill)
            values = rng.gamma(2, 20 * (1 - level) + 0.01, num) if is_error else 1.0 * (rng.random(num) < level)
            good = -skill if kind == "turned" else skill
            val = values.mean() if split == "val" else (50 * (1 - good) if is_error else good)
            trials.append(
                RunResult(key, float(val), float(values.mean()), values, 0.1, None, 20, 20, rng.uniform(9, 99))
            )
        entrants.append(VariantResult(name, "", tuple(trials), (), 1000, 1000))
    done = [one.name for one in entrants if one.trials]
    dropped = tuple(done[2:][: int(rng.random() < 0.2)])
    steps = tuple(name for name in done if name not in dropped) if rng.random() < 0.5 else ()
    metric = by_key("mean_error_deg" if is_error else "accuracy")
    seeds, num_images = len({seed for seed, _ in keys}), num * max(folds, 1)
    series = steps if len(steps) > 2 and steps[0] == "baseline" else ()
    return Comparison(
        metric, str(split), num_images, seeds, folds or None, "baseline", tuple(entrants), dropped, series
    )


def in_favour(found: Comparison, a: str, b: str) -> tuple[float, float, float, bool]:
    """How much better A is than B, its interval and whether it is significant, from the comparison itself."""
    row = found.difference(a, b)
    assert row is not None
    sign, (low, high) = (1 if found.metric.direction == "max" else -1), row.interval
    low, high = (low, high) if sign > 0 else (-high, -low)
    return sign * row.mean, low, high, low > 0 or high < 0


def close(text: str, value: float, found: Comparison) -> bool:
    given = float(text.replace(",", ""))
    return math.isclose(given, 100 * value if found.metric.key == "accuracy" else value, rel_tol=0.006, abs_tol=0.051)


def hold(found: Comparison, sentence: str, verdict: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Hold every clause of a sentence against the numbers; return (better, worse, is significant) of each."""
    held = []
    words = "test" if found.split == "test" else "validation"
    for clause in CLAUSE.finditer(sentence):
        size, low, high, is_significant = in_favour(found, clause["a"], clause["b"])
        if clause["way"]:
            assert close(clause["size"], abs(size), found) and not clause["size"].startswith("-"), sentence
            assert (size > 0) == (clause["way"] == "better"), sentence
        else:
            assert abs(size) < 0.0006 * (1 if found.metric.key == "accuracy" else 100), sentence
        if clause["low"]:
            assert close(clause["low"], low, found) and close(clause["high"], high, found), sentence
        else:
            assert not (math.isfinite(low) and math.isfinite(high)), sentence
        after = sentence[clause.end() :].split(";")[0]
        says_not = sentence.startswith("Not significant") or "not significant" in after
        assert is_significant == (not says_not), sentence
        assert f"on the {words} images" in sentence
        pair = (clause["a"], clause["b"]) if size >= 0 else (clause["b"], clause["a"])
        held.append((*pair, is_significant))
    return held


@pytest.mark.parametrize("seed", range(250))
def test_every_clause_says_what_the_numbers_say(seed: int) -> None:
    found = drawn(np.random.default_rng(seed))
    if not any(one.trials for one in found.entrants if one.name not in found.dropped):
        return
    verdict = verdict_of(found)
    text = render(verdict, 10_000)
    clauses = {one for sentence in verdict["sentences"] for one in hold(found, sentence, verdict)}
    assert all(sentence in text for sentence in verdict["sentences"])
    best, others = verdict["best"], [one.name for one in found.entrants if one.trials and one.name != verdict["best"]]
    vals = {one.name: one.mean("val") for one in found.entrants if one.trials and one.name not in found.dropped}
    assert vals[best] == (max if found.metric.direction == "max" else min)(vals.values())
    compared = {name: in_favour(found, best, name) for name in others if found.difference(best, name)}
    behind = [name for name, (size, *_, is_significant) in compared.items() if is_significant and size < 0]
    ahead = [name for name, (size, *_, is_significant) in compared.items() if is_significant and size > 0]
    ties = [name for name in compared if name not in behind + ahead and name not in found.dropped]
    assert (verdict["behind"], verdict["ties"]) == (behind, ties)
    said = {frozenset(pair[:2]) for pair in clauses}
    assert {frozenset((best, name)) for name in behind + ties} <= said
    headline, left = verdict["headline"], [name for name in others if name not in found.dropped]
    assert verdict["sentences"][0] == headline
    if behind:
        assert headline.startswith(f"{best} is best on validation; on the ")
        assert all(name in headline for name in behind) and headline.endswith("significantly better.")
    elif not others:
        assert headline == f"{best} is the only variant with results."
    elif ties or any(name not in compared for name in left):
        assert headline.startswith("No variant is clearly best")
    else:
        assert headline.startswith(f"{best} is best") and set(ahead) >= set(left)
        assert ("given up" in headline) == bool(found.dropped)
        assert ("(one run each)" in headline) == all(len(one.trials) < 2 for one in found.entrants)


def test_the_draws_hold_every_kind_of_study() -> None:
    states = [verdict_of(drawn(np.random.default_rng(seed)))["state"] for seed in range(250) if _has_runs(seed)]
    assert {state: states.count(state) >= 2 for state in set(states)} == dict.fromkeys(
        ("alone", "best", "tied", "behind", "uncompared"), True
    )


def _has_runs(seed: int) -> bool:
    found = drawn(np.random.default_rng(seed))
    return any(one.trials for one in found.entrants if one.name not in found.dropped)


def closed_testing(p_values: list[float]) -> list[float]:
    """Holm's corrected p values by their definition: the largest Bonferroni p of all subsets with the hypothesis."""
    found = []
    for own in range(len(p_values)):
        masks = [mask for mask in range(1, 2 ** len(p_values)) if mask >> own & 1]
        subsets = [[p for k, p in enumerate(p_values) if mask >> k & 1] for mask in masks]
        found.append(max(min(1.0, len(subset) * min(subset)) for subset in subsets))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_holms_correction_is_that_of_closed_testing(seed: int) -> None:
    p_values = list(np.random.default_rng(seed).beta(0.5, 2, seed % 6 + 1))
    assert holm(p_values) == pytest.approx(closed_testing(p_values))
