"""A finished run and a finished study in Python: what they hold, what they show, what they answer."""

import contextlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base.rundir import RunDir, StudyDir
from striate.run.inside import Inside

from .outgoing import Outgoing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from striate.data.given import Given
    from striate.data.sample import Dataset
    from striate.evaluate.predictions import Predictions
    from striate.predict.prediction import Prediction
    from striate.predict.predictor import Tiles
    from striate.report.explained import ExplainedImage
    from striate.report.figures import Confusion, Mistakes


class Run(Outgoing, Inside):
    """A finished run: its scores, its history, predictions on new images, its report.

    Args:
        network: the module, when the run was not made from a blueprint.
        dataset: the run's own, when it cannot be opened again from a path.

    Example:
        >>> run = train(open_dataset("birds/"), "bipyramid", seed=0)        # doctest: +SKIP
        >>> run.scores["test"]["accuracy"], run.predict(["robin.jpg"])      # doctest: +SKIP
    """

    def __init__(
        self, folder: RunDir | Path | str, network: "nn.Module | None" = None, dataset: "Dataset | None" = None
    ) -> None:
        self.folder = folder if isinstance(folder, RunDir) else RunDir(folder)
        self.info = self.folder.info()
        self._module = network
        self._dataset = None if self.info["dataset"]["where"] else dataset

    def __repr__(self) -> str:
        from striate.report.text import facts_text, safe_text

        return safe_text(self.folder, facts_text)

    def __str__(self) -> str:
        from striate.report.text import run_text, safe_text

        return safe_text(self.folder, run_text)

    def _repr_html_(self) -> str:
        from striate.report.card import run_card

        return run_card(self.folder)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def scores(self) -> dict[str, Any]:
        """The scores of each evaluated split."""
        return self.folder.scores()

    @property
    def history(self) -> list[dict[str, Any]]:
        """One document an epoch."""
        return self.folder.history()

    def predict(
        self,
        pictures: "Given | Iterable[Given]",
        network: "nn.Module | None" = None,
        *,
        tiles: "Tiles | None" = None,
    ) -> "list[Prediction]":
        """Return a prediction for each image: a path, an (H, W, C) array, a tensor, a Pillow image, or many of them.

        Args:
            tiles: cut large images into tiles at this scale, or at that of training ("auto"), see `Predictor`.
        """
        from striate.predict import Predictor

        return Predictor.load(self.folder, network or self._module)(pictures, tiles=tiles)

    @cached_property
    def network(self) -> "nn.Module":
        """The trained network, a PyTorch module in evaluation mode.

        Raises:
            ModelError: the run has no weights yet, or was made from a module of one's own.
        """
        from striate.predict import Predictor

        return Predictor.load(self.folder, self._module).network

    def curves(self) -> "Figure":
        """Return loss and score over the epochs as a figure."""
        from striate.report.figures import run_curves

        return run_curves(self.folder)

    def confusion(self, split: str | None = None) -> "Confusion":
        """Return how often each class was taken for which: counts, `.figure()`, `.rows()` for a data frame.

        Args:
            split: by default test, else validation.
        """
        from striate.report.figures import confusion_of

        return confusion_of(self.folder, split)

    def answers(self, split: str | None = None) -> "Predictions":
        """Return the table of what was answered to each image: `ids`, `truth`, `values`, `probabilities`, `losses`.

        Classes and tags are indices and bits of `names`; numbers are (N, D), points (N, K, 2).

        Args:
            split: by default test, else validation.
        """
        from striate.report.figures import answers_of

        return answers_of(self.folder, split)

    def mistakes(self, most: int = 12, split: str | None = None) -> "Mistakes":
        """Return the worst answers, the highest loss first: their images, `.figure()`."""
        from striate.report.figures import mistakes_of

        return mistakes_of(self.folder, most, split)

    def evaluate(
        self, data: "Dataset | str | Path | None" = None, *, split: str | None = None, views: int = 1, **options: Any
    ) -> dict[str, Any]:
        """Return the scores of the run on its own test images, or on other data; see `evaluate_run`.

        Args:
            data: a dataset, or where it is; of the run's own data its test split is taken.
            split: train, val, test or all.
            views: of each image, whose probabilities are averaged.
        """
        from striate.run.evaluate import evaluate_run

        where = str(data) if isinstance(data, Path) else data
        given = {"data": self._dataset, "network": self._module, **options}
        scores: dict[str, Any] = evaluate_run(self.path, where, split=split, views=views, **given)["scores"]
        return scores

    def resume(self, **options: Any) -> "Run":
        """Go on with an interrupted run, or with `epochs=` train it longer; return it when it is finished."""
        from . import resume

        given = {"dataset": self._dataset, "model": self._module, **options}
        return Run(resume(self.path, **given).path, given["model"], given["dataset"])

    def explain(
        self,
        image: "Given",
        *,
        methods: Sequence[str] = (),
        target: str | None = None,
        network: "nn.Module | None" = None,
        sanity: bool = False,
    ) -> "ExplainedImage":
        """Return which pixels the answer to an image hangs on: maps as arrays, and a figure.

        Args:
            methods: gradient, smoothgrad, integrated, gradcam, occlusion; by default all of them.
            target: the class, tag or field to explain; by default what the network says.
            sanity: whether to look what random weights make of the map.
        """
        from striate.predict import Predictor
        from striate.report.explained import explain_image

        predictor = Predictor.load(self.folder, network or self._module)
        return explain_image(predictor, image, methods=methods, target=target, has_sanity=sanity)

    def report(self) -> Path:
        """Write the report and return its path."""
        from striate.report import report_run

        return report_run(self.folder)


