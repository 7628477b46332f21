"""What a study's report says, against the numbers in the folder."""

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from report_pages import Element, parse
from report_runs import SHAPES
from report_studies import SENTENCES, VARIANTS, write_study

from striate.base.rundir import StudyDir
from striate.report import report_runs, report_study


def report(path: Path) -> Element:
    return parse(report_study(StudyDir(path)))


def edit(path: Path, change) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def rows_of(path: Path, variant: str) -> dict[str, list[dict[str, str]]]:
    """What each run of a variant said of every test image."""
    found = defaultdict(list)
    for table in sorted((path / "runs").glob(f"{variant}-seed*/predictions.csv")):
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                if row["split"] == "test":
                    found[row["id"]].append(row)
    return found


@pytest.fixture(scope="module")
def study(folder):
    path = folder("study")
    return path, report(path)


def test_it_leads_with_the_verdict(study):
    path, page = study
    verdict = StudyDir(path).verdict()
    first = page.get("main").all("section")[0]
    assert first.attributes["id"] == "result"
    assert first.all("p", "figure")[0].text == "No variant is clearly best"  # it ties with augmented
    assert "regularized has the best validation score" in first.text
    best = verdict["variants"][3]["test"]
    base = verdict["variants"][1]["test"]
    assert f"{100 * best['mean']:.1f}% 95% interval" in first.text
    assert f"difference of regularized from baseline {100 * (best['mean'] - base['mean']):+.1f} points" in first.text
    assert "; significant" in first.text
    assert "not significantly different from it augmented" in first.text
    assert [one.text for one in first.all("div", "sentences")[0].all("p")] == list(SENTENCES)


def test_every_seed_is_a_dot(study):
    path, page = study
    values = {row["name"]: row["test"]["values"] for row in StudyDir(path).verdict()["variants"]}
    titles = [one.text for one in page.get("variants").all("svg", "plot")[0].all("title")]
    expected = [f"{name}: {100 * value:.1f}%" for name in VARIANTS for value in values[name]]
    assert sorted(titles) == sorted(expected)


def test_dots_stand_where_their_values_are(study):
    path, page = study
    values = [value for row in StudyDir(path).verdict()["variants"] for value in row["test"]["values"]]
    plot = page.get("variants").all("svg", "plot")[0]
    groups = [one for one in plot.walk() if one.tag == "g" and any(child.tag == "title" for child in one.all("title"))]
    groups = [one for one in groups if one.children and getattr(one.children[0], "tag", "") == "title"]
    places = [float(one.all("use")[0].attributes["x"]) for one in groups]
    scale = (places[-1] - places[0]) / (values[-1] - values[0])
    for place, value in zip(places, values, strict=True):
        assert place == pytest.approx(places[0] + scale * (value - values[0]), abs=0.2)


def test_differences_are_all_against_the_baseline(study):
    path, page = study
    means = {row["name"]: row["test"]["mean"] for row in StudyDir(path).verdict()["variants"]}
    plot = page.get("variants").all("svg", "plot")[1]
    label = plot.attributes["aria-label"].replace("−", "-")
    for name in ("mlp", "augmented", "regularized"):
        assert f"{name} {100 * (means[name] - means['baseline']):+.1f} points" in label
    assert "baseline (the reference)" in [one.text for one in plot.all("text")]


def test_a_difference_given_the_other_way_round_is_turned(folder):
    path = folder("study")

    def turn(verdict):
        for row in verdict["differences"]:
            if row["b"] == "baseline":
                low, high = row["interval"]
                row |= {"a": "baseline", "b": row["a"], "mean": -row["mean"], "interval": [-high, -low]}

    before = report(path).get("variants").all("svg", "plot")[1].attributes["aria-label"]
    edit(path / "verdict.json", turn)
    assert report(path).get("variants").all("svg", "plot")[1].attributes["aria-label"] == before


