"""R-CNN: every proposed region is warped to one size and run through a network alone; linear models do the rest.

A linear SVM a class says what a region holds, learnt from true boxes against regions that hardly overlap one, the
hardest of them found in a second round; a ridge regression a class moves its box. Slow, and the measure of what came
after: Fast R-CNN runs the network once an image.

Reference: Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", CVPR
2014. P regions, D features, K classes, N images, M detections.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.errors import SettingsError
from striate.data.geometry import coloured
from striate.data.sample import ImageU8
from striate.nn.boxes import class_nms, clip, decode, encode, iou

from .features import Body

Extract = Callable[[npt.NDArray[np.uint8]], Tensor]  # crops (P, S, S, 3) -> features (P, D)
CONTEXT = 16 / 227  # of a crop's side, around the box at each border
CROPS = 64  # that the network gets at once
FREE_IOU, NEAR_IOU = 0.3, 0.6  # below it a region is background for a class; from it its box is learnt from
SVM_C, RIDGE, HARD = 1e-3, 1000.0, -1.0  # as in the paper: C, strength, margin from which a negative is hard
FIRST, NMS, MOST = 20_000, 0.3, 100  # negatives of the first round; IoU of suppression; detections an image


def crops(image_u8: ImageU8, xyxy: npt.NDArray[np.floating], size_px: int) -> npt.NDArray[np.uint8]:
    """Return regions (P, S, S, 3) of an image, each with some context, warped; the image's mean beyond its border."""
    import cv2

    image = coloured(image_u8, 3)
    grown = grow(xyxy, CONTEXT / (1 - 2 * CONTEXT))
    left, top = np.floor(np.minimum(grown[:, :2].min(0, initial=0), 0)).astype(int)
    right, bottom = np.ceil(np.maximum(grown[:, 2:].max(0, initial=0), image.shape[1::-1])).astype(int)
    borders = (-top, bottom - image.shape[0], -left, right - image.shape[1])
    whole = cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=image.mean((0, 1)).tolist())
    found = np.empty((len(grown), size_px, size_px, 3), np.uint8)
    for row, box in enumerate(np.rint(grown - [left, top, left, top]).astype(int)):
        x0, y0, x1, y1 = box
        region = whole[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        way = cv2.INTER_AREA if min(region.shape[:2]) > size_px else cv2.INTER_LINEAR
        found[row] = cv2.resize(region, (size_px, size_px), interpolation=way)
    return found


def grow(xyxy: npt.NDArray[np.floating], share: float) -> npt.NDArray[np.float64]:
    """Return boxes (P, 4) that reach further at each border by a share of their sides."""
    more = (xyxy[:, 2:] - xyxy[:, :2]) * share
    return np.concatenate([xyxy[:, :2] - more, xyxy[:, 2:] + more], 1).astype(np.float64)


def extractor(body: Body, mean: Sequence[float], std: Sequence[float]) -> Extract:
    """Return what takes the features of crops from a network without its head.

    Args:
        mean, std: of the channels, for values 0..1.
    """
    centre, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))

    def extract(pixels: npt.NDArray[np.uint8]) -> Tensor:
        parts = []
        for some in torch.from_numpy(pixels).split(CROPS):
            images = (some.permute(0, 3, 1, 2).float() / 255 - centre) / spread
            parts.append(body.features(images.contiguous(memory_format=torch.channels_last)))
        return torch.cat(parts) if parts else torch.zeros(0, 1)

    return extract


@dataclass(frozen=True)
class Regions:
    """The regions of one image: boxes (P, 4), features (P, D), and its true boxes (T, 4) with labels (T,).

    The true boxes are the first T regions where there are any to learn from.
    """

    xyxy: Tensor
    features: Tensor
    true_xyxy: Tensor
    true_labels: Tensor


def regions_of(
    image_u8: ImageU8, proposals: npt.NDArray[np.float32], extract: Extract, size_px: int,
    true_xyxy: npt.NDArray[np.float32] | None = None, true_labels: npt.NDArray[np.int64] | None = None,
) -> Regions:  # fmt: skip
    """Return the regions of an image; to learn from with its true boxes, to detect without."""
    true = np.zeros((0, 4), np.float32) if true_xyxy is None else true_xyxy
    labels = np.zeros(0, np.int64) if true_labels is None else true_labels
    xyxy = np.concatenate([true, proposals])
    features = extract(crops(image_u8, xyxy, size_px))
    return Regions(torch.from_numpy(xyxy), features, torch.from_numpy(true), torch.from_numpy(labels))


@dataclass(frozen=True)
class RCNN:
    """The linear models on features: scores (D, K) and box differences (D, K, 4), each with a bias.

    Features are divided by `scale`, the paper's way to one C for all networks: their mean norm becomes 20.
    """

    scale: float
    classes: Tensor
    class_bias: Tensor
    boxes: Tensor
    box_bias: Tensor

    @classmethod
    def fit(cls, regions: Sequence[Regions], num_classes: int) -> "RCNN":
        """Learn from the regions of the training images.

        Raises:
            SettingsError: scikit-learn is not installed.
        """
        norms = torch.cat([one.features for one in regions]).norm(dim=1)
        scale = float(norms.mean()) / 20
        overlap = [_overlap(one, num_classes) for one in regions]
        svms = [_svm(*_examples(regions, overlap, k, scale)) for k in range(num_classes)]
        ridges = [_ridge(regions, k, scale) for k in range(num_classes)]
        weights, biases = (torch.stack(column) for column in zip(*svms, strict=True))
        moves, offsets = (torch.stack(column) for column in zip(*ridges, strict=True))
        return cls(scale, weights.T, biases, moves.permute(1, 0, 2), offsets)

    def detect(self, regions: Regions, size_hw: tuple[int, int], max_iou: float = NMS, most: int = MOST) -> Tensor:
        """Return the detections (M, 6) of an image by falling score: label, score, x0, y0, x1, y1.

        A score is 1 / (1 + exp(-margin)) of the SVM: it orders, and is no probability.
        """
        features, num = regions.features / self.scale, self.classes.shape[1]
        margins = features @ self.classes + self.class_bias
        deltas = torch.einsum("pd,dkc->pkc", features, self.boxes) + self.box_bias
        boxes = clip(decode(deltas, regions.xyxy[:, None].expand(-1, num, -1)), size_hw).flatten(0, 1)
        scores, labels = margins.sigmoid().flatten(), torch.arange(num).repeat(len(margins))
        kept = class_nms(boxes, scores, labels, max_iou)[:most]
        return torch.cat([labels[kept, None].float(), scores[kept, None], boxes[kept]], 1)


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
    """The true boxes of a class, and the regions that are background for it."""
    right = [one.features[: len(one.true_labels)][one.true_labels == label] for one in regions]
    wrong = [one.features[ious[:, label] < FREE_IOU] for one, ious in zip(regions, overlap, strict=True)]
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
    import importlib

    try:
        return importlib.import_module(f"sklearn.{name}")
    except ImportError:
        what = "R-CNN learns by scikit-learn, which is not installed"
        raise SettingsError(what, fix='pip install "striate[detect]"') from None
