"""What a study advises: made of its runs, measured, and silent where the data cannot tell."""

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from striate.base.files import to_json
from striate.base.rundir import StudyDir
from striate.run.recipe import named
from striate.studies.plan import ladder, with_learning_curve
from striate.verdict.render import render
from striate.verdict.transfer import kind_of
from striate.verdict.verdict import decide

Plant = Callable[..., StudyDir]
KINDS = {"features": "features", "frozen": "frozen", "finetuned": "finetune"}


def describe(study: StudyDir, sizes: dict[str, int] | None = None) -> None:
    """Give a planted study the recipes of its variants' names, and its runs their number of training images."""
    info = study.info()
    for variant in info["variants"]:
        name = variant["name"]
        start = ["transfer.weights=imagenet"] if name in KINDS else []
        recipe = named(KINDS.get(name, "regularized" if name.startswith("regularized") else "baseline"))
        variant |= {"recipe": recipe.changed(start).model_dump(mode="json"), "model": "bipyramid"}
        for seed in info["seeds"]:
            run = study.run(name, seed)
            data = {"where": "birds/", "options": {}, "counts": {"train": (sizes or {}).get(name, 2000)}}
            run.save_info(run.info() | {"dataset": data, "recipe": variant["recipe"], "recipe_name": "baseline"})
    study.save_info(info)


def advice(verdict: dict[str, Any], start: str) -> str:
    return next((one["text"] for one in verdict["advice"] if one["text"].startswith(start)), "")


def test_the_state_of_the_best_comes_with_a_command(plant: Plant) -> None:
    study = plant({"mlp": 0.5, "baseline": 0.75}, runs={"baseline": {"train": 0.99, "turn": 6}})
    describe(study)
    for seed in range(3):  # training images as they are
        run = study.run("baseline", seed)
        scores = run.scores()
        scores["train"] = {"accuracy": 0.99, "loss": 0.05}
        write(run.path / "scores.json", scores)
        model = {"name": "bipyramid", "parameters": 1, "macs": 1, "blueprint": {"rows": [{"block": "linear"}]}}
        run.save_info(run.info() | {"model": model})
    verdict = decide(study)
    (first,) = [one for one in verdict["advice"] if one["command"]]
    assert first["text"].startswith("State of baseline, in all 3 runs: it overfits.")
    assert "99.0% on training images" in first["text"]
    assert first["command"].startswith("striate train birds/ --model bipyramid --recipe baseline --seed 0")
    assert first["command"].endswith("--augment medium")
    assert "State of baseline" in render(verdict, 100)


def write(path: Any, document: Any) -> None:
    path.write_text(to_json(document))


def test_one_run_is_not_all_of_them(plant: Plant) -> None:
    study = plant({"baseline": 0.75}, writer={"seeds": (0,)})
    describe(study)
    assert advice(decide(study), "State of").startswith("State of baseline, in its run: ")


def test_a_study_of_one_network_that_was_trained_on_ranks_no_kinds_of_transfer(plant: Plant) -> None:
    study = plant({"finetuned": 0.8})
    describe(study)
    assert advice(decide(study), "Of the kinds of transfer") == ""


def test_the_advice_on_transfer_says_how_many_images_and_how_similar(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "features": 0.8, "finetuned": 0.82}, luck=0.0, num_test=300)
    describe(study)
    data = {"counts": {"train": 100}, "class_counts": {"train": [20, 40, 20, 20]}}
    study.save_info(study.info() | {"dataset": data})
    verdict = decide(study)
    said = advice(verdict, "Of the kinds of transfer")
    assert "With 25 training images a class (20 to 40), a linear probe on the unchanged features (features)" in said
    study.save_info(study.info() | {"dataset": {"counts": {"train": 100}, "class_counts": {"train": [25] * 4}}})
    assert "With 25 training images a class, a linear probe" in advice(decide(study), "Of the kinds of transfer")
    means = {row["name"]: row["test"]["mean"] for row in verdict["variants"]}
    gain = 100 * (means["features"] - means["baseline"])
    assert f"reaches {100 * means['features']:.1f}%" in said
    assert f"features is {gain:.1f} points better than baseline (95% interval " in said
    assert "finetuned is " in said and "points better than features (" in said and said.endswith("), not significant.")


@pytest.mark.parametrize(
    ("start", "changes", "says"),
    [
        ("baseline", [], ""),
        ("features", [], "linear probe"),
        ("frozen", [], "frozen body"),
        ("frozen", ["train.frozen_epochs=3"], "trained on"),
        ("finetune", [], "trained on"),
    ],
)
def test_what_a_variant_takes_over_is_read_from_its_recipe(start: str, changes: list[str], says: str) -> None:
    weights = ["transfer.weights=imagenet"] if start != "baseline" else []
    kind = kind_of({"recipe": named(start).changed([*weights, *changes]).model_dump(mode="json")})
    assert says in kind and bool(says) == bool(kind)


