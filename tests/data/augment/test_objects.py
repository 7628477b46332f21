"""Crops that keep objects, by brute force; boxes after every kind of geometry are where the pixels are."""

import numpy as np
import pytest

from striate.data.augment import Flip, ObjectCrop, Perspective, Pipeline, Rotate, Shear, Shift, Zoom
from striate.data.augment.apply import apply_cpu
from striate.data.geometry import Geometry
from striate.data.target import Boxes, Place

STORE, SIZE = 80, 64
COUNT = 40


def make(seed: int = 0, num: int = 3) -> tuple[Boxes, Place]:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (COUNT, num, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(6, 30, (COUNT, num, 2))], 2).clip(0, STORE)
    geometry = Geometry((SIZE, SIZE), "squash", STORE / SIZE)
    return Boxes.of(boxes), Place(geometry, lambda index: (STORE, STORE))


def plan_of(ops, boxes: Boxes | None, place: Place, epoch: int = 0):
    pipeline = Pipeline(ops)
    objects = None if boxes is None else boxes.objects(np.arange(COUNT), place)
    draws = pipeline.draw(COUNT, 0, epoch)
    return pipeline.matrices(draws, (STORE, STORE), (SIZE, SIZE), np.zeros((COUNT, 3)), objects)


@pytest.mark.parametrize("before", [(), (Flip(), Rotate(max_deg=20), Zoom(min=0.7, max=1.1))])
def test_a_crop_keeps_an_object_whole_or_is_filled_by_it(before):
    boxes, place = make()
    plain, cut = plan_of(before, None, place), plan_of((*before, ObjectCrop(scale=(0.2, 0.6))), boxes, place)
    first, then = boxes.batch(np.arange(COUNT), plain, place), boxes.batch(np.arange(COUNT), cut, place)
    num = 0
    for index in range(COUNT):
        seen = first[index].numpy()
        is_whole = (seen > 0.01).all(1) & (seen < SIZE - 0.01).all(1)
        if not is_whole.all() or len(seen) < 3:
            continue
        num += 1
        after = dict(zip(then.of("row")[index].tolist(), then[index].numpy(), strict=True))
        ratios = []
        for row, box in zip(first.of("row")[index].tolist(), seen, strict=True):
            if row in after:
                grown = (box[2:] - box[:2]) / crop_sides(plain.warp[index], cut.warp[index])
                ratios.append(((after[row][2:] - after[row][:2]) / np.minimum(grown, SIZE)).min())
        assert max(ratios) > 0.99, index
    assert num > 8


def crop_sides(plain: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """The sides of the part as shares: the crop's own matrix, from the two compositions."""
    whole = [np.vstack([matrix, [0, 0, 1]]) for matrix in (plain, cut)]
    own = np.linalg.inv(whole[0]) @ whole[1]
    return own[[0, 1], [0, 1]]


def test_a_crop_depends_on_the_sample_alone():
    boxes, place = make()
    pipeline = Pipeline((ObjectCrop(),))
    draws, rows = pipeline.draw(COUNT, 0, 3), np.array([7, 2, 30])
    whole = pipeline.matrices(
        draws, (STORE,) * 2, (SIZE,) * 2, np.zeros((COUNT, 3)), boxes.objects(np.arange(COUNT), place)
    )
    part = pipeline.matrices(draws[rows], (STORE,) * 2, (SIZE,) * 2, np.zeros((3, 3)), boxes.objects(rows, place))
    assert np.array_equal(part.warp, whole.warp[rows])


def test_images_without_objects_are_cropped_anywhere():
    none, place = Boxes.of([[]] * COUNT), make()[1]
    plan = plan_of((ObjectCrop(scale=(0.25, 0.25), ratio=(1, 1)),), none, place)
    corners = plan.warp[:, :, 2]
    assert (corners.min(0) < 3).all() and (corners.max(0) > 33).all() and (corners > -1).all()
    assert plan_of((ObjectCrop(p=0.0),), none, place).warp[:, 0, 0].tolist() == [1.25] * COUNT


@pytest.mark.parametrize(
    "op", [Flip(vertical=0.5), Rotate(max_deg=45), Shift(), Zoom(min=0.5, max=1.5), Shear(), Perspective()]
)
def test_beyond_the_border_nothing_is_seen_twice(op):
    """One white rectangle an image: what is white lies in its one box, which reaches each side of it."""
    boxes, place = make(num=1)
    images = [np.zeros((STORE, STORE, 3), np.uint8) for _ in range(COUNT)]
    for image, box in zip(images, np.rint(boxes.xyxy).astype(int), strict=True):
        image[box[1] : box[3], box[0] : box[2]] = 255
    boxes = Boxes.of(np.rint(boxes.xyxy)[:, None])
    plan = plan_of((op,), None, place)
    object.__setattr__(plan, "is_mirrored", False)
    found = boxes.batch(np.arange(COUNT), plan, place)
    for view, own in zip(apply_cpu(images, plan)[..., 0], found, strict=True):
        rows, columns = np.nonzero(view > 200)
        if not len(own):
            assert len(rows) < 30
        elif len(rows):
            hull = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert ((hull - own[0].numpy()) * [1, 1, -1, -1]).min() > -1.1  # nothing is outside of it
            assert np.abs(hull - own[0].numpy()).max() < 4  # a sharp corner fades
