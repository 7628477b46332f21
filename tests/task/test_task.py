"""Tasks: losses and tallies against plain numpy, parts that merge to the whole, angles without a seam."""

import numpy as np
import pytest
import torch
from task_batches import batch_of

from striate.base.errors import DataError
from striate.data.target import Angle, Label, Number, Tags
from striate.task import for_target, from_json


def make(kind: str, num: int = 40):
    rng = np.random.default_rng(3)
    if kind == "label":
        target = Label(rng.integers(0, 4, num), ("a", "b", "c", "d"))
    elif kind == "tags":
        target = Tags(rng.integers(0, 2, (num, 3)).astype(np.uint8), ("a", "b", "c"))
    else:
        unit = "deg" if kind == "angle" else ""
        values = rng.uniform(0, 360, (num, 1)) if unit else rng.normal(5, 3, (num, 2))
        values = values.astype(np.float32)
        target = Angle(values, ("x",)) if unit else Number(values, ("x", "y"))
    task = for_target("t", target, target.values)
    outputs = torch.from_numpy(rng.normal(size=(num, task.num_outputs)).astype(np.float32))
    return task, target, outputs


def points(degrees):
    return torch.cat([torch.sin(degrees.double() * torch.pi / 180), torch.cos(degrees.double() * torch.pi / 180)], 1)


KINDS = ("label", "tags", "value", "angle")


@pytest.mark.parametrize("kind", KINDS)
def test_tallies_of_parts_add_up_to_the_whole(kind):
    task, target, outputs = make(kind)
    truth = torch.from_numpy(target.values)
    whole = task.summarise(task.tally(outputs, batch_of("t", truth)))
    parts = sum(task.tally(outputs[part], batch_of("t", truth[part])) for part in (slice(0, 7), slice(7, 40)))
    assert task.summarise(parts) == pytest.approx(whole)
    assert {"loss", task.monitor} <= whole.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_survives_its_json(kind):
    task, _, _ = make(kind)
    assert from_json(task.to_json()) == task


@pytest.mark.parametrize("kind", KINDS)
def test_right_outputs_have_a_smaller_loss_than_others(kind):
    task, target, outputs = make(kind)
    truth = torch.from_numpy(target.values)
    if kind == "label":
        right = torch.nn.functional.one_hot(truth, 4).float() * 20
    elif kind == "tags":
        right = (truth.float() * 2 - 1) * 20
    elif kind == "angle":
        right = points(truth)
    else:
        right = (truth - truth.double().mean(0)) / truth.double().std(0, correction=0)
    assert (task.losses(right, batch_of("t", truth)) < 1e-3).all()
    assert task.losses(outputs, batch_of("t", truth)).mean() > 0.1


