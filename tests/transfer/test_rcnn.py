"""R-CNN's parts: regions, linear models on features, and detections of plain shapes."""

import numpy as np
import pytest
import torch

from striate.data.proposals import Search, selective_search
from striate.metric import Answers
from striate.metric.box_ap import box_metrics
from striate.transfer.rcnn import CONTEXT, RCNN, Regions, crops, regions_of

pytest.importorskip("sklearn")
COLOURS = ((200, 30, 30), (30, 160, 40))


def test_crops_show_the_region_with_context_and_the_mean_beyond_the_border():
    image = np.zeros((60, 80, 3), np.uint8)
    image[10:30, 20:40] = 200
    inner, border = crops(image, np.array([[20, 10, 40, 30], [-5, -5, 20, 20]], np.float32), 45)
    edge = round(45 * CONTEXT)
    assert (inner[edge + 2 : -edge - 2, edge + 2 : -edge - 2] == 200).all() and inner[0].max() == 0
    assert inner.shape == (45, 45, 3)
    np.testing.assert_allclose(border[0, 0], image.mean((0, 1)), atol=1)


def test_linear_models_learn_classes_and_moves():
    """Features that say where the true box lies: two classes, the box moved by what two of the features are."""
    rng, regions = np.random.default_rng(0), []
    for _ in range(40):
        true, label = torch.tensor([[40.0, 40, 80, 80]]), int(rng.integers(0, 2))
        shifts = torch.from_numpy(np.concatenate([np.zeros((1, 2)), rng.uniform(-8, 8, (9, 2))])).float()
        near = true + shifts.repeat(1, 2)
        far = torch.from_numpy(rng.uniform(100, 200, (20, 2))).float()
        boxes = torch.cat([near, torch.cat([far, far + 40], 1)])
        features = torch.zeros(30, 5)
        features[:10, label] = 10.0
        features[:10, 2:4] = -shifts
        features[10:, 4] = 10.0
        regions.append(Regions(boxes, features, true, torch.tensor([label])))
    model = RCNN.fit(regions, 2)
    for one in regions[:5]:
        found = model.detect(one, (300, 300))
        assert found[0, 0] == one.true_labels[0] and found[0, 1] > 0.5
        torch.testing.assert_close(found[0, 2:], one.true_xyxy[0], atol=2.0, rtol=0)
        assert (found[:, 1].diff() <= 0).all() and (found[1:3, 1] < found[0, 1]).all()


def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image, true, labels = np.full((96, 128, 3), 225, np.uint8), [], rng.integers(0, 2, 2)
    for place, label in enumerate(labels):
        x, y = rng.integers(4, 24) + 60 * place, rng.integers(4, 40)
        across, down = rng.integers(18, 36, 2)
        image[y : y + down, x : x + across] = COLOURS[label]
        true.append([x, y, x + across, y + down])
    return image, np.array(true, np.float32), labels


def means(pixels: np.ndarray) -> torch.Tensor:
    """Of a 6 x 6 grid of each crop."""
    grid = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.6, 6)
    return grid.flatten(1)


def test_coloured_things_are_detected():
    pytest.importorskip("cv2")
    search = Search(scale=1.0, min_side_px=6)
    train = [scene(seed) for seed in range(12)]
    regions = [regions_of(image, selective_search(image, search), means, 24, *rest) for image, *rest in train]
    model, truth, values = RCNN.fit(regions, 2), [], np.full((6, 100, 6), np.nan, np.float32)
    for row, seed in enumerate(range(50, 56)):
        image, true, labels = scene(seed)
        found = model.detect(regions_of(image, selective_search(image, search), means, 24), image.shape[:2]).numpy()
        values[row, : len(found)] = found
        truth.append(np.column_stack([labels, true, np.zeros((2, 2))]))
    answers = Answers(np.array(truth, np.float32), values, np.zeros(6))
    metric = box_metrics(2)[1]
    assert (metric.score(metric.records(answers)) or 0) > 0.9


def test_a_class_that_is_nowhere_is_never_sure():
    regions = [
        Regions(
            torch.tensor([[0.0, 0, 9, 9], [20, 20, 40, 40]]),
            torch.eye(2),
            torch.tensor([[0.0, 0, 9, 9]]),
            torch.tensor([0]),
        )
    ]
    found = RCNN.fit(regions, 2).detect(regions[0], (50, 50))
    assert (found[found[:, 0] == 1, 1] < 0.5).all()
