"""The network of airbench in a run: its first layer is made from the run's own training images."""

import numpy as np
import torch

from striate.predict.weights import load_weights
from striate.run.execute import train
from striate.run.network import build_network
from striate.run.prepare import prepare
from striate.run.recipe import named

FAST = ["train.epochs=2", "train.batch_size=20", "model.width=4"]


def test_the_first_layer_whitens_the_training_images_as_the_network_sees_them(tiny, quiet, tmp_path):
    recipe = named("fast-small").changed(FAST)
    run = train(tiny, "airbench", recipe, out=tmp_path / "run", progress=quiet)
    pixels = np.stack([tiny.images.read(int(index)) for index in tiny.splits["train"]]) / 255.0
    pixels = (pixels - run.info()["input"]["mean"]) / run.info()["input"]["std"]
    corners = [pixels[:, y : y + 15, x : x + 15, c] for c in range(3) for y in range(2) for x in range(2)]
    patches = np.stack([corner.ravel() for corner in corners])
    prepared = prepare(tiny, recipe, target=None, device=torch.device("cpu"), progress=quiet)
    network = build_network("airbench", prepared, 0)
    load_weights(network, run)
    filters = network.rows["whiten"].weight.detach().flatten(1).double().numpy()
    white = filters[:12] @ patches
    np.testing.assert_allclose(white @ white.T / patches.shape[1], np.eye(12), atol=0.03)


def test_a_recipe_may_be_made_for_a_network(tiny, quiet, tmp_path):
    fast = named("fast-small").changed([*FAST, "train.epochs=1"])
    own = train(tiny, recipe=fast, out=tmp_path / "own", progress=quiet)
    assert own.info()["model"]["name"] == "airbench"
    other = train(tiny, "mlp", fast, out=tmp_path / "other", progress=quiet)
    assert other.info()["model"]["name"] == "mlp"
