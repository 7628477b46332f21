"""Scores of a finished run under attack: what is left of them after changes that nobody sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.base.errors import SettingsError
from striate.base.files import write_json
from striate.base.progress import Progress
from striate.evaluate.run import evaluate
from striate.evaluate.scores import scores_by
from striate.inside.adversarial import METHODS, STEPS, Attack, AttackedBatches, PixelSpace
from striate.metric import Metric
from striate.task import Task

from .evaluate import OpenedRun, describe_data, folder_of, open_split, spread
from .finish import originals_of

EPS = (1 / 255, 2 / 255, 4 / 255, 8 / 255)
MAX_IMAGES = 500  # a gradient a step an image: more takes long and says little more


@dataclass(frozen=True)
class AttackPlan:
    """What is tried on each image: both methods at each eps.

    Args:
        eps: in pixel space, 0..1.
        steps: of PGD.
        images: at most so many of the split, evenly spread; 0 for all.
        seed: of PGD's random start.
    """

    eps: Sequence[float] = EPS
    steps: int = STEPS
    images: int = MAX_IMAGES
    seed: int = 0

    def attacks(self) -> list[Attack]:
        """Return the attacks, by method, each by rising eps."""
        return [Attack(eps, name, self.steps, seed=self.seed) for name in METHODS for eps in sorted(set(self.eps))]


def evaluate_under_attack(
    path: Path,
    where: str | None = None,
    plan: AttackPlan = AttackPlan(),
    *,
    data: str | None = None,
    split: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return {"task", "data", "split", "num_images", "metric", "attacks", "scores"} of a run under attack.

    "attacks" has a document an attack, the first of them none (eps 0): its settings and "scores", every metric of the
    task with its interval. It is written to RUN/evaluations/NAME-SPLIT-adversarial/scores.json too. An image that was
    wrong before is attacked like the others, and counts as wrong while it stays so. Each image's plain loss is raised,
    so that numbers get a larger error and masks lose pixels.

    Args:
        where, data, split: see `evaluate_run`.
    """
    progress = progress or Progress()
    opened = open_split(path, where, data=data, split=split, device=device, progress=progress)
    task, attacks = opened.prepared.task, plan.attacks()
    about = {"data": describe_data(opened.prepared.dataset), "split": opened.split}
    rows = _rows(opened, attacks, spread(opened, plan.images), progress)
    metric = metric_of(task)
    document = {
        "metric": metric.key,
        "metric_words": metric.words(),
        "num_images": rows[0]["scores"]["num_images"],
        "attacks": rows,
    }
    folder = folder_of(path / "evaluations", about, "-adversarial")
    write_json(folder / "scores.json", {**about, **document})
    return {"task": opened.info["task"], **about, **document, "scores": str(folder / "scores.json")}


def metric_of(task: Task) -> Metric:
    """Return the metric that says how many images are answered rightly (accuracy, exact match of tags) where there are
    classes or tags, else the monitored one: mean IoU of masks, an error of numbers."""
    shares = (metric for metric in task.metrics if metric.interval == "wilson" and task.temperature)
    return next(shares, next(metric for metric in task.metrics if metric.key == task.monitor))


def parse_eps(text: str) -> tuple[float, ...]:
    """Return the numbers of a list such as "1/255,0.02"; whole numbers from 1 on are levels of 255.

    Raises:
        SettingsError: one is no number in 0..1.

    Example:
        >>> parse_eps("0.5, 51/255, 51")
        (0.5, 0.2, 0.2)
    """
    return tuple(_eps(part.strip()) for part in text.split(","))


def _eps(text: str) -> float:
    above, stroke, below = text.partition("/")
    try:
        value = float(above) / float(below) if stroke else float(above)
    except (ValueError, ZeroDivisionError):
        value = -1.0
    value = value / 255 if value >= 1 and not stroke else value
    if not 0 < value <= 1:
        raise SettingsError(f"{text!r} is no eps", where="--eps", fix="write e.g. 1/255,2/255,0.03")
    return value


def _rows(opened: OpenedRun, attacks: list[Attack], chosen: Any, progress: Progress) -> list[dict[str, Any]]:
    prepared, network = opened.prepared, opened.network
    space, task = PixelSpace(prepared.mean, prepared.std), prepared.task
    loader, originals = prepared.loader(opened.split, indices=chosen), originals_of(prepared)
    rows: list[dict[str, Any]] = [
        {
            "method": "none",
            "eps": 0.0,
            "scores": scores_by(task.metrics, evaluate(network, task, loader, originals=originals)),
        }
    ]
    for number, attack in enumerate(attacks):
        title = f"attack {number + 1} of {len(attacks)}: {attack.method}, eps {attack.eps * 255:g}/255"
        with progress.bar(title, len(chosen)) as bar:
            batches = AttackedBatches(loader, network, task, space, attack, bar.advance)
            found = evaluate(network, task, batches, originals=originals)
        rows.append({**attack.to_json(), "scores": scores_by(task.metrics, found)})
    return rows
