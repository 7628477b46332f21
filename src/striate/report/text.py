"""A run in a few lines of text, for a terminal."""

import contextlib
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from striate.base.errors import UserError
from striate.base.noun import noun_of
from striate.base.numbers import number
from striate.base.rundir import RunDir
from striate.base.text import duration, plural, shown

from .read import at


def run_text(run: RunDir, width: int = 100) -> str:
    """Return what a person wants to know of a run, in a few lines: its facts, its state and the next experiment.

    Sentences are wrapped at `width` characters; a command stays whole, on a line of its own.
    """
    indented: dict[str, Any] = {"width": max(width, 40), "initial_indent": "  ", "subsequent_indent": "  "}
    sentences, command = _state_text(run)
    lines = [line for one in sentences for line in textwrap.wrap(shown(one, 4000), **indented)]
    return "\n".join([facts_text(run), *lines, *([f"  {command}"] if command else [])])


def facts_text(run: RunDir) -> str:
    """Return a run's scores, size, time and folder, from its small documents alone."""
    info, scores = run.info(), run.scores()
    task, result, noun = info["task"], info.get("result"), noun_of(info["dataset"].get("form"))
    lines = [f"{info['name']} on {shown(info['dataset']['name'])}: {info['status']}"]
    for split in ("val", "test"):
        if split in scores:
            text = noun.put(score_text(scores[split], task["monitor"]))
            lines.append(f"  {split}.{task['monitor']} {text}")
    if result:
        size, epochs = plural(info["model"]["parameters"], "parameter"), plural(result["epochs"], "epoch")
        speed = f"{result['train_images_per_s']:,.0f} {noun.many}/s in {info['precision']['name']}"
        lines.append(f"  {size}, {epochs} (best {result['best_epoch']}), {duration(result['time_s'])}, {speed}")
        lines += [f"  {why}; --patience 0 trains to the end" for why in [stop_text(info)] if why]
    lines += [f"  folder {run.path}", *([f"  report {run.report}"] if run.report.exists() else [])]
    return "\n".join(lines)


def stop_text(info: Mapping[str, Any]) -> str:
    """Return why a run has fewer epochs than it was given; nothing where it has them all."""
    if at(info, "result.stopped") != "early":
        return ""
    waited = number(at(info, "resolved.train.patience"))  # which older runs do not say
    span = plural(int(waited), "epoch") if waited else "some epochs"
    count = f"{at(info, 'result.epochs')} of {at(info, 'num_epochs')} epochs"
    return f"stopped early, after {count}: no better val.{at(info, 'task.monitor')} in {span}"


def safe_text(run: RunDir, write: Callable[[RunDir], str]) -> str:
    """Return the text of a run; of one whose documents are gone or broken its folder, since printing must not fail."""
    with contextlib.suppress(Exception):
        return write(run)
    return f"Run({str(run.path)!r}: its documents cannot be read)"


def _state_text(run: RunDir) -> tuple[list[str], str]:
    """What the narrator says first of a run, and the command of the next experiment; nothing where it cannot read."""
    from striate.diagnose import narrate

    with contextlib.suppress(UserError):
        for first in narrate(run)[:1]:
            return [f"{first.title}: {first.evidence}", f"Next: {first.next}"], first.command
    return [], ""


def score_text(scores: dict[str, Any], name: str) -> str:
    """Return `0.912 (95 % interval 0.894 to 0.928, 600 images)`."""
    value, interval = scores.get(name), scores.get("intervals", {}).get(name)
    if value is None:
        return "n/a"
    around = f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}, " if interval else ""
    return f"{value:.3f} ({around}{plural(scores['num_images'], 'image')})"
