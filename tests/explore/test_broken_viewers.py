"""Viewers that are broken on purpose are caught by the same comparisons that the page passes."""

import numpy as np
import pytest
from explore_site import Watched, serving, subject_of

from striate.explore.workspace import Workspace
from striate.inside import windows
from striate.inside.probe import probe
from striate.inside.support import Supports
from striate.inside.trace import trace

CELL = (1, 2, 5)
STATE = "#view=probe&model=dense&image=rings&op=1&channel=1&y=2&x=5"
PIXELS = "one => [...one.getContext('2d').getImageData(0, 0, one.width, one.height).data.filter((v, i) => i % 4 === 0)]"


def said(watched, state=STATE):
    """What the page says of a cell: its number, total, box, and the red of the map's pixels and of the mark."""
    page = watched.open(state)
    mark = page.query_selector(".panel:last-child .rim")
    return [
        float(page.get_attribute("[data-stored]", "data-stored")),
        float(page.get_attribute("[data-name=total]", "data-value")),
        page.get_attribute(".panel", "data-box"),
        (mark.get_attribute("x"), mark.get_attribute("y")),
        page.query_selector(".panel:last-child canvas").evaluate(PIXELS),
    ]


def expected(space, model="dense"):
    """The same by the library; the colours are those of the page that is not broken."""
    predictor, entry = space.subjects[model].load(), space.shelf.find("rings")
    found = trace(predictor.network, predictor.inputs([predictor.fitted(entry.path)]))
    one = probe(found, 1, CELL)
    box = " ".join(map(str, Supports(found).box(1, CELL) or ()))
    return [one.stored, one.total, box, (str(CELL[2]), str(CELL[1]))]


PROBE = "**/views/probe.js"
BREAKS = {
    "swapped rows and columns": (PROBE, "y: cell.y, x: cell.x }, this.context", "y: cell.x, x: cell.y }, this.context"),
    "colours without a scale": ("**/colour.js", "(value - low)) / (high - low)", "(value - low)) / 255"),
    "a mark one cell off": (PROBE, "this.after.mark([{ y: cell.y,", "this.after.mark([{ y: cell.y + 1,"),
    "a map kept after a change of the channel": (PROBE, "const key = `${op} ${channel}`", "const key = `${op}`"),
}


@pytest.fixture(scope="module")
def space():
    return Workspace.of([subject_of("dense"), subject_of("plain")], "test")


def shown(browser, site, rule=None):
    """What a page says, with one line of its JavaScript changed."""
    watched = Watched(browser, site)
    if rule:
        pattern, old, new = rule

        def change(route):
            text = route.fetch().text()
            assert text.count(old) == 1, "the line to break is there"
            route.fulfill(body=text.replace(old, new), content_type="text/javascript")

        watched.page.route(pattern, change)
    watched.open(STATE.replace("channel=1", "channel=3"))  # so that what is kept could be stale
    found = said(watched)
    watched.context.close()
    return found


def test_each_broken_viewer_is_caught(browser, space):
    with serving(space) as site:
        right = shown(browser, site)
        assert right[:4] == expected(space)
        for name, rule in BREAKS.items():
            assert shown(browser, site, rule) != right, name


def test_padding_that_is_off_by_one_is_caught(browser, monkeypatch):
    space = Workspace.of([subject_of("plain")], "test")
    state = STATE.replace("dense", "plain").replace("op=1", "op=0")
    predictor, entry = space.subjects["plain"].load(), space.shelf.find("rings")
    found = trace(predictor.network, predictor.inputs([predictor.fitted(entry.path)]))
    right = windows.paddings
    monkeypatch.setattr(windows, "paddings", lambda operation: tuple(np.add(right(operation), 1)))
    with serving(space) as site:
        watched = Watched(browser, site)
        stored, total, *_ = said(watched, state)
        watched.context.close()
    assert stored == found.maps(0)[CELL]
    assert abs(total - stored) > 1e-5 * abs(stored)
