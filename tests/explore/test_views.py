"""What the page shows is what torch computes; what it shows is in its address."""

import re

import numpy as np
import pytest

from striate.inside.trace import trace

PIXELS = """canvas => { const c = canvas.getContext('2d'); const d = c.getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.height, canvas.width, ...d.data] }"""


def trace_of(site, name, image="rings"):
    """The pass that the page shows, worked out here once more."""
    predictor = site.workspace.subjects[name].load()
    entry = site.workspace.shelf.find(image)
    return trace(predictor.network, predictor.inputs([predictor.fitted(entry.path)]))


def pixels_of(element):
    height, width, *rest = element.evaluate(PIXELS)
    return np.array(rest, np.int64).reshape(height, width, 4)[..., :3]


def colours(values, page):
    """The colour map of values, from the anchors that the page names, by numpy."""
    text = page.evaluate("fetch('/static/colour.js').then(one => one.text())")
    low, high = float(values.min()), float(values.max())
    name = "SIGNED" if low < 0 else "VIRIDIS"
    low, high = (-max(-low, high), max(-low, high)) if low < 0 else (low, high)
    stops = re.search(rf'{name} = "([^"]+)"', text)[1].split()
    ramp = np.array([[int(stop[at : at + 2], 16) for at in (0, 2, 4)] for stop in stops], float)
    levels = (
        np.floor(255 * (values - low) / (high - low) + 0.5) / 255 if high > low else np.full(values.shape, 128 / 255)
    )
    places = levels * (len(ramp) - 1)
    return np.stack([np.interp(places, np.arange(len(ramp)), ramp[:, part]) for part in range(3)], -1)


@pytest.mark.parametrize("name", ["plain", "dilated"])
def test_maps_are_the_colours_of_the_tensor(site, watched, name):
    found = trace_of(site, name)
    for index in (0, 2, 4):
        page = watched.open(f"#view=flow&model={name}&image=rings&op={index}&channel=1")
        shown = pixels_of(page.query_selector("canvas.focus"))
        assert np.abs(shown - colours(found.maps(index)[1].astype(float), page)).max() <= 1.5
        small = pixels_of(page.query_selector(".grid [data-channel='1'] canvas"))
        assert np.abs(small - shown).max() <= 3


def test_the_statistics_are_torchs_to_six_digits(site, watched):
    found = trace_of(site, "residual")
    page = watched.open("#view=flow&model=residual&image=rings&op=2")
    output = found.operations[2].output
    for name, value in {"minimum": output.min(), "maximum": output.max(), "mean": output.double().mean()}.items():
        text = page.inner_text(f"[data-fact={name}]").replace("−", "-")
        assert float(text) == pytest.approx(float(value), rel=5e-6)


def test_the_pointer_probes_the_cell_under_it(site, watched):
    found = trace_of(site, "inception")
    page = watched.open("#view=probe&model=inception&image=rings&op=1&channel=2&y=0&x=0")
    box = page.query_selector(".panel:last-child canvas").bounding_box()
    for y, x in ((3, 12), (15, 0), (7, 7)):
        page.mouse.move(box["x"] + (x + 0.5) * box["width"] / 16, box["y"] + (y + 0.5) * box["height"] / 16)
        watched.ready()
        page.wait_for_function(
            "value => document.querySelector('[data-stored]').dataset.stored === value", arg=js(found.maps(1)[2, y, x])
        )
        mark = page.query_selector(".panel:last-child .rim")
        assert (mark.get_attribute("x"), mark.get_attribute("y")) == (str(x), str(y))
        seen = page.query_selector(".panel:first-child .rim")
        assert (seen.get_attribute("x"), seen.get_attribute("y")) == (str(x), str(y))


def js(value):
    """A number as JavaScript writes it."""
    text = repr(float(value))
    return text.removesuffix(".0")


def test_arrows_and_brackets_move_and_the_address_follows(watched):
    page = watched.open("#view=probe&model=plain&image=rings&op=0&channel=0&y=3&x=3")
    for key, part in {
        "ArrowRight": "x=4",
        "ArrowDown": "y=4",
        "ArrowLeft": "x=3",
        ".": "channel=1",
        "]": "op=1",
    }.items():
        page.keyboard.press(key)
        watched.ready()
        assert f"{part}" in page.evaluate("location.hash").split("&") or part in page.evaluate("location.hash")
    assert "view=probe" in page.evaluate("location.hash")


def test_what_is_copied_is_the_numbers(browser, site):
    from explore_site import Watched

    watched = Watched(browser, site, permissions=["clipboard-read", "clipboard-write"])
    page = watched.open("#view=probe&model=plain&image=rings&op=0&channel=0&y=0&x=0")
    page.click("[data-copy=csv]")
    page.wait_for_function("() => document.querySelector('.said').textContent.includes('CSV')")
    rows = [row.split(",") for row in page.evaluate("navigator.clipboard.readText()").splitlines()]
    assert rows[0] == ["from", "channel", "row", "column", "value", "weight", "product"]
    assert len(rows) == 1 + 75 + 3  # 5 x 5 x 3 products, bias, total, stored
    total = sum(float(row[6]) for row in rows[1:-3]) + float(rows[-3][4])
    assert total == pytest.approx(float(rows[-2][4]), rel=1e-9)
    watched.close()
