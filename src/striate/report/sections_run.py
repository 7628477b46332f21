"""The sections every run report has: the headline, how training went, what it cost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from striate.base.errors import UserError
from striate.base.numbers import NA, bounds, count, counted, number, significant
from striate.base.stages import stages_in
from striate.base.text import duration, plural, verb, with_capital
from striate.diagnose import narrate
from striate.evaluate.curves import MIN_EPOCHS
from striate.metric import Metric

from . import charts
from .privacy import without_folders
from .read import SPLIT_WORDS, Run, at, input_text
from .svg import TRAIN, VAL
from .tasks import sections_of
from .text import stop_text

STATUS = {
    "interrupted": "This run was interrupted. It shows what was reached until then; `striate resume` continues it.",
    "diverged": "This run diverged: the loss stopped being a finite number. It shows the last good state.",
    "running": "This run has not finished. It shows what was reached when this page was written.",
}  # fmt: skip


def headline(run: Run) -> dict[str, Any]:
    """Return the result in one number, its interval and split, and sentences that say what was done."""
    split, monitor = run.reported_split, run.metric
    scores = run.scores.get(split or "", {})
    value, span = scores.get(monitor.key), at(scores, f"intervals.{monitor.key}")
    is_known = number(value) is not None
    return {
        "metric": monitor.name,
        "split": SPLIT_WORDS[split] if split else "test",
        "value": monitor.text(value),
        "is_known": is_known,
        "interval": monitor.span(span) if bounds(span) else "",
        "num_images": count(scores.get("num_images")),
        "reason": "" if is_known else _why_unknown(run, split, monitor),
        "fallback": f"The test split has no scores ({run.why_missing}); this is validation." if split == "val" else "",
        "status": STATUS.get(str(at(run.info, "status")), ""),
        "done": _what_was_done(run),
        "result": " ".join(_what_came_out(run, scores, split)),
        "chart": splits_chart(run),
    }


def _why_unknown(run: Run, split: str | None, monitor: Metric) -> str:
    if split is None:
        return f"No result: {run.why_missing}."
    return f"The {monitor.name} is not a number: it is not defined here, or the network's outputs are not finite."


PROBE_KEY = (
    "Across: the strengths of weight decay that were tried, the strongest first. Dashed: training. Solid: validation. "
    "Ring: the probe that was kept."
)


def _trained_key(run: Run) -> str:
    recipe = at(run.info, "recipe", {})  # an augmentation of None is chosen by the number of images
    is_augmented = bool(recipe.get("augment") or ("augment" in recipe and recipe["augment"] is None))
    while_ = "while the weights still move" + (" and images are augmented" if is_augmented else "")
    return (
        f"Dashed: training, measured {while_}. Solid: validation. Ring: the epoch whose weights were kept. Dotted: "
        "from there on validation loss rises."
    )


def _what_was_done(run: Run) -> str:
    info = run.info
    trained = number(at(info, "dataset.counts.train"))
    epochs = number(at(info, "result.epochs")) or (run.epochs[-1] if run.epochs else None)
    model, parameters = at(info, "model.name"), number(at(info, "model.parameters"))
    text = f"The network {model}" if model else "A network"
    text += f" ({counted(parameters)} parameters)" if parameters else ""
    text += f" learned {sections_of(run).learned(run)}"
    text += f" from {plural(int(trained), 'image')}" if trained is not None else ""
    text += f" with the recipe {at(info, 'recipe_name')}" if at(info, "recipe_name") else ""
    if run.is_linear_probe:
        text += ": a linear probe (L-BFGS) on features of trained weights,"
    elif epochs:
        text += f", for {plural(int(epochs), 'epoch')}"
    text += f" in {duration(time_s)}" if (time_s := number(at(info, "result.time_s"))) else ""
    text += _machine(info)
    return text + (f", seed {at(info, 'seed')}." if at(info, "seed") is not None else ".")


def _machine(info: dict[str, Any]) -> str:
    threads, device = number(at(info, "device.threads")), at(info, "device.type")
    if device == "cpu":
        return f" on {plural(int(threads), 'CPU thread')}" if threads else " on a CPU"
    return " on a GPU" if device == "cuda" else f" on {device}" if device else ""


def _what_came_out(run: Run, scores: dict[str, Any], split: str | None) -> list[str]:
    total = number(scores.get("num_images"))
    if split is None or total is None or number(scores.get(run.metric.key)) is None:
        return []
    result = sections_of(run).result(run, scores, f"{count(total)} {SPLIT_WORDS[split]} images")
    val = number(at(run.scores, f"val.{run.metric.key}"))
    if split == "test" and val is not None:
        result.append(f"On validation, which chose the epoch, it is {run.metric.text(val)}.")
    return result


def splits_chart(run: Run) -> Markup | None:
    """Return the strip chart of the metric on each split."""
    monitor = run.metric
    values = {
        split: value
        for split in ("val", "test")
        if (value := number(at(run.scores, f"{split}.{monitor.key}"))) is not None
    }
    train = number(at(run.scores, f"train.{monitor.key}"))
    if train is None and run.best_epoch in run.epochs:
        train = number(run.curve("train", monitor.key)[run.epochs.index(run.best_epoch)])
    if train is not None:
        values = {"train": train, **values}
    split = run.reported_split or ""
    if split not in values:
        return None
    return charts.splits(
        values, at(run.scores, f"{split}.intervals.{monitor.key}"), split, sections_of(run).chance(run), monitor
    )


def remarks(run: Run) -> list[dict[str, str]]:
    """Return the diagnosis of the run: state, evidence and the next experiment; empty when there is none."""
    try:
        diagnosis = narrate(run.folder)
    except (UserError, OSError, ValueError) as problem:
        run.problems.append(f"The run has no diagnosis: {getattr(problem, 'what', type(problem).__name__)}.")
        return []
    return [{"title": one.title, **one.to_json(), "command": without_folders(one.command)} for one in diagnosis]


def training(run: Run) -> dict[str, Any]:
    """Return the curves and the sentences that read them."""
    if not run.history:
        return {"reason": "No epoch was recorded.", "charts": [], "sentences": [], "table": None}
    monitor = run.metric
    decays = [_short(row.get("weight_decay")) for row in run.history] if run.is_linear_probe else []
    drawn: list[tuple[str, Markup | None, str]] = []
    for wanted in dict.fromkeys(sections_of(run).curves(monitor.key)):
        lines = [
            charts.Line("train", run.curve("train", wanted), TRAIN, "--"),
            charts.Line("validation", run.curve("val", wanted), VAL),
        ]
        one = run.metric_of(wanted)
        turn = None if run.is_linear_probe else run.overfit_epoch
        chart = charts.curves(
            run.epochs, lines, one, f"curve{len(drawn)}", best=run.best_epoch, overfit=turn, decays=decays
        )
        drawn.append((with_capital(one.name), chart, charts.beyond(run.epochs, lines, one)))
    return {
        "charts": drawn,
        "sentences": _probe_sentences(run) if run.is_linear_probe else training_sentences(run),
        "key": PROBE_KEY if run.is_linear_probe else _trained_key(run),
        "reason": "",
        "gaps": any(not math.isfinite(value) for key in ("loss", monitor.key) for value in run.curve("val", key)),
        "table": _epoch_table(run),
    }


def _probe_sentences(run: Run) -> list[str]:
    row = next((row for row in run.history if row["epoch"] == run.best_epoch), {})
    value = run.metric.text(at(row, f"val.{run.metric.key}"))
    tried = plural(len(run.epochs), "strength")
    return [
        f"A linear probe was fitted with L-BFGS for {tried} of weight decay, the strongest first.",
        f"{_short(row.get('weight_decay'))} was best on validation ({run.metric.name} {value}) and was kept.",
    ]


def _stages_sentence(stages: Sequence[Mapping[str, Any]]) -> str:
    first, *rest = stages
    said = f"{_trains(first, 'only ')} trained"
    if rest:
        num = int(first.get("epochs") or 0)
        said += " in the first " + ("epoch" if num == 1 else f"{num} epochs")
    for stage in rest:
        said += f", then {_trains(stage)}"
        said += f" for {plural(int(stage['epochs']), 'epoch')}" if stage.get("epochs") else ""
    return f"{said[:1].upper()}{said[1:]}."


def _trains(stage: Mapping[str, Any], only: str = "") -> str:
    """The rows that train in a stage."""
    last = stage.get("frozen")
    return "everything" if not last else f"{only}the head" if last == "body" else f"{only}what follows {last}"


def _no_turn(num_epochs: int) -> str:
    if num_epochs < MIN_EPOCHS:
        return f"Fewer than {MIN_EPOCHS} epochs are too few to tell whether validation loss turned upward."
    return "Validation loss did not turn upward and stay there while training loss fell."


def training_sentences(run: Run) -> list[str]:
    """Return what the curves say, in words."""
    sentences, monitor, best = [], run.metric, run.best_epoch
    if stages := stages_in(at(run.info, "recipe.train") or {}):
        sentences.append(_stages_sentence(stages))
    if best in run.epochs:
        value = run.curve("val", monitor.key)[run.epochs.index(best)]
        sentences.append(
            f"Validation {monitor.name} was best at epoch {best} ({monitor.text(value)}); those weights were kept."
        )
    if (epoch := run.overfit_epoch) is not None:
        sentences.append(f"After epoch {epoch} validation loss rises while training loss falls.")
    elif at(run.info, "result.epochs"):
        sentences.append(_no_turn(len(run.epochs)))
    if why := stop_text(run.info):
        sentences.append(f"Training {why}.")
    if skipped := number(at(run.info, "result.skipped")):
        were = verb(int(skipped), "was", "were")
        sentences.append(f"{plural(int(skipped), 'image')} could not be read during training and {were} left out.")
    if steps := number(at(run.info, "result.skipped_steps")):
        sentences.append(f"{plural(int(steps), 'step')} left out: the gradient was not finite.")
    notes = at(run.info, "notes")
    return sentences + [f"{with_capital(str(note))}." for note in (notes if isinstance(notes, list) else [])]


def _epoch_table(run: Run) -> dict[str, Any]:
    monitor = run.metric
    keys = list(dict.fromkeys(sections_of(run).curves(monitor.key)))
    head = [
        "number" if run.is_linear_probe else "epoch",
        *(f"{SPLIT_WORDS[split]} {run.metric_of(key).name}" for key in keys for split in ("train", "val")),
        "weight decay" if run.is_linear_probe else "learning rate",
        "seconds",
    ]
    body = []
    for row in run.history[:1000]:
        cells = [run.metric_of(key).text(at(row, f"{split}.{key}")) for key in keys for split in ("train", "val")]
        body.append(
            (
                [
                    str(int(row["epoch"])),
                    *cells,
                    _short(row.get("weight_decay" if run.is_linear_probe else "lr")),
                    _short(row.get("time_s")),
                ],
                row["epoch"] == run.best_epoch,
            )
        )
    return {"head": head, "body": body, "num_left_out": max(0, len(run.history) - 1000)}


def _short(value: Any) -> str:
    known = number(value)
    return NA if known is None else significant(known)


def facts(run: Run) -> list[tuple[str, str]]:
    """Return the further scores of the reported split, for the row of figures below the headline."""
    scores = run.scores.get(run.reported_split or "", {})
    return [
        (run.metric_of(key).name, run.metric_of(key).text(scores[key]))
        for key in sections_of(run).figures(run)
        if key in scores and key != run.metric.key
    ]


def cost(run: Run) -> list[tuple[str, str, str]]:
    """Return (what, value, remark) of size, time and machine."""
    return [*_size_and_time(run.info), *_where_it_ran(run.info)]


def _size_and_time(info: dict[str, Any]) -> list[tuple[str, str, str]]:
    paths = ("model.parameters", "result.epochs", "result.time_s", "result.train_images_per_s")
    size = input_text(info)
    parameters, epochs, time_s, speed = (number(at(info, path)) for path in paths)
    return [
        ("parameters", count(parameters), f"{significant(parameters * 4 / 1e6)} MB as float32" if parameters else ""),
        ("multiply-adds an image", counted(at(info, "model.macs")), f"at {size}" if size else ""),
        (
            "training time",
            NA if time_s is None else duration(time_s),
            f"{duration(time_s / epochs)} an epoch" if time_s and epochs else "",
        ),
        (
            "training speed",
            f"{count(speed)} images/s" if speed else NA,
            f"batches of {count(batch)}" if (batch := at(info, "batch_size")) else "",
        ),
        *_an_image(info),
    ]


def _an_image(info: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What one image takes where that has parts."""
    parts = {name: number(ms) for name, ms in (at(info, "result.part_times_ms") or {}).items()}
    known = {name: ms for name, ms in parts.items() if ms is not None}
    remark = ", ".join(f"{name} {significant(ms)} ms" for name, ms in known.items())
    return [("an image alone", f"{significant(sum(known.values()))} ms", remark)] if known else []


def _where_it_ran(info: dict[str, Any]) -> list[tuple[str, str, str]]:
    threads, cpus, memory = (
        number(at(info, path)) for path in ("device.threads", "device.cpus", "result.peak_memory_mb")
    )
    device = str(at(info, "device.name") or at(info, "device.type") or NA)
    rows = [
        (
            "device",
            device,
            f"{plural(int(threads), 'thread')} on {plural(int(cpus), 'core')}" if threads and cpus else "",
        ),
        ("precision", str(at(info, "precision.name") or NA), _trial(at(info, "precision.trial"))),
    ]
    return [*rows, ("peak memory", f"{counted(memory * 2**20)}B", "the whole process")] if memory else rows


def _trial(trial: Any) -> str:
    """Say what the precision trial measured."""
    if not isinstance(trial, dict):
        return "chosen without a trial"
    times = {key.removesuffix("_ms"): value for key in trial if key.endswith("_ms") and (value := number(trial[key]))}
    return "trial step: " + ", ".join(f"{name} {significant(value)} ms" for name, value in times.items())
