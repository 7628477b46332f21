"""Tables of walks: bars, two networks side by side, HTML for a notebook."""

from html.parser import HTMLParser

from striate.model import zoo
from striate.model.blueprint import Blueprint, Row
from striate.model.table import compare, render
from striate.model.walk import walk

HEAD = (Row("global_pool"), Row("linear"))


def test_bars_are_shares_and_ascii_on_request() -> None:
    found = walk(zoo.blueprint("resnet18"))
    text = render(found)
    assert "█" in text and render(found, ascii_only=True).isascii()
    stage4 = next(line for line in render(found, ascii_only=True).split("\n") if " stage4 " in line)
    assert "####" in stage4 and "#####" not in stage4  # 8.4 of 11.7 million parameters


def test_two_networks_side_by_side() -> None:
    a, b = walk(zoo.blueprint("resnet18")), walk(zoo.blueprint("mobilenet_v2"))
    lines = compare(a, b).split("\n")
    ratios = {
        line.split()[0]: line.split()[-1] for line in lines if line and line.split()[0] in {"parameters", "depth"}
    }
    assert ratios["parameters"] == f"{b.parameters / a.parameters:.2f}"
    assert ratios["depth"] == f"{53 / 18:.2f}"
    wanted = [sum(layer.macs for layer in one.layers if layer.out_shape[1:] == (7, 7)) for one in (a, b)]
    (line,) = [line for line in lines if line.startswith("7x7")]
    assert line.endswith(f"{wanted[1] / wanted[0]:.2f}")
    for one in (a, b):
        assert all(any(layer.name in line for line in lines) for layer in one.layers)


def test_a_notebook_gets_an_escaped_table() -> None:
    found = walk(Blueprint("<b>&", (Row("conv", 8), *HEAD)), size_hw=(16, 16))
    html = found._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;&amp;" in html
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs) -> None:
            tags.append(tag)

    Reader().feed(html)
    assert tags.count("tr") == 2 + len(found.layers) and "script" not in tags
