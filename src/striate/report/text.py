"""A run in a few lines of text, for a terminal."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from striate.base.errors import UserError
from striate.base.numbers import number
from striate.base.rundir import RunDir
from striate.base.text import duration, plural, shown

from .read import at


def run_text(run: RunDir) -> str:
    """Return what a person wants to know of a run, in a few lines: its facts, its state and the next experiment."""
    return "\n".join([facts_text(run), *(f"  {line}" for line in _state_text(run))])


def facts_text(run: RunDir) -> str:
    """Return a run's scores, size, time and folder, from its small documents alone."""
    info, scores = run.info(), run.scores()
    task, result = info["task"], info.get("result")
    lines = [f"{info['name']} on {shown(info['dataset']['name'])}: {info['status']}"]
    for split in ("val", "test"):
        if split in scores:
            lines.append(f"  {split}.{task['monitor']} {score_text(scores[split], task['monitor'])}")
    if result:
        size, epochs = plural(info["model"]["parameters"], "parameter"), plural(result["epochs"], "epoch")
        speed = f"{result['train_images_per_s']:,.0f} images/s in {info['precision']['name']}"
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


def _state_text(run: RunDir) -> list[str]:
    """The first thing the narrator says of a run, and the next experiment; nothing where it cannot read the folder."""
    from striate.diagnose import narrate

    with contextlib.suppress(UserError):
        for first in narrate(run)[:1]:
            return [f"{first.title}: {first.evidence}", f"Next: {first.next}" + f" {first.command}".rstrip()]
    return []


def score_text(scores: dict[str, Any], name: str) -> str:
    """Return `0.912 (95 % interval 0.894 to 0.928, 600 images)`."""
    value, interval = scores.get(name), scores.get("intervals", {}).get(name)
    if value is None:
        return "n/a"
    around = f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}, " if interval else ""
    return f"{value:.3f} ({around}{plural(scores['num_images'], 'image')})"