class Study:
    """A study: its verdict, its runs, its report.

    Args:
        datasets: its own, one a fold, when they cannot be opened again from a path.
    """

    def __init__(self, folder: StudyDir | Path | str, datasets: "Sequence[Dataset] | None" = None) -> None:
        self.folder = folder if isinstance(folder, StudyDir) else StudyDir(folder)
        self.info = self.folder.info()
        self._datasets = None if self.info["dataset"]["where"] else datasets

    def __repr__(self) -> str:
        with contextlib.suppress(Exception):
            return self.verdict or f"Study({str(self.path)!r}: not finished)"
        return f"Study({str(self.path)!r}: its verdict cannot be read)"

    def _repr_html_(self) -> str:
        from striate.report.card import study_card

        return study_card(self.folder)

    @property
    def path(self) -> Path:
        """The study folder."""
        return self.folder.path

    @property
    def verdict(self) -> str:
        """The verdict as text; empty while the study is not finished."""
        from striate.verdict.verdict import render

        found = self.folder.verdict()
        return render(found) if found else ""

    def notebook(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the study as a notebook that shows what was done and computes its numbers; return its path."""
        from striate.report.homework import write_notebook

        return write_notebook(self.folder, Path(path), overwrite=overwrite)

    def table(self) -> list[dict[str, Any]]:
        """Return a row a variant, which `pandas.DataFrame` and `polars.DataFrame` take."""
        from striate.report.figures import study_table

        return study_table(self.folder)

    def curves(self) -> "Figure":
        """Return the validation score of all variants in one chart: the mean over seeds, and their range."""
        from striate.report.figures import study_curves

        return study_curves(self.folder)

    def run(self, variant: str, seed: int = 0, fold: int = 0) -> Run:
        """Return one of its runs; `fold` counts in a study over folds only."""
        dataset = self._datasets[fold] if self._datasets else None
        return Run(self.folder.run(variant, seed, fold if self.info["folds"] else None), dataset=dataset)

    def resume(self, **options: Any) -> "Study":
        """Go on with an interrupted study; return it when it is finished."""
        from . import resume

        given = {"datasets": self._datasets, **options}
        return Study(resume(self.path, **given).path, given["datasets"])

    def report(self) -> Path:
        """Write the report and return its path."""
        from striate.report import report_runs, report_study

        report_runs(self.folder)
        return report_study(self.folder)
