"""Each method equals Captum's, or a formula written out here."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam, NoiseTunnel, Occlusion, Saliency
from torch import nn
from toy_networks import Gated, Reused, images, plain

from striate.base.errors import SettingsError
from striate.inside.explain import explain
from striate.task.classify import Classify
from striate.task.localise import Localise
from striate.task.regress import Regress
from striate.task.segment import Segment
from striate.task.tag import Tag

TASK = Classify("label", ("a", "b", "c"))
NAMES = ("b", "c")  # of two images, each explained for a class of its own
TARGETS = torch.tensor([1, 2])


def values(found) -> np.ndarray:
    return np.stack([one.values for one in found])


def maps(found) -> np.ndarray:
    return np.stack([one.map for one in found])


def close(found: np.ndarray, wanted: torch.Tensor, tolerance: float = 1e-5) -> bool:
    wanted = wanted.detach().numpy()
    return np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def test_gradient_is_captums() -> None:
    network, x = plain(inplace=True).eval(), images()
    wanted = Saliency(plain().eval()).attribute(x.clone().requires_grad_(), TARGETS, abs=False)
    found = explain(network, TASK, x, which=NAMES)
    assert close(values(found), wanted) and close(maps(found), wanted.abs().amax(1))
    assert [one.subject for one in found] == list(NAMES) and found[0].text == "logit of b"
    assert found[1].score == pytest.approx(plain().eval()(x)[1, 2].item(), rel=1e-5)


def test_smoothgrad_is_captums_up_to_chance() -> None:
    network, x = plain().eval(), images()
    torch.manual_seed(0)
    spread = 0.1 * (x[:1].max() - x[:1].min()).item()
    tunnel = NoiseTunnel(Saliency(network))
    wanted = tunnel.attribute(x[:1], nt_samples=2000, nt_samples_batch_size=500, stdevs=spread, target=1, abs=False)
    found = explain(network, TASK, x[:1], method="smoothgrad", which="b", num=2000, noise=0.1, seed=5)
    assert np.corrcoef(values(found).ravel(), wanted.numpy().ravel())[0, 1] > 0.995
    assert np.abs(values(found) - wanted.numpy()).mean() < 0.06 * np.abs(wanted.numpy()).mean()


def test_smoothgrad_is_the_mean_over_noisy_copies() -> None:
    network, x = plain().eval(), images()
    noise = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(7))
    leaf = (x[1:] + 0.2 * (x[1].max() - x[1].min()) * noise).requires_grad_()
    (wanted,) = torch.autograd.grad(network(leaf)[:, 2].mean(), leaf)
    found = explain(network, TASK, x, method="smoothgrad", which=NAMES, num=4, noise=0.2, seed=7)
    assert close(values(found)[1], wanted.sum(0))


class Product(nn.Module):
    """Logits that are quadratic in the image: the gradient is linear on every line, trapezoids and Captum are exact."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.left, self.right = nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.left(x) * self.right(x)).mean((2, 3))


def test_integrated_gradients_are_captums_where_both_are_exact() -> None:
    network, x = Product().eval(), images()
    wanted = IntegratedGradients(network).attribute(x, torch.full_like(x, 0.3), TARGETS, n_steps=2)
    for steps in (2, 5, 17):
        found = explain(network, TASK, x, method="integrated", which=NAMES, steps=steps, baseline=0.3)
        assert close(values(found), wanted) and close(maps(found), wanted.sum(1))
        assert max(one.gap for one in found) < 1e-4 and {one.settings["steps"] for one in found} == {steps}


@pytest.mark.parametrize("baseline", [0.0, -1.5])
def test_integrated_gradients_are_nearer_to_ten_thousand_steps_than_captums(baseline: float) -> None:
    network, x = plain(inplace=True).eval(), images()[:1]
    start_at = torch.full_like(x, baseline)
    wanted = torch.zeros_like(x)
    for places in ((torch.arange(10_000) + 0.5) / 10_000).split(500):
        leaf = (start_at + places.view(-1, 1, 1, 1) * (x - start_at)).requires_grad_()
        wanted += torch.autograd.grad(network(leaf)[:, 1].sum(), leaf)[0].sum(0) * (x - start_at) / 10_000
    (found,) = explain(network, TASK, x, method="integrated", which="b", steps=128, baseline=baseline)
    captums = IntegratedGradients(plain().eval()).attribute(x, start_at, 1, n_steps=128)
    error = (torch.from_numpy(found.values) - wanted).abs().sum()
    assert error < 0.005 * wanted.abs().sum() and error < 0.8 * (captums - wanted).abs().sum()
    rise = (network(x) - network(start_at))[0, 1].item()
    assert found.gap == pytest.approx(abs(found.map.sum() - rise) / abs(rise), abs=1e-5) and found.gap < 0.01


