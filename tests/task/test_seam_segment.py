"""Segmentation goes all the way by public commands: train, resume, study, report, evaluate, predict, search."""

import numpy as np
import pytest
import torch
from PIL import Image
from seam import SHORT, drive, give

from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.evaluate.predictions import read
from striate.run.network import build_network
from striate.run.prepare import prepare
from striate.run.recipe import named

TOY = "toy:shapes?n=120&size=48&clutter=0&noise=0.02"  # stored at 18 px, seen at 16


@pytest.mark.filterwarnings("ignore")
def test_segmentation_goes_all_the_way(tmp_path, capsys):
    data = open_dataset(TOY)
    Image.fromarray(data.images.read(0)).save(tmp_path / "one.png")
    gave = drive(capsys, TOY, "segment", tmp_path, tmp_path / "one.png", recipe="cutmix")
    run = RunDir(tmp_path / "whole")
    scores, table = run.scores()["test"], read(run.predictions, run.info()["task"])["test"]
    right, true, predicted = np.split(table.records["pixel_counts"].sum(0), 3)
    kept = true + predicted > 0
    assert scores["mean_iou"] == pytest.approx((right / np.maximum(1, true + predicted - right))[kept].mean())
    assert scores["constant"]["class"] == "background"
    assert scores["own_size"]["per_class"][0]["pixels"] > 4 * scores["per_class"][0]["pixels"]
    assert "own_size" not in run.scores()["train"]
    assert {"loss", "mean_iou", "pixel_accuracy", "mean_dice", "class_accuracy"} == run.history()[0]["val"].keys()
    assert run.history()[-1]["val"]["loss"] < run.history()[0]["val"]["loss"]
    assert gave["study"]["verdict"]["metric"] == "mean_iou"
    assert gave["evaluate"]["scores"]["own_size"]["seen"] == 1
    assert sum(gave["predict"]["predictions"][0]["shares"].values()) == pytest.approx(1)
    options = ["--target", "mask", "--candidates", "2", "--epochs", "1", "--seeds", "1", *SHORT[:2], *SHORT[-3:]]
    found = give(capsys, "search", TOY, *options, "--set", "train.epochs=2", "--out", str(tmp_path / "search"))
    assert found["result"]["finished"] == 2


def test_the_network_of_a_run_starts_from_its_prior():
    recipe = named("baseline").changed(["data.size=16"])
    prepared = prepare(open_dataset(TOY), recipe, target="mask", device=torch.device("cpu"), progress=Progress("quiet"))
    network = build_network("unet", prepared, 0)
    bias = network.get_submodule("rows.outputs.conv").bias
    assert bias.softmax(0).tolist() == pytest.approx(prepared.task.prior, rel=1e-5)
    assert prepared.task.prior[0] > 0.5  # background
