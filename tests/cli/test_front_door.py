"""What a stranger types first: near misses say the right word, and Ctrl-C is never a bug of ours."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import striate as st
from striate.base.choose import choose
from striate.cli.app import run


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (["train", "toy:shapes", "--set", "epochs=3"], "did you mean train.epochs?"),
        (["train", "toy:shapes", "--train.weight_decay", "0.1"], "use --set train.weight_decay=..."),
        (["train", "toy:shapes", "--train.lr", "0.1"], "use --lr ..."),
        (["train", "toy:shapes", "--model", "resnet"], "choose one of resnet18, resnet34, resnet50"),
    ],
)
def test_a_near_miss_says_the_right_word(words, fix, capsys):
    assert run(words) == 2
    assert fix in capsys.readouterr().err


def test_names_that_begin_alike_are_listed():
    with pytest.raises(st.UserError, match="choose one of net18, net50"):
        choose("network", "net", {"net18": 1, "net50": 2, "let": 3})
    with pytest.raises(st.UserError, match="did you mean 'net18'"):
        choose("network", "net1", {"net18": 1, "net50": 2})


def test_no_run_of_that_word_is_said(tmp_path, capsys):
    assert run(["runs", str(tmp_path), "--filter", "zebra"]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path} with zebra\n"


def test_ctrl_c_during_an_import_is_no_bug(tmp_path):
    plugin = tmp_path / "half.py"  # numpy turns a KeyboardInterrupt of its import into an AttributeError
    plugin.write_text(
        "import os, signal, time\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(9)\n"
        "except KeyboardInterrupt:\n    raise AttributeError('half imported') from None\n"
    )
    command = [sys.executable, "-m", "striate", "doctor", "--plugin", str(plugin)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, restore_signals=True, env={**os.environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert done.returncode == 130 and done.stderr.startswith("Stopped."), done.stderr


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: st.open(np.zeros((4, 8, 8))), "ndarray is no path.*st.from_arrays"),
        (lambda: st.open(None), "NoneType is no path"),
        (lambda: st.from_table("labels.csv"), r"use st.open\('labels.csv'\)"),
        (
            lambda: st.from_arrays(np.zeros((4, 8, 8)), list("abab"), test=np.zeros((2, 8, 8))),
            r"test=\(images, labels\)",
        ),
        (lambda: st.open("toy:shapes?n=20&size=16")[0:3], "slice is no index"),
        (lambda: st.open("toy:shapes?n=20&size=16")[1.5], "float is no index"),
    ],
)
def test_what_is_no_dataset_is_refused_in_one_line(call, message):
    with pytest.raises(st.UserError, match=message):
        call()
