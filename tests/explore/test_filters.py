"""The kernels on the page are those of the network's state, and before training those that the run began with."""

import json
from urllib.request import urlopen

import numpy as np
import pytest
from explore_states import RUN

from striate.explore.shelf import id_of
from striate.predict import Predictor
from striate.web.wire import unpack


@pytest.fixture(scope="module")
def trained(stage):
    return stage.large.workspace.subjects[RUN].run


def arrays(site, path):
    with urlopen(site.url + path) as answer:
        return unpack(answer.read())


def test_values_are_the_state_s_and_the_start_is_the_run_s(stage, trained):
    site = stage.large
    with urlopen(f"{site.url}api/models/{RUN}/filters") as answer:
        layers = json.load(answer)
    state = {key: value.numpy() for key, value in Predictor.load(trained).network.state_dict().items()}
    assert layers["has_before"]
    for layer in layers["layers"]:
        head, found = arrays(site, f"api/models/{RUN}/filters/page?layer={layer['name']}")
        own = next(one for one in state.values() if one.ndim == 4 and np.array_equal(one[:64, :16], found["weights"]))
        assert head["shape"] == list(own.shape)
        np.testing.assert_allclose(found["norms"], np.sqrt((own.astype(np.float64) ** 2).sum((1, 2, 3))), rtol=1e-6)
        np.testing.assert_allclose(found["before"], own[:64, :16], atol=1e-5)
        assert found["change"].max() < 1e-4
        flat = own.reshape(len(own), -1)
        cosine = np.atleast_2d(np.corrcoef(np.concatenate([flat, -flat], 1)))  # means are 0, so that it is the cosine
        np.testing.assert_allclose(found["similarity"], cosine, atol=1e-5)


def test_the_page_writes_the_kernel_s_own_numbers(large, trained):
    state = Predictor.load(trained).network.state_dict()
    kernel = next(one for one in state.values() if one.ndim == 4)[3].numpy()
    page = large.open(f"#view=filters&model={RUN}&kernel=3")
    numbers = "cells => cells.map((cell) => Number(cell.textContent.replace('−', '-')))"
    told = page.eval_on_selector_all(".inspector section:first-of-type .weights span", numbers)
    assert told == pytest.approx(kernel[:3].ravel().tolist(), rel=5e-3)
    page.keyboard.press(".")
    large.ready()
    assert "kernel=4" in page.url
    page.select_option("select", index=1)
    large.ready()
    assert page.locator("[role=option]").count() > 1
    page.click("button:has-text('Before training')")
    large.ready()
    assert page.locator("button[aria-pressed=true]:has-text('Before training')").count() == 1


def test_pages_of_many_kernels_and_a_network_without_any(large):
    page = large.open(f"#view=filters&model={id_of('model', 'mobilenet_v2')}&layer=head&from=64")
    assert page.locator("[data-kernel]").count() in {64, 32}
    assert page.locator("button:has-text('Before training')").count() in {0, 1}
    page = large.open(f"#view=filters&model={id_of('model', 'mlp')}")
    assert "no convolution" in page.inner_text("main")
