"""What a study on Ray comes to when its processes are killed at random, held against the same study in one process.

    python tools/cluster_kills.py --kills 20 --json

Starts a Ray of two nodes with a CPU each on this machine (`ray start`, reached by `ray://`), and carries out a study
there by `striate study`, again whenever that was killed. At random times it kills (SIGKILL) a process that trains a
run, the command, or the second node with all it has, which is then started again. Every other kill waits until all
runs at work have a state beyond their first step to go on from. In the end weights, predictions and
verdict are compared with those of one process, byte for byte. Then two studies are carried out there at the same time.
Takes about ten minutes on two cores. Ends what it has started; exit code 1 if anything differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from striate.base.files import sha256
from striate.base.rundir import StudyDir

STUDY = """
data = "toy:shapes?n=240&size=32"
seeds = {seeds}
set = ["train.epochs={epochs}", "train.patience=0", "train.precision=float32", "model.width=4"]
[[variant]]
name = "a"
recipe = "baseline"
[[variant]]
name = "b"
recipe = "baseline"
set = ["train.lr=0.02"]
"""
OFTEN = """
import striate.run.training
striate.run.training.SAVE_EVERY_S = 1.0
"""
FILES = ("weights.safetensors", "predictions.csv", "scores.json", "split.json")
KINDS = ("worker", "driver", "node")
COMMAND = [sys.executable, "-m", "striate"]


def processes() -> Iterator[tuple[int, int, bytes]]:
    """Every process: its number, its parent's, what was typed."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            yield int(place.name), parent, (place / "cmdline").read_bytes()


def below(top: int) -> dict[int, bytes]:
    """A process and those it has started, directly or not."""
    rows = list(processes())
    found = {pid: words for pid, _, words in rows if pid == top}
    while more := {pid: words for pid, parent, words in rows if parent in found and pid not in found}:
        found |= more
    return found


