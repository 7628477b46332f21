"""Exit codes and the one line a mistake ends in."""

import re
import signal

import pytest

from striate.base.errors import Terminated
from striate.cli import app as program
from striate.cli.app import run

LINE = re.compile(r"error: .+ -- fix: .+")


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["tarin", "birds"], 2, "Did you mean 'train'"),
        (["train", "--learing-rate", "1", "birds"], 2, "--learing-rate"),
        (["train"], 2, "Missing argument 'DATA'"),
        (["train", "x", "--set", "train.learning_rate=1"], 2, "did you mean lr"),
        (["train", "x", "--set", "trian.lr=1"], 2, "did you mean train"),
        (["train", "x", "--set", "train.epochs=true"], 2, "train.epochs"),
        (["train", "x", "--set", "train.lr=" + "[" * 5000], 2, "train.lr"),
        (["train", "x", "--recipe", "regularised"], 2, "did you mean 'regularized'"),
        (["train", "toy:shapes", "--model", "resnet81"], 2, "did you mean 'resnet18'"),
        (
            ["train", "toy:digits?n=40", "--model", "keypoint_rcnn"],
            2,
            "keypoint_rcnn finds objects, a network of the task",
        ),
        (["train", "toy:shapes", "--task", "clasify"], 2, "did you mean 'classify'"),
        (["train", "toy:shapes", "--top-classes", "0"], 2, "--top-classes"),
        (["train", "toy:shapes", "--on-bad", "ignore"], 2, "choose stop or skip"),
        (["train", "toy:shapes", "--device", "cuda:7"], 5, "cuda:7"),
        (["train", "toy:shpes"], 3, "did you mean 'shapes'"),
        (["train", "nowhere"], 3, "nowhere"),
        (["check", "cifar"], 3, "did you mean 'cifar10'"),
        (["models", "resnet81"], 2, "did you mean 'resnet18'"),
        (["analyze", "bipyramid", "--option", "norn=batch"], 2, "did you mean 'norm'"),
        (["recipes", "baselin"], 2, "did you mean 'baseline'"),
        (["report", "nowhere"], 4, "nowhere"),
        (["resume", "nowhere"], 4, "nowhere"),
        (["resume", "nowhere", "--out", "x"], 2, "--fork"),
        (["predict", "nowhere", "a.png"], 4, "nowhere"),
        (["explore", "runs/nowhere"], 4, "runs/nowhere"),
        (["explore", "imagenet:resnet81"], 2, "did you mean 'resnet18'"),
        (["explore", "lenet5", "--export", "/"], 2, "/ is a folder"),
        (["explore", "lenet5", "--export", "/", "--overwrite"], 2, "/ is a folder"),
        (["explore", "lenet5", "--image", "a.png"], 2, "--image"),
        (["explore", ".", "--size", "32"], 2, "--size"),
    ],
)
def test_a_mistake_ends_in_one_line_that_names_the_nearest(command, code, says, last_line):
    assert run(command) == code
    line = last_line()
    assert LINE.fullmatch(line)
    assert len(line) <= 240
    assert says in line


def test_the_last_line_stands_alone_without_debug_and_below_a_traceback_with_it(capsys):
    assert run(["recipes", "baselin"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert run(["recipes", "baselin", "--debug"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert LINE.fullmatch(said.strip().split("\n")[-1])


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (ZeroDivisionError("0"), 1, "a bug in striate"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (Terminated(), 143, "Stopped."),
    ],
)
def test_what_is_no_mistake_of_the_user_has_its_own_code(problem, code, says, monkeypatch, last_line):
    def fails(arguments):
        raise problem

    monkeypatch.setattr(program, "_invoke", fails)
    assert run(["models"]) == code
    assert says in last_line()


def test_sigterm_becomes_an_exception_and_its_exit_code(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(program, "_invoke", lambda arguments: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr("sys.argv", ["striate", "models"])
    try:
        with pytest.raises(SystemExit) as end:
            program.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 143


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_a_stop_while_the_report_is_written_says_that_all_else_is_there(stop, code, monkeypatch, tmp_path, last_line):
    from striate import report

    def stops(*_):
        raise stop

    out = tmp_path / "run"
    words = ["toy:shapes?n=40&size=24", "--recipe", "baseline", "--epochs", "1", "--threads", "1", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(report, "report_run", stops)
        assert run(["train", *words, "--quiet"]) == code
        assert last_line() == (
            f"Finished and saved, stopped while its report was written. Go on with: striate report {out}"
        )
        assert run(["resume", str(out), "--quiet"]) == code
        assert last_line().endswith(f"Go on with: striate report {out}")
    assert run(["report", str(out)]) == 0
    assert (out / "report.html").is_file()
