"""A run and a study as a notebook shows them: scores, small curves and sentences, from their folders' documents."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from striate.base.errors import UserError
from striate.base.html import Html, card, fold, join, line, quiet, table, text
from striate.base.numbers import count, counted, number
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import duration, plural, with_capital
from striate.verdict.render import MARKS, mark_of

from .confusion import recorded
from .ranges import above, limits, say_above
from .read import SPLIT_WORDS, Run, Study, at
from .sections_run import STATUS, remarks
from .sections_study import advice, overview, verdict

WIDE, HIGH = 320, 150  # a small chart, in pixels
LEFT, RIGHT, UP, DOWN = 44, 8, 24, 20  # its margins
MAX_CLASSES = 24  # of a matrix


def run_card(folder: RunDir) -> Html:
    """Return a run: scores with their intervals, best epoch, time, curves, and the first remark of the diagnosis."""
    try:
        return _run(Run.read(folder))
    except Exception as problem:  # whatever a broken document holds, what is shown is no traceback
        return _unreadable(folder, problem)


def study_card(folder: StudyDir) -> Html:
    """Return a study: the variants side by side and the verdict's sentences, or how far it is."""
    try:
        done = folder.verdict()
        return _study(Study(folder, folder.info(), done, {}) if done else Study.read(folder))
    except Exception as problem:
        return _unreadable(folder, problem)


def _unreadable(folder: RunDir | StudyDir, problem: Exception) -> Html:
    what = problem.what if isinstance(problem, UserError) else f"a document is broken ({type(problem).__name__})"
    return card(folder.path.name, "", line(f"It cannot be read: {what}."))


def _run(run: Run) -> Html:
    status = str(at(run.info, "status", ""))
    title = f"{at(run.info, 'name', 'run')} on {at(run.info, 'dataset.name', 'a dataset')}"
    sentences = [f"{one['title']}: {one['evidence']} Next: {one['next']} {one['command']}" for one in remarks(run)[:1]]
    body = (_scores(run), line(_facts(run)), _curves(run), _confusion(run), *map(line, sentences))
    return card(title, status, line(STATUS.get(status, "")), *body, line(quiet(run.folder.path)))


def _study(study: Study) -> Html:
    seeds = plural(len(study.info.get("seeds") or [0]), "seed")
    about = f"{plural(len(study.names), 'variant')}, {seeds}, {study.metric.name}"
    result = verdict(study)
    marks = {one["name"]: mark_of(one["name"], study.verdict) for one in study.variants} if result["best"] else {}
    notes = line(quiet("; ".join(note for mark, note in MARKS.items() if mark in marks.values())) or result["reason"])
    sentences = [*result["sentences"], *(f"{one['text']} {one['command']}" for one in advice(study))]
    body = (_side_by_side(study, marks), notes, *map(line, sentences))
    return card(at(study.info, "name", "study"), about, *body, line(quiet(study.folder.path)))


