"""Named points of the one thing in an image, from two numbers each or from a heat map each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from striate.base.errors import DataError, SettingsError
from striate.base.settings import Settings
from striate.base.size import SizeHW
from striate.base.text import listed, plural, verb
from striate.data.originals import Originals
from striate.data.sample import Batch
from striate.data.target import Points, Ragged, Target
from striate.data.target.points import UNKNOWN, mirrored, pairs_of
from striate.metric import Answers, Metric
from striate.metric.loss import LOSS
from striate.metric.mask_matches import SIZE
from striate.metric.points import POINT_ERROR, TOLERANCE, Of, constant, pck, per_point
from striate.model import zoo
from striate.model.build import assemble
from striate.nn.constant import constants

from ..answer import Answer
from ..defaults import Defaults, Sums, mean_scores, with_count
from ..head import Head
from ..objective import Objective, Which
from ..protocol import Decoded
from ..series import Question, Step
from ..views import View, merged
from .drawing import draw
from .ways import Direct, HeatMaps, Way

SPREAD = 0.02
Kind = Literal["direct", "heatmap"]
HEATMAP = ("task.head=heatmap",)


class PointsOptions(Settings):
    """How points are learnt and scored.

    `head`: "direct", two numbers a point; "heatmap", a map a point; "auto": maps where the network gives maps itself.
    `spread` of the bell that a heat map learns, as a share of the longer side. `tolerance` of PCK as a share of the
    longer side of the image, or with `tolerance_of=points` of the box around the true points.
    """

    head: Literal["auto"] | Kind = "auto"
    spread: float = Field(SPREAD, gt=0, le=0.5)
    tolerance: float = Field(TOLERANCE, gt=0, le=1)
    tolerance_of: Of = "image"


@dataclass(frozen=True)
class KeyPoints(Sums, Defaults):
    """Predict the places of K named points, one set an image; points that are not marked do not count.

    Truth and answers are (N, K, 2) xy: shares of the network's view while training, pixels of the images themselves in
    an evaluation; truth is nan where a point is not marked. The loss in scores and history is the mean distance as a
    share of the view's longer side, whatever is trained with, see `ways`; errors of epochs are in pixels of the view.

    `pairs` are points that are each other's mirror image; None, as in older runs: those that are so by their names.
    """

    way_name: Kind = "direct"
    spread: float = SPREAD
    tolerance: float = TOLERANCE
    tolerance_of: Of = "image"
    pairs: tuple[tuple[int, int], ...] | None = None
    name: ClassVar[str] = "points"
    kind: ClassVar[str] = "points"
    unit: ClassVar[str] = "px"
    kinds: ClassVar[tuple[str, ...]] = ("points",)
    Options: ClassVar[type[Settings]] = PointsOptions
    is_placed: ClassVar[bool] = True
    usual_fit: ClassVar[str] = "letterbox"  # "crop" cuts points away, "squash" makes errors of x and y differ
    usual_px: ClassVar[int] = 96
    steps: ClassVar[Sequence[Step]] = (
        Step("direct", zoo.DEFAULT, "baseline", "two numbers a point behind the network's vector"),
        Step("heatmap", zoo.DEFAULT, "baseline", "the same network with a light decoder: a heat map a point", HEATMAP),
        Step(zoo.WITH_SKIPS, zoo.WITH_SKIPS, "baseline", "U-Net: a heat map a point"),
    )
    questions: ClassVar[Sequence[Question]] = (
        Question("a heat map a point", "heatmap", ("direct",), is_same_recipe=False),
        Question("a whole decoder with skip connections", zoo.WITH_SKIPS, ("heatmap",), is_same_recipe=False),
    )

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
            network: its name; one of the zoo that gives maps is read by heat maps.

        Raises:
            DataError: an image has several sets of points, or a point is never marked in the training images.
            SettingsError: PCK by the box around one point; or see `Defaults.fit`.
        """
        ((name, target),) = targets.items()
        points, options = cast(Points, target), options or PointsOptions()
        task = super().fit(targets, train, **settings)
        num = points.xy.shape[1]
        names = points.names or tuple(f"point{number}" for number in range(1, num + 1))
        _refuse(points, train, name, names)
        if options.tolerance_of == "points" and num < 2:
            what = "one point has no box around it"
            raise SettingsError(what, where="task.tolerance_of", fix="use image")
        way = ("heatmap" if _gives_maps(network) else "direct") if options.head == "auto" else options.head
        return replace(
            task, names=names, way_name=cast(Kind, way), spread=options.spread, tolerance=options.tolerance,
            tolerance_of=options.tolerance_of, pairs=points.pairs,
        )  # fmt: skip

    @cached_property
    def way(self) -> Way:
        """How outputs become places."""
        return Direct() if self.way_name == "direct" else HeatMaps(self.spread)

    @property
    def head(self) -> Head:
        """Two numbers a point, or a map."""
        return self.way.head(len(self.names))

    @property
    def metrics(self) -> Sequence[Metric]:  # type: ignore[override]
        """The mean error chooses the best epoch."""
        return (POINT_ERROR, pck(self.tolerance, self.tolerance_of), LOSS)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the mean of the way's loss over the points that are seen, by its name."""
        truth = self.truth(batch)
        is_known = ~truth[..., 0].isnan()
        losses = self.way.losses(outputs, truth.nan_to_num()).masked_fill(~is_known, 0)
        return {self.way.loss_name: losses.sum() / is_known.sum().clamp(min=1)}

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the mean distance of each image's points (N,) as a share of the longer side; 0 without any."""
        truth = self.truth(batch)
        is_known = ~truth[..., 0].isnan()
        off = self._distances(outputs, truth, batch.size_hw)
        return off.sum(1) / is_known.sum(1).clamp(min=1) / max(batch.size_hw)

    def _distances(self, outputs: Tensor, truth: Tensor, size_hw: SizeHW) -> Tensor:
        """How far the points (N, K) are off, in pixels of the network's view; 0 where they are not marked."""
        off = (self.way.places(outputs) - truth.nan_to_num()) * constants(size_hw[::-1], truth)
        return off.square().sum(2).sqrt().masked_fill(truth[..., 0].isnan(), 0)

    def tally(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return (losses, distances, points near enough, points, those that PCK counts, images) as sums."""
        truth = self.truth(batch)
        off, is_known = self._distances(outputs, truth, batch.size_hw), ~truth[..., 0].isnan()
        length = self._lengths(truth, batch)
        is_scored = is_known & (length > 0)
        hits = is_scored & (off <= self.tolerance * length)
        sums = (off.sum(), hits.sum(), is_known.sum(), is_scored.sum())
        return with_count(self.losses(outputs, batch).double().sum(), *sums, count=len(truth))

    def _lengths(self, truth: Tensor, batch: Batch) -> Tensor:
        """(N, 1) the length, in pixels of the view, of which the tolerance is a share; 0 where there is none."""
        if self.tolerance_of == "image":
            return truth.new_full((len(truth), 1), max(batch.size_hw))
        spots = truth * torch.tensor(batch.size_hw[::-1], device=truth.device)
        high, low = (torch.nan_to_num(sign * spots, nan=-torch.inf).amax(1) for sign in (1, -1))
        return (high + low).amax(1, keepdim=True).clamp(min=0)

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return {"loss", "point_error", "pck"}; the error is in pixels of the network's view."""
        means = mean_scores(rows, ("loss", "off", "hits", "known", "scored"))

        def share(part: str, whole: str) -> float:
            return means[part] / means[whole] if means[whole] else float("nan")

        return {"loss": means["loss"], "point_error": share("off", "known"), "pck": share("hits", "scored")}

    def undo_view(self, outputs: Tensor, view: View) -> Tensor:
        """Return the outputs for the images themselves; in a mirrored one points of a pair are each other."""
        pairs = pairs_of(self.names) if self.pairs is None else self.pairs
        return self.way.undo(outputs, view, mirrored(len(self.names), pairs).tolist())

    def merge_views(self, outputs: Sequence[Tensor]) -> Any:
        """Return the mean of places, or of probabilities that a point is at a pixel."""
        return merged(outputs, self.way.merge) if outputs else None

    def decode(self, outputs: Tensor) -> Decoded:
        """Return the places (N, K, 2) as shares of the view."""
        return Decoded(self.way.places(outputs))

    def truth(self, batch: Batch) -> Tensor:
        """Return the true places (N, K, 2) as shares of the view; nan where a point is not marked or not seen."""
        points: Ragged = batch.targets[self.target]
        found = points.values.float() / constants(batch.size_hw[::-1], points.values)
        found = found.masked_fill((points.fields["visible"] <= UNKNOWN)[..., None], torch.nan)
        truth = found.new_full((len(batch), *found.shape[1:]), torch.nan)
        return truth.index_copy(0, points.rows, found)

    def noted(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the height and width of the view, in which answers are until they are placed."""
        return {SIZE: torch.tensor([batch.size_hw] * len(batch))}

    def placed(self, answers: Answers, originals: Originals, indices: npt.NDArray[np.intp]) -> Answers:
        """Return the answers in the images' own pixels; all marked points count, also those that are not seen."""
        assert isinstance(originals.target, Points)
        ways = [originals.way(index) for index in indices.tolist()]
        view_wh = np.array(originals.geometry.size_hw[::-1])
        values = np.stack([way.inner_points(row * view_wh) for way, row in zip(ways, answers.values, strict=True)])
        records = {**answers.records, SIZE: np.array([way.image_hw for way in ways])}
        return replace(answers, truth=true_places(originals.target, indices), values=values, records=records)

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return the figures of each point, and what the points' mean places would score for all images."""
        metrics = self.metrics[:2]
        return {"per_point": per_point(metrics, answers, self.names), "constant": constant(metrics, answers)}

    @property
    def choices(self) -> tuple[str, ...]:
        """The coordinates, or of heat maps the points."""
        return self.way.choices(self.names)

    def objective(self, outputs: Tensor, which: Which = None) -> Objective:
        """Return one coordinate, or the logit of a point where it is highest."""
        return self.way.objective(outputs.detach(), self.names, which)

    def answers(self, decoded: Decoded) -> list[Answer]:
        """Return the points of each image as shares of what the network saw."""
        return [Answer(self.names, points=tuple(map(tuple, row))) for row in decoded.values.tolist()]

    def draw(self, image_u8: npt.NDArray[np.uint8], truth: Any, values: Any) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with its true points as rings and the predicted ones as discs, lines between."""
        return draw(image_u8, np.asarray(truth), np.asarray(values))


def true_places(points: Points, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return the true points (N, K, 2) of images in their own pixels, nan where they are not marked."""
    some = points.take(indices)
    truth = np.full((len(some), *some.xy.shape[1:]), np.nan)
    truth[some.image] = np.where(some.visible[..., None] > UNKNOWN, some.xy, np.nan)
    return truth


def _refuse(points: Points, train: npt.NDArray[np.intp], name: str, names: Sequence[str]) -> None:
    several = int((np.diff(points.starts) > 1).sum())
    if several:
        what = f"{several:,} of {plural(len(points), 'image')} {verb(several, 'has', 'have')} several sets of points"
        raise DataError(what, where=name, fix="keep one set an image, or cut the things out")
    is_marked = np.any(points.take(train).visible > UNKNOWN, axis=0)
    if missing := [names[point] for point in np.flatnonzero(~is_marked).tolist()]:
        what = f"{listed(missing[:4])} {verb(len(missing), 'is', 'are')} not marked in any training image"
        raise DataError(what, where=name, fix="mark some, or leave these points out of the data")


def _gives_maps(network: str) -> bool:
    """Whether a network of the zoo gives a map of the image's size by itself."""
    if network not in zoo.ZOO:
        return False
    plan = zoo.blueprint(network)
    shapes = assemble(plan, channels=plan.channels, outputs=1, size_hw=plan.native_hw).shapes
    return tuple(shapes[plan.names[-1]]) == (1, *plan.native_hw)
