"""Detectors of one stage: the body of any network of the zoo, a pyramid of its coarsest maps, and heads at each place.

A detector's outputs are a list, one row of `ends` each: what is told of the classes and of the box at every place, and
where the places are. How they are trained and read is the task's, see `striate.task.detect`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import log
from typing import Any

from striate.model.blueprint import IMAGE, Blueprint, Row
from striate.model.level import Level

from .encoder import Body, Encoder, body_of, rows_before_head
from .entry import Entry

PAPER_PYRAMID = "Lin et al., Feature Pyramid Networks for Object Detection, arXiv:1612.03144"
PAPER_ALIGNED = "Feng et al., TOOD: Task-aligned One-stage Object Detection, arXiv:2108.07755"
ENCODER = "mobilenet_v2"
LEVELS = (Level("stage3", 8, 32), Level("stage5", 16, 96), Level("last", 32, 1280))  # of that, known without torch
NUM_LEVELS = 3  # of the encoder's maps, the coarsest ones
RARE = -log(99.0)  # the logit of a class that is at one place in a hundred
SIDES = 4
SIZE = 320  # pixels a side that detectors are drawn and counted for
ENDS = ("classes", "boxes", "places")
Options = dict[str, Any]


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


def one_stage(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 96,
    depth: int = 2,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return a detector without anchors: at every place the classes' logits and the distances to the box's four sides.

    Args:
        encoder: a network of the zoo, whose body it begins with.
        width: channels of the pyramid and the heads.
        depth: convolutions of each head before its last one.
        norm, activation: of the pyramid and the heads.
        dropout: rate of whole maps before a head's last convolution.
    """
    body, given = as_body(encoder), {"norm": norm, "activation": activation}
    rows, names = pyramid(body.levels[-NUM_LEVELS:], width, given)
    rows.append(head("classes", 0, names, given, depth=depth, dropout=dropout, start=RARE))
    rows.append(head("boxes", SIDES, names, given, depth=depth, dropout=dropout, start=log(2)))
    return ended(body, name, rows, names, PAPER_ALIGNED)


def head(name: str, width: int, names: Sequence[str], given: Options, **options: Any) -> Row:
    """Return the row of a head on maps of these names; width 0 is that of the outputs."""
    return Row("dense_head", width, inputs=tuple(names), options={**given, **options}, name=name)


def ended(body: Body, name: str, rows: Sequence[Row], names: Sequence[str], paper: str) -> Blueprint:
    """Return the detector of a body and rows that end in heads "classes" and "boxes" on the maps of these names."""
    places = Row("places", inputs=(*names, IMAGE), name="places")
    assert body.whole is not None, "detectors begin with a network of the zoo"
    return body.blueprint(name, [*rows, places], body.whole.defaults, paper=paper, size=SIZE, ends=ENDS)


MAKERS: dict[str, Callable[..., Blueprint]] = {"one_stage": one_stage}


def on_blueprint(kind: str, blueprint: Blueprint) -> Blueprint:
    """Return the detector of a kind on the body of a network, under the network's name.

    Raises:
        SettingsError: the network gives no vector, or has no maps.
    """
    from striate.model.encoder import encoder_of

    rows, levels = encoder_of(blueprint)
    body = Body(tuple(rows), tuple(levels), blueprint, blueprint.encoder or {"name": blueprint.name})
    return MAKERS[kind](blueprint.name, encoder=body)


def as_body(encoder: Encoder | Body) -> Body:
    """Return the body that a detector begins with."""
    if encoder == ENCODER:
        return replace(rows_before_head(ENCODER, {}), levels=LEVELS)
    return encoder if isinstance(encoder, Body) else body_of(encoder)


ENTRIES = {
    "one_stage": Entry(
        partial(one_stage, "one_stage"), PAPER_ALIGNED, 2021, "pyramid, no anchors, one look; for boxes"
    ),
}
