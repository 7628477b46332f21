"""The exported page: one file, without a server or a network, whose numbers are PyTorch's."""

from itertools import count

import numpy as np
import pytest
import torch
from torch import nn
from trace_networks import make
from typer.testing import CliRunner

from striate.cli.app import app
from striate.data.geometry import Geometry
from striate.explore.export import export
from striate.explore.shelf import Shelf
from striate.explore.steps import ALL, Sampling, steps_of
from striate.inside.trace import as_maps, trace
from striate.predict import Predictor
from striate.task import from_json

SMALL = Sampling(2, 3, 5)
PROBES = 20
TURNS = count()  # so that no address comes twice in a row


class Answering(nn.Module):
    """A network of maps or numbers, made to answer with a vector."""

    def __init__(self, body, outputs):
        super().__init__()
        self.body, self.head = body, nn.LazyLinear(outputs)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


def predictor_of(name, size=(16, 16)):
    torch.manual_seed(1)
    network = Answering(make(name), 3).eval()
    network(torch.zeros(1, 3, *size))
    names = ["<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "three\u2028"]
    task = from_json({"name": "classify", "target": "class", "names": names})
    return Predictor(
        network, task, Geometry(size, "crop", margin=1.0, channels=3), [0.5] * 3, [0.25] * 3, temperature=1.5
    )


@pytest.fixture(scope="module")
def shelf():
    shelf = Shelf()
    yield shelf
    shelf.close()


def opened(browser, path):
    """The page of a file, with the network off; what goes wrong is collected."""
    context = browser.new_context(offline=True)
    page, problems = context.new_page(), []
    page.on("console", lambda one: problems.append(one.text))
    page.on("pageerror", lambda one: problems.append(str(one)))
    page.on("dialog", lambda one: problems.append("dialog"))
    page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else problems.append(one.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    return page, problems


def told(page, **state):
    """What the page says at a place: its sum and the network's number."""
    hash_ = "&".join(f"{name}={value}" for name, value in {**state, "turn": next(TURNS)}.items())
    page.evaluate("(to) => { document.documentElement.dataset.ready = 'no'; location.hash = to; }", hash_)
    page.wait_for_selector("html[data-ready=yes]")
    return page.evaluate("""() => ({
      stored: Number(document.querySelector("[data-stored]")?.dataset.stored ?? NaN),
      total: Number(document.querySelector("[data-total]")?.dataset.total ?? NaN),
      at: document.querySelector(".ex-at").textContent,
    })""")


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise"])
@pytest.mark.parametrize("sampling", [ALL, SMALL], ids=["whole", "sampled"])
def test_every_sum_on_the_page_is_the_network_s(browser, shelf, tmp_path, monkeypatch, name, sampling):
    monkeypatch.setattr("striate.explore.export.LEVELS", (sampling,))
    predictor = predictor_of(name)
    entries = shelf.patterns[:2]
    path = tmp_path / "page.html"
    path.write_text(export(predictor, entries, name), "utf-8")
    found = [trace(predictor.network, predictor.inputs([predictor.fitted(one.path)])) for one in entries]
    steps = steps_of(found[0], sampling)
    page, problems = opened(browser, path)
    rng = np.random.default_rng(3)
    for _ in range(PROBES):
        image, at = int(rng.integers(2)), int(rng.integers(len(steps)))
        step = steps[at]
        maps = as_maps(found[image].operations[step.operation.index].output)
        height, width = (
            len(range(*part.indices(side))) for part, side in zip(step.window, maps.shape[1:], strict=True)
        )
        kept, y, x = int(rng.integers(len(step.maps))), int(rng.integers(height)), int(rng.integers(width))
        y, x = y + step.window[0].start, x + step.window[1].start
        answer = told(page, image=image, step=at, map=kept, y=y, x=x)
        stored = float(maps[step.maps[kept], y, x])
        assert answer["at"].startswith(f"output[{step.maps[kept]}, {y}, {x}]")
        if step.kind != "map":
            assert answer["stored"] == stored
            assert answer["total"] == pytest.approx(stored, rel=1e-5, abs=1e-5 * float(np.abs(maps).max() + 1))
    assert ("Sampled to fit" in page.inner_text("header")) == (sampling is SMALL)
    assert problems == []
    page.context.close()


def test_softmax_is_the_prediction_s(browser, shelf, tmp_path):
    predictor = predictor_of("plain")
    path = tmp_path / "page.html"
    path.write_text(export(predictor, shelf.patterns[:1], "plain"), "utf-8")
    page, problems = opened(browser, path)
    told(page, step=999)
    texts = page.eval_on_selector_all(
        "tbody tr", "rows => rows.map((row) => [row.cells[0].textContent, Number(row.cells[4].dataset.total)])"
    )
    (answer,) = predictor([shelf.patterns[0].path])
    assert dict(texts) == pytest.approx(answer.probabilities, rel=1e-5)
    assert page.locator("img[onerror], script:not([type])").count() == 0
    assert problems == []
    page.context.close()


def test_the_page_fits_its_limit_and_says_how(shelf):
    predictor = predictor_of("residual", (32, 32))
    whole = export(predictor, shelf.patterns[:3], "residual")
    cap = len(whole.encode()) * 2 // 3
    sampled = export(predictor, shelf.patterns[:3], "residual", max_bytes=cap)
    assert len(sampled.encode()) <= cap
    assert "Sampled to fit into one file" in sampled
    assert "Sampled" not in whole


def test_the_command_writes_the_page_and_replaces_it_only_when_asked(browser, tmp_path):
    path = tmp_path / "page.html"
    arguments = ["explore", "lenet5", "--export", str(path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert path.stat().st_size < 5_000_000
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code
    page, problems = opened(browser, path)
    assert page.locator("button.ex-step").count() > 10
    page.keyboard.press("]")
    assert "step=1" in page.url
    assert problems == []
    page.context.close()
