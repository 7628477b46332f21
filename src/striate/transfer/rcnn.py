"""The linear models of R-CNN: a linear SVM a class says what a region holds, a ridge regression a class moves its box.

An SVM learns from true boxes and regions that are almost one (the paper: true boxes alone) against regions that hardly
overlap one, the hardest of them taken in a second round.
Together they are the last linear layer of a network that sees regions, see `striate.task.detect.rcnn`.

Reference: Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", CVPR
2014. P regions, D features, K classes, N images.
"""

import importlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.base.errors import Interrupted, SettingsError
from striate.engine.interrupt import Interrupt
from striate.engine.precision import autocast
from striate.evaluate.run import quick_scores
from striate.nn.boxes import encode, iou
from striate.task import Task
from striate.task.detect import Detect
from striate.task.detect.proposed import FEATURES

from .regions import RegionFeatures, sees_regions, take
from .training import ProbeTraining

FREE_IOU, RIGHT_IOU = 0.3, 0.6  # below it a region is background for a class; from it one of the class
NEAR_IOU = 0.5  # from it the true box's difference is learnt; the paper has 0.6
SVM_C, RIDGE, HARD = 1e-3, 1000.0, -1.0  # as in the paper: C, strength, margin from which a negative is hard
NORM = 20.0  # of features on average, for which that C is meant
FIRST = 20_000  # negatives of the first round


@dataclass(frozen=True)
class Regions:
    """The regions of one image: boxes (P, 4), features (P, D), and its true boxes (T, 4) with labels (T,).

    The true boxes are the first T regions where there are any to learn from.
    """

    xyxy: Tensor
    features: Tensor
    true_xyxy: Tensor
    true_labels: Tensor


