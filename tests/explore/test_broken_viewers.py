"""Viewers that are broken on purpose are caught by the same comparisons that the page passes."""

import numpy as np
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


def shown(watched):
    """What a page says, after it has said something else that could be kept."""
    watched.open(STATE.replace("channel=1", "channel=3"))
    return said(watched)


def broken(stage, pattern, old, new):
    """What a page says with one line of its JavaScript changed."""
    watched = Watched(stage.browser, stage.site)

    def change(route):
        text = route.fetch().text()
        assert text.count(old) == 1, "the line to break is there"
        route.fulfill(body=text.replace(old, new), content_type="text/javascript")

    watched.page.route(pattern, change)
    found = shown(watched)
    watched.context.close()
    return found


def test_each_broken_viewer_is_caught(stage, watched):
    right = shown(watched)
    assert right[:4] == expected(stage.site.workspace)
    for name, rule in BREAKS.items():
        assert broken(stage, *rule) != right, name


def test_padding_that_is_off_by_one_is_caught(stage, monkeypatch):
    space = Workspace.of([subject_of("plain")], "a pass of its own, since its boxes are kept")
    predictor, entry = space.subjects["plain"].load(), space.shelf.find("rings")
    found = trace(predictor.network, predictor.inputs([predictor.fitted(entry.path)]))
    right = windows.paddings
    monkeypatch.setattr(windows, "paddings", lambda operation: tuple(np.add(right(operation), 1)))
    with serving(space) as site, stage.window(site) as watched:
        stored, total, *_ = said(watched, STATE.replace("dense", "plain").replace("op=1", "op=0"))
    assert stored == found.maps(0)[CELL]
    assert abs(total - stored) > 1e-5 * abs(stored)
