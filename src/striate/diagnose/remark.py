"""What the narrator says: one remark a state of the run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal[
    "rate_too_high",
    "rate_too_low",
    "dead_units",
    "vanishing_gradients",
    "batch_too_small_for_norm",
    "label_noise",
    "missed_classes",
    "unreached_boxes",
    "one_part_dominates",
    "over_fitting",
    "under_fitting",
    "still_improving",
    "healthy",
]
Sureness = Literal["certain", "likely", "possible"]
STATES: dict[State, str] = {
    "rate_too_high": "The rate is too high",
    "rate_too_low": "The rate is too low",
    "dead_units": "Units are dead",
    "vanishing_gradients": "Gradients vanish",
    "batch_too_small_for_norm": "The batch is too small for batch norm",
    "label_noise": "Labels are wrong",
    "missed_classes": "Classes are missed",
    "unreached_boxes": "Objects are too small or too odd for the network",
    "one_part_dominates": "One part of the loss dominates",
    "over_fitting": "It overfits",
    "under_fitting": "It underfits",
    "still_improving": "It was stopped too early",
    "healthy": "Healthy",
}
ORDER: tuple[Sureness, ...] = ("certain", "likely", "possible")


@dataclass(frozen=True)
class Remark:
    """A state of a run, how sure that is, the numbers it comes from, and one experiment with the command to type.

    `command` is empty when the run cannot be started from the command line, since its data or its network came from
    Python.
    """

    state: State
    sureness: Sureness
    evidence: str
    next: str
    command: str = ""

    @property
    def title(self) -> str:
        """The state in words, weaker where it is not sure.

        Example:
            >>> Remark("dead_units", "likely", "", "").title, Remark("label_noise", "possible", "", "").title
            ('Units are dead (likely)', 'Labels are wrong (possible)')
        """
        return STATES[self.state] + ("" if self.sureness == "certain" else f" ({self.sureness})")

    def to_json(self) -> dict[str, Any]:
        """Return the plain description."""
        return asdict(self)


def ordered(remarks: Iterable[Remark]) -> tuple[Remark, ...]:
    """Return the surest first, causes before symptoms among equals."""
    states = list(STATES)
    return tuple(sorted(remarks, key=lambda one: (ORDER.index(one.sureness), states.index(one.state))))
