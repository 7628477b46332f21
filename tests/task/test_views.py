"""Views: undone is what was done, the mean is of probabilities, a pixel that a view did not see does not count."""

import numpy as np
import pytest
import torch
from task_batches import batch_of
from torch import nn

from striate.base.errors import DataError, SettingsError
from striate.data.target import Angle, Label, Number, Tags
from striate.evaluate.views import MAX_VIEWS, Averaged, view
from striate.metric import Metric
from striate.metric.accuracy import ACCURACY
from striate.task import Decoded, Defaults, Map, Pyramid, View, for_target, mean_outputs, mean_softmax, tally
from striate.task.views import undo

RNG = np.random.default_rng(0)
LABELS = Label(RNG.integers(0, 3, 30), ("a", "b", "c"))


class Pixels(Defaults):
    """A task on maps."""

    name = "pixels"
    kinds = ("mask",)
    metrics = (ACCURACY,)
    views = mean_softmax

    @property
    def head(self):
        return Map(3)

    def losses(self, outputs, batch):
        return outputs.mean((1, 2, 3))


class Levels(Pixels):
    """A task on maps of several strides."""

    @property
    def head(self):
        return Pyramid(3)


class Colours(nn.Module):
    """The image itself is the map of logits."""

    def forward(self, images):
        return images


