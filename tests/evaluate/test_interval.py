"""Intervals: right formulas, and the error rates that are claimed, measured by simulation."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from striate.evaluate.interval import (
    bootstrap,
    fold_difference,
    fold_interval,
    mean_interval,
    paired_difference,
    percentile_interval,
    proportion_interval,
    student_quantile,
    student_share,
)

LEVELS = (0.6, 0.9, 0.975, 0.995)


@pytest.mark.parametrize("free", [1, 1.3, 2, 3.7, 10, 50, 999, 1e4])
def teststudent_quantile_and_share_equal_scipy(free: float) -> None:
    for level in LEVELS:
        assert student_quantile(level, free) == pytest.approx(stats.t.ppf(level, free))
    for value in (-8.0, -2.0, 0.0, 0.3, 5.0):
        assert student_share(value, free) == pytest.approx(stats.t.cdf(value, free))


def test_infinite_freedom_is_normal() -> None:
    for level in LEVELS:
        assert student_quantile(level, math.inf) == pytest.approx(stats.norm.ppf(level))


@pytest.mark.parametrize(("right", "num"), [(0, 10), (3, 10), (10, 10), (823, 1000)])
def test_proportion_interval_solves_wilsons_equation(right: int, num: int) -> None:
    low, high = proportion_interval(right, num)
    for end in (low, high):
        if 0 < end < 1:
            assert abs(right / num - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / num), rel=1e-3)
    assert 0 <= low <= right / num <= high <= 1 and high > low


def test_proportion_interval_covers_a_planted_share() -> None:
    rng = np.random.default_rng(0)
    found = [proportion_interval(right, 40) for right in rng.binomial(40, 0.93, 2000)]
    assert np.mean([low <= 0.93 <= high for low, high in found]) == pytest.approx(0.95, abs=0.025)


def _sample(rng: np.random.Generator, kind: str) -> tuple[float, tuple[float, float]]:
    """A value and its interval from one sample."""
    if kind == "share":
        return 0.6, proportion_interval(rng.binomial(200, 0.6), 200)
    if kind == "bootstrap":
        values = rng.normal(size=100)
        return 0.0, bootstrap(np.arange(100), lambda counts: {"mean": counts @ values / 100}, num_resamples=400)["mean"]
    tables = [rng.normal(0, 0.2, (4, 1)) + rng.normal(size=60) + rng.normal(size=(4, 60)) for _ in range(2)]
    return 0.0, mean_interval(tables[0]) if kind == "mean" else paired_difference(*tables).interval


@pytest.mark.parametrize("kind", ["share", "bootstrap", "mean", "difference"])
def test_intervals_miss_as_often_above_as_below(kind: str) -> None:
    """One with a single end can cover as often, and says nothing of the other side."""
    rng = np.random.default_rng(1)
    found = [_sample(rng, kind) for _ in range(400)]
    too_high, too_low = (sum(low > value for value, (low, _) in found), sum(high < value for value, (_, high) in found))
    expected = stats.binom(400, 0.025).interval(0.99)
    assert expected[0] <= too_high <= expected[1] and expected[0] <= too_low <= expected[1]


def means(values: np.ndarray) -> object:
    return lambda counts: {"mean": counts @ values / len(values)}


def test_bootstrap_of_a_mean_has_the_known_standard_error() -> None:
    values = np.random.default_rng(0).exponential(size=500)
    low, high = bootstrap(np.arange(500), means(values), num_resamples=4000)["mean"]
    half = 1.96 * values.std() / math.sqrt(500)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_drawing_by_groups_equals_drawing_by_images() -> None:
    right = np.random.default_rng(0).integers(0, 2, 400)
    by_group = bootstrap(right, lambda counts: {"mean": counts[:, 1] / 400}, num_resamples=8000)["mean"]
    by_image = bootstrap(np.arange(400), means(right), num_resamples=8000)["mean"]
    assert by_group == pytest.approx(by_image, abs=0.006)


def test_bootstrap_leaves_out_resamples_where_the_statistic_is_undefined() -> None:
    groups = np.array([0, 1, 1, 1])
    low, high = bootstrap(groups, lambda counts: {"x": np.where(counts[:, 0] > 0, 1.0, np.nan)})["x"]
    assert (low, high) == (1.0, 1.0)


@pytest.mark.parametrize("num_groups", [2, 100, 10_000])
def test_ten_thousand_images_and_two_thousand_resamples_take_less_than_a_second(num_groups: int) -> None:
    groups = np.arange(10_000) % num_groups
    values = np.random.default_rng(0).random(num_groups)
    start = time.perf_counter()
    bootstrap(groups, lambda counts: {"mean": counts @ values})
    assert time.perf_counter() - start < 1.0 * (3 if num_groups == 10_000 else 1)  # room for a busy machine


def test_percentiles() -> None:
    assert percentile_interval(np.arange(1001)) == pytest.approx((25, 975))


def world(
    rng: np.random.Generator, num_seeds: int, num: int, spread: tuple[float, float], shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong of variants A and B: images have difficulty, each variant its own taste, each seed its luck."""
    difficulty = rng.normal(1, 1, num)
    tables = []
    for luck, gain in zip(spread, (shift, 0.0), strict=True):
        taste, seeds = rng.normal(0, 0.3, num), luck * rng.normal(size=(num_seeds, 1))
        tables.append(difficulty + gain + taste + seeds + rng.normal(0, 0.7, (num_seeds, num)) > 0)
    return tables[0], tables[1]


