"""Study folders written from planted numbers: what is right about each image is drawn, not trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.base.files import to_json
from striate.base.rundir import StudyDir
from striate.evaluate.scores import scores_of
from striate.evaluate.table import Predictions, write_predictions

CLASSES = ("cat", "dog", "bird", "frog")


def label_table(right: np.ndarray, truth: np.ndarray, prefix: str) -> Predictions:
    """Return a table of labels in which `right` (N,) says which images are right."""
    num = len(CLASSES)
    said = np.where(right, truth, (truth + 1) % num)
    p = np.full((len(truth), num), 0.1)
    p[np.arange(len(truth)), said] = 0.7
    ids = tuple(f"{CLASSES[label]}/{prefix}{i}.jpg" for i, label in enumerate(truth))
    losses = -np.log(p[np.arange(len(truth)), truth])
    return Predictions("label", CLASSES, ids, truth, said, losses.astype(np.float32), p.astype(np.float32))


def angle_table(errors: np.ndarray, truth: np.ndarray, prefix: str) -> Predictions:
    """Return a table of angles with these errors (N,) in degrees."""
    ids = tuple(f"{prefix}{i}.png" for i in range(len(truth)))
    losses = (errors / 180).astype(np.float32)
    said = (truth + errors) % 360
    return Predictions("value", ("angle",), ids, truth[:, None], said[:, None], losses, None, np.abs(errors), "deg")


def epochs(num: int, turn: int | None, scores: Mapping[str, float], metric: str) -> list[dict[str, Any]]:
    """Return a history whose validation loss rises after epoch `turn`."""
    rows = []
    for epoch in range(1, num + 1):
        rise = 0.05 * max(0, epoch - turn) if turn else 0.0
        val, train = 2 / epoch + rise, 1.8 / epoch
        rows.append(
            {
                "epoch": epoch,
                "train": {"loss": train, metric: scores["train"]},
                "val": {"loss": val, metric: scores["val"]},
                "is_best": epoch == num,
            }
        )
    return rows


class Writer:
    """Writes a study: `add` runs, then read it as a StudyDir."""

    def __init__(
        self, path: Path, kind: str = "label", seeds: Sequence[int] = (0, 1, 2), folds: int | None = None
    ) -> None:
        self.study, self.kind, self.seeds, self.folds = StudyDir(path), kind, list(seeds), folds
        self.metric, mode, unit = ("accuracy", "max", "") if kind == "label" else ("mean_error_deg", "min", "deg")
        names = list(CLASSES) if kind == "label" else ["angle"]
        self.task = {"name": "classify" if kind == "label" else "regress", "target": "label", "kind": kind}
        self.task |= {"names": names, "unit": unit, "monitor": self.metric, "monitor_mode": mode}
        self.variants: list[dict[str, Any]] = []
        self.path = path

    def plan(self, *names: str, baseline: str = "baseline") -> StudyDir:
        """Write study.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        variants = [
            {"name": name, "text": f"the {name}", "model": "m", "recipe_name": name, "recipe": {}} for name in names
        ]
        info = {"name": "s", "seeds": self.seeds, "folds": self.folds, "baseline": baseline, "variants": variants}
        self.study.save_info({**info, "status": "finished"})
        return self.study

    def run(
        self,
        name: str,
        seed: int,
        tables: Mapping[str, Predictions],
        *,
        fold: int | None = None,
        train: float = 0.9,
        turn: int | None = None,
        time_s: float = 60.0,
        parameters: int = 389_000,
        status: str = "finished",
        **scores: Any,
    ) -> None:
        """Write one run folder; `scores` replace scores of the validation split."""
        run = self.study.run(name, seed, fold)
        run.path.mkdir(parents=True)
        found = {split: scores_of(self.kind, table, table.names, self.task["unit"]) for split, table in tables.items()}
        found["val"] |= scores
        history = epochs(20, turn, {"train": train, "val": found["val"][self.metric] or 0.0}, self.metric)
        (run.path / "history.jsonl").write_text("".join(to_json(row) + "\n" for row in history))
        (run.path / "scores.json").write_text(to_json(found))
        result = {"epochs": 20, "best_epoch": 20, "stopped": "finished", "time_s": time_s, "overfit_epoch": turn}
        model = {"name": "m", "parameters": parameters, "macs": 10 * parameters}
        run.save_info(
            {"name": name, "status": status, "task": self.task, "model": model, "seed": seed, "result": result}
        )
        write_predictions(run.predictions, tables)


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Writer]:
    """A writer of a study below the test's folder."""
    return lambda **options: Writer(tmp_path / "study", **options)


@pytest.fixture
def plant(write_study: Callable[..., Writer]) -> Callable[..., StudyDir]:
    """Write a study with planted skills; `writer` holds options of the writer."""
    return lambda skills, writer=None, **options: planted(write_study(**(writer or {})), skills, **options)


@pytest.fixture
def make_labels() -> Callable[..., Predictions]:
    """`label_table`."""
    return label_table


@pytest.fixture
def make_angles() -> Callable[..., Predictions]:
    """`angle_table`."""
    return angle_table


def planted(
    writer: Writer,
    skills: Mapping[str, float],
    *,
    num_test: int = 400,
    num_val: int = 400,
    luck: float = 0.01,
    seed: int = 0,
    runs: Mapping[str, Mapping[str, Any]] | None = None,
) -> StudyDir:
    """Write a study whose variants are right with these probabilities; seeds add luck, images their difficulty."""
    rng = np.random.default_rng(seed)
    truth = {"val": rng.integers(0, 4, num_val), "test": rng.integers(0, 4, num_test)}
    ease = {split: rng.normal(0, 0.15, len(found)) for split, found in truth.items()}
    study = writer.plan(*skills)
    for name, skill in skills.items():
        for number in writer.seeds:
            own = skill + luck * rng.normal()
            tables = {
                split: label_table(rng.random(len(found)) < np.clip(own + ease[split], 0, 1), found, f"{split}-")
                for split, found in truth.items()
            }
            writer.run(name, number, tables, **(runs or {}).get(name, {}))
    return study
