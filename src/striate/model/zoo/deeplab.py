"""DeepLab: dilation keeps the map large, windows of several dilations see far; and torchvision's mobile kin."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from striate.base.errors import SettingsError
from striate.model.blueprint import IMAGE, Blueprint, Row

from .encoder import OUTPUTS, Body, Encoder, body_of, dropped, own_body, rows_before_head
from .entry import Entry
from .fcn import SIZE_VOC, auxiliary
from .scale import scaled

PAPER_V3 = "Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587"
PAPER_PLUS = "Chen et al., Encoder-Decoder with Atrous Separable Convolution (DeepLabv3+), arXiv:1802.02611"
PAPER_LITE = "Howard et al., Searching for MobileNetV3, arXiv:1905.02244"


def deeplabv3plus(
    name: str,
    /,
    *,
    encoder: Encoder = "",
    width: int = 16,
    depth: int | None = None,
    output_stride: int = 16,
    rates: Sequence[int] = (2, 4, 6),
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.1,
) -> Blueprint:
    """Return figure 2 of the paper: pyramid pooling on a dilated encoder, refined by the map at a quarter of the size.

    Args:
        encoder: a network of the zoo whose body takes the place of a small one. Rows without dilation keep strides.
        width: channels at the image's size, twice as many at each level below, up to 16 times; pyramid and decoder
            have 8 times as many, and are all that it changes with an encoder.
        depth: levels below the image's size; by default 5, all of an encoder's.
        output_stride: the coarsest map is this much smaller than the image; dilation takes the place of strides.
        rates: dilations of the pyramid; 6, 12, 18 in the paper, for images of 513 pixels.
        norm, activation: with an encoder, of the decoder alone.
        dropout: rate before the decoder.
    """
    if encoder:
        found = body_of(encoder, depth, output_stride)
    else:
        found = _own_dilated(width, 5 if depth is None else depth, output_stride)
    fine = next((level for level in found.levels if level.stride >= 4), found.levels[-1])
    rows = pyramid(found.levels[-1].name, 8 * width, rates, dropout)
    skip = {"kernel": 1}
    rows += [
        Row("conv", 3 * width, inputs=(fine.name,), options=skip, name="fine"),
        Row("resize", inputs=(rows[-1].name, "fine"), name="larger"),
        Row("concat", inputs=("larger", "fine"), name="joined"),
        Row("conv", 8 * width, repeat=2, name="refined"),
        Row("conv", options=OUTPUTS, name="outputs"),
        Row("resize", inputs=("outputs", IMAGE), name="map"),
    ]
    return found.blueprint(name, rows, {"norm": norm, "activation": activation}, paper=PAPER_PLUS)


def _own_dilated(width: int, depth: int, coarsest: int) -> Body:
    """Convolutions with strides, those below `coarsest` with dilation instead."""
    found = own_body(width, depth, pooled=False)
    rows, levels = [], []
    for row, level in zip(found.rows, found.levels, strict=True):
        rate = max(1, level.stride // coarsest)
        each = {"dilation": (max(1, rate // 2), rate)} if rate > 1 else {}
        rows.append(replace(row, stride=1 if rate > 1 else row.stride, each=each))
        levels.append(replace(level, stride=min(level.stride, coarsest)))
    return Body(tuple(rows), tuple(levels))


def pyramid(source: str, width: int, rates: Sequence[int], dropout: float) -> list[Row]:
    """Return atrous spatial pyramid pooling (ASPP): a 1x1, a 3x3 of each dilation, the mean of all; joined by a 1x1.

    Raises:
        SettingsError: the dilations are no list of whole numbers of at least 1.
    """
    if not isinstance(rates, list | tuple) or not rates or not all(isinstance(r, int) and r > 0 for r in rates):
        raise SettingsError(f"rates {rates!r} is no list of dilations", fix="give a list like [2, 4, 6]")
    point = {"kernel": 1}
    branches = [Row("conv", width, inputs=(source,), options=point, name="aspp_1x1")]
    for number, rate in enumerate(rates, 1):
        branches.append(Row("conv", width, inputs=(source,), options={"dilation": rate}, name=f"aspp_3x3_{number}"))
    names = tuple(row.name for row in branches)
    return [
        *branches,
        Row("adaptive_pool", inputs=(source,), options={"size": 1}, name="aspp_mean"),
        Row("conv", width, options=point, name="aspp_image"),
        Row("resize", inputs=("aspp_image", source), name="aspp_spread"),
        Row("concat", inputs=(*names, "aspp_spread"), name="aspp_joined"),
        Row("conv", width, options=point, name="aspp"),
        *dropped(dropout),
    ]


def deeplabv3(
    name: str,
    encoder: str,
    /,
    *,
    width: int = 64,
    depth: Any = None,
    pyramid_width: int = 256,
    aux: bool = True,
    output_stride: int = 8,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.5,
) -> Blueprint:
    """Return torchvision's network: pyramid pooling on a dilated body, one convolution, bilinear interpolation.

    Args:
        width: channels of the stem, see `resnet`.
        depth: blocks in each stage; None = as published.
        pyramid_width: channels of the pyramid.
        aux: whether to have the auxiliary output that training uses.
        output_stride: the coarsest map is this much smaller than the image; dilation takes the place of strides.
        dropout: rate behind the pyramid.
    """
    options = {"width": width, "norm": norm, "activation": activation, **({} if depth is None else {"depth": depth})}
    found = rows_before_head(encoder, options, output_stride)
    rows = pyramid(found.rows[-1].name, pyramid_width, (12, 24, 36), dropout)
    rows += [Row("conv", pyramid_width, name="smooth"), Row("conv", options=OUTPUTS, name="outputs")]
    rows += auxiliary(found.rows[-2].name, found.rows[-2].width // 4) if aux else []
    rows.append(Row("resize", inputs=("outputs", IMAGE), name="map"))
    defaults = {"norm": norm, "activation": activation}
    return found.blueprint(name, rows, defaults, paper=PAPER_V3, size=SIZE_VOC, aux_weight=0.5)


def lraspp(
    name: str,
    encoder: str,
    fine: str,
    /,
    *,
    width: float = 1.0,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 10 of the paper, as torchvision has it: a gate from the whole image, class maps at two strides.

    Args:
        width: factor for all channels.
        norm, activation: of the head.
        dropout: rate before the coarse class maps.
    """
    found = rows_before_head(encoder, {"width": width})
    found = replace(found, rows=_mobile_dilated(found.rows))
    assert found.whole is not None
    last, wide = found.rows[-1].name, scaled(128, width)
    gate = {"kernel": 1, "norm": "none", "activation": "sigmoid", "bias": False}
    rows = [
        Row("conv", wide, inputs=(last,), options={"kernel": 1, "norm": norm, "activation": activation}, name="narrow"),
        Row("adaptive_pool", inputs=(last,), options={"size": 1}, name="mean"),
        Row("conv", wide, options=gate, name="gate"),
        Row("multiply", inputs=("narrow", "gate"), name="gated"),
        Row("resize", inputs=("gated", fine), name="larger"),
        *dropped(dropout),
        Row("conv", inputs=(fine,), options=OUTPUTS, name="fine_outputs"),
        Row("conv", inputs=("map_dropout" if dropout else "larger",), options=OUTPUTS, name="outputs"),
        Row("add", inputs=("fine_outputs", "outputs"), options={"activation": "none"}, name="both"),
        Row("resize", inputs=("both", IMAGE), name="map"),
    ]
    return found.blueprint(name, rows, found.whole.defaults, paper=PAPER_LITE, size=SIZE_VOC)


def _mobile_dilated(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The last stride becomes dilation, in that block and in all behind it: torchvision's way for MobileNetV3."""
    last = max(index for index, row in enumerate(rows) if row.stride > 1)
    return tuple(
        replace(row, stride=1, options={**row.options, "dilation": 2})
        if index >= last and row.block == "inverted"
        else row
        for index, row in enumerate(rows)
    )


def _v3(encoder: str) -> Entry:
    name = f"deeplabv3_{encoder}"
    return Entry(partial(deeplabv3, name, encoder), PAPER_V3, 2017, f"dilated {encoder}, pyramid pooling")


ENTRIES = {
    "deeplabv3plus": Entry(
        partial(deeplabv3plus, "deeplabv3plus"), PAPER_PLUS, 2018, "dilation, pyramid pooling, a decoder with one skip"
    ),
    **{f"deeplabv3_{encoder}": _v3(encoder) for encoder in ("resnet50", "resnet101")},
    "lraspp_mobilenet_v3_large": Entry(
        partial(lraspp, "lraspp_mobilenet_v3_large", "mobilenet_v3_large", "block4"),
        PAPER_LITE,
        2019,
        "a gate from the whole image, class maps at two strides",
    ),
}
