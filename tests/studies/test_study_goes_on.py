"""A study that was stopped, wherever it was: what is said, and that the same call goes on."""

import pytest
from PIL import Image

import striate as st
from striate.base.errors import Interrupted, Terminated
from striate.base.progress import Progress
from striate.base.rundir import StudyDir
from striate.cli.app import run as command
from striate.data import open_dataset
from striate.run.recipe import named
from striate.studies import execute, one
from striate.studies.execute import study
from striate.studies.plan import Variant

SETTINGS = ["train.epochs=1", "model.width=4", "train.precision=float32"]


@pytest.fixture
def carry_out(tmp_path):
    """The same small study, below one root, without a folder of its own."""
    data = open_dataset("toy:shapes?n=120&size=16")

    def call(*changes: str, **options):
        variant = Variant("a", "bipyramid", named("regularized").changed([*SETTINGS, *changes]), "x")
        return study([data], [variant], seeds=1, root=tmp_path / "runs", progress=Progress("quiet"), **options)

    return call


@pytest.mark.parametrize("place", ["expected_s", "train", "open_test", "decide"])
@pytest.mark.parametrize(("stop", "exit_code"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_stopped_anywhere_it_names_the_command_and_the_same_call_goes_on(
    carry_out, monkeypatch, place, stop, exit_code
):
    def stopped(*_, **__):
        raise stop

    with monkeypatch.context() as patched:
        patched.setattr(one if hasattr(one, place) else execute, place, stopped)
        with pytest.raises(Interrupted) as told:
            carry_out()
    folder = told.value.where
    assert told.value.exit_code == exit_code and told.value.fix == f"striate resume {folder}"
    assert folder.endswith("001-study")
    found = carry_out()
    assert str(found.path) == folder and found.info()["status"] == "finished" and found.verdict()
    assert carry_out().path.name == "002-study"


def test_another_study_gets_a_folder_of_its_own(carry_out, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(execute, "decide", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(Interrupted):
            carry_out()
    assert carry_out("train.lr=0.02").path.name == "002-study"
    assert carry_out().path.name == "001-study"


def test_a_folder_that_cannot_be_read_is_passed_over(carry_out, tmp_path):
    broken = tmp_path / "runs" / "001-study"
    broken.mkdir(parents=True)
    (broken / "study.json").write_text("{")
    assert carry_out().path.name == "002-study"


def test_from_python_the_folder_may_be_text_and_a_picture_a_single_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = named("baseline").changed(SETTINGS)
    run = st.train("toy:shapes?n=80&size=16", "bipyramid", recipe, out="one", progress=Progress("quiet"))
    assert run.path.name == "one"
    picture = tmp_path / "x.png"
    Image.new("RGB", (20, 20), (9, 99, 200)).save(picture)
    assert run.predict(str(picture)) == run.predict([picture])
    variants = [Variant("a", "bipyramid", recipe, "x")]
    found = st.study("toy:shapes?n=80&size=16", variants, seeds=1, out="two", progress=Progress("quiet"))
    assert found.path.name == "two" and found.run("a").path.parent.parent.name == "two"


def test_a_study_of_an_older_version_without_newer_settings_goes_on(carry_out, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(execute, "decide", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(Interrupted) as told:
            carry_out()
    folder = StudyDir(told.value.where)
    info = folder.info()
    del info["variants"][0]["recipe"]["train"]["stages"]
    info["variants"][0]["recipe"]["train"]["frozen"] = ""
    del info["variants"][0]["recipe"]["network"]
    folder.save_info(info)
    assert str(carry_out().path) == str(folder.path)


def test_moved_data_are_named_and_remembered(tmp_path, capsys):
    for name, level in (("dark", 40), ("light", 200)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (12, 12), (level, level + number, number)).save(tmp_path / "set" / name / f"{number}.png")
    settings = '["train.epochs=1", "model.width=4", "model.depth=1", "data.size=16"]'
    plan = f'data = "set"\nseeds = 1\n[base]\nset = {settings}\n[grid]\n"train.lr" = [0.01]\n'
    (tmp_path / "plan.toml").write_text(plan)
    folder = str(tmp_path / "study")
    assert command(["study", str(tmp_path / "plan.toml"), "--out", folder, "-q", "--threads", "1"]) == 0
    (tmp_path / "set").rename(tmp_path / "moved")
    assert command(["resume", folder, "-q"]) == 3
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last == f"error: the data are gone: {tmp_path / 'set'} -- fix: name their new place with --data"
    assert command(["resume", folder, "-q", "--data", str(tmp_path / "moved")]) == 0
    assert command(["resume", folder, "-q"]) == 0
