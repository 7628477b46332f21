"""A finished run scored over several views, and calibrated: against the network run by hand."""

import json

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from striate.base.documents import read_json
from striate.base.errors import DataError, ModelError, ResourceError, SettingsError
from striate.base.files import faults, write_json
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.evaluate.predictions import read
from striate.predict import Predictor
from striate.run.evaluate import calibrate_run, evaluate_run
from striate.run.execute import reopen, train
from striate.run.recipe import named

QUIET = Progress("quiet")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    def made(where: str) -> RunDir:
        torch.set_num_threads(1)
        recipe = named("baseline").changed(
            ["train.epochs=3", "model.width=8", "train.lr=0.01", "train.precision=float32"]
        )
        out = tmp_path_factory.mktemp("run") / "run"
        target = "angle" if "angle" in where else None
        return train(open_dataset(where.split("#")[0]), "bipyramid", recipe, target=target, out=out, progress=QUIET)

    return made


@pytest.fixture(scope="module")
def kept(make):
    return make("toy:shapes?n=200&size=16")


@pytest.fixture
def run(kept):
    (kept.path / "calibration.json").unlink(missing_ok=True)
    yield kept
    (kept.path / "calibration.json").unlink(missing_ok=True)


def squares(run: RunDir, split: str) -> tuple[list[str], list[np.ndarray], np.ndarray]:
    dataset = reopen(run)
    chosen = dataset.splits[split]
    truth = np.asarray(dataset.target(None).values[chosen])
    return [dataset.ids[i] for i in chosen], [dataset.images.read(int(i)) for i in chosen], truth


def logits(predictor: Predictor, pictures: list[np.ndarray]) -> np.ndarray:
    return predictor.outputs([predictor.fitted(picture) for picture in pictures]).double().numpy()


def test_two_views_are_the_mean_of_a_picture_and_its_mirror_image(run):
    found = evaluate_run(run.path, views=2, progress=QUIET)
    ids, pictures, truth = squares(run, "test")
    predictor = Predictor.load(run)
    p = (
        softmax(logits(predictor, pictures), 1) + softmax(logits(predictor, [one[:, ::-1] for one in pictures]), 1)
    ) / 2
    table = read(next(run.path.glob("evaluations/*-test-2-views/predictions.csv")), {"kind": "label"})["test"]
    assert list(table.ids) == ids
    np.testing.assert_allclose(table.probabilities, p, atol=2e-6)
    assert found["scores"]["accuracy"] == (p.argmax(1) == truth).mean()
    assert found["scores"]["loss"] == pytest.approx(log_loss(truth, p, labels=range(p.shape[1])), abs=1e-5)
    assert found["views"] == 2


def test_views_are_deterministic_and_one_view_is_the_plain_picture(run):
    assert evaluate_run(run.path, views=6, progress=QUIET) == evaluate_run(run.path, views=6, progress=QUIET)
    assert evaluate_run(run.path, progress=QUIET)["scores"] == run.scores()["test"]
    with pytest.raises(SettingsError, match="11 views"):
        evaluate_run(run.path, views=11, progress=QUIET)


def test_a_temperature_is_fitted_on_validation_images_and_predict_uses_it(run):
    plain = Predictor.load(run)
    assert plain.temperature == 1
    found = calibrate_run(run.path, progress=QUIET)
    _, pictures, truth = squares(run, "val")
    outputs = logits(plain, pictures)

    def loss(log_t: float) -> float:
        return log_loss(truth, softmax(outputs / np.exp(log_t), 1), labels=range(outputs.shape[1]))

    best = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    assert found["temperature"] == pytest.approx(np.exp(best.x), rel=1e-3)
    assert found["splits"]["val"]["after"]["loss"] == pytest.approx(best.fun, abs=1e-5)
    assert found["splits"]["val"]["after"]["loss"] < found["splits"]["val"]["before"]["loss"]
    assert found["splits"]["test"]["before"]["ece"] == pytest.approx(run.scores()["test"]["ece"], abs=1e-6)
    assert read_json(run.path / "calibration.json") == found
    _, pictures, _ = squares(run, "test")
    calibrated = Predictor.load(run)
    expected = softmax(logits(plain, pictures) / found["temperature"], 1)
    given = [list(one.probabilities.values()) for one in calibrated(pictures)]
    np.testing.assert_allclose(given, expected, atol=1e-6)
    assert [one.names for one in calibrated(pictures)] == [one.names for one in plain(pictures)]


def test_a_temperature_of_other_weights_or_a_broken_one_is_refused(run):
    path = run.path / "calibration.json"
    (run.path / "SHA256SUMS").unlink(missing_ok=True)  # edited by hand
    write_json(path, {"temperature": 2.0, "weights": "0" * 64})
    with pytest.raises(ModelError, match="other weights") as problem:
        Predictor.load(run)
    assert "--calibrate" in problem.value.fix
    for broken in ({"temperature": 0}, {"temperature": -1.0}, {"temperature": "2"}, {"temperature": None}, [1], {}):
        path.write_text(json.dumps(broken))
        with pytest.raises(ModelError, match="not a calibration"):
            Predictor.load(run)
    path.write_text('{"temperature": 1e999}')
    with pytest.raises(ModelError, match="not a calibration"):
        Predictor.load(run)


def test_a_full_disk_leaves_no_half_calibration(run):
    def full(step, path):
        if step == "rename" and path.name == "calibration.json":
            raise OSError(28, "No space left on device")

    with faults(full), pytest.raises(ResourceError, match="No space left"):
        calibrate_run(run.path, progress=QUIET)
    assert not (run.path / "calibration.json").exists()
    assert Predictor.load(run).temperature == 1


def test_numbers_have_no_temperature_and_no_views(make):
    run = make("toy:shapes?n=80&size=16#angle")
    with pytest.raises(DataError, match="no classes or tags"):
        calibrate_run(run.path, progress=QUIET)
    with pytest.raises(DataError, match="mirrored"):
        evaluate_run(run.path, views=2, progress=QUIET)


def test_what_is_no_run_or_not_finished_is_refused(tmp_path, run):
    with pytest.raises(ModelError, match="not a run folder"):
        calibrate_run(tmp_path, progress=QUIET)
    RunDir(tmp_path).save_info(run.info())
    with pytest.raises(ModelError, match="no weights yet"):
        calibrate_run(tmp_path, progress=QUIET)
