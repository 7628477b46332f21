"""What objects cover: as files have it, and as a batch has it after every geometry operation."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from striate.base.runs import covered_by, run_lengths, run_text, runs_of
from striate.data import open_dataset
from striate.data.augment import Flip, Mosaic, Perspective, Pipeline, Rotate, Zoom
from striate.data.augment.apply import apply_cpu
from striate.data.geometry import Geometry
from striate.data.target import Boxes, Place
from striate.data.target.extent import GRID, Extent, cells
from striate.data.upright import upright

HEIGHT, WIDTH, COUNT = 120, 168, 9
POLYGON = np.array([[3.13, 4.29], [30.07, 9.41], [12.37, 30.11]])


def blobs(seed: int = 0) -> tuple[list[np.ndarray], Boxes]:
    """Images that show one smooth object each, and the target that says what it covers: by runs, or by a polygon."""
    rng, images, boxes, extents = np.random.default_rng(seed), [], [], []
    yy, xx = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for index in range(COUNT):
        turn, (x, y) = np.linspace(0, 2 * np.pi, 24, endpoint=False), rng.uniform([50, 40], [118, 80])
        radius = 26 + 8 * np.sin(turn * 3 + rng.random() * 6)
        polygon = np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], 1)
        extent = Extent((HEIGHT, WIDTH), (polygon,))
        mask = extent.mask()
        extents.append(extent if index % 2 else Extent.of(mask))
        images.append(np.repeat(mask[..., None] * np.uint8(255), 3, 2))
        boxes.append([[*polygon.min(0), *polygon.max(0)]])
    return images, replace(Boxes.of(boxes, names=("blob",)), extents=tuple(extents))


@pytest.mark.parametrize(
    "ops",
    [[], [Flip()], [Rotate(max_deg=60)], [Zoom(), Flip()], [Perspective()], [Flip(), Zoom(), Mosaic(p=0.8)]],
    ids=lambda ops: "+".join(type(op).__name__ for op in ops) or "none",
)
def test_a_batch_says_of_each_cell_what_the_moved_image_shows_there(ops):
    images, boxes = blobs()
    pipeline, out_hw = Pipeline(ops), (100, 140)
    plan = pipeline.matrices(pipeline.draw(COUNT, 0, 1), (HEIGHT, WIDTH), out_hw, np.zeros((COUNT, 3)))
    place = Place(Geometry((HEIGHT, WIDTH), "squash", margin=1.0), lambda index: (HEIGHT, WIDTH), min_seen=0.0)
    batch = boxes.batch(np.arange(COUNT), replace(plan, is_mirrored=False), place)
    views = apply_cpu(images, replace(plan, is_mirrored=False))[..., 0]
    assert batch.fields["masks"].shape == (len(batch.values), GRID, GRID) and len(batch.values) >= COUNT
    differ = num = 0
    for view, own, masks in zip(views, batch, batch.of("masks"), strict=True):
        for box, mask in zip(own.numpy(), masks.numpy(), strict=True):
            x, y = cells(box[None])[0].T
            level = ndimage.map_coordinates(view.astype(float), [y - 0.5, x - 0.5], order=1, mode="nearest")
            is_sure = (level < 40) | (level > 215)  # the rest lies within a pixel of the edge
            differ += int(((level > 127) != mask.ravel())[is_sure].sum())
            num += int(is_sure.sum())
    assert num > 0.6 * GRID**2 * len(batch.values)
    assert differ / num < 0.004


def test_what_is_seen_is_drawn_where_the_image_shows_it():
    images, boxes = blobs()
    pipeline = Pipeline([Flip(), Zoom()])
    plan = pipeline.matrices(pipeline.draw(COUNT, 0, 1), (HEIGHT, WIDTH), (100, 140), np.zeros((COUNT, 3)))
    plan = replace(plan, is_mirrored=False)
    place = Place(Geometry((HEIGHT, WIDTH), "squash", margin=1.0), lambda index: (HEIGHT, WIDTH), min_seen=0.0)
    seen, views = boxes.seen(np.arange(COUNT), plan, place), apply_cpu(images, plan)[..., 0]
    for extent, index in zip(seen.extents, seen.image.tolist(), strict=True):
        mask, view = extent.mask(), views[index] > 160  # beyond its border the image is grey
        assert mask.shape == (100, 140) and (mask & view).sum() > 0.9 * (mask | view).sum() > 0


def test_runs_are_read_and_written_as_coco_has_them():
    mask_api = pytest.importorskip("faster_coco_eval.core.mask")
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (7, 3), (40, 60)] * 5:
        mask = rng.random(shape) < rng.random()
        mask = ndimage.binary_opening(mask) if shape[0] > 7 else mask
        assert (covered_by(runs_of(mask), shape) == mask).all()
        text = run_text(runs_of(mask))
        assert run_lengths(text) == runs_of(mask)
        assert mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] == text.encode()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_covered_is_turned_as_the_image_is(orientation):
    extent = Extent((40, 50), (POLYGON,))
    wanted = upright(extent.mask()[..., None], orientation)[..., 0]
    assert (extent.turned(orientation).mask() == wanted).all()
    assert (Extent.of(extent.mask()).turned(orientation).mask() == wanted).all()


def test_masks_that_number_objects_are_what_they_cover(tmp_path):
    rng = np.random.default_rng(0)
    numbers = np.zeros((30, 40), np.uint8)
    numbers[4:12, 5:20], numbers[8:20, 18:30] = 1, 2
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for index in range(6):
            pixels = numbers if folder == "masks" else rng.integers(0, 255, (30, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{index}.png")
    target = open_dataset(tmp_path, task="detect").target("box")
    assert len(target.extents) == 12
    for row in range(4):
        assert (target.extents[row].mask() == (numbers == row % 2 + 1)).all()
    taken = target.take(np.array([3, 0]))
    assert (taken.extents[1].mask() == (numbers == 2)).all() and len(taken.extents) == 4
    other = replace(target, extents=target.extents[::-1])
    assert list(other.content(np.arange(6))) != list(target.content(np.arange(6)))


def test_outlines_of_coco_are_what_objects_cover(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for index in range(1, 7):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / "images" / f"{index}.png")
    mask = Extent((40, 50), (POLYGON,)).mask()
    shapes = [[POLYGON.ravel().tolist()], {"size": [40, 50], "counts": run_text(runs_of(mask))},
              {"size": [40, 50], "counts": runs_of(mask)}]  # fmt: skip
    rows = [{"id": index, "image_id": 1, "category_id": 1, "bbox": [3, 4, 27, 26], "segmentation": shape}
            for index, shape in enumerate(shapes, 1)]  # fmt: skip
    images = [{"id": index, "file_name": f"{index}.png", "height": 40, "width": 50} for index in range(1, 7)]
    document = {"images": images,
                "categories": [{"id": 1, "name": "kite"}], "annotations": rows}  # fmt: skip
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    target = open_dataset(tmp_path, task="detect").target("box")
    assert len(target.extents) == 3 and all((extent.mask() == mask).all() for extent in target.extents)
    del rows[1]["segmentation"]  # of one object it is not known
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    assert open_dataset(tmp_path, task="detect").target("box").extents == ()


def test_shapes_of_labelme_are_objects(tmp_path):
    rng = np.random.default_rng(0)
    shapes = [
        {"label": "kite", "shape_type": "polygon", "points": POLYGON.tolist()},
        {"label": "cart", "shape_type": "rectangle", "points": [[40, 30], [20, 5]]},
        {"label": "cart", "shape_type": "polygon", "points": [[1, 1], [5, 1], [5, 5], [1, 5]], "group_id": 7},
        {"label": "cart", "shape_type": "polygon", "points": [[30, 31], [38, 31], [38, 38]], "group_id": 7},
        {"label": "__ignore__", "shape_type": "rectangle", "points": [[0, 0], [2, 2]]},
        {"label": "kite", "shape_type": "line", "points": [[0, 0], [2, 2]]},
    ]
    for index in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / f"{index}.png")
        document = {"shapes": shapes, "imagePath": f"{index}.png", "imageHeight": 40, "imageWidth": 50}
        (tmp_path / f"{index}.json").write_text(json.dumps(document))
    target = open_dataset(tmp_path, task="detect").target("box")
    assert target.names == ("cart", "kite") and target.labels[:3].tolist() == [1, 0, 0]
    wanted = [[*POLYGON.min(0), *POLYGON.max(0)], [20, 5, 40, 30], [1, 1, 38, 38]]
    np.testing.assert_allclose(target.xyxy[:3], wanted, rtol=1e-6)
    assert target.place(2) == "shape 3 "
    assert (target.extents[0].mask() == Extent((40, 50), (POLYGON,)).mask()).all()
    assert target.extents[1].mask()[5:30, 20:40].all() and target.extents[1].mask().sum() == 500
    assert target.extents[2].mask()[1:5, 1:5].all() and target.extents[2].mask().sum() > 16


@pytest.mark.parametrize("is_nested", [True, False], ids=["a folder an image", "a folder of masks an image"])
def test_a_mask_file_an_object(tmp_path, is_nested):
    rng = np.random.default_rng(0)
    for index in range(6):
        images = tmp_path / f"{index}/images" if is_nested else tmp_path / "images"
        masks = tmp_path / f"{index}/masks" if is_nested else tmp_path / f"masks/{index}"
        for folder in (images, masks):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(images / f"{index}.png")
        for number in range(index % 3 + 1):
            mask = np.zeros((30, 40), np.uint8)
            mask[5 * number : 5 * number + 4, 3 : 9 + number] = 255
            Image.fromarray(mask).save(masks / f"m{number}.png")
    target = open_dataset(tmp_path, task="detect").target("box")
    assert np.diff(target.starts).tolist() == [1, 2, 3, 1, 2, 3]
    assert target.xyxy[1:3].tolist() == [[3, 0, 9, 4], [3, 5, 10, 9]]
    assert (target.extents[2].mask() == (np.indices((30, 40))[0] // 5 == 1) * target.extents[2].mask()).all()
    assert target.extents[2].mask().sum() == 28


def test_drawn_shapes_cover_what_is_seen_of_them():
    data = open_dataset("toy:shapes?objects=3&n=12&noise=0&clutter=0")
    target = data.target("box")
    whole = 0
    for index in range(12):
        own = slice(*target.starts[[index, index + 1]])
        masks = np.array([extent.mask() for extent in target.extents[own]])
        assert masks.sum(0).max() == 1  # nothing covers a pixel twice
        for mask, box in zip(masks, target.xyxy[own], strict=True):
            y, x = np.nonzero(mask)
            hull = [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert (hull[:2] >= box[:2]).all() and (hull[2:] <= box[2:]).all()
            whole += hull == box.tolist()
    assert whole > 25
