"""Remedies against overfitting and imbalance, each pair of them together on separable, imbalanced data.

Each alone learns the data, so a pair that does not has a mistake where the two meet. The right answer is known: the
images of each class are apart by far more than their noise.
"""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from striate.data.sample import Dataset
from striate.data.sources.arrays import ArrayImages
from striate.data.target import Label, Tags
from striate.engine.precision import autocast
from striate.evaluate.run import quick_scores
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.run.training import make_update, training_data
from striate.transfer.stages import stages

NUM, RARE = 168, 12
REMEDIES = {
    "smoothing": ["train.label_smoothing=0.1"],
    "weights": ["data.balance=weights"],
    "sampling": ["data.balance=sampling"],
    "mixup": [],
    "cutmix": [],
    "label noise": ["train.label_noise=0.1"],
}
MIXING = {"mixup": {"kind": "mixup"}, "cutmix": {"kind": "cutmix", "p": 0.5}}
PAIRS = [pair for pair in combinations(REMEDIES, 2) if pair != ("weights", "sampling")]  # values of one setting


@pytest.fixture(scope="module")
def imbalanced() -> Dataset:
    """Images of 8 px; a class (or a tag) is a bright quarter of the image, and one of two is rare."""
    rng = np.random.default_rng(0)
    labels = np.zeros(2 * NUM, np.int64)
    labels[:: NUM // RARE] = 1
    images = rng.integers(0, 90, (2 * NUM, 8, 8, 1))
    images[labels == 0, :4, :4] += 130
    images[labels == 1, 4:, 4:] += 130
    tags = np.stack([labels == 0, labels == 1], 1).astype(np.uint8)
    targets = {"label": Label(labels, ("common", "rare")), "tags": Tags(tags, ("common", "rare"))}
    order = np.arange(2 * NUM)
    splits = {"train": order[:NUM], "val": order[NUM:]}
    ids = tuple(f"{index}.png" for index in order)
    return Dataset("imbalanced", "", ArrayImages(images.astype(np.uint8)), ids, targets, splits, 1)


def score(dataset, target, remedies, quiet) -> float:
    """Share of right validation images after training a linear network; of tags, images whose tags are all right."""
    changes = [change for name in remedies for change in REMEDIES[name]]
    recipe = named("baseline").changed(
        [
            *changes,
            "train.lr=0.03",
            "train.epochs=12",
            "train.batch_size=32",
            "train.precision=float32",
            "data.margin=1",
        ]
    )
    mixing = [MIXING[name] for name in remedies if name in MIXING]
    recipe = recipe.parse({**recipe.model_dump(mode="json"), "augment": mixing})
    prepared = prepare(dataset, recipe, target=target, device=torch.device("cpu"), progress=quiet)
    noisy = training_data(prepared, 0)
    torch.manual_seed(0)
    network = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 2))  # too few numbers to learn noise by heart
    loader = noisy.loader("train", seed=0, is_training=True)
    stage = stages(recipe.train, 12)[0]
    update, step = make_update(noisy, network, "float32", stage, steps_per_epoch=len(loader)), 0
    for epoch in range(12):
        for batch in loader.batches(epoch):
            update(batch, step)
            step += 1
    found = quick_scores(network, prepared.task, prepared.loader("val"), autocast(torch.device("cpu"), "float32"))
    return found["accuracy" if target == "label" else "exact_match"]


@pytest.mark.parametrize("target", ["label", "tags"])
@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_no_pair_is_worse_than_its_parts(imbalanced, quiet, target, pair):
    assert score(imbalanced, target, pair, quiet) >= 0.97
