"""Key points of objects: where the moved image shows them, and as COCO files and drawn shapes have them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.augment import Flip, Mosaic, Perspective, Pipeline, Rotate, Zoom
from striate.data.augment.apply import apply_cpu
from striate.data.geometry import Geometry
from striate.data.sources import toy
from striate.data.target import Boxes, Place, Points
from striate.data.target.points import HIDDEN, SEEN, UNKNOWN

HEIGHT, WIDTH, COUNT = 120, 168, 9
OPS = [[], [Flip()], [Rotate(max_deg=60)], [Zoom(), Flip()], [Perspective()], [Flip(), Zoom(), Mosaic(p=0.8)]]
PERSON = {"id": 1, "name": "person", "keypoints": ["left_eye", "right_eye", "nose"]}


def spots() -> tuple[list[np.ndarray], Boxes]:
    """Images with two objects of two spots each, of which the one on the left is brighter; one spot is not marked."""
    rng, images, boxes, places = np.random.default_rng(0), [], [], []
    for _ in range(COUNT):
        pixels, own = np.zeros((HEIGHT, WIDTH, 3), np.uint8), []
        for left in (10, 90):
            low = rng.integers([left, 10], [left + 20, 40])
            own.append([*low, *(low + 50)])
            pair = low + np.array([[8, 12], [42, 30]])
            places.append(pair + 0.5)
            for (x, y), level in zip(pair, (250, 120), strict=True):
                pixels[y - 3 : y + 4, x - 3 : x + 4] = level
        images.append(pixels)
        boxes.append(own)
    visible = np.full((2 * COUNT, 2), SEEN)
    visible[0, 0] = UNKNOWN
    points = Points.of(np.split(np.array(places), COUNT), np.split(visible, COUNT), ("left", "right"), [(0, 1)])
    return images, replace(Boxes.of(boxes, names=("pair",)), points=points)


@pytest.mark.parametrize("ops", OPS, ids=lambda ops: "+".join(type(op).__name__ for op in ops) or "none")
def test_points_of_a_batch_are_where_the_moved_image_shows_them(ops):
    images, boxes = spots()
    pipeline, out_hw = Pipeline(ops), (100, 140)
    plan = pipeline.matrices(pipeline.draw(COUNT, 0, 1), (HEIGHT, WIDTH), out_hw, np.zeros((COUNT, 3)))
    plan = replace(plan, is_mirrored=False)
    place = Place(Geometry((HEIGHT, WIDTH), "squash", margin=1.0), lambda index: (HEIGHT, WIDTH), min_seen=0.0)
    batch = boxes.batch(np.arange(COUNT), plan, place)
    views, swaps, num, odd = apply_cpu(images, plan)[..., 0], 0, 0, 0
    for view, xy, visible in zip(views, batch.of("points"), batch.of("visible"), strict=True):
        top, bottom = (
            np.pad(found, 200) for found in (ndimage.maximum_filter(view, 3), ndimage.minimum_filter(view, 3))
        )
        for pair, flags in zip(xy.numpy(), visible.numpy(), strict=True):
            levels = [int(top[int(y) + 200, int(x) + 200]) for x, y in pair]
            assert all(level > 60 for level, flag in zip(levels, flags, strict=True) if flag)
            low = [int(bottom[int(y) + 200, int(x) + 200]) for x, y in pair]  # not at a spot's cut side
            odd += sum(level > 60 for level, flag in zip(low, flags, strict=True) if not flag)
            num += int((flags > 0).sum())
            swaps += bool(flags.all()) and levels[0] < levels[1]
    assert (swaps > 0) == any(isinstance(op, Flip) for op in ops) and num > COUNT
    assert odd <= (4 if plan.mosaic else 1)  # the one without a mark, as often as a mosaic shows it
    seen = boxes.seen(np.arange(COUNT), plan, place)
    assert seen.points.xy.shape == (len(seen.xyxy), 2, 2) and (seen.points.starts == seen.starts).all()


def test_points_are_taken_with_their_boxes_and_told_in_the_fingerprint():
    boxes = spots()[1]
    taken = boxes.take(np.array([3, 0]))
    assert (taken.points.xy == boxes.points.xy[[6, 7, 0, 1]]).all() and taken.points.visible[2, 0] == UNKNOWN
    others = replace(boxes, points=replace(boxes.points, xy=boxes.points.xy + 1))
    plain = replace(boxes, points=None)
    known = {b"".join(one.content(np.arange(COUNT))) for one in (boxes, others, plain)}
    assert len(known) == 3


def write(folder, annotations, categories=(PERSON,), exif=None):
    for at in range(12):
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[5 + at, 50] = 255
        Image.fromarray(pixels).save(folder / f"{at:02d}.png", **({"exif": exif} if exif else {}))
    images = [{"id": at, "file_name": f"{at:02d}.png", "width": 60, "height": 40} for at in range(12)]
    rows = [{"id": at, "category_id": 1, "bbox": [40, 2, 15, 20], **row} for at, row in enumerate(annotations)]
    document = {"images": images, "annotations": rows, "categories": list(categories)}
    (folder / "list.json").write_text(json.dumps(document))


@pytest.mark.parametrize("orientation", [1, 6])
def test_coco_key_points_stand_beside_their_boxes(tmp_path, orientation):
    """A white pixel marks the first point in the file as it lies; EXIF turns the image, and the points with it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    rows = [{"image_id": at, "keypoints": [50, 5 + at, 2, 44, 9, 1, 0, 0, 0]} for at in range(12)]
    write(tmp_path, [*rows, {"image_id": 3}, {"image_id": 3, "iscrowd": 1, "keypoints": []}], exif=exif)
    data = open_dataset(tmp_path, task="detect")
    points = data.target("box").points
    assert points.names == ("left_eye", "right_eye", "nose") and points.pairs == ((0, 1),)
    assert np.diff(points.starts).tolist() == [1, 1, 1, 3] + [1] * 8 and points.visible[4:6].sum() == 0
    for at in range(12):
        x, y = np.floor(points.xy[points.starts[at], 0]).astype(int)
        assert data.images.read(at)[y, x].tolist() == [255] * 3
        assert points.visible[points.starts[at]].tolist() == [SEEN, HIDDEN, UNKNOWN]
    assert any("whole numbers" in reading.text for reading in data.readings)


