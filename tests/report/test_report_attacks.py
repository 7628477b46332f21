"""The curve of a run under attack in its report: its numbers are those of the file, and a bad file is no crash."""

import json
import re

import pytest
from report_runs import write_run

from striate.report import report_run

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
    assert "FGSM, one step: 90% at 0/255, 80% at 1/255, 60% at 2/255" in section
    assert "PGD, several steps: 90% at 0/255, 38% at 2/255" in section
    assert "80 test images" in section
    assert "<img" not in section


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"attacks": 3}',
        '{"attacks": [3, {"scores": 1}]}',
        '{"metric": "a", "attacks": [{"eps": 1e999}]}',
    ],
)
def test_a_broken_file_is_left_out(tmp_path, content):
    page = page_with(write_run(tmp_path / "run"), content)
    assert 'id="attacks"' not in page
    assert "</html>" in page
