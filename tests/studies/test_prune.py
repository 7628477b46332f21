"""Which variants are given up, on planted skills."""

import numpy as np

from striate.evaluate.interval import mean_interval
from striate.evaluate.predictions import read
from striate.studies.prune import clearly_worse


def test_a_variant_far_below_the_best_is_given_up_and_a_close_one_is_not(plant):
    study = plant({"baseline": 0.8, "close": 0.79, "far": 0.4})
    found = clearly_worse(study, ["baseline", "close", "far"], [0, 1])
    assert found.keys() == {"far"}
    row = found["far"]
    assert row["best"] in {"baseline", "close"} and row["seeds"] == 2
    right = [read(study.run("far", seed).predictions, {"kind": "label"})["val"].correct for seed in (0, 1)]
    np.testing.assert_allclose(row["interval"], mean_interval(np.stack(right)))
    assert row["interval"][1] < row["best_interval"][0]
    assert row["text"].startswith("far was given up after 2 seeds, as asked: its validation accuracy (")


def test_one_seed_gives_nobody_up(plant):
    assert clearly_worse(plant({"baseline": 0.9, "far": 0.3}), ["baseline", "far"], [0]) == {}


def test_of_equal_variants_nobody_is_given_up(plant):
    assert clearly_worse(plant({"baseline": 0.7, "b": 0.7, "c": 0.7}), ["baseline", "b", "c"], [0, 1]) == {}


def test_where_less_is_better_the_larger_error_is_given_up(write_study, make_angles):
    writer, rng = write_study(kind="value"), np.random.default_rng(0)
    writer.plan("baseline", "worse")
    truth = rng.uniform(0, 360, 300)
    for name, spread in (("baseline", 5), ("worse", 50)):
        for seed in range(3):
            tables = {split: make_angles(rng.normal(0, spread, 300), truth, split) for split in ("val", "test")}
            writer.run(name, seed, tables)
    found = clearly_worse(writer.study, ["baseline", "worse"], [0, 1, 2])
    assert found.keys() == {"worse"}
    assert "lies wholly above" in found["worse"]["text"] and "degrees" in found["worse"]["text"]


def test_a_share_stays_within_zero_and_a_hundred_percent(plant):
    found = clearly_worse(plant({"baseline": 1.5, "far": 0.02}, num_val=40, luck=0.02), ["baseline", "far"], [0, 1])
    row = found["far"]
    assert 0 <= row["interval"][0] < row["interval"][1] < row["best_interval"][0] < row["best_interval"][1] == 1
