"""What a run shows from Python, against its own state, plain torch, and the network that training began with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from striate.api import Run
from striate.base.device import pick
from striate.base.errors import ModelError
from striate.predict import Predictor
from striate.run.execute import train
from striate.run.inside import initial_network
from striate.run.network import start_network
from striate.run.prepare import prepare


@pytest.fixture
def run(tiny, recipe, tmp_path, quiet):
    short = recipe.changed(["train.epochs=1"])
    return Run(train(tiny, "bipyramid", short, target="label", out=tmp_path / "run", seed=3, progress=quiet))


@pytest.fixture
def image(tiny):
    return tiny.images.read(5)


def test_the_initial_network_is_what_training_started_from(run, tiny, recipe, quiet):
    prepared = prepare(tiny, recipe, target="label", device=pick("cpu"), progress=quiet)
    began = start_network("bipyramid", prepared, 3).state_dict()
    found = initial_network(run.folder).state_dict()
    assert found.keys() == began.keys()
    assert all(torch.equal(value, began[name]) for name, value in found.items())
    (after,), (before,) = run.filters(), run.filters(initial=True)
    assert np.array_equal(before.weights, began["rows.conv1.conv.weight"].numpy())
    assert (after.change(before) > 0).all()
    assert after.figure().axes


def test_a_run_that_started_from_weights_has_no_initial_network(run, tiny, recipe, tmp_path, quiet):
    weights = recipe.changed(["train.epochs=1", f"transfer.weights={run.path}"])
    later = train(tiny, "bipyramid", weights, target="label", out=tmp_path / "later", progress=quiet)
    with pytest.raises(ModelError, match="started from weights"):
        initial_network(later)


def test_maps_and_fields_are_those_of_the_image(run, image):
    predictor = Predictor.load(run.folder)
    inputs = predictor.inputs([predictor.fitted(image)])
    with torch.no_grad():
        expected = predictor.network.features(inputs, at="conv2")["conv2"][0].numpy()
    maps = run.maps(image)
    assert np.allclose(maps["conv2"], expected, atol=1e-5)
    assert len(maps.figure("conv2").axes) == len(expected)
    field = run.receptive_field(image, "conv2")
    assert field.seen.shape == (16, 16, 3)
    assert np.allclose(field.seen, image / 255, atol=0.01)
    assert field.figure().axes


def test_an_attack_stays_within_eps_and_reaches_its_target(run, image):
    found = run.adversarial(image, 0.3, method="pgd", steps=20)
    assert np.abs(found.after - found.before).max() <= 0.3 + 1e-6
    assert found.is_flipped
    assert found.answer.names == run.predict([image])[0].names
    assert np.allclose(
        list(found.answer.probabilities.values()), list(run.predict([image])[0].probabilities.values()), atol=1e-5
    )
    other = next(name for name in ("top", "middle", "bottom") if name not in found.answer.names)
    aimed = run.adversarial(image, 0.5, method="pgd", steps=40, target=other)
    assert aimed.answer_after.names == (other,)
    assert len(aimed.figure().axes) == 3
    small = run.flips(image, [0, 0.1, 0.3, 0.6])
    assert small.smallest in {0.1, 0.3, 0.6, None}


def test_what_a_class_wants_to_see_raises_its_output(run, image):
    found = run.preferred("middle", steps=40)
    predictor = Predictor.load(run.folder)
    inputs = predictor.inputs([predictor.fitted(image)])
    with torch.no_grad():
        value = float(predictor.network(inputs)[0, 1])
    assert found.value > value
    assert found.figure().axes


def test_numbers_are_moved_and_never_flip(tiny, recipe, tmp_path, quiet, image):
    short = recipe.changed(["train.epochs=1"])
    run = Run(train(replace(tiny), "bipyramid", short, target="place", out=tmp_path / "run", progress=quiet))
    found = run.adversarial(image, 0.1)
    assert found.answer_after.values[0] < found.answer.values[0]
    assert not found.is_flipped


def test_tags_are_attacked_too(tiny, recipe, tmp_path, quiet, image):
    short = recipe.changed(["train.epochs=1"])
    run = Run(train(tiny, "bipyramid", short, target="tags", out=tmp_path / "run", progress=quiet))
    found = run.adversarial(image, 0.5, method="pgd", steps=40)
    assert found.is_flipped
