"""What every task has unless it says otherwise: scores from its metrics, its description, views, a drawing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import DataError, SettingsError
from striate.base.plugin import Plugin
from striate.base.progress import Progress
from striate.base.settings import Settings
from striate.data.geometry import WayBack
from striate.data.originals import Originals
from striate.data.sample import Batch, Dataset, See
from striate.data.target import Target
from striate.data.target.palette import backgrounds
from striate.metric import Answers, Metric

from . import tally
from .answer import Answer, class_answers, map_answers, number_answers
from .head import Head, Map, Pyramid, Vector
from .objective import Objective, Which, chosen, region, single
from .protocol import Decoded, Outputs, answers_of
from .series import Question, Step
from .temperature import Temperature
from .views import Merge, View, each, merged, undo

SHARED = ("name", "kind", "unit", "monitor", "monitor_mode")  # in every description, whether field or not


@dataclass(frozen=True)
class Defaults:
    """A task that says only what is its own. A subclass gives `name`, `kinds` or `target_names`, `metrics`, a `loss`
    or `losses`, and `decode`; a head of its own where it is not one number a name.

    `kinds`: of targets it can predict, one at a time · `target_names`: those it predicts together, by name ·
    `metrics`: see `striate.metric` · `views`: how the outputs of several views of an image are merged, see
    `task.views`; None refuses them · `is_placed`: whether answers name places in the image; maps do ·
    `finds_things`: whether they are any number of objects ·
    `is_mixable`: whether `loss` takes shares of classes, as mixup makes them ·
    `Options`: the settings `task.NAME` of a recipe that it takes; `fit` gets them, checked, as `options` ·
    `steps`, `more_steps`, `pretrained_steps`: what a study compares that names no variants, see `task.series`; the
    second on demand, the third where weights are given ·
    `questions` those steps answer · `regions`: keys of two metrics, of the places where a part of a network should
    help and of all others, by which the answer says where it helps.
    """

    target: str
    names: tuple[str, ...] = ()
    name: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ()
    target_names: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[Sequence[Metric]] = ()
    views: ClassVar[Merge | None] = None
    is_mixable: ClassVar[bool] = False
    is_placed: ClassVar[bool] = False
    finds_things: ClassVar[bool] = False
    Options: ClassVar[type[Settings]] = Settings
    steps: ClassVar[Sequence[Step]] = ()
    more_steps: ClassVar[Sequence[Step]] = ()
    pretrained_steps: ClassVar[Sequence[Step]] = ()
    questions: ClassVar[Sequence[Question]] = ()
    regions: ClassVar[tuple[str, str] | None] = None
    plugin: ClassVar[Plugin | None] = None
    temperature: ClassVar[Temperature | None] = None
    usual_fit: ClassVar[str] = "crop"
    usual_px: ClassVar[int] = 64

    @classmethod
    def fit(cls, targets: Mapping[str, Target], train: npt.NDArray[np.intp], **settings: Any) -> Self:
        """Return the task for these targets; of several each number has the name of its target.

        Args:
            targets: those to predict, by name.
            train: the training images.
            settings: `label_smoothing`, which is left to tasks that have a use for it, `is_balanced`, whether
                classes weigh by their frequency, and `options`, an instance of `Options`.

        Raises:
            SettingsError: classes are to weigh, which this task does not know of.
        """
        if settings.get("is_balanced"):
            what = f"the task {cls.name} has no weights of classes"
            raise SettingsError(what, where="data.balance", fix="set data.balance=sampling or none")
        first, *others = targets
        if others:
            names = tuple(column for name, target in targets.items() for column in target.columns(name))
        else:
            names = targets[first].names or (first,)
        return cls(first, names)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of all targets that are predicted."""
        return self.target_names or (self.target,)

    @property
    def kind(self) -> str:
        """How an answer is laid out: "map" for a head of maps, else "value", numbers."""
        return "map" if isinstance(self.head, Map | Pyramid) else "value"

    @property
    def unit(self) -> str:
        """Of the numbers."""
        return ""

    @property
    def monitor(self) -> str:
        """The key of the metric that chooses the best epoch: the first."""
        return str(self.metrics[0].key)

    @property
    def monitor_mode(self) -> str:
        """Whether more of the monitored metric is better, "max", or less, "min"."""
        return str(next(metric.direction for metric in self.metrics if metric.key == self.monitor))

    @property
    def head(self) -> Head:
        """One number a name."""
        return Vector(len(self.names))

    @property
    def num_outputs(self) -> int:
        """Numbers an image, or channels of a map."""
        return self.head.outputs

    @property
    def prior(self) -> tuple[float, ...] | None:
        """None: outputs start near 0."""
        return None

    @property
    def scale(self) -> int:
        """1: what is made has the size of what comes in."""
        return 1

    @property
    def see(self) -> See | None:
        """Nothing: the network gets the batch as it is."""
        return None

    def taken(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the image as it is."""
        return image

    def with_levels(self, mean: Sequence[float], std: Sequence[float]) -> Self:
        """Return the task as it is."""
        return self

    def inputs(self, dataset: Dataset, size_hw: tuple[int, ...], progress: Progress) -> dict[str, Target]:
        """Return nothing: the network gets images alone."""
        return {}

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Outputs:
        """Return the network's outputs for the images."""
        return network(batch.images, **options)

    def explained(self, network: nn.Module) -> nn.Module:
        """Return the network as it is."""
        return network

    def timed(self, network: nn.Module, batch: Batch) -> dict[str, float]:
        """Return nothing: the network is all of it."""
        return {}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the mean over the batch of `losses`."""
        return {"loss": self.losses(outputs, batch).mean()}

    def losses(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the loss of each image (N,): that of a batch of it alone. A loss over the batch makes this slow."""
        alone = (
            (each(lambda values: values[index : index + 1], outputs), batch.part(slice(index, index + 1)))  # noqa: B023
            for index in range(len(batch))
        )
        return torch.stack([torch.stack(list(self.loss(*one).values())).sum() for one in alone])

    def decode(self, outputs: Outputs) -> Decoded:
        """Return the outputs as they are."""
        return Decoded(outputs.float())

    def exact(self, outputs: Outputs) -> Decoded:
        """Return what `decode` does."""
        return self.decode(outputs)

    def answers(self, decoded: Decoded) -> list[Answer]:
        """Return maps where the head gives maps, classes where there are probabilities, else numbers."""
        if isinstance(self.head, Map | Pyramid):
            return map_answers(self.names, decoded)
        make = number_answers if decoded.probabilities is None else class_answers
        return make(self.names, decoded)

    def truth(self, batch: Batch) -> Tensor:
        """Return the target; of several targets their numbers side by side (N, D)."""
        if len(self.targets) == 1:
            truth: Tensor = batch.targets[self.target]
            return truth
        return torch.cat([batch.targets[name].reshape(len(batch), -1).double() for name in self.targets], 1)

    def region_text(self, size_hw: tuple[int, ...]) -> str:
        """Return what the first of `regions` is, in images of this size, such as "within 2 px of a boundary"."""
        return ""

    def tally(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return a row an image, see `task.tally`."""
        return self.tally_rows(outputs, batch, self.losses(outputs, batch))

    def tally_rows(self, outputs: Outputs, batch: Batch, losses: Tensor) -> Tensor:
        """Return what `tally` does, from the loss of each image (N,)."""
        if batch.images.device.type != "cpu":
            rows = tally.of_answers(self.decode(outputs), self.truth(batch), losses)
            if rows is not None:
                return rows
        return tally.of_records(self.metrics, answers_of(self, outputs, batch, losses))

    def add(self, before: Tensor, rows: Tensor) -> Tensor:
        """Return the rows of both."""
        return torch.cat([before, rows])

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return the mean loss and the value of each metric over all rows; nan where it is not defined."""
        return {"loss": math.nan, self.monitor: math.nan} if rows is None else tally.scores(self.metrics, rows)

    def noted(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return nothing."""
        return {}

    def placed(self, answers: Answers, originals: Originals, indices: npt.NDArray[np.intp]) -> Answers:
        """Return the answers as they are."""
        return answers

    def settled(self, answers: Answers) -> Self:
        """Return the task as it is."""
        return self

    def at_own_size(self, outputs: Outputs, ways: Sequence[WayBack]) -> list[npt.NDArray[Any]] | None:
        """Return nothing: scores are of what the network saw."""
        return None

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return nothing beside the metrics."""
        return {}

    @property
    def point_names(self) -> tuple[str, ...]:
        """Of the key points that each object has: none."""
        return ()

    @property
    def choices(self) -> tuple[str, ...]:
        """The names, where there is an output for each; else the outputs' numbers."""
        num = self.num_outputs
        return self.names if len(self.names) == num else tuple(f"output {index}" for index in range(1, num + 1))

    def objective(self, outputs: Outputs, which: Which = None) -> Objective:
        """Return the output of what is chosen, by default the largest where there are probabilities, else the first;
        of maps its sum over the pixels where it is the largest, by default of the class that most pixels have, a
        background aside, or else the most probable.

        Raises:
            SettingsError: the choice is unknown, or the head gives neither a vector nor a map.
        """
        if not isinstance(outputs, Tensor) or outputs.ndim not in {2, 4, 5}:
            what = f"the task {self.name} does not say what of its outputs an explanation is about"
            raise SettingsError(what, where="objective", fix="let the task say it with a method `objective`")
        outputs = outputs.detach()
        if outputs.ndim > 2:
            return self._in_places(outputs, which)
        has_classes = self.decode(outputs).probabilities is not None
        usual = outputs.argmax(1) if has_classes else torch.zeros(len(outputs), dtype=torch.int64)
        indices = chosen(self.choices, which, usual, "choice")
        return single(outputs, self.choices, indices, "logit of" if has_classes else "value of")

    def _in_places(self, outputs: Tensor, which: Which) -> Objective:
        """The objective of maps (N, K, H, W) or volumes (N, K, D, H, W)."""
        classes, clear = outputs.max(1).indices, backgrounds(self.choices)
        shown = [index for index in range(outputs.shape[1]) if index not in clear] or [0]
        counts = torch.stack([(classes == index).flatten(1).sum(1) for index in shown], 1)
        shares = outputs.float().softmax(1).flatten(2).mean(2)[:, shown]  # below 1: they decide between equal counts
        indices = chosen(self.choices, which, torch.tensor(shown)[(counts + shares).argmax(1).cpu()])
        is_there = classes.flatten(1) == indices.to(classes.device)[:, None]
        return region(outputs, self.choices, indices, is_there.view(classes.shape))

    def undo_view(self, outputs: Outputs, view: View) -> Outputs:
        """Return maps moved and mirrored back; vectors as they are."""
        is_map = isinstance(self.head, Map)
        if isinstance(self.head, Pyramid) and (view.down_px or view.right_px):
            raise self._no_views("maps of several strides cannot be moved back by a pixel")
        return each(lambda maps: undo(maps, view), outputs) if is_map or isinstance(self.head, Pyramid) else outputs

    def merge_views(self, outputs: Sequence[Outputs]) -> Outputs:
        """Return the outputs of several views merged as `views` says.

        Raises:
            DataError: the task does not say how.
        """
        merge = type(self).views
        if merge is None:
            raise self._no_views(f"the task {self.name} does not say how several views of an image are merged")
        return merged(outputs, merge) if outputs else None

    def _no_views(self, what: str) -> DataError:
        return DataError(what, where=self.target, fix="leave --tta or --views out")

    def draw(self, image_u8: npt.NDArray[np.uint8], truth: Any, values: Any) -> npt.NDArray[np.uint8]:
        """Return the image as it is; of maps, with the edges of truth (green) and prediction (red) on it."""
        rgb = np.repeat(image_u8, 3, axis=2) if image_u8.shape[2] == 1 else image_u8[:, :, :3].copy()
        if np.ndim(values) == 2 and np.shape(values) == rgb.shape[:2]:
            rgb[edges(np.asarray(truth))], rgb[edges(np.asarray(values))] = (0, 200, 0), (230, 0, 0)
        return rgb

    def to_json(self) -> dict[str, Any]:
        """Return a plain description."""
        more: dict[str, Any] = {"target_names": list(self.target_names)} if self.target_names else {}
        if self.plugin:  # what its metric is called and how it is written, for readers that do not load it
            words = next(metric.words() for metric in self.metrics if metric.key == self.monitor)
            more |= {"plugin": self.plugin.path.name, "metric_words": words}
        return {name: getattr(self, name) for name in SHARED} | asdict(self) | more

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the task described by `to_json`; its lists are tuples again."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        tuples: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in known.items()
        }
        return cls(**tuples)


class Sums:
    """A tally of sums on the device that add up over batches; the last entry is the count of images."""

    def add(self, before: Tensor, rows: Tensor) -> Tensor:
        """Return the sum of both."""
        return before + rows


def edges(mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which pixels of a mask (H, W) have another value to the right or below.

    Example:
        >>> edges(np.array([[0, 0, 1], [0, 0, 1]])).astype(int).tolist()
        [[0, 1, 0], [0, 1, 0]]
    """
    found = np.zeros(mask.shape, dtype=bool)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    return found


def mean_scores(sums: Tensor | None, names: tuple[str, ...]) -> dict[str, float]:
    """Return each sum divided by the image count, which is the last entry; nan without images."""
    if sums is None:
        return dict.fromkeys(names, math.nan)
    *totals, count = sums.double().cpu().tolist()
    return {name: total / count if count else math.nan for name, total in zip(names, totals, strict=True)}


def with_count(*sums: Tensor, count: int) -> Tensor:
    """Return sums and the image count as one 1-D tensor."""
    wide = torch.float64 if any(value.dtype == torch.float64 for value in sums) else torch.float32
    stacked = torch.stack([value.detach().to(wide) for value in sums])
    return torch.cat([stacked, stacked.new_full((1,), float(count))])
