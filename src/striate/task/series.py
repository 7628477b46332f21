"""What a task compares where a study names no variants, and which questions the comparison answers."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Step:
    """A variant of a task's own study: a network of the zoo and a named recipe; `text` says what it is.

    `changes` are `field=value` settings of the step; in them and in the text stand `{base}` for the network that the
    study's weights are of, and `{weights}` for these. `weights` says whether the step starts from these: "may" where
    there are some, "must" so that it is left out where there are none, "none" unless its changes say so.
    """

    name: str
    model: str
    recipe: str
    text: str
    changes: tuple[str, ...] = ()
    weights: Literal["none", "may", "must"] = "none"

    def starting_from(self, weights: str | None, base: str) -> "tuple[str, ...]":
        """Return the changes with the weights and the network they are of written in.

        Example:
            >>> Step("one", "ssd", "detect", "", weights="may").starting_from("net.npz", "resnet18")
            ('model.encoder=resnet18', 'transfer.weights=net.npz')
        """
        given = {"base": base, "weights": weights}
        own = tuple(change.format(**given) for change in self.changes)
        is_from = weights is not None and self.weights != "none"
        return (f"model.encoder={base}", f"transfer.weights={weights}", *own) if is_from else own


@dataclass(frozen=True)
class Question:
    """What the difference of one step from others tells.

    Args:
        what: the part that only `subject` has, in words, such as "skip connections".
        subject: the step that has it.
        others: those that have it not.
        is_same_recipe: whether all must be trained alike for the answer to count.
    """

    what: str
    subject: str
    others: tuple[str, ...]
    is_same_recipe: bool = True
