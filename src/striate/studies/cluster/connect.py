"""A Ray cluster: reached by its address, or started on this machine for as long as it is needed."""

import gc
import logging
import math
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from striate.base.errors import ResourceError, SettingsError
from striate.base.files import sweep, temporary

DOCS = "see docs/cluster.md"
REACH_S = 5.0  # for a connection to the address
ANSWER_S = 60.0  # for the cluster's answers about itself
STORE_BYTES = 200_000_000  # of a Ray on this machine: run folders do not go through it
MAX_SOCKET = 45  # characters of a folder: Ray puts sockets below it, whose paths may have 107
MAX_CPUS = 1024
OWN = {  # of a Ray that is started here
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Node:
    """A machine of a cluster and what Ray may use of it."""

    id: str
    name: str
    cpus: float
    gpus: float
    memory_bytes: float

    def slots(self, cpus: int, gpus: float) -> int:
        """Return how many runs it has room for at once.

        Example:
            >>> node = Node("x", "a", cpus=8, gpus=2, memory_bytes=0)
            >>> node.slots(3, 0), node.slots(1, 0.5), node.slots(1, 3)
            (2, 4, 0)
        """
        return int(min(self.cpus // cpus, self.gpus / gpus + 1e-9 if gpus else math.inf))


class Cluster:
    """A Ray cluster and the share of it that each run gets; connected while it is used as a block, once for all inside.

    Args:
        address: "ray://HOST:PORT", or "local:N" for a Ray of its own with N CPUs on this machine.
        cpus: of each run, which computes with as many threads.
        gpus: of each run; may be a fraction.

    Raises:
        SettingsError: it is no such address.

    Example:
        >>> Cluster("local:4").words, Cluster("ray://head:10001", cpus=2).words
        (['--on', 'local:4'], ['--on', 'ray://head:10001', '--cpus-per-run', '2'])
    """

    def __init__(self, address: str, *, cpus: int = 1, gpus: float = 0.0) -> None:
        self.address, self.cpus, self.gpus = address, cpus, gpus
        found = re.fullmatch(r"local:(\d{1,4})|ray://([^/:@\s]+|\[[0-9A-Fa-f:]+\]):(\d{1,5})", address)
        num, self._host, port = found.groups() if found else ("0", "", "")
        self._num_cpus, self._port = int(num or 0), int(port or 0)
        if not (1 <= self._num_cpus <= MAX_CPUS or 1 <= self._port < 1 << 16):
            fix = "give ray://HOST:10001, or local:4 for 4 CPUs of this machine"
            raise SettingsError(f"{address!r} is no Ray cluster", where="--on", fix=fix)
        self._folder: Path | None = None
        self._depth = 0

    def __repr__(self) -> str:
        return f"Cluster({self.address!r}, cpus={self.cpus}, gpus={self.gpus:g})"

    @classmethod
    def of(cls, on: "str | Cluster | None") -> "Cluster | None":
        """Return the cluster that an argument `on` names, None where it names none."""
        return cls(on) if isinstance(on, str) else on

    @property
    def words(self) -> list[str]:
        """The options that name it on a command line."""
        cpus = ["--cpus-per-run", str(self.cpus)] if self.cpus != 1 else []
        return ["--on", self.address, *cpus, *(["--gpus-per-run", f"{self.gpus:g}"] if self.gpus else [])]

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, for this process alone."""
        return self._num_cpus > 0

    def __enter__(self) -> Self:
        if self._depth == 0:
            ray = import_ray()
            if ray.is_initialized():
                what = "this process is connected to a Ray cluster already"
                raise SettingsError(what, where=self.address, fix="call ray.shutdown() first")
            with _own_signals(), _calm():
                self._start(ray) if self.is_local else self._reach(ray)
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.close()

    def close(self) -> None:
        """End the connection, and a Ray that was started for it."""
        with _own_signals(), _calm(), suppress(Exception):  # whatever a cluster that is gone makes of it
            import_ray().shutdown()
            gc.collect()  # of Ray's handles of its processes, which warn where they end while these do
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self, ray: Any) -> None:
        own = {**OWN, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        for is_last in (False, True):  # Ray gives up after 30 s, which a busy machine may need
            self._folder = _folder()
            try:
                with _environment(own):
                    ray.init(
                        num_cpus=self._num_cpus,
                        include_dashboard=False,
                        object_store_memory=STORE_BYTES,
                        _temp_dir=str(self._folder),
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                    )
                return
            except Exception as problem:  # RuntimeError, ValueError, OSError, its own
                self.close()
                if is_last or "timed out" not in str(problem):
                    what = f"Ray does not start: {_first_line(problem)}"
                    raise ResourceError(what, where=self.address, fix=DOCS) from problem

    def _reach(self, ray: Any) -> None:
        try:
            socket.create_connection((self._host.strip("[]"), self._port), REACH_S).close()
        except OSError as problem:
            what = f"no Ray cluster answers ({problem.strerror or problem})"
            raise ResourceError(what, where=self.address, fix=f"start it, or correct the address ({DOCS})") from problem
        try:
            ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as problem:
            self.close()
            what = f"what answers is no Ray cluster for this process: {_first_line(problem)}"
            raise ResourceError(what, where=self.address, fix=DOCS) from problem

    def nodes(self) -> list[Node]:
        """Return the machines that are there now."""
        return sorted((_node(row) for row in import_ray().nodes() if row["Alive"]), key=lambda one: (one.name, one.id))

    def num_slots(self) -> int:
        """Return how many runs there is room for at once.

        Raises:
            ResourceError: there is room for none.
        """
        nodes = self.nodes()
        num = sum(node.slots(self.cpus, self.gpus) for node in nodes)
        if num == 0:
            what, option = f"a run wants {self.cpus} CPUs, no machine has more than", "--cpus-per-run"
            most = max((node.cpus for node in nodes), default=0.0)
            if most >= self.cpus:
                what, option = (
                    f"a run wants {self.gpus:g} GPUs beside its CPUs, no machine has more than",
                    "--gpus-per-run",
                )
                most = max(node.gpus for node in nodes)
            raise ResourceError(f"{what} {most:g}", where=self.address, fix=f"give {option} less")
        return num


def import_ray() -> Any:
    """Return the module.

    Raises:
        SettingsError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations among its own dependencies
            import ray
    except ImportError as problem:
        raise SettingsError("Ray is not installed", where="--on", fix='pip install "striate[cluster]"') from problem
    return ray


def _node(row: Mapping[str, Any]) -> Node:
    have = row["Resources"]
    amounts = (float(have.get(name, 0)) for name in ("CPU", "GPU", "memory"))
    return Node(row["NodeID"], row["NodeManagerHostname"], *amounts)


def _folder() -> Path:
    """A new folder for a Ray of this process; those that killed processes left are removed."""
    user = f"striate-{os.getuid()}" if hasattr(os, "getuid") else "striate"
    parent = Path(tempfile.gettempdir()) / user
    if len(str(temporary(parent / "ray"))) > MAX_SOCKET and os.name == "posix":
        parent = Path("/tmp") / user
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(parent)
        folder = temporary(parent / "ray")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    except OSError as problem:
        what = f"no temporary folder for Ray ({problem.strerror})"
        raise ResourceError(what, where=parent, fix="set TMPDIR to a folder that can be written") from problem
    return folder


def _first_line(problem: Exception) -> str:
    return next(iter(str(problem).strip().splitlines()), type(problem).__name__)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in (*values, "RAY_AUTH_MODE")}  # which Ray sets itself
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers: Ray puts its own in their place."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            with suppress(ValueError, TypeError):  # another thread, or a handler that Python did not set
                signal.signal(number, handler)


@contextmanager
def _calm() -> Iterator[None]:
    """Keep Ray's own words and warnings from the terminal; what is wrong comes as an exception."""
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(max(before, logging.ERROR))
