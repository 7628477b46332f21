"""The sections of a study: the verdict, the variants side by side, their curves, its runs."""

from collections.abc import Mapping
from contextlib import suppress
from statistics import mean, median, stdev
from typing import Any
from urllib.parse import quote

from striate.base.numbers import NA, bounds, count, counted, number
from striate.base.text import duration, plural, with_capital
from striate.evaluate.curves import MIN_EPOCHS
from striate.verdict.facts import Conclusion, conclude, surely

from . import charts_study as charts
from .privacy import without_folders
from .ranges import limits
from .read import SPLIT_WORDS, Run, Study, at
from .tasks import sections_of


def verdict(study: Study) -> dict[str, Any]:
    """Return the conclusion: the best variant, by how much, its ties, and the sentences of the verdict."""
    found, best = study.metric, study.best
    row = _summary(study, best) if best else {}
    other, end = _rival(study, best) if best else "", _conclusion(study)
    ahead = next((one for one in _differences(study, other) if one.name == best), None)
    return {
        "best": best,
        "state": end.state if end else "",
        "headline": end.headline if end else "",
        "behind": list(end.behind) if end else [],
        "text": next((str(v.get("text", "")) for v in study.variants if v["name"] == best), ""),
        "metric": found.name,
        "split": SPLIT_WORDS.get(study.split, study.split),
        "value": found.text(at(row, "test.mean")),
        "interval": found.span(at(row, "test.interval")) if bounds(at(row, "test.interval")) else "",
        "num_runs": plural(int(number(row.get("n")) or 0), "run"),
        "other": other,
        "ahead": found.change(ahead.mean) if ahead else "",
        "ahead_interval": found.span(ahead.interval, is_change=True) if ahead and ahead.interval else "",
        "certainty": _certainty(end, other, ahead),
        "ties": list(end.ties) if end else [],
        "sentences": [str(text) for text in study.verdict.get("sentences") or []],
        "reason": "" if best else _why_no_verdict(study),
    }


def _certainty(end: Conclusion | None, other: str, ahead: charts.Difference | None) -> str:
    """Say whether the difference from the other variant is significant, by itself and after Holm's correction."""
    gain = next((gain for gain in end.gains if gain.other == other), None) if end else None
    if gain is not None:
        return surely(gain)
    return "significant" if ahead and ahead.is_separable else "not significant"


def _conclusion(study: Study) -> Conclusion | None:
    """What the verdict's differences say; None where there is no verdict or it is broken."""
    if not study.best:
        return None
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        return conclude({"mode": "min" if _is_less_better(study) else "max", **study.verdict})
    return None


def advice(study: Study) -> list[dict[str, str]]:
    """Return what to do next, as the verdict says: texts with a command where there is one."""
    rows = [row for row in study.verdict.get("advice") or [] if isinstance(row, dict) and row.get("text")]
    return [{"text": str(row["text"]), "command": without_folders(str(row.get("command") or ""))} for row in rows]


def learning_curve(study: Study) -> Any:
    """Return the chart of the score over the number of training images; None when the study has no such curve."""
    found = [
        charts.Size(num, mean, bounds(row.get("interval")), str(row.get("variant", "")))
        for row in at(study.verdict, "learning_curve.points", [])
        if (num := number(row.get("num_train"))) and (mean := number(row.get("mean"))) is not None
    ]
    return charts.learning_curve(found, study.metric) if len(found) > 1 else None


def _rival(study: Study, best: str) -> str:
    """Return the variant the best is held against: the baseline, or the next best when it is the baseline itself."""
    baseline = str(study.info.get("baseline", ""))
    if best != baseline:
        return baseline
    means = {name: number(at(_summary(study, name), "test.mean")) for name in study.names if name != best}
    known = {name: value for name, value in means.items() if value is not None}
    sign = -1 if _is_less_better(study) else 1
    return max(known, key=lambda name: sign * known[name], default="")


def _is_less_better(study: Study) -> bool:
    return study.verdict.get("mode") == "min" or study.metric.is_less_better


def _why_no_verdict(study: Study) -> str:
    done = sum(1 for runs in study.runs.values() for run in runs if run.scores)
    folds = int(study.info.get("folds") or 1)
    planned = len(study.names) * len(study.info.get("seeds") or [0]) * folds
    progress = f"{done} of {plural(planned, 'run')} finished"
    return f"No verdict yet: {progress}. Repeat the study's command, it does only what is missing."