def test_the_table_has_every_figure(study):
    path, page = study
    rows = page.get("variants").all("table", "compare")[0].all("tbody")[0].all("tr")
    for row, found in zip(rows, StudyDir(path).verdict()["variants"], strict=True):
        text = row.text
        for split in ("test", "val"):
            assert f"{100 * found[split]['mean']:.1f}% ± {100 * found[split]['std']:.1f}" in text
        assert f"{100 * found['gap']['mean']:+.1f}" in text
        assert ("never" in text) == (found["overfit_epoch"] is None)
        assert "1 min 21 s" in text
        assert ("best" in row.classes) == (found["name"] == "regularized")


def test_small_multiples_share_their_axes(study):
    page = study[1]
    for many in page.get("curves").all("div", "many"):
        plots = many.all("svg", "plot")
        assert len(plots) == len(VARIANTS)
        ticks = [tuple(one.text for one in plot.all("text")) for plot in plots]
        assert len(set(ticks)) == 1
        places = [[(one.attributes["x"], one.attributes["y"]) for one in plot.all("text")] for plot in plots]
        assert all(place == places[0] for place in places)


def test_the_matrix_is_the_sum_over_seeds(study):
    path, page = study
    answers = [row for rows in rows_of(path, "regularized").values() for row in rows]
    expected = Counter((row["truth"], row["prediction"]) for row in answers)
    matrix = page.all("table", "matrix")[0].all("tbody")[0]
    for row, truth in zip(matrix.all("tr"), SHAPES, strict=True):
        for cell, said in zip(row.all("td"), SHAPES, strict=False):
            assert cell.text == str(expected[truth, said] or "")
    for panel in page.all("div", "panel"):
        shots = panel.all("img")
        assert len(shots) == len({one.attributes["alt"] for one in shots})


def test_hard_images_are_those_every_run_got_wrong(study):
    path, page = study
    wrong = {name: defaultdict(list) for name in VARIANTS}
    for name in VARIANTS:
        for id_, rows in rows_of(path, name).items():
            wrong[name][id_] = [row["truth"] != row["prediction"] for row in rows]
    hard = {id_ for id_, found in wrong["regularized"].items() if all(found)}
    everywhere = {id_ for id_ in hard if all(all(wrong[name][id_]) for name in VARIANTS)}
    section = page.get("hard")
    ids = [one.all("span", "id")[0].text for one in section.all("figure", "shot")]
    assert hard
    assert set(ids) == hard
    assert set(ids[: len(everywhere)]) == everywhere
    assert ("this image wrong" if len(hard) == 1 else f"these {len(hard)} images wrong") in section.text
    assert section.text.count("every variant wrong") == len(everywhere)


def test_only_settings_that_differ_are_listed(study):
    table = study[1].get("differ").all("table")[0]
    rows = {row.all("th")[0].text: row for row in table.all("tbody")[0].all("tr")}
    assert set(rows) == {
        "network",
        "augment.flip",
        "augment.shift",
        "model.norm",
        "model.dropout",
        "train.weight_decay",
        "train.label_smoothing",
    }
    assert [cell.text for cell in rows["model.dropout"].all("td")] == ["auto", "auto", "auto", "0.3"]
    assert [bool(cell.all("mark")) for cell in rows["network"].all("td")] == [True, False, False, False]


def test_when_the_baseline_wins_the_next_best_is_named(folder):
    path = folder("study")
    edit(path / "study.json", lambda info: info.update(baseline="regularized"))
    text = report(path).get("result").text
    assert "from augmented" in text
    assert "from regularized" not in text


