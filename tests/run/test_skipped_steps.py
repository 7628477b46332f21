"""Steps that are left out for their gradient: in the history, in run.json, said, and the same after a resume."""

import os
import signal

import pytest
import torch

from striate.base.errors import DivergedError, Interrupted
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.engine import checkpoint
from striate.engine.update import Update
from striate.run.execute import resume, train


@pytest.fixture
def break_at(monkeypatch):
    """Make the gradient of some steps infinite."""
    take = Update._gradients

    def patch(steps):
        def breaking(self, batch, step):
            outputs = take(self, batch, step)
            if step in steps:
                self.parameters[0].grad.fill_(torch.inf)
            return outputs

        monkeypatch.setattr(Update, "_gradients", breaking)

    return patch


def test_they_are_counted_said_and_resumed(tiny, recipe, quiet, tmp_path, monkeypatch, break_at, capsys):
    break_at({2, 3, 6, 7})
    whole = train(tiny, "bipyramid", recipe, out=tmp_path / "whole", progress=quiet)
    assert "warning: 4 steps skipped, since the gradient was not finite" in capsys.readouterr().err
    assert [row["skipped_steps"] for row in whole.history()] == [2, 4, 4, 4]
    assert whole.info()["result"]["skipped_steps"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in read_tensors(whole.weights).values())
    call = Update.__call__

    def stopping(self, batch, at):
        if at == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return call(self, batch, at)

    with monkeypatch.context() as patch:
        patch.setattr(Update, "__call__", stopping)
        with pytest.raises(Interrupted):
            train(tiny, "bipyramid", recipe, out=tmp_path / "parts", progress=quiet)
    state = checkpoint.load(tmp_path / "parts" / "checkpoints")
    assert state.tensors["state"]["skips"].tolist() == [3, 1]
    resumed = resume(tmp_path / "parts", dataset=tiny, progress=quiet)
    first, second = read_tensors(whole.weights), read_tensors(resumed.weights)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [row["skipped_steps"] for row in resumed.history()] == [2, 4, 4, 4]


def test_a_run_without_them_says_nothing(tiny, recipe, tmp_path, capsys):
    run = train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=Progress("lines"))
    assert "skipped" not in capsys.readouterr().err
    assert run.info()["result"]["skipped_steps"] == 0


def test_too_many_in_a_row_end_the_run_with_finite_weights_kept(tiny, recipe, quiet, tmp_path, break_at):
    break_at(set(range(2, 99)))
    with pytest.raises(DivergedError, match="gradient is not finite for 11 steps at step 12") as caught:
        train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert caught.value.exit_code == 6
    assert RunDir(tmp_path / "run").info()["status"] == "diverged"
    weights = checkpoint.load(tmp_path / "run" / "checkpoints").tensors["weights"]
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