def side_by_side(study: Study) -> dict[str, Any]:
    """Return the charts of the variants and of their differences from the baseline."""
    found, split, baseline = study.metric, study.split, str(study.info.get("baseline", ""))
    dots = []
    for name in study.names:
        row = _summary(study, name)
        values = charts.finite([number(value) for value in at(row, "test.values", [])])
        dots.append(
            charts.Dots(
                name, values, number(at(row, "test.mean")), bounds(at(row, "test.interval")), name == study.best
            )
        )
    rows = _differences(study, baseline)
    return {
        "chart": charts.variants(dots, found),
        "differences": charts.differences(rows, found),
        "metric": found.name,
        "split": SPLIT_WORDS.get(split, split),
        "baseline": baseline,
        "is_less_better": _is_less_better(study),
    }


def _differences(study: Study, baseline: str) -> list[charts.Difference]:
    """Return the verdict's differences against the baseline, each turned so that it reads variant minus baseline."""
    found: dict[str, charts.Difference] = {}
    for row in study.verdict.get("differences") or []:
        if (
            not isinstance(row, dict)
            or baseline not in (row.get("a"), row.get("b"))
            or (value := number(row.get("mean"))) is None
        ):
            continue
        sign, name = (1, str(row["a"])) if row.get("b") == baseline else (-1, str(row["b"]))
        ends = bounds(row.get("interval"))
        interval = (min(sign * ends[0], sign * ends[1]), max(sign * ends[0], sign * ends[1])) if ends else None
        is_better = (sign * value < 0) if _is_less_better(study) else (sign * value > 0)
        found.setdefault(name, charts.Difference(name, sign * value, interval, bool(row.get("separable")), is_better))
    if found:
        found[baseline] = charts.Difference(baseline, 0.0, None, is_separable=False, is_better=False, is_reference=True)
    return [found[name] for name in study.names if name in found]


def _summary(study: Study, name: str | None) -> dict[str, Any]:
    """Return a variant's row of the verdict, or one computed from its runs while there is no verdict.

    Its `test` is the split the verdict reports, which is validation where there is no test split.
    """
    given = next(
        (row for row in study.verdict.get("variants") or [] if isinstance(row, dict) and row.get("name") == name), None
    )
    if given is not None:
        return dict(given)
    runs = study.runs.get(str(name), [])
    row: dict[str, Any] = {"name": name, "n": len(runs)}
    for split in ("val", "test"):
        values = charts.finite([number(at(run.scores, f"{split}.{study.metric.key}")) for run in runs])
        if values:
            row[split] = {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None, "values": values}
    for key, path in (
        ("best_epoch", "result.best_epoch"),
        ("overfit_epoch", "result.overfit_epoch"),
        ("parameters", "model.parameters"),
        ("macs", "model.macs"),
    ):
        values = charts.finite([number(at(run.info, path)) for run in runs])
        row[key] = median(values) if values else None
    times = charts.finite([number(at(run.info, "result.time_s")) for run in runs])
    return row | ({"time_s": {"mean": mean(times)}} if times else {})


def overview(study: Study) -> dict[str, Any]:
    """Return the table of the variants: scores over the seeds, gap, overfitting, time and size."""
    splits = [("test", "test"), ("validation", "val")] if study.split == "test" else [("validation", "test")]
    return {
        "body": [_overview_row(study, planned) for planned in study.variants],
        "splits": splits,
        "metric": study.metric.name,
        "unit": "points" if study.metric.is_percent else {"deg": "°"}.get(study.metric.unit, study.metric.unit),
    }


def _overview_row(study: Study, planned: dict[str, Any]) -> dict[str, Any]:
    found, row = study.metric, _summary(study, planned["name"])
    n = int(number(row.get("n")) or 0)
    paths = {"val": "val.mean", "test": "test.mean", "gap": "gap.mean", "time": "time_s.mean"}
    paths |= {"parameters": "parameters", "macs": "macs"}
    plain = {key: number(at(row, path)) for key, path in paths.items()}
    return {
        "name": str(planned["name"]),
        "text": str(row.get("text") or planned.get("text", "")),
        "model": str(planned.get("model", "")),
        "is_best": planned["name"] == study.best,
        "n": n,
        "val": _with_spread(found, at(row, "val", {})),
        "test": _with_spread(found, at(row, "test", {})),
        "gap": found.change(plain["gap"]).removesuffix(" points"),
        "overfit": _epoch(row.get("overfit_epoch"), "never" if n and _can_turn(study, planned) else NA),
        "best_epoch": _epoch(row.get("best_epoch"), NA),
        "time": NA if plain["time"] is None else duration(plain["time"]),
        "parameters": counted(plain["parameters"]),
        "macs": counted(plain["macs"]),
        "sort": plain,
    }


