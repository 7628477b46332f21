"""Several processes that train one run: the same as one process, and what is left when one of them dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import one_of_two
import pytest
import torch

from striate.base.errors import Interrupted
from striate.base.processes import Processes
from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.cli.app import run as striate
from striate.engine.regularise import batch_norms
from striate.engine.sync_norm import share_statistics
from striate.run import launch


def trained(folder: Path, names: list[str], num: int) -> tuple[Path, Path]:
    """Cases trained by one process, and by several."""
    alone, shared = folder / "alone", folder / "shared"
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    group = {"WORLD_SIZE": str(num), "LOCAL_WORLD_SIZE": str(num), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, one_of_two.__file__, str(shared), *names]
    environments = [{**os.environ, **group, "RANK": rank, "LOCAL_RANK": rank} for rank in map(str, range(num))]
    children = [subprocess.Popen(command, env=one) for one in environments]
    try:
        one_of_two.main(alone, names)
    finally:
        codes = [child.wait() for child in children]
    assert codes == [0] * num
    return alone, shared


@pytest.mark.parametrize(
    ("names", "num", "variables"),
    [
        (["mixed"], 2, {}),
        pytest.param(["weighted", "boxes", "synchronised"], 2, {}, marks=pytest.mark.slow),
        pytest.param(["mixed", "boxes"], 3, {}, marks=pytest.mark.slow),  # a batch of 7 is 2, 2 and 3 images
        pytest.param(["mixed"], 2, {"ONLY_SOCKETS": "1"}, marks=pytest.mark.slow),
    ],
)
def test_several_processes_train_what_one_does(names, num, variables, monkeypatch, tmp_path):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    folders = trained(tmp_path, names, num)
    for case in names:
        alone, shared = (RunDir(folder / case) for folder in folders)
        before, after = (read_tensors(run.weights) for run in (alone, shared))
        assert before.keys() == after.keys()
        # the gradient of a bias before a batch normalisation is nearly zero
        most = 1e-3 if case == "synchronised" else 1e-5
        assert max(float((before[name].double() - after[name]).abs().max()) for name in before) < most, case
        for one, other in zip(alone.history(), shared.history(), strict=True):
            assert one["step"] == other["step"]
            for split in ("train", "val"):
                assert one[split]["loss"] == pytest.approx(other[split]["loss"], rel=1e-3)
        ids = [[line.split(",")[:2] for line in run.predictions.read_text().splitlines()] for run in (alone, shared)]
        assert ids[0] == ids[1]
        assert shared.info()["processes"] == num and alone.info()["processes"] == 1


def test_a_batch_is_shared_without_a_rest():
    for size in (2, 3, 5):
        for num in (2, 3, 7, 64):
            parts = [Processes(rank, size).part(num) for rank in range(size)]
            counted = np.concatenate([np.arange(num)[rows][own] for rows, own in parts])
            assert counted.tolist() == list(range(num))
            assert all(rows.stop - rows.start >= 2 for rows, _ in parts)


def test_shared_statistics_are_those_of_torch(monkeypatch):
    monkeypatch.setattr("striate.engine.sync_norm.sum_over_all", lambda values: values)
    torch.manual_seed(0)
    images = torch.randn(6, 3, 4, 4) * 3 + 5
    found = []
    for is_shared in (False, True):
        norm = torch.nn.BatchNorm2d(3)
        if is_shared:
            share_statistics(torch.nn.Sequential(norm))
            assert batch_norms(norm) == [norm]
        inputs = images.clone().requires_grad_()
        norm(inputs).square().flatten()[:50].sum().backward()
        found.append([inputs.grad, norm.weight.grad, norm.running_mean, norm.running_var, norm.eval()(images)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--processes", "65"], "65 processes"),
        (["--processes", "9", "--batch-size", "8"], "a batch of 8 images cannot be shared by 9 processes"),
        (["--processes", "2", "--recipe", "features", "--model", "resnet18"], "this recipe needs a trained network"),
    ],
)
def test_what_cannot_be_shared_is_refused(arguments, what, capsys, tmp_path):
    assert striate(["train", one_of_two.SMALL, "-q", "--out", str(tmp_path / "run"), *arguments]) == 2
    assert what in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_other_commands_are_not_started_several_times(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert striate(["models"]) == 2
    assert "only train and resume" in capsys.readouterr().err


STARTED = [sys.executable, "-m", "striate"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "striate"]


def begun(folder: Path, epochs: int, command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a training by two processes, and wait until it has an epoch."""
    words = ["train", one_of_two.SMALL, "--model", "lenet5", "--recipe", "baseline", "--epochs", str(epochs)]
    words += ["--set", "train.patience=0", "--out", str(folder), "-q"]
    words += ["--processes", "2"] if command is STARTED else []
    child = subprocess.Popen([*command, *words], stderr=subprocess.PIPE)
    while not (folder / "history.jsonl").exists() and child.poll() is None:
        time.sleep(0.05)
    return child


def process_of(folder: Path, rank: str) -> int:
    """The process of a rank that trains the run."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words, variables = ((place / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:
            continue
        if str(folder).encode() in words and f"RANK={rank}".encode() in variables:
            return int(place.name)
    raise AssertionError("no such process")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_process_ends_all_and_the_run_goes_on(tmp_path, capsys):
    folder = tmp_path / "run"
    child = begun(folder, 40, STARTED)
    os.kill(process_of(folder, "1"), signal.SIGKILL)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 5
    last = said.decode().splitlines()[-1]
    assert last.startswith("error: process 1 of 2 was killed by signal 9; the last saved state is kept")
    assert f"striate resume {folder}" in last
    assert RunDir(folder).info()["status"] == "interrupted"
    assert striate(["resume", str(folder), "-q"]) == 0
    assert "bit-identical" not in capsys.readouterr().err
    assert len(RunDir(folder).history()) == 40 and RunDir(folder).info()["processes"] == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", ["0 killed", "1 killed", "SIGINT", "SIGTERM"])
def test_under_torchrun_all_end_and_the_run_goes_on(how, tmp_path, capsys):
    folder = tmp_path / "run"
    child = begun(folder, 150, TORCHRUN)
    ranks = [process_of(folder, rank) for rank in "01"]
    if "killed" in how:
        os.kill(ranks[int(how[0])], signal.SIGKILL)
    else:
        child.send_signal(getattr(signal, how))
    _, said = child.communicate(timeout=120)
    assert child.returncode and not any(Path(f"/proc/{pid}").exists() for pid in ranks)
    assert f"striate resume {folder}" in said.decode()
    assert striate(["resume", str(folder), "--processes", "1", "-q"]) == 0
    assert "starts from the beginning" not in capsys.readouterr().err
    assert len(RunDir(folder).history()) == 150


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_has_the_exit_code_of_its_signal(number, tmp_path):
    ended = SimpleNamespace(returncode=143)  # the others are told by the end of their input
    said = {"kind": "Interrupted", "exit_code": 143, "what": "stopped", "where": "", "fix": "", "details": []}
    problem = launch._problem([ended, ended], [said, None], tmp_path, "striate resume run", int(number))
    assert isinstance(problem, Interrupted) and problem.exit_code == 128 + number
