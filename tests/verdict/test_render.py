"""A verdict on the terminal: aligned, never wider than asked, whatever the names."""

from collections.abc import Callable

import pytest

from striate.base.rundir import StudyDir
from striate.verdict.render import cells, render
from striate.verdict.verdict import decide

SKILLS = {"mlp": 0.5, "baseline": 0.7, "regularized": 0.85}


@pytest.mark.parametrize("width", [20, 33, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_asked(plant: Callable[..., StudyDir], width: int) -> None:
    names = {
        "baseline": 0.7,
        "a-very-long-name-of-a-variant-that-goes-on": 0.8,
        "\u732b\u732b\u732b\u732b\u732b\u732b": 0.75,
    }
    text = render(decide(plant(names)), width)
    assert max(cells(line) for line in text.splitlines()) <= width


def test_columns_are_aligned_and_the_best_comes_first(plant: Callable[..., StudyDir]) -> None:
    verdict = decide(plant(SKILLS))
    lines = render(verdict, 120).splitlines()
    table = lines[: lines.index("")]
    assert table[1].startswith("*  regularized") and len(table) == 4
    end = table[0].index("95% interval") + len("95% interval")
    assert all(line[end - 1] == "%" and line[end : end + 2] == "  " for line in table[1:])
    mean = next(row for row in verdict["variants"] if row["name"] == "regularized")["test"]["mean"]
    assert f"{100 * mean:.1f}%" in table[1]
    joined = " ".join(lines)
    assert all(sentence.split(":")[0][:30] in joined for sentence in verdict["sentences"])


def test_ties_are_marked(plant: Callable[..., StudyDir]) -> None:
    text = render(decide(plant({"baseline": 0.75, "other": 0.75}, seed=1)), 100)
    assert "= not significantly different from it" in text and any(line.startswith("=  ") for line in text.splitlines())


def test_missing_numbers_are_not_available(plant: Callable[..., StudyDir]) -> None:
    study = plant({**SKILLS, "broken": 0.7})
    for seed in range(3):
        run = study.run("broken", seed)
        run.save_info({**run.info(), "status": "diverged"})
    line = next(line for line in render(decide(study), 120).splitlines() if "broken" in line)
    assert "n/a" in line and "nan" not in line.lower() and "None" not in line


def test_escape_sequences_in_a_name_are_shown_not_sent(plant: Callable[..., StudyDir]) -> None:
    verdict = decide(plant(SKILLS))
    verdict["variants"][0]["name"] = "\x1b[31mred"
    verdict["sentences"].append("\x1b[2Jgone")
    text = render(verdict, 80)
    assert "\x1b" not in text and "\\x1b[31mred" in text


def test_too_few_epochs_cannot_show_a_rise(plant: Callable[..., StudyDir]) -> None:
    study = plant(SKILLS)
    assert "never" in render(decide(study), 120)
    for name in SKILLS:
        for seed in (0, 1, 2):
            run = study.run(name, seed)
            info = run.info()
            run.save_info({**info, "result": {**info["result"], "epochs": 5}})
    assert "never" not in render(decide(study), 120)
