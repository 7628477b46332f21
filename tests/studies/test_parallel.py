"""Two runs of a study at once: the same bits as one after the other; stopping, failing, going on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.base.errors import DivergedError, Interrupted, ResourceError, SettingsError
from striate.base.files import sha256
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.data import open_dataset
from striate.run.recipe import named
from striate.studies import parallel
from striate.studies.execute import resume_study, study
from striate.studies.parallel import Job, Pool
from striate.studies.plan import Variant

TOY = "toy:shapes?n=120&size=16"


class Lines(Progress):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__("lines")
        self.said: list[str] = []

    def line(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def variants() -> list[Variant]:
    recipe = named("regularized").changed(["train.epochs=2", "model.width=4", "train.precision=float32"])
    return [
        Variant(name, "bipyramid", recipe.changed([f"train.lr={lr}"]), "x") for name, lr in (("a", 0.01), ("b", 0.1))
    ]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Four runs of two variants."""
    paths = [(name, seed, tmp_path / f"{name}-seed{seed}") for seed in (0, 1) for name in ("a", "b")]
    for _, _, path in paths:
        path.mkdir()
    return [Job(name, seed, 0, RunDir(path)) for name, seed, path in paths]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch):
    """Let a small program do the jobs: `do(run)` is called with each run's folder, as often as there are jobs."""
    begun: list[subprocess.Popen[bytes]] = []

    def use(program: str) -> list[subprocess.Popen[bytes]]:
        def spawn(study: Path, device: str) -> subprocess.Popen[bytes]:
            words = [sys.executable, "-c", START + program + LOOP, str(study)]
            pipe = subprocess.PIPE
            begun.append(subprocess.Popen(words, stdin=pipe, stderr=pipe, start_new_session=True))
            return begun[-1]

        monkeypatch.setattr(parallel, "_spawn", spawn)
        return begun

    return use


START = """
import json, os, pathlib, sys, time
def say(text): print(text, file=sys.stderr, flush=True)
def answer(**problem): say("\\x1e" + json.dumps(problem))
def begin(run): (run / "run.json").write_text("{}")
"""
LOOP = """
for line in iter(sys.stdin.readline, ""):
    job = json.loads(line)
    assert job["fold"] == 0 and job["task"] == "train"
    do(pathlib.Path(sys.argv[1]) / f"{job['variant']}-seed{job['seed']}")
"""


def carry_out(study: Path, jobs: list[Job], num: int, progress: Progress | None = None) -> None:
    with Pool(study, num, device="cpu", progress=progress or Progress("quiet")) as pool:
        pool.carry_out(jobs)


def test_lines_come_under_the_name_of_their_run(jobs, stand_in, tmp_path):
    begun = stand_in('def do(run): begin(run); say("epoch 1"); say("\\n"); say("of " + run.name); answer()')
    progress = Lines()
    carry_out(tmp_path, jobs, 2, progress)
    names = [job.run.path.name for job in jobs]
    said = [line for line in progress.said if line.startswith("[")]
    assert sorted(said) == sorted(f"[{name}] {text}" for name in names for text in ("epoch 1", f"of {name}"))
    assert progress.said[0] == "run 1/4: a-seed0, one thread"
    assert len(begun) <= 2, "a process does one job after the other"
    assert [child.returncode for child in begun] == [0] * len(begun)


def test_never_more_than_asked_for_are_at_work(jobs, stand_in, tmp_path):
    stand_in("""
def do(run):
    begin(run); (run / "from").write_text(str(time.time())); time.sleep(0.3)
    (run / "to").write_text(str(time.time())); answer()
""")
    carry_out(tmp_path, jobs, 2)
    spans = [tuple(float((job.run.path / end).read_text()) for end in ("from", "to")) for job in jobs]
    at_work = [sum(low <= start < high for low, high in spans) for start, _ in spans]
    assert max(at_work) == 2


def test_runs_of_a_variant_wait_for_its_precision(jobs, stand_in, tmp_path):
    stand_in("""
def do(run):
    (run / "seen").write_text(str(len(list(run.parent.glob("a-*/run.json"))))); time.sleep(0.3)
    begin(run); time.sleep(0.3); answer()
""")
    first, _, second, _ = jobs
    carry_out(tmp_path, [first, second], 2)
    assert [(job.run.path / "seen").read_text() for job in (first, second)] == ["0", "1"]


