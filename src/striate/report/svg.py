"""matplotlib figures as inline SVG in the page's own fonts and colours, light and dark, without style attributes."""

import io
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup, escape

from striate.base.text import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Each colour is a stand-in: in the page it becomes a class, and the style sheet says what it looks like.
INK, MUTED, RULE = "#000001", "#000002", "#000003"
TRAIN, VAL, TEST = "#000004", "#000005", "#000006"
GOOD, BAD, PAPER = "#000007", "#000008", "#000009"
CLASSES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    TRAIN: "train",
    VAL: "val",
    TEST: "test",
    GOOD: "good",
    BAD: "bad",
    PAPER: "paper",
}

NAMESPACE = re.compile(r"\{[^}]*\}")
LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?")
PAINT = ("fill-opacity", "stroke-opacity", "opacity", "stroke-width", "stroke-dasharray", "stroke-linecap")
KEPT = {*PAINT, "stroke-linejoin", "text-anchor", "font-weight"}


def draw(
    figure: "Figure",
    name: str,
    says: str,
    *,
    texts: Mapping[str, str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Markup:
    """Return a figure as an `<svg>` element.

    Args:
        figure: drawn with the stand-in colours of this file, 72 dots an inch, so that a point is a pixel.
        name: prefix of every id, unique in the page.
        says: what the chart shows, for readers that do not see it.
        texts: replacements for whole texts of the figure; matplotlib never sees text from outside, which could be
            taken for a formula or lack a glyph.
        titles: tooltip of each artist, by its gid.
    """
    root = ElementTree.fromstring(_render(figure))
    ids: dict[str, str] = {}
    for element in list(root.iter()):
        element.tag = NAMESPACE.sub("", str(element.tag))
        for child in [child for child in element if NAMESPACE.sub("", str(child.tag)) in {"style", "metadata"}]:
            element.remove(child)
        _plain_attributes(element, name, ids)
        if element.tag == "text" and (text := (texts or {}).get(element.text or "")) is not None:
            element.text = shown(text, 60)
    _add_titles(root, {ids[gid]: text for gid, text in (titles or {}).items() if gid in ids})
    _drop_ids(root)
    _, _, width, height = root.attrib.pop("viewBox").split()
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    body = re.sub(r">\s+<", "><", body)
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, escape(shown(says, 600)), Markup(body)
    )


def _render(figure: "Figure") -> str:
    import matplotlib

    # Real text takes the page's font, can be searched and read aloud; the default would draw it as outlines.
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return buffer.getvalue()


def _plain_attributes(element: ElementTree.Element, prefix: str, ids: dict[str, str]) -> None:
    """Turn inline style into attributes and classes, which a strict content policy allows, and shorten numbers."""
    classes, found = [], dict(element.attrib)
    element.attrib.clear()
    for rule in filter(None, map(str.strip, found.pop("style", "").split(";"))):
        key, _, value = (part.strip() for part in rule.partition(":"))
        if key in {"fill", "stroke"} and value.lower() in CLASSES:
            classes.append(f"{key[0]}-{CLASSES[value.lower()]}")
        elif key in {"fill", "stroke"} and value == "none":
            element.set(key, value)
        elif key in {"font", "font-size"} and (size := re.search(r"([\d.]+)px", value)):
            element.set("font-size", size[1])
        elif key in KEPT and value not in {"0", "butt", "start"}:
            element.set(key, value)
    for key, value in found.items():
        key = NAMESPACE.sub("", key)
        if key == "transform" and value.startswith("rotate(-0 "):
            continue
        if key in {"id", "href", "clip-path"}:
            value = re.sub(
                r"^(#|url\(#|)([^)]+)", lambda hit: hit[1] + ids.setdefault(hit[2], f"{prefix}-{len(ids)}"), value
            )
        elif key in {"d", "x", "y", "width", "height", "transform"}:
            value = " ".join(LONG_NUMBER.sub(lambda hit: f"{float(hit[0]):.1f}", value).split())
        element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))


def _add_titles(root: ElementTree.Element, titles: Mapping[str, str]) -> None:
    for element in root.iter("g"):
        if (text := titles.get(element.get("id", ""))) is not None:
            title = ElementTree.Element("title")
            title.text = shown(text, 120)
            element.insert(0, title)


def _drop_ids(root: ElementTree.Element) -> None:
    """Keep only the ids that something refers to."""
    used = set()
    for element in root.iter():
        used |= {found[1] for key in ("href", "clip-path") if (found := re.search(r"#([^)]+)", element.get(key, "")))}
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
