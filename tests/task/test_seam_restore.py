"""Restoration goes all the way through public commands: what comes in is spoiled, what comes out is an image."""

import json

import numpy as np
import pytest
from PIL import Image
from seam import drive

from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.evaluate.predictions import read

TOY = "toy:shapes?n=120&size=32&clutter=0&noise=0.02"


@pytest.mark.filterwarnings("ignore")
def test_noise_is_taken_away_all_the_way(tmp_path, capsys):
    data = open_dataset(TOY)
    Image.fromarray(data.images.read(0)).save(tmp_path / "one.png")
    gave = drive(capsys, TOY, "denoise", tmp_path, tmp_path / "one.png")
    run = RunDir(tmp_path / "whole")
    scores, table = run.scores()["test"], read(run.predictions, run.info()["task"])["test"]
    records = table.records["quality"]
    assert records.shape == (len(table), 10)
    assert scores["psnr"] == pytest.approx(records[:, 0].mean())
    assert scores["psnr_gain"] == pytest.approx(records[:, 0].mean() - records[:, 1:5].mean(0).max())
    assert scores["intervals"]["psnr_gain"][0] <= scores["psnr_gain"] <= scores["intervals"]["psnr_gain"][1]
    assert scores["baselines"][0]["name"] in {"Gaussian", "bilateral", "non-local means", "median"}
    history = run.history()
    assert history[-1]["train"]["loss"] < history[0]["train"]["loss"]
    assert gave["study"]["verdict"]["metric"] == "psnr"
    assert gave["evaluate"]["scores"]["psnr"] > 10
    assert gave["predict"]["predictions"]
    strip = table.opened(0)
    assert strip.shape == (16, 48, 3) and strip.dtype == np.uint8
    error = ((strip[:, 16:32].astype(float) - strip[:, 32:]) ** 2).mean()
    assert records[0, 0] == pytest.approx(10 * np.log10(255**2 / error))
    assert json.dumps(scores)
