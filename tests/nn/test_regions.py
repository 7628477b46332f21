"""RoI align and RoI pool against torchvision's kernels, written out in numpy as in its C++, and its plain Python."""

import importlib
import math

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.nn import boxes
from striate.nn.boxes.regions import align, pool

FLOAT = np.float32


def cases(count: int, seed: int):
    """Yield (maps, boxes (K, 4), image (K,), size, scale): boxes also beyond the map, without area, and inside out."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        maps = torch.from_numpy(rng.normal(size=(2, 2, *rng.integers(1, 9, 2)))).float()
        scale = float(rng.choice([1.0, 0.5, 0.25]))
        corners = rng.uniform(-3, 12, (5, 4)) / scale
        xyxy = torch.from_numpy(
            np.where(rng.random((5, 1)) < 0.9, np.sort(corners.reshape(5, 2, 2), 1).reshape(5, 4), corners)
        )
        size = tuple(int(side) for side in rng.integers(1, 4, 2))
        yield maps, xyxy.float(), torch.from_numpy(rng.integers(0, 2, 5)), size, scale


def point(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = plane[top, left] * (1 - across) + plane[top, right] * across
    return float(upper * (1 - down) + (plane[bottom, left] * (1 - across) + plane[bottom, right] * across) * down)


def align_box(maps: np.ndarray, box: np.ndarray, size, scale, sampling, is_aligned) -> np.ndarray:
    x0, y0, x1, y1 = box * FLOAT(scale) - FLOAT(0.5 if is_aligned else 0)
    least = -math.inf if is_aligned else 1
    sides = [max(y1 - y0, least), max(x1 - x0, least)]
    step = [FLOAT(side) / FLOAT(bins) for side, bins in zip(sides, size, strict=True)]
    rows, columns = (sampling if sampling > 0 else max(0, math.ceil(one)) for one in step)
    found = np.zeros((len(maps), *size))
    for c, p, q in np.ndindex(found.shape):
        found[c, p, q] = sum(
            point(
                maps[c], y0 + p * step[0] + (i + 0.5) * step[0] / rows, x0 + q * step[1] + (j + 0.5) * step[1] / columns
            )
            for i in range(rows)
            for j in range(columns)
        ) / max(1, rows * columns)
    return found


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("is_aligned", [False, True])
def test_roi_align_is_the_kernel(sampling, is_aligned):
    for maps, xyxy, image, size, scale in cases(35, sampling):  # of 5 boxes each: 1,050 in all
        given = boxes.roi_align(maps, xyxy, image, size, scale=scale, sampling=sampling, is_aligned=is_aligned)
        expected = [
            align_box(maps[i].numpy(), box, size, scale, sampling, is_aligned)
            for i, box in zip(image.tolist(), xyxy.numpy(), strict=True)
        ]
        np.testing.assert_allclose(given, expected, atol=2e-4)


@pytest.mark.parametrize("is_aligned", [False, True])
@pytest.mark.parametrize("sampling", [-1, 2])
def test_roi_align_and_its_gradient_are_torchvisions_plain_python(sampling, is_aligned):
    tv.load("torchvision.ops")
    reference = importlib.import_module("torchvision.ops.roi_align")._roi_align.__wrapped__
    rng = np.random.default_rng(8)
    maps = torch.from_numpy(rng.normal(size=(2, 3, 12, 10))).float().requires_grad_()
    corners = torch.from_numpy(rng.uniform(0, 20, (30, 2))).float()
    xyxy = torch.cat([corners, corners + torch.from_numpy(rng.uniform(1, 18, (30, 2))).float()], 1)
    image = torch.from_numpy(rng.integers(0, 2, 30))
    weight = torch.from_numpy(rng.normal(size=(30, 3, 3, 2))).float()
    rois = torch.cat([image[:, None].float(), xyxy], 1)
    made = align(maps, xyxy, image, (3, 2), 0.25, sampling, is_aligned)
    expected = reference(maps, rois, 0.25, 3, 2, sampling, is_aligned)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
    (slope,), (given,) = (torch.autograd.grad((out * weight).sum(), maps) for out in (expected, made))
    torch.testing.assert_close(given, slope, atol=1e-4, rtol=1e-4)


def rounded(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def pool_box(maps: np.ndarray, box: np.ndarray, size, scale) -> np.ndarray:
    x0, y0, x1, y1 = (rounded(float(value)) for value in box * FLOAT(scale))
    step = [FLOAT(max(1, side)) / FLOAT(bins) for side, bins in zip((y1 - y0 + 1, x1 - x0 + 1), size, strict=True)]
    found = np.zeros((len(maps), *size))
    for c, p, q in np.ndindex(found.shape):
        lines, columns = (
            slice(max(0, math.floor(FLOAT(i) * one) + start), max(0, math.ceil(FLOAT(i + 1) * one) + start))
            for i, one, start in ((p, step[0], y0), (q, step[1], x0))
        )
        part = maps[c, lines, columns]
        found[c, p, q] = part.max() if part.size else 0
    return found


def test_roi_pool_is_the_kernel():
    for maps, xyxy, image, size, scale in cases(200, 9):
        given = boxes.roi_pool(maps, xyxy, image, size, scale=scale)
        expected = [
            pool_box(maps[i].numpy(), box, size, scale) for i, box in zip(image.tolist(), xyxy.numpy(), strict=True)
        ]
        np.testing.assert_array_equal(given.numpy(), np.array(expected, FLOAT))


def test_the_gradient_of_roi_pool_goes_to_the_largest():
    maps = torch.arange(16.0).view(1, 1, 4, 4).requires_grad_()
    pool(maps, torch.tensor([[0.0, 0, 3, 3]]), torch.tensor([0]), (2, 2), 1.0).sum().backward()
    assert maps.grad is not None and maps.grad.nonzero()[:, 2:].tolist() == [[1, 1], [1, 3], [3, 1], [3, 3]]


def test_no_boxes_are_no_regions():
    maps, none = torch.zeros(1, 3, 4, 4), torch.zeros(0, 4)
    image = torch.zeros(0, dtype=torch.int64)
    assert (
        boxes.roi_align(maps, none, image, (2, 3)).shape
        == boxes.roi_pool(maps, none, image, (2, 3)).shape
        == (0, 3, 2, 3)
    )
