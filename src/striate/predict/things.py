"""The things that were found in an image: in a document, and drawn."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from striate.base.runs import Bits, run_text, runs_of
from striate.data.geometry import WayBack
from striate.data.sample import ImageU8
from striate.data.target.palette import colour_of, cover, line_px, spot
from striate.task.answer import Thing
from striate.task.detect.masks import own_mask

MIN_POINT = 0.0  # score of a key point, a logit, from which it is drawn
TEXT_SHARE, MIN_SCALE, FONT_PX = 1 / 40, 0.35, 22  # of the shorter side; of the font, which is 22 px high at scale 1


def document_of(thing: Thing) -> dict[str, Any]:
    """Return the plain document of a thing: of a mask the number of its pixels, and its runs as COCO writes them.

    Example:
        >>> document_of(Thing("cat", 0.9, (1.0, 2.0, 30.0, 40.0)))
        {'name': 'cat', 'score': 0.9, 'box': [1.0, 2.0, 30.0, 40.0]}
    """
    document: dict[str, Any] = {"name": thing.name, "score": thing.score, "box": list(thing.box)}
    if thing.mask is not None:
        document["mask_pixels"] = int(thing.mask.sum())
        document["mask"] = {"size": list(thing.mask.shape), "counts": run_text(runs_of(thing.mask))}
    if thing.points:
        document["points"] = [list(point) for point in thing.points]
    return document


def drawn(image_u8: ImageU8, things: Sequence[Thing], names: Sequence[str]) -> ImageU8:
    """Return an image (H, W, 3) with boxes, classes and scores, the surest on top; masks cover it half.

    Key points lie above all boxes, each in its own colour. Texts that are wider than half of the image are left out.
    """
    import cv2

    image, width = image_u8.copy(), line_px(image_u8)
    for thing in reversed(things):
        colour = colour_of(names.index(thing.name))
        if thing.mask is not None:
            cover(image, thing.mask, colour)
        left, top, right, bottom = (round(side) for side in thing.box)
        cv2.rectangle(image, (left, top), (right - 1, bottom - 1), colour, width)
        _write(image, f"{thing.name} {thing.score:.2f}", (left, top), colour)
    for thing in reversed(things):
        for number, (x, y, *score) in enumerate(thing.points):
            if not score or score[0] > MIN_POINT:
                spot(image, (x, y), colour_of(number), width)
    return image


def _write(image_u8: ImageU8, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A text on a ground of its class's colour above a box, or inside it at the image's border; in place."""
    import cv2

    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(MIN_SCALE, min(image_u8.shape[:2]) * TEXT_SHARE / FONT_PX)
    plain = text.encode("ascii", "replace").decode()
    (across, down), below = cv2.getTextSize(plain, font, scale, 1)
    if across > image_u8.shape[1] / 2:
        return
    left, top = max(0, min(corner[0], image_u8.shape[1] - across)), max(corner[1], down + below)
    cv2.rectangle(image_u8, (left, top - down - below), (left + across, top), colour, -1)
    cv2.putText(image_u8, plain, (left, top - below), font, scale, (255, 255, 255), 1, cv2.LINE_AA)


def own_things(things: tuple[Thing, ...] | None, way: WayBack) -> tuple[Thing, ...] | None:
    """Return things in the pixels of the network's view as things in the image's own."""
    if not things:
        return things
    boxes = way.boxes([thing.box for thing in things]).tolist()
    return tuple(
        replace(thing, box=tuple(box), mask=_own_mask(thing, way), cells=None, points=_own_points(thing, way))
        for thing, box in zip(things, boxes, strict=True)
    )


def _own_points(thing: Thing, way: WayBack) -> tuple[tuple[float, ...], ...]:
    places = way.inner_points([point[:2] for point in thing.points]).tolist() if thing.points else ()
    return tuple((x, y, *point[2:]) for (x, y), point in zip(places, thing.points, strict=True))


def _own_mask(thing: Thing, way: WayBack) -> Bits | None:
    return thing.mask if thing.cells is None else own_mask(thing.cells, thing.box, way)
