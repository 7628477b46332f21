"""Detectors of one stage: the body of any network of the zoo, a pyramid of its coarsest maps, and heads at each place.

A detector's outputs are a list, one row of `ends` each: what is told of the classes and of the box at every place, and
where the places are. How they are trained and read is the task's, see `striate.task.detect`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import log
from typing import Any

from striate.model.blueprint import IMAGE, Blueprint, Row

from .detector_rows import (
    ENCODER,
    ENDS,
    NUM_LEVELS,
    SIDES,
    SIZE,
    as_body,
    ended,
    head,
    pyramid,
    second_look,
    until_last_but_one,
)
from .encoder import Body, Encoder
from .entry import Entry
from .rcnn import PAPER_FAST, PAPER_RCNN, fast_rcnn, rcnn

PAPER_PYRAMID = "Lin et al., Feature Pyramid Networks for Object Detection, arXiv:1612.03144"
PAPER_ALIGNED = "Feng et al., TOOD: Task-aligned One-stage Object Detection, arXiv:2108.07755"
PAPER_FOCAL = "Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002"
PAPER_FCOS = "Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, arXiv:1904.01355"
PAPER_SSD = "Liu et al., SSD: Single Shot MultiBox Detector, arXiv:1512.02325"
PAPER_YOLO = "Redmon et al., You Only Look Once: Unified, Real-Time Object Detection, arXiv:1506.02640"
PAPER_DETR = "Carion et al., End-to-End Object Detection with Transformers, arXiv:2005.12872"
PAPER_MASK = "He et al., Mask R-CNN, arXiv:1703.06870"
PAPER_FASTER = "Ren et al., Faster R-CNN: Towards Real-Time Object Detection, arXiv:1506.01497"
RETINA_ANCHORS, SSD_ANCHORS, YOLO_BOXES, PROPOSAL_ANCHORS = 9, 6, 2, 3  # at each place
LOOKS = (*ENDS, "proposals", "objectness", "shifts")
RARE = -log(99.0)  # the logit of a class that is at one place in a hundred


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
    body, names = until_last_but_one(body)
    rows = [Row("conv", width, inputs=tuple(names), options=given, name="cells")]
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
    first = {"depth": depth, "per_place": PROPOSAL_ANCHORS}
    rows += [
        head("objectness", 1, names, given, start=RARE, **first),
        head("shifts", SIDES, names, given, **first),
        Row("places", inputs=(*names, IMAGE), name="places"),
        Row("proposals", inputs=("objectness", "shifts", "places"), options={"num": regions}, name="proposals"),
    ]
    rows += second_look(names, "proposals", units=units, activation=activation, dropout=dropout)
    assert body.whole is not None, "detectors begin with a network of the zoo"
    return body.blueprint(name, rows, body.whole.defaults, paper=PAPER_FASTER, size=SIZE, ends=LOOKS)


def mask_rcnn(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 1,
    regions: int = 100,
    units: int = 256,
    objects: int = 50,
    mask_depth: int = 4,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return Faster R-CNN with a third look: what is found is looked at once more, and a mask is made in each box.

    Args: as for `faster_rcnn`; and
        objects: the most an image may have.
        mask_depth: convolutions of the third look before the sides are doubled.
    """
    same: dict[str, Any] = {"encoder": encoder, "width": width, "depth": depth, "regions": regions, "units": units}
    plan = faster_rcnn(name, **same, norm=norm, activation=activation, dropout=dropout)
    return _with_third_look(plan, Row("mask_head", 0, options={"depth": mask_depth}, name="masks"), objects, activation)


