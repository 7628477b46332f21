"""The sections of a report that a task gives, with defaults that serve any task."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.numbers import number, significant
from striate.base.text import shown
from striate.evaluate.predictions import Predictions
from striate.metric import by_key
from striate.report.answers import (
    Answers,
    ByImage,
    Given,
    by_image,
    condensed,
    illustrated,
    mean_loss,
    with_thumbnails_first,
)
from striate.report.read import SPLIT_WORDS, Run, at
from striate.report.templates import piece
from striate.report.thumbnails import EmbeddedImage, ThumbnailStore

NUM_HARDEST, NUM_EASIEST = 24, 12
MAX_NUMBERS = 6  # of one answer, in a caption


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its entry in the contents, its heading and its HTML."""

    id: str
    link: str
    title: str
    body: Markup


@dataclass(frozen=True)
class Room:
    """What a variant beside the best one may take: images, file names; `prefix` keeps its anchors apart."""

    num_images: int
    num_names: int
    prefix: str


@dataclass(frozen=True)
class Subject:
    """One run, or several runs of one network, on a split; `name` is the variant's, "" in the report of a run."""

    runs: Sequence[Run]
    split: str
    thumbnails: ThumbnailStore
    sections: "Sections"
    name: str = ""

    @cached_property
    def answers(self) -> list[Answers]:
        """The tables of predictions of the runs that have one."""
        tables = ((run, run.predictions(self.split, self.sections.condense)) for run in self.runs)
        return [Answers(run, self.split, table, self.name) for run, table in tables if table is not None]

    @cached_property
    def by_image(self) -> ByImage:
        """Each image's answers."""
        return by_image(self.answers)

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        """The split's scores of each run."""
        return [run.scores.get(self.split, {}) for run in self.runs]

    @property
    def names(self) -> list[str]:
        """The names of the classes, tags or numbers."""
        return self.runs[0].names

    @property
    def unit(self) -> str:
        """The unit of the predicted numbers, "" without one."""
        return str(at(self.runs[0].info, "task.unit", ""))

    @property
    def split_name(self) -> str:
        """The split in words."""
        return SPLIT_WORDS.get(self.split, self.split)

    @property
    def num_runs(self) -> int:
        """The number of runs."""
        return len(self.runs)

    @property
    def who(self) -> str:
        """The network as the subject of a sentence: the variant's name, or "it"."""
        return self.name or "it"

    @property
    def of_whom(self) -> str:
        """The variant in a heading: " of NAME", "" in the report of a run."""
        return f" of {self.name}" if self.name else ""

    @property
    def opening(self) -> str:
        """What a study's section says first: the variant, the split, the runs; "" in the report of a run."""
        summed = f", summed over {self.num_runs} runs" if self.num_runs > 1 else ""
        return f"{self.name} on the {self.split_name} split{summed}. " if self.name else ""


@dataclass(frozen=True)
class ExampleImage:
    """An image with its id, what the network answered and its loss, as texts."""

    image: EmbeddedImage | None
    id: str
    caption: str
    loss: str


