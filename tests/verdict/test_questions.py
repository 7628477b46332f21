"""What a verdict says of a part of a network: does it matter, where, at what cost; against the numbers themselves."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from striate.evaluate.interval import holm, paired_difference
from striate.metric.boundary import boundary_iou, interior_iou
from striate.metric.iou import mean_iou
from striate.studies.plan import task_series
from striate.task import Question
from striate.task.segment import Segment
from striate.verdict.compare import Comparison, RunResult, VariantResult
from striate.verdict.questions import answered
from striate.verdict.verdict import verdict_of

NUMBER = r"[−-]?\d+\.\d"
SPAN = rf"95% interval (?P<{{}}low>{NUMBER}) to (?P<{{}}high>{NUMBER}) points"
CLAUSE = re.compile(
    rf"(?P<a>[\w-]+) (?:is (?P<size>{NUMBER}) points (?P<way>better|worse) than|and) (?P<b>[\w-]+)(?: score the same)? "
    rf"\({SPAN.format('', '')}, (?P<sure>[^)]*)\)"
)
WHERE = re.compile(
    rf"against (?P<b>[\w-]+): mean IoU at boundaries \(within 2 px\) \+?(?P<near>{NUMBER}) points "
    rf"\({SPAN.format('n', 'n')}, (?P<nsure>[^)]*)\), mean IoU inside \+?(?P<far>{NUMBER}) points "
    rf"\({SPAN.format('f', 'f')}, (?P<fsure>[^)]*)\); (?P<note>.*) \(difference of the gains \+?(?P<more>{NUMBER}) "
    rf"points, {SPAN.format('m', 'm')}\)"
)
OTHERS = ("strided", "unpooling", "nearest")


def drawn(rng: np.random.Generator) -> Comparison:
    """A random study: parts that help everywhere, at boundaries, nowhere, that harm; one seed; a variant not done."""
    num, keys = int(rng.choice([8, 60, 400])), [(seed, None) for seed in range(rng.integers(1, 4))]
    effect, entrants = rng.choice([-0.2, 0.0, 0.0, 0.1, 0.3]), []
    near_only = rng.random() < 0.5
    for name in ("strided", "unpooling", "nearest", "unet"):
        more = effect if name == "unet" else rng.choice([0.0, 0.0, 0.05])
        trials = []
        for key in keys if rng.random() < 0.9 else keys[:0]:
            near = np.clip(0.4 + more + rng.normal(0, 0.15, num), 0, 1)
            far = np.clip(0.6 + (0 if near_only else more) + rng.normal(0, 0.15, num), 0, 1)
            whole = (near + far) / 2
            if rng.random() < 0.03:
                near = near * math.nan
            row = (float(whole.mean()), float(whole.mean()), whole, 0.1, None, 20, 20, rng.uniform(20, 59))
            trials.append(RunResult(key, *row, regions=(near, far)))
        entrants.append(VariantResult(name, "", tuple(trials), (), 1000, 1000))
    asked = (Question("skip connections", "unet", OTHERS),)
    regions = (boundary_iou(3), interior_iou(3))
    options = {"questions": asked, "regions": regions, "region_text": "within 2 px"}
    return Comparison(mean_iou(3), "test", num, len(keys), None, "strided", tuple(entrants), **options)


def tables(found, name, place):
    trials = found[name].scored.values()
    return np.stack([one.values if place is None else one.regions[place] for one in trials])


def same(text: str, value: float) -> bool:
    return abs(float(text.replace("−", "-")) - 100 * value) <= 0.051


def holds(match: re.Match[str], prefix: str, mean: str, expected) -> None:
    assert same(match[mean], expected.mean)
    assert same(match[f"{prefix}low"], expected.interval[0]) and same(match[f"{prefix}high"], expected.interval[1])


def sure(expected, p: float) -> str:
    if not expected.is_separable:
        return "not significant"
    return "significant" if p < 0.05 else "significant by itself, not after Holm's correction"


@pytest.mark.parametrize("seed", range(120))
def test_what_is_said_of_a_part_is_what_the_numbers_say(seed):
    found = drawn(np.random.default_rng(seed))
    if not any(one.trials for one in found.entrants):
        return
    verdict = verdict_of(found)
    others = [name for name in OTHERS if found["unet"].trials and found[name].trials]
    said = [one for one in verdict["sentences"] if one.startswith("Skip connections: ")]
    assert len(said) == bool(others)
    if not others:
        assert verdict["questions"] == []
        return
    clauses = list(CLAUSE.finditer(said[0]))
    assert [{one["a"], one["b"]} for one in clauses] == [{"unet", name} for name in others]
    gains = []
    for match, name in zip(clauses, others, strict=True):
        expected = paired_difference(tables(found, "unet", None), tables(found, name, None), possible=(0, 1))
        sign = 1 if match["a"] == "unet" else -1
        assert sign == 1 and same(match["low"], expected.interval[0]) and same(match["high"], expected.interval[1])
        if match["size"]:
            assert same(match["size"], abs(expected.mean)) and (match["way"] == "better") == (expected.mean > 0)
        assert (match["sure"] != "not significant") == expected.is_separable
        gains.append(expected)
    better = [one.is_separable and one.mean > 0 for one in gains]
    worse = [one.is_separable and one.mean < 0 for one in gains]
    conclusion = said[0].split(": ")[1]
    assert conclusion == {
        (True, False): "better with than without on the test images",
        (False, True): "worse with than without on the test images",
    }.get(
        (all(better), all(worse)),
        f"{'no one answer' if any(better + worse) else 'no significant difference'} on the test images",
    )
    hold_places(found, verdict, [name for name in others if knows_places(found, name)])
    (cost,) = [one for one in verdict["sentences"] if one.startswith("What skip connections cost: ")]
    seconds = dict(re.findall(r"([\w-]+) (\d+) s a run, 1,?000 parameters", cost))
    assert list(seconds) == ["unet", *others]
    assert all(abs(float(text) - found[name].mean("time_s")) <= 0.5 for name, text in seconds.items())


def knows_places(found, name):
    return all(np.isfinite(tables(found, one, place)).all() for one in ("unet", name) for place in (0, 1))


def hold_places(found, verdict, others):
    said = [one for one in verdict["sentences"] if one.startswith("Where, on the test images, unet against ")]
    matches = [WHERE.search(one) for one in said]
    assert [one["b"] for one in matches] == others
    expected = {}
    for name in others:
        (a, b), (c, d) = ([tables(found, one, place) for place in (0, 1)] for one in ("unet", name))
        pairs = ((a, c, (0, 1)), (b, d, (0, 1)), (a - b, c - d, (-1, 1)))
        expected[name] = [paired_difference(one, other, possible=ends) for one, other, ends in pairs]
    corrected = [holm([rows[place].p for rows in expected.values()]) for place in (0, 1, 2)]
    for number, (match, name) in enumerate(zip(matches, others, strict=True)):
        near, far, more = expected[name]
        holds(match, "n", "near", near)
        holds(match, "f", "far", far)
        holds(match, "m", "more", more)
        assert match["nsure"] == sure(near, corrected[0][number]) and match["fsure"] == sure(far, corrected[1][number])
        word = "larger" if more.mean > 0 else "smaller"
        told = f"the gain in the first is {word}" if more.is_separable else "no significant difference"
        assert match["note"] == told


def test_the_draws_hold_every_answer():
    said = [s for seed in range(120) for s in verdict_of(drawn(np.random.default_rng(seed)))["sentences"]]
    for words in ("better with than", "worse with than", "no one answer", "no significant difference on the test"):
        assert any(one.startswith("Skip") and words in one for one in said), words
    for words in ("first is larger", "first is smaller", "; no significant difference"):
        assert any(one.startswith("Where") and words in one for one in said), words


def plain(**changes):
    """The steps of the task as study.json holds them."""
    return [one.to_json() | changes.get(one.name.replace("-", "_"), {}) for one in task_series(Segment, is_full=True)]


TASK = Segment("mask", ("a", "b"))


def test_what_an_image_takes_is_said_part_by_part():
    found, times_ms = (
        drawn(np.random.default_rng(0)),
        iter([{"search": 300.0, "net": 12.0}, {"search": 0.5, "net": 20.0}]),
    )
    given = [
        replace(one, trials=tuple(replace(run, part_times_ms=parts) for run in one.trials))
        for one, parts in ((one, next(times_ms, {})) for one in found.entrants)
    ]
    assert not [one for one in verdict_of(found)["sentences"] if "An image alone" in one]
    (said,) = (one for one in verdict_of(replace(found, entrants=tuple(given)))["sentences"] if "An image alone" in one)
    first, second = (one.name for one in given[:2])
    parts = f"{second} 20.5 ms (search 0.500, net 20.0); {first} 312 ms (search 300, net 12.0)"
    assert said == f"An image alone takes: {parts}."


def test_a_question_is_answered_by_steps_that_were_trained_alike():
    skip, regularization = answered(TASK, plain())
    assert (skip.subject, skip.others) == ("unet", ("unpooling", "nearest", "strided"))
    assert (regularization.subject, regularization.others) == ("unet-regularized", ("unet",))
    other_recipe = {"recipe": plain()[-1]["recipe"]}
    (skip, _) = answered(TASK, plain(nearest=other_recipe))
    assert skip.others == ("unpooling", "strided")
    assert answered(TASK, plain(unet={"model": "segnet"})) == ()
    assert answered(TASK, plain()[:2]) == ()
    assert [one.what for one in answered(TASK, plain()[3:])] == ["regularization"]
