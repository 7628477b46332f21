"""The verdict finds what was planted, and says no more than the data hold."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from striate.base.errors import ModelError
from striate.base.files import to_json
from striate.base.rundir import StudyDir
from striate.diagnose.symptoms import poor_share
from striate.metric import by_key
from striate.verdict.verdict import decide, render

Plant = Callable[..., StudyDir]


def row(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in verdict["variants"] if one["name"] == name)


def difference(verdict: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    return next(one for one in verdict["differences"] if (one["a"], one["b"]) == (a, b))


def text(verdict: dict[str, Any]) -> str:
    return " ".join(verdict["sentences"])


def test_the_document_has_exactly_the_promised_keys(plant: Plant) -> None:
    verdict = decide(plant({"mlp": 0.5, "baseline": 0.7, "regularized": 0.85}))
    assert set(verdict) == {
        *("metric", "mode", "unit", "split_chosen_on", "split_reported", "best", "ties", "variants", "differences"),
        *("sentences", "baseline", "advice", "learning_curve", "steps", "dropped"),
        *("headline", "state", "behind", "num_comparisons", "metric_words", "questions"),
    }
    assert set(verdict["variants"][0]) == {
        *("name", "text", "n", "val", "test", "gap", "can_turn", "overfit_epoch", "best_epoch", "time_s"),
        *("part_times_ms", "parameters", "macs"),
    }
    assert set(row(verdict, "mlp")["test"]) == {"mean", "std", "values", "interval"}
    assert set(verdict["differences"][0]) == {
        "a",
        "b",
        "mean",
        "interval",
        "probability",
        "p",
        "p_holm",
        "smallest",
        "separable",
    }
    assert [one["name"] for one in verdict["variants"]] == ["mlp", "baseline", "regularized"]
    pairs = [(one["a"], one["b"]) for one in verdict["differences"]]
    assert pairs == [("regularized", "mlp"), ("regularized", "baseline"), ("mlp", "baseline")]
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict


def test_a_planted_winner_is_found_with_its_numbers(plant: Plant) -> None:
    study = plant(
        {"mlp": 0.5, "baseline": 0.7, "regularized": 0.85},
        luck=0.005,
        runs={
            "baseline": {"train": 0.99, "turn": 6, "time_s": 60.0},
            "regularized": {"train": 0.88, "time_s": 96.0, "parameters": 500_000},
        },
    )
    verdict = decide(study)
    assert (verdict["best"], verdict["ties"]) == ("regularized", [])
    gain = difference(verdict, "regularized", "baseline")
    values = {
        name: [study.run(name, s).scores()["test"]["accuracy"] for s in range(3)]
        for name in ("baseline", "regularized")
    }
    assert gain["mean"] == pytest.approx(np.mean(values["regularized"]) - np.mean(values["baseline"]))
    assert gain["separable"] and gain["probability"] > 0.99 and gain["interval"][0] > 0
    assert row(verdict, "regularized")["test"]["values"] == pytest.approx(values["regularized"])
    assert row(verdict, "regularized")["test"]["std"] == pytest.approx(np.std(values["regularized"], ddof=1))
    said = text(verdict)
    assert verdict["headline"] == "regularized is best." and verdict["state"] == "best"
    assert f"regularized: test accuracy {100 * np.mean(values['regularized']):.1f}%, mean of 3 seeds" in said
    assert f"test images: regularized is {100 * gain['mean']:.1f} points better than baseline (95% interval" in said
    assert "1 min 36 s, 1.6 times as long as baseline (1 min 00 s); it has 500 k parameters, baseline 389 k" in said
    gaps = [row(verdict, name)["gap"]["mean"] for name in ("baseline", "regularized")]
    assert f"{100 * gaps[0]:.1f} points better in training than on validation" in said
    assert "rose after epoch 6" in said
    assert f"{100 * (1 - gaps[1] / gaps[0]):.0f}% of it is gone, and validation loss did not turn" in said


def test_equal_variants_are_a_tie_and_the_text_says_so(plant: Plant) -> None:
    verdict = decide(plant({"baseline": 0.75, "other": 0.75}, seed=1))
    tied = "other" if verdict["best"] == "baseline" else "baseline"
    assert verdict["ties"] == [tied]
    assert verdict["headline"] == "No variant is clearly best." and "is best" not in text(verdict)


def test_the_best_is_chosen_on_validation_and_never_by_its_best_seed(write_study: Any, make_labels: Any) -> None:
    writer = write_study()
    study = writer.plan("baseline", "lucky")
    truth, rng = np.zeros(400, dtype=int), np.random.default_rng(0)
    for name, vals, test in (("baseline", (0.8, 0.8, 0.8), 0.6), ("lucky", (0.95, 0.6, 0.6), 0.9)):
        for seed, val in enumerate(vals):
            tables = {
                split: make_labels(rng.random(400) < p, truth, split) for split, p in (("val", val), ("test", test))
            }
            writer.run(name, seed, tables)
    verdict = decide(study)
    assert verdict["best"] == "baseline"
    loss = difference(verdict, "baseline", "lucky")
    assert loss["separable"] and loss["mean"] < -0.2 and verdict["ties"] == []
    said = "baseline is best on validation; on the test images lucky is significantly better."
    assert verdict["headline"] == verdict["sentences"][0] == said and verdict["behind"] == ["lucky"]
    assert "lucky is 30" in text(verdict) and "Validation did not foresee that" in text(verdict)


def test_one_seed_gives_intervals_over_images_and_says_so(plant: Plant) -> None:
    verdict = decide(plant({"baseline": 0.6, "other": 0.85}, writer={"seeds": (0,)}))
    assert verdict["best"] == "other" and difference(verdict, "other", "baseline")["separable"]
    assert row(verdict, "other")["test"]["std"] is None
    assert "not the luck of training" in text(verdict) and "from 1 seed" in text(verdict)


def test_a_perfect_score_stays_within_a_hundred_percent(plant: Plant) -> None:
    low, high = row(decide(plant({"baseline": 0.99, "other": 2.0}, luck=0.0)), "other")["test"]["interval"]
    assert 0.98 < low < high == 1.0


def angles(writer: Any, make_angles: Any, errors: dict[str, float]) -> StudyDir:
    study = writer.plan(*errors)
    rng = np.random.default_rng(0)
    truth = {split: rng.uniform(0, 360, 300) for split in ("val", "test")}
    for name, scale in errors.items():
        for seed in writer.seeds:
            tables = {
                split: make_angles(rng.normal(0, scale, 300), found, f"{split}-") for split, found in truth.items()
            }
            train = 3.0 if name == "baseline" else 0.9 * scale * 0.8
            writer.run(name, seed, tables, train=train, turn=8 if name == "baseline" else None)
    return study


def test_less_is_better_for_errors(write_study: Any, make_angles: Any) -> None:
    verdict = decide(angles(write_study(kind="value"), make_angles, {"baseline": 12.0, "better": 6.0}))
    assert (verdict["metric"], verdict["mode"], verdict["best"], verdict["ties"]) == (
        "mean_error_deg",
        "min",
        "better",
        [],
    )
    gain = difference(verdict, "better", "baseline")
    assert gain["mean"] < 0 and gain["interval"][1] < 0 and gain["probability"] > 0.99
    assert row(verdict, "baseline")["gap"]["mean"] > 0
    said = text(verdict)
    assert f"better: test mean error {row(verdict, 'better')['test']['mean']:.2f} degrees" in said
    low, high = (-end for end in reversed(gain["interval"]))
    assert (
        f"better is {-gain['mean']:.2f} degrees better than baseline (95% interval {low:.2f} to {high:.2f} degrees)"
        in said
    )
    assert "baseline overfits: its mean error is" in said and "degrees better in training than on validation" in said


def test_folds_are_compared_fold_by_fold(write_study: Any, make_labels: Any) -> None:
    writer = write_study(seeds=(0,), folds=5)
    study, rng = writer.plan("baseline", "other"), np.random.default_rng(0)
    for fold in range(5):
        hardness = rng.normal(0, 0.05)
        for name, skill in (("baseline", 0.7), ("other", 0.8)):
            truth = rng.integers(0, 4, 200 + fold) * 0 + fold % 4
            tables = {
                split: make_labels(rng.random(len(truth)) < skill + hardness, truth, f"{split}{fold}-")
                for split in ("val", "test")
            }
            writer.run(name, 0, tables, fold=fold)
    verdict = decide(study)
    gains = np.array(row(verdict, "other")["test"]["values"]) - np.array(row(verdict, "baseline")["test"]["values"])
    found = difference(verdict, "other", "baseline")
    assert row(verdict, "other")["n"] == 5 and found["mean"] == pytest.approx(gains.mean())
    half = 2.7764 * np.sqrt(gains.var(ddof=1) * (1 / 5 + 1 / 4))
    assert found["interval"] == pytest.approx([gains.mean() - half, gains.mean() + half], rel=1e-3)
    assert "over 5 folds" in text(verdict) and "one seed" not in text(verdict)


def test_missing_and_diverged_runs_are_said(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "other": 0.85})
    run = study.run("other", 1)
    run.save_info({**run.info(), "status": "diverged"})
    verdict = decide(study)
    assert row(verdict, "other")["n"] == 2
    assert "Not counted: other-seed1 (diverged)" in text(verdict)


def test_a_variant_without_any_finished_run_stays_in_the_table(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "other": 0.85, "broken": 0.7})
    for seed in range(3):
        run = study.run("broken", seed)
        run.save_info({**run.info(), "status": "diverged"})
    verdict = decide(study)
    broken = row(verdict, "broken")
    assert (broken["n"], broken["val"]["mean"], broken["test"]["interval"], broken["best_epoch"]) == (
        0,
        None,
        None,
        None,
    )
    assert verdict["best"] == "other" and "broken" not in verdict["ties"]


def test_an_undefined_score_never_wins(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "other": 0.85})
    for seed in range(3):
        path = study.run("other", seed).path / "scores.json"
        scores = json.loads(path.read_text())
        scores["val"]["accuracy"] = None
        path.write_text(to_json(scores))
    assert decide(study)["best"] == "baseline"
    for seed in range(3):
        path = study.run("baseline", seed).path / "scores.json"
        scores = json.loads(path.read_text())
        scores["val"]["accuracy"] = None
        path.write_text(to_json(scores))
    with pytest.raises(ModelError, match="no variant"):
        decide(study)


def test_a_study_without_a_test_split_says_what_its_numbers_are(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "other": 0.85})
    for name in ("baseline", "other"):
        for seed in range(3):
            path = study.run(name, seed).path / "scores.json"
            path.write_text(to_json({"val": json.loads(path.read_text())["val"]}))
    verdict = decide(study)
    assert verdict["split_reported"] == "val"
    assert row(verdict, "other")["test"]["values"] == row(verdict, "other")["val"]["values"]
    assert "no test split" in text(verdict) and "validation accuracy" in text(verdict)


def test_a_cheaper_tie_is_pointed_out(plant: Plant) -> None:
    runs = {"small": {"time_s": 20.0, "parameters": 90_000}, "large": {"accuracy": 0.95}}
    verdict = decide(plant({"baseline": 0.5, "small": 0.8, "large": 0.8}, luck=0.0, runs=runs))
    assert (verdict["best"], verdict["ties"]) == ("large", ["small"])
    assert (
        "small, not significantly different from large on the test images, takes 20 s a run with 90.0 k parameters"
        in text(verdict)
    )


def test_a_baseline_that_wins_is_named_as_such(plant: Plant) -> None:
    verdict = decide(plant({"baseline": 0.85, "other": 0.6}))
    assert verdict["best"] == "baseline" and "baseline is the baseline itself" in text(verdict)
    assert len(verdict["differences"]) == 1


LADDER = {
    "baseline": {"augment": [], "train": {"lr": 1}, "text": "bare"},
    "augmented": {"augment": None, "train": {"lr": 1}, "text": "+"},
    "regularized": {"augment": None, "train": {"lr": 2}, "text": "+ +"},
}


def as_ladder(study: StudyDir) -> StudyDir:
    info = study.info()
    for variant in info["variants"]:
        variant["recipe"] = LADDER.get(variant["name"], {"augment": [], "train": {"lr": 9}})
    study.save_info(info)
    return study


def test_each_rung_of_a_ladder_is_held_against_the_one_before(plant: Plant) -> None:
    skills = {"mlp": 0.4, "baseline": 0.5, "augmented": 0.7, "other": 0.3, "regularized": 0.7}
    verdict = decide(as_ladder(plant(skills, luck=0.0)))
    assert [(one["a"], one["b"]) for one in verdict["steps"]] == [
        ("augmented", "baseline"),
        ("regularized", "augmented"),
    ]
    first, second = verdict["steps"]
    means = {name: row(verdict, name)["test"]["mean"] for name in skills}
    assert first["mean"] == pytest.approx(means["augmented"] - means["baseline"]) and first["separable"]
    assert second["mean"] == pytest.approx(means["regularized"] - means["augmented"]) and not second["separable"]
    low, high = first["interval"]
    said = next(one for one in verdict["sentences"] if one.startswith("Step by step"))
    span = f"95% interval {100 * low:.1f} to {100 * high:.1f} points, significant"
    assert f"augmented is {100 * first['mean']:.1f} points better than baseline ({span})" in said
    assert "; regularized " in said and said.endswith(" points, not significant).")


def test_a_gain_of_a_rung_is_above_zero_where_less_is_better(write_study: Any, make_angles: Any) -> None:
    errors = {"baseline": 12.0, "augmented": 6.0, "regularized": 9.0}
    verdict = decide(as_ladder(angles(write_study(kind="value"), make_angles, errors)))
    (said,) = [one for one in verdict["sentences"] if one.startswith("Step by step")]
    assert f"augmented is {-verdict['steps'][0]['mean']:.2f} degrees better than baseline" in said
    assert f"regularized is {verdict['steps'][1]['mean']:.2f} degrees worse than augmented" in said


def test_variants_that_do_not_build_on_each_other_have_no_steps(plant: Plant) -> None:
    verdict = decide(as_ladder(plant({"baseline": 0.5, "x": 0.6, "y": 0.7})))
    assert verdict["steps"] == [] and "Step by step" not in text(verdict)


def dropped_study(plant: Plant) -> StudyDir:
    """`bad` was given up after two seeds; its difference from the best cannot be told from zero on the test images."""
    runs = {"bad": {"time_s": 5.0}}
    study = plant({"baseline": 0.6, "good": 0.8, "bad": 0.79}, runs=runs, num_test=30, num_val=2000)
    shutil.rmtree(study.run("bad", 2).path)
    return study


def test_a_variant_that_was_given_up_neither_ties_nor_is_cheap_nor_missing(plant: Plant) -> None:
    study = dropped_study(plant)
    before = decide(study)
    assert before["ties"] == ["bad"] and "the cheaper choice" in text(before) and "bad-seed2 (missing)" in text(before)
    verdict = decide(study, {"bad": {"text": "bad was given up"}})
    assert verdict["dropped"] == ["bad"] and verdict["ties"] == [] and row(verdict, "bad")["n"] == 2
    said = text(verdict) + " ".join(one["text"] for one in verdict["advice"])
    assert "bad" not in said and "good is best of the variants that were not given up." in said
    assert "x given up early" in render(verdict)
    study.save_info(study.info() | {"dropped": {"bad": {}}})
    assert decide(study)["dropped"] == ["bad"]


def test_runs_of_a_variant_given_up_that_broke_are_still_said(plant: Plant) -> None:
    study = dropped_study(plant)
    run = study.run("bad", 1)
    run.save_info({**run.info(), "status": "diverged"})
    assert "Not counted: bad-seed1 (diverged);" in text(decide(study, ["bad"]))


def test_a_variant_given_up_is_never_the_best(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "good": 0.7, "bad": 0.9})
    assert decide(study)["best"] == "bad" and decide(study, ["bad"])["best"] == "good"


@pytest.mark.parametrize(("train", "skill", "word"), [(0.5, 0.5, "underfits"), (0.9, 0.9, "hardly overfits")])
def test_a_network_that_learned_nothing_is_not_praised_for_its_gap(
    plant: Plant, train: float, skill: float, word: str
) -> None:
    verdict = decide(plant({"baseline": skill, "other": skill}, luck=0.0, runs={"baseline": {"train": train}}))
    said = next(one for one in verdict["sentences"] if one.startswith(f"baseline {word}"))
    assert ("has not fitted what it was shown" in said) == (word == "underfits") != ("regularization to remove" in said)
    assert "0.0 points" not in said


def test_a_study_and_the_reading_of_its_runs_call_the_same_fit_poor() -> None:
    """A mean IoU of 0.8 is a Dice of 0.89."""
    assert poor_share("accuracy") == 0.85 and poor_share("mean_iou") == pytest.approx(0.739, abs=1e-3)


def test_a_change_that_rounds_to_zero_has_no_sign() -> None:
    share, error = by_key("accuracy"), by_key("mae", "kg")
    assert [share.change(value) for value in (-0.0001, 0.0004, -0.031)] == ["0.0 points", "0.0 points", "-3.1 points"]
    assert error.change(-0.25).startswith("-0.25")
