"""Detection: what is kept of overlapping boxes, what places learn, and four images learnt by heart by every kind."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from seam import require_equal, stop_after

from striate.base import torchvision as tv
from striate.base.errors import DataError, Interrupted, SettingsError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.cli.app import run as command
from striate.data.geometry import Geometry
from striate.data.open import open_dataset
from striate.data.originals import Originals
from striate.data.proposals import NAME
from striate.data.sample import Batch
from striate.data.target import Boxes, Points, Ragged
from striate.data.target.extent import GRID, Extent
from striate.engine.precision import choose_precision
from striate.evaluate.predictions import read
from striate.metric import Answers, records_of
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.predict import Predictor
from striate.run.execute import resume, train
from striate.run.recipe import named
from striate.task import fit_task, from_json
from striate.task.detect import READINGS
from striate.task.detect.proposed import regions_of
from striate.task.detect.reading import Candidates, Truth
from striate.task.detect.readings import USUAL
from striate.task.detect.suppress import suppressed
from striate.task.detect.yolo_v1 import cells
from striate.task.protocol import answers_of

COLOURS = ("red", "green", "blue")
SIDE = 64
RATES = {"detr": 5e-4}  # attention takes smaller steps
FEWER = {"proposals": {"num": 30}, "detections": {"num": 12}}  # than is usual: an image has three objects at most


def batch_of(boxes, images=None):
    """The batch of all images of a target, as the loader makes it where nothing is moved."""
    columns = {name: torch.from_numpy(getattr(boxes, name)) for name in ("labels", "crowd", "difficult")}
    if boxes.extents:
        is_upper = torch.arange(GRID)[:, None] < GRID // 2
        columns["masks"] = is_upper.expand(len(boxes.xyxy), GRID, GRID).to(torch.uint8)
    if boxes.points is not None:
        columns["points"] = torch.from_numpy(boxes.points.xy)
        columns["visible"] = torch.from_numpy(boxes.points.visible.astype(np.int64))
    rows = Ragged(torch.from_numpy(boxes.xyxy), tuple(np.diff(boxes.starts).tolist()), columns)
    images = torch.zeros(len(boxes), 3, SIDE, SIDE) if images is None else images
    return Batch(images, {"box": rows}, np.arange(len(boxes)))


def squares(num=4, seed=0):
    """Images of one to three coloured rectangles, each in a quarter of its own; a mask is the upper half of one, key
    points are its upper left corner and its middle.
    """
    rng = np.random.default_rng(seed)
    images, boxes, labels = rng.normal(0, 0.1, (num, 3, SIDE, SIDE)), [], []
    for image in images:
        sides = rng.integers(14, 28, (rng.integers(1, 4), 2))
        quarter = rng.permutation(4)[: len(sides), None] // [1, 2] % 2
        low = rng.integers(0, SIDE // 2 - sides) + SIDE // 2 * quarter
        classes = rng.integers(0, len(COLOURS), len(sides))
        for (left, top), (wide, high), label in zip(low, sides, classes, strict=True):
            image[:, top : top + high, left : left + wide] = np.eye(3)[label][:, None, None] * 2
        boxes.append(np.concatenate([low, low + sides], 1))
        labels.append(classes)
    target = Boxes.of(boxes, labels, COLOURS)
    sides = [
        [[x0, y0], [x1, y0], [x1, (y0 + y1) / 2], [x0, (y0 + y1) / 2]] for x0, y0, x1, y1 in target.xyxy.astype(float)
    ]
    extents = tuple(Extent((SIDE, SIDE), (np.array(one),)) for one in sides)
    places = [np.stack([box[:, :2], box.reshape(-1, 2, 2).mean(1)], 1) for box in boxes]
    points = Points.of(places, names=("corner", "middle"))
    return torch.from_numpy(images).float(), replace(target, extents=extents, points=points)


def encoder(width=16):
    rows = [Row("conv", width * 2 ** min(step, 2), stride=2) for step in range(5)]
    plain = {"norm": "batch", "activation": "relu"}
    return Blueprint("tiny", (*rows, Row("global_pool"), Row("linear")), size=SIDE, defaults=plain)


def fewer(plan):
    """A detector that looks at fewer boxes."""
    rows = (replace(row, options={**row.options, **FEWER.get(row.block, {})}) for row in plan.rows)
    return replace(plan, rows=tuple(rows))


def scores_of(task, network, batch, target):
    network.eval()
    with torch.no_grad():
        answers = answers_of(task, task.forward(network, batch), batch)
    geometry = Geometry((SIDE, SIDE), "squash", margin=1.0)
    answers = task.placed(answers, Originals(target, geometry, lambda index: (SIDE, SIDE)), np.arange(len(target)))
    records = records_of(task.metrics, answers)
    return {metric.key: metric.score(records[metric.key]) for metric in task.metrics}


HEART = [pytest.param(kind, marks=pytest.mark.slow) if kind == "faster_rcnn" else kind for kind in READINGS]


@pytest.mark.parametrize("kind", HEART)  # mask_rcnn is faster_rcnn with masks, keypoint_rcnn with points
def test_four_images_are_learnt_by_heart(kind, monkeypatch):
    images, target = squares()
    batch = batch_of(target, images)
    task = fit_task({"box": target}, np.arange(len(target)), name="detect", network=kind)
    assert task.detector == kind
    if task.reading.is_given_regions:  # looked for once
        found = regions_of(batch, 40)
        batch.targets[NAME] = Ragged(torch.cat(found), tuple(map(len, found)), {})
    shape = {"channels": 3, "size_hw": (SIDE, SIDE)}
    network = build(fewer(task.head.extended(encoder(), **shape)), outputs=task.head.outputs, seed=0, **shape)
    for name, value in (("has_bf16", lambda device: True), ("REPEATS", 1)):
        monkeypatch.setattr(f"striate.engine.precision.{name}", value)
    assert choose_precision(network, images[:2])["trial"]
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATES.get(kind, 3e-3))
    for _ in range(60):
        outputs = task.forward(network, batch)
        optimiser.zero_grad()
        torch.stack(list(task.loss(outputs, batch).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    assert task.head.fits(outputs, images)
    scores = scores_of(task, network, batch, target)
    assert scores["ap50"] >= 0.95
    assert scores.get("mask_ap50", 1.0) >= 0.95
    assert scores.get("points_ap50", 1.0) >= 0.95
    objective, logits = task.objective(outputs), task.reading.logits(outputs).detach()  # what an explanation is about
    top = logits[:, : len(COLOURS)].amax((1, 2))
    torch.testing.assert_close(objective.score(outputs).detach(), top)
    for name, boxes in zip(objective.names, np.split(target.labels, target.starts[1:-1]), strict=True):
        assert COLOURS.index(name) in boxes, "the surest class is one that is there"


def test_suppression_is_torchvision_s_class_by_class():
    batched_nms = tv.load("torchvision.ops.boxes")._batched_nms_vanilla
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(3, 200, 2, 2, generator=generator) * 20
    boxes = torch.cat([corners.amin(2), corners.amax(2)], 2)
    scores = torch.rand(3, 200, generator=generator).sort(1, descending=True).values
    labels = torch.randint(3, (3, 200), generator=generator)
    kept = suppressed(Candidates(boxes, scores, labels), 0.4).scores > 0
    for image in range(3):
        try:
            expected = batched_nms(boxes[image], scores[image], labels[image], 0.4)
        except (RuntimeError, NotImplementedError):
            expected = greedy(boxes[image], labels[image], 0.4)
        assert sorted(kept[image].nonzero()[:, 0].tolist()) == sorted(expected.tolist())


def greedy(boxes, labels, threshold):
    """Suppression one box after the other, by numpy."""
    boxes, kept = boxes.numpy(), []
    for row, (x0, y0, x1, y1) in enumerate(boxes):
        others = boxes[[other for other in kept if labels[other] == labels[row]]]
        wide = np.minimum(others[:, 2], x1) - np.maximum(others[:, 0], x0)
        high = np.minimum(others[:, 3], y1) - np.maximum(others[:, 1], y0)
        shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
        areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
        if not (shared / (areas + (x1 - x0) * (y1 - y0) - shared) > threshold).any():
            kept.append(row)
    return np.array(kept)


def test_answers_return_to_the_images_own_pixels():
    task = fit_task({"box": squares()[1]}, np.arange(4), name="detect")
    target = Boxes.of([[[10, 0, 90, 40]], []], [[1], []], COLOURS, difficult=[[1], []])
    originals = Originals(target, Geometry((64, 64), "letterbox"), lambda index: (50, 100))
    values = np.full((2, 3, 6), np.nan, np.float32)
    values[0, 0] = [1, 0.9, 6.4, 16, 57.6, 41.6]  # 100 x 50 in 64 x 64: a scale of 0.64, 16 rows above
    placed = task.placed(Answers(np.zeros((2, 1, 7)), values, np.zeros(2)), originals, np.arange(2))
    assert placed.values[0, 0] == pytest.approx([1, 0.9, 10, 0, 90, 40], abs=0.5)
    assert np.isnan(placed.values[0, 1:]).all()
    assert np.isnan(placed.values[1]).all()
    assert placed.truth[0].tolist() == [[1, 10, 0, 90, 40, 0, 1]]
    assert np.isnan(placed.truth[1]).all()


def test_crowds_and_images_without_boxes_teach_no_box():
    boxes = Boxes.of([[[0, 0, 64, 64]], []], [[0], []], COLOURS, crowd=[[1], []])
    batch, whole = batch_of(boxes), Boxes.of([[[0, 0, 64, 64]], [[8, 8, 40, 40]]], [[0], [1]], COLOURS)
    task = fit_task({"box": whole}, np.arange(2), name="detect")
    network = build(
        task.head.extended(encoder(), channels=3, size_hw=(64, 64)), outputs=3, channels=3, size_hw=(64, 64)
    )
    outputs = network(batch.images)
    parts = task.loss(outputs, batch)
    assert parts["box"].item() == 0
    crowd, empty = task.losses(outputs, batch).tolist()
    assert crowd == 0  # nothing is wrong inside a crowd
    assert empty > 0
    assert task.losses(outputs, batch_of(whole)).isfinite().all()
    assert np.isnan(task.truth(batch)[1].numpy()).all()
    assert Truth.of(batch.targets["box"]).is_there.sum() == 0


def test_the_cell_with_the_middle_of_an_object_answers_for_it_also_on_a_border():
    rng, stride, num = np.random.default_rng(0), 8, 40
    low = rng.integers(0, SIDE // 2, (num, 3, 2)) * 2
    boxes = np.concatenate([low, low + rng.integers(1, 8, (num, 3, 2)) * 2], 2).clip(max=SIDE)
    at = np.arange(SIDE // stride)
    columns = np.stack([(step.ravel() + 0.5) * stride for step in np.meshgrid(at, at)])
    places = np.concatenate([columns, np.broadcast_to([[stride], [SIDE], [SIDE]], (3, columns.shape[1]))])
    batch = batch_of(Boxes.of(list(boxes), [[0, 1, 2]] * num, COLOURS))
    rows = cells(torch.from_numpy(places).float().expand(num, -1, -1), Truth.of(batch.targets["box"]))
    for row, own in zip(rows.numpy(), boxes, strict=True):
        by_hand = np.full((len(at), len(at)), -1)
        sizes = (own[:, 2:] - own[:, :2]).prod(1)
        for thing in sorted(range(3), key=lambda thing: (sizes[thing], -thing)):  # the largest stays
            x, y = (own[thing, :2] + own[thing, 2:]) // 2 // stride
            by_hand[y, x] = thing if sizes[thing] else by_hand[y, x]
        assert (row.reshape(len(at), -1) == by_hand).all()


def test_what_cannot_be_is_refused():
    empty = Boxes.of([[], []], [[], []], COLOURS)
    with pytest.raises(DataError, match="no boxes"):
        fit_task({"box": empty}, np.arange(2), name="detect")
    with pytest.raises(SettingsError, match="unknown detector 'retina'"):
        fit_task({"box": squares()[1]}, np.arange(4), name="detect", options={"detector": "retina"})


TOY = "toy:shapes?objects=1..3&n=24&size=48&clutter=0&noise=0.02"
TRAIN = ["train", TOY, "--model", "bipyramid", "--size", "48", "--epochs", "3", "--threads", "1", "--quiet"]


MORE = [pytest.param(kind, marks=[] if kind == "fast_rcnn" else pytest.mark.slow) for kind in READINGS if kind != USUAL]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", MORE)
def test_every_kind_resumes_bit_for_bit(kind, tmp_path):
    data = open_dataset("toy:shapes?objects=1..3&points=centre,bite&n=16&size=32&noise=0", task="detect")
    few = ["train.epochs=2", "train.batch_size=4", "data.size=32", "task.proposals=10", "model.encoder=bipyramid"]
    recipe, quiet = named("detect").changed([*few, "train.precision=float32"]), Progress("quiet")
    train(data, kind, recipe, out=tmp_path / "a", progress=quiet)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted):
            train(data, kind, recipe, out=tmp_path / "b", progress=quiet)
    resume(tmp_path / "b", dataset=data, progress=quiet)
    require_equal(RunDir(tmp_path / "a"), RunDir(tmp_path / "b"))


@pytest.mark.filterwarnings("ignore")
def test_a_run_resumes_bit_for_bit_and_predicts_in_the_image_s_own_pixels(tmp_path, capsys):
    assert command([*TRAIN, "--out", str(tmp_path / "a")]) == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 5)
        assert command([*TRAIN, "--out", str(tmp_path / "b")]) == 130
    assert command(["resume", str(tmp_path / "b"), "--quiet"]) == 0
    run = RunDir(tmp_path / "a")
    require_equal(run, RunDir(tmp_path / "b"))
    for split in ("train", "val"):
        last = run.history()[-1][split]
        assert last["loss_class"] + last["loss_box"] == pytest.approx(last["loss"], rel=1e-4)
    page = (run.path / "report.html").read_text()
    assert all(title in page for title in ("Hardest images", "Where AP is lost", "Precision against recall"))
    info, scores = run.info(), run.scores()
    task = from_json(info["task"])
    assert (info["task"]["name"], task.detector) == ("detect", "one_stage")
    table = read(run.predictions, info["task"])["test"]
    again = records_of(task.metrics, table)
    for metric in task.metrics:
        assert metric.score(again[metric.key]) == pytest.approx(scores["test"][metric.key], nan_ok=True)
    capsys.readouterr()
    assert command(["evaluate", str(run.path), "--split", "val", "--quiet"]) == 0
    absent = [row["name"] for row in scores["val"]["per_class"] if not row["objects"]]
    said = f"n/a: {len(absent)} class{'es' * (len(absent) > 1)} without images ({', '.join(absent)})"
    assert (said in capsys.readouterr().out) == bool(absent) and len(absent) < len(task.names)
    image = tmp_path / "image.png"
    from PIL import Image

    Image.fromarray(np.full((30, 70, 3), 90, np.uint8)).save(image)
    draw = str(tmp_path / "drawn")
    assert (
        command(["predict", str(run.path), str(image), "--draw", draw, "--json", "--csv", str(tmp_path / "p.csv")]) == 0
    )
    (document,) = json.loads(capsys.readouterr().out)["predictions"]
    assert set(document["counts"]) == set(task.names)
    for thing in document["things"]:
        left, top, right, bottom = thing["box"]
        assert 0 <= left <= right <= 70
        assert 0 <= top <= bottom <= 30
    assert Predictor.load(run.path)(image)[0].counts == document["counts"]
