"""AP of masks against faster-coco-eval on random masks, and where masks are not known."""

import numpy as np
import pytest
from tests.fixtures.coco_scores import coco_scores

from striate.base.runs import run_text, runs_of
from striate.metric import Answers
from striate.metric.box_ap import mask_metrics
from striate.metric.mask_matches import MASKS, NO_MASK, SIZE, TRUE_MASKS

SIDE = 120


def blob(rng: np.random.Generator, centre: np.ndarray, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:SIDE, :SIDE]
    turn = np.arctan2(yy - centre[1], xx - centre[0])
    limit = radius * (1 + 0.25 * np.sin(3 * turn + rng.random() * 6))
    return np.hypot(yy - centre[1], xx - centre[0]) < limit


def drawn(num_images: int, num_classes: int, seed: int):
    """Masks of objects, some near them and some anywhere, with classes, scores and crowds: (rows, masks) an image."""
    rng, truth, found = np.random.default_rng(seed), [], []
    for _ in range(num_images):
        num = int(rng.integers(0, 5))
        centres, radii = rng.uniform(15, SIDE - 15, (num, 2)), np.exp(rng.uniform(np.log(5), np.log(60), num))
        labels, crowds = rng.integers(0, num_classes, num), rng.random(num) < 0.1
        truth.append((np.column_stack([labels, crowds]),
                      [blob(rng, *pair) for pair in zip(centres, radii, strict=True)]))  # fmt: skip
        near = np.repeat(np.arange(num), rng.integers(0, 3, num))
        moved = centres[near] + rng.normal(0, 0.15, (len(near), 2)) * radii[near, None]
        kinds = np.where(rng.random(len(near)) < 0.85, labels[near], rng.integers(0, num_classes, len(near)))
        masks = [blob(rng, *pair) for pair in zip(moved, radii[near] * rng.uniform(0.8, 1.2, len(near)), strict=True)]
        masks.append(blob(rng, rng.uniform(0, SIDE, 2), 12))
        scores = rng.random(len(masks)).round(2)
        rows = np.column_stack([np.append(kinds, rng.integers(0, num_classes)), scores])
        order = np.argsort(-scores, kind="stable")
        found.append((rows[order], [masks[row] for row in order]))
    return truth, found


def ours(truth, found) -> Answers:
    most = max(len(rows) for rows, _ in [*truth, *found])
    true, given = np.full((len(truth), most, 7), np.nan), np.full((len(truth), most, 6), np.nan)
    texts = {MASKS: [], TRUE_MASKS: []}
    for index, ((true_rows, true_masks), (rows, masks)) in enumerate(zip(truth, found, strict=True)):
        true[index, : len(true_rows)] = 0
        true[index, : len(true_rows), [0, 5]] = true_rows.T
        given[index, : len(rows)] = 0
        given[index, : len(rows), :2] = rows
        for name, some in ((MASKS, masks), (TRUE_MASKS, true_masks)):
            texts[name].append(" ".join(run_text(runs_of(mask)) if mask.any() else NO_MASK for mask in some))
    records = {name: np.array(some, object) for name, some in texts.items()}
    return Answers(true, given, np.zeros(len(truth)), None, records | {SIZE: np.full((len(truth), 2), SIDE)})


def theirs(truth, found, num_classes: int) -> dict[str, float]:
    annotations, results = [], []
    for index, ((true_rows, true_masks), (rows, masks)) in enumerate(zip(truth, found, strict=True), 1):
        for (label, crowd), mask in zip(true_rows.tolist(), true_masks, strict=True):
            annotations.append({"id": len(annotations) + 1, "image_id": index, "category_id": int(label) + 1,
                                "segmentation": coded(mask), "area": float(mask.sum()), "iscrowd": int(crowd),
                                "bbox": [0, 0, 1, 1]})  # fmt: skip
        for (label, score), mask in zip(rows.tolist(), masks, strict=True):
            results.append({"image_id": index, "category_id": int(label) + 1, "score": score,
                            "segmentation": coded(mask)})  # fmt: skip
    scores = coco_scores(annotations, results, "segm", images=len(truth), classes=num_classes, side=SIDE)
    return dict(zip(("mask_ap", "mask_ap50", "mask_ap75"), scores[:3], strict=True))


def coded(mask: np.ndarray) -> dict[str, object]:
    api = pytest.importorskip("faster_coco_eval.core.mask")
    made = api.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(made["size"]), "counts": made["counts"].decode()}


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_faster_coco_eval(seed):
    truth, found = drawn(12, 3, seed)
    made, wanted = ours(truth, found), theirs(truth, found, 3)
    for metric in mask_metrics(3):
        assert metric.score(metric.records(made)) == pytest.approx(wanted[metric.key], abs=1e-9)
    assert 0.05 < wanted["mask_ap"] < 0.95


def test_images_whose_masks_are_not_known_count_for_nothing():
    truth, found = drawn(8, 2, 0)
    made, ap = ours(truth, found), mask_metrics(2)[0]
    made.records[MASKS][3:] = None
    alone = ours(truth[:3], found[:3])
    assert ap.score(ap.records(made)) == ap.score(ap.records(alone))
    nothing = Answers(made.truth, made.values, made.losses)
    assert ap.score(ap.records(nothing)) is None
    assert ap.records(nothing).shape == ap.records(made).shape
