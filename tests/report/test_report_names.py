"""Long names may break after an underscore, and nowhere else does the page change for it."""

from pathlib import Path

import pytest
from report_pages import parse
from report_runs import SHAPES, write_run
from report_studies import write_study

from striate.base.rundir import StudyDir
from striate.report import report_run, report_study

LONG = ("black_footed_albatross_and_more", "red_winged_blackbird", '<i>_&_"x"', "__init__", "plain")
BROKEN = {
    "black_footed_albatross_and_more": "black_<wbr>footed_<wbr>albatross_<wbr>and_<wbr>more",
    "red_winged_blackbird": "red_<wbr>winged_<wbr>blackbird",
    '<i>_&_"x"': "&lt;i&gt;_<wbr>&amp;_<wbr>&#34;x&#34;",
    "__init__": "_<wbr>_<wbr>init_<wbr>_<wbr>",
    "plain": "plain",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "run"
    return report_run(write_run(path, names=LONG, images={"val": 40, "test": 200}, num_pictures=60, skill=1.5))


def section(page: Path, id_: str) -> str:
    text = page.read_text(encoding="utf-8")
    return text.split(f'<section id="{id_}">')[1].split("</section>")[0]


@pytest.mark.parametrize("name", LONG)
def test_tiles_tables_and_panels_break_after_underscores(page, name):
    assert f'<th scope="row">{BROKEN[name]}</th>' in section(page, "classes")
    assert f'<th scope="row">{BROKEN[name]}</th>' in section(page, "data")
    assert f"<b>{BROKEN[name]}</b>" in section(page, "mistakes")
    assert f"<b>{BROKEN[name]}</b> predicted as <b>" in section(page, "confusion")


def test_the_names_read_as_before_and_attributes_are_plain(page):
    root = parse(page)
    assert {row.all("th")[0].text for row in root.get("classes").all("tbody")[0].all("tr")} == set(LONG)
    assert root.all("wbr")
    for one in root.walk():
        assert not any("<wbr" in value or "&lt;wbr" in value for value in one.attributes.values())
    titles = " ".join(one.attributes.get("title", "") for one in root.get("confusion").walk())
    assert all(name in titles for name in LONG)
    assert "wbr" not in root.text


def test_names_of_variants_break_too(tmp_path):
    path = write_study(tmp_path / "study", seeds=(0,), num_pictures=0, num_images=30, name="the_ablation_series").path
    for document in ("study.json", "verdict.json"):
        text = (path / document).read_text().replace('"mlp"', '"a_long_perceptron"')
        (path / document).write_text(text)
    written = report_study(StudyDir(path)).read_text(encoding="utf-8")
    assert "<h1>the_<wbr>ablation_<wbr>series</h1>" in written
    assert '<th scope="row">a_<wbr>long_<wbr>perceptron' in written
    assert '<th scope="col">a_<wbr>long_<wbr>perceptron</th>' in written


def test_a_name_without_underscores_has_no_break(tmp_path):
    path = report_run(write_run(tmp_path / "run", names=SHAPES, images={"val": 20, "test": 40}, num_pictures=5))
    assert "<wbr>" not in section(path, "classes")
