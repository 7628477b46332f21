"""The views on why a network answers as it does show what `inside` and torch work out in this process."""

import json
import time
import urllib.request

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from striate.inside.explain import explain
from striate.inside.sanity import check
from striate.web.wire import unpack

METHODS = ("gradient", "smoothgrad", "integrated", "gradcam")


@pytest.fixture
def place(site):
    return site


@pytest.fixture
def page(watched):
    return watched


def subject(place, name="residual", image="spokes"):
    predictor = place.workspace.subjects[name].load()
    inputs = predictor.inputs([predictor.fitted(place.workspace.shelf.find(image).path)])
    return predictor, inputs


def got(place, path):

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


def test_occlusion_is_that_of_a_loop(place, page):
    predictor, inputs = subject(place)
    shown = page.open("#view=occlusion&model=residual&image=spokes&target=class 1&patch=5&stride=3&fill=black&y=9&x=4")
    with torch.no_grad():
        whole = float(predictor.network(inputs)[0, 1])
        falls = {}
        for top in range(0, 14, 3):
            for left in range(0, 14, 3):
                covered = inputs.clone()
                covered[:, :, top : top + 5, left : left + 5] = -2.0  # black: (0 - 0.5) / 0.25
                falls[top, left] = whole - float(predictor.network(covered)[0, 1])
    table = got(place, "api/occlusion?model=residual&image=spokes&target=class%201&patch=5&stride=3&fill=black")
    result = json.loads(table.splitlines()[-1])["result"]
    rows, columns = result["grid"]
    assert result["falls"] == pytest.approx(
        [falls[3 * row, 3 * column] for row in range(rows) for column in range(columns)], abs=1e-5
    )
    assert float(shown.get_attribute("[data-fall]", "data-fall")) == pytest.approx(falls[6, 3], abs=1e-5)
    assert "rows 6 to 10, columns 3 to 7" in shown.inner_text(".two")
    shown.keyboard.press("ArrowRight")
    page.ready()
    assert float(shown.get_attribute("[data-fall]", "data-fall")) == pytest.approx(falls[6, 6], abs=1e-5)


def test_cancel_leaves_no_work_running(place, page):
    calls = []

    def slowly(module, args, out):
        calls.append(len(args[0]))
        time.sleep(0.06)

    page.open("#view=why&model=residual&image=rings")
    shown = page.page
    hook = place.workspace.predictor("residual").network.register_forward_hook(slowly)
    try:
        shown.evaluate("location.hash = '#view=occlusion&model=residual&image=rings&patch=1&stride=1'")  # 16 batches
        shown.wait_for_selector("[data-cancel]")
        shown.wait_for_function("() => document.querySelector('.running .mono')?.textContent.startsWith('32 of 256')")
        shown.click("[data-cancel]")
        page.ready()
        time.sleep(0.2)  # what was being worked on when it was cancelled may end
        num = len(calls)
        time.sleep(0.3)
        assert len(calls) == num and sum(one == 16 for one in calls) < 12
        assert "Cancelled after" in shown.inner_text(".running")
    finally:
        hook.remove()
    shown.click("[data-again]")
    shown.wait_for_selector("[data-fall]")
    page.ready()


def moved_by_torch(network, inputs, wanted=None):
    """FGSM as in its article, in levels of 255: the way, the moved pixels and the answers at 0 to 16 levels."""
    levels = torch.round((inputs * 0.25 + 0.5) * 255)
    pixels = (levels / 255).requires_grad_()
    outputs = network((pixels - 0.5) / 0.25)
    own = outputs.argmax(1)
    loss = F.cross_entropy(outputs, own) if wanted is None else -F.cross_entropy(outputs, torch.tensor([wanted]))
    (slope,) = torch.autograd.grad(loss, pixels)
    moved = torch.stack([(levels[0] + level * slope[0].sign()).clamp(0, 255) for level in range(17)])
    with torch.no_grad():
        shares = network((moved / 255 - 0.5) / 0.25).softmax(1)
    return levels[0], slope[0].sign(), moved, shares


@pytest.mark.parametrize("wanted", [None, 2])
def test_the_attack_is_that_of_torch_at_each_epsilon(place, page, wanted):
    predictor, inputs = subject(place)
    levels, way, moved, shares = moved_by_torch(predictor.network, inputs, wanted)
    part = "" if wanted is None else f"class%20{wanted}"
    head, arrays = unpack(got(place, f"api/attack?model=residual&image=spokes&target={part}"))
    np.testing.assert_array_equal(arrays["levels"], levels.numpy())
    np.testing.assert_array_equal(arrays["way"].astype(int) - 1, way.numpy())
    assert head["answers"] == [[f"class {index}"] for index in shares.argmax(1).tolist()]
    rows = [int(name.removeprefix("class ")) for name in head["names"]]
    np.testing.assert_allclose(arrays["shares"], shares[:, rows].T, atol=1e-5)
    is_it = shares.argmax(1) != shares[0].argmax() if wanted is None else shares.argmax(1) == wanted
    first = int(is_it.int().argmax()) if is_it.any() else None
    assert (head["smallest"] if wanted is None else head["reached"]) == first
    shown = page.open(f"#view=attack&model=residual&image=spokes&level=16&wanted={part}")
    for level in (16, 3):
        page.open(f"#view=attack&model=residual&image=spokes&level={level}&wanted={part}")
        canvas = shown.query_selector("[data-most] canvas")
        pixels = np.array(canvas.evaluate(PIXELS)).reshape(16, 16, 4)[..., :3].transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, moved[level].numpy())
        assert np.abs(pixels - levels.numpy()).max() <= level
        assert shown.get_attribute("[data-most]", "data-most") == str(int((moved[level] - levels).abs().max()))
        assert shown.get_attribute(".inspector [data-answer]", "data-answer") == f"class {int(shares[level].argmax())}"
    if first is not None:
        assert shown.get_attribute("[data-reached]", "data-reached") == str(first)
