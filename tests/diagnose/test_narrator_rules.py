"""The narrator on planned numbers: each rule on both sides of its limit."""

import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.base.files import to_json
from striate.base.rundir import RunDir
from striate.diagnose import Remark, narrate
from striate.diagnose.reading import USUAL_RATE
from striate.diagnose.remark import ordered
from striate.diagnose.symptoms import late_fall
from striate.engine.optim import DEFAULT_LR
from striate.evaluate.layout import Labels
from striate.evaluate.predictions import Predictions, write
from striate.evaluate.scores import scores_of
from striate.model.ablate import ablate, parts_of
from striate.model.blueprint import SKIPPING
from striate.model.zoo import blueprint, names
from striate.run.recipe import named
from striate.task.classify import Classify

GUESS = math.log(4)
Curve = list[float]


def fall(start: float, end: float, num: int = 20) -> Curve:
    """A loss that goes down quickly at first and is flat at the end."""
    return [end + (start - end) * 0.6**epoch for epoch in range(num)]


def table(accuracy: float, num: int = 400, sure: tuple[float, float] = (0.9, 0.5), seed: int = 0) -> Predictions:
    """Predictions with this accuracy; `sure` are the mean confidences of hits and of mistakes."""
    rng = np.random.default_rng(seed)
    truth, right = np.arange(num) % 4, np.arange(num) / num < accuracy
    said = np.where(right, truth, (truth + 1) % 4)
    confidence = np.clip(np.where(right, *sure) + rng.normal(0, 0.05, num), 0.3, 0.999)
    p = np.repeat(((1 - confidence) / 3)[:, None], 4, axis=1)
    p[np.arange(num), said] = confidence
    names, ids = ("a", "b", "c", "d"), tuple(f"{i}.png" for i in range(num))
    losses = -np.log(p[np.arange(num), truth])
    return Predictions(truth, said, losses.astype(np.float32), p.astype(np.float32), layout=Labels(names), ids=ids)


def tell(
    path: Path,
    *changes: str,
    recipe: str = "regularized",
    train: Curve | None = None,
    val: Curve | None = None,
    scores: tuple[float, float] = (0.95, 0.93),
    clean: float | None = None,
    rows: dict[str, dict[str, float]] | None = None,
    predictions: Predictions | None = None,
    **info: Any,
) -> tuple[Remark, ...]:
    """Write a run of four classes with these numbers, and have it told."""
    train, val = train or fall(1.4, 0.2), val or fall(1.4, 0.3)
    history: list[dict[str, Any]] = [
        {"epoch": e, "lr": 1e-3, "train": {"loss": a, "accuracy": scores[0]}, "val": {"loss": b, "accuracy": scores[1]}}
        for e, (a, b) in enumerate(zip(train, val, strict=True), 1)
    ]
    history = [row | ({"rows": rows} if rows else {}) for row in history]
    run, found = RunDir(path / "run"), predictions or table(scores[1])
    run.path.mkdir()
    (run.path / "history.jsonl").write_text("".join(to_json(row) + "\n" for row in history))
    documents = {"train": {"accuracy": scores[0], "loss": train[-1] if clean is None else clean, "num_images": 400}}
    documents["val"] = scores_of(Classify("label", found.names), found) | {"accuracy": scores[1]}
    (run.path / "scores.json").write_text(to_json(documents))
    write(run.predictions, {"val": found})
    task = {"kind": "label", "names": list(found.names), "monitor": "accuracy", "monitor_mode": "max"}
    task |= {"target": "label", "unit": ""}
    data = {"where": "birds/", "options": {}, "class_counts": {"train": [100, 100, 100, 100]}}
    result = {"epochs": len(train), "best_epoch": len(train), "stopped": "finished", "overfit_epoch": None}
    blueprint = {"rows": [{"block": "conv", "options": {"norm": "batch"}}, {"block": "linear", "options": {}}]}
    settings = named(recipe).changed(list(changes)).model_dump(mode="json")
    document: dict[str, Any] = {"status": "finished", "task": task, "dataset": data, "result": result, "seed": 0}
    document |= {"recipe_name": recipe, "recipe": settings, "batch_size": 32, "augment": settings["augment"] or []}
    run.save_info(document | {"model": {"name": "bipyramid", "blueprint": blueprint}} | info)
    return narrate(run)


def states(remarks: tuple[Remark, ...]) -> list[str]:
    return [remark.state for remark in remarks]


