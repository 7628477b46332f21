"""Mosaic: what is seen in each quarter, the boxes with it, and who decides."""

import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.data.augment import Flip, Mosaic, Pipeline, Zoom, refuse_unmixable
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.mosaic import tile_boxes
from striate.data.geometry import Geometry
from striate.data.target import Boxes, Label, Place

HEIGHT, WIDTH, COUNT = 40, 56, 9


def plan_of(ops, rows=None, count: int = COUNT, epoch: int = 0, out_hw=(HEIGHT, WIDTH)):
    pipeline = Pipeline(ops)
    draws = pipeline.draw(count, 0, epoch)
    draws = draws if rows is None else draws[rows]
    return pipeline.matrices(draws, (HEIGHT, WIDTH), out_hw, np.zeros((len(draws), 3)))


def images_of_rectangles(seed: int = 0) -> tuple[list[np.ndarray], Boxes]:
    """Dark images, each with a rectangle of its own level."""
    rng, images, boxes = np.random.default_rng(seed), [], []
    for index in range(COUNT):
        left, top = rng.integers(2, WIDTH - 24), rng.integers(2, HEIGHT - 20)
        box = [left, top, left + rng.integers(12, 22), top + rng.integers(10, 18)]
        image = np.full((HEIGHT, WIDTH, 3), 10, np.uint8)
        image[box[1] : box[3], box[0] : box[2]] = 80 + 15 * index
        images.append(image)
        boxes.append([box])
    return images, Boxes.of(boxes, [[index] for index in range(COUNT)], tuple("abcdefghi"))


def batch_of(boxes: Boxes, plan):
    geometry = Geometry((HEIGHT, WIDTH), "squash")
    return boxes.batch(np.arange(COUNT), plan, Place(geometry, lambda index: (HEIGHT, WIDTH), min_seen=0.0))


def test_boxes_are_where_the_pixels_are():
    """Each level of a mosaic lies within a pixel of its box, and there is none without a box."""
    images, boxes = images_of_rectangles()
    plan = plan_of([Flip(), Mosaic(p=0.8)])
    assert 3 < plan.mosaic.is_tiled.sum() < COUNT
    views, found = apply_cpu(images, plan)[..., 0], batch_of(boxes, plan)
    num = 0
    for view, own, labels in zip(views, found, found.of("labels"), strict=True):
        inside = np.zeros(view.shape, bool)
        for box, label in zip(own.numpy(), labels.tolist(), strict=True):
            left, top, right, bottom = np.rint(box).astype(int)
            inside[top - 1 if top else 0 : bottom + 1, left - 1 if left else 0 : right + 1] = True
            middle = view[int(box[1::2].mean()), int(box[::2].mean())]
            if (box[2:] - box[:2]).min() > 3:
                assert abs(int(middle) - (80 + 15 * label)) <= 1
                num += 1
        assert (view[~inside] <= 12).all()
    assert num > 20


def test_a_quarter_is_its_image_made_smaller():
    """Brute force: each pixel of a mosaic is the image's level at the place that its quarter says."""
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    images = [np.repeat((xx + yy + 10 * index)[..., None], 3, 2).astype(np.uint8) for index in range(COUNT)]
    plan = plan_of([Mosaic(p=1.0)])
    views, tiles = apply_cpu(images, plan)[..., 0].astype(float), plan.mosaic
    for row in range(COUNT):
        mid_x, mid_y = tiles.middle[row]
        for number, source in enumerate(tiles.sources[row]):
            x0, x1 = (0, mid_x) if number % 2 == 0 else (mid_x, WIDTH)
            y0, y1 = (0, mid_y) if number < 2 else (mid_y, HEIGHT)
            scale = max((x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)
            x = (np.arange(x0, x1) + 0.5 - (x0 + x1) / 2) / scale + WIDTH / 2 - 0.5
            y = (np.arange(y0, y1) + 0.5 - (y0 + y1) / 2) / scale + HEIGHT / 2 - 0.5
            expected = x.clip(0, WIDTH - 1)[None] + y.clip(0, HEIGHT - 1)[:, None] + 10 * source
            assert np.abs(views[row, y0:y1, x0:x1] - expected).max() <= 1.1
        assert tiles.sources[row, 0] == row


def test_both_devices_make_the_same():
    images, _ = images_of_rectangles()
    plan = plan_of([Zoom(), Mosaic(p=0.7)])
    cpu = apply_cpu(images, plan, normal=Normal.of([0.5] * 3, [0.25] * 3, (HEIGHT, WIDTH)))
    gpu = apply_torch(torch.from_numpy(np.stack(images)), plan, torch.full((3,), 0.5), torch.full((3,), 0.25))
    assert np.abs(cpu - gpu.permute(0, 2, 3, 1).numpy()).mean() < 2 / 255 / 0.25


def test_a_sample_has_its_cross_whatever_its_batch_is():
    whole, part = plan_of([Mosaic()]), plan_of([Mosaic()], rows=[4, 2, 7])
    assert np.array_equal(part.mosaic.middle, whole.mosaic.middle[[4, 2, 7]])
    assert np.array_equal(part.mosaic.is_tiled, whole.mosaic.is_tiled[[4, 2, 7]])
    assert not np.array_equal(whole.mosaic.middle, plan_of([Mosaic()], epoch=1).mosaic.middle)
    alone = plan_of([Mosaic(p=1.0)], rows=[3]).mosaic  # all four are the image itself
    assert alone.sources.tolist() == [[0, 0, 0, 0]]


def test_boxes_of_mosaics_by_brute_force():
    rng, plan = np.random.default_rng(1), plan_of([Mosaic(p=0.6)])
    rows = np.sort(rng.integers(0, COUNT, 60))
    corner = rng.uniform(-10, 50, (60, 2))
    whole = np.concatenate([corner, corner + rng.uniform(2, 30, (60, 2))], 1).astype(np.float32)
    seen = whole.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32)
    found = list(zip(*(part.tolist() for part in tile_boxes(whole, seen, rows, plan.mosaic)), strict=True))
    expected = []
    for row in range(COUNT):
        for number in range(4):
            source = plan.mosaic.sources[row, number] if plan.mosaic.is_tiled[row] else row
            scale, shift_x, shift_y = plan.mosaic.matrices[row, number] if plan.mosaic.is_tiled[row] else (1, 0, 0)
            frame = plan.mosaic.spots[row, number] if plan.mosaic.is_tiled[row] else np.array([0, 0, WIDTH, HEIGHT])
            for index in np.flatnonzero(rows == source):
                moved = [one[index] * scale + np.tile([shift_x, shift_y], 2) for one in (whole, seen)]
                expected.append((moved[0], np.clip(moved[1], np.tile(frame[:2], 2), np.tile(frame[2:], 2)), row, index))
            if not plan.mosaic.is_tiled[row]:
                break
    assert len(found) == len(expected)
    for (a, b, row, index), (c, d, other, own) in zip(found, expected, strict=True):
        assert (row, index) == (other, own)
        np.testing.assert_allclose(a, c, atol=1e-3)
        np.testing.assert_allclose(b, d, atol=1e-3)


def test_only_boxes_are_made_of_four():
    refuse_unmixable((Mosaic(),), "box", Boxes.of([[]]))
    with pytest.raises(SettingsError, match="mosaic cannot mix a target of kind label"):
        refuse_unmixable((Mosaic(),), "label", Label(np.array([0]), ("a",)))
