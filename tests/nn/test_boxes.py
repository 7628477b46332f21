"""Boxes against brute force in numpy and torchvision's parts that are plain Python."""

import math

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.nn import boxes

CASES = 1000


def random_boxes(rng: np.random.Generator, count: int, size: float = 60) -> torch.Tensor:
    corners = rng.uniform(0, size, (count, 2))
    return torch.from_numpy(np.concatenate([corners, corners + rng.uniform(0.5, size / 2, (count, 2))], 1)).float()


def pixel_iou(a, b) -> float:
    """Of two boxes with whole corners, by counting pixels."""
    grid = np.zeros((2, 24, 24), bool)
    for plane, (x0, y0, x1, y1) in zip(grid, (a, b), strict=True):
        plane[y0:y1, x0:x1] = True
    union = (grid[0] | grid[1]).sum()
    return float((grid[0] & grid[1]).sum() / union) if union else 0.0


def test_iou_counts_pixels():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 24, (2, CASES, 2, 2)), axis=2).reshape(2, CASES, 4)
    a, b = torch.from_numpy(corners).float()
    expected = [pixel_iou(*pair) for pair in zip(*corners, strict=True)]
    np.testing.assert_allclose(boxes.pair_iou(a, b), expected, atol=1e-6)


def test_overlap_of_all_pairs_is_torchvisions():
    ops, rng = tv.load("torchvision.ops"), np.random.default_rng(1)
    for _ in range(40):
        a, b = random_boxes(rng, 25), random_boxes(rng, 30)
        torch.testing.assert_close(boxes.iou(a, b), ops.box_iou(a, b))
        torch.testing.assert_close(boxes.giou(a, b), ops.generalized_box_iou(a, b))
        torch.testing.assert_close(boxes.pair_giou(a, b[:25]), ops.generalized_box_iou(a, b).diagonal()[:25])
        assert torch.equal(boxes.area(a), ops.box_area(a))
        assert torch.equal(boxes.clip(a, (40, 30)), ops.clip_boxes_to_image(a, (40, 30)))


@pytest.mark.parametrize("weights", [(1.0, 1, 1, 1), boxes.DELTA_WEIGHTS])
def test_deltas_are_torchvisions_and_lead_back(weights):
    coder = tv.load("torchvision.models.detection._utils").BoxCoder(weights)
    rng = np.random.default_rng(2)
    truth, anchors = random_boxes(rng, CASES), random_boxes(rng, CASES)
    deltas = boxes.encode(truth, anchors, weights)
    torch.testing.assert_close(deltas, coder.encode_single(truth, anchors))
    torch.testing.assert_close(boxes.decode(deltas, anchors, weights), truth, atol=1e-3, rtol=1e-4)
    wild = torch.from_numpy(rng.normal(0, 6, (CASES, 4))).float()
    torch.testing.assert_close(boxes.decode(wild, anchors, weights), coder.decode_single(wild, anchors))


def greedy(xyxy: np.ndarray, scores: np.ndarray, max_iou: float, groups: np.ndarray) -> list[int]:
    """Torchvision's C++ loop, with its float32."""
    area, kept, gone = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1]), [], np.zeros(len(xyxy), bool)
    for i in np.argsort(-scores, kind="stable"):
        if gone[i]:
            continue
        kept.append(int(i))
        low, high = np.maximum(xyxy[i, :2], xyxy[:, :2]), np.minimum(xyxy[i, 2:], xyxy[:, 2:])
        shared = np.maximum(high - low, np.float32(0)).prod(1)
        gone |= (shared / (area[i] + area - shared) > max_iou) & (groups == groups[i])
    return kept


def test_nms_is_the_greedy_loop():
    rng = np.random.default_rng(3)
    for case in range(CASES):
        count = int(rng.integers(0, 40))
        xyxy, scores = random_boxes(rng, count), rng.random(count).round(1 + case % 2)  # ties
        groups, limit = rng.integers(0, 3, count), float(rng.uniform(0.1, 0.9))
        score = torch.from_numpy(scores)
        if case % 4 < 2:
            assert boxes.nms(xyxy, score, limit).tolist() == greedy(xyxy.numpy(), scores, limit, np.zeros(count))
        else:
            kept = greedy(xyxy.numpy(), scores, limit, groups)
            assert boxes.class_nms(xyxy, score, torch.from_numpy(groups), limit).tolist() == kept