@pytest.mark.parametrize("num_views", range(1, MAX_VIEWS + 1))
def test_a_network_that_looks_at_each_pixel_alone_answers_as_without_views(num_views):
    images = torch.from_numpy(RNG.normal(size=(2, 3, 40, 40)).astype(np.float32))
    outputs = Averaged(Colours(), Pixels("mask"), num_views)(images)
    assert torch.isfinite(outputs).all()
    torch.testing.assert_close(outputs.softmax(1), images.softmax(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("number", range(1, MAX_VIEWS))
def test_undo_puts_every_pixel_where_it_was_and_marks_what_was_not_seen(number):
    from striate.evaluate.views import view_of

    places = torch.arange(64.0 * 64).reshape(1, 1, 64, 64)
    found = undo(view(places, number), view_of(number, (64, 64)))
    seen = ~found.isnan()
    assert torch.equal(found[seen], places[seen])
    step = 2 * bool(view_of(number, (64, 64)).down_px)
    assert seen.sum() == (64 - step) ** 2


def test_the_mean_is_of_probabilities_of_the_views_that_see_a_pixel():
    logits = torch.from_numpy(RNG.normal(size=(2, 1, 3, 1, 2)).astype(np.float32))
    logits[1, :, :, :, 0] = torch.nan
    found = mean_softmax(logits).softmax(1)[0, :, 0]
    torch.testing.assert_close(found[:, 0], logits[0, 0, :, 0, 0].softmax(0))
    torch.testing.assert_close(found[:, 1], logits[:, 0, :, 0, 1].softmax(1).mean(0))
    values = mean_outputs(torch.tensor([[1.0, 3.0], [torch.nan, 5.0]])[:, None])
    assert values.tolist() == [[1.0, 4.0]]


def test_what_nobody_knows_how_to_merge_is_refused_before_an_image_is_seen():
    number = for_target("n", Number(np.arange(6.0)[:, None], ("n",)), np.arange(6.0)[:, None])
    angle = for_target("a", Angle(np.arange(6.0)[:, None], ("a",)), np.arange(6.0)[:, None])

    class Silent(Pixels):
        """Says nothing of views."""

        views = None

    for task in (number, angle, Silent("mask")):
        with pytest.raises(DataError, match="leave --tta or --views out"):
            Averaged(nn.Identity(), task, 2)
        Averaged(nn.Identity(), task, 1)
    levels = Levels("mask")
    assert levels.undo_view([torch.zeros(1, 3, 4, 4)], View(is_mirrored=True))[0].shape == (1, 3, 4, 4)
    with pytest.raises(DataError, match="several strides"):
        levels.undo_view([torch.zeros(1, 3, 4, 4)], View(down_px=1))


def general(task, outputs, batch):
    """The scores by the general way, whatever the task overrides."""
    return Defaults.summarise(task, Defaults.tally(task, outputs, batch))


@pytest.mark.parametrize("kind", ["label", "tags", "value", "angle"])
def test_the_fast_sums_of_an_epoch_are_what_metrics_say(kind):
    num, values = 30, RNG.uniform(0, 360, (30, 2))
    target = {
        "label": LABELS,
        "tags": Tags(RNG.integers(0, 2, (num, 4)).astype(np.uint8), ("a", "b", "c", "d")),
        "value": Number(values, ("x", "y")),
        "angle": Angle(values[:, :1], ("x",)),
    }[kind]
    task = for_target("t", target, target.values)
    batch = batch_of("t", torch.from_numpy(target.values))
    outputs = torch.from_numpy(RNG.normal(size=(num, task.num_outputs)).astype(np.float32))
    fast, expected = task.summarise(task.tally(outputs, batch)), general(task, outputs, batch)
    assert {"loss", task.monitor} <= fast.keys() <= expected.keys()
    assert fast == pytest.approx({key: expected[key] for key in fast}, rel=1e-5)


def test_tallies_of_parts_are_that_of_the_whole_in_the_general_way():
    class Far(Defaults):
        """Numbers, with a root as metric."""

        name = "far"
        kinds = ("value",)
        metrics = (
            Metric("two", "two", record=lambda a: np.concatenate([a.truth, a.values], 1)),
            Metric("root", "root", "min", record=lambda a: (a.truth - a.values)[:, 0] ** 2, value=rooted),
        )

        def losses(self, outputs, batch):
            return (outputs - batch.targets["t"]).square().mean(1)

        def decode(self, outputs):
            return Decoded(outputs * 2)

    task, truth = Far("t", ("x",)), torch.from_numpy(RNG.normal(size=(10, 1)))
    outputs = torch.from_numpy(RNG.normal(size=(10, 1)))
    parts = []
    for part in (slice(0, 3), slice(3, 10)):
        tally.gather(parts, task.tally(outputs[part], batch_of("t", truth[part])), task.add)
    scores = task.summarise(tally.total(parts, task.add))
    assert scores["loss"] == pytest.approx((outputs - truth).square().mean().item())
    assert scores["root"] == pytest.approx((truth - 2 * outputs).square().mean().sqrt().item())
    assert scores["two"] == pytest.approx(((truth + 2 * outputs) / 2).mean().item())
    assert np.isnan(task.summarise(None)["two"])
    assert task.monitor_mode == "max"


def rooted(records, weights):
    """The root of the weighted mean."""
    return np.sqrt(weights @ records[:, 0] / weights.sum(1))


@pytest.mark.parametrize("kind", ["label", "tags", "value"])
def test_answers_that_stay_on_a_device_give_the_scores_of_records(kind):
    values = RNG.normal(size=(30, 2))
    target = {
        "label": LABELS,
        "tags": Tags(RNG.integers(0, 2, (30, 4)).astype(np.uint8), ("a", "b", "c", "d")),
        "value": Number(values, ("x", "y")),
    }[kind]
    task = for_target("t", target, target.values)
    batch = batch_of("t", torch.from_numpy(target.values))
    outputs = torch.from_numpy(RNG.normal(size=(30, task.num_outputs)).astype(np.float32))
    rows = tally.of_answers(task.decode(outputs), task.truth(batch), task.losses(outputs, batch))
    assert tally.scores(task.metrics, rows) == pytest.approx(general(task, outputs, batch), rel=1e-6)
    assert tally.of_answers(Decoded(torch.zeros(30, 99)), torch.zeros(30), torch.zeros(30)) is None
    assert tally.of_answers(Decoded(torch.zeros(30, 2, 2)), torch.zeros(30, 2, 2), torch.zeros(30)) is None


def test_what_a_task_does_not_know_of_is_refused_not_left_out():
    with pytest.raises(SettingsError, match="the task pixels has no weights of classes"):
        Pixels.fit({"mask": LABELS}, np.arange(30), is_balanced=True)


def test_rows_keep_their_order_and_are_copied_a_few_times_each():
    rows, parts, copied = torch.arange(999.0).reshape(-1, 1), [], 0

    def add(before, after):
        nonlocal copied
        copied += len(before) + len(after)
        return torch.cat([before, after])

    for row in rows.split(3):
        tally.gather(parts, row, add)
    assert torch.equal(tally.total(parts, add), rows)
    assert copied < 12 * len(rows)  # log2(333 batches) and the fold; once a batch would be 166 times
    assert tally.total([], add) is None