def test_a_failing_run_does_not_lose_the_other(jobs, stand_in, tmp_path):
    stand_in("""
def do(run):
    begin(run)
    if run.name == "a-seed0":
        answer(kind="DivergedError", what="loss is nan", where="here", fix="lower the rate", details=[])
    else:
        time.sleep(0.5); (run / "done").touch(); answer()
""")
    with pytest.raises(DivergedError, match="loss is nan") as problem:
        carry_out(tmp_path, jobs, 2)
    assert problem.value.fix == "lower the rate"
    assert [(job.run.path / "done").exists() for job in jobs] == [False, True, False, False]


@pytest.mark.parametrize(
    ("how", "says"), [("os.kill(os.getpid(), 9)", "killed by signal 9"), ("sys.exit(3)", "ended with code 3")]
)
def test_a_process_that_dies_is_no_success(jobs, stand_in, tmp_path, how, says):
    begun = stand_in(f"def do(run): begin(run); {how}")
    with pytest.raises(ResourceError, match=says) as problem:
        carry_out(tmp_path, jobs, 1)
    assert str(problem.value.where) == str(jobs[0].run.path)
    assert len(begun) == 1


def test_ctrl_c_lets_every_run_save(jobs, stand_in, tmp_path):
    stand_in('def do(run): begin(run); sys.stdin.read(); (run / "saved").touch(); sys.exit(143)')
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(Interrupted) as stop:
            carry_out(tmp_path, jobs, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stop.value.exit_code == 130 and "striate resume" in stop.value.fix
    assert [(job.run.path / "saved").exists() for job in jobs] == [True, True, False, False]


def test_data_from_python_go_one_after_the_other(variants, tmp_path):
    data = open_dataset(TOY)
    data = type(data)(**{**vars(data), "where": ""})
    with pytest.raises(SettingsError, match="came from Python"):
        study([data], variants, seeds=1, out=tmp_path / "two", parallel=2, progress=Progress("quiet"))
    assert not list((tmp_path / "two").glob("runs/*"))


@pytest.mark.parametrize("wanted", [0, "0", "many", "-1", "2.5"])
def test_a_number_of_runs_is_at_least_one(wanted):
    with pytest.raises(SettingsError, match="runs at once"):
        parallel.at_once(wanted, "cpu", [32], [600])


def test_auto_is_two_for_long_runs_on_small_pictures(monkeypatch):
    monkeypatch.setattr(parallel, "num_cpus", lambda: 2)
    assert parallel.at_once("auto", "cpu", [32, 64], [600, 600]) == 2
    assert parallel.at_once("auto", "cpu", [32, 96], [600, 600]) == 1
    assert parallel.at_once("auto", "cuda", [32, 64], [600, 600]) == 1
    assert parallel.at_once("auto", "cpu", [32, 64], [5, 5]) == 1
    assert parallel.at_once("auto", "cpu", [32] * 9, [20] * 9) == 2
    assert parallel.at_once("auto", "cpu", [32], [600]) == 1
    assert parallel.at_once("auto", "cpu", [], []) == 1
    monkeypatch.setattr(parallel, "num_cpus", lambda: 1)
    assert parallel.at_once("auto", "cpu", [32, 64], [600, 600]) == 1


@pytest.mark.slow
def test_two_at_once_give_the_same_bits_as_one_after_the_other(variants, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    said = Lines()
    for number, folder in enumerate(folders, 1):
        study([open_dataset(TOY)], variants, seeds=1, out=folder, parallel=number, progress=said)
    for name in ("a-seed0", "b-seed0"):
        for file in ("weights.safetensors", "predictions.csv", "scores.json", "split.json"):
            assert len({sha256(folder / "runs" / name / file) for folder in folders}) == 1, (name, file)
        one, two = (RunDir(folder / "runs" / name) for folder in folders)
        assert one.info()["dataset"] == two.info()["dataset"] and one.info()["recipe"] == two.info()["recipe"]
        drop = {"time_s", "images_per_s"}
        rows = [[{k: v for k, v in row.items() if k not in drop} for row in run.history()] for run in (one, two)]
        assert rows[0] == rows[1]
        assert two.info()["device"]["threads"] == 1
    verdicts = [StudyDir(folder).verdict() for folder in folders]
    assert verdicts[0]["differences"] == verdicts[1]["differences"]
    assert any(line.startswith("[a-seed0] epoch 1/2") for line in said.said)


@pytest.mark.slow
def test_a_stopped_study_goes_on_to_the_same_bits(tmp_path):
    recipe = named("baseline").changed(
        ["train.epochs=150", "model.width=4", "train.precision=float32", "train.patience=0"]
    )
    variants = [Variant(name, "bipyramid", recipe, "x") for name in ("a", "b")]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    study([open_dataset(TOY)], variants, seeds=1, out=whole, progress=Progress("quiet"))

    class Stopping(Lines):
        def line(self, text: str) -> None:
            super().line(text)
            if "epoch 3/" in text:
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        study([open_dataset(TOY)], variants, seeds=1, out=cut, parallel=2, progress=Stopping())
    assert StudyDir(cut).info()["status"] == "interrupted"
    begun = [run for run in sorted((cut / "runs").iterdir()) if (run / "run.json").exists()]
    assert begun and all(RunDir(run).info()["status"] == "interrupted" for run in begun)
    resume_study(cut, progress=Progress("quiet"))
    for name in ("a-seed0", "b-seed0"):
        assert sha256(cut / "runs" / name / "weights.safetensors") == sha256(
            whole / "runs" / name / "weights.safetensors"
        )


@pytest.fixture
def bands(tmp_path: Path) -> str:
    """A file of 400 images with a bright band at one of four heights: a network sees that at once."""
    rng, labels = np.random.default_rng(0), np.arange(400) % 4
    images = rng.integers(0, 60, (400, 16, 16, 1), dtype=np.uint8)
    for index, label in enumerate(labels):
        images[index, 4 * label : 4 * label + 4] += 150
    np.savez(tmp_path / "bands.npz", images=images, labels=labels)
    return str(tmp_path / "bands.npz")


def test_clearly_worse_variants_are_given_up_when_asked_and_it_is_said(bands, tmp_path):
    recipe = named("baseline").changed(["train.epochs=5", "model.width=8", "train.precision=float32"])
    variants = [
        Variant("baseline", "bipyramid", recipe.changed(["train.lr=0.01"]), "x"),
        Variant("still", "bipyramid", recipe.changed(["train.lr=1e-9"]), "x"),
    ]
    data = open_dataset(bands)
    said = Lines()
    found = study([data], variants, seeds=5, out=tmp_path / "study", prune=True, progress=said)
    info, verdict = found.info(), found.verdict()
    assert info["dropped"].keys() == {"still"}
    num = info["dropped"]["still"]["seeds"]
    assert 2 <= num < 5
    for name, count in (("still", num), ("baseline", 5)):
        assert [(found.path / "runs" / f"{name}-seed{seed}").exists() for seed in range(5)] == [
            seed < count for seed in range(5)
        ]
    text = info["dropped"]["still"]["text"]
    assert text in verdict["sentences"] and text in said.said
    again = resume_study(found.path, progress=Progress("quiet"))
    assert again.info()["dropped"] == info["dropped"] and again.verdict() == verdict


def test_what_a_study_takes_is_said_before_it_starts_and_its_plan_is_kept(variants, tmp_path):
    said, plan = Lines(), {"grid": {"train.lr": [0.01, 0.1]}}
    data = open_dataset(TOY)
    found = study([data], variants, seeds=2, out=tmp_path / "study", plan=plan, progress=said)
    num_images = 2 * 2 * 2 * len(data.splits["train"])
    place = next(
        i for i, line in enumerate(said.said) if line.startswith(f"4 runs, at most {num_images:,} training images")
    )
    assert "by a short trial" in said.said[place]
    assert place < next(i for i, line in enumerate(said.said) if line.startswith("run 1/4"))
    assert found.info()["plan"] == plan
    found.save_info({**found.info(), "status": "interrupted"})
    assert resume_study(found.path, progress=Progress("quiet")).info()["plan"] == plan
