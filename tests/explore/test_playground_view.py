"""The playground's drawing: numbers and links in both directions are PyTorch's; its state is its address."""

import pytest
import torch
import torch.nn.functional as F
from arithmetic_cases import links

USUAL = {"kernel": [3, 3], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "outputPadding": [0, 0]}
USUAL |= {"kind": "conv", "channels": 1, "outputs": 1, "groups": 1, "ceil": False, "countPadding": True}
UP = {"kind": "transposed", "size": [3, 3], "stride": [2, 2]}
SHOWN = {
    "conv~i.6x5~s.2~p.1": {"kind": "conv", "size": [6, 5], "stride": [2, 2], "padding": [1, 1]},
    "conv~i.5~d.2~c.4~o.2~g.2": {"size": [5, 5], "dilation": [2, 2], "channels": 4, "outputs": 2, "groups": 2},
    "transposed~i.3~k.2~s.2": UP | {"kernel": [2, 2]},
    "transposed~i.3~s.2~p.1~a.1": UP | {"padding": [1, 1], "outputPadding": [1, 1]},
    "max~i.5~s.2~p.1": {"kind": "max", "size": [5, 5], "stride": [2, 2], "padding": [1, 1]},
    "average~i.6~k.2x3~s.2x3": {"kind": "average", "size": [6, 6], "kernel": [2, 3], "stride": [2, 3]},
}  # fmt: skip
CELLS = """side => [...document.querySelectorAll(`.pg-inside[data-spot^='${side}.']`)]
  .map((cell) => [cell.dataset.spot, cell.textContent])"""
LINKED = """side => [...document.querySelectorAll(`.pg-inside.is-linked[data-spot^='${side}.']`)]
  .map((cell) => cell.dataset.spot)"""


def cells(page, side):
    """The numbers of a side of the drawing by place."""
    found = page.evaluate(CELLS, side)
    return {tuple(map(int, key.split(".")[1:])): float(text.replace("−", "-")) for key, text in found}


def linked(page, side):
    return {tuple(map(int, key.split(".")[1:])) for key in page.evaluate(LINKED, side)}


def hover(page, side, place):
    page.hover(f"[data-spot='{side}.{'.'.join(map(str, place))}']")


@pytest.mark.parametrize("text", SHOWN)
def test_pointing_at_a_cell_shows_what_belongs_to_it_in_both_directions(watched, text):
    page, settings = watched.open(f"#view=playground&layer={text}"), USUAL | SHOWN[text]
    inputs, outputs = cells(page, "input"), cells(page, "output")
    image = torch.zeros(settings["channels"], *settings["size"], dtype=torch.float64)
    size = [max(axis) + 1 for axis in zip(*outputs, strict=True)][1:]
    table = links(settings, image).reshape(*image.shape, -1, *size)
    for place in list(outputs)[:: max(1, len(outputs) // 5)]:
        hover(page, "output", place)
        column = table[(..., *place)]
        assert linked(page, "input") == {tuple(one) for one in column.nonzero().tolist()}
    for place in list(inputs)[:: max(1, len(inputs) // 5)]:
        hover(page, "input", place)
        row = table[place]
        assert linked(page, "output") == {tuple(one) for one in row.nonzero().tolist() if one[0] == 0}


@pytest.mark.parametrize("kind", ["conv", "transposed"])
def test_the_numbers_are_pytorch_s_also_after_one_is_changed(watched, kind):
    page = watched.open(f"#view=playground&layer={kind}~i.4~s.2~p.1")
    page.click("[data-spot='input.0.1.2']")
    page.keyboard.type("-2.5")
    page.keyboard.press("Enter")
    page.click("[data-spot='kernel.0.0.0']")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    inputs, kernel, outputs = (cells(page, side) for side in ("input", "kernel", "output"))
    assert (inputs[0, 1, 2], kernel[0, 0, 0]) == (-2.5, 4)
    assert outputs == pytest.approx(worked(kind, inputs, kernel))
    address = page.url
    watched.open("#view=playground")
    watched.open(address[address.index("#") :])
    assert cells(page, "output") == outputs


def worked(kind, inputs, kernel):
    image, weight = (grid(one) for one in (inputs, kernel))
    run = F.conv2d if kind == "conv" else F.conv_transpose2d
    made = run(image[None], weight[None], stride=2, padding=1)[0]
    return {(0, y, x): float(made[0, y, x]) for y in range(made.shape[1]) for x in range(made.shape[2])}


def grid(numbers):
    _, y, x = (max(axis) + 1 for axis in zip(*numbers, strict=True))
    return torch.tensor([numbers[key] for key in sorted(numbers)]).reshape(1, y, x)


def test_a_transposed_convolution_adds_up_step_by_step(watched):
    page = watched.open("#view=playground&layer=transposed~i.3~s.2")
    inputs, kernel = cells(page, "input"), cells(page, "kernel")
    page.focus(".pg-drawing")
    page.keyboard.press("Home")
    for _ in range(4):
        page.click("[aria-label='One on']")
    assert "step.4" in page.url
    image = grid(inputs)
    image.view(-1)[5:] = 0
    made = F.conv_transpose2d(image[None], grid(kernel)[None], stride=2)[0, 0]
    later = page.evaluate("() => [...document.querySelectorAll('.is-later')].map((cell) => cell.dataset.spot)")
    hidden = {tuple(map(int, key.split(".")[1:])) for key in later}
    shown = {place: value for place, value in cells(page, "output").items() if place not in hidden}
    assert len(shown) > 9
    assert {place: float(made[place[1:]]) for place in shown} == shown
    assert all(float(made[place[1:]]) == 0 for place in hidden)


def test_settings_that_cannot_work_are_explained_and_can_be_undone(watched):
    page = watched.open("#view=playground&layer=conv~i.4")
    page.fill("[aria-label='Kernel, height']", "7")
    page.keyboard.press("Enter")
    watched.ready()
    message = page.inner_text("[role=alert].pg-message")
    assert "7" in message and message.strip().splitlines()[0].endswith(".")
    assert page.get_attribute("[aria-label='Kernel, height']", "aria-invalid") == "true"
    page.click(".pg-message button")
    assert page.is_hidden(".pg-message") and page.is_visible(".pg-drawing")


def test_what_the_division_leaves_over_is_hatched_and_said(watched):
    page = watched.open("#view=playground&layer=conv~i.6~s.2")
    find = "() => [...document.querySelectorAll('.pg-cell [fill*=hatch]')].map((one) => one.parentNode.dataset.spot)"
    assert set(page.evaluate(find)) == {f"input.0.{y}.{x}" for y in range(6) for x in range(6) if 5 in (x, y)}
    assert "hatched" in page.inner_text(".pg-facts")
    assert "= 2" in page.inner_text(".pg-formula")
    assert "stride=2" in page.inner_text(".pg-code")


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_it_fits_the_window_and_can_be_used_by_keyboard_alone(watched, width):
    watched.page.set_viewport_size({"width": width, "height": 800})
    page = watched.open("#view=playground&layer=conv~c.3~p.1~i.7")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.focus(".pg-drawing")
    for key in ("i", "ArrowRight", "ArrowDown", "3", "Enter", "k", "o", "ArrowRight"):
        page.keyboard.press(key)
    watched.ready()
    assert "at.output.0.0.1" in page.url and cells(page, "input")[0, 1, 1] == 3