def test_places_go_where_the_gradient_jumps() -> None:
    class Late(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.flatten(1).mean(1, keepdim=True) - 0.93).relu() * torch.ones(3)

    x = torch.ones(1, 3, 4, 4)
    (found,) = explain(Late(), TASK, x, method="integrated", which="a", steps=24)
    assert found.map.sum() == pytest.approx(0.07, rel=1e-3)  # even steps can be off by a third of it


def test_steps_are_added_until_integrated_gradients_are_complete() -> None:
    network, x = plain().eval(), images()
    options = {"method": "integrated", "which": NAMES, "baseline": -1.5}
    few = explain(network, TASK, x, steps=4, **options)
    assert max(one.gap for one in few) > 0.02
    seen: list[tuple[int, int]] = []
    more = explain(network, TASK, x, steps=4, max_gap=0.02, report=lambda *done: seen.append(done), **options)
    steps = [one.settings["steps"] for one in more]
    assert set(steps) <= {4, 8, 16, 32, 64, 128} and max(steps) > 4 and max(one.gap for one in more) < 0.02
    assert all(done <= num for done, num in seen)
    assert all((one.map == other.map).all() for one, other in zip(few, more, strict=True) if one.gap <= 0.02)


@pytest.mark.parametrize(("patch", "stride"), [(4, 4), (5, 3), (3, 1)])
def test_occlusion_is_captums(patch: int, stride: int) -> None:
    network, x = plain().eval(), images()
    wanted = Occlusion(network).attribute(x, (3, patch, patch), (3, stride, stride), baselines=0.5, target=TARGETS)
    found = explain(network, TASK, x, method="occlusion", which=NAMES, patch=patch, stride=stride, fill=0.5)
    assert close(maps(found), wanted[:, 0])
    covered = x[:1].clone()
    covered[:, :, stride : stride + patch, :patch] = 0.5
    fall = (network(x[:1]) - network(covered))[0, 1].item()
    assert found[0].coarse[1, 0] == pytest.approx(fall, abs=1e-6)


def test_grad_cam_is_captums_and_the_formula() -> None:
    network, x = plain(inplace=True).eval(), images()
    twin = plain().eval()
    wanted = LayerGradCam(twin, twin[5]).attribute(x, TARGETS, relu_attributions=True)
    found = explain(network, TASK, x, method="gradcam", which=NAMES)
    coarse = np.stack([one.coarse for one in found])
    assert found[0].layer == "5 (6 x 6)" and close(coarse, wanted[:, 0])
    area = twin[:6](x).detach().numpy()  # behind them: mean over places, then the linear layer
    weights = twin[9].weight.detach().numpy()[TARGETS] / 36
    assert np.allclose(coarse, np.maximum((weights[:, :, None, None] * area).sum(1), 0), atol=1e-6)
    large = nn.functional.interpolate(wanted, (12, 12), mode="bilinear")[:, 0]
    assert close(maps(found), large)


def test_grad_cam_takes_the_map_before_an_activation_overwrites_it() -> None:
    network, twin, x = plain(inplace=True).eval(), plain().eval(), images()
    wanted = LayerGradCam(twin, twin[4]).attribute(x, TARGETS, relu_attributions=True)
    found = explain(network, TASK, x, method="gradcam", which=NAMES, layer="4")
    assert close(np.stack([one.coarse for one in found]), wanted[:, 0])


