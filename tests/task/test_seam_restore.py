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
    for page, said in (("page", "Against methods that learn nothing"), ("study page", "Best, median and worst images")):
        assert said in gave[page] and "data:image/png;base64," in gave[page]
    assert f"The best simple method ({scores['baselines'][0]['name']})" in gave["page"]


def test_a_user_s_own_images_keep_their_size(tmp_path, capsys):
    """Whatever it is that comes in; of a larger scale each pixel becomes several."""
    from seam import SHORT, give

    pixels = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    short = [word.replace("epochs=4", "epochs=1") for word in SHORT]
    for task, scale in (("superresolve", 2), ("colourise", 1), ("reconstruct", 1), ("inpaint", 1)):
        folder = tmp_path / task
        trained = give(capsys, "train", TOY, "--task", task, *short, "--out", str(folder))
        assert trained["scores"]["test"]["psnr"] > 5
        drawn = tmp_path / f"{task}-drawn"
        found = give(capsys, "predict", str(folder), str(tmp_path / "own.png"), "--draw", str(drawn))
        assert found["predictions"][0]["size_hw"] == [37 * scale, 50 * scale]
        with Image.open(drawn / "own-restored.png") as made:
            assert made.size == (50 * scale, 37 * scale) and made.mode == "RGB"


def test_tiles_of_an_enlarged_image_are_those_of_the_whole():
    import torch
    import torch.nn.functional as F

    from striate.predict.tiling import tiled_outputs

    image = np.random.default_rng(1).integers(0, 256, (41, 70, 3), np.uint8)

    def outputs(tiles):  # looks no further than a pixel
        pixels = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float()
        smooth = F.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
        return smooth.repeat_interleave(3, 2).repeat_interleave(3, 3)

    whole = torch.cat(list(tiled_outputs(image, (16, 24), outputs, 3)), 2)
    assert whole.shape == (1, 3, 123, 210)
    torch.testing.assert_close(whole, outputs([image]), atol=1e-3, rtol=0)
