"""Synthetic study folders: four variants of the classic exercise, with a verdict."""

from pathlib import Path
from typing import Any

import numpy as np
from report_runs import RECIPE, SHAPES, describe, write_json, write_run

from striate.base.rundir import StudyDir

MEDIUM = [{"kind": "flip", "horizontal": 0.5}, {"kind": "shift", "max_frac": 0.1}]
REGULARIZATION = {"model": {"norm": "batch", "dropout": 0.3}, "train": {"weight_decay": 0.05, "label_smoothing": 0.1}}
VARIANTS: dict[str, tuple[float, str, str, dict[str, Any], int | None]] = {
    "mlp": (0.9, "mlp", "the thing to beat: a plain network on pixels", {}, 9),
    "baseline": (2.2, "bipyramid", "convolutions, no regularization", {}, 13),
    "augmented": (3.3, "bipyramid", "+ augmentation", {"augment": MEDIUM}, None),
    "regularized": (
        3.5,
        "bipyramid",
        "+ dropout, batch norm, weight decay",
        {"augment": MEDIUM} | REGULARIZATION,
        None,
    ),
}
SENTENCES = (
    "regularized has the best validation score: test accuracy 84.1%, mean of 3 runs, 95% interval 81.1% to 87.1%.",
    "It beats baseline (56.4%) by 27.7 points (95% interval 24.6 to 31.1 points).",
    "It is not significantly different from augmented.",
    "mlp and baseline overfit: validation loss rose after epochs 9 and 13.",
)


def write_study(
    path: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    num_pictures: int = 60,
    num_images: int = 300,
    has_verdict: bool = True,
    **changes: Any,
) -> StudyDir:
    """Write a finished study of four variants; `changes` replaces parts of study.json."""
    study, planned, rows = StudyDir(path), [], []
    for number, (name, (skill, model, text, changes_of_recipe, overfit)) in enumerate(VARIANTS.items()):
        recipe = RECIPE | {
            key: {**RECIPE[key], **value} if key != "augment" else value for key, value in changes_of_recipe.items()
        }
        planned.append({"name": name, "text": text, "model": model, "recipe_name": name, "recipe": recipe})
        parameters = 3_200_000 if model == "mlp" else 1_214_602
        described = {"name": model, "parameters": parameters, "macs": parameters * 8, "depth": 6, "blueprint": None}
        for seed in seeds:
            images = {"val": num_images, "test": num_images}
            options = {
                "images": images,
                "recipe": recipe,
                "recipe_name": name,
                "model": described,
                "num_pictures": num_pictures,
            }
            write_run(study.run(name, seed).path, skill=skill, seed=100 * number + seed, overfit=overfit, **options)
        rows.append(_summary(study, name, seeds) | {"text": text, "overfit_epoch": overfit, "parameters": parameters})
    info = describe("the ablation series", SHAPES, "label")
    kept = ("schema", "name", "created", "dataset", "task")
    info = {key: info[key] for key in kept} | {"command": "striate study /home/teacher/data/shapes --seeds 3"}
    info |= {"kind": "study", "seeds": list(seeds), "folds": None, "baseline": "baseline", "variants": planned}
    write_json(path / "study.json", info | {"status": "finished"} | changes)
    if has_verdict:
        write_json(path / "verdict.json", _verdict(rows))
    return study


def _summary(study: StudyDir, name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "n": len(seeds),
        "gap": {"mean": 0.24 if name in ("mlp", "baseline") else 0.02},
    }
    for split in ("val", "test"):
        values = [study.run(name, seed).scores()[split]["accuracy"] for seed in seeds]
        middle, std = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
        row[split] = {"mean": middle, "std": std, "values": values, "interval": [middle - 0.03, middle + 0.03]}
    return row | {"best_epoch": 24, "time_s": {"mean": 81.2}, "macs": 9_716_816}


def _verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    means = {row["name"]: row["test"]["mean"] for row in rows}
    pairs = [("regularized", name) for name in means if name != "regularized"]
    pairs += [("mlp", "baseline"), ("augmented", "baseline")]
    differences = []
    for a, b in pairs:
        gap = means[a] - means[b]
        interval = [gap - 0.06, gap + 0.06]
        is_separable = interval[0] * interval[1] > 0
        differences.append({"a": a, "b": b, "mean": gap, "interval": interval, "separable": is_separable})
    return {
        "metric": "accuracy",
        "mode": "max",
        "unit": "",
        "split_chosen_on": "val",
        "split_reported": "test",
        "best": "regularized",
        "ties": ["augmented"],
        "variants": rows,
        "differences": differences,
        "sentences": list(SENTENCES),
    }
