"""One class an image: what is confused, the surest mistakes, each class's figures, how honest the probabilities are."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.numbers import count, number
from striate.base.text import verb
from striate.evaluate.predictions import Predictions
from striate.metric.confusion import matrix, per_class
from striate.report.answers import Answers, ByImage, Given, condensed, illustrated
from striate.report.calibration import calibration
from striate.report.class_table import class_table
from striate.report.confusion import Matrix, Sample, Thumbnail, add, build, most_confident, ranked, recorded, take
from striate.report.pool import mean_rows
from striate.report.read import Run
from striate.report.templates import piece
from striate.report.thumbnails import ThumbnailStore

from .sections import Room, Section, Sections, Subject

TEMPLATE = "tasks/classify.html"
NUM_MISTAKES, NUM_HARD = 24, 36
FIGURES = ("f1", "recall", "precision")
Counts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Mistakes:
    """The surest wrong answers, of how many, and the matrix of all answers with a sentence on it."""

    thumbnails: list[Thumbnail]
    num: int
    matrix: Matrix | None
    sentence: str


class ClassifySections(Sections):
    """The sections of a classifier."""

    def figures(self, run: Run) -> Sequence[str]:
        """Return the averages over classes, the loss and the calibration error."""
        return ("balanced_accuracy", "macro_f1", "top5_accuracy", "auc", "loss", "ece")

    def learned(self, run: Run) -> str:
        """Return the number of classes."""
        return f"{len(run.names)} classes"

    def result(self, run: Run, scores: Mapping[str, Any], where: str) -> list[str]:
        """Return how many images are right, and how many would be by guessing."""
        accuracy, total = number(scores.get("accuracy")), number(scores.get("num_images"))
        if run.metric.key != "accuracy" or accuracy is None or total is None:
            return super().result(run, scores, where)
        chance = "".join(
            f"Guessing among {len(run.names)} classes would score {p:.1%}." for p in self.chance(run).values()
        )
        num = round(accuracy * total)
        return [f"Of {where} {count(num)} {verb(num, 'is', 'are')} classified correctly.", *filter(None, [chance])]

    def chance(self, run: Run) -> dict[str, float]:
        """Return the accuracy of guessing."""
        return {"guessing": 1 / len(run.names)} if run.metric.key == "accuracy" and len(run.names) > 1 else {}

    def condense(self, table: Predictions) -> Predictions:
        """Keep the probability (N,) of the answer alone: N x K of them fill the memory at 1,000 classes."""
        p = table.probabilities
        return condensed(table, None if p is None else p[np.arange(len(p)), table.values])

    def answer(self, answers: Answers, row: int) -> str | None:
        """Return the class."""
        return answers.name(int(answers.table.values[row]))

    def confusions(self, subject: Subject) -> tuple[npt.ArrayLike, str] | None:
        """Return the images of each pair of classes."""
        counts = _counts(subject)
        return None if counts is None else (counts, "images")

    def score_code(self, run: Run) -> str:
        """Return the share of right answers."""
        lines = "counts = np.array(run.confusion(SPLIT))\nreturn np.trace(counts) / counts.sum()"
        return lines if run.metric.key == "accuracy" else ""

    def caption(self, answers: Answers, row: int) -> str:
        """Return the true class and the class answered."""
        return f"is {answers.name(int(answers.table.truth[row]))}, predicted {self.answer(answers, row)}"

    def inside(self, subject: Subject) -> list[Section]:
        """Return confusions, mistakes, classes and calibration."""
        counts = _counts(subject)
        mistakes = _mistakes(subject, counts, subject.thumbnails, NUM_MISTAKES)
        claim = "Mean confidence {sure}, accuracy {right}"
        unit, is_pooled = ("answers", True) if subject.num_runs > 1 else ("images", False)
        reliability = calibration(subject.scores, claim)
        bodies = {
            "confusion": piece(TEMPLATE, "confused", subject, mistakes),
            "mistakes": piece(TEMPLATE, "mistakes", subject, mistakes),
            "classes": piece(TEMPLATE, "classes", subject, _classes(subject, counts if is_pooled else None), unit),
            "calibration": piece("calibration.html", "calibration", reliability, "Accuracy against confidence", unit),
        }
        heads = {
            "confusion": ("Confusions", f"What {subject.who} confuses"),
            "mistakes": ("Mistakes", f"Most confident mistakes{subject.of_whom}"),
            "classes": ("Classes", "Class by class"),
            "calibration": ("Calibration", f"Calibration{subject.of_whom}"),
        }
        return [Section(id_, *heads[id_], body) for id_, body in bodies.items()]

    def hard(self, subject: Subject, others: Sequence[Answers]) -> list[Section]:
        """Return the images that every run got wrong, those wrong in every other variant too first."""
        is_known = max((len(given) for given in subject.by_image.values()), default=0) > 1
        hard = _hard(subject.by_image, others) if is_known else []
        shown = [
            (_hard_thumbnail(subject.by_image[id_], subject.thumbnails), is_all) for id_, is_all in hard[:NUM_HARD]
        ]
        num_everywhere = sum(is_all for _, is_all in hard)
        body = piece(TEMPLATE, "hard", subject, shown, len(hard), num_everywhere, is_known)
        return [Section("hard", "Hard images", "Hard, or mislabelled?", body)]

    def brief(self, subject: Subject, room: Room) -> Markup:
        """Return the matrix without images, and the surest mistakes."""
        options: dict[str, Any] = {"prefix": room.prefix, "max_names": room.num_names}
        mistakes = _mistakes(subject, _counts(subject), ThumbnailStore(max_images=0), room.num_images, **options)
        return piece(TEMPLATE, "brief", subject, mistakes)


def _counts(subject: Subject) -> list[list[int]] | None:
    """Return the confusion counts of the runs, summed: those of their scores, else of their answers."""
    names, answers = subject.names, {one.run.folder: one for one in subject.answers}
    tables = []
    for run, scores in zip(subject.runs, subject.scores, strict=True):
        given = recorded(scores, len(names))
        if given is None and run.folder in answers and answers[run.folder].table.names == tuple(names):
            table = answers[run.folder].table
            given = matrix(table.truth, table.values, len(names)).tolist()
        tables += [given] if given else []
    return add(tables)


def _mistakes(subject: Subject, counts: Any, cells: ThumbnailStore, most: int, **options: Any) -> Mistakes:
    """Return what the runs get wrong; `cells` gives the thumbnails of the matrix, `options` are those of `build`."""
    samples = list(_samples(subject.by_image, subject.thumbnails))
    wrong = sorted((sample for sample in samples if not sample.is_right), key=most_confident)
    thumbnails = [take(sample, subject.thumbnails) for sample in wrong[:most]]
    matrix = build(counts, subject.names, samples, cells, **options) if counts else None
    return Mistakes(thumbnails, len(wrong), matrix, _sentence(counts, subject.names) if counts else "")


def _samples(images: ByImage, store: ThumbnailStore) -> Iterable[Sample]:
    """Yield each image once for each different answer: how many runs gave it, and how sure they were on average."""
    for given in images.values():
        grouped: dict[int, list[Given]] = defaultdict(list)
        for answers, row in given:
            grouped[int(answers.table.values[row])].append((answers, row))
        for same in grouped.values():
            answers, row = illustrated(same, store)
            table = answers.table
            truth, prediction = answers.name(table.truth[row]), answers.name(table.values[row])
            folder, split, id_ = answers.run.folder, answers.split, table.ids[row]
            yield Sample(folder, split, id_, truth, prediction, _confidence(same), len(same), len(given))


def _confidence(same: Sequence[Given]) -> float:
    """Return the mean probability of these answers; NaN where none is known."""
    values = [table.probabilities[row] for table, row in ((one.table, row) for one, row in same)
              if table.probabilities is not None and np.isfinite(table.probabilities[row])]  # fmt: skip
    return float(np.mean(values)) if values else float("nan")


def _sentence(counts: Counts, names: Sequence[str]) -> str:
    """Say which classes are confused most often."""
    cells = ranked(counts)
    if not cells:
        return "Every image was classified correctly."
    (a, b), total = cells[0], sum(counts[a][b] for a, b in cells)
    forth, back = counts[a][b], counts[b][a]
    ways = f"{names[a]} predicted as {names[b]} {_times(forth)}, the other way {_times(back)}"
    text = f"Most often confused: {names[a]} and {names[b]} ({ways})"
    share = (forth + back) / total
    return text + (f", {share:.0%} of all {count(total)} mistakes." if share >= 0.01 else f"; {count(total)} mistakes.")


def _times(number_: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number_, f"{number_} times")


def _classes(subject: Subject, counts: Counts | None) -> dict[str, Any] | None:
    """Return the table of the classes, from the counts of several runs or the scores of one."""
    rows = per_class(counts, subject.names) if counts else None
    return class_table(rows or mean_rows(subject.scores, "per_class", (*FIGURES, "support")), FIGURES)


def _hard(images: ByImage, others: Sequence[Answers]) -> list[tuple[str, bool]]:
    """Return the images that no run got right with whether all others got them wrong too; those first, surest first."""
    elsewhere: dict[str, list[bool]] = defaultdict(list)
    for answers in others:
        for id_, is_wrong in zip(answers.table.ids, answers.table.truth != answers.table.values, strict=True):
            elsewhere[id_].append(bool(is_wrong))
    hard = []
    for id_, given in images.items():
        if len(given) > 1 and all(one.table.truth[row] != one.table.values[row] for one, row in given):
            is_everywhere = bool(elsewhere[id_]) and all(elsewhere[id_])
            hard.append((not is_everywhere, -max(_confidence([one]) for one in given), id_))
    return [(id_, not is_elsewhere) for is_elsewhere, _, id_ in sorted(hard)]


def _hard_thumbnail(given: Sequence[Given], store: ThumbnailStore) -> Thumbnail:
    """Return an image with every wrong answer it got, the most frequent first."""
    predictions = Counter(one.name(one.table.values[row]) for one, row in given).most_common()
    answers, row = illustrated(given, store)
    id_, truth = answers.table.ids[row], answers.name(answers.table.truth[row])
    several = [f"{name} ({times})" if len(predictions) > 1 else name for name, times in predictions]
    return Thumbnail(store.take(answers.run.folder, answers.split, id_), id_, truth, ", ".join(several), "")