def _can_turn(study: Study, planned: Mapping[str, Any]) -> bool:
    """Whether a variant trained for enough epochs that a rise of its validation loss would be seen."""
    runs = study.runs.get(str(planned["name"]), [])
    is_linear_probe = at(planned, "recipe.transfer.head") == "only"
    epochs = max((len(run.epochs) for run in runs), default=int(number(at(planned, "recipe.train.epochs")) or 0))
    return epochs >= MIN_EPOCHS and not is_linear_probe


def _with_spread(found: Any, values: Any) -> tuple[str, str]:
    middle = found.text(at(values, "mean"))
    spread = number(at(values, "std"))
    return (middle, f"± {found.spread(spread)}" if spread is not None and middle != NA else "")


def _epoch(value: Any, otherwise: str) -> str:
    found = number(value)
    return otherwise if found is None else f"{found:g}"


def curves(study: Study) -> dict[str, Any]:
    """Return loss and metric of every variant as small multiples on the same axes."""
    groups = []
    for key in _curve_keys(study):
        one = study.metric_of(key)
        seeds = {name: _seeds(runs, key) for name, runs in study.runs.items() if any(run.history for run in runs)}
        ends = limits([value for lines in seeds.values() for value in lines.values], one)
        if ends is None:
            continue
        longest = max(len(curve) for lines in seeds.values() for curve in lines.val)
        panels = []
        for index, (name, lines) in enumerate(seeds.items()):
            overfit = number(_summary(study, name).get("overfit_epoch"))
            is_linear_probe = any(run.is_linear_probe for run in study.runs[name])
            across = "the strengths of weight decay" if is_linear_probe else "the epochs"
            says = f"{one.name} of {name} over {across}, {plural(len(lines.val), 'seed')}."
            chart = charts.multiple(
                lines,
                one,
                f"many-{key}-{index}",
                says,
                ends=ends,
                num_epochs=longest,
                overfit=round(overfit) if overfit and not is_linear_probe else None,
            )
            note = "Across: strengths of weight decay, the strongest first; a linear probe has no epochs."
            notes = [note if is_linear_probe else "", charts.beyond(lines, one, ends)]
            panels.append((name, chart, " ".join(filter(None, notes))))
        groups.append((with_capital(one.name), panels))
    trained = {name: runs for name, runs in study.runs.items() if not any(run.is_linear_probe for run in runs)}
    key = study.metric.key
    means = {name: [run.curve("val", key) for run in runs if run.history] for name, runs in trained.items()}
    return {
        "groups": groups,
        "together": charts.together(means, study.metric, study.best),
        "title": with_capital(study.metric.name),
        "reason": "" if groups else "No run of this study has recorded an epoch.",
    }


def _curve_keys(study: Study) -> list[str]:
    first = next((run for runs in study.runs.values() for run in runs), None)
    monitor = study.metric.key
    return list(dict.fromkeys(("loss", monitor) if first is None else sections_of(first).curves(monitor)))


def _seeds(runs: list[Run], key: str) -> charts.Seeds:
    """Return the curves of a variant's runs, with the place of each run's best epoch in them."""
    best = [run.epochs.index(run.best_epoch) + 1 if run.best_epoch in run.epochs else None for run in runs]
    return charts.Seeds([run.curve("train", key) for run in runs], [run.curve("val", key) for run in runs], best)


def runs_table(study: Study) -> list[dict[str, str]]:
    """Return one line a run."""
    monitor = study.metric
    return [
        {
            "folder": run.folder.path.name,
            "report": f"runs/{quote(run.folder.path.name)}/report.html" if run.folder.report.exists() else "",
            "status": str(at(run.info, "status", NA)),
            "epochs": count(at(run.info, "result.epochs")),
            "best": count(run.best_epoch),
            "val": monitor.text(at(run.scores, f"val.{monitor.key}")),
            "test": monitor.text(at(run.scores, f"test.{monitor.key}")),
            "time": duration(time_s) if (time_s := number(at(run.info, "result.time_s"))) is not None else NA,
        }
        for runs in study.runs.values()
        for run in runs
    ]