def test_a_run_without_a_fault_is_healthy_and_gives_its_numbers(tmp_path: Path) -> None:
    (remark,) = tell(tmp_path)
    assert (remark.state, remark.sureness) == ("healthy", "certain")
    assert "93.0% on validation" in remark.evidence and "95.0% on training" in remark.evidence
    assert remark.command == "striate study birds/ --model bipyramid"


@pytest.mark.parametrize(("gap", "is_told"), [(0.045, False), (0.055, True)])
def test_overfitting_is_a_gap_of_five_points(tmp_path: Path, gap: float, is_told: bool) -> None:
    many = table(0.9, num=4000)
    remarks = tell(tmp_path, scores=(0.9 + gap, 0.9), predictions=many)
    assert ("over_fitting" in states(remarks)) == is_told
    if is_told:
        assert "95.5% on training images and 90.0% on validation, 5.5 points worse" in remarks[0].evidence


def test_with_few_validation_images_the_gap_must_be_wider_than_its_chance(tmp_path: Path) -> None:
    assert states(tell(tmp_path, scores=(0.96, 0.9), predictions=table(0.9, num=50))) == ["healthy"]


def test_the_remedy_is_one_the_run_did_not_have(tmp_path: Path) -> None:
    first = tell(tmp_path, recipe="baseline", scores=(1.0, 0.7))[0]
    assert first.command.endswith("--augment medium") and "--recipe baseline" in first.command
    (tmp_path / "2").mkdir()
    second = tell(tmp_path / "2", "augment=medium", recipe="baseline", scores=(1.0, 0.7))[0]
    assert second.command.endswith("--augment medium --set train.weight_decay=0.05")
    (tmp_path / "3").mkdir()
    averaged = tell(tmp_path / "3", scores=(1.0, 0.7))[0]
    assert averaged.command.endswith("--set train.swa=0.25")


@pytest.mark.parametrize("average", ["train.swa=0.25", "train.ema=0.99"])
def test_every_usual_remedy_is_in_use_only_with_averaged_weights(tmp_path: Path, average: str) -> None:
    last = tell(tmp_path, average, "data.size=32", scores=(1.0, 0.7))[0]
    assert last.next.startswith("Every usual regularization")
    assert last.command == "striate train birds/ --model mobilenet_v2 --weights imagenet --recipe finetune --size 32"


def test_a_gap_of_a_run_that_still_improves_wants_longer_training_before_other_weights(tmp_path: Path) -> None:
    steady = list(np.linspace(1.4, 0.5, 20))
    told = tell(tmp_path, "train.swa=0.25", train=steady, val=steady, scores=(1.0, 0.7))[0]
    assert told.state == "over_fitting" and told.command.endswith("--epochs 40")


def test_a_short_run_wants_longer_training_before_other_weights(tmp_path: Path) -> None:
    told = tell(tmp_path, train=fall(1.4, 0.5, 4), val=fall(1.4, 0.9, 4), scores=(0.95, 0.7))[0]
    assert told.state == "over_fitting" and told.command.endswith("--epochs 20")


def test_a_transfer_run_with_strong_augmentation_is_not_told_to_strengthen_it(tmp_path: Path) -> None:
    changes = ("transfer.weights=imagenet", "train.label_smoothing=0.1", "model.dropout=0.2", "augment=strong")
    told = tell(tmp_path, *changes, recipe="finetune", scores=(1.0, 0.7))[0]
    assert told.command.endswith("--set train.swa=0.25")


@pytest.mark.parametrize(("num_train", "is_told"), [(20_000, True), (20_001, False)])
def test_few_images_that_are_only_moved_want_more_augmentation(tmp_path: Path, num_train: int, is_told: bool) -> None:
    data = {"where": "birds/", "options": {}, "counts": {"train": num_train}, "class_counts": {"train": [9, 9, 9, 9]}}
    first = tell(tmp_path, "augment=light", scores=(1.0, 0.7), dataset=data)[0]
    assert ("only moves the images" in first.next) == is_told
    assert first.command.endswith("--augment medium") == is_told


@pytest.mark.parametrize(("score", "expected"), [(0.84, "under_fitting"), (0.86, "healthy")])
def test_underfitting_is_a_poor_score_on_training_images(tmp_path: Path, score: float, expected: str) -> None:
    assert states(tell(tmp_path, scores=(score, score - 0.01))) == [expected]


def test_strong_dropout_is_the_first_suspect_of_underfitting(tmp_path: Path) -> None:
    (remark,) = tell(tmp_path, "model.dropout=0.8", scores=(0.5, 0.5))
    assert remark.command.endswith("--set model.dropout=0.2") and "0.8" not in remark.command


