"""What a study can find, as stated, against simulated studies."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from striate.cli.app import run
from striate.evaluate.interval import paired_difference, smallest_found
from striate.verdict.detectable import DISAGREE, SPREAD, Plan, forecast


def share_found(plan: Plan, gain: float, repetitions: int, seed: int = 0) -> float:
    """Simulated studies of two variants that differ by `gain`, with the disagreement and spread that are assumed.

    Half of an image's disagreement is the variants' own, half is anew with every seed.
    """
    rng, found = np.random.default_rng(seed), 0
    seeds, num = plan.num_seeds, plan.num_images
    for _ in range(repetitions):
        tables = []
        own = rng.random((2, num)) < DISAGREE / 4  # each flips the shared answers of a quarter: half of it differs
        shared = rng.random(num) < 0.85
        for flips, extra in zip(own, (gain, 0.0), strict=True):
            luck = extra + SPREAD * rng.normal(size=(seeds, 1)) * (seeds > 1)
            answers = (shared ^ flips) ^ (rng.random((seeds, num)) < DISAGREE / 4)
            up = rng.random((seeds, num))
            tables.append(
                np.where(up < np.abs(luck) / np.where(luck > 0, (~answers).mean(), answers.mean()), luck > 0, answers)
            )
        found += paired_difference(*tables).interval[0] > 0
    return found / repetitions


@pytest.mark.parametrize("plan", [Plan(3, 600), Plan(3, 150), Plan(5, 600), Plan(5, 2000), Plan(1, 600)])
def test_the_stated_difference_is_found_in_four_of_five_studies(plan: Plan) -> None:
    assert 0.66 <= share_found(plan, plan.smallest, 150) <= 0.94
    assert share_found(plan, plan.smallest / 2, 100) < 0.55


def test_the_formula_is_the_noncentral_t_distributions() -> None:
    for free in (2.5, 8, 60, 1000):
        least = smallest_found(0.01**2, free)
        power = 1 - stats.nct.cdf(stats.t.ppf(0.975, free), free, least / 0.01)
        assert power == pytest.approx(0.8, abs=0.09)


def test_more_seeds_and_images_find_less() -> None:
    each = [[Plan(seeds, images).smallest for images in (100, 600, 6000)] for seeds in (2, 3, 5, 10)]
    assert (np.diff(each, axis=0) < 0).all() and (np.diff(each, axis=1) < 0).all()
    enough = [*Plan(3, 600).enough(0.03), *Plan(5, 600).enough(0.03)]
    assert [plan.num_seeds for plan in enough] == [5, 5, 7]  # of 3 seeds the luck of training alone hides 3 points
    for plan in enough:
        assert Plan(plan.num_seeds, round(0.96 * plan.num_images)).smallest > 0.03 >= plan.smallest


def test_a_forecast_says_its_numbers() -> None:
    said = forecast("accuracy", 3, 600, "test")
    assert f"a true difference of {100 * Plan(3, 600).smallest:.1f} points is found in 80% of studies" in said
    assert "with 3 seeds and 600 test images" in said and "3.0 points would take about" in said
    assert "luck of training" in forecast("accuracy", 1, 600, "test")
    assert forecast("rmse", 3, 600, "test") == ""


def test_a_dry_run_trains_nothing_and_says_what_it_could_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = 'data = "toy:shapes?n=150"\nseeds = 2\nset = ["data.size=16"]\n'
    plan += "[options]\nlimit = { train = 40, val = 20, test = 20 }\n"
    Path("plan.toml").write_text(plan + '[[variant]]\nname = "flat"\nmodel = "mlp"\n')
    assert run(["study", "plan.toml", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "flat: mlp, recipe baseline" in said and "2 runs, at most" in said
    assert f"a true difference of {100 * Plan(2, 20).smallest:.1f} points is found in 80% of studies" in said
    assert [path.name for path in tmp_path.iterdir()] == ["plan.toml"]