def keypoint_rcnn(
    name: str,
    /,
    *,
    encoder: Encoder | Body = ENCODER,
    width: int = 64,
    depth: int = 1,
    regions: int = 100,
    units: int = 256,
    objects: int = 50,
    points: int = 17,
    point_depth: int = 4,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return Faster R-CNN with a third look: what is found is looked at once more, for a heat map of each key point.

    The paper's has 512 channels and 8 convolutions there.

    Args: as for `faster_rcnn`; and
        objects: the most an image may have.
        points: of an object; a run takes those of its data.
        point_depth: convolutions of the third look before the sides are doubled.
    """
    same: dict[str, Any] = {"encoder": encoder, "width": width, "depth": depth, "regions": regions, "units": units}
    plan = faster_rcnn(name, **same, norm=norm, activation=activation, dropout=dropout)
    look = Row("point_head", options={"points": points, "depth": point_depth}, name="points")
    return _with_third_look(plan, look, objects, activation)


def _with_third_look(plan: Blueprint, look: Row, objects: int, activation: str) -> Blueprint:
    """Faster R-CNN with a row that looks at what it finds, and ends in that."""
    (maps,) = (row.inputs for row in plan.rows if row.name == "places")
    found = ("classes", "boxes", "proposals", IMAGE)
    options = {**look.options, "activation": activation}
    rows = (
        Row("detections", inputs=found, options={"num": objects}, name="detections"),
        replace(look, inputs=(*maps[:-1], "detections", IMAGE), options=options),
    )
    return replace(plan, rows=plan.rows + rows, paper=PAPER_MASK, ends=(*LOOKS, "detections", look.name))


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

    The paper's has 256 features, 6 layers of each kind, and 100 queries without boxes, see `striate.nn.blocks.queries`.

    Args: as for `one_stage`; and
        width: features of places and queries.
        depth: layers of each kind.
        queries: the most objects an image may have.
        heads: attentions side by side.
        norm, activation: of the attention among places, and of the last layers.
    """
    body, names = until_last_but_one(as_body(encoder))
    plain = {"kernel": 1, "norm": "none", "bias": True, "padding": "same"}
    layer = {"heads": heads, "dropout": dropout, "norm": norm, "activation": activation}
    asked = {"num": queries, "depth": depth, "heads": heads, "dropout": dropout}
    rows = [
        Row("conv", width, inputs=tuple(names), options={**plain, "activation": "none"}, name="projected"),
        Row("sine_tokens", inputs=("projected",), name="tokens"),
        *(Row("transformer", width, options=layer, name=f"layer{number}") for number in range(1, depth + 1)),
        Row("token_norm", inputs=(f"layer{depth}" if depth else "tokens",), options={"norm": norm}, name="normalised"),
        Row("grid", inputs=("normalised", "projected"), name="memory"),
        Row("queries", width, inputs=("memory",), options=asked, name="queries"),
        Row("part", width, inputs=("queries",), name="answers"),
        Row("conv", 0, inputs=("answers",), options={**plain, "activation": "none"}, name="classes"),
        Row("part", SIDES, inputs=("queries",), options={"start": width}, name="boxes"),
    ]
    return ended(body, name, rows, ["memory"], PAPER_DETR)


MAKERS: dict[str, Callable[..., Blueprint]] = {
    "one_stage": one_stage,
    "retinanet": retinanet,
    "fcos": fcos,
    "ssd": ssd,
    "yolo_v1": yolo_v1,
    "rcnn": rcnn,
    "fast_rcnn": fast_rcnn,
    "faster_rcnn": faster_rcnn,
    "mask_rcnn": mask_rcnn,
    "keypoint_rcnn": keypoint_rcnn,
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


def _entry(name: str, paper: str, year: int, text: str) -> Entry:
    return Entry(partial(MAKERS[name], name), paper, year, f"{text}; for boxes")


ENTRIES = {
    "one_stage": _entry("one_stage", PAPER_ALIGNED, 2021, "pyramid, no anchors, one look"),
    "retinanet": _entry("retinanet", PAPER_FOCAL, 2017, "pyramid, anchors, focal loss"),
    "fcos": _entry("fcos", PAPER_FCOS, 2019, "pyramid, no anchors, nearness to the middle"),
    "ssd": _entry("ssd", PAPER_SSD, 2015, "anchors on the encoder's own maps"),
    "rcnn": _entry("rcnn", PAPER_RCNN, 2014, "the network sees one proposed region after the other"),
    "fast_rcnn": _entry("fast_rcnn", PAPER_FAST, 2015, "one map; proposed regions are read from it"),
    "faster_rcnn": _entry("faster_rcnn", PAPER_FASTER, 2015, "a first look proposes, a second one classifies"),
    "mask_rcnn": _entry("mask_rcnn", PAPER_MASK, 2017, "two looks, and a mask of each object"),
    "keypoint_rcnn": _entry("keypoint_rcnn", PAPER_MASK, 2017, "two looks, and the key points of each object"),
    "detr": _entry("detr", PAPER_DETR, 2020, "attention; queries that each answer for one object"),
    "yolo_v1": _entry("yolo_v1", PAPER_YOLO, 2015, "one grid, two boxes a cell"),
}
