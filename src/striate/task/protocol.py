"""The protocol of a task: all that the engine, the study, the report and the page know of what is predicted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from striate.base.progress import Progress
from striate.data.geometry import WayBack
from striate.data.originals import Originals
from striate.data.sample import Batch, Dataset, See
from striate.data.target import Target
from striate.metric import Answers, Metric

from .answer import Answer
from .head import Head
from .objective import Objective, Which
from .series import Question, Step
from .temperature import Temperature
from .views import View

if TYPE_CHECKING:
    from collections.abc import Sequence

Outputs = Any  # a tensor, or any nesting of lists and dicts of tensors, whose first dimension is the image


@dataclass(frozen=True)
class Decoded:
    """Predictions of N images, on the outputs' device.

    `probabilities` (N, K) for classes and tags, else None; `values` (N, D) for numbers in the target's unit, class
    indices (N,) for labels, 0/1 (N, K) for tags, class indices (N, H, W) for maps.
    """

    values: Tensor
    probabilities: Tensor | None = None


class Task(Protocol):
    """What the engine, the study and the reports know of a task. `defaults.Defaults` gives most of it.

    `target` is the name of the first target, `targets` are all of them; `kind` says how an answer is laid out, in
    documents; `names` are the classes, tags or fields; `monitor` is the key of the metric that chooses the best epoch.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def monitor(self) -> str: ...
    @property
    def monitor_mode(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def targets(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def unit(self) -> str: ...
    @property
    def metrics(self) -> "Sequence[Metric]": ...

    @property
    def steps(self) -> "Sequence[Step]":
        """What a study compares that names no variants."""

    @property
    def more_steps(self) -> "Sequence[Step]":
        """What it compares too where all is asked for."""

    @property
    def pretrained_steps(self) -> "Sequence[Step]":
        """What it compares too where weights of an encoder are given."""

    @property
    def questions(self) -> "Sequence[Question]":
        """What a comparison of its networks answers, see `series`."""

    @property
    def regions(self) -> "tuple[str, str] | None":
        """The keys of two metrics by which an answer says where a part of a network helps."""

    def region_text(self, size_hw: tuple[int, ...]) -> str:
        """Return what the first of `regions` is, in images of this size."""

    @property
    def head(self) -> Head:
        """What the network must give: a vector, a map, several maps or an image."""

    @property
    def num_outputs(self) -> int:
        """Numbers the head must give for an image, or for each pixel of a map."""

    @property
    def is_mixable(self) -> bool:
        """Whether the loss takes targets that were mixed (shares of classes); else a recipe that mixes is refused."""

    @property
    def is_placed(self) -> bool:
        """Whether answers name places in the image, which then is decoded at its own size; those of maps do."""

    @property
    def finds_things(self) -> bool:
        """Whether answers are any number of objects an image."""

    @property
    def temperature(self) -> Temperature | None:
        """What dividing the outputs by a number does to the probabilities; None where there are none."""

    @property
    def usual_fit(self) -> str:
        """How images are brought to the network's size where the recipe does not say: "crop", "letterbox", "squash"."""

    @property
    def prior(self) -> tuple[float, ...] | None:
        """The shares of the classes that a new network's first predictions are; None where outputs start near 0."""

    @property
    def usual_px(self) -> int:
        """The side in pixels up to which images are seen as they are where neither recipe nor data say a size."""

    @property
    def scale(self) -> int:
        """How many times as high and wide as the images that come in are those that are to be made of them."""

    @property
    def see(self) -> See | None:
        """What makes of a batch what the network gets of it, see `data.loader`; None where that is the batch."""

    def taken(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an image (H, W, C) of a user's own, in levels, as the network is to get it."""

    def with_levels(self, mean: "Sequence[float]", std: "Sequence[float]") -> "Task":
        """Return the task for images that are normalised by these means and deviations of each channel, in 0..1."""

    def inputs(self, dataset: Dataset, size_hw: tuple[int, ...], progress: Progress) -> dict[str, Target]:
        """Return what the network gets of each image of a dataset beside it, by name; nothing of it is predicted.

        Args:
            size_hw: of the network's view.
        """

    def forward(self, network: nn.Module, batch: Batch, **options: Any) -> Outputs:
        """Return the network's outputs for a batch: of its images and, where a task has more for it, of that.

        Args:
            options: of the network's call. A batch that is predicted has no targets.
        """

    def explained(self, network: nn.Module) -> nn.Module:
        """Return the network, its modules the same, without outputs that no `objective` reads where these cost much."""

    def timed(self, network: nn.Module, batch: Batch) -> dict[str, float]:
        """Return the milliseconds that the parts of an answer to a batch take, by name; empty where there is one."""

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the named parts of the training loss (scalars); the engine minimises their sum."""

    def losses(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the plain loss of each image (N,), without smoothing or weights."""

    def tally(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return what an epoch's scores need to know of a batch, as one tensor; `add` puts batches together."""

    def add(self, before: Tensor, rows: Tensor) -> Tensor:
        """Return two tallies as one, see `task.tally.gather`."""

    def summarise(self, rows: Tensor | None) -> dict[str, float]:
        """Return the scores of an epoch from its tally; `loss` and `monitor` are among them, nan without images."""

    def decode(self, outputs: Outputs) -> Decoded:
        """Return predictions from the outputs of the network."""

    def exact(self, outputs: Outputs) -> Decoded:
        """Return what `decode` does before it rounds: what an exported graph answers with."""

    def answers(self, decoded: Decoded) -> list[Answer]:
        """Return what is said of each image."""

    def truth(self, batch: Batch) -> Tensor:
        """Return the truth of a batch, laid out like the values of `decode`."""

    def noted(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return numbers (N, S) of each image that an evaluation keeps beside its answers, by name."""

    def placed(self, answers: Answers, originals: Originals, indices: npt.NDArray[np.intp]) -> Answers:
        """Return answers to images of the dataset in the images' own pixels; as they are where they name no places."""

    def settled(self, answers: Answers) -> "Task":
        """Return the task with what is chosen on the validation images when training ends, such as a threshold."""

    def at_own_size(self, outputs: Outputs, ways: "Sequence[WayBack]") -> list[npt.NDArray[Any]] | None:
        """Return the answers in the pixels of images of any size; None where answers have no such size."""

    def details(self, answers: Answers) -> dict[str, Any]:
        """Return what scores.json holds beside the metrics, such as a confusion matrix."""

    @property
    def point_names(self) -> tuple[str, ...]:
        """Of the key points that each object has; none where they have none."""

    @property
    def choices(self) -> tuple[str, ...]:
        """The names of what an explanation can be about."""

    def objective(self, outputs: Outputs, which: Which = None) -> Objective:
        """Return the number that an explanation of each image is about.

        Args:
            outputs: for the images themselves.
            which: of `choices`: one for all images, or one an image; None is what the network says of the image.

        Raises:
            SettingsError: the choice is unknown, or the task has no such number.
        """

    def undo_view(self, outputs: Outputs, view: View) -> Outputs:
        """Return outputs for images that were seen otherwise as they would be for the images themselves."""

    def merge_views(self, outputs: "Sequence[Outputs]") -> Outputs:
        """Return the outputs of several views, undone, as one.

        Raises:
            DataError: the task has no such way.
        """

    def draw(self, image_u8: npt.NDArray[np.uint8], truth: Any, values: Any) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with its truth and its prediction on it."""

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` needs to make this task again."""


def require_views(task: Task, num_views: int) -> None:
    """Refuse several views of an image for a task that cannot merge them.

    Raises:
        DataError: the task says why.
    """
    if num_views > 1:
        task.merge_views([])


def answers_of(task: Task, outputs: Outputs, batch: Batch, losses: Tensor | None = None) -> Answers:
    """Return what the outputs say of a batch, on the host; `losses` (N,) of the images where they are known."""
    decoded, losses = task.decode(outputs), task.losses(outputs, batch) if losses is None else losses
    probabilities = decoded.probabilities
    return Answers(
        task.truth(batch).cpu().numpy(),
        decoded.values.cpu().numpy(),
        losses.cpu().numpy(),
        None if probabilities is None else probabilities.cpu().numpy(),
        {name: numbers.cpu().numpy() for name, numbers in task.noted(outputs, batch).items()},
    )
