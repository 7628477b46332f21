"""What a run and a study show in a notebook: curves, the confusion matrix, mistakes, the table of variants.

Figures are matplotlib's, returned and not shown; a notebook shows what a cell ends with.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import ModelError, SettingsError
from striate.base.html import Html, card, line, quiet, table, text
from striate.base.numbers import number
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import shown
from striate.evaluate.predictions import Predictions
from striate.metric import Metric

from .answers import Answers
from .card import confusion_table
from .charts_study import band
from .ranges import limits
from .read import SPLIT_WORDS, Run, Study, at
from .svg import MUTED, TRAIN, VAL
from .tasks import Subject, sections_of
from .thumbnails import MAX_SIDE_PX, ThumbnailStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#a6761d", "#66a61e", "#666666")
DASHES = ("-", "--", "-.", ":")  # so that colour is not the only sign
MAX_CELLS = 20  # classes whose counts are written into the cells
MAX_SHOWN = 12  # images in a notebook's output


def new(width_in: float, height_in: float) -> "Figure":
    """Return an empty figure that a notebook shows without pyplot."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that draws itself where a cell ends with it."""

        def _repr_png_(self) -> bytes:
            content = io.BytesIO()
            self.savefig(content, format="png", dpi=110, facecolor="white", bbox_inches="tight")
            return content.getvalue()

    return Shown(figsize=(width_in, height_in), layout="constrained", facecolor="white")


def run_curves(folder: RunDir) -> "Figure":
    """Return loss and score over the epochs, training dashed, validation solid, the kept epoch ringed.

    Raises:
        ModelError: no epoch is done.
    """
    run = Run.read(folder)
    if not run.history:
        raise ModelError("no epoch is done yet", where=folder.path, fix="wait for the first one")
    keys = list(dict.fromkeys(("loss", run.metric.key)))
    figure = new(4.6 * len(keys), 3.2)
    for place, key in enumerate(keys, 1):
        axes = figure.add_subplot(1, len(keys), place)
        for split, colour, dash in (("train", TRAIN, "--"), ("val", VAL, "-")):
            axes.plot(run.epochs, run.curve(split, key), dash, color=colour, label=SPLIT_WORDS[split])
        if run.best_epoch in run.epochs:
            best = run.curve("val", key)[run.epochs.index(run.best_epoch)]
            axes.plot([run.best_epoch], [best], "o", ms=8, mfc="none", color=VAL, label=f"best: epoch {run.best_epoch}")
        _dress(axes, run.metric_of(key), [*run.curve("train", key), *run.curve("val", key)])
    return figure


def study_curves(folder: StudyDir) -> "Figure":
    """Return the monitored score on validation of all variants in one chart: the mean over seeds, and their range.

    Raises:
        ModelError: no run has an epoch yet.
    """
    study, values = Study.read(folder), []
    metric = study.metric
    figure = new(7.5, 4)
    axes = figure.add_subplot()
    for place, (name, runs) in enumerate(study.runs.items()):
        curves = [run.curve("val", metric.key) for run in runs if run.history]
        if not curves:
            continue
        epochs, low, middle, high = band(curves)
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]
        axes.plot(epochs, middle, dash, color=colour, label=shown(name, 30), lw=2 if name == study.best else 1.3)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.15, lw=0)
        values += [value for curve in curves for value in curve]
    if not values:
        raise ModelError("no run of the study has an epoch yet", where=folder.path, fix="wait for the first one")
    _dress(axes, metric, values)
    return figure


