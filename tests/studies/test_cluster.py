"""A study on Ray: the same bits as in one process, lost machines, folders that a machine does not see, refusals."""

import json
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from striate.base.errors import Interrupted, ResourceError, SettingsError
from striate.base.files import sha256
from striate.base.progress import Progress
from striate.base.rundir import RunDir, StudyDir
from striate.data import open_dataset
from striate.run.recipe import named
from striate.studies.cluster import connect, runner
from striate.studies.cluster.connect import Cluster
from striate.studies.cluster.runner import OnCluster
from striate.studies.execute import study
from striate.studies.jobs import Job
from striate.studies.plan import Variant

TOY = "toy:shapes?n=120&size=16"
pytestmark = pytest.mark.xdist_group("ray")  # one Ray for all, whose start takes seconds


class Lines(Progress):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__("lines")
        self.said: list[str] = []

    def line(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def cluster():
    """A Ray of this machine with two CPUs."""
    pytest.importorskip("ray")
    with ExitStack() as stack:
        try:
            found = stack.enter_context(Cluster("local:2"))
        except ResourceError as problem:
            if "timed out" not in problem.what:
                raise
            pytest.skip("the machine is too busy for Ray, which starts within 30 s or not at all")
        yield found


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Four runs of two variants of a study that has no data."""
    (tmp_path / "study.json").write_text("{}")
    (tmp_path / "split.json").write_text("[]")
    places = [(name, seed) for seed in (0, 1) for name in ("a", "b")]
    return [Job(name, seed, 0, RunDir(tmp_path / "runs" / f"{name}-seed{seed}")) for name, seed in places]


def stand_in(do):
    """A class of workers whose `do(run, words)` does the jobs; made here, so that it goes to the cluster by value."""

    class StandIn:
        def __init__(self, folder, device, threads):
            self.folder, self.study = folder, StudyDir(folder)

        def work(self, **words):
            run = self.folder / "runs" / f"{words['variant']}-seed{words['seed']}"
            run.mkdir(parents=True, exist_ok=True)
            do(run, words)

    return StandIn


@pytest.fixture
def carry_out(cluster, jobs, tmp_path, monkeypatch):
    """Do the jobs by a stand-in."""
    monkeypatch.setattr(runner, "known_precision", lambda *_: None)

    def call(do, some=jobs, progress=None):
        with OnCluster(cluster, StudyDir(tmp_path), stand_in(do), device="cpu", progress=progress or Lines()) as found:
            found.carry_out(some)

    return call


BEGUN = '{"schema": 1, "kind": "run", "status": "running"}'


@pytest.mark.slow
def test_lines_come_under_the_name_of_their_run_and_two_are_at_work(carry_out, jobs):
    def do(run, words):
        import time

        (run / "run.json").write_text(BEGUN)
        begin = time.time()
        sys.stderr.write("epoch 1\n")
        time.sleep(0.4)
        (run / "span").write_text(json.dumps([begin, time.time()]))

    progress = Lines()
    carry_out(do, progress=progress)
    said = [line for line in progress.said if line.startswith("[")]
    assert sorted(said) == sorted(f"[{job.run.path.name}] epoch 1" for job in jobs)
    assert progress.said[0] == "run 1/4: a-seed0, 1 thread"
    spans = [json.loads((job.run.path / "span").read_text()) for job in jobs]
    assert max(sum(low <= start < high for low, high in spans) for start, _ in spans) == 2


def test_a_killed_worker_is_replaced_and_its_run_goes_on(carry_out, jobs):
    def do(run, words):
        (run / "run.json").write_text(BEGUN)
        if run.name == "a-seed0" and not (run / "checkpoints").exists():
            (run / "checkpoints" / "step-00000007").mkdir(parents=True)
            os.kill(os.getpid(), signal.SIGKILL)
        (run / "done").touch()

    progress = Lines()
    carry_out(do, progress=progress)
    assert all((job.run.path / "done").exists() for job in jobs)
    assert "[a-seed0] lost (its process was killed): it goes on from step 7" in progress.said
    assert sum("lost" in line for line in progress.said) == 1


@pytest.mark.slow
def test_a_run_that_is_lost_again_and_again_is_given_up_and_the_others_are_finished(carry_out, jobs):
    def do(run, words):
        (run / "run.json").write_text(BEGUN)
        if run.name == "a-seed0":
            os.kill(os.getpid(), signal.SIGKILL)
        (run / "done").touch()

    with pytest.raises(ResourceError, match="lost 3 times and came no further: its process was killed") as problem:
        carry_out(do, jobs[:2])
    assert str(problem.value.where) == str(jobs[0].run.path) and problem.value.exit_code == 5
    assert (jobs[1].run.path / "done").exists()


@pytest.mark.slow
def test_a_full_disk_is_said_with_the_name_of_the_machine(carry_out, jobs):
    def do(run, words):
        import errno

        from striate.base.files import faults, write_bytes

        def full(step, path):
            raise OSError(errno.ENOSPC, "No space left on device")

        with faults(full):
            write_bytes(run / "weights", b"1234")

    with pytest.raises(ResourceError, match="No space left on device") as problem:
        carry_out(do, jobs[:1])
    assert problem.value.exit_code == 5 and os.uname().nodename in problem.value.what


@pytest.mark.slow
def test_ctrl_c_lets_every_run_save(carry_out, jobs):
    def do(run, words):
        import time

        from striate.base.errors import Interrupted
        from striate.engine.interrupt import listen

        (run / "run.json").write_text(BEGUN)
        with listen() as interrupt:
            sys.stderr.write("at work\n")
            while interrupt.signal_number is None:
                time.sleep(0.05)
        (run / "saved").touch()
        raise Interrupted("stopped")

    class Stopping(Lines):
        def line(self, text):
            super().line(text)
            if sum("at work" in line for line in self.said) == 2:
                signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        with pytest.raises(Interrupted) as stop:
            carry_out(do, progress=Stopping())
    finally:
        signal.signal(signal.SIGINT, before)
    assert stop.value.exit_code == 130 and stop.value.fix.endswith("--on local:2")
    assert [(job.run.path / "saved").exists() for job in jobs] == [True, True, False, False]


@pytest.fixture
def elsewhere(monkeypatch):
    """Let the machines of the cluster be such that do not see the study's folder."""
    described = OnCluster._described
    monkeypatch.setattr(OnCluster, "_described", lambda own: replace(described(own), path="/nowhere"))


@pytest.mark.slow
def test_a_run_goes_on_where_the_folder_is_not_seen_from_the_state_that_came_back(
    carry_out, jobs, elsewhere, monkeypatch
):
    def do(run, words):
        import shutil
        import time

        state, seen = run / "checkpoints" / "step-00000003", (run / "checkpoints" / "step-00000003" / "x")
        if not seen.exists():
            state.mkdir(parents=True)
            seen.write_text("state 3")
            (run / "run.json").write_text(BEGUN)
            time.sleep(1.5)  # for the state to be sent
            shutil.rmtree(run)  # a machine that is lost has its disk with it
            os.kill(os.getpid(), signal.SIGKILL)
        (run / "seen").write_text(seen.read_text())
        shutil.rmtree(run / "checkpoints")
        (run / "run.json").write_text(BEGUN.replace("running", "finished"))

    progress = Lines()
    carry_out(do, jobs[:1], progress)
    run = jobs[0].run.path
    assert "[a-seed0] lost (its process was killed): it goes on from step 3" in progress.said
    assert sorted(path.name for path in run.iterdir()) == [".lock", "run.json", "seen"]
    assert (run / "seen").read_text() == "state 3"
    assert not list(Path(os.environ["STRIATE_CACHE"]).glob("cluster/*")), "the machine keeps nothing of the study"


def timeless(document):
    """A verdict without what a clock said, and the sentences made of that."""
    if isinstance(document, dict):
        return {key: timeless(value) for key, value in document.items() if "time" not in key and key != "sentences"}
    return list(map(timeless, document)) if isinstance(document, list) else document


@pytest.fixture
def variants() -> list[Variant]:
    recipe = named("regularized").changed(["train.epochs=2", "model.width=4", "train.precision=float32"])
    return [
        Variant(name, "bipyramid", recipe.changed([f"train.lr={lr}"]), "x") for name, lr in (("a", 0.01), ("b", 0.1))
    ]


def same_bits(folders: list[Path], names: tuple[str, ...]) -> None:
    """The runs of studies and their verdicts are the same, but for times."""
    for name in names:
        for file in ("weights.safetensors", "predictions.csv", "scores.json", "split.json"):
            assert len({sha256(folder / "runs" / name / file) for folder in folders}) == 1, (name, file)
    verdicts = [timeless(StudyDir(folder).verdict()) for folder in folders]
    assert all(verdict == verdicts[0] for verdict in verdicts)


def test_a_study_on_machines_that_do_not_see_its_folder_has_the_bits_of_one_process(
    cluster, elsewhere, variants, tmp_path
):
    folders = [tmp_path / "here", tmp_path / "there"]
    said = Lines()
    for folder, on in zip(folders, (None, cluster), strict=True):
        study([open_dataset(TOY)], variants, seeds=1, out=folder, on=on, progress=said)
    same_bits(folders, ("a-seed0", "b-seed0"))
    assert any(line.startswith("[a-seed0] epoch 1/2") for line in said.said)
    for name in ("a-seed0", "b-seed0"):
        here, there = ({path.name for path in (folder / "runs" / name).rglob("*")} for folder in folders)
        assert here == there
        assert RunDir(folders[1] / "runs" / name).info()["device"]["threads"] == 1


@pytest.mark.slow
def test_a_study_whose_workers_are_killed_has_the_bits_of_one_process(cluster, tmp_path):
    recipe = named("baseline").changed(
        ["train.epochs=60", "model.width=4", "train.precision=float32", "train.patience=0"]
    )
    variants = [Variant(name, "bipyramid", recipe, "x") for name in ("a", "b")]
    folders, kills = [tmp_path / "whole", tmp_path / "cut"], []

    class Killing(Lines):
        def line(self, text):
            super().line(text)
            if "epoch 3/" in text and len(kills) < 2:
                pids = [row for row in Path("/proc").glob("[0-9]*") if is_task(row)]
                kills.append(int(pids[0].name))
                os.kill(kills[-1], signal.SIGKILL)

    study([open_dataset(TOY)], variants, seeds=1, out=folders[0], progress=Progress("quiet"))
    said = Killing()
    study([open_dataset(TOY)], variants, seeds=1, out=folders[1], on=cluster, progress=said)
    assert len(kills) == 2 and sum("lost (its process" in line for line in said.said) == 2
    same_bits(folders, ("a-seed0", "b-seed0"))


def is_task(process: Path) -> bool:
    """Whether a process is a worker that has a run of ours, by the name that Ray gives it."""
    try:
        return b"ray::carry_out" in (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_a_run_that_wants_more_than_any_machine_has_is_refused_before_a_folder_is_begun(
    cluster, variants, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "cpus", 3)
    with pytest.raises(ResourceError, match="wants 3 CPUs, no machine has more than 2") as problem:
        words = {"parallel": "1", "on": cluster, "progress": Lines()}  # as the command gives them
        study([open_dataset(TOY)], variants, seeds=1, root=tmp_path / "runs", **words)
    assert problem.value.exit_code == 5 and "--cpus-per-run" in problem.value.fix
    monkeypatch.setattr(cluster, "cpus", 1)
    monkeypatch.setattr(cluster, "gpus", 0.5)
    with pytest.raises(ResourceError, match=r"0.5 GPUs beside its CPUs, no machine has more than 0"):
        cluster.num_slots()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("address", ["local:0", "local:x", "ray://head", "head:6379", "ray://a:99999", "ray://a b:1"])
def test_an_address_is_a_host_with_a_port_or_this_machine(address):
    with pytest.raises(SettingsError, match="is no Ray cluster"):
        Cluster(address)


def test_where_nothing_answers_it_is_said_at_once(monkeypatch):
    monkeypatch.setattr(connect.import_ray(), "is_initialized", lambda: False)
    with pytest.raises(ResourceError, match="no Ray cluster answers") as problem, Cluster("ray://127.0.0.1:9"):
        pass
    assert problem.value.exit_code == 5


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match="Ray is not installed") as problem, Cluster("local:2"):
        pass
    assert problem.value.fix == 'pip install "striate[cluster]"'


def test_data_from_python_and_a_number_of_processes_do_not_go_with_a_cluster(cluster, variants, tmp_path):
    data = open_dataset(TOY)
    with pytest.raises(SettingsError, match="room for"):
        study([data], variants, seeds=1, out=tmp_path / "x", parallel=2, on=cluster, progress=Lines())
    with pytest.raises(SettingsError, match="came from Python"):
        study([replace(data, where="")], variants, seeds=1, out=tmp_path / "y", on=cluster, progress=Lines())
