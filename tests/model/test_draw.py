"""Drawings: well-formed, to scale, nothing on top of another, every row in it."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from drawings import SVG, boxes

from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.build import build
from striate.model.draw import Box, draw


def parts(name: str) -> ElementTree.Element:
    plan = zoo.blueprint(name)
    at = plan.native
    return ElementTree.fromstring(draw(plan, size_hw=(at["size"],) * 2, channels=at["channels"], outputs=at["outputs"]))


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "alexnet", "nasnetamobile", "googlenet"])
def test_labels_lie_inside_and_apart(name: str) -> None:
    root = parts(name)
    wide, high = map(float, root.get("viewBox").split()[2:])
    tilted = []
    for text in root.iter(f"{SVG}text"):
        words = "".join(text.itertext())
        length = 6.0 * len(words)
        move = re.match(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform", ""))
        if move:
            x, y = float(move[1]), float(move[2])
            sign = -1 if text.get("text-anchor") == "end" else 1
            assert 0 <= x + sign * 0.766 * length <= wide and 0 <= y - sign * 0.643 * length <= high, words
            tilted.append((x, y, sign))
    for (x, y, sign), (other_x, other_y, other_sign) in pairwise(tilted):
        if sign == other_sign and y == other_y:
            assert abs(other_x - x) * 0.643 >= 12  # the distance of the two lines of text


def test_boxes_are_to_scale() -> None:
    rows = (Row("conv", 4), Row("conv", 16, stride=4), Row("global_pool"), Row("linear"))
    plan = Blueprint("x", rows)
    faces = dict(boxes(ElementTree.fromstring(draw(plan, size_hw=(64, 64), outputs=4))))
    first, second = (
        next(face for title, face in faces.items() if title.startswith(name)) for name in ("conv1", "conv2")
    )
    assert first["height"] / second["height"] == pytest.approx(2, rel=0.01)  # 64 against 16 pixels
    assert second["width"] / first["width"] == pytest.approx(2, rel=0.01)  # 16 against 4 channels


def arcs(svg: str) -> int:
    return svg.count("#c0392b")


def test_skips_are_arcs() -> None:
    plain = (Row("conv", 8, name="a"), Row("conv", 8, name="b"), Row("conv", 8, name="c"))
    head = (Row("global_pool"), Row("linear"))
    assert arcs(draw(Blueprint("x", (*plain, *head)), size_hw=(32, 32))) == 0
    joined = (*plain, Row("add", inputs=("c", "a")), *head)
    assert arcs(draw(Blueprint("x", joined), size_hw=(32, 32))) == 1
    assert arcs(draw(zoo.blueprint("resnet18"))) == 4
    assert arcs(draw(zoo.blueprint("densenet121"))) == 4
    assert arcs(draw(zoo.blueprint("googlenet"))) == arcs(draw(zoo.blueprint("vgg16"))) == 0


def test_equal_rows_are_one_box() -> None:
    rows = tuple(Row("conv", 8, name=f"c{n}") for n in range(5))
    drawn = boxes(ElementTree.fromstring(draw(Blueprint("x", (*rows, Row("global_pool"), Row("linear"))))))
    assert [title for title, _ in drawn][1] == "c0, c1, c2, c3, c4: c0–c4 ×5 8×224×224"


def test_names_are_escaped_and_a_notebook_shows_it() -> None:
    plan = Blueprint("<script>alert(1)</script>&", (Row("conv", 4), Row("global_pool"), Row("linear")))
    svg = plan._repr_svg_()
    assert "<script" not in svg and ElementTree.fromstring(svg).tag == f"{SVG}svg"
    network = build(plan, channels=1, outputs=3, size_hw=(32, 32), seed=0)
    assert "1×32×32" in draw(network)._repr_svg_()


def test_lines_of_a_box() -> None:
    assert Box(["a"], "conv", "a", (3, 8, 8), turns=4).lines == ("a ×4", "3×8×8")
