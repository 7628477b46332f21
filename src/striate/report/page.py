"""Assemble a report: one HTML file that opens from disk, asks for nothing from outside and runs only its own script."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from striate.base.files import sweep, write_text
from striate.base.noun import IMAGE, Noun, noun_of
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir

from .attacks import attack_sections
from .inside import best_sections, other_variants, run_sections
from .read import Run, Study, at
from .sections_data import data
from .sections_run import cost, facts, headline, remarks, training
from .sections_settings import architecture, compare, groups, rerun
from .sections_study import advice, curves, learning_curve, overview, runs_table, side_by_side, verdict
from .templates import FOLDER, fill
from .thumbnails import ThumbnailStore


def report_run(run: RunDir) -> Path:
    """Write the report of a run to its `report.html` and return that path.

    Whatever the run lacks (an unevaluated test split, a metric that is not a number, a run that was interrupted)
    is shown as n/a with the reason.

    Raises:
        ModelError: this is no run folder, or a newer version of Striate wrote it.
        ResourceError: the file cannot be written.
    """
    read, store = Run.read(run), ThumbnailStore()
    head = headline(read)
    context = {
        "title": str(at(read.info, "name") or run.path.name),
        "headline": head,
        "facts": facts(read),
        "remarks": remarks(read),
        "data": data(read.info),
        "training": training(read),
        "sections": [*run_sections(read, store), *attack_sections(read)],
        "cost": cost(read),
        "architecture": architecture(at(read.info, "model")),
        **_settings(read.info),
    }
    return write_page(run.report, "run.html", context, store, read.problems, _noun(read.info))


def report_study(study: StudyDir) -> Path:
    """Write the report of a study to its `report.html` and return that path.

    Raises:
        ModelError: this is no study folder, or a newer version of Striate wrote it.
        ResourceError: the file cannot be written.
    """
    read, store = Study.read(study), ThumbnailStore()
    first = next((run.info for runs in read.runs.values() for run in runs), {})
    sections = best_sections(read, store)
    context = {
        "title": str(at(read.info, "name") or study.path.name),
        "verdict": verdict(read),
        "advice": advice(read),
        "learning_curve": learning_curve(read),
        "compared": side_by_side(read),
        "overview": overview(read),
        "curves": curves(read),
        "sections": sections,
        "others": other_variants(read, store),
        "variants": read.names,
        "recipe_differences": compare(_carried_out(read), str(read.info.get("baseline", ""))),
        "runs": runs_table(read),
        "seeds": ", ".join(map(str, read.info.get("seeds") or [])),
        "folds": read.info.get("folds"),
        "data": data({**first, **read.info}),
        **_settings({**first, **read.info, "resolved": None, "recipe": _recipe_of(read)}),
    }
    for runs in read.runs.values():
        for run in runs:
            read.problems += [f"{run.folder.path.name}: {problem}" for problem in run.problems]
    return write_page(study.report, "study.html", context, store, read.problems, _noun({**first, **read.info}))


def report_runs(study: StudyDir, progress: Progress | None = None) -> None:
    """Write the report of every evaluated run of a study that has none, or whose scores are newer than it."""
    read = Study.read(study)
    left = [run.folder for runs in read.runs.values() for run in runs if run.scores and not _is_fresh(run.folder)]
    for number, run in enumerate(left, 1):
        if progress:
            progress.line(f"report {number}/{len(left)}: {run.path.name}")
        report_run(run)


def _is_fresh(run: RunDir) -> bool:
    scores = run.path / "scores.json"
    return run.report.exists() and run.report.stat().st_mtime_ns >= scores.stat().st_mtime_ns


def _carried_out(study: Study) -> list[dict[str, Any]]:
    """The variants with the recipes as their first runs carried them out: automatic settings by the values used."""
    used = {name: at(runs[0].info, "resolved") for name, runs in study.runs.items() if runs}
    return [dict(row) | {"recipe": used.get(row["name"]) or row.get("recipe")} for row in study.variants]


def _recipe_of(study: Study) -> Any:
    wanted = study.best or study.info.get("baseline")
    return next((row["recipe"] for row in _carried_out(study) if row["name"] == wanted), None)


def _settings(info: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe_name": str(at(info, "recipe_name", "")),
        "recipe_text": str(at(info, "recipe.text", "")),
        "recipe": groups(at(info, "resolved") or at(info, "recipe")),
        "rerun": rerun(info),
        "info": {"seed": at(info, "seed"), "batch_size": at(info, "batch_size"), "status": str(at(info, "status", ""))},
    }


def _noun(info: dict[str, Any]) -> Noun:
    return noun_of(at(info, "dataset.form"))


def write_page(
    path: Path,
    template: str,
    context: dict[str, Any],
    store: ThumbnailStore,
    problems: list[str],
    noun: Noun = IMAGE,
) -> Path:
    """Write a filled template as one file that asks for nothing from outside, and return its path."""
    style, script = _asset("report.css"), _asset("report.js")
    allowed = {"default-src": "'none'", "style-src": _hash(style), "script-src": _hash(script), "img-src": "data:"}
    allowed |= {"base-uri": "'none'", "form-action": "'none'"}
    shared = {"style": Markup(style), "script": Markup(script), "thumbnails": store, "problems": problems}
    page = fill(template, **context, **shared, policy="; ".join(f"{what} {source}" for what, source in allowed.items()))
    sweep(path.parent)  # what a report killed before left; a run of a study is not locked for its report
    write_text(path, noun.put_into_html(page))
    return path


@cache
def _asset(name: str) -> str:
    return re.sub(r"\n{2,}", "\n", (FOLDER / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
