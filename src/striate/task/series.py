"""What a task compares where a study names no variants, and which questions the comparison answers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A variant of a task's own study: a network of the zoo and a named recipe; `text` says what it is.

    `changes` are `field=value` settings of the step; in them and in the text stand `{base}` for the network that the
    study's weights are of, and `{weights}` for these.
    """

    name: str
    model: str
    recipe: str
    text: str
    changes: tuple[str, ...] = ()


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
