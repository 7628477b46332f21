"""The curve of a run under attack in its report: its numbers are those of the file, and a bad file is no crash."""

import json
import re

from report_runs import write_run

from striate.report import report_run
from striate.report.attacks import attack_sections
from striate.report.read import Run

NAME = "evaluations/shapes-test-adversarial/scores.json"


def row(method, eps, value):
    return {"method": method, "eps": eps, "scores": {"accuracy": value, "intervals": {"accuracy": [value - 0.1, 1.0]}}}


def document(name="shapes"):
    attacks = [row("none", 0.0, 0.9), row("fgsm", 2 / 255, 0.6), row("pgd", 2 / 255, 0.375), row("fgsm", 1 / 255, 0.8)]
    return {"data": {"name": name}, "split": "test", "metric": "accuracy", "num_images": 80, "attacks": attacks}


def page_with(run, content):
    path = run.path / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return report_run(run).read_text()


def test_the_section_has_the_numbers_of_the_file(tmp_path):
    page = page_with(write_run(tmp_path / "run"), json.dumps(document("<img src=x onerror=alert(1)>")))
    section = re.search(r'<section id="attacks".*?</section>', page, re.DOTALL)[0]
    assert "FGSM, one step: 90.0% at 0/255, 80.0% at 1/255, 60.0% at 2/255" in section
    assert "PGD, several steps: 90.0% at 0/255, 37.5% at 2/255" in section
    assert "80 test images" in section
    assert "<img" not in section


def test_errors_have_an_axis_of_their_own(tmp_path):
    values = {"none": 4.0, "fgsm": 12.5, "pgd": 31.0}
    attacks = [
        {"method": name, "eps": 4 / 255 * (name != "none"), "scores": {"mean_error_deg": value, "intervals": {}}}
        for name, value in values.items()
    ]
    page = page_with(
        write_run(tmp_path / "run"), json.dumps(document() | {"metric": "mean_error_deg", "attacks": attacks})
    )
    section = re.search(r'<section id="attacks".*?</section>', page, re.DOTALL)[0]
    assert "FGSM, one step: 4.00 degrees at 0/255, 12.5 degrees at 4/255" in section
    assert "The upper curve is a lower bound" in section
    assert all(f">{tick}°<" in section for tick in (0, 10, 20, 30))


BROKEN = (
    "[]",
    "{",
    '{"attacks": 3}',
    '{"attacks": [3, {"scores": 1}]}',
    '{"metric": "a", "attacks": [{"eps": 1e999}]}',
    '{"metric": "a", "metric_words": {}, "attacks": [{"method": "none", "eps": 0, "scores": {"a": 1}},'
    ' {"method": "pgd", "eps": 0.1, "scores": {"a": 1}}]}',
)


def test_a_broken_file_is_left_out(tmp_path):
    run = write_run(tmp_path / "run")
    page = page_with(run, "")
    assert 'id="attacks"' not in page and "</html>" in page
    for content in BROKEN:
        (run.path / NAME).write_text(content)
        assert not attack_sections(Run.read(run)), content