def confusion_table(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Html:
    """Return the matrix as a table, shaded in the colour of the text around it; empty for very many classes."""
    if len(names) > MAX_CLASSES:
        return line(quiet(f"{len(names)} classes: see run.confusion().figure()"))
    rows = []
    for name, row in zip(names, counts, strict=True):
        total = max(sum(row), 1)
        cells = [Html(_shaded(value, value / total)) for value in row]
        rows.append((text(name, 40), *cells))
    head = (quiet("true \\ predicted"), *(text(name, 24) for name in names))
    return table(rows, head, right=range(1, len(head)))


def _shaded(value: int, share: float) -> str:
    shade = f'<span style="position:absolute;inset:0;background:currentColor;opacity:{0.35 * share:.2f}"></span>'
    return (
        f'<span style="position:relative;display:inline-block;min-width:2.4em;padding:0 .3em">{shade}{value:,}</span>'
    )


def _confusion(run: Run) -> Html:
    """The confusion matrix that the scores hold, folded; nothing of tasks without one."""
    counts = recorded(run.scores.get(run.reported_split or "", {}), len(run.names))
    return fold("confusion matrix", confusion_table(counts, run.names)) if counts else Html()


def _scores(run: Run) -> Html:
    """The monitored score of each evaluated split with its interval, or that of an epoch before the evaluation."""
    monitor = run.metric
    rows = []
    for split in ("test", "val"):
        if one := run.scores.get(split):
            span = monitor.span(at(one, f"intervals.{monitor.key}"))
            rows.append((SPLIT_WORDS[split], monitor.text(one.get(monitor.key)), span, count(one.get("num_images"))))
    if rows:
        return table(rows, ("split", monitor.name, "95% interval", "images"), right={1, 2, 3})
    if not run.history:
        return line("No epoch is done yet.")
    epoch = run.best_epoch if run.best_epoch in run.epochs else run.epochs[-1]
    value = monitor.text(run.curve("val", monitor.key)[run.epochs.index(epoch)])
    return line(f"Not evaluated yet; {monitor.name} on validation after epoch {epoch}: {value}.")


def _facts(run: Run) -> str:
    """Size, epochs, time, recipe and seed on one line."""
    info: dict[str, Any] = run.info
    facts: list[str] = []
    if (parameters := number(at(info, "model.parameters"))) is not None:
        facts.append(f"{counted(parameters)} parameters")
    epochs = number(at(info, "result.epochs")) or (run.epochs[-1] if run.epochs else None)
    if epochs and not run.is_linear_probe:
        facts.append(plural(int(epochs), "epoch") + (f", best {run.best_epoch}" if run.best_epoch else ""))
    if (time_s := number(at(info, "result.time_s"))) is not None:
        facts.append(duration(time_s))
    for word, key in (("recipe", "recipe_name"), ("seed", "seed")):
        if (given := at(info, key, "")) != "":
            facts.append(f"{word} {given}")
    return "; ".join(facts)


def _side_by_side(study: Study, marks: Mapping[str, str]) -> Html:
    """The table of the variants, the best first where there is one."""
    variants = overview(study)
    intervals = {row.get("name"): at(row, "test.interval") for row in at(study.verdict, "variants", [])}
    rows = []
    for row in sorted(variants["body"], key=lambda row: not row["is_best"]):
        name = Html(f"<b>{text(row['name'])}</b>") if row["is_best"] else text(row["name"])
        scores = [" ".join(row[key]).strip() for _, key in variants["splits"]]
        costs = (row["gap"], row["best_epoch"], row["time"], row["parameters"], row["n"])
        rows.append((marks.get(row["name"], ""), name, *scores, study.metric.span(intervals.get(row["name"])), *costs))
    splits = [name for name, _ in variants["splits"]]
    head = ("", "variant", *splits, "95% interval", "gap", "best epoch", "time a run", "parameters", "runs")
    return table(rows, head, right=range(2, len(head)))


def _curves(run: Run) -> Html:
    """Small charts of the loss and of the monitored score; empty below two epochs."""
    if len(run.epochs) < 2 or run.is_linear_probe:
        return Html()
    keys = dict.fromkeys(("loss", run.metric.key))
    charts = [monitor for key in keys if (monitor := _chart(run, key))]
    legend = line(quiet("solid: validation; dashed: training; ring: the epoch whose weights were kept"))
    return join((*charts, legend)) if charts else Html()


def _chart(run: Run, key: str) -> Html | None:
    """One score over the epochs, in training and on validation; None where no value is known."""
    one = run.metric_of(key)
    train, val = run.curve("train", key), run.curve("val", key)
    ends = limits([*train, *val], one)
    if ends is None:
        return None
    (low, high), (first, last) = ends, (run.epochs[0], run.epochs[-1])

    def place(epoch: int, value: float) -> tuple[float, float]:
        right = (epoch - first) / max(last - first, 1)
        rise = (min(value, high) - low) / ((high - low) or 1)
        return LEFT + (WIDE - LEFT - RIGHT) * right, HIGH - DOWN - (HIGH - UP - DOWN) * rise

    parts = [
        _path([place(*pair) for pair in zip(run.epochs, train, strict=True)], 'stroke-dasharray="4 3" opacity=".7"'),
        _path([place(*pair) for pair in zip(run.epochs, val, strict=True)], 'stroke-width="1.8"'),
    ]
    if run.best_epoch in run.epochs and math.isfinite(best := val[run.epochs.index(run.best_epoch)]):
        x, y = place(run.best_epoch, best)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="none" stroke="currentColor" stroke-width="1.5"/>')
    lost = [*above("training", run.epochs, train, high), *above("validation", run.epochs, val, high)]
    labels = [
        (LEFT, UP - 10, "start", with_capital(one.name)),
        (LEFT - 5, UP + 4, "end", one.text(high)),
        (LEFT - 5, HIGH - DOWN + 4, "end", one.text(low)),
        (LEFT, HIGH - 5, "start", f"epoch {first}"),
        (WIDE - RIGHT, HIGH - 5, "end", str(last)),
    ]
    return _svg(parts, labels, f"{one.name} over the epochs. {say_above(lost, one)}".strip())


def _path(points: Sequence[tuple[float, float]], look: str) -> str:
    """Return a curve; a value that is not known is a gap, one alone a dot."""
    known = [list(part) for is_known, part in groupby(points, lambda point: math.isfinite(point[1])) if is_known]
    drawn = " ".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part) + ("h.1" * (len(part) == 1)) for part in known)
    return f'<path d="{drawn}" fill="none" stroke="currentColor" stroke-linecap="round" {look}/>' if drawn else ""


def _svg(parts: Sequence[str], labels: Sequence[tuple[float, float, str, str]], says: str) -> Html:
    """Return the drawing with its frame and labels, in the colour of the text around it."""
    axis = f'<path d="M{LEFT} {UP}V{HIGH - DOWN}H{WIDE - RIGHT}" fill="none" stroke="currentColor" opacity=".35"/>'
    words = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="currentColor" font-size="11">{text(label)}</text>'
        for x, y, anchor, label in labels
    )
    size = f'width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{text(says, 600)}"'
    return Html(f"<svg {size}><title>{text(says, 600)}</title>{axis}{''.join(parts)}{words}</svg>")
