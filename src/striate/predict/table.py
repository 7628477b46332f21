"""Predictions as a table that any spreadsheet opens: `striate predict --csv`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.base.cells import cell, encoding_errors, joined
from striate.base.files import write_bytes

SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_table(path: Path, documents: Sequence[Mapping[str, Any]], points: Sequence[str] = ()) -> None:
    """Write a row for each of the documents of `Prediction.to_json`, atomically.

    After the image's `id` stand `prediction` and `p:CLASS` for classes and tags (several tags joined by `|`), one
    column a number, or `height`, `width` and the share of each class, `share:CLASS`, for maps; then the box in pixels
    of the image, or `x_NAME,y_NAME` of points, which can be read as a table of points again. Things that were found
    have a row each: `id,label,score`, the box, and `x_NAME,y_NAME` of their key points. Text that a spreadsheet would
    run as a formula has a `'` before it.

    Args:
        points: of each thing.

    Raises:
        ResourceError: the file cannot be written.
    """
    rows = [row for document in documents for row in _rows(document, points)]
    of_things = ["label", "score", *SIDES, *(f"{axis}_{name}" for name in points for axis in "xy")]
    header = list(rows[0]) if rows else ["id", *(of_things if documents else ())]  # images in which nothing was found
    lines = [map(cell, header), *([row[name] for name in header] for row in rows)]
    text = "".join(",".join(cells) + "\n" for cells in lines)
    write_bytes(path, text.encode("utf-8", encoding_errors(text)))


def _rows(document: Mapping[str, Any], points: Sequence[str]) -> list[dict[str, str]]:
    if "things" not in document:
        return [_row(document)]
    first = {"id": cell(str(document["id"]))}
    return [
        {**first, "label": cell(one["name"]), "score": _number(one["score"]), **_sides(one["box"])}
        | _places(dict(zip(points, one.get("points", ()), strict=False)))
        for one in document["things"]
    ]


def _places(points: Mapping[str, Sequence[float]]) -> dict[str, str]:
    return {f"{axis}_{name}": _number(place[at]) for name, place in points.items() for at, axis in enumerate("xy")}


def _sides(box: Sequence[float]) -> dict[str, str]:
    return {side: _number(place) for side, place in zip(SIDES, box, strict=False)}


def _row(document: Mapping[str, Any]) -> dict[str, str]:
    """The cells of an image under the names of their columns."""
    row = {"id": cell(str(document["id"]))}
    if "prediction" in document:
        row["prediction"] = cell(joined(document["prediction"]))
    row |= {f"p:{name}": _number(share) for name, share in document.get("probabilities", {}).items()}
    row |= {name: _number(value) for name, value in document.get("values", {}).items()}
    row |= _places(document.get("points", {}))
    if "size_hw" in document:
        row |= dict(zip(("height", "width"), map(str, document["size_hw"]), strict=True))
    row |= {f"share:{name}": _number(share) for name, share in document.get("shares", {}).items()}
    return row | _sides(document.get("box", ()))


def _number(value: float) -> str:
    return f"{value:.6g}"
