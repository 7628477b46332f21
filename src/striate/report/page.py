"""Assemble a report: one HTML file that opens from disk, asks for nothing from outside and runs only its own script."""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from striate.base.files import sweep, write_text
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import shown

from .pictures import Album
from .read import Run, Study, at
from .sections_best import best_images, other_variants
from .sections_data import data
from .sections_labels import labels
from .sections_run import cost, facts, headline, remarks, training
from .sections_settings import architecture, compare, groups, rerun
from .sections_study import advice, curves, learning_curve, overview, runs_table, side_by_side, verdict
from .sections_values import values

FOLDER = Path(__file__).parent


def report_run(run: RunDir) -> Path:
    """Write the report of a run to its `report.html` and return that path.

    Whatever the run lacks (an unevaluated test split, a metric that is not a number, a run that was interrupted)
    is shown as n/a with the reason.

    Raises:
        ModelError: this is no run folder, or a newer version of Striate wrote it.
        ResourceError: the file cannot be written.
    """
    read, album = Run.read(run), Album()
    head = headline(read)
    context = {
        "title": str(at(read.info, "name") or run.path.name),
        "kind": read.kind,
        "headline": head,
        "facts": facts(read),
        "remarks": remarks(read),
        "data": data(read.info),
        "training": training(read),
        "judged": values(read, album) if read.kind == "value" else labels(read, album),
        "cost": cost(read),
        "architecture": architecture(at(read.info, "model")),
        **_settings(read.info),
    }
    return _write(run.report, "run.html", context, album, read.problems)


def report_study(study: StudyDir) -> Path:
    """Write the report of a study to its `report.html` and return that path.

    Raises:
        ModelError: this is no study folder, or a newer version of Striate wrote it.
        ResourceError: the file cannot be written.
    """
    read, album = Study.read(study), Album()
    first = next((run.info for runs in read.runs.values() for run in runs), {})
    judged = best_images(read, album)
    others = other_variants(read, read.split, album)
    context = {
        "title": str(at(read.info, "name") or study.path.name),
        "verdict": verdict(read),
        "advice": advice(read),
        "learning_curve": learning_curve(read),
        "compared": side_by_side(read),
        "overview": overview(read),
        "curves": curves(read),
        "judged": judged,
        "others": others,
        "kind": judged.get("kind", ""),
        "variants": read.names,
        "recipe_differences": compare(_carried_out(read), str(read.info.get("baseline", ""))),
        "runs": runs_table(read),
        "seeds": ", ".join(map(str, read.info.get("seeds") or [])),
        "folds": read.info.get("folds"),
        "data": data(first | read.info),
        **_settings(first | read.info | {"resolved": None, "recipe": _recipe_of(read)}),
    }
    for runs in read.runs.values():
        for run in runs:
            read.problems += [f"{run.folder.path.name}: {problem}" for problem in run.problems]
    return _write(study.report, "study.html", context, album, read.problems)


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


def _write(path: Path, template: str, context: dict[str, Any], album: Album, problems: list[str]) -> Path:
    style, script = _asset("report.css"), _asset("report.js")
    allowed = {"default-src": "'none'", "style-src": _hash(style), "script-src": _hash(script), "img-src": "data:"}
    allowed |= {"base-uri": "'none'", "form-action": "'none'"}
    page = (
        _environment()
        .get_template(template)
        .render(
            **context,
            problems=problems,
            album=album,
            style=Markup(style),
            script=Markup(script),
            policy="; ".join(f"{what} {source}" for what, source in allowed.items()),
        )
    )
    sweep(path.parent)  # what a report killed before left; a run of a study is not locked for its report
    write_text(path, page)
    return path


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["soft"] = _soft
    return made


def _soft(value: Any) -> Markup:
    """Return a text that may break after each underscore, where a long name would else break within a word."""
    return escape(_visible(str(value))).replace("_", Markup("_<wbr>"))


def _visible(value: Any) -> Any:
    """Show control characters as escapes in every text that enters the page; markup made here passes unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value, max_chars=4000)
    return value


@cache
def _asset(name: str) -> str:
    return re.sub(r"\n{2,}", "\n", (FOLDER / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
