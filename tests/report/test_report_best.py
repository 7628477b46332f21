"""A study's report looks inside its best variant: its runs judged as one, against the tables of the runs."""

import csv
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from report_pages import Element, parse
from report_runs import SHAPES, write_run
from report_studies import VARIANTS, write_study

from striate.base.rundir import RunDir, StudyDir
from striate.report import report_run, report_study
from striate.report.calibration import pool_bins


def report(path: Path) -> Element:
    return parse(report_study(StudyDir(path)))


def answers(path: Path, variant: str = "regularized") -> list[dict[str, str]]:
    """Every answer of every run of a variant on the test split."""
    found = []
    for table in sorted((path / "runs").glob(f"{variant}-seed*/predictions.csv")):
        with table.open(newline="") as file:
            found += [row for row in csv.DictReader(file) if row["split"] == "test"]
    return found


def study_of(path: Path, kind: str, **options) -> Path:
    """Write a study whose runs all predict this kind of target."""
    study = write_study(path, seeds=(0, 1, 2), num_pictures=0, num_images=20)
    for name in VARIANTS:
        for seed in (0, 1, 2):
            run = study.run(name, seed).path
            shutil.rmtree(run)
            write_run(run, kind, seed=seed, num_pictures=20, images={"val": 40, "test": 40}, **options)
    return path


@pytest.fixture(scope="module")
def study(folder):
    path = folder("study")
    return path, report(path)


def test_the_class_table_counts_the_answers_of_all_runs(study):
    path, page = study
    counts = Counter((row["truth"], row["prediction"]) for row in answers(path))
    rows = page.get("classes").all("tbody")[0].all("tr")
    assert {row.all("th")[0].text for row in rows} == set(SHAPES)
    for row in rows:
        name = row.all("th")[0].text
        support = sum(counts[name, other] for other in SHAPES)
        given = sum(counts[other, name] for other in SHAPES)
        hit = counts[name, name]
        expected = [2 * hit / (support + given), hit / support, hit / given]
        cells = [cell.text for cell in row.all("td")[1:]]
        assert cells == [*(f"{100 * value:.1f}%" for value in expected), str(support)]
    leads = [float(row.all("td")[1].text[:-1]) for row in rows]
    assert leads == sorted(leads)


def test_the_calibration_is_that_of_all_answers(study):
    path, page = study
    rows = answers(path)
    sure = np.array([max(float(row[f"p:{name}"]) for name in SHAPES) for row in rows])
    right = np.array([row["truth"] == row["prediction"] for row in rows])
    bins = np.ceil(sure * 15)
    error = sum((bins == k).sum() * abs(sure[bins == k].mean() - right[bins == k].mean()) for k in set(bins))
    section = page.get("calibration")
    assert section.all("p", "figure")[0].text == f"{error / len(rows):.1%}"
    assert f"Mean confidence {sure.mean():.1%}, accuracy {right.mean():.1%}" in section.text
    assert len(section.all("svg", "plot")) == 1
    eces = sorted(StudyDir(path).run("regularized", seed).scores()["test"]["ece"] for seed in (0, 1, 2))
    assert f"each run on its own: {eces[0]:.1%} to {eces[-1]:.1%}" in section.text


def test_the_mistakes_are_the_surest_over_all_runs(study):
    path, page = study
    given = defaultdict(list)
    for row in answers(path):
        if row["truth"] != row["prediction"]:
            given[row["id"], row["truth"], row["prediction"]].append(float(row[f"p:{row['prediction']}"]))
    ranked = sorted(given, key=lambda one: (-np.mean(given[one]), one[0]))
    section = page.get("mistakes")
    shots = section.all("figure", "shot")
    assert f"The 24 most confident of {len(given)} different wrong answers on the test split" in section.text
    assert [shot.all("span", "id")[0].text for shot in shots] == [one[0] for one in ranked[:24]]
    for shot, one in zip(shots, ranked, strict=False):
        times = given[one]
        words = f"is {one[1]} predicted {one[2]} confidence {np.mean(times):.1%} {len(times)} of 3 runs"
        assert words in shot.text


@pytest.mark.parametrize("kind", ["study", "label", "tags", "angle", "values"])
def test_the_contents_list_the_sections_in_the_order_of_the_page(folder, kind):
    path = folder(kind)
    page = report(path) if kind == "study" else parse(report_run(RunDir(path)))
    links = [one.attributes["href"][1:] for one in page.all("nav", "toc")[0].all("a")]
    ids = [one.attributes["id"] for one in page.get("main").all("section")]
    assert links == [id_ for id_ in ids if id_ != "result"]


def test_the_best_epoch_of_every_run_is_ringed(study):
    path, page = study
    for row, key in zip(page.get("curves").all("div", "many"), ("loss", "accuracy"), strict=True):
        for name, plot in zip(VARIANTS, row.all("svg", "plot"), strict=True):
            expected = []
            for seed in (0, 1, 2):
                run = StudyDir(path).run(name, seed)
                best = run.info()["result"]["best_epoch"]
                value = run.history()[best - 1]["val"][key]
                expected.append(f"best epoch {best}: " + (f"{value:.1%}" if key == "accuracy" else f"{value:.3g}"))
            titles = [one.text for one in plot.all("title")]
            assert [title.rstrip("0") for title in titles] == [text.rstrip("0") for text in expected]
            epochs = sorted(int(text.split()[2].rstrip(":")) for text in expected)
            assert f"Best epochs {', '.join(map(str, epochs))}." in plot.attributes["aria-label"]


