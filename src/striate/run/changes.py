"""What must be the same when a run goes on as it was when it began."""

import json
from pathlib import Path
from typing import Any

from striate.base.errors import ModelError
from striate.base.files import to_json
from striate.base.run_info import RunInfo
from striate.base.text import shown
from striate.data.sample import Dataset
from striate.engine import checkpoint

from .longer import as_begun
from .prepare import describe_dataset, is_same_data, restore_or_fork


def refuse_changes(info: RunInfo, state: checkpoint.State | None, dataset: Dataset, path: Path) -> None:
    """Refuse to go on where something is not what it was.

    Raises:
        ModelError: the dataset, the recipe or another setting has changed; its details are a table of them.
    """
    before, now = info["dataset"], describe_dataset(dataset, info["task"]["target"])
    pairs = [] if is_same_data(before, now) else [("dataset", before["fingerprint"][:12], now["fingerprint"][:12])]
    classes = before.get("classes", now["classes"])
    if classes != now["classes"]:
        pairs.append(("classes", ", ".join(classes), ", ".join(now["classes"])))
    then, now_fixed = (state.document, fixed_of(info)) if state else ({}, {})
    old = then.get("fixed") or {"recipe": then.get("recipe", info["recipe"])}  # which older checkpoints have
    if "longer_since" in info:
        old = as_begun(old, info)
    new = {name: now_fixed.get(name, info["recipe"]) for name in old}
    pairs += [(name.removeprefix("recipe."), shown(a, 60), shown(b, 60)) for name, a, b in _differences(old, new)]
    if pairs:
        width = max(len(name) for name, _, _ in pairs)
        table = tuple(f"  {name:<{width}}  run: {a}  now: {b}" for name, a, b in pairs)
        raise ModelError(
            f"{pairs[0][0]} changed since the run began",
            where=path,
            fix=restore_or_fork(path),
            details=table,
        )


def fixed_of(info: RunInfo) -> dict[str, Any]:
    """Return what must be the same for every part of a run, as its checkpoints hold it."""
    found = {name: info[name] for name in ("recipe", "seed", "task", "batch_size", "num_epochs", "input", "augment")}
    fixed = {**found, "precision": info["precision"]["name"], "blueprint": info["model"]["blueprint"]}
    return dict(json.loads(to_json({**fixed, "is_test_open": info.get("is_test_open", True)})))


def _differences(before: dict[str, Any], now: dict[str, Any], path: str = "") -> list[tuple[str, Any, Any]]:
    found = []
    for key in sorted(before.keys() | now.keys()):
        a, b = before.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{path}{key}.")
        elif a != b:
            found.append((f"{path}{key}", a, b))
    return found
