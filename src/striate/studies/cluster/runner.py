"""The runs of a study as tasks of a Ray cluster: given out, watched, tried again where a machine was lost."""

import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from striate.base import device as devices
from striate.base import plugin
from striate.base.answers import to_problem
from striate.base.errors import ResourceError, UserError
from striate.base.files import write_text
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.base.text import plural

from ..jobs import Job, next_job, stopped
from ..one import known_precision
from . import task
from .connect import Cluster, import_ray
from .files import contents, fill, newest_step
from .mailbox import Mailbox

POLL_S = 0.1
LIVE_S = 5.0  # between two looks at which machines are there
MAX_LOST = 3  # times that a run may be lost without a new state in between
FINISHED = 1 << 60  # a step that no state has

LOST = {
    "WorkerCrashedError": "its process was killed",
    "NodeDiedError": "its machine was lost",
    "OutOfMemoryError": "its machine ran out of memory",
    "OutOfDiskError": "its machine's disk is full",
}


@dataclass
class Attempt:
    """A job that was given out."""

    job: Job
    step: int  # of the newest state when it began
    num_lost: int = 0  # attempts before it that came no further
    is_sending: bool = False  # the run's files go with it
    node: str = ""  # where it is to be, if it can

    def after_loss(self, step: int) -> "Attempt":
        """Return the next attempt at the job."""
        return replace(self, step=step, num_lost=0 if step > self.step else self.num_lost + 1, is_sending=False)