def test_an_unfinished_study_shows_the_runs_there_are(tmp_path):
    path = write_study(tmp_path / "study", seeds=(0, 1), num_pictures=2, has_verdict=False).path
    for run in ("augmented-seed1", "regularized-seed0", "regularized-seed1"):
        (path / "runs" / run / "run.json").unlink()
    page = report(path)
    assert "No verdict yet: 5 of 8 runs finished" in page.get("result").text
    rows = page.get("variants").all("table", "compare")[0].all("tbody")[0].all("tr")
    values = [StudyDir(path).run("mlp", seed).scores()["test"]["accuracy"] for seed in (0, 1)]
    assert f"{50 * sum(values):.1f}%" in rows[0].text
    assert rows[3].text.count("n/a") >= 6
    assert len(page.get("curves").all("div", "many")[0].all("svg", "plot")) == 3
    assert "regularized-seed1 is left out" in page.text


def test_a_study_without_a_test_split_reports_validation(folder):
    path = folder("study")
    edit(path / "verdict.json", lambda verdict: verdict.update(split_reported="val"))
    page = report(path)
    assert "accuracy of regularized on the validation split" in page.get("result").text
    heads = [one.text for one in page.get("variants").all("table", "compare")[0].all("th")][:4]
    assert heads == ["variant", "runs", "validation", "gap"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"best": "nobody", "variants": [7], "differences": ["x"]}'])
def test_a_broken_verdict_is_survived(folder, content):
    path = folder("study")
    (path / "verdict.json").write_text(content)
    assert "No verdict yet" in report(path).get("result").text


def test_numbers_that_are_not_known_are_gaps(folder):
    path = folder("study")

    def spoil(verdict):
        verdict["variants"][0] |= {"gap": {"mean": None}, "time_s": {"mean": None}, "macs": None}
        verdict["variants"][0]["test"] = {"mean": None, "std": None, "values": [None, 0.3, None], "interval": None}
        verdict["differences"][0]["interval"] = [None, None]

    edit(path / "verdict.json", spoil)
    page = report(path)
    row = page.get("variants").all("table", "compare")[0].all("tbody")[0].all("tr")[0]
    assert row.text.count("n/a") >= 4
    titles = [one.text for one in page.get("variants").all("svg", "plot")[0].all("title")]
    assert [title for title in titles if title.startswith("mlp")] == ["mlp: 30.0%"]


def test_folds_are_found(folder):
    path = folder("study")
    edit(path / "study.json", lambda info: info.update(folds=2, seeds=[0]))
    for name in VARIANTS:
        for fold in (0, 1):
            (path / "runs" / f"{name}-seed{fold}").rename(path / "runs" / f"{name}-seed0-fold{fold}")
    runs = [row.all("th")[0].text for row in report(path).get("variants").all("table")[1].all("tr")[1:]]
    assert runs == [f"{name}-seed0-fold{fold}" for name in VARIANTS for fold in (0, 1)]


def test_no_text_of_the_charts_is_read_as_a_formula(folder):
    path = folder("study")
    name = "$\\frac{a}{0}$ \U0001f98a {% x"

    def rename(document):
        for row in document["variants"]:
            row["name"] = row["name"].replace("mlp", name)
        for row in document.get("differences", []):
            row["b"] = row["b"].replace("mlp", name)

    edit(path / "study.json", rename)
    edit(path / "verdict.json", rename)
    texts = [one.text for one in report(path).get("variants").all("text")]
    assert any(re.match(r"\$\\frac", text) for text in texts)


def separate(verdict, **gains):
    """Give the differences from the best these means, significant, and no ties."""
    for row in verdict["differences"]:
        if row["a"] == "regularized":
            gain = gains.get(row["b"], 0.1)
            row |= {"mean": gain, "interval": sorted((0.5 * gain, 1.5 * gain)), "separable": True}
    verdict["ties"] = []


@pytest.mark.parametrize(
    ("gains", "label", "figure", "says"),
    [
        ({}, "best variant", "regularized", ""),
        (
            {"augmented": -0.1},
            "best on validation",
            "regularized",
            "on the test images augmented is significantly better.",
        ),
    ],
)
def test_the_headline_follows_the_differences(folder, gains, label, figure, says):
    path = folder("study")
    edit(path / "verdict.json", lambda verdict: separate(verdict, **gains))
    first = report(path).get("result")
    assert (first.all("p", "label")[0].text, first.all("p", "figure")[0].text) == (label, figure)
    notes = [one.text for one in first.all("p", "notice")]
    assert notes == ([f"regularized is best on validation; {says}"] if says else [])
    assert ("significantly better than it augmented" in first.text) == bool(says)


