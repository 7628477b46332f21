"""Segmentation: losses and scores of pixels against numpy, pixels that nobody knows, images without any."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn import metrics as sk

from striate.base.errors import DataError, SettingsError
from striate.data.sample import Batch
from striate.data.target import Mask
from striate.evaluate.views import Averaged, view, view_of
from striate.nn.losses import LOSSES, LossOptions
from striate.task import fit_task, from_json
from striate.task.protocol import answers_of
from striate.task.segment import Segment, SegmentOptions

NAMES = ("sky", "sea", "ship", "bird")
TASK = Segment("mask", NAMES)


def batch_of_masks(num: int = 6, size_hw: tuple[int, int] = (7, 5), seed: int = 0) -> tuple[torch.Tensor, Batch]:
    """Return logits and a batch; a tenth of the pixels is unknown, all of the first image, and no bird is true."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 3, (num, *size_hw))
    masks[rng.random(masks.shape) < 0.1] = 255
    masks[0] = 255
    logits = torch.from_numpy(rng.normal(size=(num, 4, *size_hw)).astype(np.float32))
    images = torch.zeros(num, 3, *size_hw)
    return logits, Batch(images, {"mask": torch.from_numpy(masks)}, np.arange(num))


def known_pixels(logits: torch.Tensor, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    truth, values = batch.targets["mask"].numpy(), logits.numpy().argmax(1)
    return truth[truth != 255], values[truth != 255]


def test_losses_are_those_of_numpy() -> None:
    logits, batch = batch_of_masks()
    truth = batch.targets["mask"].numpy()
    logs = -log_softmax(logits.numpy().astype(np.float64), axis=1)
    pixels = [[logs[n, c, y, x] for (y, x), c in np.ndenumerate(mask) if c != 255] for n, mask in enumerate(truth)]
    expected = [float(np.mean(image)) if image else 0.0 for image in pixels]
    assert TASK.losses(logits, batch).tolist() == pytest.approx(expected, rel=1e-5)
    assert float(TASK.loss(logits, batch)["cross_entropy"]) == pytest.approx(np.mean(np.concatenate(pixels)), rel=1e-5)


def test_epoch_scores_are_scikit_learns_and_those_of_the_records() -> None:
    logits, batch = batch_of_masks()
    truth, values = known_pixels(logits, batch)
    parts = [Batch(batch.images[part], {"mask": batch.targets["mask"][part]}, batch.index[part]) for part in HALVES]
    rows = [TASK.tally(logits[part], one) for part, one in zip(HALVES, parts, strict=True)]
    scores = TASK.summarise(TASK.add(*rows))
    assert scores["mean_iou"] == pytest.approx(sk.jaccard_score(truth, values, average="macro"))
    assert scores["pixel_accuracy"] == pytest.approx(sk.accuracy_score(truth, values))
    answers = answers_of(TASK, logits, batch)
    expected = {metric.key: metric.score(metric.record(answers)) for metric in TASK.metrics if metric.key in scores}
    assert scores == pytest.approx(expected)
    assert len(scores) == 5


HALVES = (slice(0, 2), slice(2, None))


def test_a_batch_without_a_known_pixel_has_loss_0_and_moves_nothing() -> None:
    logits, batch = batch_of_masks()
    unknown = Batch(batch.images, {"mask": torch.full_like(batch.targets["mask"], 255)}, batch.index)
    logits.requires_grad_()
    loss = TASK.loss(logits, unknown)["cross_entropy"]
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()
    scores = TASK.summarise(TASK.tally(logits.detach(), unknown))
    assert scores["loss"] == 0
    assert np.isnan(scores["mean_iou"])


def test_a_task_on_masks_survives_its_json_and_wants_names() -> None:
    masks = [np.zeros((4, 4), np.uint8)] * 3
    task = from_json(TASK.to_json())
    assert task == TASK
    assert TASK.to_json()["kind"] == "map"
    with pytest.raises(DataError, match="names of two classes"):
        Segment.fit({"mask": Mask.of(masks)}, np.arange(3))


CHOSEN = replace(TASK, criterion="cross-entropy+dice", label_smoothing=0.1, class_weights=(1.0, 2.0, 0.5, 0.0))


def test_a_sum_of_losses_has_its_parts_by_name() -> None:
    logits, batch = batch_of_masks()
    parts = CHOSEN.loss(logits, batch)
    told = LossOptions(torch.tensor(CHOSEN.class_weights), 0.1, ignore=255)
    truth = batch.targets["mask"]
    assert {name: float(one) for name, one in parts.items()} == {
        "cross_entropy": float(LOSSES["cross-entropy"](logits, truth, told)),
        "dice": float(LOSSES["dice"](logits, truth, told)),
    }
    assert torch.equal(CHOSEN.losses(logits, batch), TASK.losses(logits, batch))  # scores compare any two losses
    assert from_json(json.loads(json.dumps(CHOSEN.to_json()))) == CHOSEN


def masks_of(rng: np.random.Generator) -> list[np.ndarray]:
    """Return masks of several sizes and classes 0 to 2 of 4; class 2 is in the last one only."""
    sizes = [(9, 4), (5, 5), (12, 3)]
    masks = [rng.integers(0, 2, size).astype(np.uint8) for size in sizes]
    masks[2][:4], masks[0][0] = 2, 255
    return masks


@pytest.mark.parametrize("way", ["inverse", "median", "root"])
def test_weights_of_classes_are_their_formulas(way: str) -> None:
    """Median frequency: Eigen and Fergus 2015, section 6.3.2; inverse: N / (classes x count), as for images."""
    masks = masks_of(np.random.default_rng(0))
    found = Segment.fit(
        {"mask": Mask.of([*masks, np.full((4, 4), 3, np.uint8)], NAMES)},
        np.arange(3),  # the last one is no training image
        options=SegmentOptions(class_weights=way),
    ).class_weights
    count = {k: sum(int((mask == k).sum()) for mask in masks) for k in range(3)}
    known = [int((mask != 255).sum()) for mask in masks]
    share = {
        k: count[k] / sum(num for num, mask in zip(known, masks, strict=True) if (mask == k).any()) for k in range(3)
    }
    expected = {
        "inverse": [sum(known) / (3 * count[k]) for k in range(3)],
        "median": [np.median(list(share.values())) / share[k] for k in range(3)],
        "root": [(np.median(list(share.values())) / share[k]) ** 0.5 for k in range(3)],
    }[way]
    assert found == pytest.approx([*expected, 0.0])


@pytest.mark.parametrize("way", ["none", "median"])
def test_a_network_starts_from_the_shares_of_classes_in_the_loss(way: str) -> None:
    masks = masks_of(np.random.default_rng(0))
    options = SegmentOptions(class_weights=way)
    task = Segment.fit({"mask": Mask.of([*masks, np.full((4, 4), 3, np.uint8)], NAMES)}, np.arange(3), options=options)
    sums = np.array([sum(int((mask == k).sum()) for mask in masks) for k in range(4)])
    sums = sums * np.array(task.class_weights or (1.0,) * 4)
    assert sums[3] == 0 and task.prior is not None
    assert task.prior[:3] == pytest.approx(sums[:3] / sums.sum(), rel=2e-4)
    assert sum(task.prior) == pytest.approx(1) and 0 < task.prior[3] < 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "tversky"}, "unknown loss 'tversky'"),
        ({"loss": "cross-entropy+"}, "unknown loss ''"),
        ({"gamma": -1}, "gamma"),
        ({"class_weights": "some"}, "class_weights"),
        ({"losss": "dice"}, "segment has no setting 'losss'.*did you mean task.loss"),
    ],
)
def test_what_segmentation_does_not_know_is_refused(options: dict[str, Any], said: str) -> None:
    target = {"mask": Mask.of(masks_of(np.random.default_rng(0)), NAMES)}
    with pytest.raises(SettingsError, match=said):
        fit_task(target, np.arange(3), options=options)


