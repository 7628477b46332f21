"""What a run's report says, against the numbers in the folder."""

import csv
import json
import math
import re
from collections import Counter
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from report_pages import Element, parse
from report_runs import RECIPE, SHAPES, write_json, write_run

from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.report import report_run
from striate.report.sections_data import IN_NOTES, OPTIONS
from striate.report.text import facts_text


def report(path: Path) -> Element:
    return parse(report_run(RunDir(path)))


def test_rows(path: Path) -> list[dict[str, str]]:
    with (path / "predictions.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == "test"]


test_rows.__test__ = False


@pytest.fixture(scope="module")
def label(folder):
    path = folder("label")
    return path, report(path)


def test_the_headline_is_the_test_score_with_its_interval(label):
    path, page = label
    scores = RunDir(path).scores()["test"]
    text = page.get("result").text
    low, high = scores["intervals"]["accuracy"]
    assert page.all("p", "figure")[0].text == f"{100 * scores['accuracy']:.1f}%"
    assert f"95% interval {100 * low:.1f}% to {100 * high:.1f}% , n = 300 images" in text
    assert "accuracy on the test split" in text
    rows = test_rows(path)
    assert (
        f"Of 300 test images {sum(row['truth'] == row['prediction'] for row in rows)} are classified correctly." in text
    )
    assert "Guessing among 10 classes would score 10.0%" in text


def test_what_was_done_is_said_in_one_sentence(label):
    lead = label[1].all("p", "lead")[0].text
    assert lead == (
        "The network bipyramid (1.21 M parameters) learned 10 classes from 1,400 images with the recipe regularized, "
        "for 30 epochs in 1 min 21 s on 2 CPU threads, seed 0."
    )


def test_the_matrix_holds_the_counts_of_the_table(label):
    path, page = label
    expected = Counter((row["truth"], row["prediction"]) for row in test_rows(path))
    matrix = page.all("table", "matrix")[0]
    for row, truth in zip(matrix.all("tbody")[0].all("tr"), SHAPES, strict=True):
        assert row.all("th")[0].text == truth
        cells = row.all("td")
        for cell, said in zip(cells, SHAPES, strict=False):
            assert cell.text == str(expected[truth, said] or "")
            assert ("right" in cell.classes) == (truth == said)
        assert int(cells[-1].text) == sum(expected[truth, said] for said in SHAPES)


def test_a_darker_cell_is_a_larger_share(label):
    _, page = label
    for row in page.all("table", "matrix")[0].all("tbody")[0].all("tr"):
        *cells, total = row.all("td")
        levels = [(int(cell.text or 0), int(cell.classes[0].removeprefix("h"))) for cell in cells]
        assert [level for _, level in sorted(levels)] == sorted(level for _, level in levels)
        for count, level in levels:
            assert (level == 0) == (count == 0)
            assert abs(level - 10 * math.sqrt(count / int(total.text))) <= 1


def test_a_cell_opens_exactly_its_images(label):
    path, page = label
    images = {}
    for row in test_rows(path):
        images.setdefault((row["truth"], row["prediction"]), set()).add(row["id"])
    links = page.all("table", "matrix")[0].all("a")
    assert len(links) == len(images)
    for row, truth in zip(page.all("table", "matrix")[0].all("tbody")[0].all("tr"), SHAPES, strict=True):
        for cell, said in zip(row.all("td"), SHAPES, strict=False):
            for link in cell.all("a"):
                panel = page.get(link.attributes["href"][1:])
                pictured = [one.attributes["alt"] for one in panel.all("img")]
                named = [one.text for one in panel.all("li")]
                assert len(pictured) <= 12
                assert set(pictured) | set(named) <= images[truth, said]
                assert len(set(pictured) | set(named)) == min(len(images[truth, said]), len(pictured) + 24)


def test_cells_open_without_script(label):
    style = label[1].all("style")[0].children[0]
    assert ".panel { display: none" in style
    assert ".panel:target { display: block" in style


def test_the_mistakes_are_the_most_confident_ones(label):
    path, page = label
    wrong = [row for row in test_rows(path) if row["truth"] != row["prediction"]]
    wrong.sort(key=lambda row: -float(row[f"p:{row['prediction']}"]))
    shots = page.get("mistakes").all("figure", "shot")
    assert [shot.all("span", "id")[0].text for shot in shots] == [row["id"] for row in wrong[:24]]
    for shot, row in zip(shots, wrong, strict=False):
        assert (
            f"is {row['truth']} predicted {row['prediction']} confidence {float(row['p:' + row['prediction']]):.1%}"
            in shot.text
        )


def test_the_worst_class_comes_first(label):
    path, page = label
    scores = {row["name"]: row for row in RunDir(path).scores()["test"]["per_class"]}
    rows = page.get("classes").all("tbody")[0].all("tr")
    values = [scores[row.all("th")[0].text]["f1"] for row in rows]
    assert values == sorted(values)
    assert len(rows) == 10
    assert page.get("classes").all("table", "sortable")


def test_the_most_confused_pair_is_named(label):
    path, page = label
    counts = Counter(frozenset((r["truth"], r["prediction"])) for r in test_rows(path) if r["truth"] != r["prediction"])
    most = max(counts.values())
    said = re.search(r"Most often confused: (\w+) and (\w+) \(", page.get("confusion").text)
    assert counts[frozenset(said.groups())] == most
    first = page.get("confusion").all("div", "panel")[0].all("b")  # the cell that is open at the start
    assert {one.text for one in first[:2]} == set(said.groups())
    assert f"{most / sum(counts.values()):.0%} of all {sum(counts.values())} mistakes" in page.get("confusion").text


def test_curves_mark_the_best_epoch_and_overfitting(label):
    path, page = label
    section, run = page.get("training"), RunDir(path)
    best = run.info()["result"]["best_epoch"]
    value = run.history()[best - 1]["val"]["accuracy"]
    assert (
        f"Validation accuracy was best at epoch {best} ({100 * value:.1f}%); those weights were kept." in section.text
    )
    assert "After epoch 18 validation loss rises while training loss falls." in section.text
    plots = section.all("svg", "plot")
    assert [figure.all("h3")[0].text for figure in section.all("figure")] == ["Loss", "Accuracy"]
    for plot in plots:
        texts = [one.text for one in plot.all("text")]
        assert {f"best: {best}", "loss rises after 18", "train", "validation"} <= set(texts)
    rows = section.all("tbody")[0].all("tr")
    assert len(rows) == 30
    assert rows[best - 1].classes == ["best"]


def test_no_overfitting_is_said_too(tmp_path):
    page = report(write_run(tmp_path / "run", overfit=None, num_pictures=2).path)
    assert "Validation loss did not turn upward and stay there" in page.get("training").text
    assert not any("overfitting" in one.text for one in page.get("training").all("text"))


def test_a_few_epochs_are_not_said_to_be_without_overfitting(tmp_path):
    run = write_run(tmp_path / "run", overfit=None, num_pictures=2)
    history = run.path / "history.jsonl"
    history.write_text("".join(history.read_text().splitlines(keepends=True)[:2]))
    said = report(run.path).get("training").text
    assert "Fewer than 6 epochs are too few to tell whether validation loss turned upward." in said
    assert "did not turn upward" not in said


def test_calibration_says_which_way_it_errs(folder):
    path = folder("label")
    scores = RunDir(path).scores()
    for confidence, accuracy, verdict in (
        (0.9, 0.7, "overconfident"),
        (0.7, 0.9, "underconfident"),
        (0.8, 0.81, "well calibrated"),
    ):
        one = {"lower": 0.5, "upper": 1.0, "confidence": confidence, "accuracy": accuracy, "count": 300}
        scores["test"]["calibration"] = [one]
        write_json(path / "scores.json", scores)
        text = report(path).get("calibration").text
        assert f"Mean confidence {confidence:.1%}, accuracy {accuracy:.1%}: it is " in text
        assert verdict in text


def test_the_whole_recipe_the_versions_and_the_command_are_there(label):
    page = label[1]
    assert re.search(r"train epochs 30 optimiser adamw lr 0.001", page.get("settings").text)
    assert "torch 2.13.0" in page.get("again").text
    assert "striate train shapes --model bipyramid" in page.get("again").text
    cost = page.get("cost").text
    for fact in (
        "1,214,602",
        "21.5 M",
        "1 min 21 s",
        "1,184 images/s",
        "AMD EPYC 9B14",
        "float32 148 ms, bf16 61.7 ms",
    ):
        assert fact in cost
    assert "stage3 conv kernel 3, norm batch" in cost


def test_findings_lead_with_the_worst(label):
    findings = [one.classes[0] for one in label[1].all("ul", "findings")[0].all("li")]
    assert findings == ["warning", "note"]


def test_the_tags_report_ranks_by_average_precision_and_marks_each_tag(folder):
    path = folder("tags")
    page = report(path)
    rows = page.get("classes").all("tbody")[0].all("tr")
    assert rows[0].all("td")[1].text == "77.0%"
    assert "average precision" in page.get("classes").text
    shot = page.get("mistakes").all("figure", "shot")[0]
    row = next(row for row in test_rows(path) if row["id"] == shot.all("span", "id")[0].text)
    truth, said = (set(filter(None, row[key].split("|"))) for key in ("truth", "prediction"))
    for tag in shot.all("span", "tag"):
        kind = tag.classes[-1]
        name = tag.text.split()[1]
        assert {"right": name in truth & said, "missed": name in truth - said, "extra": name in said - truth}[kind]
    assert len(shot.all("span", "tag")) == len(truth | said)
    worst = max(float(row["loss"]) for row in test_rows(path) if row["correct"] == "0")
    assert float(row["loss"]) == worst


def test_tags_with_bars_in_their_names_are_told_apart(tmp_path):
    names = ("a|b", "a", "b\\", "c")
    page = report(write_run(tmp_path / "run", "tags", names=names, images={"val": 40, "test": 40}).path)
    marked = {tag.text.split()[1] for tag in page.all("span", "tag")}
    assert marked == set(names)


def test_an_angle_is_compared_the_short_way_round(folder):
    path = folder("angle")
    page = report(path)
    rows = test_rows(path)
    errors = [abs((float(r["prediction:angle"]) - float(r["truth:angle"]) + 180) % 360 - 180) for r in rows]
    assert page.all("p", "figure")[0].text == f"{np.mean(errors):.2f}°"
    assert [plot.attributes["aria-label"].split()[0] for plot in page.get("predictions").all("svg", "plot")] == [
        "Prediction",
        "Mean",
        "Histogram",
    ]
    shots = page.get("predictions").all("figure", "shot")
    assert len(shots) == 24
    assert shots[0].text.split("off by ")[1].startswith(f"{max(errors):.0f}")
    signed = [(float(r["prediction:angle"]) - float(r["truth:angle"]) + 180) % 360 - 180 for r in rows]
    assert f"{np.mean(signed):+.3g}".replace("-", "−").lstrip("+") in page.get("predictions").text


def test_several_numbers_are_shown_one_by_one(folder):
    page = report(folder("values"))
    section = page.get("predictions")
    assert len(section.all("svg", "plot")) == 4
    assert [row.all("th")[0].text for row in section.all("table")[0].all("tr")[1:]] == ["x", "y"]
    assert "6.10 mm" in section.text


def test_the_histogram_counts_every_error(folder):
    path = folder("angle")
    plot = report(path).get("predictions").all("svg", "plot")[2]
    assert "Histogram of 300 errors" in plot.attributes["aria-label"]
    bars = [one.attributes["d"] for one in plot.all("path") if "f-val" in one.classes]
    heights = [abs(float(bar.split()[2]) - float(bar.split()[8])) for bar in bars]
    signed = [(float(r["prediction:angle"]) - float(r["truth:angle"]) + 180) % 360 - 180 for r in test_rows(path)]
    reach = 8 * np.median(np.abs(signed))
    reach = min(reach, max(abs(np.sort(signed)[2]), abs(np.sort(signed)[297])))
    counts, _ = np.histogram(np.clip(signed, -reach, reach), bins=31, range=(-reach, reach))
    assert sum(counts) == 300
    assert np.allclose(np.array(heights) / sum(heights), counts / 300, atol=0.01)


def test_pictures_stay_within_their_budget(tmp_path):
    run = write_run(tmp_path / "run", skill=0.3, images={"val": 10, "test": 900}, num_pictures=700)
    page = report(run.path)
    assert len(page.all("img")) == 300
    assert "It holds 300 images, at most 300;" in page.text
    for panel in page.all("div", "panel"):
        assert len(panel.all("img")) <= 12


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"frozen": "body"}, "Only the head trained."),
        (
            {"frozen": "stage2", "frozen_epochs": 1},
            "Only what follows stage2 trained in the first epoch, then everything.",
        ),
        (
            {"frozen": "body", "frozen_epochs": 5, "then_frozen": "stem"},
            "Only the head trained in the first 5 epochs, then what follows stem.",
        ),
        (
            {"stages": [{"epochs": 5, "frozen": "body"}, {"epochs": 1, "frozen": "stem"}, {"frozen": ""}]},
            "Only the head trained in the first 5 epochs, then what follows stem for 1 epoch, then everything.",
        ),
    ],
)
def test_what_was_frozen_is_said(tmp_path, train, says):
    recipe = {**RECIPE, "train": {**RECIPE["train"], **train}}
    assert says in report(write_run(tmp_path / "run", recipe=recipe).path).get("training").text