def test_every_variant_shows_what_it_confuses(study):
    path, page = study
    section = page.get("others")
    details = section.all("details", "other")
    assert [one.all("summary")[0].text for one in details] == ["mlp", "baseline", "augmented"]
    for one, name in zip(details, ("mlp", "baseline", "augmented"), strict=True):
        answers = [row for rows in rows_of(path, name).values() for row in rows]
        expected = Counter((row["truth"], row["prediction"]) for row in answers)
        matrix = one.all("table", "matrix")[0].all("tbody")[0]
        for row, truth in zip(matrix.all("tr"), SHAPES, strict=True):
            for cell, said in zip(row.all("td"), SHAPES, strict=False):
                assert cell.text == str(expected[truth, said] or "")
                for link in cell.all("a"):
                    panel = page.get(link.attributes["href"][1:])
                    ids = {row["id"] for row in answers if (row["truth"], row["prediction"]) == (truth, said)}
                    assert {item.text for item in panel.all("li")} <= ids
        wrong = {row["id"] for row in answers if row["truth"] != row["prediction"]}
        shots = one.all("figure", "shot")
        assert shots and {shot.all("span", "id")[0].text for shot in shots} <= wrong
    ids = [one.attributes["id"] for one in page.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))


def test_each_run_has_its_report_and_a_link(folder):
    path = folder("study")
    assert not report(path).get("variants").all("details")[0].all("a")
    report_runs(StudyDir(path))
    links = report(path).get("variants").all("details")[0].all("a")
    assert len(links) == 12 and all((path / link.attributes["href"]).is_file() for link in links)
    assert {link.text for link in links} == {one.name for one in (path / "runs").iterdir()}


@pytest.mark.parametrize(
    ("p_holm", "says"),
    [(0.001, "; significant not"), (0.2, "; significant by itself, not after Holm's correction not")],
)
def test_the_headline_says_what_holms_correction_leaves(folder, p_holm, says):
    path = folder("study")

    def correct(verdict):
        for row in verdict["differences"]:
            row["p_holm"] = p_holm

    edit(path / "verdict.json", correct)
    assert says in report(path).get("result").text


@pytest.mark.parametrize(("epochs", "says"), [(2, "n/a"), (6, "never")])
def test_too_few_epochs_cannot_show_that_loss_rises(folder, epochs, says):
    path = folder("study")
    for history in path.glob("runs/augmented-seed*/history.jsonl"):
        history.write_text("".join(history.read_text().splitlines(keepends=True)[:epochs]))
    table = report(path).get("variants").all("table", "compare")[0]
    place = [head.text for head in table.all("th")[:10]].index("loss rises after") - 1
    rows = {row.all("th")[0].text.split()[0]: row.all("td")[place].text for row in table.all("tbody")[0].all("tr")}
    assert rows == {"mlp": "9", "baseline": "13", "augmented": says, "regularized": "never"}


def test_all_variants_stand_in_one_chart(study):
    path, page = study
    plot = page.get("curves").all("svg", "plot")[0]
    assert set(VARIANTS) <= {one.text for one in plot.all("text")}
    says = plot.attributes["aria-label"]
    for name in VARIANTS:
        histories = [
            one.read_text().splitlines() for one in sorted((path / "runs").glob(f"{name}-seed*/history.jsonl"))
        ]
        last = max(len(lines) for lines in histories)
        values = [json.loads(lines[-1])["val"]["accuracy"] for lines in histories if len(lines) == last]
        assert f"{name} {100 * sum(values) / len(values):.1f}%" in says