def test_details_say_each_class_and_the_constant_answer() -> None:
    logits, batch = batch_of_masks()
    truth, values = known_pixels(logits, batch)
    details = TASK.details(answers_of(TASK, logits, batch))
    label = int(np.bincount(truth).argmax())
    assert [row["name"] for row in details["per_class"]] == list(NAMES)
    assert details["constant"] == {
        "class": NAMES[label],
        "mean_iou": pytest.approx(sk.jaccard_score(truth, np.full_like(truth, label), average="macro")),
        "pixel_accuracy": pytest.approx((truth == label).mean()),
    }


@pytest.mark.parametrize("num_views", [2, 6])
def test_several_views_are_the_mean_of_probabilities_put_back(num_views: int) -> None:
    """Against views flipped and moved back by hand, pixel by pixel; a pixel that a view does not see does not count."""
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 4, 3, padding=1).eval()
    images = torch.rand(2, 3, 12, 10)
    with torch.inference_mode():
        merged = Averaged(network, TASK, num_views)(images).softmax(1)
        total, seen = torch.zeros_like(merged), torch.zeros(12, 10)
        for number in range(num_views):
            given, place = network(view(images, number)).softmax(1), view_of(number, (12, 10))
            for y, x in np.ndindex(12, 10):
                row, column = y - place.down_px, x - place.right_px
                if 0 <= row < 12 and 0 <= column < 10:
                    own = 9 - column if place.is_mirrored else column
                    total[:, :, row, own] += given[:, :, y, x]
                    seen[row, own] += 1
    torch.testing.assert_close(merged, total / seen, rtol=1e-4, atol=1e-6)