def test_cross_entropy_with_smoothing_and_weights_is_its_formula():
    _, target, outputs = make("label")
    task = for_target("t", target, target.values, label_smoothing=0.1, is_balanced=True)
    counts = np.bincount(target.values, minlength=4)
    weights = 40 / (4 * counts)
    log_p = outputs.double().log_softmax(1).numpy()
    smooth = np.full((40, 4), 0.1 / 4)
    smooth[np.arange(40), target.values] += 0.9
    own = weights[target.values]  # an image weighs as its class does; what smoothing gives the others weighs the same
    expected = -(own * (smooth * log_p).sum(1)).sum() / own.sum()
    found = task.loss(outputs, batch_of("t", torch.from_numpy(target.values)))["cross_entropy"]
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_tag_loss_is_its_formula():
    task, target, outputs = make("tags")
    p, t = 1 / (1 + np.exp(-outputs.double().numpy())), target.values
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    found = task.loss(outputs, batch_of("t", torch.from_numpy(t)))["binary_cross_entropy"]
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_tag_loss_with_smoothing_and_weights_weighs_by_the_true_tag():
    values = np.zeros((40, 3), np.uint8)
    values[:2, 0], values[:30, 1], values[5:25, 2] = 1, 1, 1
    target, outputs = Tags(values, ("rare", "common", "half")), make("tags")[2]
    task = for_target("t", target, values, label_smoothing=0.1, is_balanced=True)
    p = 1 / (1 + np.exp(-outputs.double().numpy()))
    smooth, weight = values * 0.9 + 0.05, np.where(values == 1, [19, 1, 1], 1)
    expected = -(weight * (smooth * np.log(p) + (1 - smooth) * np.log(1 - p))).mean()
    found = task.loss(outputs, batch_of("t", torch.from_numpy(values)))["binary_cross_entropy"]
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["label", "tags"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_weights_do_not_move_what_an_image_alone_would_best_be_given(kind, share):
    """The loss of one (mixed, smoothed) image is smallest at its own smoothed shares, whatever the classes weigh."""
    rare = np.eye(2, dtype=np.int64)[np.r_[np.zeros(60, int), 1]]
    values = rare.argmax(1) if kind == "label" else rare.astype(np.uint8)
    task = for_target(
        "t",
        (Label if kind == "label" else Tags)(values, ("common", "rare")),
        values,
        label_smoothing=0.1,
        is_balanced=True,
    )
    truth = torch.tensor([[1 - share, share]])
    smooth = truth * 0.9 + 0.05
    best = smooth.log() if kind == "label" else (smooth / (1 - smooth)).log()
    best.requires_grad_()
    (gradient,) = torch.autograd.grad(sum(task.loss(best, batch_of("t", truth)).values()), best)
    torch.testing.assert_close(gradient, torch.zeros(1, 2), atol=1e-6, rtol=0)


def test_angles_have_no_seam():
    task, _, _ = make("angle")
    near = points(torch.tensor([[359.0]]))
    scores = task.summarise(task.tally(near, batch_of("t", torch.tensor([[1.0]]))))
    assert scores["mean_error_deg"] == pytest.approx(2, abs=1e-3)
    assert task.decode(near).values.item() == pytest.approx(359, abs=1e-3)


def test_numbers_are_decoded_in_their_unit():
    task, target, _ = make("value")
    outputs = (target.values - target.values.mean(0)) / target.values.std(0)
    decoded = task.decode(torch.from_numpy(outputs)).values
    np.testing.assert_allclose(decoded, target.values, atol=1e-4)


def test_what_cannot_be_learnt_is_refused():
    constant = Number(np.ones((5, 1), np.float32), ("x",))
    with pytest.raises(DataError, match="the same for every"):
        for_target("t", constant, constant.values)
    hole = Number(np.array([[1.0], [np.nan]], np.float32), ("x",))
    with pytest.raises(DataError, match="not a finite number"):
        for_target("t", hole, hole.values)


@pytest.mark.parametrize("shift", [0.0, 4_500_000.0, 1.7e9, 1.7e12])
def test_numbers_keep_their_digits_from_the_table_to_the_scores(shift: float) -> None:
    """Northings, Unix seconds, milliseconds: what matters are the digits that float32 does not have."""
    truth = shift + np.arange(64.0)[:, None]
    task = for_target("y", Number(truth, ("y",)), truth)
    right = torch.tensor((truth - truth.mean()) / truth.std(), dtype=torch.float32)
    assert float(task.loss(right, batch_of("y", torch.tensor(truth)))["squared_error"]) < 1e-6
    said = task.decode(right).values.numpy()
    assert np.abs(said - truth).max() < max(1e-4, abs(shift) * 1e-15)
    scores = task.summarise(task.tally(right + 1, batch_of("y", torch.tensor(truth))))
    assert [scores["rmse"], scores["mae"]] == pytest.approx([truth.std()] * 2, rel=1e-5)


def test_errors_of_any_size_stay_finite() -> None:
    truth = np.array([[1e20], [3e20], [-2e20], [5e25]])
    task = for_target("y", Number(truth, ("y",)), truth[:3])
    scores = task.summarise(task.tally(torch.zeros(4, 1), batch_of("y", torch.tensor(truth))))
    expected = np.sqrt(((truth - truth[:3].mean()) ** 2).mean())
    assert scores["rmse"] == pytest.approx(expected) and np.isfinite(scores["loss"])