def study_table(folder: StudyDir) -> list[dict[str, Any]]:
    """Return a row a variant, in the order of the study, for `pandas.DataFrame` or `polars.DataFrame`.

    Columns: `variant`, `runs`, the mean and deviation over seeds of the score on validation and on the reported split
    with its interval, `gap`, `best_epoch`, `time_s`, `parameters`, `macs` and whether it is the `best`.

    Raises:
        ModelError: there is no verdict yet.
    """
    verdict = folder.verdict()
    if verdict is None:
        fix = f"finish it: `striate resume {folder.path}`"
        raise ModelError("the study has no verdict yet", where=folder.path, fix=fix)
    key, split, rows = verdict["metric"], verdict["split_reported"], []
    for one in verdict["variants"]:
        low, high = at(one, "test.interval") or (None, None)
        row = {"variant": one["name"], "runs": one["n"], "best": one["name"] == verdict["best"]}
        for name, part in {"val": "val", split: "test"}.items():  # "test" is the reported split, whichever it is
            row |= {f"{name}_{key}": at(one, f"{part}.mean"), f"{name}_std": at(one, f"{part}.std")}
        row |= {f"{split}_low": low, f"{split}_high": high, "gap": at(one, "gap.mean"), "best_epoch": one["best_epoch"]}
        rows.append(row | {"time_s": at(one, "time_s.mean"), "parameters": one["parameters"], "macs": one["macs"]})
    return rows


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each class was taken for which: `counts` (K, K), true classes as rows, `names` of the classes."""

    counts: npt.NDArray[np.int64]
    names: tuple[str, ...]
    split: str
    unit: str = "images"

    def __repr__(self) -> str:
        right, total = int(np.trace(self.counts)), int(self.counts.sum())
        return f"Confusion({self.split}: {right:,} of {total:,} {self.unit} right, {len(self.names)} classes)"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.counts, dtype=dtype)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a true class, a column a predicted one, for a data frame."""
        return [
            {"true": name, **dict(zip(self.names, row, strict=True))}
            for name, row in zip(self.names, self.counts.tolist(), strict=True)
        ]

    def figure(self) -> "Figure":
        """Return the matrix as a figure, shaded by the share of each true class."""
        num = len(self.names)
        side = min(12.0, 2.2 + 0.42 * num)
        figure = new(side, side)
        axes = figure.add_subplot()
        shares = self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(self.counts > 0) if num <= MAX_CELLS else ():
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{self.counts[row, column]:,}", ha="center", va="center", color=colour, fontsize=8)
        names = [shown(name, 24) for name in self.names]
        axes.set_xticks(range(num), names, rotation=90, fontsize=8, parse_math=False)
        axes.set_yticks(range(num), names, fontsize=8, parse_math=False)
        axes.set(xlabel="predicted", ylabel="true", title=repr(self).split("(")[1].rstrip(")"))
        return figure

    def _repr_html_(self) -> str:
        about = repr(self).split("(", 1)[1].rstrip(")")
        return card("Confusion", about, confusion_table(self.counts.tolist(), self.names))


def confusion_of(folder: RunDir, split: str | None = None) -> Confusion:
    """Return the confusion matrix of a run on a split, by default test, else validation.

    Raises:
        ModelError: the run was not scored there, or its answers are no classes.
    """
    run = Run.read(folder)
    split = _split(run, split)
    sections = sections_of(run)
    found = sections.confusions(Subject([run], split, ThumbnailStore(max_images=0), sections))
    if found is None:
        fix = "use run.scores, run.mistakes() or the report"
        raise ModelError(f"the answers of {at(run.info, 'task.name')} are no classes", where=folder.path, fix=fix)
    return Confusion(np.array(found[0]), tuple(run.names), split, found[1])


