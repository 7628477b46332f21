"""The protocol of a task, and the table of tasks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from striate.base.choose import choose
from striate.base.errors import DataError, SettingsError
from striate.data.sample import Target


@dataclass(frozen=True)
class Decoded:
    """Predictions of N images, on the CPU.

    `probabilities` (N, K) for classes and tags, else None; `values` (N, D) for numbers in the target's unit, class
    indices (N,) for labels, 0/1 (N, K) for tags.
    """

    values: Tensor
    probabilities: Tensor | None = None


class Task(Protocol):
    """What the engine, the study and the reports know of a task."""

    name: str
    target: str
    kind: str
    names: tuple[str, ...]
    unit: str
    monitor: str
    monitor_mode: str

    @property
    def num_outputs(self) -> int:
        """Numbers the network's head must give for an image."""

    def loss(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named parts of the training loss (scalars); the engine minimises their sum."""

    def losses(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """Return the plain loss of each image (N,), without smoothing or weights."""

    def tally(self, outputs: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Return sums over the batch, a 1-D float tensor on the device that adds up over batches."""

    def summarise(self, sums: Tensor) -> dict[str, float]:
        """Return the scores of an epoch from added-up tallies; `loss` and `monitor` are among them."""

    def decode(self, outputs: Tensor) -> Decoded:
        """Return predictions from the outputs of the network."""

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to make this task again."""


class Described:
    """A task that is a frozen dataclass: what describes it, and the way back. Its tuples are lists in a description."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the task described by `to_json`."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}  # type: ignore[arg-type]
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})

    def to_json(self) -> dict[str, Any]:
        """Return a plain description."""
        shared = ("name", "kind", "unit", "monitor", "monitor_mode")
        return {name: getattr(self, name) for name in shared} | asdict(self)  # type: ignore[call-overload]


def _tasks() -> dict[str, Any]:
    from .classify import Classify
    from .regress import Regress
    from .tag import Tag

    return {"classify": Classify, "tag": Tag, "regress": Regress}


TASKS: dict[str, str] = {"label": "classify", "tags": "tag", "value": "regress"}


def for_target(name: str, target: Target, train_values: Any, **options: Any) -> Task:
    """Return the task that predicts `target`.

    Args:
        name: the target's name in the dataset.
        target: the target; its kind decides the task.
        train_values: the target's values on the training split (for class weights and scales).
        options: settings of the task, such as `label_smoothing` or `is_balanced`.

    Raises:
        DataError: no task predicts targets of this kind yet.
    """
    if target.kind not in TASKS:
        raise DataError(
            f"no task predicts targets of kind {target.kind!r}",
            where=name,
            fix=f"choose a target of kind {', '.join(TASKS)}",
        )
    task: Task = _tasks()[TASKS[target.kind]].fit(name, target, train_values, **options)
    return task


def from_json(values: Mapping[str, Any]) -> Task:
    """Return the task that `to_json` described.

    Raises:
        SettingsError: the task's name is unknown.
    """
    cls = choose("task", str(values.get("name")), _tasks(), SettingsError)
    task: Task = cls.from_json(values)
    return task


def mean_scores(sums: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    """Return each sum divided by the image count, which is the last entry."""
    *totals, count = sums.double().cpu().tolist()
    return {name: total / count if count else float("nan") for name, total in zip(names, totals, strict=True)}


def counted(*sums: Tensor, count: int) -> Tensor:
    """Return sums and the image count as one 1-D tensor."""
    wide = torch.float64 if any(value.dtype == torch.float64 for value in sums) else torch.float32
    stacked = torch.stack([value.detach().to(wide) for value in sums])
    return torch.cat([stacked, stacked.new_full((1,), float(count))])
