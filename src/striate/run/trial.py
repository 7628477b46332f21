"""A trial: a network trained without a run folder, for as long as its validation scores promise something."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from striate.base import device as devices
from striate.base.errors import DivergedError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.engine.interrupt import listen
from striate.engine.loop import Position
from striate.engine.stop import Stop

from .network import Model, build_network
from .precision import precision_of
from .prepare import Prepared
from .training import Training

ShouldContinue = Callable[[Sequence[float]], bool]  # the validation scores of the epochs so far -> train another epoch?


@dataclass(frozen=True)
class TrialResult:
    """What came of a trial: the validation score of each epoch, how it ended ("finished", "cut", "diverged")."""

    scores: tuple[float, ...]
    ended: str


def try_out(
    model: Model, prepared: Prepared, *, should_continue: ShouldContinue, seed: int = 0, precision: str = "float32",
    progress: Progress | None = None,
) -> TrialResult:  # fmt: skip
    """Train a new network with the recipe as a run would, but write nothing; only train and val are looked at.

    Raises:
        Interrupted: Ctrl-C or SIGTERM.
    """
    network = devices.place(build_network(model, prepared, seed), prepared.device)
    trial = _Trial(prepared, network, should_continue, seed, precision, progress or Progress("quiet"))
    try:
        with listen() as interrupt:
            ended = trial.train(interrupt)
    except DivergedError:
        ended = "diverged"
    return TrialResult(tuple(trial.scores), "cut" if ended == "early" else ended)


def precision_for(model: Model, prepared: Prepared) -> str:
    """Return the precision in which a network trains faster here."""
    network = devices.place(build_network(model, prepared, 0), prepared.device)
    return str(precision_of(network, prepared)["name"])


@dataclass
class _StopWhen(Stop):
    """Stops when the scores so far do not go on."""

    should_continue: ShouldContinue = lambda scores: True
    scores: list[float] = field(default_factory=list)

    def is_over(self, epoch: int) -> bool:
        return bool(self.scores) and not self.should_continue(self.scores)


class _Trial(Training):
    def __init__(
        self,
        prepared: Prepared,
        network: nn.Module,
        should_continue: ShouldContinue,
        seed: int,
        precision: str,
        progress: Progress,
    ) -> None:
        super().__init__(RunDir(""), prepared, network, seed=seed, precision=precision, progress=progress, fixed={})
        self.scores: list[float] = []
        self.stop = _StopWhen(prepared.task.monitor_mode, 0, should_continue=should_continue, scores=self.scores)

    def keep_best(self) -> None:
        """Nothing: the weights are not used again."""

    def record(self, row: dict[str, Any]) -> None:
        """Remember the score."""
        self.scores.append(float(row["val"][self.prepared.task.monitor]))

    def save(self, position: Position, must: bool) -> None:
        """Nothing: what is cut short is trained again."""