@dataclass(frozen=True, eq=False)
class Mistake:
    """An image with a wrong answer: its `image` (H, W, 3) small, or None where the run kept none, and its loss."""

    id: str
    text: str
    loss: float
    image: npt.NDArray[np.uint8] | None

    def __repr__(self) -> str:
        return f"Mistake({shown(self.id)!r}: {shown(self.text)}; loss {self.loss:.3g})"


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The worst answers of a run on a split, the highest loss first; `total` images were answered wrongly."""

    items: tuple[Mistake, ...]
    total: int
    split: str

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Mistake]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Mistake:
        return self.items[index]

    def __repr__(self) -> str:
        lines = [f"  {one!r}" for one in self.items[:MAX_SHOWN]]
        return "\n".join([f"Mistakes({self.split}: {self.total:,} of them, the worst first)", *lines])

    def figure(self, columns: int = 4) -> "Figure":
        """Return the images with what is true and what was answered."""
        found = [one for one in self.items if one.image is not None]
        columns = min(columns, max(1, len(found)))
        rows = -(-len(found) // columns)
        figure = new(2.4 * columns, 2.6 * max(1, rows))
        for place, one in enumerate(found, 1):
            axes = figure.add_subplot(rows, columns, place)
            axes.imshow(one.image)  # type: ignore[arg-type]
            axes.set_axis_off()
            axes.set_title(shown(one.text, 60).replace(", ", "\n"), fontsize=8, parse_math=False)
        return figure

    def _repr_html_(self) -> str:
        store, cells = ThumbnailStore(max_bytes=90_000), []
        for one in self.items[:MAX_SHOWN]:
            kept = None if one.image is None else store.add_image(one.image, MAX_SIDE_PX // 2)
            image = f'<img src="{kept.uri}" width="{kept.width}" alt=""/>' if kept else ""
            cells.append((Html(image), text(one.text, 80), text(one.id, 60), f"{one.loss:.3g}"))
        rest = len(self.items) - len(cells)
        more = line(quiet(f"and {rest} more")) if rest else Html()
        head = ("", "what", "image", "loss")
        return card("Mistakes", f"{self.split}: {self.total:,} of them", table(cells, head, right={3}), more)


def mistakes_of(folder: RunDir, most: int = MAX_SHOWN, split: str | None = None) -> Mistakes:
    """Return the worst answers of a run, wrong ones where an answer can be right, by their loss.

    Raises:
        ModelError: the run has no table of predictions for this split.
        SettingsError: `most` is less than 1.
    """
    if most < 1:
        raise SettingsError(f"no number of mistakes: {most}", where="most", fix="give 1 or more")
    run = Run.read(folder)
    split = _split(run, split)
    sections, found = sections_of(run), answers_of(folder, split)
    losses = np.nan_to_num(np.asarray(found.losses, np.float64), nan=-np.inf)
    wrong = np.flatnonzero(~found.correct)
    order = wrong[np.argsort(-losses[wrong], kind="stable")]
    answers, store = Answers(run, split, found), ThumbnailStore()
    items = [
        Mistake(
            found.ids[row],
            sections.caption(answers, row),
            float(found.losses[row]),
            store.read(folder, split, found.ids[row]),
        )
        for row in map(int, order[:most])
    ]
    return Mistakes(tuple(items), len(wrong), split)


def answers_of(folder: RunDir, split: str | None = None) -> Predictions:
    """Return the table of a run's answers on a split, by default test, else validation.

    Raises:
        ModelError: the run has no table of predictions for this split.
    """
    run = Run.read(folder)
    table = run.predictions(_split(run, split), lambda whole: whole)
    if table is None:
        raise ModelError("the run has no table of predictions", where=folder.path, fix="evaluate it again")
    return table


def scores_table(scores: dict[str, Any], monitor: str) -> Html:
    """Return the scores that are numbers, the monitored one first."""
    keys = [monitor, *(key for key in scores if key != monitor)]
    rows = [(key, f"{value:.4f}", _interval(scores, key)) for key in keys if (value := _score(scores, key)) is not None]
    return table(rows, ("score", "", "95% interval"), right={1, 2})


def _score(scores: dict[str, Any], key: str) -> float | None:
    value = scores.get(key)
    return number(value) if isinstance(value, float) else None


def _interval(scores: dict[str, Any], key: str) -> str:
    ends = (scores.get("intervals") or {}).get(key)
    return f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""


def _split(run: Run, split: str | None) -> str:
    found = split or run.reported_split
    if found is None or found not in run.scores:
        what = f"the run has no scores of {found or 'any split'}: {run.why_missing}"
        raise ModelError(
            what, where=run.folder.path, fix=f"choose one of {', '.join(run.scores)}" if run.scores else "finish it"
        )
    return found


def _dress(axes: "Axes", metric: Metric, values: Sequence[float]) -> None:
    ends = limits(values, metric)
    if ends is not None:
        axes.set_ylim(*ends)
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True)
    axes.set_title(metric.name, fontsize=11, parse_math=False)
    axes.grid(alpha=0.3)
    axes.tick_params(colors=MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