@pytest.mark.parametrize(("augment", "says"), [([], False), (None, True), ([{"kind": "flip"}], True)])
def test_images_are_called_augmented_only_where_they_were(tmp_path, augment, says):
    run = write_run(tmp_path / "run", recipe={**RECIPE, "augment": augment}, num_pictures=0)
    assert ("images are augmented" in report(run.path).get("training").text) == says


def test_a_linear_probes_axis_is_weight_decay_not_epochs(tmp_path):
    run = write_run(tmp_path / "run", overfit=4, num_pictures=0, recipe={**RECIPE, "transfer": {"head": "only"}})
    rows = [row | {"weight_decay": 10.0 ** (2 - row["epoch"])} for row in run.history()[:6]]
    info = run.info()
    run.save_info(info | {"result": info["result"] | {"best_epoch": 3}})
    (run.path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = report(run.path).get("training")
    for plot in section.all("svg", "plot"):
        texts = [one.text for one in plot.all("text")]
        assert {"weight decay", "best: 0.100", "10.0", "0.100", "0.00100"} <= set(texts)
        assert not any("epoch" in text or "rises" in text for text in texts)
        assert "strengths of weight decay" in plot.attributes["aria-label"]
        assert "epoch" not in plot.attributes["aria-label"]
    assert "the strengths of weight decay that were tried" in section.text


def test_options_of_the_dataset_are_written_for_a_reader(folder):
    assert OPTIONS.keys() | IN_NOTES == signature(open_dataset).parameters.keys() - {"where"}
    path = folder("label")
    info = RunDir(path).info()
    info["dataset"]["options"] = {
        "limit": {"train": 400, "test": 50},
        "split": [0.8, 0.1, 0.1],
        "per_class": 7000,
        "classes": ["cat", "dog"],
        "seed": 12345,
        "allow_empty": False,
        "root": None,
        "of_a_newer_version": "x",
    }
    write_json(path / "run.json", info)
    said = report(path).get("data").all("dl")[0]
    pairs = dict(zip((one.text for one in said.all("dt")), (one.text for one in said.all("dd")), strict=True))
    wanted = {
        "images of a split, at most": "train 400, test 50",
        "images of a class, at most": "7,000",
        "classes chosen": "cat, dog",
        "seed of the split": "12345",
        "of a newer version": "x",
    }
    assert pairs == {**wanted, "source": pairs["source"], "fingerprint": pairs["fingerprint"]}


def test_a_run_that_stopped_early_says_so_in_one_way(folder):
    path = folder("label")
    info = RunDir(path).info()
    assert "stopped early" not in facts_text(RunDir(path)) and "stopped early" not in report(path).get("training").text
    info["result"] |= {"stopped": "early", "epochs": 2}
    info |= {"num_epochs": 3, "resolved": {"train": {"patience": 1}}}
    write_json(path / "run.json", info)
    said = "stopped early, after 2 of 3 epochs: no better val.accuracy in 1 epoch"
    assert f"  {said}; --patience 0 trains to the end\n" in facts_text(RunDir(path))
    assert f"Training {said}." in report(path).get("training").text
    write_json(path / "run.json", {key: value for key, value in info.items() if key != "resolved"})  # an older run
    assert "no better val.accuracy in some epochs" in facts_text(RunDir(path))


def test_a_score_keeps_its_capitals_at_the_start_of_a_line(folder):
    section = report(folder("tags")).get("training")
    assert [figure.all("h3")[0].text for figure in section.all("figure")] == ["Loss", "Micro F1"]
