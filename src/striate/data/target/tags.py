"""Several labels an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.base.seeds import rng_for
from striate.base.text import plural, shown

from ..check.finding import listed
from ..split import assign_tags
from .known import refuse_strange
from .target import BLEND, PASTE, Indices, Values

if TYPE_CHECKING:
    import torch

    from ..augment.mix import Mix


@dataclass(frozen=True)
class Tags(Values):
    """Any number of K tags an image: `values` (N, K) uint8 of 0 and 1, `names` the tags.

    A batch is (B, K) float32, shares where images are mixed.
    """

    kind: ClassVar[str] = "tags"
    noun: ClassVar[tuple[str, str]] = ("set of tags", "tags")
    tasks: ClassVar[tuple[str, ...]] = ("classify", "tag")
    mixes: ClassVar[frozenset[str]] = frozenset({BLEND, PASTE})

    @property
    def classes(self) -> tuple[str, ...]:
        """The tags."""
        return self.names

    def strata(self) -> npt.NDArray[np.int64]:
        """Return each image's rarest tag (N,); K for an image without."""
        tags = self.values.astype(bool)
        rarity = np.where(tags, tags.sum(axis=0, dtype=np.int64), np.iinfo(np.int64).max)
        return np.asarray(np.where(tags.any(axis=1), rarity.argmin(axis=1), tags.shape[1]))

    def divide(self, ids: Sequence[str], members: Indices, shares: Sequence[float], seed: int) -> npt.NDArray[np.int64]:
        """Return the part of each member, every tag divided in the given shares; see `split.assign_tags`."""
        return assign_tags(ids, self.values[members], shares, seed)

    def counts(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Return how many of these images have each tag (K,)."""
        return np.asarray(self.values[indices].sum(axis=0, dtype=np.int64))

    def members(self, label: int, indices: Indices) -> Indices:
        """Return those of the images that have a tag."""
        return np.asarray(indices[self.values[indices, label] == 1])

    def text(self, index: int) -> str:
        """Return the tags of an image."""
        return shown(" + ".join(self.names[tag] for tag in np.flatnonzero(self.values[index])) or "none", 40)

    def mix(self, values: npt.NDArray[Any], mix: "Mix") -> npt.NDArray[np.float32]:
        """Return the share of each tag (B, K)."""
        share, known = mix.share[:, None], values.astype(np.float32)
        return share * known + (1 - share) * known[mix.partner]

    def typed(self, values: "torch.Tensor", *, is_mixed: bool) -> "torch.Tensor":
        """Return tags or shares as float32."""
        return values.float()

    def with_noise(self, ids: Sequence[str], indices: Indices, share: float, seed: int) -> Self:
        """Return the target with each tag of `indices` flipped with the chance `share`."""
        values, num = self.values.copy(), len(self.names)
        for index in indices:
            values[index] ^= (rng_for(seed, "label noise", ids[index]).random(num) < share).astype(values.dtype)
        return replace(self, values=values)

    def weights(self, indices: Indices) -> npt.NDArray[np.float64]:
        """Return 1 / the count of each image's rarest tag; no tag weighs as the commonest."""
        values = self.values[indices]
        rarity = 1 / np.maximum(values.sum(0), 1)
        return np.asarray(np.where(values.any(1), (values * rarity).max(1), rarity.min()))

    def as_known(self, names: tuple[str, ...], where: str, *, is_complete: bool) -> Self:
        """Return a column for each of the run's tags, in their order."""
        refuse_strange(self, names, where)
        missing = [name for name in names if name not in self.names]
        if missing and not is_complete:
            what = f"{plural(len(missing), 'column')} of the run missing: {listed(missing, 3)}"
            raise DataError(what, where=where, fix=f"add a column {shown(missing[0], 30)!r} of 0 and 1")
        values = np.zeros((len(self), len(names)), dtype=np.uint8)
        for column, name in enumerate(self.names):
            if name in names:
                values[:, names.index(name)] = self.values[:, column]
        return replace(self, values=values, names=names)