@pytest.mark.parametrize(("lr", "is_told"), [(1e-4, True), (2e-4, False)])
def test_a_low_rate_is_told_by_its_size_and_what_little_was_learned(tmp_path: Path, lr: float, is_told: bool) -> None:
    creep = list(np.linspace(1.4, 1.3, 20))
    remarks = tell(tmp_path, f"train.lr={lr}", train=creep, val=creep, scores=(0.3, 0.3))
    assert ("rate_too_low" in states(remarks)) == is_told
    if is_told:
        assert (
            "10 times lower than usual, and in 20 epochs training loss went from 1.400 to 1.300" in remarks[0].evidence
        )
        assert remarks[0].command.endswith("--lr 0.001")


def test_a_low_rate_that_learned_is_no_fault_and_neither_is_one_of_transfer(tmp_path: Path) -> None:
    assert states(tell(tmp_path, "train.lr=1e-5")) == ["healthy"]
    (tmp_path / "2").mkdir()
    creep = list(np.linspace(1.0, 0.9, 20))
    tuned = tell(tmp_path / "2", "train.lr=1e-5", "transfer.weights=imagenet", train=creep, val=creep)
    assert "rate_too_low" not in states(tuned)


@pytest.mark.parametrize(("lr", "is_told"), [(0.019, False), (0.02, True)])
def test_a_high_rate_is_told_where_little_was_learned(tmp_path: Path, lr: float, is_told: bool) -> None:
    flat = [GUESS] * 20
    remarks = tell(tmp_path, f"train.lr={lr}", train=flat, val=flat, scores=(0.25, 0.25))
    assert ("rate_too_high" in states(remarks)) == is_told


BARE = {"name": "bipyramid", "blueprint": {"rows": [{"block": "conv", "options": {}}]}}


@pytest.mark.parametrize(("bursts", "is_told"), [(1, False), (2, True)])
def test_validation_loss_far_above_guessing_is_a_high_rate(tmp_path: Path, bursts: int, is_told: bool) -> None:
    val = [3 * GUESS] * bursts + fall(1.4, 1.2, 20 - bursts)
    remarks = tell(tmp_path, train=fall(1.4, 1.1), val=val, scores=(0.5, 0.48), model=BARE)
    assert ("rate_too_high" in states(remarks)) == is_told


@pytest.mark.parametrize(("bursts", "is_told"), [(4, False), (5, True)])
def test_fifty_steps_of_batch_norm_say_nothing_of_the_rate(tmp_path: Path, bursts: int, is_told: bool) -> None:
    """400 images in batches of 32 are 13 steps an epoch: the first 3 epochs do not count, and of others two must."""
    val = [26.0] * bursts + fall(1.4, 1.2, 20 - bursts)
    remarks = tell(tmp_path, train=fall(1.4, 1.1), val=val, scores=(0.5, 0.48))
    assert ("rate_too_high" in states(remarks)) == is_told


def test_two_epochs_of_the_usual_recipe_are_told_to_train_longer(tmp_path: Path) -> None:
    remarks = tell(tmp_path, train=[1.5, 1.3], val=[36.6, 30.0], scores=(0.25, 0.25))
    assert states(remarks) == ["under_fitting"] and remarks[0].command.endswith("--epochs 20")


def test_memorising_is_no_high_rate_though_validation_loss_is_far_above_guessing(tmp_path: Path) -> None:
    val = fall(1.4, 1.0, 10) + list(np.linspace(1.2, 4.0, 10))
    assert states(tell(tmp_path, train=fall(1.4, 0.01), val=val, scores=(1.0, 0.6))) == ["over_fitting"]


def test_a_run_that_diverged_was_too_fast(tmp_path: Path) -> None:
    remarks = tell(tmp_path, "train.lr=0.5", status="diverged", train=[1.4, 1.5], val=[1.4, 9.0], scores=(0.25, 0.25))
    assert states(remarks)[0] == "rate_too_high" and remarks[0].sureness == "certain"
    assert "after epoch 2, at a rate of 0.5" in remarks[0].evidence


def network(gradients: Curve, dead: Curve) -> dict[str, dict[str, float]]:
    return {
        f"conv{i}": {"gradient_norm": g, "weight_norm": 1.0, "dead_frac": d}
        for i, (g, d) in enumerate(zip(gradients, dead, strict=True))
    }


