"""Synthetic run folders that look like real ones: ten drawn classes, plausible curves, known numbers."""

import csv
import io
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from striate.base.files import to_json
from striate.base.rundir import RunDir

SHAPES = ("arrow", "circle", "cross", "diamond", "heart", "hexagon", "moon", "ring", "square", "star")
CONFUSABLE = {1: 7, 7: 1, 3: 8, 8: 3, 5: 1, 9: 2}
COUNTS = {"train": 1400, "val": 300, "test": 300}
RECIPE: dict[str, Any] = {
    "text": "no regularization",
    "data": {"size": 64, "fit": "crop", "margin": 1.15, "balance": "none"},
    "augment": [],
    "model": {"norm": "none", "dropout": None},
    "train": {"epochs": 30, "optimiser": "adamw", "lr": 0.001, "weight_decay": 0.0, "label_smoothing": 0.0},
}
POLYGONS = {
    "square": [(45 + 90 * k, 1.0) for k in range(4)],
    "diamond": [(90 * k, 1.0 if k % 2 else 0.6) for k in range(4)],
    "hexagon": [(60 * k, 1.0) for k in range(6)],
    "star": [(36 * k, 1.0 if k % 2 else 0.42) for k in range(10)],
    "cross": [(a + 90 * k, r) for k in range(4) for a, r in ((-18, 1.0), (18, 1.0), (45, 0.45))],
    "arrow": [(0, 1.0), (120, 0.9), (180, 0.3), (240, 0.9)],
    "heart": [(0, 1.0), (75, 0.75), (130, 0.95), (180, 0.45), (230, 0.95), (285, 0.75)],
}
TASKS = {"label": ("classify", "accuracy", "max"), "tags": ("tag", "f1", "max"), "value": ("regress", "rmse", "min")}


def write_bytes(path: Path, content: bytes) -> None:
    """Write without the fsync of the real writer: fixtures need no durability."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write a document as the run does."""
    write_bytes(path, to_json(value).encode())