def test_nms_of_more_boxes_than_are_compared_at_once():
    rng = np.random.default_rng(4)
    xyxy, scores, groups = random_boxes(rng, 2500, 300), rng.random(2500), rng.integers(0, 2, 2500)
    given = torch.from_numpy(scores), torch.from_numpy(groups)
    assert boxes.class_nms(xyxy, *given, 0.3).tolist() == greedy(xyxy.numpy(), scores, 0.3, groups)


def softened(xyxy: np.ndarray, scores: np.ndarray, sigma: float, max_iou: float | None) -> dict[int, float]:
    left, kept = dict(enumerate(scores.tolist())), {}
    while left and max(left.values()) >= 1e-3:
        best = max(left, key=lambda row: left[row])
        kept[best] = left.pop(best)
        for row in left:
            overlap = float(boxes.pair_iou(xyxy[best], xyxy[row]))
            gauss = math.exp(-(overlap**2) / sigma)
            left[row] *= gauss if max_iou is None else 1 - overlap if overlap > max_iou else 1
    return kept


@pytest.mark.parametrize("max_iou", [None, 0.3])
def test_soft_nms_lowers_scores(max_iou):
    rng = np.random.default_rng(5)
    for count in (0, 1, 5, 12):
        xyxy, scores = random_boxes(rng, count), torch.from_numpy(rng.random(count))
        rows, values = boxes.soft_nms(xyxy, scores, max_iou=max_iou)
        expected = softened(xyxy, scores.numpy(), 0.5, max_iou)
        assert rows.tolist() == list(expected)
        np.testing.assert_allclose(values, list(expected.values()), rtol=1e-5)


def test_anchors_are_torchvisions():
    utils = tv.load("torchvision.models.detection.anchor_utils")
    images = tv.load("torchvision.models.detection.image_list").ImageList(torch.zeros(1, 3, 64, 96), [(64, 96)])
    sizes, ratios, maps = ((8, 16), (32,)), ((0.25, 1.0, 4.0),) * 2, ((8, 12), (4, 6))
    (expected,) = utils.AnchorGenerator(sizes, ratios)(images, [torch.zeros(1, 1, *hw) for hw in maps])
    made = [
        boxes.anchors(hw, 64 / hw[0], size, ratio, offset=0)
        for hw, size, ratio in zip(maps, sizes, ratios, strict=True)
    ]
    assert torch.equal(torch.cat(made), expected)


@pytest.mark.parametrize("keeps_best", [False, True])
def test_matching_is_torchvisions(keeps_best):
    matcher = tv.load("torchvision.models.detection._utils").Matcher(0.5, 0.3, keeps_best)
    rng, compared = np.random.default_rng(6), 0
    for _ in range(CASES):
        ious = boxes.iou(random_boxes(rng, int(rng.integers(1, 6)), 30), random_boxes(rng, 20, 30))
        if (ious.amax(1) > 0).all():
            compared += 1
            assert torch.equal(boxes.match(ious, high=0.5, low=0.3, keeps_best=keeps_best), matcher(ious))
    assert compared > CASES / 2


def test_an_image_without_objects_is_background():
    assert boxes.match(torch.zeros(0, 3), high=0.5, low=0.3, keeps_best=True).tolist() == [boxes.BELOW] * 3
    untouched = boxes.match(torch.zeros(1, 3), high=0.5, low=0.3, keeps_best=True)
    assert untouched.tolist() == [boxes.BELOW] * 3


def test_sampling_fills_up_with_background():
    matched = torch.tensor([0] * 3 + [boxes.BELOW] * 50 + [boxes.BETWEEN] * 9 + [1] * 20)
    generator = torch.Generator().manual_seed(0)
    for num, share, positive in ((16, 0.25, 4), (16, 1.0, 16), (64, 0.5, 23)):
        some, others = boxes.sample(matched, num, share, generator=generator)
        assert len(some) == positive and len(others) == min(50, num - positive)
        assert (matched[some] >= 0).all() and (matched[others] == boxes.BELOW).all()
        assert len(set(some.tolist()) | set(others.tolist())) == len(some) + len(others)
    draws = {tuple(sorted(boxes.sample(matched, 4, 1.0, generator=generator)[0].tolist())) for _ in range(20)}
    assert len(draws) > 10


def test_focal_loss_is_torchvisions():
    ops, rng = tv.load("torchvision.ops"), np.random.default_rng(7)
    logits, truth = torch.from_numpy(rng.normal(0, 3, CASES)), torch.from_numpy(rng.integers(0, 2, CASES))
    expected = ops.sigmoid_focal_loss(logits, truth.double(), alpha=0.3, gamma=1.5)
    torch.testing.assert_close(boxes.sigmoid_focal(logits, truth, alpha=0.3, gamma=1.5), expected)
