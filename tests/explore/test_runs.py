"""Runs and errors in the page: the numbers of the files, by numpy."""

import json

import numpy as np
import pytest
from explore_site import serving
from planted_studies import Writer, planted

from striate.evaluate.predictions import read
from striate.explore.api.errors import MAX_IMAGES
from striate.explore.workspace import Workspace

ROWS = """rows => rows.map(row => [row.querySelector('[data-at]').dataset.at,
  ...[...row.cells].slice(1).map(one => Number(one.textContent))])"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study"
    planted(Writer(path, seeds=[0, 1]), {"baseline": 0.6, "better": 0.8}, num_test=300, num_val=60)
    with serving(Workspace.of_folder(path)) as found:
        yield found


@pytest.fixture
def studied(stage, place):
    with stage.window(place) as page:
        yield page
        assert page.problems == []


def of_run(studied, title):
    return next(one for one in studied.site.workspace.subjects.values() if one.title == title)


def test_the_matrix_and_the_images_of_a_cell_are_numpys(studied):
    subject = of_run(studied, "better-seed1")
    table = read(subject.run.predictions, subject.run.info()["task"], {"test"})["test"]
    page = studied.open(f"#view=errors&model={subject.id}")
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (table.truth.astype(int), table.values.astype(int)), 1)
    shown = page.evaluate("[...document.querySelectorAll('.confusion-cell')].map(one => Number(one.textContent))")
    assert shown == counts.ravel().tolist()
    assert sum(shown) == 300
    page.click("[data-truth='1'][data-said='2']")
    studied.ready()
    wrong = np.flatnonzero((table.truth == 1) & (table.values == 2))
    page.wait_for_function(
        "text => document.querySelector('.wrong h2').textContent.startsWith(text)", arg=f"{len(wrong)} "
    )
    titles = page.evaluate("[...document.querySelectorAll('.wrong-title')].map(one => one.textContent)")
    assert sorted(titles) == sorted(table.ids[row] for row in wrong[:MAX_IMAGES])
    assert "truth=1" in page.evaluate("location.hash")


def test_curves_have_the_values_of_the_file(studied):
    subject = of_run(studied, "baseline-seed0")
    page = studied.open(f"#view=runs&runs={subject.id}&metric=loss")
    values = [row["val"]["loss"] for row in subject.run.history()]
    path = page.get_attribute("path[data-split=val]", "d")
    points = np.array([part.split() for part in path.replace("M", "L").split("L")[1:]], float)
    assert len(points) == len(values)
    slope = np.polyfit(values, points[:, 1], 1)
    assert np.abs(np.polyval(slope, values) - points[:, 1]).max() < 0.2
    assert slope[0] < 0


def test_smoothing_is_the_reference(studied):
    page = studied.open("#view=runs")
    values = [3.0, 1.0, float("nan"), 4.0, 1.5]
    text = json.dumps([None if value != value else value for value in values])
    code = f"import('/static/views/runs.js').then(one => one.smooth({text}.map(v => v ?? NaN), 0.6))"
    last, count, expected = 0.0, 0, []
    for value in values:
        if np.isfinite(value):
            last, count = 0.6 * last + 0.4 * value, count + 1
        expected.append(last / (1 - 0.6**count) if np.isfinite(value) else value)
    assert page.evaluate(code) == pytest.approx(expected, nan_ok=True)


def test_the_table_sorts_by_any_column(studied):
    page = studied.open("#view=runs&sort=score&down=0")
    shown = page.evaluate("[...document.querySelectorAll('tbody tr[data-run]')].map(one => one.dataset.run)")
    scores = {one.id: one.run.scores()["test"]["accuracy"] for one in studied.site.workspace.subjects.values()}
    assert [scores[one] for one in shown] == sorted(scores.values())


def test_the_difference_of_two_runs_is_numpys(studied):
    one, other = of_run(studied, "better-seed1"), of_run(studied, "baseline-seed0")
    tables = [read(each.run.predictions, each.run.info()["task"], {"test"})["test"] for each in (one, other)]
    counts = np.zeros((2, 4, 4), int)
    for count, table in zip(counts, tables, strict=True):
        np.add.at(count, (table.truth.astype(int), table.values.astype(int)), 1)
    page = studied.open(f"#view=errors&model={one.id}&split=test&against={other.id}")
    shown = page.evaluate("[...document.querySelectorAll('.confusion-cell')].map(one => one.textContent)")
    assert [int(text.replace("−", "-") or 0) for text in shown] == (counts[0] - counts[1]).ravel().tolist()
    assert page.get_attribute("[data-right]", "data-right") == " ".join(str(count.trace()) for count in counts)
    right = [dict(zip(table.ids, table.truth == table.values, strict=True)) for table in tables]
    alone = {name for name in right[0] if not right[0][name] and right[1][name]}
    titles = page.evaluate("[...document.querySelectorAll('.wrong-title')].map(one => one.textContent)")
    assert set(titles) == alone and 0 < len(alone) < MAX_IMAGES


def test_the_calibration_is_numpys(studied):
    subject = of_run(studied, "baseline-seed1")
    table = read(subject.run.predictions, subject.run.info()["task"], {"test"})["test"]
    page = studied.open(f"#view=errors&model={subject.id}&split=test")
    sure, right = np.asarray(table.probabilities).max(1).astype(float), table.truth == table.values
    place = np.ceil(sure * 15)
    bins = [place == one for one in np.unique(place)]
    expected = [(sure[one].mean(), right[one].mean(), one.sum()) for one in bins]
    shown = page.evaluate(
        "[...document.querySelectorAll('[data-bin]')].map(one => one.dataset.bin.split(' ').map(Number))"
    )
    assert np.array(shown) == pytest.approx(np.array(expected))
    gap = sum(count * abs(mean - share) for mean, share, count in expected) / len(table)
    assert float(page.get_attribute("[data-ece]", "data-ece")) == pytest.approx(gap)


def test_pointing_at_the_curves_shows_the_values_of_all_runs(studied):
    runs = [of_run(studied, "baseline-seed0"), of_run(studied, "better-seed1")]
    page = studied.open(f"#view=runs&runs={','.join(one.id for one in runs)}&metric=loss")
    box = page.query_selector(".plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] * (54 + (720 - 66) * 6.1 / 19) / 720, box["y"] + box["height"] / 2)
    studied.ready()
    assert "epoch=7" in page.evaluate("location.hash")
    rows = page.eval_on_selector_all(".inspector tbody tr", ROWS)
    assert len(rows) == 2
    for id_, val, train in rows:
        row = studied.site.workspace.subjects[id_].run.history()[6]
        assert [val, train] == pytest.approx([row["val"]["loss"], row["train"]["loss"]], rel=1e-3)
    page.mouse.move(5, 5)
    studied.ready()
    page.keyboard.press("ArrowRight")
    assert "epoch=1" in page.evaluate("location.hash")


def test_notes_are_kept_runs_are_found_and_go_to_the_trash_and_back(studied):
    subject = of_run(studied, "better-seed0")
    path = subject.run.path
    page = studied.open("#view=runs")
    page.click(f"[data-note='{subject.id}']")
    page.fill("dialog textarea", "<b>the one</b> with the odd start")
    page.click("dialog button.primary")
    studied.ready()
    assert (path / "note.txt").read_text() == "<b>the one</b> with the odd start\n"
    page.fill("input[type=search]", "ODD seed0")
    studied.ready()
    assert page.evaluate("[...document.querySelectorAll('tr[data-run]')].map(one => one.dataset.run)") == [subject.id]
    page.click(f"[data-trash='{subject.id}']")
    page.wait_for_selector("[data-undo]")
    assert not path.exists() and (path.parent / ".trash" / path.name / "run.json").exists()
    assert subject.id not in studied.site.workspace.subjects
    page.click("[data-undo]")
    page.wait_for_selector(f"tr[data-run='{subject.id}']")
    studied.ready()
    assert (path / "run.json").exists() and not (path.parent / ".trash" / path.name).exists()