def false_wins(num_seeds: int, num: int, spread: tuple[float, float], repetitions: int) -> float:
    rng = np.random.default_rng(num_seeds * num)
    return float(
        np.mean([paired_difference(*world(rng, num_seeds, num, spread)).is_separable for _ in range(repetitions)])
    )


@pytest.mark.parametrize(
    ("num_seeds", "num", "spread"),
    [
        (1, 300, (0, 0)),
        (3, 100, (0.05, 0.05)),
        (3, 600, (0, 0)),
        (3, 600, (0.15, 0.15)),
        (3, 600, (0, 0.2)),
        (5, 300, (0.1, 0.1)),
    ],
)
def test_equal_variants_are_told_apart_in_at_most_7_percent(
    num_seeds: int, num: int, spread: tuple[float, float]
) -> None:
    rate = false_wins(num_seeds, num, spread, 500)
    assert rate <= 0.07 + 0.01  # 0.01: one standard error of the measurement


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("num", [30, 100, 600, 2000])
@pytest.mark.parametrize("spread", [(0, 0), (0.05, 0.05), (0.3, 0.3), (0, 0.1), (0, 0.2)])
def test_error_rate_over_the_whole_range(num_seeds: int, num: int, spread: tuple[float, float]) -> None:
    assert false_wins(num_seeds, num, spread, 1500) <= 0.07 + 0.007


def plain_bootstrap(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    gain = a.astype(float) - b
    num_seeds, num = gain.shape
    seeds = rng.multinomial(num_seeds, [1 / num_seeds] * num_seeds, 300) / num_seeds
    images = rng.multinomial(num, [1 / num] * num, 300) / num
    return percentile_interval(((seeds @ gain) * images).sum(1))


def test_a_plain_bootstrap_over_three_seeds_would_be_too_narrow() -> None:
    rng = np.random.default_rng(0)
    found = [plain_bootstrap(*world(rng, 3, 300, (0.2, 0.2)), rng) for _ in range(250)]
    assert np.mean([not low <= 0 <= high for low, high in found]) > 0.1


def test_a_planted_difference_is_found_and_covered() -> None:
    rng = np.random.default_rng(4)
    a, b = world(rng, 40, 200_000, (0.05, 0.05), 0.3)
    truth = a.mean() - b.mean()
    found = [paired_difference(*world(rng, 3, 600, (0.05, 0.05), 0.3)) for _ in range(300)]
    assert np.mean([one.is_separable and one.mean > 0 for one in found]) > 0.85
    assert np.mean([one.interval[0] <= truth <= one.interval[1] for one in found]) > 0.93
    assert np.mean([one.probability for one in found]) > 0.98


def test_swapping_the_variants_mirrors_the_difference() -> None:
    a, b = world(np.random.default_rng(0), 3, 200, (0.1, 0.1), 0.1)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.mean == pytest.approx(-other.mean)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert one.probability == pytest.approx(1 - other.probability)


def test_the_order_of_images_and_seeds_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    a, b = world(rng, 4, 200, (0.1, 0.1))
    seeds, images = rng.permutation(4), rng.permutation(200)
    again = paired_difference(a[seeds][:, images], b[seeds][:, images])
    assert again.interval == pytest.approx(paired_difference(a, b).interval)


def test_one_seed_of_errors_equals_a_paired_t_interval_over_images() -> None:
    a, b = np.random.default_rng(0).gamma(2, 3, (2, 1, 300))
    expected = stats.ttest_rel(a[0], b[0]).confidence_interval(0.95)
    assert paired_difference(a, b).interval == pytest.approx((expected.low, expected.high), rel=1e-3)


@pytest.mark.parametrize("num", [30, 300])
def test_one_seed_of_right_and_wrong_equals_bonett_and_price(num: int) -> None:
    """Their formula: one image more of each discordant kind, the normal quantile."""
    a, b = world(np.random.default_rng(0), 1, num, (0, 0), 0.2)
    only_a, only_b = ((int((x & ~y).sum()) + 1) / (num + 2) for x, y in ((a, b), (b, a)))
    half = math.sqrt((only_a + only_b - (only_a - only_b) ** 2) / (num + 2))
    low, high = paired_difference(a, b).interval
    assert (low + high) / 2 == pytest.approx(only_a - only_b)
    assert (high - low) / 2 == pytest.approx(
        half * stats.t.ppf(0.975, num + 1) * math.sqrt((num + 2) / (num + 1)), rel=1e-3
    )


def test_many_seeds_without_image_noise_equal_welch() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.repeat(rng.normal(mean, 1, (8, 1)), 50, axis=1) for mean in (1, 0))
    expected = stats.ttest_ind(a[:, 0], b[:, 0], equal_var=False).confidence_interval(0.95)
    assert paired_difference(a, b).interval == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_identical_variants_do_not_differ() -> None:
    right = np.random.default_rng(0).random((3, 100)) < 0.8
    found = paired_difference(right, right)
    assert found.mean == 0 and found.probability == pytest.approx(0.5) and not found.is_separable


