"""Maps are scored in the images' own pixels as well, as one would who resized the logits and counted by hand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics as sk

from striate.data.geometry import Geometry
from striate.data.sample import Batch
from striate.data.target import Label, Mask
from striate.evaluate.own_size import OwnSize
from striate.task.classify import Classify
from striate.task.segment import Segment, own_classes

NAMES = ("sky", "sea", "ship")
SIZES_HW = ((30, 47), (12, 20), (61, 33))
FITS = pytest.mark.parametrize("fit", ["crop", "letterbox", "squash"])


def logits_of(num: int = 3, size_hw: tuple[int, int] = (16, 24)) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(num, 3, *size_hw)).astype(np.float32))


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    found = [rng.integers(0, 3, size).astype(np.uint8) for size in SIZES_HW]
    found[0][:5] = 255
    return found


@pytest.mark.parametrize("size_hw", [(30, 47), (16, 24), (5, 9), (64, 96)])
def test_a_stretched_image_gets_what_torch_interpolates(size_hw):
    way = Geometry((16, 24), "squash", 1.0).way_back(*size_hw)
    for logits in logits_of():
        expected = F.interpolate(logits[None], size_hw, mode="bilinear").argmax(1)[0]
        assert (own_classes(logits, way) == expected.numpy()).mean() > 0.999  # ties by rounding


@FITS
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_every_fit_gives_the_classes_of_numbers_moved_back(fit, size_hw, monkeypatch):
    way = Geometry((16, 24), fit, 1.15).way_back(*size_hw)
    numbers = logits_of()[0].numpy().transpose(1, 2, 0)
    moved = way.maps(numbers, "bilinear", np.nan)
    expected = np.where(np.isnan(moved[..., 0]), 255, np.nan_to_num(moved).argmax(2))
    assert (own_classes(logits_of()[0], way) == expected).mean() > 0.999
    monkeypatch.setattr("striate.task.segment.MAX_NUMBERS", 200)  # a row or two at a time
    assert (own_classes(logits_of()[0], way) == expected).mean() > 0.999


@FITS
def test_scores_are_those_of_all_own_pixels_and_what_is_cut_away_is_wrong(fit):
    geometry, task = Geometry((16, 24), fit, 1.0), Segment("mask", NAMES)
    own, outputs = OwnSize(task, Mask.of(masks(), NAMES), geometry), logits_of()
    for part in (np.array([2, 0]), np.array([1])):
        own.add(outputs[part], Batch(torch.zeros(len(part), 3, 16, 24), {}, part))
    found = own.scores()["own_size"]
    maps = [own_classes(one, geometry.way_back(*mask.shape)) for one, mask in zip(outputs, masks(), strict=True)]
    truth, values = (np.concatenate([one.ravel() for one in some]) for some in (masks(), maps))
    known = truth != 255
    labels = list(range(len(NAMES)))
    iou = sk.jaccard_score(truth[known], values[known], average="macro", labels=labels)
    assert found["mean_iou"] == pytest.approx(iou)
    assert found["pixel_accuracy"] == pytest.approx((truth == values)[known].mean())
    assert found["seen"] == pytest.approx(np.mean([(one != 255).mean() for one in maps]))
    assert (found["seen"] == 1) == (fit != "crop")
    assert found["num_images"] == 3
    assert [row["pixels"] for row in found["per_class"]] == np.bincount(truth[known]).tolist()
    assert found["intervals"]["mean_iou"][0] < found["mean_iou"] < found["intervals"]["mean_iou"][1]


def test_what_has_no_size_has_no_such_scores():
    own = OwnSize(Classify("class", NAMES), Label(np.array([0, 1]), NAMES), Geometry((8, 8), "crop", 1.0))
    own.add(torch.zeros(2, 3), Batch(torch.zeros(2, 3, 8, 8), {}, np.arange(2)))
    assert own.scores() == {}


MEASURE = """
import re, sys, numpy as np, torch
from pathlib import Path
from striate.data.geometry import Geometry
from striate.data.sample import Batch
from striate.data.target import Mask
from striate.evaluate.layout import Sidecar
from striate.evaluate.own_size import OwnSize
from striate.evaluate.run import evaluate
from striate.task.segment import Segment
torch.set_num_threads(1)
class Wide(torch.nn.Module):
    def forward(self, images):
        return images.repeat(1, 21, 1, 1) * torch.arange(21.0)[:, None, None]
class Images:
    def __init__(self, num):
        self.num = num
    def batches(self, epoch, start=0):
        for first in range(0, self.num, 8):
            truth = torch.full((8, 256, 256), first % 21)
            yield Batch(torch.rand(8, 1, 256, 256), {"mask": truth}, np.arange(8))
def memory(key):
    return int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
names = tuple(map(str, range(21)))
task = Segment("mask", names)
target, geometry = Mask.of([np.zeros((300, 400), np.uint8)] * 8, names), Geometry((256, 256), "crop", 1.0)
start = memory("VmRSS")
for num in (32, 32, 64):  # the first pass fills the heap
    own = OwnSize(task, target, geometry)
    evaluate(Wide(), task, Images(num), Sidecar(Path(sys.argv[1]), "test"), own)
    assert own.scores()["own_size"]["num_images"] == num
    print(memory("VmHWM") - start)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_map_of_a_split_is_held(tmp_path):
    """8 images of 21 x 256 x 256 are 44 MB of outputs, 600 of them 3.3 GB; peak RSS above the start."""
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    _, few, many = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert 40 < many < 300, (few, many)
    assert many - few < 40, (few, many)
    files = list(Path(tmp_path / "predictions" / "test").iterdir())
    assert len(files) == 2 * sum(path.name.endswith("-truth.png") for path in files) == 128
