"""A layer explained: its PyTorch line makes that layer, its example and counts are PyTorch's."""

import json

import hypothesis
import hypothesis.strategies
import numpy as np
import pytest
import torch

from striate.base.errors import SettingsError
from striate.base.files import to_json
from striate.nn.arithmetic import windows
from striate.nn.arithmetic_layer import Layer


def layer_of(kind, size, kernel, **options):
    sliding = {name: options.pop(name) for name in ("stride", "padding", "dilation") if name in options}
    return Layer(kind, size, windows(size, kernel, **sliding), **options)


LAYERS = {
    "conv 1-D": layer_of("conv", (10,), 3, dilation=2, padding="same"),
    "conv 2-D": layer_of("conv", (5, 5), 3, stride=2, padding=1),
    "conv of colours": layer_of("conv", (6, 4), (2, 3), channels=3, outputs=4),
    "conv in groups": layer_of("conv", (6, 6), 3, channels=4, outputs=6, groups=2, padding=(0, 1)),
    "conv 3-D": layer_of("conv", (3, 4, 4), 2, stride=(1, 2, 1)),
    "transposed": layer_of("transposed", (3, 3), 3, stride=2, padding=1, output_padding=(1, 1)),
    "transposed, uneven": layer_of("transposed", (3, 2), (3, 2), stride=2, channels=2, outputs=3, dilation=(1, 3)),
    "transposed in groups": layer_of("transposed", (4,), 3, channels=4, outputs=2, groups=2),
    "max pool": layer_of("pool", (5, 5), 3, stride=2, padding=1, ceil=True),
    "max pool, dilated": layer_of("pool", (7,), 2, stride=2, dilation=2, channels=3, outputs=3),
    "avg pool": layer_of("pool", (6, 6), 3, stride=2, padding=1, mode="avg", ceil=True),
    "avg pool, inner": layer_of("pool", (6, 6), 2, stride=2, padding=1, mode="avg", count_padding=False),
    "unpool": layer_of("unpool", (2, 3), 2, stride=2),
}


def module_of(layer):
    return eval(layer.code(), {"torch": torch}).double()  # noqa: S307 - the line is our own


@pytest.mark.parametrize("name", LAYERS)
def test_the_line_of_pytorch_makes_the_layer(name):
    layer, document = LAYERS[name], LAYERS[name].explain()
    module = module_of(layer)
    image = torch.rand(1, layer.channels, *layer.size, dtype=torch.float64)
    if layer.kind == "unpool":
        result = module(image, torch.zeros(image.shape, dtype=torch.int64))
    else:
        result = module(image)
    assert result.shape[1:] == (document["output"]["channels"], *document["output"]["size"])
    if layer.has_weights:
        assert document["parameters"]["shared"]["total"] == sum(one.numel() for one in module.parameters())


@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer.kind != "unpool"])
def test_the_example_is_what_pytorch_computes(name):
    layer = LAYERS[name]
    example, document = layer.explain()["example"], layer.explain()
    module = module_of(layer)
    image = torch.zeros(1, layer.channels, *layer.size, dtype=torch.float64)
    image[0, : len(example["input"])] = torch.from_numpy(example["input"])
    if layer.has_weights:
        torch.nn.init.zeros_(module.bias)
        group = torch.from_numpy(np.ascontiguousarray(example["kernel"]))
        with torch.no_grad():
            module.weight[: len(group) if layer.kind == "transposed" else 1, :] = (
                group[:, None] if layer.kind == "transposed" else group
            )
    result = module(image)[0, 0].detach().numpy()
    np.testing.assert_allclose(example["output"], result)
    place = tuple(example["place"])
    if layer.has_weights:
        assert sum(one["value"] * one["weight"] for one in example["terms"]) == pytest.approx(result[place])
    elif layer.mode == "avg":
        assert sum(example["under"]) / example["divisor"] == pytest.approx(result[place])
    else:
        assert max(example["under"]) == result[place]
    np.testing.assert_allclose(json.loads(to_json(document))["example"]["output"], result)


def test_unpooling_puts_maxima_back():
    example = LAYERS["unpool"].explain()["example"]
    pool = torch.nn.MaxPool2d(2, return_indices=True)
    pooled, positions = pool(torch.from_numpy(example["before"])[None])
    np.testing.assert_array_equal(example["input"], pooled[0])
    np.testing.assert_array_equal(example["output"], torch.nn.MaxUnpool2d(2)(pooled, positions)[0, 0])
    np.testing.assert_array_equal(example["nearest"], torch.nn.Upsample(scale_factor=2)(pooled)[0, 0])


def test_contributors_are_counted_both_ways():
    for name, layer in LAYERS.items():
        found = layer.explain()["contributors"]
        forward = np.array([1])
        for axis in found["along_axes"]:
            forward = np.multiply.outer(forward, axis)
        assert (forward.min(), forward.max()) == (found["least"], found["most"]), name
        image = torch.ones(1, layer.channels, *layer.size, dtype=torch.float64, requires_grad=True)
        if layer.kind == "transposed":
            module = module_of(layer)
            torch.nn.init.ones_(module.weight)
            torch.nn.init.zeros_(module.bias)
            share = layer.channels // layer.groups
            np.testing.assert_array_equal(module(image)[0, 0].detach().numpy(), forward[0] * share)
        if layer.kind == "conv":
            module = module_of(layer)
            torch.nn.init.ones_(module.weight)
            module(image).sum().backward()
            share = layer.outputs // layer.groups
            np.testing.assert_array_equal(image.grad[0, 0].numpy(), forward[0] * share)


