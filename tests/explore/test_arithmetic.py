"""The playground's functions equal PyTorch and the library's own words; run in a browser, as on the page."""

import json
from math import prod

import pytest
from arithmetic_cases import cases, mismatches
from chromium import without_server

from striate.nn.arithmetic import formula, parameters, windows
from striate.nn.arithmetic_layer import Layer

QUICK = 200
SEED = 20240


@pytest.fixture(scope="module")
def page(browser):
    page = without_server(browser)
    yield page
    page.close()


@pytest.fixture(scope="module")
def chosen():
    return cases(QUICK, SEED)


def test_sizes_links_and_values_equal_pytorch(page, chosen):
    assert mismatches(page, chosen) == []


def test_code_and_formula_are_those_of_the_library(page, chosen):
    settings = [case.settings for case in chosen if case.shape]
    told = page.evaluate(
        """async (all) => {
          const text = await import("/arithmetic_text.js");
          return all.map((s) => [text.code(s), text.formula(s, 0), text.formula(s, 1), text.costs(s)]);
        }""",
        settings,
    )
    for s, (code, *formulas, costs) in zip(settings, told, strict=True):
        layer = _layer(s)
        assert code == layer.code()
        expected = [
            formula(layer.kind, i, one, output_padding=a, ceil=layer.ceil).replace(
                " (the last window would start behind the input)", ""
            )
            for i, one, a in zip(layer.size, layer.windows, layer.extra, strict=True)
        ]
        ends = [text.rpartition(" = ") for text in formulas]
        assert [int(end) for _, _, end in ends] == list(layer.made)
        assert [_plain(text) for text, _, _ in ends] == [text.rpartition(" = ")[0] for text in expected]
        if layer.has_weights:  # a kernel of its own at each place would have as many numbers as there are products
            places = prod(layer.size) if layer.kind == "transposed" else 0
            sides = layer.channels, layer.outputs, layer.windows, layer.size, layer.made
            cost = parameters(*sides, groups=layer.groups, places=places)
            assert (costs["parameters"], costs["macs"]) == (cost["shared"].total, cost["unshared"].weights)


def _layer(s):
    made = windows(s["size"], s["kernel"], stride=s["stride"], padding=s["padding"], dilation=s["dilation"])
    has_weights = s["kind"] in {"conv", "transposed"}
    return Layer(
        s["kind"] if has_weights else "pool",
        tuple(s["size"]),
        made,
        channels=s["channels"],
        outputs=s["outputs"] if has_weights else s["channels"],
        groups=s["groups"] if has_weights else 1,
        output_padding=tuple(s["outputPadding"]) if s["kind"] == "transposed" else None,
        mode={"average": "avg"}.get(s["kind"], "max"),
        ceil=s["ceil"] and not has_weights,
        count_padding=s["countPadding"] if s["kind"] == "average" else True,
    )


def _plain(text):
    signs = {"−": "-", "·": "*", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")"}
    for sign, plain in signs.items():
        text = text.replace(sign, plain)
    return text


def test_state_goes_into_the_address_and_back(page, chosen):
    settings = [case.settings for case in chosen if case.shape]
    differing = page.evaluate(
        """async (all) => {
          const { fromText, fresh, toText } = await import("/playground_state.js");
          return all.filter((settings) => {
            const input = Array.from({ length: settings.channels * settings.size[0] }, (_, at) => at / 4 - 2);
            const state = { ...fresh(settings), input, step: 0, bias: [-1.5e-7] };
            return JSON.stringify(fromText(toText(state))) !== JSON.stringify(state);
          });
        }""",
        settings,
    )
    assert differing == []


@pytest.mark.parametrize(
    "text", ["", "conv~k.99", "x~~~.", "conv~i.0", "conv~at.output.9.9.9~step.-1", "conv~x.a_b", "conv~k.3x"]
)
def test_a_damaged_address_gives_settings_all_the_same(page, text):
    state = page.evaluate(
        """async (text) => {
          const [{ fromText }, { check }] = [await import("/playground_state.js"), await import("/arithmetic.js")];
          const state = fromText(text);
          return { state, problem: check(state.settings) };
        }""",
        text,
    )  # fmt: skip
    assert state["problem"] or state["state"]["at"] is None
    assert json.dumps(state, allow_nan=False)
