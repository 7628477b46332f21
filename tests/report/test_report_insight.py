"""What a report shows of the inside of a network: from the folder alone, within its budget, and never at any price."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

import striate as st
from striate.base.rundir import RunDir
from striate.inside.explain import explain
from striate.inside.overlay import overlay
from striate.predict import Predictor
from striate.report import report_run
from striate.report.insight import variant_sections
from striate.report.read import Run
from striate.report.tasks import Subject, sections_of
from striate.report.thumbnails import ThumbnailStore

SHORT = {"epochs": 1, "augment": "light"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunDir:
    folder = tmp_path_factory.mktemp("insight") / "run"
    return st.train(
        "toy:shapes?n=80&size=16", st.zoo.blueprint("bipyramid", width=4), "baseline", out=folder, **SHORT
    ).folder


def test_a_report_shows_mistakes_maps_filters_and_augmentation(finished):
    page = finished.report.read_text()
    section = page[page.index('<section id="why"') :]
    section = section[: section.index("</section>")]
    for heading in ("largest errors depend on", "on its way through the maps", "first filters", "augmented"):
        assert heading in section
    assert "gradient: logit of" in section and "): logit of" in section
    assert section.count("<img") >= 6 * 3 + 2


def test_the_class_explained_is_the_one_that_was_answered(finished):
    run, store = Run.read(finished), ThumbnailStore()
    subject = Subject([run], run.reported_split, store, sections_of(run))
    table = subject.answers[0].table
    worst = int(np.argmax(table.losses))
    answered = table.names[int(table.values[worst])]
    page = finished.report.read_text()
    assert f"is {table.names[int(table.truth[worst])]}, predicted {answered}" in page
    predictor = Predictor.load(finished)
    pixels = store.read(finished, run.reported_split, table.ids[worst])
    inputs = predictor.inputs([predictor.fitted(pixels)])
    (found,) = explain(predictor.network, predictor.task, inputs, which=answered)
    content = io.BytesIO()
    large = overlay(predictor.seen(inputs)[0], found).repeat(12, 0).repeat(12, 1)
    Image.fromarray(large).save(content, "PNG")
    assert store.add_image(large).uri in page  # the map on the page is that of the answer


def test_every_variant_of_a_study_is_shown_on_one_image(finished):
    run, store = Run.read(finished), ThumbnailStore()
    subject = Subject([run], run.reported_split, store, sections_of(run), "small")
    (section,) = variant_sections(subject, {"again": [Run.read(finished)]})
    assert section.body.count("<img") == 2 and "again" in section.body
    assert variant_sections(subject, {}) == []


def test_a_network_that_cannot_be_shown_is_named_and_the_report_is_written(finished, tmp_path):
    shutil.copytree(finished.path, tmp_path / "run")
    broken = RunDir(tmp_path / "run")
    info = broken.info()
    info["model"]["blueprint"] = None
    broken.save_info(info)
    page = report_run(broken).read_text()
    assert 'id="why"' not in page and "inside the network could not be shown" in page
    broken.weights.unlink()
    assert "could not be shown" not in report_run(broken).read_text()
