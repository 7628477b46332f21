"""Predicted objects as COCO writes them: `striate predict --coco FILE`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.base.errors import DataError
from striate.base.files import to_json, write_bytes
from striate.data.decode import header
from striate.data.target.points import HIDDEN, SEEN

from .things import MIN_POINT


def write_coco(
    path: Path, documents: Sequence[Mapping[str, Any]], names: Sequence[str], points: Sequence[str] = ()
) -> None:
    """Write images, annotations with scores and categories, atomically; what reads COCO JSON reads it.

    Where objects have masks, `segmentation` are their run lengths and `area` their pixels; where they have key points,
    `keypoints` are x, y and 2 of each, 1 in place of 2 where the network does not see it. Boxes are x, y, width,
    height. All are in pixels of the upright image from its outer corner. Images, annotations and categories are
    numbered from 1 on; `file_name` is the path as it was given.

    Args:
        documents: of `Prediction.to_json`.
        names: the classes.
        points: of each object.

    Raises:
        DataError: a prediction holds no objects.
        ResourceError: the file cannot be written.
    """
    labels = {name: label for label, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, document in enumerate(documents, 1):
        if "things" not in document:
            fix = "use a run of --task detect, or coco:NAME"
            raise DataError("no objects were predicted, which COCO JSON lists", where=str(document["id"]), fix=fix)
        height, width = _size_hw(Path(str(document["id"])))
        images.append({"id": number, "file_name": str(document["id"]), "height": height, "width": width})
        for thing in document["things"]:
            annotations.append(_annotation(thing, len(annotations) + 1, number, labels[thing["name"]]))
    more = {"keypoints": list(points)} if points else {}
    categories = [{"id": label, "name": name} | more for name, label in labels.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_bytes(path, to_json(content).encode())


def _annotation(thing: Mapping[str, Any], number: int, image: int, label: int) -> dict[str, Any]:
    left, top, right, bottom = (round(side, 2) for side in thing["box"])
    bbox = [left, top, round(right - left, 2), round(bottom - top, 2)]
    area = thing.get("mask_pixels", round(bbox[2] * bbox[3], 2))
    shape = {"segmentation": thing["mask"]} if "mask" in thing else {}
    return {"id": number, "image_id": image, "category_id": label, "bbox": bbox, "area": area, "iscrowd": 0,
            "score": round(thing["score"], 5)} | shape | _points(thing)  # fmt: skip


def _points(thing: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        (round(x, 2), round(y, 2), SEEN if not score or score[0] > MIN_POINT else HIDDEN)
        for x, y, *score in thing.get("points", ())
    ]
    return {"keypoints": [number for row in rows for number in row], "num_keypoints": len(rows)} if rows else {}


def _size_hw(path: Path) -> tuple[int, int]:
    probe = header(path)
    height, width = probe.size_hw
    return (width, height) if probe.orientation > 4 else (height, width)
