"""The validation split alone decides when to stop and which epoch is kept, and its images are never augmented."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from striate.base.rundir import RunDir
from striate.base.tensors import read_tensors
from striate.data.augment.pipeline import Op
from striate.run.execute import train
from striate.run.finish import _plain_loader
from striate.run.prepare import prepare
from striate.run.recipe import named
from striate.run.training import Training

KINDS = {kind.model_fields["kind"].default: kind for kind in get_args(get_args(Op)[0])}
KINDS.pop("mosaic")  # which is for boxes


def relabelled(dataset, split, to):
    """The dataset whose labels of one split are others."""
    target = dataset.targets["label"]
    values = target.values.copy()
    values[dataset.splits[split]] = to(values[dataset.splits[split]])
    return replace(dataset, targets={"label": replace(target, values=values)})


def told(dataset, folder, quiet):
    """Train for six epochs with a patience of two; return epochs, best epoch, weights and validation scores."""
    settings = ["train.epochs=6", "train.patience=2", "train.batch_size=16", "train.lr=1e-2", "train.ema=0"]
    recipe = named("baseline").changed([*settings, "train.precision=float32", "model.width=8", "model.depth=1"])
    run = train(dataset, model="mlp", recipe=recipe, out=folder, device="cpu", progress=quiet)
    weights = {name: tensor.numpy() for name, tensor in read_tensors(run.weights).items()}
    result = run.info()["result"]
    return result["epochs"], result["best_epoch"], weights, [row["val"] for row in run.history()]


def wrong(labels):
    return (labels + 1) % 3


def test_the_test_split_decides_neither_the_best_epoch_nor_the_stop(tiny, quiet, tmp_path):
    epochs, best, weights, val = told(relabelled(tiny, "test", lambda labels: labels), tmp_path / "right", quiet)
    assert (epochs, best) == (6, 6), "each epoch is better on validation, and none is on a test split that is wrong"
    found = told(relabelled(tiny, "test", wrong), tmp_path / "wrong", quiet)
    assert (epochs, best, val) == (found[0], found[1], found[3])
    assert all(np.array_equal(weights[name], found[2][name]) for name in weights)


def test_the_validation_split_decides_both(tiny, quiet, tmp_path):
    epochs, best, _, val = told(relabelled(tiny, "val", wrong), tmp_path / "run", quiet)
    ranks = [(-row["accuracy"], row["loss"]) for row in val]
    assert best == ranks.index(min(ranks)) + 1 < 4
    assert epochs == best + 2


@pytest.mark.parametrize("kind", KINDS)
def test_scored_images_are_plain_whatever_training_does(tiny, quiet, tmp_path, kind):
    operation = KINDS[kind](**({"p": 1.0} if "p" in KINDS[kind].model_fields else {}))
    recipe = named("baseline").changed(["data.margin=1"]).model_copy(update={"augment": (operation,)})
    prepared = prepare(tiny, recipe, target="label", device=torch.device("cpu"), progress=quiet)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 3, 3))
    options = {"seed": 0, "precision": "float32", "progress": quiet, "fixed": {}}
    training = Training(RunDir(tmp_path), prepared, network, **options)
    scored = {"val": training.val_loader} | {f"{split} again": _plain_loader(prepared, split) for split in tiny.splits}
    for name, loader in scored.items():
        assert not num_changed(tiny, prepared, loader), name
    assert num_changed(tiny, prepared, training.loader), "the operation does nothing to these images"


def num_changed(dataset, prepared, loader):
    """How many images of an epoch are not the decoded ones, with the mean and std of training taken out."""
    num = 0
    for batch in loader.batches(1):
        for index, image in zip(batch.index, batch.images, strict=True):
            pixels = (dataset.images.read(int(index)) / 255 - prepared.mean) / prepared.std
            num += not np.allclose(image.permute(1, 2, 0), pixels, atol=1e-5)
    return num
