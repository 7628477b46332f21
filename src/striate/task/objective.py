"""What an explanation is about: one number of each image, a weighted sum of what the network gives for it.

The weights are chosen once, from the outputs for the images themselves, and then stay: an image with noise on it, with
a part covered or half faded out is asked for the same class, over the same pixels. So the number is linear in the
outputs, and what methods promise of it (completeness, for one) holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.text import plural

from .views import each, leaves

NEAREST = 10  # one pixel in so many stands for a class that no pixel has
Which = str | Sequence[str | None] | None  # a name for all images, one for each of them, or the task's choice


@dataclass(frozen=True, eq=False)
class Objective:
    """The number that an explanation of each of N images is about.

    Args:
        names: of what was chosen: a class, a tag, a field of numbers.
        texts: what the number is: "logit of cat".
        indices: (N,) places of what was chosen.
        weights: nested like the outputs, of their shapes.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    indices: Tensor
    weights: Any

    def __len__(self) -> int:
        return len(self.names)

    def score(self, outputs: Any, rows: Tensor | None = None) -> Tensor:
        """Return the number (M,) of M outputs.

        Args:
            rows: (M,) which of the N images each is of; by default they are those in order.
        """
        weights = self.weights if rows is None else each(lambda one: one[rows.to(one.device)], self.weights)
        pairs = zip(leaves(weights), leaves(outputs), strict=True)
        parts = [(weight.to(values) * values).flatten(1).sum(1) for weight, values in pairs]
        return torch.stack(parts).sum(0)


def chosen(names: Sequence[str], which: Which, usual: Tensor, kind: str = "class") -> Tensor:
    """Return the index (N,) of what is chosen of each image.

    Args:
        usual: (N,) what is taken where nothing is chosen.

    Raises:
        SettingsError: a name is unknown, or they are not as many as the images.
    """
    num = len(usual)
    wanted = [which] * num if which is None or isinstance(which, str) else list(which)
    if len(wanted) != num:
        raise SettingsError(f"{len(wanted)} names for {plural(num, 'image')}", where="target", fix="give one an image")
    table = {name: index for index, name in enumerate(names)}
    picked = [int(usual[row]) if name is None else choose(kind, name, table) for row, name in enumerate(wanted)]
    return torch.tensor(picked, dtype=torch.int64)


def single(outputs: Tensor, names: Sequence[str], indices: Tensor, what: str = "logit of") -> Objective:
    """Return the objective that is one of the outputs (N, D) of each image."""
    weights = torch.zeros_like(outputs, dtype=torch.float32)
    weights[torch.arange(len(outputs), device=outputs.device), indices.to(outputs.device)] = 1.0
    return Objective(*_texts(names, indices, lambda row, name: f"{what} {name}"), indices, weights)


def region(outputs: Tensor, names: Sequence[str], indices: Tensor, is_there: Tensor) -> Objective:
    """Return the objective that is the sum of a class's outputs (N, K, ...) over pixels (N, ...) of each image.

    Where there is no such pixel it is the sum over the tenth of the pixels where the class comes closest to being the
    largest: all pixels together say nothing of a place.
    """
    counts = is_there.flatten(1).sum(1).tolist()
    rows = torch.arange(len(outputs), device=outputs.device)
    weights = torch.zeros_like(outputs, dtype=torch.float32)
    weights[rows, indices.to(outputs.device)] = torch.stack(
        [
            there if count else _nearest(logits, int(index))
            for there, count, logits, index in zip(is_there, counts, outputs, indices, strict=True)
        ]
    ).to(weights)

    def text(row: int, name: str) -> str:
        if counts[row]:
            return f"sum of the logits of {name} over the {plural(counts[row], 'pixel')} answered with it"
        return f"sum of the logits of {name} where it comes closest, as no pixel is answered with it"

    return Objective(*_texts(names, indices, text), indices, weights)


def _nearest(logits: Tensor, index: int) -> Tensor:
    """The tenth of the pixels (...) in which a class's logit (K, ...) lies least below the largest of the others."""
    others = torch.cat([logits[:index], logits[index + 1 :]]).amax(0)
    margin = (logits[index] - others).flatten()
    is_near = torch.zeros_like(margin, dtype=torch.bool)
    is_near[margin.topk(max(1, len(margin) // NEAREST)).indices] = True
    return is_near.view(logits.shape[1:])


def _texts(
    names: Sequence[str], indices: Tensor, text: Callable[[int, str], str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = tuple(names[index] for index in indices.tolist())
    return found, tuple(text(row, name) for row, name in enumerate(found))