@pytest.mark.parametrize(("share", "is_told"), [(0.45, False), (0.55, True)])
def test_dead_units_are_half_of_a_row(tmp_path: Path, share: float, is_told: bool) -> None:
    flat = [1.3] * 20
    rows = network([0.1, 0.1, 0.1], [0.0, share, 0.1])
    remarks = tell(tmp_path, "train.lr=0.01", train=flat, val=flat, scores=(0.3, 0.3), rows=rows)
    assert ("dead_units" in states(remarks)) == is_told
    if is_told:
        assert "In row conv1 55% of the units" in remarks[0].evidence and "leaky_relu" not in remarks[0].command
        assert remarks[0].command.endswith("--lr 0.001")  # 0.01 is 10 times the usual


@pytest.mark.parametrize(("ratio", "is_told"), [(1e-2, False), (1e-4, True)])
def test_vanishing_gradients_are_a_thousandth_of_the_last_row(tmp_path: Path, ratio: float, is_told: bool) -> None:
    flat = [1.38] * 20
    rows = network([ratio, 0.1, 1.0], [0.0, 0.0, 0.0])
    told = tell(tmp_path, "model.activation=sigmoid", train=flat, val=flat, scores=(0.25, 0.25), rows=rows)
    assert ("vanishing_gradients" in states(told)) == is_told
    if is_told:
        assert "row conv0 is 10,000 times smaller than that of conv2" in told[0].evidence
        assert told[0].command.endswith("--set model.activation=relu")


@pytest.mark.parametrize(
    ("changes", "block", "expected"),
    [
        ((), "conv", "model.norm=batch"),
        (("model.norm=batch", "model.depth=10"), "conv", "model.depth=5"),
        (("model.norm=group",), "conv", "--model xception_small"),
        (("model.norm=group",), "basic", ""),
    ],
)
def test_what_lets_the_gradient_through_is_never_there_already(
    tmp_path: Path, changes: tuple[str, ...], block: str, expected: str
) -> None:
    flat, rows = [1.38] * 20, network([1e-4, 0.1, 1.0], [0.0, 0.0, 0.0])
    model = {"name": "bipyramid", "blueprint": {"rows": [{"block": block, "options": {}}]}}
    numbers: dict[str, Any] = {"train": flat, "val": flat, "scores": (0.25, 0.25), "rows": rows, "model": model}
    told = tell(tmp_path, "augment=light", *changes, recipe="baseline", **numbers)[0]
    assert told.state == "vanishing_gradients" and told.command.endswith(expected)
    assert bool(expected) == bool(told.command) and "--model bipyramid --model" not in told.command


def test_the_blocks_with_skips_are_those_that_can_be_built_without() -> None:
    with_skips = set()
    for name in names():
        plan = blueprint(name)
        if "skip" in parts_of(plan):
            bare = ablate(plan, ("skip",))
            pairs = zip(plan.rows, bare.rows, strict=False)
            with_skips |= {a.block for a, b in pairs if b.options.get("skip") is False and a != b}
    assert with_skips and with_skips - SKIPPING == set()


def test_gradients_of_a_network_that_learns_are_left_alone(tmp_path: Path) -> None:
    assert states(tell(tmp_path, rows=network([1e-5, 0.1, 1.0], [0.0, 0.9, 0.0]))) == ["dead_units"]
    (tmp_path / "2").mkdir()
    assert states(tell(tmp_path / "2", rows=network([1e-5, 0.1, 1.0], [0.0, 0.0, 0.0]))) == ["healthy"]


@pytest.mark.parametrize(("size", "sureness"), [(2, "likely"), (7, "possible"), (8, None)])
def test_batch_norm_wants_eight_images(tmp_path: Path, size: int, sureness: str | None) -> None:
    remarks = tell(tmp_path, batch_size=size)
    found = next((one.sureness for one in remarks if one.state == "batch_too_small_for_norm"), None)
    assert found == sureness
    (tmp_path / "2").mkdir()
    assert states(tell(tmp_path / "2", batch_size=size, model=BARE)) == ["healthy"]


@pytest.mark.parametrize(("sure", "is_told"), [((0.7, 0.55), False), ((0.7, 0.7), True)])
def test_mistakes_made_with_full_confidence_are_wrong_labels(tmp_path: Path, sure: Any, is_told: bool) -> None:
    remarks = tell(tmp_path, scores=(0.65, 0.65), predictions=table(0.65, sure=sure))
    assert ("label_noise" in states(remarks)) == is_told
    if is_told:
        assert "140 mistakes on validation (69% on average) as of its hits (70%)" in remarks[0].evidence
        assert remarks[0].command == "striate check birds/"