def draw_picture(shape: str, id_: str, size_px: int = 96) -> bytes:
    """Return a JPEG of one shape on a cluttered ground, the same for the same id."""
    rng = np.random.default_rng(zlib.crc32(id_.encode("utf-8", "surrogatepass")))
    coarse = rng.integers(60, 200, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((size_px, size_px), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(7):
        pen.line(rng.integers(0, size_px, 4).tolist(), fill=tuple(rng.integers(40, 220, 3).tolist()), width=2)
    centre = size_px / 2 + rng.integers(-8, 9, 2)
    radius, turn_deg = size_px * rng.uniform(0.22, 0.36), rng.uniform(0, 360)
    colour = tuple(rng.integers(0, 256, 3).tolist())
    box = [*(centre - radius), *(centre + radius)]
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "ring":
        pen.ellipse(box, outline=colour, width=7)
    elif shape == "moon":
        pen.chord(box, turn_deg, turn_deg + 200, fill=colour)
    else:
        corners = POLYGONS.get(shape, [(72 * k, 1.0) for k in range(5)])
        turned = [(math.radians(angle + turn_deg), radius * far) for angle, far in corners]
        pen.polygon([(centre[0] + r * math.cos(a), centre[1] + r * math.sin(a)) for a, r in turned], fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def describe(name: str, names: Sequence[str], kind: str, unit: str = "") -> dict[str, Any]:
    """Return run.json without its result."""
    shares = np.linspace(1.4, 0.6, len(names)) / np.linspace(1.4, 0.6, len(names)).sum()
    task, monitor, mode = TASKS[kind]
    info: dict[str, Any] = {
        "schema": 1,
        "kind": "run",
        "name": name,
        "created": "2026-11-20T20:00:00+00:00",
        "status": "finished",
        "command": "striate train /home/teacher/data/shapes --model bipyramid --recipe regularized --seed 0",
        "dataset": {
            "name": "shapes",
            "where": "/home/teacher/data/shapes",
            "fingerprint": "8d1f0c22a3b94e11",
            "counts": COUNTS,
            "classes": [] if kind == "value" else list(names),
            "channels": 3,
            "notes": ["No split was given: 70/15/15, stratified by class, seed 0."],
            "options": {"per_class": 200, "root": None},
            "findings": [
                {"kind": "imbalance", "severity": "note", "count": 10, "text": "The largest class has 2.3 times ..."},
                {"kind": "duplicate", "severity": "warning", "count": 6, "text": "6 images are exact copies."},
            ],
        },
        "task": {
            "name": task,
            "target": "angle" if unit == "deg" else "label",
            "kind": kind,
            "names": list(names),
            "unit": unit,
            "monitor": "mean_error_deg" if unit == "deg" else monitor,
            "monitor_mode": mode,
        },
        "recipe_name": "regularized",
        "recipe": RECIPE,
        "model": {"name": "bipyramid", "parameters": 1_214_602, "macs": 21_480_960, "depth": 6, "blueprint": BLUEPRINT},
        "input": {"size_px": 64, "fit": "crop", "margin": 1.15, "channels": 3},
        "seed": 0,
        "batch_size": 64,
        "versions": {"python": "3.11.13", "striate": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1"},
        "device": {"type": "cpu", "name": "AMD EPYC 9B14", "threads": 2, "cpus": 2, "system": "Linux-6.1"},
        "precision": {"name": "bf16", "trial": {"float32_ms": 148.2, "bf16_ms": 61.7}},
    }
    if kind != "value":
        rng = np.random.default_rng(5)
        counts = {split: rng.multinomial(count, shares).tolist() for split, count in COUNTS.items()}
        info["dataset"]["class_counts"] = counts
    return info


def _row(block: str, width: int = 0, name: str = "", **options: Any) -> dict[str, Any]:
    return {"block": block, "width": width, "repeat": 1, "stride": 1, "inputs": [], "options": options, "name": name}


BLUEPRINT = {
    "name": "bipyramid",
    "rows": [
        *(_row("conv", 32 * 2**k, f"stage{k + 1}", kernel=3, norm="batch") for k in range(4)),
        _row("global_pool"),
        _row("linear", name="head", dropout=0.3),
    ],
}


def history(best: float, overfit: int | None, metric: str, rng: np.random.Generator, epochs: int = 30) -> list[Any]:
    """Return a list of epochs whose validation loss turns upward after `overfit`."""
    rows, top = [], -math.inf
    for epoch in range(1, epochs + 1):
        rise = 1 - math.exp(-epoch / (epochs / 5))
        late = max(0, epoch - overfit) / epochs if overfit else 0.0
        fit = 0.1 + (best - 0.1) * rise - 0.06 * late + rng.normal(0, 0.006)
        train_fit = min(0.999, 0.1 + (best - 0.1) * rise * 1.02 + (0.5 * late if overfit else -0.02) * (1 - best))
        val_loss = 2.1 * (1 - rise) + 1.8 * (1 - best) + 1.1 * late + rng.normal(0, 0.012)
        train_loss = 2.15 * (1 - rise) + (0.12 if overfit else 0.32) - 0.1 * late
        if metric in ("rmse", "mean_error_deg"):
            fit, train_fit = 96 - 95 * fit, 96 - 95 * train_fit
        is_best = (-fit if metric in ("rmse", "mean_error_deg") else fit) > top
        top = max(top, -fit if metric in ("rmse", "mean_error_deg") else fit)
        rows.append(
            {
                "epoch": epoch,
                "step": epoch * 22,
                "lr": 0.0005 * (1 + math.cos(math.pi * epoch / epochs)),
                "time_s": 2.7,
                "train": {"loss": max(0.02, train_loss), metric: train_fit},
                "val": {"loss": max(0.05, val_loss), metric: fit},
                "is_best": bool(is_best),
                "images_per_s": 1180 + rng.normal(0, 30),
            }
        )
    return rows


def write_run(
    path: Path,
    kind: str = "label",
    *,
    names: Sequence[str] = SHAPES,
    unit: str = "",
    name: str = "bipyramid regularized",
    skill: float = 3.3,
    seed: int = 0,
    num_pictures: int = 120,
    images: dict[str, int] | None = None,
    overfit: int | None = 18,
    **changes: Any,
) -> RunDir:
    """Write a finished run folder; `changes` replaces parts of run.json. The truth is the same for every seed."""
    run, rng, truth_rng = RunDir(path), np.random.default_rng(seed), np.random.default_rng(99)
    write = {"label": _write_labels, "tags": _write_tags, "value": _write_values}[kind]
    info = describe(name, names, kind, unit) | {"seed": seed} | changes
    scores, rows, wanted = {}, [], []
    for split, count in (images or {"val": 300, "test": 300}).items():
        scores[split], found, pictured = write(split, names, skill, count, truth_rng, rng)
        rows += found
        wanted += [(split, id_, shape) for id_, shape in pictured[: num_pictures if split == "test" else 6]]
    metric = info["task"]["monitor"]
    best = scores["val"][metric] if kind != "value" else 0.9
    epochs = history(best, overfit, metric, rng)
    info.setdefault("result", _result(epochs, overfit))
    write_json(path / "run.json", info)
    write_json(path / "scores.json", scores)
    write_bytes(path / "history.jsonl", "".join(to_json(row) + "\n" for row in epochs).encode())
    _write_csv(run.predictions, _header(kind, names), rows)
    index = {}
    for number, (split, id_, shape) in enumerate(wanted):
        index[f"{split}/{id_}"] = f"{split}-{number:04d}.jpg"
        write_bytes(path / "pictures" / f"{split}-{number:04d}.jpg", draw_picture(shape, id_))
    write_json(path / "pictures" / "index.json", index)
    return run


def _result(epochs: list[Any], overfit: int | None) -> dict[str, Any]:
    return {
        "epochs": len(epochs),
        "best_epoch": max(row["epoch"] for row in epochs if row["is_best"]),
        "stopped": "finished",
        "time_s": 81.2,
        "train_images_per_s": 1184.0,
        "overfit_epoch": overfit,
        "peak_memory_mb": 734.5,
        "skipped": 0,
    }


def cell(value: Any) -> Any:
    """Return a CSV cell guarded against formula injection."""
    return "'" + value if isinstance(value, str) and value[:1] in tuple("=+-@") else value


def _header(kind: str, names: Sequence[str]) -> list[str]:
    if kind == "value":
        return ["split", "id", *(f"truth:{n}" for n in names), *(f"prediction:{n}" for n in names), "error", "loss"]
    return ["split", "id", "truth", "prediction", "correct", "loss", *(f"p:{name}" for name in names)]


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    write_bytes(path, buffer.getvalue().encode("utf-8", "surrogateescape"))


def _write_labels(split: str, names: Any, skill: float, count: int, truth_rng: Any, rng: Any) -> Any:
    truth = truth_rng.integers(0, len(names), count)
    logits = rng.normal(0, 1.2, (count, len(names)))
    logits[np.arange(count), truth] += skill
    for index, label in enumerate(truth):
        if rng.random() < 0.3 and CONFUSABLE.get(label, len(names)) < len(names):
            logits[index, CONFUSABLE[label]] += skill * 0.9
    scaled = np.exp(1.6 * (logits - logits.max(1, keepdims=True)))
    p = scaled / scaled.sum(1, keepdims=True)
    said, losses = p.argmax(1), np.abs(np.log(np.clip(p[np.arange(count), truth], 1e-12, 1)))
    ids = [f"{names[label]}/{split}_{index:05d}.jpg" for index, label in enumerate(truth)]
    rows = [
        [split, ids[i], names[truth[i]], names[said[i]], int(truth[i] == said[i]), f"{losses[i]:.6f}"]
        + [f"{value:.6f}" for value in p[i]]
        for i in range(count)
    ]
    order = sorted(range(count), key=lambda i: -losses[i])
    return label_scores(truth, p, losses, names), rows, [(ids[i], names[truth[i]]) for i in order]


def label_scores(truth: Any, p: Any, losses: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the scores of a classifier, computed in the plainest way."""
    said, confidence, right = p.argmax(1), p.max(1), p.argmax(1) == truth
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (truth, said), 1)
    rows = [_class_row(name, confusion, k) for k, name in enumerate(names)]
    bins = [_bin(confidence, right, k / 15, (k + 1) / 15) for k in range(15)]
    accuracy, half = right.mean(), 1.96 * math.sqrt(max(right.mean() * (1 - right.mean()), 1e-9) / len(truth))
    return {
        "num_images": len(truth),
        "accuracy": accuracy,
        "balanced_accuracy": np.mean([row["recall"] for row in rows if row["recall"] is not None]),
        "macro_f1": np.mean([row["f1"] for row in rows if row["f1"] is not None]),
        "loss": losses.mean(),
        "ece": sum(b["count"] * abs(b["confidence"] - b["accuracy"]) for b in bins if b["count"]) / len(truth),
        "intervals": {"accuracy": [accuracy - half, min(1.0, accuracy + half)]},
        "confusion": confusion,
        "per_class": rows,
        "calibration": bins,
    }


def _class_row(name: str, confusion: Any, k: int) -> dict[str, Any]:
    hit, given, support = confusion[k, k], confusion[:, k].sum(), confusion[k].sum()
    return {
        "name": name,
        "precision": hit / given if given and support else None,
        "recall": hit / support if support else None,
        "f1": 2 * hit / (given + support) if support else None,
        "support": support,
    }


def _bin(confidence: Any, right: Any, lower: float, upper: float) -> dict[str, Any]:
    inside = (confidence > lower) & (confidence <= upper)
    means = (confidence[inside].mean(), right[inside].mean()) if inside.any() else (None, None)
    return {"lower": lower, "upper": upper, "confidence": means[0], "accuracy": means[1], "count": inside.sum()}


def _write_tags(split: str, names: Any, skill: float, count: int, truth_rng: Any, rng: Any) -> Any:
    truth = truth_rng.random((count, len(names))) < 0.25
    logits = rng.normal(0, 1.3, truth.shape) + np.where(truth, skill * 0.6, -skill * 0.6)
    p = 1 / (1 + np.exp(-logits))
    said, losses = p > 0.5, -np.log(np.where(truth, p, 1 - p)).mean(1)
    hits, support, given = (truth & said).sum(0), truth.sum(0), said.sum(0)
    f1 = 2 * hits.sum() / (support.sum() + given.sum())
    per_tag = [
        {
            "name": name,
            "ap": 0.95 - 0.02 * k,
            "f1": 2 * hits[k] / (support[k] + given[k]),
            "recall": hits[k] / support[k],
            "precision": hits[k] / given[k],
            "support": support[k],
        }
        for k, name in enumerate(names)
    ]
    scores = {
        "num_images": count,
        "f1": f1,
        "exact_match": (truth == said).all(1).mean(),
        "mean_average_precision": 0.86,
        "loss": losses.mean(),
        "ece": 0.03,
        "intervals": {"f1": [f1 - 0.02, f1 + 0.02]},
        "per_class": per_tag,
        "calibration": [_bin(p.ravel(), truth.ravel(), k / 15, (k + 1) / 15) for k in range(15)],
    }
    rows = []
    for i in range(count):
        cells = ["|".join(_escaped(n) for n, on in zip(names, row[i], strict=True) if on) for row in (truth, said)]
        right = int((truth[i] == said[i]).all())
        rows.append([split, f"img_{i:05d}.jpg", *cells, right, f"{losses[i]:.6f}", *(f"{v:.6f}" for v in p[i])])
    order = sorted(range(count), key=lambda i: -losses[i])
    return scores, rows, [(f"img_{i:05d}.jpg", names[int(truth[i].argmax())]) for i in order]


def _escaped(tag: str) -> str:
    return tag.replace("\\", "\\\\").replace("|", "\\|")


def _write_values(split: str, names: Any, skill: float, count: int, truth_rng: Any, rng: Any) -> Any:
    """Numbers 0..360; compared the short way round only when the single field is an angle."""
    truth = truth_rng.uniform(0, 360, (count, len(names)))
    wild = rng.random(truth.shape) < 0.05
    said = (truth + rng.normal(0, 5, truth.shape) + np.where(wild, rng.normal(0, 70, truth.shape), 0)) % 360
    is_angle = len(names) == 1
    errors = np.abs((said - truth + 180) % 360 - 180) if is_angle else np.abs(said - truth)
    error = errors.mean(1)
    scores = {
        "num_images": count,
        "loss": 0.05,
        "rmse": math.sqrt((errors**2).mean()),
        "mae": error.mean(),
        "mean_error_deg": error.mean(),
        "within_10_deg": (errors < 10).mean(),
        "intervals": {
            "mean_error_deg": [error.mean() - 0.8, error.mean() + 0.9],
            "rmse": [math.sqrt((errors**2).mean()) * k for k in (0.9, 1.1)],
        },
        "per_field": [
            {"name": n, "rmse": 6.1, "mae": e.mean(), "r2": 0.97} for n, e in zip(names, errors.T, strict=True)
        ],
    }
    ids = [f"angle/{split}_{i:05d}.png" for i in range(count)]
    rows = [
        [split, ids[i], *(f"{v:.9g}" for v in (*truth[i], *said[i])), f"{error[i]:.6f}", "0.05"] for i in range(count)
    ]
    return scores, rows, [(ids[i], "arrow") for i in np.argsort(-error)]