def test_the_kind_of_transfer_is_the_one_that_was_measured_best(plant: Plant) -> None:
    study = plant({"baseline": 0.6, "features": 0.75, "frozen": 0.8, "finetuned": 0.95}, luck=0.0)
    describe(study)
    said = advice(decide(study), "Of the kinds of transfer")
    assert "finetuned (all of it, trained on) is best on validation" in said
    assert "finetuned is significantly better than features and frozen" in said
    assert (
        "Against the best from scratch on validation: finetuned is " in said and "points better than baseline (" in said
    )
    assert "not significant" not in said


def test_equal_kinds_of_transfer_are_not_told_apart(plant: Plant) -> None:
    study = plant({"baseline": 0.8, "features": 0.8, "frozen": 0.8}, runs={"features": {"time_s": 5.0}})
    describe(study)
    said = advice(decide(study), "Of the kinds of transfer")
    assert "is not significantly different from" in said and "), not significant." in said
    assert ("features takes least time" in said) == ("Of the kinds of transfer, frozen" in said)


SIZES = {"regularized-25": 500, "regularized-50": 1000, "regularized": 2000}


def curve_study(plant: Plant, errors: list[float], luck: float = 0.0, **options: Any) -> StudyDir:
    skills = {"baseline": 0.55} | {name: 1 - error for name, error in zip(SIZES, errors, strict=True)}
    study = plant(skills, luck=luck, num_test=4000, **options)
    describe(study, SIZES)
    return study


def test_a_power_law_is_found_and_says_what_twice_the_images_bring(plant: Plant) -> None:
    found = decide(curve_study(plant, [0.4, 0.3, 0.225]))  # each doubling takes a quarter of the error away
    curve = found["learning_curve"]
    assert [point["num_train"] for point in curve["points"]] == [500, 1000, 2000]
    assert curve["exponent"] == pytest.approx(-np.log2(0.75), abs=0.08)
    assert curve["doubling"] == pytest.approx(0.25 * 0.225, abs=0.015)
    low, high = curve["doubling_interval"]
    assert low < curve["doubling"] < high
    said = advice(found, "Learning curve")
    assert f"twice as many (4,000) are expected to bring {100 * curve['doubling']:.1f} points more" in said
    assert "less than the best regularization here brought (regularized" in said


def test_a_flat_curve_says_nothing(plant: Plant) -> None:
    said = advice(decide(curve_study(plant, [0.25, 0.25, 0.25], luck=0.02)), "Learning curve")
    assert "do not say what more images would bring" in said and "95% interval" in said


def test_one_seed_or_two_sizes_are_no_curve(plant: Plant) -> None:
    found = decide(curve_study(plant, [0.4, 0.3, 0.225], writer={"seeds": (0,)}))
    assert found["learning_curve"]["doubling"] is None and "too few seeds" in advice(found, "Learning curve")


def test_variants_of_different_recipes_are_no_curve(plant: Plant) -> None:
    study = plant({"baseline": 0.5, "regularized": 0.7})
    describe(study)
    assert decide(study)["learning_curve"] is None


def test_the_curve_adds_a_quarter_and_a_half(plant: Plant) -> None:
    variants = with_learning_curve(ladder(), "regularized", 30)
    assert [(one.name, one.num_train) for one in variants[-2:]] == [("regularized-25", 8), ("regularized-50", 15)]
    assert all(one.recipe == variants[3].recipe for one in variants[-3:])


def test_a_planted_gain_is_found_among_several_variants_through_folders(plant: Plant) -> None:
    """One of four is better by 12 points: 4 studies written, read and decided."""
    skills = {"baseline": 0.7, "a": 0.7, "b": 0.82, "c": 0.7}
    found = 0
    for number in range(4):
        study = plant(skills, num_test=600, num_val=300, seed=number)
        verdict = decide(study)
        found += verdict["best"] == "b" and not verdict["ties"]
        shutil.rmtree(study.path)
    assert found >= 3


@pytest.mark.slow
def test_of_two_equal_variants_through_folders_at_most_5_of_100_have_a_winner(plant: Plant) -> None:
    winners = 0
    for number in range(100):
        study = plant({"baseline": 0.75, "other": 0.75}, luck=0.02, num_val=200, seed=number)
        winners += not decide(study)["ties"]
        shutil.rmtree(study.path)
    assert winners <= 5