class Sections:
    """The sections of any task: every score, and the images with the largest and the smallest loss."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the keys of the scores shown below the headline, in order; what a run lacks is left out."""
        scores = run.scores.get(run.reported_split or "", {})
        return [key for key, value in scores.items() if number(value) is not None and key != "num_images"]

    def curves(self, monitor: str) -> Sequence[str]:
        """Return the keys of the scores drawn over the epochs; `monitor` is that which chose the best one."""
        return ("loss", monitor)

    def learned(self, run: Run) -> str:
        """Return what the network learned, as in "It learned 10 classes from 1,400 images"."""
        return f"to predict {', '.join(run.names[:3]) or at(run.info, 'task.target', 'its target')}"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return the headline's score in sentences; `where` is as "300 test images"."""
        return [f"The {run.metric.name} on {where} is {run.metric.text(scores.get(run.metric.key))}."]

    def chance(self, run: Run) -> dict[str, float]:
        """Return scores in the headline's metric that need no network, by what makes them; such as guessing."""
        return {}

    def condense(self, table: Predictions) -> Predictions:
        """Return a table of predictions with only what the sections need; probabilities take the most memory."""
        return condensed(table, None)

    def inside(self, subject: Subject) -> list[Section]:
        """Return the sections of one run, or of several runs taken together."""
        ranked = sorted(subject.by_image.values(), key=lambda given: (-mean_loss(given), _id(given[0])))
        if not ranked:
            body = Markup('<p class="na">n/a: the folder has no table of single images.</p>')
            return [Section("images", "Images", "Single images", body)]
        hardest = self._examples(ranked, subject, NUM_HARDEST)
        easiest = self._examples(
            [given for given in reversed(ranked) if math.isfinite(mean_loss(given))], subject, NUM_EASIEST
        )
        return [
            Section("hardest", "Hardest images", "Images with the largest loss", self._gallery(subject, hardest)),
            Section("easiest", "Easiest images", "Images with the smallest loss", self._gallery(subject, easiest)),
        ]

    def hard(self, subject: Subject, others: Sequence[Answers]) -> list[Section]:
        """Return the sections that compare the best variant's answers with those of the other variants' runs."""
        return []

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return what is shown of a variant that is not the best one."""
        ranked = sorted(subject.by_image.values(), key=lambda given: (-mean_loss(given), _id(given[0])))
        return self._gallery(subject, self._examples(ranked, subject, room.num_images))

    def answer(self, answers: Answers, row: int) -> str | None:
        """Return the name of what a run answered for an image, which its explanation is about; None: whatever the
        network says when it is asked again."""
        return None

    def confusions(self, subject: Subject) -> tuple[npt.ArrayLike, str] | None:
        """Return how often each class (K, K) was taken for which, true ones as rows, and of what: images or pixels."""
        return None

    def score_code(self, run: Run) -> str:
        """Return Python lines that compute the monitored score of `run` on `SPLIT`, for a notebook; "" without one."""
        return ""

    def look_code(self) -> tuple[str, str]:
        """Return a heading with a sentence, and Python lines that show what `{run}` answered on `SPLIT`."""
        about = "## Confusions\n\nWhich classes the best variant confuses, and what the baseline did."
        return about, "{run}.confusion(SPLIT).figure()"

    def caption(self, answers: Answers, row: int) -> str:
        """Return what a run answered for an image and what is true, as text."""
        return f"is {_written(answers.table.truth[row])}, predicted {_written(answers.table.values[row])}"

    def draw(self, answers: Answers, row: int, image_u8: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return an image (H, W, 3) with what is true and what a run answered on it, as its task draws them."""
        task = answers.run.task
        return image_u8 if task is None else task.draw(image_u8, answers.table.truth[row], answers.table.values[row])

    def _examples(self, ranked: Sequence[Sequence[Given]], subject: Subject, most: int) -> list[ExampleImage]:
        examples = []
        for given in with_thumbnails_first(ranked, subject.thumbnails)[:most]:
            answers, row = illustrated(given, subject.thumbnails)
            id_ = answers.table.ids[row]
            draw = partial(self.draw, answers, row)
            image = subject.thumbnails.take(answers.run.folder, answers.split, id_, draw)
            loss = by_key("loss").text(mean_loss(given))
            examples.append(ExampleImage(image, id_, self.caption(answers, row), loss))
        return examples

    @staticmethod
    def _gallery(subject: Subject, examples: Sequence[ExampleImage]) -> Markup:
        return piece("tasks/sections.html", "examples", subject, examples)


def _id(one: Given) -> str:
    answers, row = one
    return answers.table.ids[row]


def _written(value: Any) -> str:
    """Write an answer's first numbers, or the shape of what is no list of numbers."""
    table = np.asarray(value)
    if table.ndim > 1 or table.dtype.kind not in "biuf":
        return f"an array of {' x '.join(map(str, table.shape))}" if table.ndim else shown(value, 60)
    texts = [str(item) if table.dtype.kind in "biu" else significant(float(item)) for item in table.ravel()]
    return ", ".join(texts[:MAX_NUMBERS]) + (", ..." if len(texts) > MAX_NUMBERS else "")
