"""R-CNN's parts: regions, linear models on features, what a network's last layer then answers, and a whole run."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.tensors import read_tensors
from striate.cli.app import run
from striate.data.sample import Batch
from striate.data.target import Ragged
from striate.model import zoo
from striate.model.weights import to_bytes
from striate.task.detect.rcnn import CONTEXT, Rcnn
from striate.task.detect.reading import DetectOptions, Truth
from striate.transfer.rcnn import Regions, solved

pytest.importorskip("sklearn")
cv2 = pytest.importorskip("cv2")
pytestmark = pytest.mark.skipif(not hasattr(cv2, "ximgproc"), reason="OpenCV without its contributed modules")
COLOURS = ((200, 30, 30), (30, 160, 40))


def reading(**options) -> Rcnn:
    return Rcnn(DetectOptions(**options))


def test_regions_are_warped_with_context_and_zero_beyond_the_border():
    image = torch.zeros(1, 3, 60, 80)
    image[:, :, 10:30, 20:40] = 1.0
    boxes = torch.tensor([[20.0, 10, 40, 30], [-40, -40, -20, -20]])
    inner, beyond = reading(region_px=45).warped(image, boxes, torch.zeros(2, dtype=torch.int64))
    edge = round(45 * CONTEXT)
    assert (inner[:, edge + 2 : -edge - 2, edge + 2 : -edge - 2] > 0.999).all() and inner[:, 0].max() == 0
    assert inner.shape == (3, 45, 45) and (beyond == 0).all()


def planted(num: int) -> list[Regions]:
    """Features that say what is there and how far off the region is: of two classes, in images of 30 regions."""
    rng, regions = np.random.default_rng(0), []
    for _ in range(num):
        true, label = torch.tensor([[40.0, 40, 80, 80]]), int(rng.integers(0, 2))
        shifts = torch.from_numpy(np.concatenate([np.zeros((1, 2)), rng.uniform(-8, 8, (9, 2))])).float()
        far = torch.from_numpy(rng.uniform(100, 200, (20, 2))).float()
        boxes = torch.cat([true + shifts.repeat(1, 2), torch.cat([far, far + 40], 1)])
        features = torch.zeros(30, 5)
        features[:10, label], features[10:, 4] = 10.0, 10.0
        features[:10, 2:4] = -shifts
        regions.append(Regions(boxes, features, true, torch.tensor([label])))
    return regions


def outputs(regions: Regions, weight: torch.Tensor, bias: torch.Tensor) -> list[torch.Tensor]:
    """What the reading makes of a network that has these features."""
    answers = regions.features @ weight.T + bias
    size = torch.full((len(answers), 2), 300.0)
    rows = torch.cat([answers, regions.xyxy, size], 1).T[None]
    return list(rows.split([2, 8, 6], 1))


def test_linear_models_learn_classes_and_moves():
    regions = planted(40)
    weight, bias = solved(regions, 2)
    for one in regions[:5]:
        found = reading().candidates(outputs(one, weight, bias))
        assert found.labels[0, 0] == one.true_labels[0] and found.scores[0, 0] > 0.5
        torch.testing.assert_close(found.boxes[0, 0], one.true_xyxy[0], atol=2.0, rtol=0)
        assert (found.scores[0].diff() <= 0).all()
        away = found.scores[0][found.boxes[0, :, 0] > 90]
        assert (away < 0.5).all()


def test_a_class_that_is_nowhere_is_never_sure():
    boxes = torch.tensor([[0.0, 0, 9, 9], [20, 20, 40, 40]])
    weight, bias = solved([Regions(boxes, torch.eye(2), boxes[:1], torch.tensor([0]))], 2)
    assert weight.shape == (10, 2) and ((weight @ torch.eye(2) + bias[:, None])[1] < 0).all()


def test_outputs_of_uneven_images_are_padded_and_learn():
    torch.manual_seed(0)
    images = torch.full((2, 3, 64, 64), 0.5)
    images[0, :, 10:40, 10:40] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    given, network = reading(region_px=16), nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 10))
    rows = Ragged(
        torch.tensor([[10.0, 10, 40, 40]]), (1, 0), {"labels": torch.tensor([1]), "crowd": torch.tensor([False])}
    )
    found = given.forward(network, Batch(images, {}, np.arange(2)))
    assert given.fits(found, 2, 2) and not given.fits(found, 2, 3)
    num = (found[2][:, 2] > found[2][:, 0]).sum(1)
    assert num[0] > num[1] == 1  # a plain image is one region
    assert (given.candidates(found).scores[1] > 0).sum() == 2
    truth = Truth.of(rows)
    assert given.reach(found, truth).tolist() == [[True], [False]]
    before = {name: float(part.sums.detach().sum()) for name, part in given.parts(found, truth).items()}
    optimiser = torch.optim.Adam(network.parameters(), 0.05)
    for _ in range(30):
        optimiser.zero_grad()
        parts = given.parts(given.forward(network, Batch(images, {}, np.arange(2))), truth)
        sum(part.sums.sum() for part in parts.values()).backward()
        optimiser.step()
    assert all(float(part.sums.detach().sum()) < 0.5 * before[name] for name, part in parts.items())


def test_a_run_of_regions_trains_scores_and_predicts(tmp_path, capsys):
    """On a network whose weights are random: what linear models make of its features."""
    network = zoo.build("bipyramid", classes=5, channels=3, size=64, seed=0, norm="batch")
    (tmp_path / "body.safetensors").write_bytes(to_bytes(network))
    data, folder = "toy:shapes?n=24&size=64&noise=0&objects=1..2", tmp_path / "run"
    words = ["train", data, "--task", "detect", "--model", "rcnn", "--recipe", "features", "--size", "64"]
    words += ["--weights", str(tmp_path / "body.safetensors"), "--out", str(folder)]
    for option in (
        "model.encoder=bipyramid",
        "model.norm=batch",
        "task.proposals=25",
        "task.region_px=32",
        "task.nms=0.3",
    ):
        words += ["--set", option]
    assert run([*words, "--json"]) == 0
    scores = json.loads((folder / "scores.json").read_text())
    before, after = network.state_dict(), read_tensors(folder / "weights.safetensors")
    statistics = [key for key in before if key.endswith(("running_mean", "running_var"))]
    assert statistics and all(torch.equal(before[key], after[key]) for key in statistics)  # the body is not trained
    times_ms = json.loads((folder / "run.json").read_text())["result"]["part_times_ms"]
    assert list(times_ms) == ["proposals", "network", "suppression"] and min(times_ms.values()) > 0
    assert "an image alone" in (folder / "report.html").read_text()
    assert 0 <= scores["test"]["ap50"] <= 1 and scores["train"]["ap50"] > 0.1
    image = np.full((80, 100, 3), 230, np.uint8)
    image[20:60, 30:70] = COLOURS[0]
    assert cv2.imwrite(str(tmp_path / "one.png"), image)
    capsys.readouterr()
    assert run(["predict", str(folder), str(tmp_path / "one.png"), "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)["predictions"]
    assert all(0 <= side <= 100 for thing in document["things"] for side in thing["box"])
