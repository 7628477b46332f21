"""The views on why a network answers as it does show what `inside` and torch work out in this process."""

import numpy as np
import pytest
import torch
from explore_site import serving, subject_of

from striate.explore.wire import unpack
from striate.explore.workspace import Workspace
from striate.inside.explain import explain
from striate.inside.sanity import check

METHODS = ("gradient", "smoothgrad", "integrated", "gradcam")


@pytest.fixture(scope="module")
def place():
    with serving(Workspace.of([subject_of("plain"), subject_of("residual")], "why")) as found:
        yield found


@pytest.fixture(scope="module")
def page(browser, place):
    from explore_site import Watched

    found = Watched(browser, place)
    yield found
    found.close()


def subject(place, name="residual", image="spokes"):
    predictor = place.workspace.subjects[name].load()
    inputs = predictor.inputs([predictor.fitted(place.workspace.shelf.find(image).path)])
    return predictor, inputs


def got(place, path):
    import urllib.request

    with urllib.request.urlopen(place.url + path, timeout=20) as reply:
        return reply.read()


def number(text):
    return float(text.replace("−", "-"))


def test_the_maps_are_those_of_inside_and_torch(place):
    predictor, inputs = subject(place)
    for method in METHODS:
        head, arrays = unpack(got(place, f"api/why?model=residual&image=spokes&target=class%201&method={method}"))
        (own,) = explain(predictor.network, predictor.task, inputs, method=method, which="class 1")
        np.testing.assert_array_equal(arrays["map"], own.map)
        assert (head["target"], head["score_of"]) == ("class 1", "logit of class 1")
    leaf = inputs.clone().requires_grad_()
    predictor.network(leaf)[0, 1].backward()
    _, arrays = unpack(got(place, "api/why?model=residual&image=spokes&target=class%201&method=gradient"))
    np.testing.assert_allclose(arrays["map"], leaf.grad[0].abs().amax(0).numpy(), rtol=1e-4, atol=1e-7)


def test_a_pixel_s_numbers_the_score_and_the_gap_stand_on_the_page(place, page):
    predictor, inputs = subject(place)
    shown = page.open("#view=why&model=residual&image=spokes&target=class 2&y=3&x=9&steps=8")
    values = [number(text) for text in shown.locator(".inspector td.num").all_inner_texts()]
    own = [explain(predictor.network, predictor.task, inputs, method=name, which="class 2")[0] for name in METHODS]
    steps = explain(predictor.network, predictor.task, inputs, method="integrated", which="class 2", steps=8)[0]
    own[2] = steps
    assert values == pytest.approx([float(one.map[3, 9]) for one in own], rel=1e-3)
    with torch.no_grad():
        outputs, baseline = predictor.network(torch.cat([inputs, torch.zeros_like(inputs)]))
    assert float(shown.get_attribute("[data-score]", "data-score")) == pytest.approx(float(outputs[2]), rel=1e-5)
    risen = float(outputs[2] - baseline[2])
    gap = abs(float(steps.map.astype(float).sum()) - risen) / abs(risen)
    assert float(shown.get_attribute("[data-gap]", "data-gap")) == pytest.approx(gap, rel=0.02, abs=2e-6)
    layer = shown.inner_text("[data-method=gradcam] figcaption p")
    assert own[3].layer in layer
    shown.keyboard.press("ArrowRight")
    page.ready()
    assert "x=10" in shown.evaluate("location.hash")
    assert number(shown.locator(".inspector td.num").first.inner_text()) == pytest.approx(own[0].map[3, 10], rel=1e-3)


PIXELS = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"


def test_the_overlay_goes_from_the_image_to_the_map(place, page):
    from striate.explore.question import levels_of

    predictor, inputs = subject(place)
    shown = page.open("#view=why&model=residual&image=spokes&strength=0")
    pixels = np.array(shown.eval_on_selector("[data-method=integrated] canvas", PIXELS)).reshape(16, 16, 4)[..., :3]
    np.testing.assert_array_equal(pixels, levels_of(predictor, inputs).transpose(1, 2, 0))
    shown = page.open("#view=why&model=residual&image=spokes&strength=100")
    pixels = np.array(shown.eval_on_selector("[data-method=integrated] canvas", PIXELS)).reshape(16, 16, 4)[..., :3]
    values = explain(predictor.network, predictor.task, inputs, method="integrated")[0].map
    full = np.percentile(np.abs(values), 99)
    is_red = pixels[..., 0].astype(int) > pixels[..., 2]
    is_clear = np.abs(values) > 0.05 * full  # nearer to 0 all is white
    np.testing.assert_array_equal(is_red[is_clear], values[is_clear] > 0)
    assert (pixels[values >= full] == (0x67, 0x00, 0x1F)).all() and (pixels[values <= -full] == (5, 0x30, 0x61)).all()


def test_the_sanity_check_shows_the_correlations_of_inside(place, page):
    predictor, inputs = subject(place)
    own = check(predictor.network, predictor.task, inputs, method="gradient")
    shown = page.open("#view=why&model=residual&image=spokes&strength=60")
    shown.click("[data-sanity=gradient]")
    shown.wait_for_selector("[data-passed]")
    page.ready()
    assert "sanity=gradient" in shown.evaluate("location.hash")
    stages = shown.eval_on_selector_all(
        "[data-correlation]", "all => all.map((one) => Number(one.dataset.correlation))"
    )
    assert stages == pytest.approx(own.correlations, abs=1e-6)
    assert ("passed" in shown.inner_text("[data-passed]")) == own.is_passed


def test_what_cannot_be_explained_is_said_and_can_be_mended(place, page):
    shown = page.open("#view=why&model=residual&image=spokes&target=a class of another network")
    assert "does not answer with" in shown.inner_text(".view .empty")
    shown.click(".view .empty button")
    page.ready()
    assert "target" not in shown.evaluate("location.hash")
    assert len(shown.query_selector_all(".view .maps [data-method] canvas")) == len(METHODS)
    assert page.problems == []