def test_the_layer_is_the_last_map_that_all_of_the_answer_goes_through() -> None:
    found = explain(Gated(), TASK, images(), method="gradcam")
    assert found[0].layer == "body (12 x 12)"  # neither the gate, nor the map made of one place, nor the idle branch
    found = explain(Reused(), TASK, images(), method="gradcam")
    assert found[0].layer == "again, use 2 (12 x 12)"
    with pytest.raises(SettingsError, match="hang on unused"):
        explain(Gated(), TASK, images(), method="gradcam", layer="unused")
    with pytest.raises(SettingsError, match="no map"):
        explain(Gated(), TASK, images(), method="gradcam", layer="head")
    with pytest.raises(SettingsError) as caught:
        explain(Gated(), TASK, images(), method="gradcam", layer="bodi")
    assert "'body'" in caught.value.fix


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "integrated", "gradcam", "occlusion"])
def test_a_batch_with_several_targets_is_each_image_alone(method: str) -> None:
    network, x = plain().eval(), images(3)
    together = explain(network, TASK, x, method=method, which=("c", None, "a"))
    for row, name in enumerate(("c", None, "a")):
        (alone,) = explain(network, TASK, x[row : row + 1], method=method, which=name)
        assert alone.subject == together[row].subject
        assert np.allclose(alone.map, together[row].map, atol=1e-5 * np.abs(alone.map).max())
    assert together[1].subject == TASK.names[network(x)[1].argmax()]


def test_tags_numbers_places_and_masks_say_what_is_explained() -> None:
    x = images()
    network = plain(outputs=3).eval()
    outputs = network(x).detach()
    tags = explain(network, Tag("tags", ("p", "q", "r")), x)
    assert [one.subject for one in tags] == ["pqr"[index] for index in outputs.argmax(1)]
    numbers = explain(network, Regress("size", ("l", "m", "n"), "m", (1.0, 2.0, 3.0), (2.0, 5.0, 7.0)), x, which="m")
    plainly = explain(network, TASK, x, which="b")
    assert np.allclose(numbers[0].map, 5 * plainly[0].map, rtol=1e-4) and numbers[0].text == "number m"
    places = explain(plain(outputs=7).eval(), Localise("boxes", ("a", "b", "c")), x)
    assert {one.subject for one in places} <= set("abc")


def test_masks_are_explained_over_the_pixels_of_the_class() -> None:
    torch.manual_seed(0)
    network, x = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1)).eval(), images()
    task = Segment("mask", ("background", "cat", "dog"))
    leaf = x.clone().requires_grad_()
    outputs = network(leaf)
    is_cat = outputs.argmax(1) == 1
    (wanted,) = torch.autograd.grad((outputs[:, 1] * is_cat).sum(), leaf)
    found = explain(network, task, x, which="cat")
    assert close(values(found), wanted) and f"{int(is_cat[0].sum())} pixel" in found[0].text
    usual = explain(network, task, x)[0].subject
    counts = [(outputs[0].argmax(0) == index).sum() for index in (1, 2)]
    assert usual == ("cat" if counts[0] >= counts[1] else "dog")  # a background is no answer to explain
    assert explain(network, task, x, method="gradcam")[0].layer == "1 (12 x 12)"  # not the classes' own map


def test_where_all_is_background_the_likeliest_object_is_explained_where_it_comes_closest() -> None:
    torch.manual_seed(0)
    outputs = torch.randn(2, 3, 6, 5)
    outputs[:, 0] += 9  # background everywhere; of the others the second image has more of "dog"
    outputs[0, 1] += 3
    outputs[1, 2] += 3
    found = Segment("mask", ("background", "cat", "dog")).objective(outputs)
    assert found.names == ("cat", "dog") and "no pixel is answered with it" in found.texts[0]
    for row, index in enumerate((1, 2)):
        margin = (outputs[row, index] - outputs[row, [0, 3 - index]].amax(0)).flatten()
        nearest = sorted(range(30), key=lambda pixel: -float(margin[pixel]))[:3]
        expected = outputs[row, index].flatten()[nearest].sum()
        assert float(found.score(outputs)[row]) == pytest.approx(float(expected), rel=1e-5)


def test_angles_are_explained_along_their_direction() -> None:
    network, x = plain(outputs=2).eval(), images()
    task = Regress("turn", ("turn",), "deg")
    point = network(x).detach()
    found = explain(network, task, x)
    assert found[0].score == pytest.approx(point[0].norm().item(), rel=1e-5)


def test_mistakes_are_one_line() -> None:
    x = images()
    for which, text in ((("a",), "1 names"), ("d", "unknown")):
        with pytest.raises(SettingsError, match=text):
            explain(plain(), TASK, x, which=which)
    with pytest.raises(SettingsError) as caught:
        explain(plain(), TASK, x, method="integrated", step=3)
    assert "'steps'" in caught.value.fix
    with pytest.raises(SettingsError, match="gives a map"):
        explain(nn.Sequential(nn.Flatten(), nn.Linear(432, 3)), TASK, x, method="gradcam")