def kill(pids: list[int]) -> None:
    """End processes at once."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Node:
    """A node of the cluster, started by `ray start --block`."""

    def __init__(self, folder: Path, *words: str) -> None:
        own = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "STRIATE_CACHE": str(folder / "cache")}
        command = [str(Path(sys.executable).with_name("ray")), "start", *words, "--num-cpus", "1", "--block"]
        command += ["--object-store-memory", "100000000", "--node-ip-address", "127.0.0.1", "--disable-usage-stats"]
        with (folder / "ray.log").open("ab") as log:
            self.child = subprocess.Popen(
                command, env={**os.environ, **own}, stdout=log, stderr=log, start_new_session=True
            )

    def tasks(self) -> list[int]:
        """The processes that have a run at work."""
        return [pid for pid, words in below(self.child.pid).items() if b"ray::carry_out" in words]

    def end(self) -> None:
        """Kill it with all it has."""
        kill(list(below(self.child.pid)))
        self.child.wait()


def free_port() -> int:
    """Return a port that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """Two nodes; used as a block."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.client_port = folder, free_port(), free_port()
        self.short = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets want short names

    def __enter__(self) -> "Cluster":
        words = ["--head", "--port", str(self.port), "--ray-client-server-port", str(self.client_port)]
        self.head = Node(self.folder, *words, "--include-dashboard", "false", "--temp-dir", str(self.short))
        self._await()
        self.second = self._second()
        return self

    def __exit__(self, *_: object) -> None:
        self.second.end()
        self.head.end()
        shutil.rmtree(self.short, ignore_errors=True)

    @property
    def address(self) -> str:
        """Where the command finds it."""
        return f"ray://127.0.0.1:{self.client_port}"

    def replace_second(self) -> None:
        """Kill the second node, and start another one."""
        self.second.end()
        self.second = self._second()

    def _second(self) -> Node:
        return Node(self.folder, "--address", f"127.0.0.1:{self.port}")

    def _await(self) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.client_port), 1).close()
                return
            time.sleep(0.5)
        raise SystemExit("Ray does not start")


def begin(folder: Path, name: str, *words: str) -> "subprocess.Popen[bytes]":
    """Start the command of a study, or go on with it."""
    with (folder / f"{name}.log").open("ab") as log:
        command = [*COMMAND, "study", str(folder / "study.toml"), "--out", str(folder / name), *words]
        command += ["--plugin", str(folder / "often.py")]
        own = {"OMP_NUM_THREADS": "1", "STRIATE_CACHE": str(folder / "cache")}
        return subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log, cwd=folder)


def timeless(document: Any) -> Any:
    """A verdict without what a clock said, and the sentences made of that."""
    if isinstance(document, dict):
        return {key: timeless(value) for key, value in document.items() if "time" not in key and key != "sentences"}
    return list(map(timeless, document)) if isinstance(document, list) else document


def differences(one: Path, other: Path) -> list[str]:
    """What of two studies is not the same."""
    runs = sorted(path.name for path in (one / "runs").iterdir())
    found = [
        f"{run}/{name}"
        for run in runs
        for name in FILES
        if sha256(one / "runs" / run / name) != sha256(other / "runs" / run / name)
    ]
    verdicts = [timeless(StudyDir(folder).verdict()) for folder in (one, other)]
    return found + ([] if verdicts[0] == verdicts[1] else ["verdict"])


def num_begun(study: Path) -> int:
    """How many runs that are not finished have a state beyond their first step."""
    return len({path.parent for path in (study / "runs").glob("*/checkpoints/step-*") if int(path.name[5:])})


def killed(folder: Path, cluster: Cluster, most: int, rng: random.Random) -> dict[str, Any]:
    """Carry out a study while its processes are killed; return how often, and how often the command was started."""
    kills: Counter[str] = Counter()
    starts, on = 0, ("--on", cluster.address)
    while True:
        starts += 1
        driver = begin(folder, "killed", *on)
        while driver.poll() is None:
            end = time.monotonic() + rng.uniform(1.0, arguments.most_s)
            while time.monotonic() < end and driver.poll() is None:
                time.sleep(0.1)
            tasks = [*cluster.head.tasks(), *cluster.second.tasks()]
            while kills.total() % 2 and driver.poll() is None and num_begun(folder / "killed") < len(tasks):
                time.sleep(0.1)
                tasks = [*cluster.head.tasks(), *cluster.second.tasks()]
            if kills.total() >= most or driver.poll() is not None:
                continue
            kind = min(KINDS, key=lambda one: (kills[one], rng.random()))
            if not tasks:
                continue
            kill([rng.choice(tasks)] if kind == "worker" else [driver.pid] if kind == "driver" else [])
            if kind == "node":
                cluster.replace_second()
            kills[kind] += 1
            say(f"{kind} killed, {kills.total()} of {most}")
        if driver.returncode == 0:
            return {"kills": dict(kills), "starts": starts}
        if driver.returncode != -signal.SIGKILL:
            lines = (folder / "killed.log").read_text().splitlines()
            raise SystemExit(f"the study ended with {driver.returncode}: {lines[-1]}")


def say(text: str) -> None:
    """Say what is done."""
    print(f"{time.monotonic() - started:6.1f} s  {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Do it all."""
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    (folder / "study.toml").write_text(STUDY.format(seeds=arguments.seeds, epochs=arguments.epochs))
    (folder / "often.py").write_text(OFTEN)
    say("one process")
    if begin(folder, "whole").wait():
        raise SystemExit((folder / "whole.log").read_text())
    with Cluster(folder) as cluster:
        say("a study whose processes are killed")
        result = killed(folder, cluster, arguments.kills, random.Random(arguments.seed))
        say("two studies at once")
        children = [begin(folder, name, "--on", cluster.address) for name in ("first", "second")]
        codes = [child.wait() for child in children]
    found = {name: differences(folder / "whole", folder / name) for name in ("killed", "first", "second")}
    log = (folder / "killed.log").read_text()
    result |= {"lost": log.count("] lost ("), "began_again": log.count("it begins again"), "codes": codes}
    result |= {"differences": found}
    print(json.dumps(result, indent=1))
    shutil.rmtree(folder)
    return int(any(found.values()) or any(codes))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kills", type=int, default=20)
parser.add_argument("--seed", type=int, default=0, help="of what is killed when")
parser.add_argument("--seeds", type=int, default=2, help="runs of each of the two variants")
parser.add_argument("--epochs", type=int, default=150)
parser.add_argument("--most-s", type=float, default=8.0, help="between two kills")
if __name__ == "__main__":
    arguments, started = parser.parse_args(), time.monotonic()
    sys.exit(main())
