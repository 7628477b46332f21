"""A task that the report does not know is shown all the same; one with sections of its own shows them."""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image
from report_pages import Element, parse
from report_studies import VARIANTS, write_study
from test_report_best import study_of

import striate.report
from striate import task
from striate.base.rundir import RunDir, StudyDir
from striate.evaluate.predictions import Predictions
from striate.report import report_run, report_study
from striate.report.answers import Answers
from striate.report.read import Run
from striate.report.tasks import SECTIONS, Room, Section, Sections, Subject, register, sections_of
from striate.task.regress import Regress

SOURCE = Path(striate.report.__file__).parent


def as_task(path: Path, name: str) -> Path:
    """Make a run a run of a task that the report does not know, with a loss of each image of its own."""
    info = json.loads((path / "run.json").read_text())
    info["task"] |= {"name": name, "monitor": "mae"}
    (path / "run.json").write_text(json.dumps(info))
    with (path / "predictions.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    losses = np.random.default_rng(4).permutation(len(rows)) / 7
    with (path / "predictions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *([*row[:-1], loss] for row, loss in zip(rows, losses, strict=True))])
    return path


def losses_of(path: Path) -> dict[str, float]:
    with (path / "predictions.csv").open(newline="") as file:
        return {row["id"]: float(row["loss"]) for row in csv.DictReader(file) if row["split"] == "test"}


def ids(section: Element) -> list[str]:
    return [shot.all("span", "id")[0].text for shot in section.all("figure", "shot")]


@pytest.fixture
def sections() -> Iterator[str]:
    """The name of a task whose sections are registered for one test."""
    yield "ordinal"
    SECTIONS.pop("ordinal", None)


class OrdinalSections(Sections):
    """What a test's own task shows: one section, a word in the lead, one figure."""

    def figures(self, run: Run) -> Sequence[str]:
        return ("r2",)

    def learned(self, run: Run) -> str:
        return "to count shapes"

    def inside(self, subject: Subject) -> list[Section]:
        num = sum(len(given) for given in subject.by_image.values())
        return [Section("counts", "Counts", f"How {subject.who} counts", Markup("<p>{} answers</p>").format(num))]

    def hard(self, subject: Subject, others: Sequence[Answers]) -> list[Section]:
        return [Section("elsewhere", "Elsewhere", "Elsewhere", Markup("<p>{} other runs</p>").format(len(others)))]

    def brief(self, subject: Subject, room: Room) -> Markup:
        return Markup("<p>{} at most {}</p>").format(subject.who, room.num_images)


def test_a_run_of_an_unknown_task_shows_every_score_and_its_extreme_images(folder):
    path = as_task(folder("values"), "ordinal")
    page = parse(report_run(RunDir(path)))
    losses = losses_of(path)
    kept = {name.partition("/")[2] for name in json.loads((path / "pictures/index.json").read_text())}
    ranked = sorted((id_ for id_ in losses if id_ in kept), key=losses.__getitem__)
    assert ids(page.get("hardest")) == ranked[::-1][:24]
    assert ids(page.get("easiest")) == ranked[:12]
    assert all(shot.all("img") for shot in page.get("hardest").all("figure", "shot"))
    assert f"loss {losses[ranked[-1]]:.3g}"[:8] in page.get("hardest").all("figure", "shot")[0].text
    scores = RunDir(path).scores()["test"]
    shown = {
        one.all("dt")[0].text: one.all("dd")[0].text for one in page.get("result").all("dl", "facts")[0].all("div")
    }
    numbers = {key for key, value in scores.items() if isinstance(value, float) and key != "mae"}
    assert len(shown) == len(numbers)
    assert f"{scores['rmse']:.3g}" in shown["root mean squared error"]
    assert "learned to predict x, y from" in page.all("p", "lead")[0].text


def test_an_image_says_what_is_true_and_what_was_predicted(folder):
    path = as_task(folder("values"), "ordinal")
    page = parse(report_run(RunDir(path)))
    shot = page.get("hardest").all("figure", "shot")[0]
    with (path / "predictions.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["id"] == shot.all("span", "id")[0].text)
    said = [float(text) for text in re.findall(r"[\d.]+", shot.all("span", "row")[0].text)]
    assert said == pytest.approx(
        [float(row[f"{part}:{n}"]) for part in ("truth", "prediction") for n in "xy"], rel=0.01
    )


def test_a_task_with_its_own_sections_shows_them(folder, sections):
    register(sections, OrdinalSections())
    path = as_task(folder("values"), sections)
    page = parse(report_run(RunDir(path)))
    assert page.get("counts").text == "How it counts 300 answers"
    assert "learned to count shapes from" in page.all("p", "lead")[0].text
    assert not [one for one in page.all("section") if one.attributes["id"] in ("hardest", "predictions")]
    assert "Counts" in page.all("nav", "toc")[0].text


@pytest.mark.parametrize("is_registered", [False, True])
def test_a_study_of_a_task_from_elsewhere(tmp_path, sections, is_registered):
    path = study_of(tmp_path / "study", "value", names=("x",), unit="mm")
    for run in (path / "runs").iterdir():
        as_task(run, sections)
    if is_registered:
        register(sections, OrdinalSections())
    page = parse(report_study(StudyDir(path)))
    others = page.get("others").all("details", "other")
    assert [one.all("summary")[0].text for one in others] == [name for name in VARIANTS if name != "regularized"]
    if is_registered:
        assert page.get("counts").text == "How regularized counts 120 answers"
        assert page.get("elsewhere").text == "Elsewhere 9 other runs"
        assert others[0].all("p")[0].text == "mlp at most 12"
        return
    runs = [losses_of(path / "runs" / f"regularized-seed{seed}") for seed in (0, 1, 2)]
    means = {id_: np.mean([losses[id_] for losses in runs]) for id_ in runs[0]}
    shown = ids(page.get("hardest"))
    assert [means[id_] for id_ in shown] == sorted((means[id_] for id_ in shown), reverse=True)
    assert all(one.all("figure", "shot") for one in others)


def test_a_report_of_an_unknown_task_without_a_table_says_so(folder):
    path = as_task(folder("values"), "ordinal")
    (path / "predictions.csv").unlink()
    assert "no table of single images" in parse(report_run(RunDir(path))).get("images").text


@pytest.mark.parametrize(("kind", "columns"), [("label", 0), ("tags", 10)])
def test_only_what_the_sections_need_is_kept_of_a_table(folder, kind, columns):
    run = Run.read(RunDir(folder(kind)))
    table = run.predictions("test", sections_of(run).condense)
    assert isinstance(table, Predictions) and len(table.ids) == 300
    assert table.probabilities.shape == ((300, columns) if columns else (300,))
    assert table.losses.base is None and table.probabilities.base is None  # no view of the whole table's buffer
    assert set(run.tables) == {"test"}


def test_the_contents_of_a_study_are_read_once(tmp_path, monkeypatch):
    reads = []
    read = striate.report.read.read
    monkeypatch.setattr(striate.report.read, "read", lambda path, *a: reads.append(path) or read(path, *a))
    report_study(write_study(tmp_path / "study", seeds=(0, 1), num_pictures=2, num_images=20))
    assert len(reads) == len(set(reads)) == 8


@pytest.mark.parametrize("path", [*SOURCE.glob("*.html"), *SOURCE.glob("*.py")], ids=lambda path: path.name)
def test_no_part_of_the_page_asks_for_the_task(path):
    text = path.read_text()
    assert not re.search(r"\bkind\s*(==|!=|in\b)|\bif kind\b|task\.(kind|name)\"?\)?\s*(==|!=|in\b)", text)


def test_an_unknown_task_draws_its_own_images(folder, monkeypatch):
    class Ordinal(Regress):
        name = "ordinal"

        def draw(self, image_u8, truth, values):
            assert image_u8.shape == (96, 96, 3) and len(truth) == len(values) == 2
            return np.full_like(image_u8, (255, 0, 0))

    monkeypatch.setitem(task.TASKS, "ordinal", Ordinal)
    path = as_task(folder("values"), "ordinal")
    info = json.loads((path / "run.json").read_text())
    info["task"] |= {"mean": [0.0, 0.0], "std": [1.0, 1.0]}
    (path / "run.json").write_text(json.dumps(info))
    shots = parse(report_run(RunDir(path))).get("hardest").all("img")
    with Image.open(io.BytesIO(base64.b64decode(shots[0].attributes["src"].split(",")[1]))) as image:
        assert np.abs(np.asarray(image, dtype=int) - (255, 0, 0)).max() < 5


def test_a_task_whose_file_is_not_loaded_is_named(folder):
    page = parse(report_run(RunDir(as_task(folder("values"), "ordinal"))))
    assert "no task 'ordinal' is known here" in page.all("footer", "foot")[0].text
