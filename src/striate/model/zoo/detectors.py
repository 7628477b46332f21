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
PAPER_FOCAL = "Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002"
PAPER_FCOS = "Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, arXiv:1904.01355"
PAPER_SSD = "Liu et al., SSD: Single Shot MultiBox Detector, arXiv:1512.02325"
PAPER_YOLO = "Redmon et al., You Only Look Once: Unified, Real-Time Object Detection, arXiv:1506.02640"
PAPER_DETR = "Carion et al., End-to-End Object Detection with Transformers, arXiv:2005.12872"
PAPER_FASTER = "Ren et al., Faster R-CNN: Towards Real-Time Object Detection, arXiv:1506.01497"
RETINA_ANCHORS, SSD_ANCHORS, YOLO_BOXES, PROPOSAL_ANCHORS = 9, 6, 2, 3  # at each place
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
    width: int = 64,
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


def retinanet(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 2,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 3 of the paper: a pyramid with two coarser maps behind it, and two heads for nine anchors a place.

    The paper's has 256 channels and four convolutions without normalisation in a head: `width=256, depth=4`.

    Args: as for `one_stage`.
    """
    body, given = as_body(encoder), {"norm": norm, "activation": activation}
    rows, names = pyramid(body.levels[-NUM_LEVELS:], width, given, extra=2)
    options = {"depth": depth, "dropout": dropout, "per_place": RETINA_ANCHORS}
    rows.append(head("classes", 0, names, given, start=RARE, **options))
    rows.append(head("boxes", SIDES, names, given, **options))
    return ended(body, name, rows, names, PAPER_FOCAL)


def fcos(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 2,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 2 of the paper: RetinaNet's pyramid; at a place the classes, four distances and one nearness.

    The paper's has 256 channels and four convolutions in a head: `width=256, depth=4`.

    Args: as for `one_stage`.
    """
    body, given = as_body(encoder), {"norm": norm, "activation": activation}
    rows, names = pyramid(body.levels[-NUM_LEVELS:], width, given, extra=2)
    rows.append(head("classes", 0, names, given, depth=depth, dropout=dropout, start=RARE))
    rows.append(head("boxes", SIDES + 1, names, given, depth=depth, dropout=dropout, start=log(2)))
    return ended(body, name, rows, names, PAPER_FCOS)


def ssd(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 2 of the paper: heads of their own on the encoder's maps and on one that is coarser.

    Args: as for `one_stage`; `width` is of the coarser map alone.
    """
    body, given = as_body(encoder), {"norm": norm, "activation": activation}
    levels = body.levels[-NUM_LEVELS:]
    coarser = Row("conv", width, stride=2, inputs=(levels[-1].name,), options=given, name="coarser")
    names = [*(level.name for level in levels), coarser.name]
    options = {"depth": depth, "dropout": dropout, "per_place": SSD_ANCHORS, "shared": False}
    heads = [head("classes", 0, names, given, **options), head("boxes", SIDES, names, given, **options)]
    return ended(body, name, [coarser, *heads], names, PAPER_SSD)


def yolo_v1(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 2,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return a grid of the encoder's last map but one: in each cell the classes, and two boxes of five numbers.

    Args: as for `one_stage`.
    """
    body, given = as_body(encoder), {"norm": norm, "activation": activation}
    level = body.levels[-2:][0]
    last = [row.name for row in body.rows].index(level.name)
    body = replace(body, rows=body.rows[: last + 1])
    rows = [Row("conv", width, inputs=(level.name,), options=given, name="cells")]
    rows.append(head("classes", 0, ["cells"], given, depth=depth, dropout=dropout))
    rows.append(head("boxes", SIDES + 1, ["cells"], given, depth=depth, dropout=dropout, per_place=YOLO_BOXES))
    return ended(body, name, rows, ["cells"], PAPER_YOLO)


def faster_rcnn(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 1,
    regions: int = 100,
    units: int = 256,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 2 of the paper on a pyramid: a first look proposes boxes, a second one classifies what is in them.

    The paper's with a pyramid has 256 channels, 1,000 regions and 1,024 units.

    Args: as for `one_stage`; and
        depth: convolutions of the first look.
        regions: boxes that are looked at twice.
        units: of the two layers of the second look.
    """
    body, given = as_body(encoder), {"norm": norm, "activation": activation}
    rows, names = pyramid(body.levels[-NUM_LEVELS:], width, given, extra=1)
    options = {"depth": depth, "per_place": PROPOSAL_ANCHORS}
    rows.append(head("objectness", 1, names, given, start=RARE, **options))
    rows.append(head("shifts", SIDES, names, given, **options))
    rows.append(Row("places", inputs=(*names, IMAGE), name="places"))
    first = ("objectness", "shifts", "places")
    rows.append(Row("proposals", inputs=first, options={"num": regions}, name="proposals"))
    rows.append(Row("regions", inputs=(*names, "proposals", IMAGE), name="regions"))
    layer = {"kernel": 1, "norm": "none", "activation": activation}
    rows.append(Row("conv", units, inputs=("regions",), options=layer, name="units1"))
    rows.append(Row("conv", units, inputs=("units1",), options=layer, name="units2"))
    rows.append(Row("dropout", inputs=("units2",), options={"rate": dropout}, name="dropped"))
    last = {"kernel": 1, "norm": "none", "activation": "none", "bias": True}
    rows.append(Row("conv", 0, inputs=("dropped",), options=last, name="classes"))
    rows.append(Row("conv", SIDES, inputs=("dropped",), options=last, name="boxes"))
    assert body.whole is not None, "detectors begin with a network of the zoo"
    ends = (*ENDS, "proposals", *first[:2])
    return body.blueprint(name, rows, body.whole.defaults, paper=PAPER_FASTER, size=SIZE, ends=ends)


def detr(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 128,
    depth: int = 3,
    queries: int = 40,
    heads: int = 8,
    norm: str = "layer",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 2 of the paper: attention among the places of one map, then queries that each answer for an object.

    The paper's has 256 features, 6 layers of each kind, and 100 queries.

    Args: as for `one_stage`; and
        width: features of places and queries.
        depth: layers of each kind.
        queries: the most objects an image may have.
        heads: attentions side by side.
        norm, activation: of the attention among places, and of the last layers.
    """
    body = as_body(encoder)
    level = body.levels[-2:][0]  # a finer map than the paper's last one: images here are small
    last = [row.name for row in body.rows].index(level.name)
    body = replace(body, rows=body.rows[: last + 1])
    plain = {"kernel": 1, "norm": "none", "bias": True}
    layer = {"heads": heads, "dropout": dropout, "norm": norm, "activation": activation}
    asked = {"num": queries, "depth": depth, "heads": heads, "dropout": dropout}
    rows = [
        Row("conv", width, inputs=(level.name,), options={**plain, "activation": "none"}, name="projected"),
        Row("sine_tokens", inputs=("projected",), name="tokens"),
        *(Row("transformer", width, options=layer, name=f"layer{number}") for number in range(1, depth + 1)),
        Row("grid", inputs=(f"layer{depth}" if depth else "tokens", "projected"), name="memory"),
        Row("queries", width, inputs=("memory",), options=asked, name="queries"),
        Row("conv", 0, inputs=("queries",), options={**plain, "activation": "none"}, name="classes"),
        *(
            Row("conv", width, inputs=(before,), options={**plain, "activation": activation}, name=after)
            for before, after in (("queries", "sides1"), ("sides1", "sides2"))
        ),
        Row("conv", SIDES, inputs=("sides2",), options={**plain, "activation": "none"}, name="boxes"),
    ]
    return ended(body, name, rows, ["memory"], PAPER_DETR)


MAKERS: dict[str, Callable[..., Blueprint]] = {
    "one_stage": one_stage,
    "retinanet": retinanet,
    "fcos": fcos,
    "ssd": ssd,
    "yolo_v1": yolo_v1,
    "faster_rcnn": faster_rcnn,
    "detr": detr,
}


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


def _entry(name: str, paper: str, year: int, text: str) -> Entry:
    return Entry(partial(MAKERS[name], name), paper, year, f"{text}; for boxes")


ENTRIES = {
    "one_stage": _entry("one_stage", PAPER_ALIGNED, 2021, "pyramid, no anchors, one look"),
    "retinanet": _entry("retinanet", PAPER_FOCAL, 2017, "pyramid, anchors, focal loss"),
    "fcos": _entry("fcos", PAPER_FCOS, 2019, "pyramid, no anchors, nearness to the middle"),
    "ssd": _entry("ssd", PAPER_SSD, 2015, "anchors on the encoder's own maps"),
    "faster_rcnn": _entry("faster_rcnn", PAPER_FASTER, 2015, "a first look proposes, a second one classifies"),
    "detr": _entry("detr", PAPER_DETR, 2020, "attention; queries that each answer for one object"),
    "yolo_v1": _entry("yolo_v1", PAPER_YOLO, 2015, "one grid, two boxes a cell"),
}
