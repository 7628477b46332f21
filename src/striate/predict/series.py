"""A predictor of series: each case of a `.ts` file has an answer of its own."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError, combined
from striate.base.noun import NOUNS
from striate.data.given import images_of
from striate.data.raster import Samples
from striate.data.sources.series import read_file
from striate.data.sources.series_images import SeriesImages, ranges_of

from .prediction import Prediction
from .predictor import Predictor, id_of

if TYPE_CHECKING:
    from striate.data.given import Given

    from .predictor import Tiles


class SeriesPredictor(Predictor):
    """Predicts the cases of `.ts` files, whose classes need not be known, and series (L, D) as arrays of numbers.

    Args:
        ranges: the values that become the lowest and highest level, as the run's dataset keeps them.
    """

    reads_images = False
    noun = NOUNS["series"]

    def __init__(self, *given: Any, ranges: str) -> None:
        super().__init__(*given)
        self.ranges = ranges

    def __call__(
        self,
        pictures: "Given | Iterable[Given]",
        bad: list[DataError] | None = None,
        doubtful: list[DataError] | None = None,
        tiles: "Tiles | None" = None,
    ) -> list[Prediction]:
        """Return a prediction for each case; its id is that of a dataset, NAME/1 for the first of NAME.ts.

        Args and Raises: see `Predictor`.
        """
        found: list[Prediction] = []
        problems = [] if bad is None else bad
        for number, given in enumerate(images_of(pictures)):
            is_file = isinstance(given, str | Path)
            try:
                levels = self._levels(given, number)
            except DataError as problem:
                problem.where = problem.where or str(given if is_file else number)
                problems.append(problem)
                continue
            answers = super().__call__(levels, None, doubtful, tiles)
            names = [_case_id(given, n) for n in range(len(levels))] if is_file else [str(number)]
            found += [replace(one, id=name) for one, name in zip(answers, names, strict=True)]
        if problems and bad is None:
            raise combined(problems)
        return found

    def answer(self, picture: "Given") -> tuple[npt.NDArray[Any], Prediction]:
        """Return the levels (1, L, D) of a series, an array or the first case of a file, and the prediction for it."""
        levels = self._levels(picture, 0)[0]
        name = _case_id(picture, 0) if isinstance(picture, str | Path) else id_of(picture)
        return levels, self.of_pixels([(levels, name)])[0]

    def fitted(self, picture: "Given") -> npt.NDArray[Any]:
        """Return the stored levels (1, L, D) of a series: an array (L, D), or the first case of a file."""
        return self.framed(self._levels(picture, 0)[0])

    def _levels(self, given: Any, number: int) -> list[Samples]:
        """The levels of each case of a file, or of an array."""
        is_file = isinstance(given, str | Path)
        values = read_file(Path(str(given)), needs_class=False).values if is_file else (_case(given, number),)
        images = SeriesImages(values, ranges_of(values)).with_ranges(self.ranges)
        return [images.read_samples(index, None, self.geometry.depth) for index in range(len(images))]


def _case_id(given: Any, index: int) -> str:
    return f"{Path(str(given)).stem}/{index + 1}"


def _case(given: Any, number: int) -> Any:
    """The values (L, D) of a series that is an array or a tensor (L,) or (L, D)."""
    values = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if values.ndim not in (1, 2) or not values.size or not np.isfinite(values).all():
        what = f"an array of shape {values.shape} is no series of numbers"
        raise DataError(what, where=f"series {number}", fix="give (L,) or (L, dimensions), all of them finite")
    return values.reshape(len(values), -1).astype(np.float32)
