"""The ensembles of a study: chosen on validation, scored on another split, refused where runs do not go together."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score

from striate.base.errors import DataError, ModelError, UserError
from striate.evaluate.ensemble import EVERYTHING, ensembles
from striate.evaluate.predictions import Predictions, read
from striate.run.evaluate import ensemble_study


def tables_of(study, name, split):
    return [read(study.run(name, seed).predictions, {"kind": "label"})[split] for seed in (0, 1, 2)]


def test_every_variant_has_its_ensemble_and_they_have_one_together(plant):
    study = plant({"baseline": 0.6, "better": 0.75})
    found = ensembles(study)
    assert [(row["name"], row["num_runs"]) for row in found["rows"]] == [
        ("baseline", 3),
        ("better", 3),
        (EVERYTHING, 6),
    ]
    for row in found["rows"][:2]:
        tables = tables_of(study, row["name"], "test")
        mean = np.mean([table.probabilities for table in tables], axis=0)
        single = np.mean([table.correct for table in tables], axis=0)
        gain = (mean.argmax(1) == tables[0].truth) - single
        assert row["scores"]["accuracy"] == accuracy_score(tables[0].truth, mean.argmax(1))
        assert row["single"] == pytest.approx(single.mean())
        assert row["gain"] == pytest.approx(row["scores"]["accuracy"] - row["single"])
        gain = np.append(gain, (1, -1))  # Bonett and Price: an image that only one gets right, for each of the two
        half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
        np.testing.assert_allclose(row["gain_interval"], (gain.mean() - half, gain.mean() + half), rtol=1e-3)
        low, high = row["scores"]["intervals"]["accuracy"]
        assert low < row["scores"]["accuracy"] < high


def test_the_best_is_chosen_on_validation_not_on_test(write_study, make_labels):
    writer, rng = write_study(), np.random.default_rng(0)
    writer.plan("baseline", "lucky")
    truth = {"val": rng.integers(0, 4, 300), "test": rng.integers(0, 4, 300)}
    skills = {"baseline": {"val": 0.8, "test": 0.5}, "lucky": {"val": 0.5, "test": 0.9}}
    for name, skill in skills.items():
        for seed in range(3):
            right = {split: rng.random(300) < skill[split] for split in truth}
            writer.run(name, seed, {split: make_labels(right[split], truth[split], split) for split in truth})
    found = ensembles(writer.study)
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["lucky"]["scores"]["accuracy"] > rows["baseline"]["scores"]["accuracy"]
    assert rows["baseline"]["val"] > rows["lucky"]["val"]
    assert found["best"] != "lucky"
    assert ensembles(writer.study, variant="lucky")["best"] == "lucky"


def test_a_smaller_error_is_a_gain(write_study, make_angles):
    writer, rng = write_study(kind="value"), np.random.default_rng(0)
    writer.plan("baseline")
    truth = rng.uniform(0, 360, 200)
    for seed in range(3):
        writer.run(
            "baseline", seed, {split: make_angles(rng.normal(0, 20, 200), truth, split) for split in ("val", "test")}
        )
    found = ensembles(writer.study)
    (row,) = found["rows"]
    assert found["combined"] == "mean direction" and found["mode"] == "min"
    assert row["scores"]["mean_error_deg"] < row["single"]
    assert row["gain"] == pytest.approx(row["single"] - row["scores"]["mean_error_deg"]) and row["gain_interval"][0] > 0


def test_scores_and_rows_are_written(plant):
    study = plant({"baseline": 0.6, "better": 0.75})
    found = ensemble_study(study, variant="better")
    (row,) = found["rows"]
    table = read(study.path / "evaluations" / "ensemble-variant-better-test" / "predictions.csv", {"kind": "label"})
    assert isinstance(table["test"], Predictions) and len(table["test"]) == 400
    assert table["test"].correct.mean() == row["scores"]["accuracy"]
    assert "table" not in row


def test_runs_on_other_images_are_refused(plant, write_study, make_labels):
    study = plant({"baseline": 0.6})
    tables = {split: make_labels(np.ones(9, bool), np.zeros(9, int), "other") for split in ("val", "test")}
    writer = write_study()
    writer.plan("baseline", "b")
    for seed in range(3):
        writer.run("b", seed, tables)
    with pytest.raises(ModelError, match="b-seed0 was scored on other (val|test) images or labels than baseline-seed0"):
        ensembles(study)


def test_runs_of_other_classes_are_refused(plant):
    study = plant({"baseline": 0.6})
    run = study.run("baseline", 1)
    info = run.info()
    run.save_info({**info, "task": {**info["task"], "names": ["cat", "dog", "bird", "toad"]}})
    with pytest.raises(ModelError, match="baseline-seed1 predicts other classes than baseline-seed0"):
        ensembles(study)


def test_an_ensemble_needs_two_runs(plant):
    with pytest.raises(ModelError, match="1 finished run, an ensemble needs two"):
        ensembles(plant({"baseline": 0.6}, writer={"seeds": [0]}))


def test_a_split_that_was_not_scored_is_refused(write_study, make_labels):
    writer = write_study(seeds=(0, 1))
    writer.plan("baseline")
    for seed in (0, 1):
        writer.run("baseline", seed, {"val": make_labels(np.ones(9, bool), np.zeros(9, int), "v")})
    with pytest.raises(DataError, match="no predictions of the test split"):
        ensembles(writer.study)
    assert ensembles(writer.study, split="val")["rows"][0]["scores"]["accuracy"] == 1


def test_folds_and_unknown_names_are_refused(plant, write_study):
    with pytest.raises(UserError, match="'bettter'"):
        ensembles(plant({"baseline": 0.6, "better": 0.7}), variant="bettter")
    with pytest.raises(UserError, match="'train'"):
        ensembles(write_study().plan("baseline"), split="train")
    with pytest.raises(DataError, match="cross-validation"):
        ensembles(write_study(folds=2).plan("baseline"))
