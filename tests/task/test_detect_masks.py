"""Mask R-CNN: what is found and learnt, its loss against torchvision's, masks in the image's pixels, a run."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from striate.base import torchvision as tv
from striate.base.errors import DataError
from striate.base.rundir import RunDir
from striate.base.runs import covered_by, run_lengths
from striate.cli.app import run as command
from striate.data.geometry import Geometry
from striate.data.originals import Originals
from striate.data.target import Boxes, Ragged
from striate.evaluate.predictions import read
from striate.metric import records_of
from striate.metric.mask_matches import MASKS, TRUE_MASKS
from striate.nn.blocks.regions import MASK_CELLS, Detections
from striate.nn.boxes import DELTA_WEIGHTS, decode, iou, paste, provide
from striate.predict.coco_json import write_coco
from striate.predict.prediction import Prediction
from striate.predict.things import own_things
from striate.task import fit_task, from_json
from striate.task.answer import Thing
from striate.task.detect.mask_rcnn import NUM_CELLS, MaskRcnn, inside
from striate.task.detect.masks import true_texts
from striate.task.detect.reading import DetectOptions, Truth

GRID = 56


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_boxes(num, side, rng, least=4.0):
    low = torch.rand(num, 2, generator=rng) * side * 0.6
    return torch.cat([low, (low + least + torch.rand(num, 2, generator=rng) * side * 0.4).clamp(max=side)], 1)


def blobs(num, rng):
    noise = torch.rand(num, GRID, GRID, generator=rng).numpy()
    return torch.from_numpy(np.stack([ndimage.gaussian_filter(one, 5) > 0.5 for one in noise]).astype(np.uint8))


def truth_of(boxes, labels, masks):
    columns = {"labels": labels, "crowd": torch.zeros(len(labels), dtype=torch.bool), "masks": masks}
    return Truth.of(Ragged(boxes, (len(boxes),), columns))


def test_the_loss_is_torchvision_s():
    """Of objects of 56 x 56 pixels, whose cells are pixels, torchvision's own code sees the same masks.

    It takes the first place of a map for a point at 0, not 0.5, so its proposals lie half a pixel before.
    """
    provide()
    theirs = tv.load("torchvision.models.detection.roi_heads").maskrcnn_loss
    rng, reading = generator(), MaskRcnn(DetectOptions())
    low = torch.tensor([[10.0, 20], [70, 60], [5, 90]])
    true, labels, masks = torch.cat([low, low + GRID], 1), torch.tensor([1, 0, 2]), blobs(3, rng)
    near = true.repeat(3, 1) + torch.randint(-8, 9, (9, 4), generator=rng)
    near[:, 2:] = torch.minimum(near[:, 2:], near[:, :2] + GRID)  # two points a cell and axis, as they are taken here
    whole = torch.zeros(3, 160, 160)
    for one, mask, (x, y) in zip(whole, masks, low.int().tolist(), strict=True):
        one[y : y + GRID, x : x + GRID] = mask
    logits = torch.randn(9, 4, MASK_CELLS, MASK_CELLS, generator=rng)
    rows = torch.arange(9) % 3
    wanted = theirs(logits, [near - 0.5], [whole], [labels], [rows])
    found = torch.cat([near.T, torch.ones(1, 9), torch.zeros(1, 9)])[None]
    outputs = [None] * 6 + [found, logits.transpose(0, 1).flatten(1)[None]]
    part = reading._masks(outputs, truth_of(true, labels, masks))
    assert part.counts.tolist() == [9]
    assert (part.sums / part.counts).item() == pytest.approx(wanted.item(), abs=1e-5)


def test_what_is_covered_of_a_box_is_the_mean_over_its_cells():
    """Brute force: the bilinear mask at 20 x 20 points a cell, of boxes that lie near the true one."""
    rng = generator(1)
    true, masks = random_boxes(6, 80, rng, 20.0), blobs(6, rng)
    boxes = true + torch.randn(6, 4, generator=rng) * 3
    found = inside(masks, true, boxes).numpy()
    for row in range(6):
        (x0, y0, x1, y1), (a, b, c, d) = true[row].tolist(), boxes[row].tolist()
        share = (np.arange(MASK_CELLS * 20) + 0.5) / (MASK_CELLS * 20)
        x, y = (a + share * (c - a) - x0) / (x1 - x0) * GRID - 0.5, (b + share * (d - b) - y0) / (y1 - y0) * GRID - 0.5
        points = np.stack(np.meshgrid(y, x, indexing="ij"))
        level = ndimage.map_coordinates(masks[row].numpy().astype(float), points, order=1, mode="grid-constant")
        wanted = level.reshape(MASK_CELLS, 20, MASK_CELLS, 20).mean((1, 3))
        assert np.abs(found[row] - wanted).mean() < 0.02
        assert np.abs(found[row] - wanted).max() < 0.3  # two points a cell and axis are taken


def test_a_mask_lies_in_the_image_where_its_box_is():
    rng = generator(2)
    for row, box in enumerate(random_boxes(12, 60, rng, 3.0)):
        box = box + (torch.tensor([-9.0, -5, 9, 5]) if row % 3 == 0 else 0)
        cells = torch.rand(28, 28, generator=rng)
        found = paste(cells, box, (50, 60)).numpy()
        x0, y0, x1, y1 = box.tolist()
        y, x = np.mgrid[:50, :60] + 0.5
        points = np.stack([(y - y0) / (y1 - y0) * 28 - 0.5, (x - x0) / (x1 - x0) * 28 - 0.5])
        level = ndimage.map_coordinates(cells.double().numpy(), points, order=1, mode="grid-constant")
        is_clear = np.abs(level - 0.5) > 1e-6
        assert (found == (level >= 0.5))[is_clear].all()


def test_what_is_found_is_what_greedy_suppression_leaves():
    rng = generator(3)
    proposals = torch.cat([random_boxes(20, 64, rng).T, torch.ones(1, 20)])[None]
    proposals[0, :, 17:] = 0
    logits, deltas = torch.randn(1, 3, 20, generator=rng) * 2, torch.randn(1, 4, 20, generator=rng)
    found = Detections((3, 4, 5, 3), num=9)(logits, deltas, proposals, torch.zeros(1, 3, 64, 64))[0].T
    boxes = decode(deltas[0].T, proposals[0, :4].T, DELTA_WEIGHTS).clamp(0, 64)
    pairs = sorted(
        ((score, label, row) for label, scores in enumerate(logits[0].softmax(0)[:2].tolist())
         for row, score in enumerate(scores[:17]) if score >= 0.01), reverse=True,
    )  # fmt: skip
    kept: list[tuple[float, int, int]] = []
    for score, label, row in pairs:
        if all(iou(boxes[[row]], boxes[[other]]).item() <= 0.6 for _, same, other in kept if same == label):
            kept.append((score, label, row))
    wanted = [[*boxes[row].tolist(), score, label] for score, label, row in kept[:9]]
    np.testing.assert_allclose(found[: len(wanted)].numpy(), wanted, atol=1e-4)
    assert (found[len(wanted) :] == 0).all()


def test_proposals_on_true_boxes_are_looked_at_while_training():
    block, true = Detections((3, 4, 5, 3), num=5), torch.tensor([[[8.0, 8, 40, 40], [0, 0, 0, 0]]])
    boxes = torch.tensor([[8.0, 8, 40, 40], [10, 8, 40, 40], [0, 0, 9, 9], [8, 8, 40, 40], [8, 24, 40, 40]])
    proposals = torch.cat([boxes.T, torch.tensor([[1.0, 1, 1, 0, 1]])])[None]
    with block.with_true(true, torch.tensor([[True, False]])):
        found = block(torch.zeros(1, 3, 5), torch.zeros(1, 4, 5), proposals, torch.zeros(1, 3, 64, 64))[0].T
    assert found[:3, :4].tolist() == [boxes[0].tolist(), boxes[1].tolist(), boxes[4].tolist()]
    assert found[:3, 4].tolist() == pytest.approx([1, 30 / 32, 0.5])
    assert found[:3, 5].tolist() == [-1] * 3 and (found[3:] == 0).all()


def test_while_training_true_boxes_are_no_answers():
    reading, places = MaskRcnn(DetectOptions()), torch.tensor([8.0, 8, 16, 64, 64])[None, :, None]
    proposals = torch.tensor([8.0, 8, 40, 40, 1])[None, :, None]
    taught = torch.tensor([8.0, 8, 40, 40, 1, -1])[None, :, None]
    logits = torch.tensor([0.0, 3.0, 1.0])[None, :, None]
    given = reading.candidates([logits, torch.zeros(1, 4, 1), places, proposals, None, None, taught, None])
    assert given.labels[0, 0] == 1 and given.scores[0, 0] == pytest.approx(logits.softmax(1)[0, 1].item())
    assert given.masks is None


def test_each_thing_has_the_mask_of_its_class():
    reading = MaskRcnn(DetectOptions())
    found = torch.zeros(1, 6, 2)
    found[0, :, 0] = torch.tensor([1.0, 2, 9, 9, 0.8, 2])
    masks = torch.zeros(1, 4, 2, NUM_CELLS)
    masks[0, 2, 0], masks[0, 1, 0] = 3.0, -3.0
    given = reading.candidates([None] * 6 + [found, masks.flatten(2)])
    assert given.labels[0, 0] == 2 and given.scores[0].tolist() == pytest.approx([0.8, 0])
    assert given.masks[0, 0].tolist() == pytest.approx([torch.tensor(3.0).sigmoid().item()] * NUM_CELLS)


def test_data_without_masks_are_refused_and_not_known():
    boxes = Boxes.of([[[0, 0, 8, 8]], []], [[0], []], ("cell",))
    with pytest.raises(DataError, match="mask_rcnn learns what objects cover"):
        fit_task({"box": boxes}, np.arange(2), name="detect", network="mask_rcnn")
    way = Originals(boxes, Geometry((16, 16), "squash"), lambda index: (16, 16)).way(0)
    assert true_texts(boxes, np.arange(2), [way, way]).tolist() == [None, None]


TOY = "toy:shapes?objects=1..3&n=12&size=48&clutter=0&noise=0.02"


@pytest.mark.filterwarnings("ignore")
def test_a_run_keeps_masks(tmp_path):
    arguments = ["train", TOY, "--model", "bipyramid", "--set", "task.detector=mask_rcnn", "--size", "48"]
    assert command([*arguments, "--epochs", "1", "--threads", "1", "--quiet", "--out", str(tmp_path / "a")]) == 0
    run = RunDir(tmp_path / "a")
    info, scores = run.info(), run.scores()["test"]
    task, table = from_json(info["task"]), read(run.predictions, info["task"])["test"]
    assert task.detector == "mask_rcnn" and scores["mask_ap"] is not None
    again = records_of(task.metrics, table)
    for metric in task.metrics:
        assert metric.score(again[metric.key]) == pytest.approx(scores[metric.key], nan_ok=True)
    counts = (~np.isnan(table.values[:, :, 0])).sum(1)
    assert [len(text.split()) for text in table.records[MASKS]] == counts.tolist()
    assert all(len(text.split()) for text in table.records[TRUE_MASKS])


def test_masks_of_the_view_are_predicted_in_the_image_and_written_as_coco(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.zeros((50, 100, 3), np.uint8)).save(path)
    way = Geometry((64, 64), "letterbox").way_back(50, 100)  # a scale of 0.64, 16 rows above
    cells = np.zeros((28, 28), np.float32)
    cells[:14] = 1
    thing = Thing("cell", 0.9, (6.4, 10, 57.6, 41.6), cells=cells)  # its upper 6 rows lie above the image
    (own,) = own_things((thing,), way)
    wanted = np.zeros((50, 100), bool)
    wanted[: round(((10 + 41.6) / 2 - 16) / 0.64), 10:90] = True
    assert own.mask.shape == (50, 100) and (own.mask != wanted).sum() <= 80  # of a row's height
    write_coco(tmp_path / "found.json", [Prediction(str(path), ("cell",), things=(own,)).to_json()], ("cell",))
    (row,) = json.loads((tmp_path / "found.json").read_text())["annotations"]
    mask = covered_by(run_lengths(row["segmentation"]["counts"]), (50, 100))
    assert (mask == own.mask).all() and row["segmentation"]["size"] == [50, 100] and row["area"] == mask.sum()
