"""Segmentation: losses and scores of pixels against numpy, pixels that nobody knows, images without any."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn import metrics as sk

from striate.base.errors import DataError
from striate.data.sample import Batch
from striate.data.target import Mask
from striate.task import from_json
from striate.task.protocol import answers_of
from striate.task.segment import Segment

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
