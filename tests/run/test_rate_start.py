"""The rate finder looks at the network that a run would train: its weights, and layers made from the images."""

import numpy as np
import torch

from striate.run import rate
from striate.run.execute import train
from striate.run.rate import find_rate
from striate.run.recipe import named


def test_it_starts_from_the_weights_that_the_recipe_names(tiny, quiet, recipe, tmp_path):
    run = train(tiny, "bipyramid", recipe.changed(["train.epochs=12"]), out=tmp_path / "run", progress=quiet)
    again = named("baseline").changed([f"transfer.weights={run.path}", "train.batch_size=16"])
    whole = named("baseline").changed(["train.batch_size=16"])
    options = {"low": 1e-7, "high": 1.0, "num_steps": 40, "progress": quiet}
    known, fresh = (find_rate(tiny, "bipyramid", one, **options) for one in (again, whole))
    assert np.mean(known.losses[:8]) < 0.8 * np.mean(fresh.losses[:8])


def test_a_whitening_layer_has_seen_the_images(tiny, quiet, monkeypatch):
    seen = []
    monkeypatch.setattr(rate, "make_update", lambda prepared, network, *_, **__: seen.append(network))
    monkeypatch.setattr(rate, "range_test", lambda *_, **__: None)
    find_rate(tiny, "airbench", named("fast-small").changed(["model.width=4"]), progress=quiet)
    filters = seen[0].rows["whiten"].weight.detach().flatten(1)[:12]
    assert not torch.equal(filters, torch.eye(12))
