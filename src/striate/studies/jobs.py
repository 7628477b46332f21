"""The runs of a study as jobs, and what every way of carrying them out can do: in turn, in processes, on a cluster."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from striate.base import plugin
from striate.base.errors import Interrupted
from striate.base.rundir import RunDir, StudyDir


@dataclass(frozen=True)
class Job:
    """One run of a study, and what is to be done with it: "train", or open its "test" split."""

    variant: str
    seed: int
    fold: int
    run: RunDir
    task: str = "train"

    @property
    def is_begun(self) -> bool:
        """Whether the run's description is there; it holds the precision, which the variant's other runs take over."""
        return (self.run.path / "run.json").exists()

    @property
    def words(self) -> dict[str, Any]:
        """What a process that knows the study needs to be told."""
        return {"task": self.task, "variant": self.variant, "seed": self.seed, "fold": self.fold}


class Jobs(Protocol):
    """A way to carry out jobs, used as a block."""

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Do jobs. When one fails no more are begun, but those at work are finished.

        Raises:
            UserError: the first failure, after the others have ended.
            Interrupted: Ctrl-C or SIGTERM; every run at work has saved its state.
        """


def jobs_of(study: StudyDir, names: Sequence[str], seeds: Sequence[int], folds: int) -> list[Job]:
    """Return a study's runs in the order in which they are begun: every variant once before one has a second seed."""
    return [
        Job(name, seed, fold, study.run(name, seed, fold if folds > 1 else None))
        for seed in seeds
        for fold in range(folds)
        for name in names
    ]


def next_job(waiting: Sequence[Job], active: Sequence[Job]) -> Job | None:
    """Return the first job that may begin: of a variant's runs the first must have chosen the precision of all."""
    undecided = {job.variant for job in active if not job.is_begun}
    return next((job for job in waiting if job.variant not in undecided), None)


def stopped(study: Path, stop: KeyboardInterrupt, words: Sequence[str] = ()) -> Interrupted:
    """Return what is said where a signal ended the jobs of a study; `words` are typed to go on with it likewise."""
    number = int(getattr(stop, "exit_code", 130)) - 128
    fix = shlex.join(["striate", "resume", str(study), *words, *plugin.typed()])
    return Interrupted("stopped and saved", where=study, fix=fix, signal_number=number)
