"""The axes of a report's charts: every number on them is true, and what lies outside is said."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from report_pages import Element, parse
from report_runs import write_run
from report_studies import write_study

from striate.base.rundir import RunDir, StudyDir
from striate.metric import by_key
from striate.report import report_run, report_study
from striate.report.charts import new_axes, new_figure, rule_axis
from striate.report.charts_values import around
from striate.report.ranges import limits

METRICS = {"loss": by_key("loss"), "accuracy": by_key("accuracy"), "angle": by_key("mean_error_deg")}


def read_back(label: str) -> float:
    """Return the number a label says, in the units of the axis."""
    plain = label.replace("−", "-").replace(",", "").removesuffix("°")
    return float(plain[:-1]) / 100 if plain.endswith("%") else float(plain)


def decimals(label: str) -> int:
    return len(re.sub(r"[%°]", "", label).partition(".")[2])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("power", range(-6, 7))
@pytest.mark.parametrize("lead", [1, 2, 2.5, 5])
def test_a_tick_says_its_exact_value(name, lead, power):
    step = lead * 10.0**power
    labels = [METRICS[name].tick(k * step, step) for k in range(-12, 13)]
    assert [read_back(label) for label in labels] == pytest.approx([k * step for k in range(-12, 13)], rel=1e-9)
    assert len({decimals(label) for label in labels}) == 1
    assert labels[12].strip("%°").strip("0.") == ""
    assert not labels[12].startswith("−")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("num_ticks", [4, 5, 6])
def test_every_axis_is_labelled_with_what_stands_there(name, num_ticks):
    rng = np.random.default_rng(num_ticks)
    for _ in range(60):
        width = 10.0 ** rng.uniform(-5, 4)
        low = rng.choice([0.0, -0.4 * width, width * rng.uniform(-50, 50)])
        axes = new_axes(new_figure(200), (10, 10, 10, 10))
        axes.set_ylim(low, low + width)
        rule_axis(axes, "y", METRICS[name].tick, num_ticks=num_ticks)
        labels = [one.get_text() for one in axes.get_yticklabels()]
        places = axes.get_yticks()
        assert len(places) >= 2
        assert [read_back(label) for label in labels] == pytest.approx(list(places), rel=1e-9, abs=1e-9 * width)
        assert len({decimals(label) for label in labels}) == 1


@pytest.mark.parametrize(
    ("key", "step", "expected"),
    [
        ("loss", 2.5, ["0.0", "2.5", "5.0", "7.5"]),
        ("loss", 0.25, ["0.00", "0.25", "0.50", "0.75"]),
        ("accuracy", 0.025, ["0.0%", "2.5%", "5.0%", "7.5%"]),
        ("loss", 2.0, ["0", "2", "4", "6"]),
    ],
)
def test_steps_of_a_quarter_are_not_rounded(key, step, expected):
    assert [by_key(key).tick(k * step, step) for k in range(4)] == expected


@pytest.mark.parametrize("largest", [0.3, 1.7, 8.0, 9.3, 40.0, 93.0])
def test_the_mean_error_around_the_circle_is_labelled_truly(largest):
    angles = [15.0 * k + 7 for k in range(24)]
    drawing = around(angles, [largest * (1 + k % 3) / 3 for k in range(24)], "around")
    labels = re.findall(r">([\d.]+°)</text>", drawing)[8:]
    found = sorted({read_back(label) for label in labels})
    assert len(found) == len(labels) >= 2
    assert found == pytest.approx([found[0] * (k + 1) for k in range(len(found))])
    assert 0.6 * largest < found[-1] <= 1.06 * largest


def test_few_images_are_counted_in_whole_numbers(tmp_path):
    run = write_run(tmp_path / "run", "value", names=("x",), unit="mm", images={"val": 3, "test": 3}, num_pictures=0)
    plot = parse(report_run(run)).get("predictions").all("svg", "plot")[1]
    counts = [one for one in plot.all("text") if re.fullmatch(r"[\d.]+", one.text)]
    left = min(float(one.attributes["x"]) for one in counts)
    labels = [one.text for one in counts if abs(float(one.attributes["x"]) - left) < 3]
    assert len(labels) == len(set(labels))
    assert all(label.isdigit() for label in labels)


def with_losses(path: Path, rows: list[tuple[float, float]]) -> None:
    """Replace a history by these (training, validation) losses."""
    first = json.loads((path / "history.jsonl").read_text().splitlines()[0])
    lines = []
    for epoch, (train, val) in enumerate(rows, 1):
        row = first | {"epoch": epoch, "is_best": epoch == 1}
        row["train"], row["val"] = first["train"] | {"loss": train}, first["val"] | {"loss": val}
        lines.append(json.dumps(row) + "\n")
    (path / "history.jsonl").write_text("".join(lines))


def loss_figure(path: Path) -> Element:
    return parse(report_run(RunDir(path))).get("training").all("figure", "chart")[0]


def arrows(plot: Element, colour: str) -> int:
    """Count the triangles at the upper edge: three corners and no stroke along an axis."""
    used = {one.attributes.get("href", one.attributes.get("xlink:href", ""))[1:] for one in plot.all("use")}
    shapes = {
        one.attributes["id"]
        for one in plot.all("path")
        if one.attributes.get("id") in used and one.attributes["d"].count("L") == 2 and "z" in one.attributes["d"]
    }
    return sum(
        1
        for one in plot.all("use")
        if one.attributes.get("href", one.attributes.get("xlink:href", ""))[1:] in shapes
        and f"f-{colour}" in one.attributes.get("class", "")
    )


@pytest.mark.parametrize("num_epochs", [1, 2, 3, 5])
def test_with_few_values_nothing_is_cut_off(folder, num_epochs):
    path = folder("label")
    with_losses(path, [(1.2, 46.5), *[(1.0, 2.0)] * (num_epochs - 1)])
    figure = loss_figure(path)
    labels = [read_back(one.text) for one in figure.all("text") if re.fullmatch(r"[\d.,]+", one.text)]
    assert max(labels) >= 40
    assert "above the chart" not in figure.text
    assert not arrows(figure.all("svg")[0], "val")


def test_the_axis_reaches_the_largest_of_ten_values_and_clips_one_of_eleven():
    loss = by_key("loss")
    assert limits([46.5, *[1.0] * 9], loss)[1] > 46.5
    assert limits([46.5, *[1.0] * 10], loss)[1] < 4
    assert limits([math.nan, 46.5, math.inf, *[1.0] * 9], loss)[1] > 46.5
    assert limits([0.9, *[0.2] * 20], by_key("accuracy"))[1] > 0.9
    assert limits([5.0, *[-1.0] * 20], loss)[1] > 5
    assert limits([*[-3.0] * 2, *[-1.0] * 20], loss)[1] > -1
    assert limits([math.nan], loss) is None


def test_a_value_above_the_chart_is_marked_and_said(folder):
    path = folder("label")
    with_losses(path, [(1.5, 46.5), (12.0, 1.4), *[(1.0, 1.1)] * 20])
    figure = loss_figure(path)
    plot = figure.all("svg")[0]
    expected = "Above the chart: 46.5 (validation, epoch 1), 12.0 (train, epoch 2)."
    assert figure.all("figcaption")[0].text == expected
    assert expected in plot.attributes["aria-label"]
    assert (arrows(plot, "val"), arrows(plot, "train")) == (1, 1)
    heights = [float(one.attributes["y"]) for one in plot.all("text")]
    top = float(plot.attributes["viewbox"].split()[3])
    assert all(0 < height < top for height in heights)


def test_one_value_above_the_chart_reads_as_a_sentence(folder):
    path = folder("label")
    with_losses(path, [(1.5, 46.5), *[(1.0, 1.1)] * 20])
    assert loss_figure(path).all("figcaption")[0].text == "46.5 above the chart (validation, epoch 1)."


def test_many_values_above_are_counted(folder):
    path = folder("label")
    with_losses(path, [*[(1.0, 100.0 + k) for k in range(6)], *[(1.0, 1.0)] * 60])
    text = loss_figure(path).all("figcaption")[0].text
    assert text.startswith("Above the chart: 105 (validation, epoch 6), 104 ")
    assert text.endswith("and 2 more.")


def test_names_of_lines_stay_beside_the_chart(folder):
    path = folder("label")
    with_losses(path, [*[(1.0, 1.0)] * 20, (46.5, 46.4)])
    plot = loss_figure(path).all("svg")[0]
    places = {one.text: float(one.attributes["y"]) for one in plot.all("text") if one.text in ("train", "validation")}
    assert abs(places["train"] - places["validation"]) > 12
    assert min(places.values()) > 20


def test_a_variant_that_leaves_the_shared_axes_says_so(tmp_path):
    path = write_study(tmp_path / "study", seeds=(0, 1), num_pictures=0, num_images=30).path
    with_losses(StudyDir(path).run("baseline", 1).path, [(1.5, 46.5), *[(1.0, 1.1)] * 5])
    many = parse(report_study(StudyDir(path))).get("curves").all("div", "many")[0]
    said = {one.all("h4")[0].text: [note.text for note in one.all("figcaption")] for one in many.all("figure")}
    assert said["baseline"] == ["46.5 above the chart (validation, epoch 1)."]
    assert not any(said[name] for name in ("mlp", "augmented", "regularized"))
    plots = dict(zip(said, many.all("svg", "plot"), strict=True))
    assert said["baseline"][0] in plots["baseline"].attributes["aria-label"]
    assert arrows(plots["baseline"], "val") == 1
    assert arrows(plots["mlp"], "val") == 0
