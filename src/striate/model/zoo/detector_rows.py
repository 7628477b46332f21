"""What detectors are made of: a body of the zoo, a pyramid of its coarsest maps, heads at each place or region."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from striate.model.blueprint import IMAGE, Blueprint, Row
from striate.model.level import Level

from .encoder import Body, Encoder, body_of, rows_before_head

ENCODER = "mobilenet_v2"
LEVELS = (Level("stage3", 8, 32), Level("stage5", 16, 96), Level("last", 32, 1280))  # of that, known without torch
NUM_LEVELS = 3  # of the encoder's maps, the coarsest ones
SIDES = 4
SIZE = 320  # pixels a side that detectors are drawn and counted for
ENDS = ("classes", "boxes", "places")
Options = dict[str, Any]


def as_body(encoder: Encoder | Body) -> Body:
    """Return the body that a detector begins with."""
    if encoder == ENCODER:
        return replace(rows_before_head(ENCODER, {}), levels=LEVELS)
    return encoder if isinstance(encoder, Body) else body_of(encoder)


def pyramid(levels: Sequence[Level], width: int, given: Options, extra: int = 0) -> tuple[list[Row], list[str]]:
    """Return the rows of a feature pyramid of one width, and the names of its maps, fine to coarse.

    Args:
        given: options of every convolution.
        extra: coarser maps behind the last one, each of half its size.
    """
    rows: list[Row] = []
    names: list[str] = []
    point = {**given, "kernel": 1, "activation": "none"}
    for level in reversed(levels):
        at, source = f"at{level.stride}", f"lateral_at{level.stride}"
        rows.append(Row("conv", width, inputs=(level.name,), options=point, name=source))
        if names:
            rows.append(Row("resize", inputs=(names[0], source), options={"mode": "nearest"}, name=f"larger_{at}"))
            rows.append(Row("add", inputs=(source, f"larger_{at}"), name=f"merged_{at}"))
            source = f"merged_{at}"
        rows.append(Row("conv", width, inputs=(source,), options=given, name=f"pyramid_{at}"))
        names.insert(0, f"pyramid_{at}")
    stride = levels[-1].stride
    for _ in range(extra):
        stride *= 2
        rows.append(Row("conv", width, stride=2, inputs=(names[-1],), options=given, name=f"pyramid_at{stride}"))
        names.append(f"pyramid_at{stride}")
    return rows, names


def until_last_but_one(body: Body) -> tuple[Body, list[str]]:
    """Return the body up to its coarsest map but one, since images here are small, and that map's name."""
    name = body.levels[-2:][0].name
    last = [row.name for row in body.rows].index(name)
    return replace(body, rows=body.rows[: last + 1]), [name]


def head(name: str, width: int, names: Sequence[str], given: Options, **options: Any) -> Row:
    """Return the row of a head on maps of these names; width 0 is that of the outputs."""
    return Row("dense_head", width, inputs=tuple(names), options={**given, **options}, name=name)


def ended(body: Body, name: str, rows: Sequence[Row], names: Sequence[str], paper: str) -> Blueprint:
    """Return the detector of a body and rows that end in heads "classes" and "boxes" on the maps of these names."""
    places = Row("places", inputs=(*names, IMAGE), name="places")
    assert body.whole is not None, "detectors begin with a network of the zoo"
    return body.blueprint(name, [*rows, places], body.whole.defaults, paper=paper, size=SIZE, ends=ENDS)


def second_look(
    names: Sequence[str], boxes: str, *, units: int, activation: str, dropout: float, pool: str = "align"
) -> list[Row]:
    """Return the rows that classify what maps of these names hold inside boxes, and mend the boxes."""
    plain = {"kernel": 1, "norm": "none", "padding": "same"}  # of rows of numbers, whatever the encoder's images have
    layer, last = {**plain, "activation": activation}, {**plain, "activation": "none", "bias": True}
    way = {} if pool == "align" else {"pool": pool}
    return [
        Row("regions", inputs=(*names, boxes, IMAGE), options=way, name="regions"),
        Row("conv", units, inputs=("regions",), options=layer, name="units1"),
        Row("conv", units, inputs=("units1",), options=layer, name="units2"),
        Row("dropout", inputs=("units2",), options={"rate": dropout}, name="dropped"),
        Row("conv", 0, inputs=("dropped",), options=last, name="classes"),
        Row("conv", SIDES, inputs=("dropped",), options=last, name="boxes"),
    ]
