"""What a report says of a run's state and of what to do next."""

from collections.abc import Callable
from pathlib import Path

from striate.base.documents import read_json
from striate.base.files import write_json
from striate.base.rundir import RunDir, StudyDir
from striate.report import report_run, report_study


def test_a_run_shows_its_state_with_the_command_without_folders(folder: Callable[[str], Path]) -> None:
    path = folder("label")
    scores = read_json(path / "scores.json")
    write_json(path / "scores.json", scores | {"train": {"accuracy": 1.0, "loss": 0.01}})
    page = report_run(RunDir(path)).read_text()
    state = page[page.index("What this run shows") : page.index("What it learned from")]
    assert "It overfits" in state and "100.0% on training images" in state
    assert "--augment medium" in state and "/home/teacher" not in state


def test_a_run_whose_table_is_broken_is_reported_without_a_diagnosis(folder: Callable[[str], Path]) -> None:
    path = folder("label")
    (path / "predictions.csv").write_text("nonsense\n")
    page = report_run(RunDir(path)).read_text()
    assert "What this run shows" not in page and "no diagnosis" in page


def test_a_study_shows_its_advice_and_its_learning_curve(folder: Callable[[str], Path]) -> None:
    path = folder("study")
    verdict = read_json(path / "verdict.json")
    points = [
        {"variant": str(n), "num_train": n, "mean": m, "interval": [m - 0.02, m + 0.02]}
        for n, m in ((500, 0.6), (1000, 0.7), (2000, 0.78))
    ]
    advice = [{"text": "Do <this>.", "command": "striate train /home/teacher/birds --seed 1"}]
    write_json(path / "verdict.json", verdict | {"advice": advice, "learning_curve": {"points": points}})
    page = report_study(StudyDir(path)).read_text()
    assert "Do &lt;this&gt;." in page and "striate train birds --seed 1" in page
    assert "500 images 60.0%" in page and "2,000 images 78.0%" in page
