"""How the answers of a task lie in a table: one layout a kind of answer; a task names its own."""

from collections.abc import Mapping
from typing import Any

from striate.base.choose import choose
from striate.base.errors import ModelError
from striate.metric import Answers

from .boxes import ManyBoxes
from .classes import Labels, Tags
from .images import Images
from .layout import Cells, Layout
from .maps import Maps
from .numbers import Numbers
from .places import Places
from .ragged import Objects
from .rows import Rows
from .sidecar import Sidecar
from .spots import Spots

__all__ = [
    "LAYOUTS",
    "Answers",
    "Cells",
    "Images",
    "Labels",
    "Layout",
    "ManyBoxes",
    "Maps",
    "Numbers",
    "Objects",
    "Places",
    "Rows",
    "Sidecar",
    "Spots",
    "Tags",
    "layout_of",
]

LAYOUTS: dict[str, type[Layout]] = {
    "label": Labels,
    "tags": Tags,
    "value": Numbers,
    "map": Maps,
    "images": Images,
    "objects": Objects,
    "place": Places,
    "boxes": ManyBoxes,
    "points": Spots,
}


def layout_of(task: Mapping[str, Any]) -> type[Layout]:
    """Return the kind of layout that a task's document names: its `layout`, else the kind of its target.

    Raises:
        ModelError: there is no such layout.

    Example:
        >>> layout_of({"kind": "tags"}).__name__
        'Tags'
    """
    return choose("layout of predictions", str(task.get("layout") or task.get("kind")), LAYOUTS, ModelError)
