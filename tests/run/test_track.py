"""TensorBoard and MLflow show what the run's folder holds, and can do training no harm."""

import time
from importlib.util import find_spec

import pytest

from striate.base.errors import SettingsError
from striate.run import track
from striate.run.execute import train
from striate.run.recipe import named


@pytest.fixture
def begin(tiny, quiet, tmp_path):
    recipe = named("baseline").changed(["train.epochs=2", "model.width=4", "model.depth=1"])

    def begin(**options):
        return train(tiny, "bipyramid", recipe, target="label", out=tmp_path / "run", progress=quiet, **options)

    return begin


def test_tensorboard_has_every_epoch_and_the_scores_with_their_intervals(begin, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = begin(tensorboard=tmp_path / "logs")
    events = EventAccumulator(str(tmp_path / "logs" / "run"))
    events.Reload()
    history, scores = run.history(), run.scores()["test"]
    shown = [(event.step, event.value) for event in events.Scalars("val/loss")]
    assert shown == [(row["epoch"], pytest.approx(row["val"]["loss"])) for row in history] and len(shown) == 2
    low, high = scores["intervals"]["accuracy"]
    for name, value in {"accuracy": scores["accuracy"], "accuracy_low": low, "accuracy_high": high}.items():
        assert [event.value for event in events.Scalars(f"final/test/{name}")] == [pytest.approx(value)]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_settings_and_one_run(begin, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    where = (tmp_path / "mlruns").as_uri()
    run = begin(mlflow=where)
    with track.tracked(run, run.info()["track"]):  # as when it is resumed, or its test split is opened
        pass
    client = mlflow.MlflowClient(where)
    (experiment,) = (one for one in client.search_experiments() if one.name == "striate")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["train.lr"] == "0.003" and found.data.params["model"] == "bipyramid"
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in history] == [(row["epoch"], row["train"]["loss"]) for row in run.history()]


def test_what_fails_or_hangs_is_said_once_and_training_goes_on(begin, tmp_path, monkeypatch, capsys):
    class Broken:
        def __init__(self, where, run):
            raise OSError("no such server")

    class Slow:
        def __init__(self, where, run):
            time.sleep(20)

    monkeypatch.setattr(track, "LAST_S", 0.1)
    monkeypatch.setattr(track, "find_spec", lambda name: object())
    both = {"tensorboard": ("TensorBoard", Broken), "mlflow": ("MLflow", Slow)}
    monkeypatch.setattr(track, "TRACKERS", both)
    start_s = time.monotonic()
    run = begin(tensorboard=tmp_path / "logs", mlflow="http://127.0.0.1:9")
    assert run.info()["status"] == "finished" and time.monotonic() - start_s < 15
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "TensorBoard" in line] == [
        f"warning: TensorBoard at {tmp_path / 'logs'} does not follow the run (no such server); training goes on"
    ]
    assert sum("it does not answer in time" in line for line in lines) == 1


def test_what_is_not_installed_is_said_before_training(begin, tmp_path, monkeypatch):
    missing = {"tensorboard", "mlflow", "sqlalchemy"}
    monkeypatch.setattr(track, "find_spec", lambda name: None if name in missing else find_spec(name))
    for options in ({"tensorboard": "logs"}, {"mlflow": "file:///tmp/x"}):
        with pytest.raises(SettingsError, match="is not installed") as problem:
            begin(**options)
        assert problem.value.fix == 'pip install "striate[track]"'
    missing.remove("mlflow")
    with pytest.raises(SettingsError, match="sqlalchemy"):
        begin(mlflow="sqlite:///runs.db")
    assert not (tmp_path / "run").exists()
