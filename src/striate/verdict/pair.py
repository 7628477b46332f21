"""Runs beside one another, without a study: the settings that differ, and the paired difference of their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from striate.base.errors import ModelError, SettingsError
from striate.base.numbers import number
from striate.base.run_info import RunInfo
from striate.base.rundir import RunDir
from striate.base.settings_text import differing, flatten, write
from striate.evaluate.interval import Difference, paired_difference
from striate.evaluate.predictions import Predictions, read
from striate.metric import Metric
from striate.task.monitor import monitor_of


@dataclass(frozen=True)
class Comparison:
    """Runs against the first of them, on the split that all were scored on.

    `differences[i]` is run i + 1 minus run 0 in the metric's own unit; None where it is not known, `reasons[i]` says
    why. The interval of two single runs covers the choice of images, not the luck of the seeds.
    """

    runs: tuple[RunDir, ...]
    metric: Metric
    split: str
    num_images: int
    scores: tuple[float | None, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    differences: tuple[Difference | None, ...]
    reasons: tuple[str, ...]


def compare_runs(runs: Sequence[RunDir]) -> Comparison:
    """Return finished runs of one task beside one another, the first as what the others are compared with.

    Raises:
        ModelError: a folder is no run, a run is not finished, or their tasks differ.
        SettingsError: there are fewer than two runs, or one is given twice.
    """
    if len({run.path.resolve() for run in runs}) < max(2, len(runs)):
        raise SettingsError("compare takes two different runs or more", where="RUN", fix="name their folders")
    infos = [run.info() for run in runs]
    metric = _metric(runs, infos)
    split = next((one for one in ("test", "val") if all(one in run.scores() for run in runs)), None)
    if split is None:
        raise ModelError("the runs were not scored on one split", where=runs[0].path, fix="see `striate evaluate RUN`")
    tables = [_table(run, info, split) for run, info in zip(runs, infos, strict=True)]
    found = [_difference(metric, tables[0], table) for table in tables[1:]]
    rows = differing([_settings(info) for info in infos])
    return Comparison(
        tuple(runs),
        metric,
        split,
        len(tables[0]),
        tuple(number(run.scores()[split].get(metric.key)) for run in runs),
        tuple((name, tuple(values)) for name, values in rows),
        tuple(one for one, _ in found),
        tuple(reason for _, reason in found),
    )


def _metric(runs: Sequence[RunDir], infos: Sequence[RunInfo]) -> Metric:
    """The metric that all are judged by."""
    for run, info in zip(runs, infos, strict=True):
        if info["status"] != "finished":
            raise ModelError(
                f"the run is {info['status']}", where=run.path, fix=f"finish it: `striate resume {run.path}`"
            )
    metrics = [monitor_of(info["task"]) for info in infos]
    for run, metric in zip(runs, metrics, strict=True):
        if metric.key != metrics[0].key:
            what = f"judged by {metric.key}, {runs[0].path.name} by {metrics[0].key}"
            raise ModelError(what, where=run.path, fix="compare runs of one task")
    return metrics[0]


def _settings(info: RunInfo) -> dict[str, str]:
    recipe = {key: value for key, value in info["recipe"].items() if key != "text"}
    data = info["dataset"]
    counts = {f"{split} images": write(count) for split, count in data["counts"].items()}
    own: dict[str, Any] = {"seed": info["seed"], "batch size": info["batch_size"]}
    size = info["input"].get("size_hw") or info["input"].get("size_px")
    return {
        "network": info["model"]["name"],
        "parameters": f"{info['model']['parameters']:,}",
        "data": data["name"],
        "fingerprint of the data": data["fingerprint"][:12],
        **counts,
        "input size": write(size),
        **{name: write(value) for name, value in own.items()},
        **flatten(recipe),
    }


def _table(run: RunDir, info: RunInfo, split: str) -> Predictions:
    tables = read(run.predictions, dict(info["task"]), only={split})
    if split not in tables:
        raise ModelError(f"no row of split {split}", where=run.predictions, fix="see `striate evaluate RUN`")
    return tables[split]


def _difference(metric: Metric, first: Predictions, other: Predictions) -> tuple[Difference | None, str]:
    """Other minus first image by image, or None and why not."""
    if reason := first.difference(other):
        return None, f"scored on other {reason}"
    a, b = (metric.per_image(table)[table.order] for table in (other, first))
    return paired_difference(a[None], b[None], possible=metric.possible), ""
