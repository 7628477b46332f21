"""Fully convolutional networks: class maps of a classifier, brought to the image's size; and torchvision's."""

from functools import partial
from typing import Any

from striate.base.errors import SettingsError
from striate.model.blueprint import IMAGE, Blueprint, Row
from striate.model.level import Level

from .encoder import OUTPUTS, Encoder, dropped, own_body, own_or, rows_before_head
from .entry import Entry

PAPER = "Long et al., Fully Convolutional Networks for Semantic Segmentation, arXiv:1411.4038"
SIZE_VOC = 520  # shorter side in pixels at which torchvision states its networks


def fcn(
    name: str,
    num_skips: int,
    /,
    *,
    encoder: Encoder = "",
    width: int = 16,
    depth: int | None = None,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return section 4 of the paper: class maps at the coarsest level, those of finer ones added on the way up.

    They are enlarged by transposed convolutions that start as bilinear interpolation; the last one stays so.

    Args:
        encoder: a network of the zoo whose body takes the place of a small one like the paper's VGG.
        width: channels at the image's size, twice as many at each level below, up to 16 times; without an encoder.
        depth: levels below the image's size; by default 5 as in the paper, all of an encoder's.
        norm, activation: without an encoder.
        dropout: rate before the class maps.
    """
    found = own_or(encoder, own_body(width, 5 if depth is None else depth, ceil=True), depth)
    if len(found.levels) <= num_skips:
        what = f"{name} needs maps at {num_skips + 1} strides; there are {len(found.levels)}"
        raise SettingsError(what, where="encoder", fix="choose another one, or fcn32s")
    coarse = found.levels[-1]
    rows = dropped(dropout)
    rows.append(_scores(coarse, rows[-1].name if rows else coarse.name))
    stride, before = coarse.stride, rows[-1].name
    for level in reversed(found.levels[-1 - num_skips : -1]):
        rows.append(_scores(level, level.name))
        step, stride, inputs = stride // level.stride, level.stride, (before, level.name)
        rows.append(Row("bilinear_transposed", stride=step, inputs=inputs, name=f"up_at{stride}"))
        before, inputs = f"sum_at{stride}", (f"scores_at{stride}", f"up_at{stride}")
        rows.append(Row("add", inputs=inputs, options={"activation": "none"}, name=before))
    last = Row("bilinear_transposed", stride=stride, inputs=(before, IMAGE), options={"trains": False}, name="map")
    return found.blueprint(name, [*rows, last], {"norm": norm, "activation": activation}, paper=PAPER)


def _scores(level: Level, source: str) -> Row:
    """The class maps of a level."""
    return Row("conv", inputs=(source,), options=OUTPUTS, name=f"scores_at{level.stride}")


def fcn_resnet(
    name: str,
    encoder: str,
    /,
    *,
    width: int = 64,
    depth: Any = None,
    aux: bool = True,
    output_stride: int = 8,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.1,
) -> Blueprint:
    """Return torchvision's network: a dilated residual network, two convolutions, bilinear interpolation.

    Args:
        width: channels of the stem, see `resnet`.
        depth: blocks in each stage; None = as published.
        aux: whether to have the auxiliary output that training uses.
        output_stride: the coarsest map is this much smaller than the image; dilation takes the place of strides.
        dropout: rate before the outputs.
    """
    options = {"width": width, "norm": norm, "activation": activation, **({} if depth is None else {"depth": depth})}
    found = rows_before_head(encoder, options, output_stride)
    rows = two_convolutions(found.rows[-1].name, found.rows[-1].width // 4, dropout, "")
    rows += auxiliary(found.rows[-2].name, found.rows[-2].width // 4) if aux else []
    rows.append(Row("resize", inputs=("outputs", IMAGE), name="map"))
    defaults = {"norm": norm, "activation": activation}
    return found.blueprint(name, rows, defaults, paper=PAPER, size=SIZE_VOC, aux_weight=0.5)


def two_convolutions(source: str, width: int, dropout: float, prefix: str) -> list[Row]:
    """Return torchvision's head: a 3x3 convolution, dropout, a 1x1 that gives the outputs."""
    drop = [Row("dropout", options={"rate": dropout}, name=f"{prefix}map_dropout")] if dropout else []
    return [
        Row("conv", width, inputs=(source,), name=f"{prefix}narrow"),
        *drop,
        Row("conv", options=OUTPUTS, name=f"{prefix}outputs"),
    ]


def auxiliary(source: str, width: int) -> list[Row]:
    """Return torchvision's auxiliary head, of the image's size."""
    return [*two_convolutions(source, width, 0.1, "aux_"), Row("resize", inputs=("aux_outputs", IMAGE), name="aux")]


TEXT = "class maps of a classifier, enlarged"
ENTRIES = {
    "fcn32s": Entry(partial(fcn, "fcn32s", 0), PAPER, 2014, f"{TEXT} 32 times"),
    "fcn16s": Entry(partial(fcn, "fcn16s", 1), PAPER, 2014, f"{TEXT}, one finer level added"),
    "fcn8s": Entry(partial(fcn, "fcn8s", 2), PAPER, 2014, f"{TEXT}, two finer levels added"),
    **{
        f"fcn_{encoder}": Entry(
            partial(fcn_resnet, f"fcn_{encoder}", encoder), PAPER, 2014, f"dilated {encoder} with class maps"
        )
        for encoder in ("resnet50", "resnet101")
    },
}
