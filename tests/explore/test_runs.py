"""Runs and errors in the page: the numbers of the files, by numpy."""

import json

import numpy as np
import pytest
from explore_site import serving
from planted_studies import Writer, planted

from striate.explore.api.errors import MAX_IMAGES
from striate.explore.workspace import Workspace


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
    from striate.evaluate.predictions import read

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
