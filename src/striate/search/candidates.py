"""Candidates as jobs: trained here, one after the other, or several at once on a cluster."""

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from striate.base.documents import read_json
from striate.base.files import write_json
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import plural
from striate.studies.cluster.connect import Cluster
from striate.studies.cluster.runner import OnCluster
from striate.studies.jobs import Job

from .evolve import Candidate
from .folder import SearchDir, reopened
from .plan import Plan
from .trainer import Trainer

RESULT = "candidate.json"
FILES = ("search.json", "split.json")  # of the search, that a machine needs


@dataclass(frozen=True, kw_only=True)
class CandidateJob(Job):
    """A candidate that waits to be trained.

    Args:
        before: the candidates that it was made from.
    """

    candidate: Candidate
    before: Sequence[Candidate]
    precision: str

    @property
    def words(self) -> dict[str, Any]:
        """What a process that knows the search needs to be told."""
        rows = [one.to_json() for one in self.before]
        return {"candidate": self.candidate.to_json(), "before": rows, "precision": self.precision}

    @property
    def result(self) -> Path:
        """The document that its training leaves."""
        return self.run.path / RESULT


class Worker:
    """Trains candidates of one search with so many threads; what they share is prepared once."""

    def __init__(self, folder: Path, device: str, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.folder = SearchDir(folder)
        plan = Plan.from_json(self.folder.info()["plan"])
        self.trainer = Trainer(reopened(self.folder), plan, device, Progress("quiet"))

    def work(self, candidate: dict[str, Any], before: list[dict[str, Any]], precision: str) -> None:
        """Train a candidate, and leave what came of it in its folder."""
        one = Candidate.from_json(candidate)
        found = self.trainer.train(one, [Candidate.from_json(row) for row in before], precision)
        write_json(self.folder.candidate(one.number).path / RESULT, found.to_json())


class Here:
    """Trains candidates in this process."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def train(self, waiting: Sequence[Candidate], before: Sequence[Candidate], precision: str) -> Iterator[Candidate]:
        """Return candidates with their scores and seconds, each as soon as it is there."""
        return (self.trainer.train(one, before, precision) for one in waiting)


class AtOnce:
    """Trains the candidates of a round as tasks of a cluster; those that a stopped search had finished are kept."""

    def __init__(self, cluster: Cluster, folder: SearchDir, device: str, progress: Progress) -> None:
        self.folder, self.progress = folder, progress
        place = StudyDir(folder.path)  # of which only the path counts here
        self.runner = OnCluster(cluster, place, Worker, device=device, progress=progress, files=FILES)

    def __enter__(self) -> Self:
        self.runner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.runner.__exit__(kind, problem, trace)

    def train(self, waiting: Sequence[Candidate], before: Sequence[Candidate], precision: str) -> Iterator[Candidate]:
        """Return candidates with their scores, when all are there; each has its share of the seconds."""
        begin = time.monotonic()
        jobs = [self._job(one, before, precision) for one in waiting]
        missing = [job for job in jobs if not job.result.exists()]
        self.progress.line(f"{plural(len(missing), 'candidate')} on {self.runner.cluster.address}")
        self.runner.carry_out(missing)
        found = [Candidate.from_json(read_json(job.result, "candidate", dict)) for job in jobs]
        share_s = (time.monotonic() - begin) / len(jobs)
        yield from (replace(one, time_s=share_s) for one in found)
        shutil.rmtree(jobs[0].run.path.parent, ignore_errors=True)

    def _job(self, one: Candidate, before: Sequence[Candidate], precision: str) -> CandidateJob:
        run: RunDir = self.folder.candidate(one.number)
        name = f"candidate {one.number}"
        return CandidateJob(name, 0, 0, run, "candidate", candidate=one, before=before, precision=precision)
