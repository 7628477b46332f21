"""Any number of objects an image: their classes and boxes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.progress import Progress
from striate.base.settings import Settings
from striate.data.originals import Originals
from striate.data.proposals import NAME, Search, proposals_of
from striate.data.sample import Batch, Dataset
from striate.data.target import Boxes, Target
from striate.metric import Answers, Metric
from striate.metric.box_ap import box_metrics, mask_metrics, point_metrics
from striate.metric.box_errors import Errors
from striate.metric.box_table import best_threshold, count_error, per_class
from striate.metric.loss import LOSS
from striate.metric.mask_matches import MASKS, SIZE, TRUE_MASKS
from striate.metric.point_matches import POINTS, TRUE_POINTS, sigmas_of
from striate.model import zoo

from ..answer import Answer, Thing
from ..defaults import Defaults
from ..objective import Objective, Which, chosen
from ..protocol import Decoded
from ..series import Question, Step
from .drawing import draw
from .head import Detector
from .masks import cells_of, texts, true_texts
from .needs import refuse_unknown
from .points import texts as point_texts
from .points import triples
from .points import true_texts as true_point_texts
from .reading import PART_NAMES, DetectOptions, Reading, Truth, padded
from .readings import READINGS, USUAL
from .suppress import suppressed
from .timing import timed

THRESHOLD = 0.3  # of scores, until it is chosen on validation
WIDTH = 6  # label, score, x0, y0, x1, y1
REACH = "reach"  # the record of how many objects there are, and how many the network can learn of
R_CNN = ("task.nms=0.3",)  # as in the paper
TRUE_WIDTH = 7  # label, x0, y0, x1, y1, crowd, difficult


@dataclass(frozen=True)
class Detect(Defaults):
    """Predict the classes and the boxes of all objects in an image; a kind of detector is a `Reading`.

    Truth is (N, T, 7): label, x0, y0, x1, y1, crowd, difficult; answers are (N, M, 6): label, score, x0, y0, x1, y1, by
    falling score, M the most an image may have. Rows that are not there are nan. Sides are in pixels: of the network's
    view while training, of the images themselves in an evaluation. Of a detector that has masks or key points, answers
    have the cells of each box or its points behind; an evaluation has them as texts in the records.

    `threshold` is the least score of what a user is shown; it is chosen on validation when training ends.
    `point_names` are the key points of a detector that has them.
    """

    detector: str = USUAL
    options: Mapping[str, Any] = field(default_factory=dict)
    threshold: float = THRESHOLD
    point_names: tuple[str, ...] = ()
    name: ClassVar[str] = "detect"
    kind: ClassVar[str] = "boxes"
    kinds: ClassVar[tuple[str, ...]] = ("box",)
    Options: ClassVar[type[Settings]] = DetectOptions
    is_placed: ClassVar[bool] = True
    steps: ClassVar[Sequence[Step]] = (
        Step(
            zoo.RCNN, zoo.RCNN, "features", "R-CNN: the network is run on each of the proposed regions", R_CNN, "must"
        ),
        Step(zoo.FAST_RCNN, zoo.FAST_RCNN, "detect", "Fast R-CNN: proposed regions are read from one map", (), "may"),
        Step(
            zoo.FASTER_RCNN, zoo.FASTER_RCNN, "detect", "Faster R-CNN: what is proposed is learnt too, on the same map",
            (), "may",
        ),
        Step(
            zoo.ONE_STAGE, zoo.ONE_STAGE, "detect", "one stage: no proposals, one look at every place",
            (), "may",
        ),
    )  # fmt: skip
    more_steps: ClassVar[Sequence[Step]] = (
        Step(zoo.YOLO_V1, zoo.YOLO_V1, "detect", "YOLO, the first: one grid, two boxes a cell", (), "may"),
        Step(zoo.SSD, zoo.SSD, "detect", "SSD: anchors on the encoder's own maps", (), "may"),
        Step(zoo.RETINANET, zoo.RETINANET, "detect", "RetinaNet: anchors on a pyramid, focal loss", (), "may"),
        Step(zoo.FCOS, zoo.FCOS, "detect", "FCOS: a pyramid without anchors", (), "may"),
        Step(zoo.DETR, zoo.DETR, "detect", "DETR: queries that answer for an object each", ("train.lr=0.0005",), "may"),
    )
    questions: ClassVar[Sequence[Question]] = (
        Question("reading all regions from one map", zoo.FAST_RCNN, (zoo.RCNN,), is_same_recipe=False),
        Question("learning what to propose", zoo.FASTER_RCNN, (zoo.FAST_RCNN,)),
        Question("one look without proposals", zoo.ONE_STAGE, (zoo.FASTER_RCNN,)),
        Question("a second look", zoo.FASTER_RCNN, (zoo.RETINANET,)),
        Question("a pyramid", zoo.RETINANET, (zoo.SSD,)),
        Question("leaving anchors out", zoo.FCOS, (zoo.RETINANET,)),
        Question("choosing places by their answers", zoo.ONE_STAGE, (zoo.FCOS,)),
    )
    finds_things: ClassVar[bool] = True
    usual_px: ClassVar[int] = 320  # objects are small
    usual_fit: ClassVar[str] = "letterbox"  # "crop" cuts objects, "squash" changes their shape

    @classmethod
    def fit(
        cls,
        targets: Mapping[str, Target],
        train: npt.NDArray[np.intp],
        *,
        options: Any = None,
        network: str = "",
        **settings: Any,
    ) -> Self:
        """Return the task.

        Args:
            network: its name; the reading of that name is taken where the options name none.

        Raises:
            DataError: what the detector learns is not known, see `needs`.
            SettingsError: there is no such reading; or see `Defaults.fit`.
        """
        ((name, target),) = targets.items()
        options = options or DetectOptions()
        kind = options.detector or (network if network in READINGS else USUAL)
        choose("detector", kind, READINGS, where="task.detector")
        reading, boxes = READINGS[kind](options), cast(Boxes, target)
        refuse_unknown(reading, boxes, train, name)
        points = boxes.points.names if reading.has_points and boxes.points is not None else ()
        changed = options.model_dump(exclude_defaults=True, exclude={"detector"})
        task = super().fit(targets, train, **settings)
        return cls(name, task.names or (name,), kind, changed, point_names=points)

    @cached_property
    def reading(self) -> Reading:
        """The kind of detector."""
        return READINGS[self.detector](self.settings).of_points(len(self.point_names))

    @property
    def settings(self) -> DetectOptions:
        """The options with their defaults."""
        return DetectOptions(**self.options)

    @property
    def head(self) -> Detector:
        """The outputs of such a detector."""
        return Detector(self.reading, len(self.names))

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """The first chooses the best epoch."""
        num = len(self.names)
        masks = mask_metrics(num) if self.reading.has_masks else ()
        points = point_metrics(num, sigmas_of(self.point_names)) if self.reading.has_points else ()
        return (*box_metrics(num), *masks, *points, count_error(num, self.threshold), LOSS)

    def inputs(self, dataset: Dataset, size_hw: tuple[int, ...], progress: Progress) -> dict[str, Target]:
        """Return the proposals of a detector that is given its regions."""
        if not self.reading.is_given_regions:
            return {}
        return {NAME: proposals_of(dataset, Search(max(size_hw), self.settings.proposals), progress)}

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Any:
        """Return the network's outputs for a batch."""
        return self.reading.forward(network, batch, **options)

    def explained(self, network: nn.Module) -> nn.Module:
        """Return the network without a third look: a class's logit is that of the second."""
        return self.reading.explained(network)

    def timed(self, network: nn.Module, batch: Batch) -> dict[str, float]:
        """Return the milliseconds of the proposals, the network, and the suppression."""
        return timed(self, network, batch)

    def loss(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Return each part over the whole batch: the sum of all images over the sum of what they count."""
        parts = self.reading.parts(outputs, Truth.of(batch.targets[self.target]))
        return {name: part.sums.sum() / part.counts.sum().clamp(min=1) for name, part in parts.items()}

    def losses(self, outputs: Any, batch: Batch) -> Tensor:
        """Return the loss of each image (N,), as if it were a batch."""
        return torch.stack(list(self._parts(outputs, batch).values())).sum(0)

    def _parts(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Return each part of the loss of each image (N,)."""
        parts = self.reading.parts(outputs, Truth.of(batch.targets[self.target]))
        return {name: part.sums / part.counts.clamp(min=1) for name, part in parts.items()}

    @torch.no_grad()
    def tally(self, outputs: Any, batch: Batch) -> Tensor:
        """Return a row an image with the parts of its loss at the end, nan for those that its kind does not have."""
        parts = self._parts(outputs, batch)
        rows = self.tally_rows(outputs, batch, torch.stack(list(parts.values())).sum(0))
        assert parts.keys() <= set(PART_NAMES), "a part without a name in PART_NAMES"
        nothing = rows.new_full((len(rows),), torch.nan)
        given = {name: part.to(rows) for name, part in parts.items()}
        return torch.cat([rows, torch.stack([given.get(name, nothing) for name in PART_NAMES], 1)], 1)

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return the scores, and the mean of each part of the loss: "loss_class" and so on."""
        known = super().summarise(rows)
        if rows is None:
            return known
        means = rows[:, -len(PART_NAMES) :].mean(0).tolist()
        parts = {f"loss_{name}": mean for name, mean in zip(PART_NAMES, means, strict=True) if not math.isnan(mean)}
        return {**known, **parts}

    @torch.no_grad()
    def decode(self, outputs: Any) -> Decoded:
        """Return the boxes (N, M, 6) that are left of each class, see the class."""
        found, settings = self.reading.candidates(outputs), self.settings
        if self.reading.suppresses:
            found = suppressed(found, settings.nms)
        scores, order = found.scores.sort(dim=1, descending=True, stable=True)
        scores, order = scores[:, : settings.max_boxes], order[:, : settings.max_boxes]
        boxes = found.boxes.gather(1, order[:, :, None].expand(-1, -1, 4))
        columns = [found.labels.gather(1, order)[:, :, None].float(), scores[:, :, None], boxes]
        for more in (found.masks, found.points):
            if more is not None:
                columns.append(more.gather(1, order[:, :, None].expand(-1, -1, more.shape[2])))
        rows = torch.cat(columns, 2).masked_fill((scores <= 0)[:, :, None], torch.nan)
        values = rows.new_full((len(rows), settings.max_boxes, rows.shape[2]), torch.nan)
        values[:, : rows.shape[1]] = rows
        return Decoded(values)

    def truth(self, batch: Batch) -> Tensor:
        """Return the true boxes (N, T, 7) in pixels of the network's view, as far as they are seen."""
        rows = batch.targets[self.target]
        columns = [rows.fields["labels"][:, None], rows.values, *(rows.fields[name][:, None] for name in FLAGS)]
        values, is_there = padded(torch.cat([column.float() for column in columns], 1), rows.lengths)
        return values.masked_fill(~is_there[:, :, None], torch.nan)

    @torch.no_grad()
    def noted(self, outputs: Any, batch: Batch) -> dict[str, Tensor]:
        """Return how many objects of each image are seen, and how many the network can learn of."""
        truth = Truth.of(batch.targets[self.target])
        reached = self.reading.reach(outputs, truth)
        return {REACH: torch.stack([truth.is_there.sum(1), reached.sum(1)], 1).double()}

    def placed(self, answers: Answers, originals: Originals, indices: npt.NDArray[np.intp]) -> Answers:
        """Return the answers in the images' own pixels; all true boxes are there, also those that are not seen."""
        assert isinstance(originals.target, Boxes)
        ways = [originals.way(index) for index in indices.tolist()]
        records = {**answers.records, SIZE: np.array([way.image_hw for way in ways])}
        if self.reading.has_masks:
            records |= {MASKS: texts(answers.values, ways), TRUE_MASKS: true_texts(originals.target, indices, ways)}
        if self.reading.has_points:
            known = true_point_texts(originals.target, indices, self.point_names)
            records |= {POINTS: point_texts(answers.values, ways), TRUE_POINTS: known}
        values = np.array(answers.values[:, :, :WIDTH], np.float32)
        for row, way in zip(values, ways, strict=True):
            row[:, 2:] = way.boxes(row[:, 2:])
        return replace(answers, truth=true_rows(originals.target, indices), values=values, records=records)

    def settled(self, answers: Answers) -> Self:
        """Return the task with the threshold at which precision and recall of all boxes have the best F1."""
        return replace(self, threshold=best_threshold(answers)[0])

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the scores of each class, what each kind of error costs, and the threshold of the recall given."""
        rows = per_class(self.metrics[0].records(answers), self.names, self.threshold)
        errors = Errors.of(answers)
        found = {"counts": errors.counts(), "costs": dict(errors.costs())}
        known = {"threshold": self.threshold, "per_class": rows, "errors": found}
        if REACH in answers.records:
            known["reach"] = dict(
                zip(("objects", "reached"), answers.records[REACH].sum(0).astype(int).tolist(), strict=True)
            )
        return known

    @property
    def choices(self) -> tuple[str, ...]:
        """The classes."""
        return self.names

    def objective(self, outputs: Any, which: Which = None) -> Objective:
        """Return the logit of a class at the place where it is highest; by default of the class with the highest."""
        with torch.enable_grad():
            given = [one.detach().requires_grad_() for one in outputs]
            logits = self.reading.logits(given)[:, : len(self.names)]
            indices = chosen(self.names, which, logits.amax(2).argmax(1))
            rows = torch.arange(len(logits), device=logits.device)
            of_class = logits[rows, indices.to(logits.device)]
            highest = of_class[rows, of_class.argmax(1)].sum()
            weights = list(torch.autograd.grad(highest, given, allow_unused=True, materialize_grads=True))
        names = tuple(self.names[index] for index in indices.tolist())
        return Objective(names, tuple(f"highest logit of {name}" for name in names), indices, weights)

    def answers(self, decoded: Decoded) -> list[Answer]:
        """Return the things of each image whose score is not below the threshold, in pixels of the network's view."""
        return [
            Answer(self.names, things=tuple(self._thing(row) for row in rows[rows[:, 1] >= self.threshold].numpy()))
            for rows in decoded.values.cpu()
        ]

    def _thing(self, row: npt.NDArray[np.float32]) -> Thing:
        label, score, *box = row[:WIDTH].tolist()
        thing = Thing(self.names[int(label)], score, tuple(box))
        if self.reading.has_points:
            return replace(thing, points=triples(row[WIDTH:]))
        return replace(thing, cells=cells_of(row[WIDTH:]))

    def to_json(self) -> dict[str, Any]:
        """Return a plain description, with what a table of answers holds beside boxes."""
        return super().to_json() | ({"has_masks": True} if self.reading.has_masks else {})

    def draw(self, image_u8: npt.NDArray[np.uint8], truth: Any, values: Any) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with the true boxes and, in the colours of their classes, the predicted ones."""
        return draw(image_u8, np.asarray(truth), np.asarray(values), self.threshold)


FLAGS = ("crowd", "difficult")


def true_rows(boxes: Boxes, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Return the true boxes (N, T, 7) of images in their own pixels, nan where there are fewer."""
    some = boxes.take(indices)
    counts = np.diff(some.starts)
    rows = np.full((len(indices), max(1, int(counts.max(initial=1))), TRUE_WIDTH), np.nan, np.float32)
    is_there = np.arange(rows.shape[1]) < counts[:, None]
    rows[is_there] = np.column_stack([some.labels, some.xyxy, some.crowd, some.difficult])
    return rows
