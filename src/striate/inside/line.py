"""The integral of a score's gradient on the straight line from a baseline to an image.

A network of rectifiers and max pools is linear in pieces: on the line its gradient jumps, thousands of times, and a
rule for smooth functions (Gauss-Legendre) gains nothing. These are trapezoids instead, halved where the error is: where
the gradients at both ends differ most, and where the trapezoid is farthest from the rise of the score. Both are known
from the passes that are made anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

FIRST = 4  # one place in so many is spread evenly, and so many are added in a round

# Of places (M,) in 0..1: the gradients there times (image - baseline), (M, C, ...), and the scores (M,).
Sample = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Point:
    """A place on the line, from 0 at the baseline to 1 at the image, with its slopes (C, ...) and its score."""

    place: float
    slopes: Tensor
    score: float


@dataclass(eq=False)
class Line:
    """Points on the line in order. The slopes of all are kept, so one line needs as many images' memory as it has.

    Args:
        sample: what gives gradients and scores.
        batch: places that go through the network at once.
    """

    sample: Sample
    batch: int
    points: list[Point] = field(default_factory=list)
    _doubts: list[tuple[float, float]] = field(default_factory=list)  # of each piece, see `_doubt`

    def __len__(self) -> int:
        return len(self.points)

    def extend(self, num: int, report: Callable[[int], None] = lambda done: None) -> None:
        """Add points up to `num`, which is 2 or more.

        Args:
            report: called with the number of points there are.
        """
        if not self.points:
            self._begin(max(2, num // FIRST))
            report(len(self))
        most = max(1, min(self.batch, num // FIRST))
        while len(self) < num:
            self._halve(min(most, num - len(self), len(self._doubts)))
            report(len(self))

    @property
    def values(self) -> Tensor:
        """(C, ...) the integral of the slopes, by trapezoids."""
        total = torch.zeros_like(self.points[0].slopes)
        for left, right in zip(self.points, self.points[1:], strict=False):
            total += (left.slopes + right.slopes) * ((right.place - left.place) / 2)
        return total

    @property
    def gap(self) -> float:
        """|sum of the values - rise of the score| over |rise|: 0 for the exact integral."""
        rise = self.points[-1].score - self.points[0].score
        return abs(float(self.values.double().sum()) - rise) / max(abs(rise), 1e-12)

    def _begin(self, num: int) -> None:
        for places in torch.linspace(0, 1, num, dtype=torch.float64).split(self.batch):
            self.points += self._points(places)
        self._doubts = [_doubt(left, right) for left, right in zip(self.points, self.points[1:], strict=False)]

    def _halve(self, num: int) -> None:
        """Put a point into the middle of up to `num` pieces: of those with more doubt than the mean, the worst."""
        doubts = torch.tensor(self._doubts, dtype=torch.float64)
        shares = (doubts / doubts.sum(0).clamp(min=1e-30)).sum(1)
        num = max(1, min(num, int((shares >= shares.mean()).sum())))
        rows = sorted(shares.topk(num).indices.tolist(), reverse=True)  # from the end: places before stay the same
        middles = [(self.points[row].place + self.points[row + 1].place) / 2 for row in rows]
        for row, middle in zip(rows, self._points(torch.tensor(middles, dtype=torch.float64)), strict=True):
            left, right = self.points[row : row + 2]
            self.points.insert(row + 1, middle)
            self._doubts[row : row + 1] = [_doubt(left, middle), _doubt(middle, right)]

    def _points(self, places: Tensor) -> list[Point]:
        slopes, scores = self.sample(places)
        return [Point(*one) for one in zip(places.tolist(), slopes, scores.tolist(), strict=True)]


def _doubt(left: Point, right: Point) -> tuple[float, float]:
    """How far the piece's integral can be off, summed over all values; and how far its sum is off the score's rise."""
    width = right.place - left.place
    change = float((right.slopes - left.slopes).abs().double().sum())
    sums = float((left.slopes + right.slopes).double().sum())
    return width * change / 2, abs(right.score - left.score - width * sums / 2)