def test_uneven_overlap_is_said():
    assert LAYERS["transposed"].explain()["contributors"]["is_uneven"]
    assert not layer_of("transposed", (3,), 4, stride=2).explain()["contributors"]["is_uneven"]
    assert not layer_of("conv", (9,), 3, stride=2).explain()["contributors"]["is_uneven"]


def test_large_layers_are_answered_without_an_example():
    first = layer_of("conv", (227, 227), 11, stride=4, channels=3, outputs=96).explain()
    assert first["example"] is None
    assert first["parameters"]["unshared"]["total"] == 105_705_600
    huge = layer_of("conv", (1_000_000, 1_000_000), 1_000_000, channels=64, outputs=64).explain()
    assert huge["output"]["size"] == (1, 1)
    assert huge["contributors"]["along_axes"] is None


def test_uneven_padding_is_a_layer_of_its_own_where_pytorch_has_no_word_for_it():
    assert "padding='same'" in layer_of("conv", (6,), 2, padding="same").code()
    assert "ZeroPad1d((0, 1))" in layer_of("conv", (6,), 3, stride=2, padding="same").code()
    with pytest.raises(SettingsError, match="uneven"):
        layer_of("pool", (6,), 2, padding="same")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("unknown layer 'convv'", {"kind": "convv"}),
        ("unknown pooling 'mean'", {"kind": "pool", "mode": "mean"}),
        ("average pooling has no dilation", {"kind": "pool", "mode": "avg", "dilation": 2}),
        ("groups 2 does not divide outputs 3", {"kind": "conv", "channels": 2, "outputs": 3, "groups": 2}),
        ("kernel 9 is larger", {"kind": "conv", "kernel": 9}),
        ("no volume smaller", {"kind": "pool", "mode": "avg", "size": (4, 1, 4), "kernel": 2, "padding": 1}),
    ],
)
def test_a_layer_that_cannot_work_is_refused(words, options):
    with pytest.raises(SettingsError, match=words):
        layer_of(**({"size": (5, 5), "kernel": 3} | options))


SETTINGS = hypothesis.strategies.fixed_dictionaries(
    {
        "kind": hypothesis.strategies.sampled_from(["conv", "transposed", "pool", "unpool"]),
        "size": hypothesis.strategies.lists(hypothesis.strategies.integers(1, 8), min_size=1, max_size=3),
        "kernel": hypothesis.strategies.integers(1, 4),
        "stride": hypothesis.strategies.integers(1, 3),
        "padding": hypothesis.strategies.sampled_from([0, 1, 2, "same", "valid"]),
        "dilation": hypothesis.strategies.integers(1, 3),
        "mode": hypothesis.strategies.sampled_from(["max", "avg"]),
        "ceil": hypothesis.strategies.booleans(),
        "count_padding": hypothesis.strategies.booleans(),
        "extra": hypothesis.strategies.integers(0, 2),
    }
)


@pytest.mark.filterwarnings("ignore:Using padding=.same.")  # torch warns that it may copy the input
@hypothesis.example(
    {"kind": "pool", "size": [1, 1, 1], "kernel": 2, "stride": 1, "padding": 1, "dilation": 1, "mode": "avg"}
    | {"ceil": False, "count_padding": False, "extra": 0}
)
@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(SETTINGS)
def test_every_line_that_is_printed_runs_and_gives_that_size(given):
    kind, size = given["kind"], tuple(given["size"])
    options = {name: given[name] for name in ("mode", "ceil", "count_padding")} if kind == "pool" else {}
    options |= {"output_padding": (given["extra"],) * len(size)} if kind == "transposed" else {}
    hypothesis.assume(given["padding"] != "same" or kind == "conv")
    try:
        sliding = {name: given[name] for name in ("stride", "padding", "dilation")}
        layer = layer_of(kind, size, given["kernel"], **sliding, **options)
        document = layer.explain()
    except SettingsError:
        hypothesis.reject()
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    module = module_of(layer)
    result = module(image, torch.zeros(image.shape, dtype=torch.int64)) if kind == "unpool" else module(image)
    assert result.shape[2:] == document["output"]["size"]


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_a_checkerboard_is_what_a_transposed_convolution_of_ones_shows(kernel, stride, dilation):
    layer = layer_of("transposed", (40,), kernel, stride=stride, dilation=dilation)
    out = torch.nn.functional.conv_transpose1d(
        torch.ones(1, 1, 40), torch.ones(1, 1, kernel), stride=stride, dilation=dilation
    )
    border = kernel * dilation + stride
    inside = out[0, 0, border:-border]
    assert layer.explain()["contributors"]["is_uneven"] == (len(set(inside.tolist())) > 1)


def test_own_numbers_are_worked_as_pytorch_does():
    rng = np.random.default_rng(0)
    image, weights = rng.normal(size=(4, 5)), rng.normal(size=(2, 3))
    given = {"image": image, "weights": weights}
    x, kernel = (torch.from_numpy(array)[None, None] for array in (image, weights))
    layer = layer_of("conv", (4, 5), (2, 3), padding=(1, 2), **given)
    found = torch.nn.functional.conv2d(x, kernel, padding=(1, 2))[0, 0]
    np.testing.assert_allclose(layer.explain()["example"]["output"], found, atol=1e-12)
    layer = layer_of("transposed", (4, 5), (2, 3), stride=2, **given)
    found = torch.nn.functional.conv_transpose2d(x, kernel, stride=2)[0, 0]
    np.testing.assert_allclose(layer.explain()["example"]["output"], found, atol=1e-12)
    layer = layer_of("pool", (4, 5), 2, stride=2, mode="avg", image=image)
    found = torch.nn.functional.avg_pool2d(x, 2)[0, 0]
    np.testing.assert_allclose(layer.explain()["example"]["output"], found, atol=1e-12)
