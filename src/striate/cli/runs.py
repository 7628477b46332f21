"""striate runs, striate compare."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.columns import aligned, fitted, size, terminal_width
from striate.base.text import plural, shown

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.base.run_list import Entry
    from striate.verdict.pair import Comparison

HEADER = ("run", "data", "score", "95 % interval", "epochs", "age", "size")
FIRST_LEFT_OUT = ("size", "epochs", "95 % interval", "age", "data")  # in a narrow terminal
MAX_NAME = 44


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="List runs and studies with their scores", rich_help_panel=h.USE)(runs)
    app.command(short_help="Two runs: settings and scores that differ", rich_help_panel=h.USE)(compare)


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where runs and studies lie.")] = Path("runs"),
    sort: Annotated[str, typer.Option(help="name, data, score, age, epochs or size.")] = "name",
    only: Annotated[
        list[str] | None, typer.Option("--filter", metavar="WORD", help="Only those that name it; repeatable.")
    ] = None,
    is_deep: Annotated[bool, typer.Option("--all", help="Also the runs inside studies and searches.")] = False,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """List runs and studies: data, score with interval, epochs, age, size.

    Of a study the score is that of its best variant. A word of `--filter` is looked for in path, data, task, network
    and status.

    \b
    Examples:
      striate runs
      striate runs --sort score --filter birds
      striate runs runs/002-study-birds --all
    """
    from striate.base.run_list import entries, in_order, matching

    found = in_order(matching(entries(folder, is_deep=is_deep), only or ()), sort)
    rows = [_cells(one, folder) for one in found]
    lines = _fitted(rows) if rows else [f"no runs in {folder}" + (f" with {' and '.join(only)}" if only else "")]
    lines += [f"warning: {one.path}: {one.problem}" for one in found if one.problem]
    o.give({"command": "runs", "runs": [one.to_json() for one in found]}, "\n".join(lines), as_json)


def compare(
    names: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders; the first is compared with.")],
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Compare runs: the settings that differ, and the paired difference of their scores with its interval.

    The images of the split are paired, so that their difficulty cancels. Single runs say nothing of the luck of their
    seeds; `striate study` does.

    \b
    Examples:
      striate compare runs/001-bipyramid-regularized runs/002-resnet20-regularized
    """
    from striate.base.rundir import RunDir
    from striate.verdict.pair import compare_runs

    found = compare_runs([RunDir(name) for name in names])
    o.give({"command": "compare", **_document(found)}, "\n".join(_lines(found)), as_json)


def _cells(one: "Entry", root: Path) -> dict[str, str]:
    path = Path(one.path)
    name = path.relative_to(root).as_posix() if path != root else path.name
    state = "" if one.status in {"finished", ""} else f" ({one.status})"
    epochs = "" if one.epochs is None else str(one.epochs)
    return {
        "run": shown(name, MAX_NAME) + state,
        "data": shown(one.data, 24),
        "score": f"{one.metric} {one.score:.3f}" if one.score is not None else "",
        "95 % interval": f"{one.interval[0]:.3f} to {one.interval[1]:.3f}" if one.interval else "",
        "epochs": plural(one.num_runs, "run") if one.kind == "study" else epochs,
        "age": _age(one.created),
        "size": size(one.num_bytes),
    }


def _age(created: str) -> str:
    """The time since an ISO time, in its largest unit."""
    try:
        passed = datetime.now(UTC) - datetime.fromisoformat(created)
    except (ValueError, TypeError):  # none, or one without a zone
        return ""
    if passed.days:
        return plural(passed.days, "day")
    minutes = max(0, int(passed.total_seconds() // 60))
    return f"{minutes // 60} h" if minutes >= 60 else f"{minutes} min"


def _fitted(rows: Sequence[dict[str, str]]) -> list[str]:
    """The table with as many columns as the terminal has room for."""
    drop = [HEADER.index(name) for name in FIRST_LEFT_OUT]
    return fitted([HEADER, *([row[name] for name in HEADER] for row in rows)], {0}, terminal_width(), drop)


def _document(found: "Comparison") -> dict[str, Any]:
    return {
        "runs": [str(run.path) for run in found.runs],
        "metric": found.metric.key,
        "split": found.split,
        "num_images": found.num_images,
        "scores": list(found.scores),
        "settings": {name: list(values) for name, values in found.settings},
        "differences": [
            {"reason": reason} if one is None else asdict(one) | {"separable": one.is_separable}
            for one, reason in zip(found.differences, found.reasons, strict=True)
        ],
    }


def _room(found: "Comparison") -> int:
    """How many characters of a setting of each run have room beside its name."""
    first = max(len(name) for name in ("", *(name for name, _ in found.settings)))
    return max(10, min(32, (terminal_width() - first) // len(found.runs) - 2))


def _lines(found: "Comparison") -> list[str]:
    most = _room(found)
    say, names = found.metric, [shown(run.path.name, most) for run in found.runs]
    scores = [say.text(score) for score in found.scores]
    table = [["", *names], [f"{found.split} {say.key}", *scores]]
    table += [[name, *(shown(value, most) for value in values)] for name, values in found.settings]
    lines = aligned(table, left={0})
    if len(found.settings) == 0:
        lines.append("no setting differs")
    for name, one, reason in zip(names[1:], found.differences, found.reasons, strict=True):
        if one is None:
            lines.append(f"{name} and {names[0]} cannot be compared image by image: {reason}")
        else:
            surely = "" if one.is_separable else "; this may be chance"
            span = say.span(one.interval, is_change=True)
            lines.append(f"{name} minus {names[0]}: {say.change(one.mean)} (95 % interval {span}{surely})")
    lines.append(
        f"over {plural(found.num_images, 'image')}; the luck of the seeds is not in it: `striate study` has it"
    )
    return lines
