"""The kernels on the page are those of the network's state, and before training those that the run began with."""

import json
from urllib.request import urlopen

import numpy as np
import pytest
from chromium import opened, ready
from explore_site import serving
from typer.testing import CliRunner

from striate.base.rundir import RunDir
from striate.cli.app import app
from striate.cli.explore import _network
from striate.explore.wire import unpack
from striate.explore.workspace import Subject, Workspace
from striate.predict import Predictor

BARELY = ["--set", "train.epochs=1", "--set", "train.lr=1e-9"]  # weights stay where they began


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    few = ["--limit", "train=16,val=8,test=8", "--seed", "7", "--out", str(path)]
    done = CliRunner().invoke(app, ["train", "toy:shapes", "--model", "lenet5", *few, *BARELY])
    assert done.exit_code == 0, done.output
    return RunDir(path)


@pytest.fixture(scope="module")
def served(trained):
    space = Workspace.of([Subject.of_run(trained), _network("mobilenet_v2", "32"), _network("mlp", None)], "three")
    with serving(space) as site:
        yield site, list(space.subjects)
    space.close()


def arrays(site, path):
    with urlopen(site.url + path) as answer:
        return unpack(answer.read())


def test_values_are_the_state_s_and_the_start_is_the_run_s(served, trained):
    site, (model, *_) = served
    with urlopen(f"{site.url}api/models/{model}/filters") as answer:
        layers = json.load(answer)
    state = {key: value.numpy() for key, value in Predictor.load(trained).network.state_dict().items()}
    assert layers["has_before"]
    for layer in layers["layers"]:
        head, found = arrays(site, f"api/models/{model}/filters/page?layer={layer['name']}")
        own = next(one for one in state.values() if one.ndim == 4 and np.array_equal(one[:64, :16], found["weights"]))
        assert head["shape"] == list(own.shape)
        np.testing.assert_allclose(found["norms"], np.sqrt((own.astype(np.float64) ** 2).sum((1, 2, 3))), rtol=1e-6)
        np.testing.assert_allclose(found["before"], own[:64, :16], atol=1e-5)
        assert found["change"].max() < 1e-4
        flat = own.reshape(len(own), -1)
        cosine = np.atleast_2d(np.corrcoef(np.concatenate([flat, -flat], 1)))  # means are 0, so that it is the cosine
        np.testing.assert_allclose(found["similarity"], cosine, atol=1e-5)


def test_the_page_writes_the_kernel_s_own_numbers(browser, served, trained):
    site, (model, *_) = served
    state = Predictor.load(trained).network.state_dict()
    kernel = next(one for one in state.values() if one.ndim == 4)[3].numpy()
    with opened(browser, site, f"#view=filters&model={model}&kernel=3") as page:
        numbers = "cells => cells.map((cell) => Number(cell.textContent.replace('−', '-')))"
        told = page.eval_on_selector_all(".inspector section:first-of-type .weights span", numbers)
        assert told == pytest.approx(kernel[:3].ravel().tolist(), rel=5e-3)
        page.keyboard.press(".")
        ready(page)
        assert "kernel=4" in page.url
        page.select_option("select", index=1)
        ready(page)
        assert page.locator("[role=option]").count() > 1
        page.click("button:has-text('Before training')")
        ready(page)
        assert page.locator("button[aria-pressed=true]:has-text('Before training')").count() == 1


def test_pages_of_many_kernels_and_a_network_without_any(browser, served):
    site, (_, wide, none) = served
    with opened(browser, site, f"#view=filters&model={wide}&layer=head&from=64") as page:
        assert page.locator("[data-kernel]").count() in {64, 32}
        assert page.locator("button:has-text('Before training')").count() in {0, 1}
    with opened(browser, site, f"#view=filters&model={none}") as page:
        assert "no convolution" in page.inner_text("main")
