"""Keypoint R-CNN: heat maps and their loss against torchvision's, what is refused, a run and its answers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.fixtures.coco_scores import coco_scores

from striate.base import torchvision as tv
from striate.base.errors import DataError
from striate.base.rundir import RunDir
from striate.cli.app import run as command
from striate.data.geometry import Geometry
from striate.data.open import open_dataset
from striate.data.originals import Originals
from striate.data.target import Boxes, Points, Ragged
from striate.evaluate.predictions import read
from striate.metric import records_of
from striate.metric.point_matches import POINTS, TRUE_POINTS
from striate.nn.boxes import point_cells, provide, read_points
from striate.predict.coco_json import write_coco
from striate.predict.prediction import Prediction
from striate.predict.table import write_table
from striate.predict.things import own_things
from striate.task import fit_task, from_json
from striate.task.answer import Thing
from striate.task.detect.keypoint_rcnn import HEAT_CELLS, MARGIN, KeypointRcnn, larger
from striate.task.detect.points import texts, true_texts
from striate.task.detect.reading import DetectOptions, Truth

HEADS = "torchvision.models.detection.roi_heads"
NAMES = ("left", "right", "tip")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_boxes(num, side, rng, least=4.0):
    low = torch.rand(num, 2, generator=rng) * side * 0.6
    return torch.cat([low, (low + least + torch.rand(num, 2, generator=rng) * side * 0.4).clamp(max=side)], 1)


def random_points(boxes, num, rng):
    """Points (B, num, 3) in and around boxes, some of them on a side, with visibility."""
    share = torch.rand(len(boxes), num, 2, generator=rng) * 1.4 - 0.2
    share[:, 0], share[:, 1] = share[:, 0].round().clamp(0, 1), share[:, 1].clamp(0, 0.999)
    low, sides = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    visible = torch.randint(0, 3, (len(boxes), num, 1), generator=rng).float()
    return torch.cat([torch.where(share == 1, boxes[:, None, 2:], low + share * sides), visible], 2)


def test_cells_of_points_are_torchvision_s():
    theirs, rng = tv.load(HEADS).keypoints_to_heatmap, generator()
    boxes = random_boxes(300, 100, rng)
    points = random_points(boxes, 5, rng)
    cell, is_inside = point_cells(points[..., :2], boxes, HEAT_CELLS)
    wanted, valid = theirs(points, boxes, HEAT_CELLS)
    is_learnt = is_inside & (points[..., 2] > 0)
    assert (is_learnt == valid.bool()).all() and 300 < is_learnt.sum() < 1200
    assert (cell[is_learnt] == wanted[is_learnt]).all()


def test_a_point_just_beyond_its_box_counts_in_the_nearest_cell():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 60, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(4, 40, (200, 2))], 1)
    xy = rng.uniform(boxes[:, None, :2] - 12, boxes[:, None, 2:] + 12, (200, 6, 2))
    cell, is_near = point_cells(torch.from_numpy(xy), torch.from_numpy(boxes), 8, 0.1)
    for (x0, y0, x1, y1), points, cells, near in zip(boxes, xy, cell.tolist(), is_near.tolist(), strict=True):
        for (x, y), own, is_taken in zip(points, cells, near, strict=True):
            shares = np.array([(x - x0) / (x1 - x0), (y - y0) / (y1 - y0)])
            assert is_taken == (np.abs(shares - 0.5).max() <= 0.6)
            column, row = np.clip(shares * 8, 0, 7.999).astype(int) * is_taken
            assert own == 8 * row + column
    assert 300 < is_near.sum() < 1100


def test_corners_of_drawn_squares_are_learnt():
    boxes = open_dataset("toy:shapes?objects=1..3&points=corners,centre&n=40&size=64").targets["box"]
    xy, sides = torch.from_numpy(boxes.points.xy).float(), torch.from_numpy(boxes.xyxy)
    is_marked = torch.from_numpy(boxes.points.visible) > 0
    share = {margin: point_cells(xy, sides, HEAT_CELLS, margin)[1][is_marked].float().mean() for margin in (0, MARGIN)}
    assert share[0] < 0.5, "two corners in three lie a part of a pixel beyond the hull of the pixels"
    assert share[MARGIN] > 0.97


def test_points_are_read_as_torchvision_reads_them():
    theirs, rng = tv.load(HEADS).heatmaps_to_keypoints, generator(1)
    boxes = torch.cat([random_boxes(40, 90, rng, 0.2), torch.tensor([[3.0, 4, 3.5, 4.2], [0, 0, 90, 1]])])
    maps = torch.randn(len(boxes), 4, HEAT_CELLS, HEAT_CELLS, generator=rng)
    places, scores = theirs(maps, boxes)
    found = read_points(maps, boxes)
    torch.testing.assert_close(found[..., :2], places[..., :2], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(found[..., 2], scores, atol=1e-5, rtol=1e-5)
    assert read_points(maps[:0], boxes[:0]).shape == (0, 4, 3)


def truth_of(boxes, labels, points):
    columns = {"labels": labels, "crowd": torch.zeros(len(labels), dtype=torch.bool)}
    columns |= {"points": points[..., :2], "visible": points[..., 2].long()}
    return Truth.of(Ragged(boxes, (len(boxes),), columns))


def moved_in(points, boxes):
    """Points (B, K, 3) on the nearest side of their box, where they lie less than a 14th of its sides beyond it."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    places = points[..., :2].clamp(low, high)
    is_near = ((places - points[..., :2]).abs() <= (high - low) / 14).all(2, keepdim=True)
    return torch.cat([torch.where(is_near, places, points[..., :2]), points[..., 2:]], 2)


