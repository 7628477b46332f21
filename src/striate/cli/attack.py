"""striate evaluate --adversarial: scores under attack, as a table of eps and methods."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base.progress import Progress
from striate.base.text import plural

if TYPE_CHECKING:
    from striate.metric import Metric


def show(
    run: Path,
    other: str | None,
    settings: dict[str, Any],
    data: str | None,
    split: str | None,
    device: str,
    progress: Progress,
) -> tuple[dict[str, Any], str]:
    """Return the document and the text of a run under attack.

    Args:
        settings: "eps" as it was typed, "steps" and "images"; None where it is the usual.
    """
    from striate.run.adversarial import AttackPlan, evaluate_under_attack, metric_of, parse_eps
    from striate.task import from_json

    given = {name: value for name, value in settings.items() if value is not None}
    if "eps" in given:
        given["eps"] = parse_eps(given["eps"])
    found = evaluate_under_attack(
        run, other, AttackPlan(**given), data=data, split=split, device=device, progress=progress
    )
    metric = metric_of(from_json(found.pop("task")))
    return {"run": str(run), **found}, progress.noun.put(_text(found, metric))


def _text(found: dict[str, Any], metric: "Metric") -> str:
    clean, *rows = found["attacks"]
    steps = next((f", {plural(row['steps'], 'step')} from a random start" for row in rows if "steps" in row), "")
    cells = {(row["method"], row["eps"]): _cell(row["scores"], metric) for row in rows}
    grid = sorted({eps for _, eps in cells})
    width = max(4, *(len(text) for (method, _), text in cells.items() if method == "fgsm"))
    lines = [
        f"{found['split']}.{metric.key} under attack, {plural(found['num_images'], 'image')} (95 % interval)",
        f"{'eps':<9} {'fgsm':<{width}}  pgd{steps}",
        f"{'0':<9} {_cell(clean['scores'], metric)}",
        *(f"{f'{eps * 255:.4g}/255':<9} {cells['fgsm', eps]:<{width}}  {cells['pgd', eps]}" for eps in grid),
        f"all scores: {found['scores']}",
    ]
    return "\n".join(lines)


def _cell(scores: dict[str, Any], metric: "Metric") -> str:
    span = scores["intervals"].get(metric.key)
    return f"{metric.text(scores[metric.key])} ({metric.span(span)})" if span else metric.text(scores[metric.key])
