"""Objects of large images: tiles cover them, boxes return to their place, and each object is there once."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from striate.data.geometry import Geometry
from striate.data.sources.coco import documents
from striate.data.sources.coco_boxes import read
from striate.data.sources.walk import Walk
from striate.predict.coco_json import write_coco
from striate.predict.merge import merged, moved, tiles_of
from striate.predict.prediction import Prediction
from striate.predict.predictor import Predictor
from striate.predict.things import own_things
from striate.task import from_json
from striate.task.answer import Thing


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("size_hw", [(50, 200), (333, 97), (64, 64), (1, 500)])
def test_tiles_cover_an_image_and_overlap(size_hw, overlap):
    covered = np.zeros(size_hw, int)
    tiles = tiles_of(size_hw, (64, 96), overlap)
    for tile in tiles:
        covered[tile] += 1
        assert covered[tile].shape == (min(64, size_hw[0]), min(96, size_hw[1]))
    assert covered.min() >= 1
    for axis, tile_px in ((0, 64), (1, 96)):
        starts = sorted({tile[axis].start for tile in tiles})
        assert np.diff(starts).max(initial=0) <= np.ceil(tile_px * (1 - overlap))


def test_objects_smaller_than_the_overlap_are_there_once_and_whole():
    """Each tile sees the part of every object that lies in it, as a perfect detector would."""
    rng, size_hw = np.random.default_rng(0), (400, 600)
    grid = np.stack(np.meshgrid(np.arange(10, 530, 60), np.arange(10, 330, 60)), -1).reshape(-1, 2)
    corner = grid + rng.uniform(0, 6, grid.shape)
    truth = np.concatenate([corner, corner + rng.uniform(8, 48, grid.shape)], 1)
    names = rng.choice(["cat", "dog"], len(truth))
    tiles = tiles_of(size_hw, (128, 128))
    things = []
    for rows, columns in tiles:
        origin, sides = np.array([columns.start, rows.start]), [columns.stop - columns.start, rows.stop - rows.start]
        own = (truth - np.tile(origin, 2)).clip(0, np.tile(sides, 2))
        is_seen = (own[:, 2:] - own[:, :2] > 1).all(1)
        scores = rng.uniform(0.3, 1, len(own))
        seen = np.flatnonzero(is_seen)
        things.append([Thing(str(names[row]), scores[row], tuple(own[row].tolist())) for row in seen])
    found = merged(tiles, things, size_hw)
    assert len(found) == len(truth) and [one.score for one in found] == sorted(one.score for one in found)[::-1]
    order = [int(np.abs(truth - one.box).sum(1).argmin()) for one in found]
    assert sorted(order) == list(range(len(truth)))
    np.testing.assert_allclose([one.box for one in found], truth[order], atol=1e-9)
    assert [one.name for one in found] == [names[row] for row in order]


def test_an_object_larger_than_a_tile_is_found_in_the_whole_image():
    tiles, size_hw = [*tiles_of((100, 200), (100, 100)), (slice(0, 100), slice(0, 200))], (100, 200)
    parts = [
        [Thing("cat", 0.9, (30, 20, 100, 80))],
        [Thing("cat", 0.9, (0, 20, 100, 80))],
        [Thing("cat", 0.8, (0, 20, 70, 80))],
    ]
    whole = [Thing("cat", 0.5, (30, 20, 170, 80))]
    assert [one.box for one in merged(tiles, [*parts, whole], size_hw)] == [(30, 20, 170, 80)]
    assert merged(tiles, [[]] * 4, size_hw) == ()


@pytest.mark.parametrize("size_hw", [(97, 211), (300, 40), (64, 64)])
@pytest.mark.parametrize("fit", ["letterbox", "squash"])
def test_boxes_return_from_view_and_tile_within_half_a_pixel(size_hw, fit):
    rng, tile_hw = np.random.default_rng(1), (48, 64)
    for tile in tiles_of(size_hw, tile_hw):
        sides = (tile[0].stop - tile[0].start, tile[1].stop - tile[1].start)
        corner = rng.uniform(0, 0.6, (20, 2))
        own = np.concatenate([corner, corner + rng.uniform(0.05, 0.4, (20, 2))], 1) * np.tile(sides[::-1], 2)
        geometry = Geometry((128, 160), fit, 1.15)
        forward = geometry.matrix(*sides)
        view = np.divide(geometry.size_hw, geometry.store_hw)[::-1]
        seen = (own.reshape(-1, 2, 2) * forward[[0, 1], [0, 1]] + forward[:, 2]) * view
        things = tuple(
            Thing("a", 1.0, tuple(box)) for box in np.rint(seen.reshape(-1, 4) * 8) / 8
        )  # as float16 has them
        back = [moved(one, tile, size_hw).box for one in own_things(things, geometry.way_back(*sides))]
        np.testing.assert_allclose(back, own + np.tile([tile[1].start, tile[0].start], 2), atol=0.5)


class Squares(Predictor):
    """Finds bright squares: a box around all that is bright in what it is given."""

    batch = 3

    def __init__(self) -> None:
        task = from_json({"name": "detect", "target": "box", "names": ["square"]})
        super().__init__(__import__("torch").nn.Identity(), task, Geometry((64, 64), "letterbox"), (0,) * 3, (1,) * 3)

    def framed(self, pixels):
        return pixels

    def outputs(self, stored):
        return stored

    def _read(self, outputs, ids, sizes_hw):
        found = []
        for name, image in zip(ids, outputs, strict=True):
            rows, columns = np.nonzero(image[..., 0] > 128)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
            found.append(
                Prediction(name, ("square",), things=(Thing("square", 0.9, tuple(map(float, box))),) if box else ())
            )
        return found


def test_a_large_image_is_predicted_in_tiles(tmp_path):
    image = np.zeros((150, 220, 3), np.uint8)
    image[20:40, 30:55] = image[100:130, 180:200] = 255
    (found,), (half,) = Squares()(image, tiles=1), Squares()(image, tiles=0.5)
    boxes = sorted(thing.box for thing in found.things)
    assert (30, 20, 55, 40) in boxes and (180, 100, 200, 130) in boxes
    near = [np.abs(np.subtract(one.box, box)).max() for one in half.things for box in boxes]
    assert sum(distance <= 2 for distance in near) >= 2
    (small,) = Squares()(image[:60, :60], tiles=1)
    assert [one.box for one in small.things] == [(30, 20, 55, 40)]


def test_coco_json_is_read_again(tmp_path):
    names, paths = ("cat", "dog"), [tmp_path / "a.png", tmp_path / "b.jpg"]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(paths[0])
    Image.new("RGB", (40, 24)).save(paths[1], exif=exif)  # upright 24 x 40
    things = [(Thing("dog", 0.75, (1, 2, 11, 12.5)), Thing("cat", 0.5, (0, 0, 5, 5))), ()]
    documents_ = [Prediction(str(path), names, things=some).to_json() for path, some in zip(paths, things, strict=True)]
    write_coco(tmp_path / "found.json", documents_, names)
    document = json.loads((tmp_path / "found.json").read_text())
    assert [row["score"] for row in document["annotations"]] == [0.75, 0.5]
    assert [(row["height"], row["width"]) for row in document["images"]] == [(20, 30), (40, 24)]
    walk = Walk(tmp_path)
    assert list(documents(walk)) == ["found.json"]
    images = read(walk, "found.json").images
    assert [[(one.name, one.xyxy) for one in image.things] for image in images] == [
        [("dog", (1, 2, 11, 12.5)), ("cat", (0, 0, 5, 5))],
        [],
    ]
    assert replace(images[0], split=None).name == "a.png"


def test_pycocotools_reads_it(tmp_path):
    coco = pytest.importorskip("faster_coco_eval")
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    document = Prediction(str(tmp_path / "a.png"), ("cat",), things=(Thing("cat", 0.5, (0, 0, 5, 5)),)).to_json()
    write_coco(tmp_path / "found.json", [document], ("cat",))
    loaded = coco.COCO(str(tmp_path / "found.json"))
    assert loaded.getCatIds() == [1] and loaded.loadAnns(loaded.getAnnIds(imgIds=[1]))[0]["bbox"] == [0, 0, 5, 5]
