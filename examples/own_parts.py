"""A network, a loss, a metric, an augmentation and images of one's own, in one program."""

import sys
from pathlib import Path

import numpy as np
from torch import nn

import striate as st
from striate.base.plugin import load

HERE = Path(__file__).parent
load(HERE / "extending" / "loss.py")  # the task "careful"; in a program of your own the classes may stand here
load(HERE / "extending" / "augmentation.py")  # the operation "tint"


class Net(nn.Module):
    """Any module will do that maps images (N, 3, H, W) to (N, classes)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1))
        self.head = nn.Linear(32, num_classes)

    def forward(self, images):
        return self.head(self.body(images).relu().mean((2, 3)))


rng = np.random.default_rng(0)
labels = np.array(["red", "blue"] * 60)
images = rng.integers(0, 120, (120, 16, 16, 3), np.uint8)  # (N, H, W, C)
images[labels == "red", :, :, 0] += 90
images[labels == "blue", :, :, 2] += 90

data = st.from_arrays(images, labels, task="careful")
recipe = st.recipe("baseline").changed(["augment=tint"])
run = st.train(data, Net(2), recipe, epochs=2 if "--quick" in sys.argv else 8)
print(run)
print(run.scores["test"]["sure_and_wrong"], run.predict(images[:2]), run.confusion())
