"""One class an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.seeds import rng_for
from striate.base.text import shown

from .known import refuse_strange
from .target import BLEND, PASTE, Indices, Values

if TYPE_CHECKING:
    import torch

    from ..augment.mix import Mix


@dataclass(frozen=True)
class Label(Values):
    """One of K classes an image: `values` (N,) int64 indices into `names`.

    A batch is (B,) int64; where images are mixed it is (B, K) float32, the share of each class.

    Example:
        >>> Label(np.array([0, 1, 1]), ("cat", "dog")).counts(np.arange(3)).tolist()
        [1, 2]
    """

    kind: ClassVar[str] = "label"
    noun: ClassVar[tuple[str, str]] = ("class", "classes")
    tasks: ClassVar[tuple[str, ...]] = ("classify",)
    mixes: ClassVar[frozenset[str]] = frozenset({BLEND, PASTE})
    is_exclusive: ClassVar[bool] = True

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return self.names

    def strata(self) -> npt.NDArray[np.int64]:
        """Return each image's class (N,)."""
        return self.values.astype(np.int64)

    def counts(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Return how many of these images each class has (K,)."""
        values = self.values[indices].astype(np.int64)
        return np.bincount(values[values >= 0], minlength=len(self.names)).astype(np.int64)

    def members(self, label: int, indices: Indices) -> Indices:
        """Return those of the images that belong to a class."""
        return np.asarray(indices[self.values[indices] == label])

    def text(self, index: int) -> str:
        """Return the class of an image."""
        return shown(self.names[int(self.values[index])], 40)

    def mix(self, values: npt.NDArray[Any], mix: "Mix") -> npt.NDArray[np.float32]:
        """Return the share of each class (B, K)."""
        share, known = mix.share[:, None], np.eye(len(self.names), dtype=np.float32)[values]
        return np.asarray(share * known + (1 - share) * known[mix.partner])

    def typed(self, values: "torch.Tensor", *, is_mixed: bool) -> "torch.Tensor":
        """Return indices as int64, shares as float32."""
        return values.float() if is_mixed else values.long()

    def with_noise(self, ids: Sequence[str], indices: Indices, share: float, seed: int) -> Self:
        """Return the target with a share of the labels among `indices` changed, each to another class at random.

        Example:
            >>> labels, ids = Label(np.zeros(1000, np.int64), ("a", "b", "c")), tuple(map(str, range(1000)))
            >>> int((labels.with_noise(ids, np.arange(1000), 0.1, seed=0).values > 0).sum())
            102
        """
        values, num = self.values.copy(), len(self.names)
        for index in indices:
            rng = rng_for(seed, "label noise", ids[index])
            if rng.random() < share:
                values[index] = (values[index] + rng.integers(1, num)) % num
        return replace(self, values=values)

    def weights(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Return 1 / the count of each image's class.

        Example:
            >>> Label(np.array([0, 0, 0, 1])).weights(np.arange(4)).round(2).tolist()
            [0.33, 0.33, 0.33, 1.0]
        """
        values = self.values[indices]
        return np.asarray(1 / np.bincount(values)[values])

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return the labels as indices into the run's classes; one that is not here has no images."""
        refuse_strange(self, names, where)
        place = np.array([names.index(name) if name in names else 0 for name in self.names], dtype=np.int64)
        return replace(self, values=place[self.values.astype(np.intp)], names=names)
