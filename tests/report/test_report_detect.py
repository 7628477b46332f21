"""The report of detection, and what the narrator says of objects that cannot be learnt."""

from dataclasses import replace

import numpy as np

from striate.data.target.palette import colour_of
from striate.diagnose.boxes import dominating_part, sides_px, unreached_boxes
from striate.diagnose.reading import Reading
from striate.evaluate.layout import ManyBoxes
from striate.evaluate.predictions import Predictions
from striate.metric import Answers
from striate.report.charts_boxes import precision_recall
from striate.task.detect.drawing import draw_on_thumbnail

INPUT = {"size_hw": [64, 64], "fit": "letterbox", "margin": 1.0, "channels": 3}


def reading(truth, reach=None, ap=0.0):
    values = np.full((len(truth), 1, 6), np.nan, np.float32)
    answers = Answers(truth, values, np.zeros(len(truth)), records={"size_hw": np.full((len(truth), 2), [100, 200])})
    table = Predictions.of(ManyBoxes(("cell",)), [str(row) for row in range(len(truth))], answers)
    scores = {"val": {"ap": ap}, "train": {"reach": reach} if reach else {}}
    task = {"name": "detect", "detector": "retinanet", "monitor": "ap"}
    return Reading({"input": INPUT, "task": task, "recipe": {}}, [], scores, table)


def boxes(*sides):
    return np.array([[[0, 0, 0, side, 2 * side, 0, 0]] for side in sides], np.float32)


def test_objects_that_cannot_be_learnt_are_named_with_a_size_that_may_do():
    remark = unreached_boxes(reading(boxes(50, 60), {"objects": 40, "reached": 30}))
    assert "25% of the objects (10 of 40)" in remark.evidence
    assert "retinanet" in remark.evidence
    assert "128 px" in remark.next
    assert unreached_boxes(reading(boxes(50, 60), {"objects": 40, "reached": 39})) is None


def test_objects_of_a_few_pixels_are_named():
    found = reading(boxes(10, 20, 60))
    assert np.allclose(sorted(sides_px(found)), [3.2, 6.4, 19.2])  # 200 x 100 px in 64 x 64
    assert "67% of the validation objects are smaller than 8 px" in unreached_boxes(found).evidence
    assert unreached_boxes(reading(boxes(10, 20, 60), ap=0.6)) is None  # they are found all the same


def test_a_part_that_is_nearly_all_of_the_loss_is_named_with_a_lower_weight():
    found = reading(boxes(50, 60))
    even = replace(found, history=[{"train": {"loss": 3.0, "loss_class": 1.0, "loss_box": 2.0}}] * 2)
    assert dominating_part(even) is None and dominating_part(found) is None
    last = {"train": {"loss_class": 97.0, "loss_box": 2.0, "loss_proposal": 1.0}}
    odd = replace(found, history=[last, last])
    learnt = {"train": {"loss_class": 200.0, "loss_box": 5.0, "loss_proposal": 2.0}}
    assert dominating_part(replace(found, history=[learnt, last])) is None  # the others fell
    remark = dominating_part(odd)
    assert "97% is the part class (97.0; box 2.00, proposal 1.00)" in remark.evidence
    assert "task.class_weight=0.200" in remark.next
    bare = replace(found, history=[{"train": {"loss_middle": 99.0, "loss_box": 1.0}}] * 2)
    assert "task.class_weight=5.00, task.box_weight=10.0" in dominating_part(bare).next
    assert dominating_part(replace(odd, scores={"val": {"ap": 0.5}})) is None  # it learns all the same


def test_boxes_are_drawn_where_the_thumbnail_shows_them():
    image = np.zeros((128, 128, 3), np.uint8)  # of 200 x 100 px, with 32 rows of padding above and below
    drawn = draw_on_thumbnail(image, np.array([[0, 50, 25, 150, 75]]), INPUT, (100, 200))
    rows, columns = np.nonzero(drawn.any(2))
    assert (columns.min(), columns.max()) == (32, 95)
    assert (rows.min(), rows.max()) == (48, 79)


def test_points_are_drawn_where_the_thumbnail_shows_them():
    image, points = np.zeros((128, 128, 3), np.uint8), np.array([[50.0, 25], [np.nan, np.nan], [150, 75]])
    drawn = draw_on_thumbnail(image, np.array([[0, 0, 0, 1, 1]]), INPUT, (100, 200), points=[points])
    plain = draw_on_thumbnail(image, np.array([[0, 0, 0, 1, 1]]), INPUT, (100, 200))
    rows, columns = np.nonzero((drawn != plain).any(2))
    for point in (0, 2):
        is_colour = (drawn[rows, columns] == colour_of(point)).all(1)
        assert is_colour.any()
        middle = np.array([columns[is_colour].mean(), rows[is_colour].mean()]) + 0.5
        x, y = points[point] * 0.64 + [0, 32]
        assert np.abs(middle - [x, y]).max() <= 1
    assert not (drawn[rows, columns] == colour_of(1)).all(1).any()


def test_masks_are_drawn_where_the_thumbnail_shows_them():
    image, mask = np.zeros((128, 128, 3), np.uint8), np.zeros((100, 200), bool)
    mask[25:75, 50:150] = True
    drawn = draw_on_thumbnail(image, np.array([[0, 0, 0, 1, 1]]), INPUT, (100, 200), [mask])
    rows, columns = np.nonzero(drawn[36:].any(2))
    assert (columns.min(), columns.max()) == (32, 95)
    assert (36 + rows.min(), 36 + rows.max()) == (48, 79)


def test_curves_name_their_classes():
    svg = precision_recall({"<cell>": ([0, 0.5, 1], [1, 0.8, 0])}, "pr")
    assert "&lt;cell&gt;" in svg
    assert "50%" in svg
    assert precision_recall({}, "pr") is None