def test_the_loss_is_torchvision_s():
    provide()
    theirs, rng = tv.load(HEADS).keypointrcnn_loss, generator(2)
    reading = KeypointRcnn(DetectOptions()).of_points(5)
    true = torch.tensor([[10.0, 20, 60, 70], [70, 60, 140, 120], [5, 90, 55, 150]])
    points = random_points(true, 5, rng)
    near = true.repeat(3, 1) + torch.randint(-6, 7, (9, 4), generator=rng)
    coarse = torch.randn(9, 5, HEAT_CELLS // 2, HEAT_CELLS // 2, generator=rng)
    moved = moved_in(points.repeat(3, 1, 1), near)
    wanted = theirs(larger(coarse.flatten(2)), [near], [moved], [torch.arange(9)])
    found = torch.cat([near.T, torch.ones(1, 9), torch.zeros(1, 9)])[None]
    outputs = [None] * 6 + [found, coarse.transpose(0, 1).flatten(1)[None]]
    part = reading._points(outputs, truth_of(true, torch.tensor([1, 0, 2]), points))
    assert (part.sums / part.counts).item() == pytest.approx(wanted.item(), rel=1e-5)
    scale = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(larger(coarse.flatten(2)), scale)
    with pytest.raises(DataError, match="objects have 4 key points, and the run's 5"):
        reading._points(outputs, truth_of(true, torch.tensor([1, 0, 2]), points[:, :4]))
    nothing = reading._points(outputs, truth_of(true, torch.tensor([1, 0, 2]), points * torch.tensor([1.0, 1, 0])))
    assert nothing.sums.tolist() == [0] and nothing.counts.tolist() == [0]


def test_the_points_of_a_thing_are_where_its_maps_are_highest():
    reading, found = KeypointRcnn(DetectOptions()).of_points(2), torch.zeros(1, 6, 3)
    found[0, :, 0] = torch.tensor([8.0, 4, 36, 32, 0.8, 0])
    maps = torch.zeros(1, 2, 3, 28, 28)
    maps[0, 0, 0, 10, 20], maps[0, 1, 0, 0, 27] = 50.0, 50.0
    given = reading.candidates([None] * 6 + [found, maps.flatten(2)])
    points = given.points.view(1, 3, 2, 3)
    assert points[0, 0, 0, :2].tolist() == pytest.approx([8 + 20.5, 4 + 10.5], abs=1)
    assert points[0, 0, 1, :2].tolist() == pytest.approx([36 - 0.5, 4.5], abs=1)
    assert (points[0, 0, :, 2] > 10).all() and (points[0, 1:] == 0).all()


def known(visible=2):
    points = Points.of([[[[1, 2], [7, 2], [4, 6]]], []], [[[visible] * 3], []], NAMES, [(0, 1)])
    return replace(Boxes.of([[[0, 0, 8, 8]], []], [[0], []], ("cell",)), points=points)


def test_what_cannot_be_learnt_is_refused():
    boxes = Boxes.of([[[0, 0, 8, 8]], []], [[0], []], ("cell",))
    with pytest.raises(DataError, match="keypoint_rcnn learns key points of objects, and the data have none"):
        fit_task({"box": boxes}, np.arange(2), name="detect", network="keypoint_rcnn")
    with pytest.raises(DataError, match="no key point is marked in the training images"):
        fit_task({"box": known(0)}, np.arange(2), name="detect", network="keypoint_rcnn")
    task = fit_task({"box": known()}, np.arange(2), name="detect", network="keypoint_rcnn")
    assert task.point_names == NAMES and from_json(task.to_json()).reading.num_points == 3
    assert fit_task({"box": known()}, np.arange(2), name="detect", network="faster_rcnn").point_names == ()
    with pytest.raises(DataError, match="the key points are left, right and tip, and the run's are left and tip"):
        true_texts(known(), np.arange(2), ("left", "tip"))
    assert true_texts(boxes, np.arange(2), NAMES).tolist() == [None, None]


def test_points_lie_in_the_image_s_own_pixels():
    way = Originals(known(), Geometry((64, 64), "letterbox"), lambda index: (50, 100)).way(0)  # 0.64, 16 rows above
    values = np.full((1, 2, 15), np.nan, np.float32)
    values[0, 0, 6:] = [6.4, 16 + 3.2, 5, 32, 2, -1, 63.9, 60, 0]
    (text,) = texts(values, [way])
    assert json.loads(text) == []
    values[0, 0, :6] = [0, 0.9, 1, 1, 2, 2]
    assert np.allclose(json.loads(texts(values, [way])[0]), [[10, 5, 5, 50, 0, -1, 99.84, 50, 0]], atol=0.01)
    assert json.loads(true_texts(known(), np.arange(2), NAMES)[0]) == [[64, 1, 2, 2, 7, 2, 2, 4, 6, 2]]


TOY = "toy:shapes?objects=1..3&points=corners,centre&n=12&size=48&clutter=0&noise=0.02"


@pytest.mark.filterwarnings("ignore")
def test_a_run_keeps_points_and_scores_them_again(tmp_path):
    arguments = ["train", TOY, "--model", "bipyramid", "--set", "task.detector=keypoint_rcnn", "--size", "48"]
    assert command([*arguments, "--epochs", "1", "--threads", "1", "--quiet", "--out", str(tmp_path / "a")]) == 0
    run = RunDir(tmp_path / "a")
    info, scores = run.info(), run.scores()["test"]
    task, table = from_json(info["task"]), read(run.predictions, info["task"])["test"]
    assert task.point_names == ("front_left", "front_right", "back_left", "back_right", "centre")
    again = records_of(task.metrics, table)
    for metric in task.metrics:
        assert metric.score(again[metric.key]) == pytest.approx(scores[metric.key], nan_ok=True)
    assert scores["points_ap"] is not None
    counts = (~np.isnan(table.values[:, :, 0])).sum(1)
    assert [len(json.loads(text)) for text in table.records[POINTS]] == counts.tolist()
    assert all(len(row) == 16 for text in table.records[TRUE_POINTS] for row in json.loads(text))


def test_points_of_things_are_written_as_coco_and_as_a_table(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((50, 100, 3), np.uint8)).save(path)
    way = Geometry((64, 64), "letterbox").way_back(50, 100)
    thing = Thing("cell", 0.9, (6.4, 16, 57.6, 48), points=((6.4, 19.2, 3.0), (32, 2, -1.0), (63.36, 48, 0.5)))
    (own,) = own_things((thing,), way)
    assert np.allclose(own.points, [(10, 5, 3), (50, 0, -1), (99, 50, 0.5)])
    document = Prediction(str(path), ("cell",), things=(own,)).to_json()
    write_coco(tmp_path / "found.json", [document], ("cell",), NAMES)
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["categories"] == [{"id": 1, "name": "cell", "keypoints": list(NAMES)}]
    (row,) = written["annotations"]
    assert row["keypoints"] == [10, 5, 2, 50, 0, 1, 99, 50, 2] and row["num_keypoints"] == 3
    scores = coco_scores([row], [row], "keypoints", images=1, classes=1, side=100, sigmas=(0.05,) * 3)
    assert scores[0] == pytest.approx(1.0)
    write_table(tmp_path / "found.csv", [document], NAMES)
    write_table(tmp_path / "nothing.csv", [{**document, "things": []}], NAMES)
    header, line = (tmp_path / "found.csv").read_text().splitlines()
    assert (tmp_path / "nothing.csv").read_text() == header + "\n"
    assert header == "id,label,score,xmin,ymin,xmax,ymax,x_left,y_left,x_right,y_right,x_tip,y_tip"
    assert [float(cell) for cell in line.split(",")[7:]] == pytest.approx([10, 5, 50, 0, 99, 50])
