"""A network of volumes from the command line: trained, evaluated, its answers written as the volume lies, a report."""

import json

import numpy as np
import pytest

from striate.cli.app import run
from striate.data.sources.volume_files import labels_of
from striate.evaluate.predictions import read
from striate.metric.iou import image_dice
from striate.predict import Predictor
from striate.predict.volumes import VolumePredictor

from ..data.volume_data import RAS, decathlon

nibabel = pytest.importorskip("nibabel")
LPS = RAS @ np.diag([-1.0, -1, 1, 1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        made = decathlon(folder / "set", affine=LPS)
        given = ["--recipe", "baseline", "--set", "train.epochs=25", "--lr", "0.01", "--patience", "0", "--quiet"]
        for setting in ("model.width=8", "model.depth=1", "model.norm=instance", "task.loss=cross-entropy+dice"):
            given += ["--set", setting]
        given += ["--set", "train.precision=float32", "--augment", "rotate"]
        assert run(["train", str(folder / "set"), "--task", "segment", "--out", str(folder / "run"), *given]) == 0
        yield folder, made


def test_balls_are_learnt_and_scored_by_case(trained):
    folder, _ = trained
    scores = json.loads((folder / "run" / "scores.json").read_text())["test"]
    assert scores["image_dice"]["core"] > 0.6 and scores["image_dice"]["shell"] > 0.6
    info = json.loads((folder / "run" / "run.json").read_text())
    assert info["input"]["size_hw"] == [16, 32, 16] and info["input"]["fit"] == "pad"
    assert info["model"]["name"] == "unet_3d" and [op["kind"] for op in info["augment"]] == ["rotate"]
    table = read(folder / "run" / "predictions.csv", info["task"])["test"]
    dice = [[], []]
    for row in range(len(table)):
        truth, predicted = table.true_map(row), table.opened(row)
        assert truth.shape == predicted.shape == (16, 32, 16)
        for label, found in enumerate(dice, 1):
            both = ((truth == label) & (predicted == label)).sum()
            found.append(2 * both / ((truth == label).sum() + ((predicted == label) & (truth != 255)).sum()))
    names = info["task"]["names"]
    assert [scores["image_dice"][name] for name in names[1:]] == pytest.approx([np.mean(one) for one in dice])
    assert image_dice(table.records["pixel_counts"], names) == pytest.approx(scores["image_dice"])


def test_predictions_are_written_as_the_volume_lies(trained, monkeypatch):
    folder, made = trained
    monkeypatch.setenv("STRIATE_CACHE", str(folder / "cache"))
    name = "imagesTr/case_004.nii.gz"
    path = folder / "set" / name
    assert run(["predict", str(folder / "run"), str(path), "--draw", str(folder / "drawn")]) == 0
    written = nibabel.load(folder / "drawn" / "case_004-labels.nii.gz")
    assert np.allclose(written.affine, nibabel.load(path).affine) and written.shape == made[name][0].shape
    assert "".join(nibabel.aff2axcodes(written.affine)) == "LPS"
    predictor = Predictor.load(folder / "run")
    assert isinstance(predictor, VolumePredictor)
    (answer,) = predictor([path])
    assert np.array_equal(labels_of(folder / "drawn" / "case_004-labels.nii.gz"), answer.map)
    truth = labels_of(folder / "set" / "labelsTr" / "case_004.nii.gz")
    assert 2 * ((answer.map > 0) & (truth > 0)).sum() / ((answer.map > 0).sum() + (truth > 0).sum()) > 0.8
    values = made[name][0][::-1, ::-1].transpose(2, 1, 0)  # from LPS to RAS
    assert np.array_equal(predictor([values])[0].map, answer.map)
    assert (folder / "drawn" / "case_004-overlay.png").stat().st_size > 200


def test_the_report_shows_three_planes_and_evaluation_goes_again(trained, monkeypatch, capsys):
    folder, _ = trained
    monkeypatch.setenv("STRIATE_CACHE", str(folder / "cache"))
    page = (folder / "run" / "report.html").read_text()
    assert "Class by class" in page and page.count("data:image/png") >= 2 and page.count("data:image/jpeg") >= 2
    assert run(["evaluate", str(folder / "run"), str(folder / "set"), "--split", "all"]) == 0
    assert "Dice, mean over volumes: background" in capsys.readouterr().out
    assert run(["evaluate", str(folder / "run")]) == 0
    assert run(["predict", str(folder / "run"), str(folder / "set" / "dataset.json")]) == 3
    case = str(folder / "set" / "imagesTr" / "case_001.nii.gz")
    assert run(["predict", str(folder / "run"), case, "--tiles", "2"]) == 2


def test_volumes_larger_than_the_view_are_learnt_by_patches_and_answered_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    decathlon(tmp_path / "set", num=8, size=(20, 24, 18))
    given = ["--recipe", "baseline", "--size", "16", "--set", "train.epochs=2", "--quiet", "--threads", "1"]
    for setting in ("model.width=2", "model.depth=1", "model.norm=instance"):
        given += ["--set", setting]
    out = tmp_path / "run"
    assert run(["train", str(tmp_path / "set"), "--task", "segment", "--out", str(out), *given]) == 0
    info, scores = (json.loads((out / name).read_text()) for name in ("run.json", "scores.json"))
    assert info["input"]["size_hw"] == [16, 16, 16] and info["input"]["box"] == [32, 32, 32]
    assert scores["test"]["own_size"]["seen"] == 1
    table = read(out / "predictions.csv", info["task"])["test"]
    assert table.opened(0).shape == (32, 32, 32)
    values = np.random.default_rng(0).normal(size=(40, 18, 12)).astype(np.float32)
    predictor = Predictor.load(out)
    (answer,) = predictor([values])
    assert answer.map.shape == values.shape and (answer.map < 3).all()
    assert run(["evaluate", str(out), str(tmp_path / "set"), "--split", "all"]) == 0