def test_coco_key_points_that_differ(tmp_path):
    write(tmp_path, [{"image_id": 0, "keypoints": [1, 2, 2]}])
    with pytest.raises(DataError, match="the keypoints of annotation 0 are not 3 times x, y, visibility: .*list.json"):
        open_dataset(tmp_path, task="detect")
    rows = [{"image_id": at, "keypoints": [1, 2, 2] * 3} for at in range(12)]
    write(tmp_path, rows, (PERSON, {"id": 2, "name": "cat", "keypoints": ["tail"]}))
    data = open_dataset(tmp_path, task="detect")
    assert data.target("box").points is None
    said = [reading.text for reading in data.readings]
    assert "the categories person and cat have different key points: boxes are read alone" in said


def test_drawn_objects_have_their_points():
    """Corners lie at the rim of what is drawn of a square alone; what another covers is hidden."""
    data = toy.read("toy:shapes?objects=1..12&points=corners,centre&n=40&size=96&noise=0&clutter=0")
    boxes = data.target("box")
    points = boxes.points
    assert boxes.names == ("square",) and points.names[4] == "centre" and points.pairs == ((0, 1), (2, 3))
    for row, (extent, image) in enumerate(zip(boxes.extents, boxes.image.tolist(), strict=True)):
        mask, own = extent.mask(), np.flatnonzero(boxes.image == image)
        assert np.abs(points.xy[row, :4].mean(0) - points.xy[row, 4]).max() < 0.01
        x, y = np.floor(points.xy[row, 4]).astype(int)
        covers = [other for other in own if other > row and boxes.extents[other].mask()[y, x]]
        assert (points.visible[row, 4] == HIDDEN) == bool(covers)
        if points.visible[row, 4] == SEEN:
            assert mask[y, x]
    counts = np.bincount(points.visible.ravel(), minlength=3)
    assert (counts > 5).all() and counts[SEEN] > 2 * counts[HIDDEN]
    plain = toy.read("toy:shapes?objects=1..3&points=centre,bite&n=12&size=48").target("box")
    assert len(plain.names) == 5 and plain.points.names == ("centre", "bite") and plain.points.pairs == ()


@pytest.mark.parametrize(
    "row, message",
    [
        ({"keypoints": [1, 2, -1] + [1, 2, 2] * 2}, "a key point of annotation 0 has the visibility -1: .*list.json"),
        ({"keypoints": [1, 10**400, 2] * 3}, "the keypoints of annotation 0 are not 3 times x, y, visibility"),
        ({"bbox": [1, 2, 10**400, 4]}, "the bbox of annotation 0 is not x, y, width, height"),
    ],
)
def test_strange_numbers_of_coco_key_points_are_named(tmp_path, row, message):
    write(tmp_path, [{"image_id": 0, **row}])
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path, task="detect")


def test_coco_key_points_with_strange_names(tmp_path):
    rows = [{"image_id": at, "keypoints": [0, 0, 0] * 3} for at in range(12)]
    write(tmp_path, rows, [{"id": 1, "name": "person"}])
    data = open_dataset(tmp_path, task="detect")
    (said,) = [reading.text for reading in data.readings if "key points" in reading.text]
    assert "no category has a list of their names" in said and data.target("box").points is None
    write(tmp_path, rows)  # none is marked, so nobody knows what numbers mean
    data = open_dataset(tmp_path, task="detect")
    assert not any("whole numbers" in reading.text for reading in data.readings)
    write(tmp_path, rows, [{**PERSON, "keypoints": ["eye", "eye", "nose"]}])
    with pytest.raises(DataError, match="category person has a key point twice: .*list.json"):
        open_dataset(tmp_path, task="detect")
