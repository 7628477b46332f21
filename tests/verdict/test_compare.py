"""Reading a study: arrays aligned by image, and refusals that name the run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from striate.base.errors import ModelError
from striate.base.files import to_json
from striate.base.rundir import StudyDir
from striate.evaluate.predictions import are_same, read, write
from striate.verdict.compare import compare


def test_values_are_aligned_by_image_id(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7, "other": 0.8})
    run = study.run("other", 1)
    before = compare(study)["other"].trials[1].values
    tables = read(run.predictions, run.info()["task"])
    order = np.random.default_rng(0).permutation(len(tables["test"]))
    test = tables["test"]
    shuffled = replace(
        test,
        ids=tuple(test.ids[i] for i in order),
        **{name: getattr(test, name)[order] for name in ("truth", "values", "losses", "probabilities")},
    )
    write(run.predictions, {**tables, "test": shuffled})
    assert np.array_equal(compare(study)["other"].trials[1].values, before)


def test_columns_are_what_the_runs_say(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7, "other": 0.8}, runs={"other": {"train": 0.97, "turn": 7, "time_s": 12.0}})
    other = compare(study)["other"]
    scores = [study.run("other", seed).scores() for seed in range(3)]
    assert other.column("val").tolist() == [one["val"]["accuracy"] for one in scores]
    assert other.column("reported").tolist() == [one["test"]["accuracy"] for one in scores]
    assert [trial.values.mean() for trial in other.trials] == pytest.approx(other.column("reported"))
    assert other.column("gap") == pytest.approx([0.97 - one["val"]["accuracy"] for one in scores])
    assert [trial.overfit_epoch for trial in other.trials] == [7, 7, 7]
    assert other.mean("time_s") == 12.0


def test_the_gap_is_of_plain_training_images_where_those_were_scored(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7}, runs={"baseline": {"train": 0.6}})
    run = study.run("baseline", 0)
    scores = run.scores()
    (run.path / "scores.json").write_text(to_json({**scores, "train": {"accuracy": 0.95}}))
    gaps = compare(study)["baseline"].column("gap")
    assert gaps[0] == pytest.approx(0.95 - scores["val"]["accuracy"])
    assert gaps[1] < 0


def test_unfinished_runs_are_named_and_left_out(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7, "other": 0.8})
    for seed, status in ((1, "diverged"), (2, "interrupted")):
        run = study.run("other", seed)
        info = run.info()
        run.save_info({**info, "status": status})
    (study.run("baseline", 2).path / "run.json").unlink()
    found = compare(study)
    assert [trial.key for trial in found["other"].trials] == [(0, None)]
    assert found["other"].missing == ("other-seed1 (diverged)", "other-seed2 (interrupted)")
    assert found["baseline"].missing == ("baseline-seed2 (missing)",)
    assert found.difference("other", "baseline") is not None


def test_a_study_without_a_finished_run_is_refused(write_study: Callable[..., object]) -> None:
    study = write_study().plan("baseline")  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="no run"):
        compare(study)


def change_test(study: StudyDir, **changes: object) -> Path:
    run = study.run("other", 1)
    tables = read(run.predictions, run.info()["task"])
    made = {name: change(tables["test"]) for name, change in changes.items()}  # type: ignore[operator]
    write(run.predictions, {**tables, "test": replace(tables["test"], **made)})
    return run.path


def test_runs_scored_on_other_images_are_refused(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7, "other": 0.8})
    path = change_test(study, ids=lambda table: ("stranger.jpg", *table.ids[1:]))
    with pytest.raises(ModelError, match="other test images") as problem:
        compare(study)
    assert problem.value.where == str(path)


def test_runs_scored_with_other_labels_are_refused(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7, "other": 0.8})
    change_test(study, truth=lambda table: (table.truth + 1) % 4)
    with pytest.raises(ModelError, match="other test labels"):
        compare(study)


def test_a_table_without_the_split_is_refused(plant: Callable[..., StudyDir]) -> None:
    study = plant({"baseline": 0.7})
    run = study.run("baseline", 0)
    write(run.predictions, {"val": read(run.predictions, run.info()["task"])["val"]})
    with pytest.raises(ModelError, match="split test"):
        compare(study)


def test_labels_are_the_same_where_no_object_is():
    """Tables of boxes are filled up with NaN, which numpy calls unequal to itself."""
    boxes = np.array([[[0, 1.0, 2, 3, 4], [np.nan] * 5], [[1, 1, 2, 3, 4], [0, 5, 6, 7, 8]]])
    assert are_same(boxes, boxes.copy()) and not are_same(boxes, boxes[::-1])
    assert are_same(np.array(["a", "b"]), np.array(["a", "b"])) and not are_same(np.array(["a"]), np.array(["b"]))