def test_training_images_that_score_below_validation_have_worse_labels(tmp_path: Path) -> None:
    assert states(tell(tmp_path, scores=(0.6, 0.85), predictions=table(0.85)))[0] == "label_noise"


def test_a_loss_that_still_falls_was_stopped_too_early(tmp_path: Path) -> None:
    steady = list(np.linspace(1.4, 0.5, 20))
    (remark,) = tell(tmp_path, train=steady, val=steady, scores=(0.7, 0.7))
    assert remark.state == "still_improving" and "over the last 2 of 20 epochs" in remark.evidence
    assert remark.command.endswith("--epochs 40")
    assert late_fall(steady) == pytest.approx(1 - (steady[-1] + steady[-2]) / (steady[-3] + steady[-4]))


def test_the_strengths_of_a_solved_head_are_not_taken_for_epochs(tmp_path: Path) -> None:
    wild = {"train": [9.0, 5.0, 2.0, 0.5], "val": [9.0, 7.0, 5.0, 1.0]}
    changes = ("transfer.weights=imagenet",)
    info = {"model": {"name": "mobilenet_v2", "blueprint": {"rows": []}}}
    for number, (scores, expected) in enumerate(
        {(0.97, 0.95): "healthy", (1.0, 0.8): "over_fitting", (0.6, 0.6): "under_fitting"}.items()
    ):
        (tmp_path / str(number)).mkdir()
        (remark,) = tell(tmp_path / str(number), *changes, recipe="features", scores=scores, **wild, **info)
        assert remark.state == expected and "epoch" not in remark.evidence + remark.next
    assert remark.command == "striate train birds/ --model mobilenet_v2 --weights imagenet --recipe finetune"


def test_an_unfinished_run_or_one_without_scores_says_nothing_it_cannot_know(tmp_path: Path) -> None:
    assert tell(tmp_path, status="running") == ()
    run = RunDir(tmp_path / "run")
    run.save_info({**run.info(), "status": "interrupted"})
    for name in ("scores.json", "predictions.csv"):
        (run.path / name).unlink()
    assert narrate(run) == ()
    (run.path / "history.jsonl").unlink()
    assert narrate(run) == ()


def test_a_typed_command_is_kept_but_for_where_it_wrote(tmp_path: Path) -> None:
    typed = "striate train 'my birds/' --model mlp --out runs/a --set train.lr=0.5 --overwrite --size=32 --json"
    flat = [GUESS] * 20
    remark = tell(tmp_path, "train.lr=0.5", train=flat, val=flat, scores=(0.25, 0.25), command=typed)[0]
    assert shlex.split(remark.command) == [
        *("striate", "train", "my birds/", "--model", "mlp", "--size=32", "--lr", "0.001"),
    ]


def test_data_from_python_have_no_command(tmp_path: Path) -> None:
    (remark,) = tell(tmp_path, dataset={"where": "", "options": {}})
    assert remark.command == "" and remark.next


def test_the_usual_rates_are_those_of_training() -> None:
    assert USUAL_RATE == DEFAULT_LR


def test_remarks_come_surest_first_and_causes_before_symptoms() -> None:
    pairs = [
        ("over_fitting", "certain"),
        ("dead_units", "likely"),
        ("rate_too_high", "likely"),
        ("label_noise", "possible"),
    ]
    remarks = ordered(Remark(state, sure, "", "") for state, sure in reversed(pairs))  # type: ignore[arg-type]
    assert states(remarks) == ["over_fitting", "rate_too_high", "dead_units", "label_noise"]


@pytest.mark.parametrize(
    ("val", "test", "is_done"), [(0.995, 1.0, True), (1.0, None, True), (0.9, 1.0, False), (0.995, 0.97, False)]
)
def test_there_is_no_advice_where_nothing_can_be_gained(
    tmp_path: Path, val: float, test: float | None, is_done: bool
) -> None:
    """A run whose loss still falls, with every test image right, was "stopped too early, train for 20 epochs"."""
    losses = [2 / epoch for epoch in range(1, 21)]
    tell(tmp_path, train=losses, val=losses, scores=(1.0, val), predictions=table(val))
    run = RunDir(tmp_path / "run")
    if test is not None:
        (run.path / "scores.json").write_text(to_json(run.scores() | {"test": {"accuracy": test, "num_images": 180}}))
    said = narrate(run)
    assert (said[0].state == "healthy" and "nothing can be gained" in said[0].evidence) == is_done
    assert not (is_done and any(one.command for one in said))