def test_two_seeds_always_give_an_interval() -> None:
    """Satterthwaite's degrees of freedom fall below 1 where the parts of the variance nearly cancel."""
    rng = np.random.default_rng(2)
    for _ in range(300):
        a, b = world(rng, 2, 30, (0.1, 0.1))
        found = paired_difference(a, b)
        assert math.isfinite(found.interval[0]) and found.interval[0] < found.mean < found.interval[1]


def test_two_seeds_that_err_on_opposite_images_have_the_interval_of_one() -> None:
    truth = np.arange(26) % 2
    opposite, same = np.stack([truth == 0, truth == 1]), np.stack([truth == 0, truth == 0])
    assert mean_interval(opposite) == pytest.approx(mean_interval(same), abs=0.02)


def test_intervals_of_networks_that_guess_hold_the_truth() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        truth = rng.integers(0, 2, 60)
        a, b = (rng.integers(0, 2, (2, 1)) == truth for _ in range(2))
        low, high = paired_difference(a, b).interval
        held += low <= 0 <= high
    assert held >= 380


def test_variants_without_any_variation() -> None:
    found = paired_difference(np.ones((3, 50)), np.zeros((3, 50)))
    assert found.mean == found.interval[1] == found.probability == 1.0
    assert 0.8 < found.interval[0] < 1 and found.is_separable


def test_a_single_image_says_nothing() -> None:
    found = paired_difference([[1.0]], [[0.0]])
    assert found.interval == (-1, 1) and not found.is_separable
    found = paired_difference([[7.5]], [[3.2]])
    assert found.interval == (-math.inf, math.inf) and found.probability == 0.5 and not found.is_separable


def test_mean_interval_covers_the_truth_over_seeds_and_images() -> None:
    rng = np.random.default_rng(0)
    truth = np.mean([world(rng, 20, 20_000, (0.1, 0.1))[0].mean() for _ in range(20)])
    found = [mean_interval(world(rng, 3, 200, (0.1, 0.1))[0]) for _ in range(500)]
    assert np.mean([low <= truth <= high for low, high in found]) > 0.93


@pytest.mark.parametrize("right", [0, 1, 7, 59, 60])
def test_one_seed_has_the_interval_that_scipy_gives(right: int) -> None:
    table = (np.arange(60) < right)[None]
    expected = stats.binomtest(right, 60).proportion_ci(method="wilson")
    assert mean_interval(table) == pytest.approx((expected.low, expected.high), abs=1e-4)
    assert mean_interval(np.tile(table, (3, 1))) == pytest.approx((expected.low, expected.high), abs=0.004)  # Student


