"""Detectors learn 300 drawn images from scratch, to be measured on images that they were not trained on."""

import json

import pytest

from striate.base.progress import Progress
from striate.data.open import open_dataset
from striate.run.execute import train
from striate.run.recipe import named

AP50 = 0.95
DATA = "toy:shapes?objects=1..3&n=430&size=64&clutter=0&noise=0.02"  # 304 for training
# bipyramid with maps of strides 4, 8 and 16: places enough for objects of 12 to 27 px
COMMON = (
    "data.size=64", "model.width=16", "model.depth=4", "model.norm=batch", "train.lr=0.004", "train.ema=0.99",
    "train.precision=float32", 'augment=[{kind="flip",vertical=0.5}]',
)  # fmt: skip
OWN = {  # what each needs, with what was measured in docs/detection.md
    "one_stage": ("model.width=24", "train.epochs=25"),
    "retinanet": ("train.epochs=16",),
    "fcos": ("train.epochs=16",),
    "yolo_v1": ("train.epochs=20",),
    "fast_rcnn": ("train.epochs=12", "task.proposals=60"),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", OWN)
def test_a_detector_learns_drawn_shapes(kind, tmp_path):
    data = open_dataset(DATA, task="detect")
    recipe = named("detect").changed([*COMMON, f"task.detector={kind}", *OWN[kind]])
    train(data, "bipyramid", recipe, out=tmp_path / "run", progress=Progress("quiet"))
    scores = json.loads((tmp_path / "run/scores.json").read_text())
    assert 300 <= len(data.splits["train"]) < 310
    assert min(scores[split]["ap50"] for split in ("val", "test")) >= AP50, scores["test"]["errors"]
