"""Running out of memory: told as such, with a batch size that fits, and nothing left in the way."""

import errno
import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from striate.base.answers import answer
from striate.base.errors import ResourceError
from striate.base.memory import available_bytes, is_out_of_memory, no_memory
from striate.cli.app import run as command
from striate.engine.update import Update
from striate.model.blueprint import Blueprint, Row
from striate.run.execute import train
from striate.run.memory import bytes_an_image, fitting

ALLOCATOR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize(
    ("problem", "is_memory"),
    [
        (MemoryError(), True),
        (ALLOCATOR, True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("std::bad_alloc"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (cv2.error("Failed to allocate 9 bytes in function 'OutOfMemoryError'"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory is only a word here"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_errors_of_memory_are_known(problem, is_memory):
    assert is_out_of_memory(problem) == is_memory


def test_numpy_says_so_too_and_the_line_names_what_is_free():
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    assert is_out_of_memory(caught.value) and "GB are free" in no_memory(caught.value).line
    assert "--threads 1" in no_memory(RuntimeError("can't start new thread")).line
    assert 0 < (available_bytes() or 1) < 1 << 45


def test_what_an_image_needs_is_counted_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sigmoid())
    # kept for backward: the input of the convolution (3 x 8 x 8) and the output of the sigmoid (4 x 8 x 8), float32;
    # as much again for gradients, and the image itself twice
    assert bytes_an_image(network, (3, 8, 8)) == 2 * (4 * (3 + 4) * 64 + 4 * 3 * 64)
    assert network[0].weight.device.type == "cpu"
    assert [fitting(512, each, 1000) for each in (1.0, 100.0, 1e6, 0)] == [256, 4, 1, 256]


def test_a_batch_that_does_not_fit_names_one_that_does_and_leaves_the_folder_free(
    tiny, recipe, quiet, tmp_path, monkeypatch
):
    def failing(self, batch, at):
        raise ALLOCATOR

    with monkeypatch.context() as patch:
        patch.setattr(Update, "__call__", failing)
        with pytest.raises(ResourceError) as caught:
            train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert caught.value.exit_code == 5 and "train again with --batch-size " in caught.value.fix
    fits = caught.value.fix.removeprefix("train again with --batch-size ")
    smaller = recipe.changed([f"train.batch_size={fits}"])
    assert train(tiny, "bipyramid", smaller, out=tmp_path / "run", progress=quiet).info()["status"] == "finished"


def test_memory_that_runs_out_later_goes_on_from_the_checkpoint(tiny, recipe, quiet, tmp_path, monkeypatch):
    from striate.run import execute

    def failing(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(execute, "finish", failing)
        with pytest.raises(ResourceError, match="free memory, then `striate resume"):
            train(tiny, "bipyramid", recipe, out=tmp_path / "run", progress=quiet)
    assert execute.resume(tmp_path / "run", dataset=tiny, progress=quiet).info()["status"] == "finished"


@pytest.mark.parametrize("words", [["evaluate"], ["predict"]])
def test_other_commands_say_so_in_one_line(tiny, recipe, quiet, tmp_path, monkeypatch, capsys, words):
    from striate.run.evaluate import evaluate_run  # noqa: F401 - imported before its parts are replaced

    monkeypatch.setattr("striate.base.rundir.RunDir.info", lambda self: (_ for _ in ()).throw(MemoryError()))
    assert command([*words, str(tmp_path), str(tmp_path / "x.png")]) == 5
    assert "not enough memory" in capsys.readouterr().err


def test_a_worker_of_a_study_answers_instead_of_dying(monkeypatch):
    def short():
        raise MemoryError

    assert json.loads(json.dumps(answer(short)))["kind"] == "ResourceError"


def test_maps_that_cannot_fit_are_refused_before_a_batch_is_run(tiny, recipe, quiet, tmp_path, monkeypatch):
    monkeypatch.setattr("striate.run.execute.precision_of", lambda *_: pytest.fail("a batch was run"))
    monkeypatch.setattr("striate.run.memory._free_bytes", lambda _: 50_000_000)
    for depth, fits in ((1, True), (100, False)):
        deep = recipe.changed([f"model.depth={depth}", "model.width=32"])
        plan = Blueprint("deep", (*(Row("conv", 32) for _ in range(depth)), Row("global_pool"), Row("linear")))
        says = "a batch was run" if fits else "--batch-size"
        with pytest.raises((ResourceError, pytest.fail.Exception)) as caught:
            train(tiny, plan, deep, out=tmp_path / "run", progress=quiet)
        assert says in str(caught.value) and (fits or "needs about" in str(caught.value))
    assert not (tmp_path / "run").exists()