def test_a_study_of_one_seed_speaks_of_images(tmp_path):
    path = write_study(tmp_path / "one", seeds=(0,), num_pictures=5, num_images=60).path
    page = report(path)
    scores = StudyDir(path).run("regularized", 0).scores()["test"]
    assert page.get("classes").all("thead")[0].all("th")[-1].text == "images"
    assert page.get("calibration").all("p", "figure")[0].text == f"{scores['ece']:.1%}"
    assert "each run on its own" not in page.text
    assert " of 1 runs" not in page.text


def test_a_study_of_tags_shows_its_tags(tmp_path):
    path = study_of(tmp_path / "tags", "tags")
    page = report(path)
    scores = [StudyDir(path).run("regularized", seed).scores()["test"] for seed in (0, 1, 2)]
    for row in page.get("classes").all("tbody")[0].all("tr"):
        name = row.all("th")[0].text
        figures = [next(one for one in score["per_class"] if one["name"] == name) for score in scores]
        expected = [np.mean([one[key] for one in figures]) for key in ("ap", "f1", "recall", "precision")]
        assert [cell.text for cell in row.all("td")[1:5]] == [f"{100 * value:.1f}%" for value in expected]
    assert page.get("calibration").all("svg", "plot")
    losses = defaultdict(list)
    given = defaultdict(list)
    for row in answers(path):
        losses[row["id"]].append(float(row["loss"]))
        given[row["id"]].append(row)
    wrong = [id_ for id_, rows in given.items() if any(row["correct"] == "0" for row in rows)]
    wrong.sort(key=lambda id_: (-np.mean(losses[id_]), id_))
    shots = page.get("mistakes").all("figure", "shot")
    shown = [shot.all("span", "id")[0].text for shot in shots]
    assert shown == [id_ for id_ in wrong if id_ in shown]
    for shot, id_ in zip(shots, shown, strict=True):
        truth = set(given[id_][0]["truth"].split("|"))
        for tag in shot.all("span", "tag"):
            name = tag.text.split()[1]
            times = sum(name in row["prediction"].split("|") for row in given[id_])
            how = "extra" if name not in truth else "right" if times == 3 else "missed"
            assert how in tag.classes
            assert (f"{times} of 3" in tag.text) == (0 < times < 3)
    assert not page.all("table", "matrix")


@pytest.mark.parametrize(("names", "unit"), [(("angle",), "deg"), (("x", "y"), "mm")])
def test_a_study_of_numbers_draws_the_answers_of_all_runs(tmp_path, names, unit):
    path = study_of(tmp_path / "values", "value", names=names, unit=unit)
    page = report(path)
    rows = answers(path)
    errors = defaultdict(list)
    for row in rows:
        errors[row["id"]].append(float(row["error"]))
    section = page.get("predictions")
    assert f"{len(rows)} test answers of 3 runs" in section.text
    assert f"for {len(rows)} images" not in section.all("svg", "plot")[0].attributes["aria-label"]
    assert len(section.all("svg", "plot")) == (3 if unit == "deg" else 4)
    ranked = sorted(errors, key=lambda id_: (-np.mean(errors[id_]), id_))
    shots = section.all("figure", "shot")
    shown = [shot.all("span", "id")[0].text for shot in shots]
    assert shown == [id_ for id_ in ranked if id_ in shown]
    assert len(shots) == len(set(shown)) == 24
    for shot, id_ in zip(shots, shown, strict=True):
        worst = np.mean(errors[id_])
        assert float(shot.text.split("off by ")[1].split()[0].rstrip("°")) == pytest.approx(worst, rel=0.01)
        assert shot.text.count(";") == 2
    if len(names) > 1:
        cells = [cell.text for cell in section.all("tbody")[0].all("tr")[1].all("td")]
        scores = [StudyDir(path).run("regularized", seed).scores()["test"]["per_field"][1] for seed in (0, 1, 2)]
        assert cells[1].split()[0] == f"{np.mean([row['mae'] for row in scores]):.3g}"
    assert not page.all("table", "matrix")


@pytest.mark.parametrize("content", ["{}", "[]", '{"test": {}}', '{"test": {"per_class": [7], "calibration": [null]}}'])
def test_a_run_without_usable_scores_costs_only_its_share(folder, content):
    path = folder("study")
    (path / "runs" / "regularized-seed1" / "scores.json").write_text(content)
    page = report(path)
    assert len(page.get("classes").all("tbody")[0].all("tr")) == len(SHAPES)
    assert page.get("calibration").all("svg", "plot")


def test_runs_without_single_images_still_have_their_table(folder):
    path = folder("study")
    for table in (path / "runs").glob("regularized-seed*/predictions.csv"):
        table.unlink()
    page = report(path)
    total = np.sum(
        [StudyDir(path).run("regularized", seed).scores()["test"]["confusion"] for seed in (0, 1, 2)], axis=0
    )
    found = {row.all("th")[0].text: row.all("td")[2].text for row in page.get("classes").all("tbody")[0].all("tr")}
    for k, name in enumerate(SHAPES):
        assert found[name] == f"{100 * total[k, k] / total[k].sum():.1f}%"
    assert "no table of single images" in page.get("mistakes").text


def test_bins_of_runs_add_up():
    one = {"lower": 0.8, "upper": 1.0, "confidence": 0.9, "accuracy": 0.5, "count": 10}
    two = {"lower": 0.8, "upper": 1.0, "confidence": 0.96, "accuracy": 1.0, "count": 30}
    empty = {"lower": 0.6, "upper": 0.8, "confidence": None, "accuracy": None, "count": 0}
    (pooled,) = pool_bins([[one, empty], [empty, two], ["x", None]])
    assert pooled == pytest.approx({"lower": 0.8, "upper": 1.0, "confidence": 0.945, "accuracy": 0.875, "count": 40})