@pytest.mark.parametrize(("num_seeds", "num"), [(1, 180), (3, 60), (3, 600), (5, 20)])
def test_one_more_wrong_answer_lowers_both_ends(num_seeds: int, num: int) -> None:
    """180 of 180 right had 94.0 to 100, and 179 of 180 had 96.9 to 100."""
    right = np.ones((num_seeds, num))
    found = [mean_interval(right)]
    for wrong in range(12):
        right[wrong % num_seeds, wrong * num // 12] = 0
        found.append(mean_interval(right))
    lows, highs = np.array(found).T
    assert highs[0] == 1 and (np.diff(lows) < 0).all() and (np.diff(highs) < 1e-9).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("num_seeds", [1, 2, 3])
def test_intervals_have_a_width_and_stay_within_what_is_possible(level: float, num_seeds: int) -> None:
    rng = np.random.default_rng(int(100 * level) + num_seeds)
    for num in (1, 2, 18, 60):
        a, b = (rng.random((num_seeds, num)) < level for _ in range(2))
        low, high = mean_interval(a)
        assert 0 <= low <= a.mean() <= high <= 1 and high - low > 0.02
        found = paired_difference(a, b)
        assert -1 <= found.interval[0] <= found.mean <= found.interval[1] <= 1
        assert found.interval[1] - found.interval[0] > 0.02
        errors = rng.gamma(0.2, 1, (num_seeds, num))
        assert mean_interval(errors, possible=(0, math.inf))[0] >= 0


def test_a_share_that_is_no_count_has_the_width_of_its_images() -> None:
    """A perfect macro F1 over 20 images and one just below it."""
    for value in (1.0, 0.97):
        low, high = mean_interval(np.full((1, 20), value), possible=(0, 1))
        assert low < 0.86 and value < high + 1e-9 <= 1 + 1e-9


def test_folds_stay_within_what_is_possible_and_have_a_width() -> None:
    low, high = fold_interval([1.0, 1.0, 1.0], 3, possible=(0, 1), values=np.ones(60))
    assert 0.9 < low < 0.95 and high == 1
    low, high = fold_interval([0.2, 0.9], 2, possible=(0, 1), values=np.arange(60) < 33)
    assert (low, high) == (0, 1)
    found = fold_difference([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 3, possible=(0, 1), num_images=60)
    assert found.interval[0] == -found.interval[1] < -0.02
    assert fold_difference([0.2, 1.0], [0.9, 0.1], 2, possible=(0, 1), num_images=60).interval == (-1, 1)


def test_folds_of_maps_are_as_wide_as_their_images_vary() -> None:
    """Folds that score alike: what is left is the images' own spread, by a bootstrap; not that of 0 and 1 (0.115)."""
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(0.7, 0.1, 240), 0, 1)
    low, high = fold_interval([values.mean()] * 3, 3, possible=(0, 1), values=values)
    means = rng.choice(values, (4000, 240)).mean(1)
    drawn = np.quantile(means, [0.025, 0.975])
    assert (high - low) == pytest.approx(drawn[1] - drawn[0], rel=0.3)
    right = (np.arange(240) < 168).astype(float)
    low, high = fold_interval([0.7] * 3, 3, possible=(0, 1), values=right)
    assert (low, high) == pytest.approx(proportion_interval(168, 240), abs=1e-3)


def test_equal_errors_say_nothing() -> None:
    assert mean_interval(np.full((3, 20), 0.3)) == (-math.inf, math.inf)
    same = paired_difference(np.full((3, 20), 0.3), np.full((3, 20), 0.3))
    assert not same.is_separable and same.interval == (-math.inf, math.inf)


@pytest.mark.parametrize("skill", [2.2, 3.0, 3.6])
def test_intervals_near_a_perfect_score_cover_the_truth(skill: float) -> None:
    """Of 3 seeds and 60 images at 93 to 99.6 % right, at the stated rate."""
    rng = np.random.default_rng(int(10 * skill))
    tables = [world(rng, 3, 60, (0.1, 0.1), skill - 1) for _ in range(400)]
    truth = np.mean([world(rng, 5, 4000, (0.1, 0.1), skill - 1)[0].mean() for _ in range(40)])
    held = [low <= truth <= high for low, high in (mean_interval(a) for a, _ in tables)]
    assert np.mean(held) >= 0.93


def test_fold_difference_is_the_corrected_paired_t() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.02, 10), rng.normal(0.78, 0.02, 10)
    gains = a - b
    half = stats.t.ppf(0.975, 9) * math.sqrt(gains.var(ddof=1) * (1 / 10 + 1 / 4))
    found = fold_difference(a, b, 5)
    assert found.interval == pytest.approx((gains.mean() - half, gains.mean() + half), rel=1e-3)
    low, high = fold_interval(a, 5)
    assert low < a.mean() < high


def nearest_mean_folds(rng: np.random.Generator, num_folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Fold scores of two classifiers that are equal in expectation: nearest mean on either half of the features."""
    labels = np.arange(200) % 2
    points = rng.normal(size=(200, 20)) + 0.35 * labels[:, None]
    halves, fold = np.split(rng.permutation(20), 2), rng.permutation(200) % num_folds
    scores: list[list[float]] = [[], []]
    for k in range(num_folds):
        train, test = fold != k, fold == k
        for half, found in zip(halves, scores, strict=True):
            means = np.stack([points[train & (labels == c)][:, half].mean(0) for c in (0, 1)])
            said = ((points[test][:, half][:, None] - means) ** 2).sum(2).argmin(1)
            found.append(float((said == labels[test]).mean()))
    return np.array(scores[0]), np.array(scores[1])


def test_equal_variants_over_folds_are_told_apart_in_at_most_7_percent() -> None:
    rng = np.random.default_rng(0)
    wins = [fold_difference(*nearest_mean_folds(rng, 5), 5).is_separable for _ in range(400)]
    assert np.mean(wins) <= 0.07


def test_one_fold_run_says_nothing() -> None:
    assert fold_difference([0.8], [0.7], 5).interval == (-math.inf, math.inf)