class OnCluster:
    """Does the jobs of a study as tasks of a Ray cluster that is connected.

    Args:
        make: a class of workers, made with (study folder, device, threads), whose `work` does a job.
        files: documents of the study that a worker reads.
    """

    def __init__(
        self,
        cluster: Cluster,
        study: StudyDir,
        make: Any,
        *,
        device: str,
        progress: Progress,
        files: Sequence[str] = ("study.json", "split.json"),
    ) -> None:
        self.cluster, self.study, self.make, self.progress = cluster, study, make, progress
        self.device = ("cuda" if cluster.gpus else "cpu") if device == "auto" else device
        self._ray, self._files = import_ray(), files
        self._attempts: dict[Any, Attempt] = {}
        self._nodes: dict[str, str] = {}  # of each run the machine that had it last
        self._begun: set[str] = set()  # names of runs that a machine has at work, or had
        self._taking: Any = None  # a call of the mailbox that is under way
        self._looked_s = 0.0  # when it was last asked which machines are there
        self._away: set[str] = set()  # machines that do not see the study's folder

    def __enter__(self) -> Self:
        ray = self._ray
        self._share = {"num_cpus": self.cluster.cpus, "num_gpus": self.cluster.gpus, "max_retries": 0}
        head = {"node:__internal_head__": 0.001}
        self._mailbox = ray.remote(Mailbox).options(num_cpus=0, max_restarts=-1, resources=head).remote()
        self._study = ray.put(self._described())
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # a cluster that is gone
            for ref in self._attempts:
                self._ray.cancel(ref, force=True)
            self._ray.kill(self._mailbox)
            for node in self._away:
                self._ray.get(remote(task.forget, node, num_cpus=0).remote(self._token), timeout=LIVE_S)

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Do jobs; see `Jobs`."""
        waiting = [Attempt(job, _step_of(job.run), node=self._nodes.get(self._place(job), "")) for job in jobs]
        failure: Exception | None = None
        try:
            self._num = self.cluster.num_slots()
            while self._attempts or (waiting and failure is None):
                while failure is None and (attempt := self._next(waiting)):
                    waiting.remove(attempt)
                    self._begin(attempt, len(jobs) - len(waiting), len(jobs))
                for ref in self._ended():
                    again, problem = self._take(self._attempts.pop(ref), ref)
                    waiting[:0] = [again] if again else []
                    failure = failure or problem
        except KeyboardInterrupt as stop:
            self._stop()
            raise stopped(self.study.path, stop, self.cluster.words) from None
        except (ConnectionError, self._ray.exceptions.RayError) as problem:
            fix = f"start it again, then striate resume {self.study.path}"
            raise ResourceError("the Ray cluster is gone", where=self.cluster.address, fix=fix) from problem
        if failure:
            raise failure

    def _described(self) -> task.Study:
        """What the cluster needs to know of the study, whose folder gets a token to be known by."""
        path = self.study.path.absolute()
        if not (path / task.TOKEN).exists():
            write_text(path / task.TOKEN, uuid.uuid4().hex)
        self._token = (path / task.TOKEN).read_text(encoding="ascii")
        files = {name: (path / name).read_bytes() for name in self._files}
        plugins, here = tuple(map(str, plugin.LOADED)), os.getcwd()  # noqa: PTH109
        return task.Study(str(path), self._token, files, here, plugins, devices.versions())

    def _next(self, waiting: Sequence[Attempt]) -> Attempt | None:
        if len(self._attempts) >= self._num:
            return None
        active = [attempt.job for attempt in self._attempts.values() if attempt.job.task == "train"]
        job = next_job([attempt.job for attempt in waiting], active)
        return next((attempt for attempt in waiting if attempt.job is job), None)

    def _begin(self, attempt: Attempt, number: int, total: int) -> None:
        job = attempt.job
        words = job.words | ({"precision": known_precision(self.study, job.variant)} if job.task == "train" else {})
        if job.task == "train" and not (attempt.is_sending or attempt.num_lost):
            threads = plural(self.cluster.cpus, "thread")
            self.progress.line(f"run {number}/{total}: {job.run.path.name}, {threads}")
        order = task.Order(
            words,
            self._place(job),
            attempt.step,
            job.is_begun,
            self.cluster.cpus,
            self.device,
        )
        state = [self._ray.put(contents(job.run.path))] if attempt.is_sending else []
        do = remote(task.carry_out, attempt.node, soft=True, **self._share)
        self._attempts[do.remote(self.make, self._study, order, self._mailbox, state)] = attempt

    def _place(self, job: Job) -> str:
        """The name of a run's folder in the study's."""
        return job.run.path.relative_to(self.study.path).as_posix()

    def _ended(self) -> list[Any]:
        """Wait a moment, pass on what runs said, and return the tasks that have ended."""
        ended, _ = self._ray.wait(list(self._attempts), num_returns=1, timeout=POLL_S)
        self._read()
        if not ended:
            self._num = self._slots()
        return list(ended)

    def _slots(self) -> int:
        """How many runs there is room for; machines come and go."""
        now = time.monotonic()
        if now < self._looked_s + LIVE_S:
            return self._num
        self._looked_s = now
        return self.cluster.num_slots()

    def _read(self, wait_s: float = 0.0) -> None:
        """Show new lines under the names of their runs, and keep new states; what comes late is there next time."""
        self._taking = self._taking or self._mailbox.take.remote()
        ended, _ = self._ray.wait([self._taking], timeout=wait_s)
        if not ended:
            return
        taking, self._taking = self._taking, None
        try:
            lines, states, begun = self._ray.get(taking)
        except self._ray.exceptions.RayActorError:  # it is being moved to another machine
            return
        self._begun |= begun
        for name, line in lines:
            self.progress.line(f"[{Path(name).name}] {line}")
        for name, files in states.items():
            fill(self.study.path / name, files)

    def _take(self, attempt: Attempt, ref: Any) -> tuple[Attempt | None, Exception | None]:
        """Take what a task that has ended left; return the attempt that is to follow, or why the job failed."""
        exceptions = self._ray.exceptions
        try:
            found = self._ray.get(ref)
        except exceptions.RayTaskError as problem:
            return None, problem.cause
        except exceptions.TaskCancelledError:
            return None, None
        except exceptions.RayError as problem:
            return self._lost(attempt, problem)
        job, self._nodes[self._place(attempt.job)] = attempt.job, found["node"]
        if found.get("needs_state"):
            self._away.add(found["node"])
            return replace(attempt, is_sending=True, node=found["node"]), None
        for _ in range(2):  # the call under way, and one more for the run's last lines before what it left
            self._read(LIVE_S)
        if found["files"] is not None:
            self._away.add(found["node"])
            fill(job.run.path, found["files"])
        answer = found["answer"]
        return None, _with_host(to_problem(answer), found["host"]) if answer else None

    def _lost(self, attempt: Attempt, problem: Exception) -> tuple[Attempt | None, Exception | None]:
        job, reason = attempt.job, LOST.get(type(problem).__name__, type(problem).__name__)
        step = _step_of(job.run)
        again = attempt.after_loss(step)
        if again.num_lost >= MAX_LOST:
            what = f"the run was lost {again.num_lost} times and came no further: {reason}"
            return None, ResourceError(what, where=job.run.path, fix="look at Ray's logs of that machine")
        self._looked_s = 0.0  # who knows what else is gone
        how = f"goes on from step {step:,}" if step >= 0 else "begins again"
        self.progress.line(f"[{job.run.path.name}] lost ({reason}): it {how}")
        return again, None

    def _stop(self) -> None:
        """Let every run save and end, and wait for it; one more Ctrl-C waits no longer."""
        with suppress(KeyboardInterrupt, self._ray.exceptions.RayError, ConnectionError, UserError):
            while self._attempts:
                self._mailbox.stop.remote()
                for ref, attempt in self._attempts.items():
                    if self._place(attempt.job) not in self._begun:
                        self._ray.cancel(ref)
                ended, _ = self._ray.wait(list(self._attempts), num_returns=1, timeout=POLL_S)
                self._read()
                for ref in ended:
                    self._take(self._attempts.pop(ref), ref)


def remote(function: Callable[..., Any], node: str, *, soft: bool = False, **options: Any) -> Any:
    """Return a function as a task of Ray on a machine ("": any), or with `soft` elsewhere if that is gone."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if node:
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=soft)
    return import_ray().remote(function).options(**options)


def _step_of(run: RunDir) -> int:
    """How far the study has a run."""
    is_whole = (run.path / "run.json").exists() and run.document().get("status") == "finished"
    return FINISHED if is_whole else newest_step(run.path)


def _with_host(problem: UserError, host: str) -> UserError:
    """Name the machine of a problem: its disk, its memory, its data."""
    problem.what = f"{problem.what} (on {host})"
    return problem
