"""The table of a network says what the walk says, at any size, and the walk's first units stand where they stand."""

import re

import pytest
import torch
from torch import nn

from striate.base.errors import ModelError, SettingsError
from striate.cli.explore import _network
from striate.explore.shelf import id_of
from striate.inside.architecture import describe, drawing
from striate.model import zoo
from striate.model.issues import examine
from striate.model.walk import walk

MODEL = "lenet5"


def test_the_start_is_where_the_first_unit_s_gradient_is_centred():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 1, 5, 2, 1), nn.Conv2d(1, 1, 3, padding=2, dilation=2), nn.MaxPool2d(3, 2), nn.Conv2d(1, 1, 2)
    stack = nn.Sequential(*layers)
    start, jump = 0.0, 1.0
    found = walk(stack, size_hw=(64, 64), channels=1)
    for layer, (kernel, stride, padding, dilation) in zip(
        found.layers, [(5, 2, 1, 1), (3, 1, 2, 2), (3, 2, 0, 1), (2, 1, 0, 1)], strict=True
    ):
        start += ((kernel - 1) * dilation / 2 - padding) * jump  # Araujo et al. (2019), section 2.2
        jump *= stride
        assert layer.start_hw == (start, start)


def test_frozen_rows_are_not_trainable_and_a_size_that_a_layer_is_tied_to_is_said():
    network = zoo.build(MODEL, classes=5)
    own = describe(network, network.size_hw, network.channels)
    assert own["trainable"] == own["parameters"] == sum(one.numel() for one in network.parameters())
    assert not own["is_rebuilt"]
    for one in (
        network.rows["conv1"].parameters()
        if "conv1" in network.rows
        else next(iter(network.rows.values())).parameters()
    ):
        one.requires_grad_(False)
    frozen = describe(network, network.size_hw, network.channels)
    assert frozen["trainable"] == sum(one.numel() for one in network.parameters() if one.requires_grad)
    assert sum(layer["trainable"] for layer in frozen["layers"]) == frozen["trainable"]
    larger = describe(network, (64, 48), network.channels)
    assert larger["is_rebuilt"]
    assert (
        larger["parameters"]
        == walk(network.blueprint, size_hw=(64, 48), channels=network.channels, outputs=5).parameters
    )


def test_a_foreign_module_has_a_table_and_no_drawing():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 30 * 30, 2))
    assert not describe(module, (32, 32), 3)["has_drawing"]
    with pytest.raises(SettingsError, match="cannot see images of 40x40"):
        describe(module, (40, 40), 3)
    with pytest.raises(ModelError, match="no drawing"):
        drawing(module, (32, 32), 3)


def test_the_page_s_numbers_are_those_of_the_walk(large):
    size = {"size_hw": (96, 64), "channels": 3, "outputs": 10}
    found, issues = examine(zoo.blueprint("mobilenet_v2"), **size)
    page = large.open(f"#view=architecture&model={id_of('model', MODEL)}&size=96x64")
    page.click("button.item[data-key=model]:has-text('mobilenet')")
    page.wait_for_selector("tr[data-row]")
    large.ready()
    totals = page.inner_text(".arch-totals")
    assert f"{found.parameters:,}" in totals
    rows = page.eval_on_selector_all(
        "tr[data-row]", "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert [row[0] for row in rows] == [layer.name for layer in found.layers]
    for row, layer in zip(rows, found.layers, strict=True):
        assert row[2] == " × ".join(map(str, layer.out_shape))
        assert row[3] == f"{layer.parameters:,}"
        if not layer.is_global:
            sees = [layer.receptive_field_hw, layer.jump_hw, layer.start_hw]
            assert row[6:9] == [_pair(values) for values in sees]
    assert page.locator(".arch-issues li").count() == max(1, len(issues))
    name = found.layers[2].name
    page.click(f"tr[data-row='{name}'] button")
    assert f"row={name}" in page.url
    assert f"{found.layers[2].macs:,}" in page.inner_text(".inspector")
    assert page.evaluate("document.querySelector('.arch-drawing').naturalWidth") > 200


def test_search_finds_rows_by_their_shape_and_the_size_slider_asks_anew(large):
    page = large.open(f"#view=architecture&model={id_of('model', MODEL)}")
    before = page.inner_text("tr[data-row]:first-child td:nth-child(3)")
    page.fill("input[aria-label^='Find rows']", before)
    page.wait_for_selector("tr[data-row]:first-child:last-child")
    page.fill("input[aria-label^='Find rows']", "nothing like it")
    page.wait_for_selector(".empty")
    page.fill("input[aria-label^='Find rows']", "")
    page.locator("input[type=range]").fill("64")
    page.wait_for_selector("strong:has-text('other parameters')")
    assert re.search(r"size=64x64", page.url)
    assert page.inner_text("tr[data-row]:first-child td:nth-child(3)") != before


def test_a_blueprint_file_is_a_network_too(tmp_path):
    path = tmp_path / "mine.toml"
    rows = [("conv", 4), ("global_pool", None), ("linear", None)]
    lines = [f'[[rows]]\nblock = "{block}"\n' + (f"width = {width}\n" if width else "") for block, width in rows]
    path.write_text('name = "mine"\n' + "".join(lines))
    subject = _network(str(path), "24x32")
    assert (subject.title, subject.load().network.size_hw) == ("mine", (24, 32))


def _pair(values):
    first, second = (f"{value:g}" for value in values)
    return (first if first == second else f"{first} × {second}").replace("-", "−")