def solved(regions: Sequence[Regions], num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the weight (5 K, D) and bias (5 K,) of the layer that gives K margins, then four differences a class.

    Raises:
        SettingsError: scikit-learn is not installed.
    """
    scale = float(torch.cat([one.features for one in regions]).norm(dim=1).mean()) / NORM
    overlap = [_overlap(one, num_classes) for one in regions]
    svms = [_svm(*_examples(regions, overlap, k, scale)) for k in range(num_classes)]
    ridges = [_ridge(regions, k, scale) for k in range(num_classes)]
    weight = torch.cat([torch.stack([weight for weight, _ in svms]), *(weight.T for weight, _ in ridges)])
    bias = torch.cat([torch.stack([bias for _, bias in svms]), *(bias for _, bias in ridges)])
    return weight / scale, bias


def _overlap(regions: Regions, num_classes: int) -> Tensor:
    """The largest IoU (P, K) of each region with a true box of each class."""
    ious = iou(regions.xyxy, regions.true_xyxy)
    found = ious.new_zeros(len(ious), num_classes)
    for k in range(num_classes):
        of_class = ious[:, regions.true_labels == k]
        if of_class.shape[1]:
            found[:, k] = of_class.amax(1)
    return found


def _examples(regions: Sequence[Regions], overlap: Sequence[Tensor], label: int, scale: float) -> tuple[Tensor, Tensor]:
    """The regions that hold something of a class, true boxes among them, and those that are background for it."""
    right, wrong = [], []
    for one, ious in zip(regions, overlap, strict=True):
        right.append(one.features[ious[:, label] >= RIGHT_IOU])
        wrong.append(one.features[ious[:, label] < FREE_IOU])
    return torch.cat(right) / scale, torch.cat(wrong) / scale


def _svm(right: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (D,) and bias of one class: fitted to some of the negatives, then with the hard ones of all."""
    every = max(1, -(-len(wrong) // FIRST))
    some = wrong[::every]
    weight, bias = _fit_svm(right, some)
    if every == 1:
        return weight, bias
    hard = wrong[wrong @ weight + bias > HARD]
    return _fit_svm(right, torch.cat([some[some @ weight + bias <= HARD], hard]))


def _fit_svm(right: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    if not len(right) or not len(wrong):  # of a class that is nowhere, or everywhere
        return torch.zeros(right.shape[1]), torch.tensor(1.0 if len(right) else -1.0)
    svm = _sklearn("svm").LinearSVC(C=SVM_C, intercept_scaling=10.0, random_state=0, max_iter=5000)
    svm.fit(torch.cat([right, wrong]).numpy(), np.repeat([1, -1], [len(right), len(wrong)]))
    return torch.from_numpy(svm.coef_[0]).float(), torch.tensor(float(svm.intercept_[0]))


def _ridge(regions: Sequence[Regions], label: int, scale: float) -> tuple[Tensor, Tensor]:
    """Weights (D, 4) and biases (4,) from features to the true box's difference; zeros where there is none to learn."""
    features, deltas = [], []
    for one in regions:
        true = one.true_xyxy[one.true_labels == label]
        if len(true):
            best, row = iou(one.xyxy, true).max(1)
            near = best >= NEAR_IOU
            features.append(one.features[near] / scale)
            deltas.append(encode(true[row[near]], one.xyxy[near]))
    width = regions[0].features.shape[1]
    if not features:
        return torch.zeros(width, 4), torch.zeros(4)
    ridge = _sklearn("linear_model").Ridge(alpha=RIDGE).fit(torch.cat(features).numpy(), torch.cat(deltas).numpy())
    return torch.from_numpy(ridge.coef_.T.copy()).float(), torch.from_numpy(ridge.intercept_).float()


def _sklearn(name: str) -> Any:
    try:
        return importlib.import_module(f"sklearn.{name}")
    except ImportError:
        what = "R-CNN learns by scikit-learn, which is not installed"
        raise SettingsError(what, fix='pip install "striate[detect]"') from None


class RegionTraining(ProbeTraining):
    """Takes the features of all regions once, and solves the last layer on those of training images."""

    def train(self, interrupt: Interrupt | None = None, state: object = None) -> str:
        """Solve the layer and return how it ended.

        Raises:
            Interrupted: a signal came.
        """
        start_s, task, body = time.perf_counter(), self.train_data.task, self.body
        assert isinstance(task, Detect)
        train = take(body, self.train_data, "train", self.progress)
        val = take(body, self.prepared, "val", self.progress)
        if interrupt is not None and interrupt.signal_number is not None:
            raise Interrupted("stopped; features are kept", signal_number=interrupt.signal_number)
        weight, bias = solved(list(_regions(train)), len(task.names))
        (name,) = (name for name, parameter in body.head.state_dict().items() if parameter.ndim > 1)
        state = {name: weight, name.replace("weight", "bias"): bias}
        self.best = body.whole_with(state)
        self.network.load_state_dict(self.best)
        head, plain = body.head_with(state), autocast(self.prepared.device, "float32")
        scores = {split: quick_scores(head, task, part, plain) for split, part in (("train", train), ("val", val))}
        self.position.epoch, self.position.step = 1, 1
        self.position.time_s = time.perf_counter() - start_s
        self.stop.is_better(scores["val"][task.monitor], scores["val"]["loss"], 1)
        row = {"weight_decay": RIDGE, **scores, "is_best": True}
        self._record(f"SVMs and regressions of {len(train.regions.values):,} regions", row, len(train.index))
        return "finished"


def _regions(found: RegionFeatures) -> Iterator[Regions]:
    """What is learnt of each image: its true boxes, crowds left out, then the regions."""
    given, true = found.regions, found.truth
    columns = given, given.of(FEATURES), true, true.of(FEATURES), true.of("labels"), true.of("crowd")
    for boxes, features, things, of_things, labels, is_crowd in zip(*columns, strict=True):
        things, of_things, labels = (column[~is_crowd] for column in (things, of_things, labels))
        xyxy = torch.cat([things.float(), boxes.float()])
        yield Regions(xyxy, torch.cat([of_things, features]).float(), things.float(), labels)


def training_of(task: Task) -> type[ProbeTraining]:
    """Return what solves the last layer for a task: on features of regions, or of images."""
    return RegionTraining if sees_regions(task) else ProbeTraining
