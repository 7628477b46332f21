"""U-Net, and the three networks that a study sets beside it: the same encoder, the same widths, no skip connections."""

from dataclasses import replace
from functools import partial
from typing import Any

from striate.model.blueprint import Blueprint, Row

from .encoder import Body, Encoder, body_of, dropped, enlarged, has_map, levels_above, outputs, own_body, width_at
from .entry import Entry

SIZE_3D = 48  # voxels a side that it is drawn and counted for
PAPER = "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597"
PAPER_3D = "Çiçek et al., 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation, arXiv:1606.06650"
PAPER_SEGNET = "Badrinarayanan et al., SegNet, arXiv:1511.00561"
PAPER_STRIDED = "Springenberg et al., Striving for Simplicity: The All Convolutional Net, arXiv:1412.6806"


def unet(
    name: str,
    /,
    *,
    encoder: Encoder = "",
    width: int = 16,
    depth: int | None = None,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return figure 1 of the paper, padded: each level of the decoder takes the encoder's map of its size too.

    Args:
        encoder: a network of the zoo whose body takes the place of the paper's own; its levels are then enlarged by
            repeating pixels, where the paper's have a transposed convolution.
        width: channels at the image's size, twice as many at each level below, up to 16 times. With an encoder, of the
            decoder alone.
        depth: levels below the image's size; by default 4 as in the paper, all of an encoder's.
        norm, activation: with an encoder, of the decoder alone.
        dropout: rate at the coarsest level.
    """
    defaults = {"norm": norm, "activation": activation}
    if encoder:
        return _with_encoder(name, body_of(encoder, depth), width, dropout, defaults)
    found = own_body(width, 4 if depth is None else depth)
    before, rows = found.levels[-1].name, dropped(dropout)
    for number, level in reversed(list(enumerate(found.levels[:-1], 1))):
        inputs = (rows[-1].name if rows else before, level.name)
        rows.append(Row("transposed", level.channels, stride=2, inputs=inputs, name=f"up{number}"))
        rows.append(Row("concat", inputs=(f"up{number}", level.name), name=f"join{number}"))
        rows.append(Row("conv", level.channels, repeat=2, name=f"decode{number}"))
    return found.blueprint(name, [*rows, *outputs(found)], defaults, paper=PAPER)


def unet_3d(
    *, width: int = 16, depth: int = 3, norm: str = "instance", activation: str = "relu", dropout: float = 0.0
) -> Blueprint:
    """Return the U-Net of `unet` for volumes: the same rows, whose blocks take the axes of what they get.

    The paper has twice the width before each pooling, batch normalisation and no padding; instance normalisation is
    nnU-Net's, for batches of two volumes.

    Args:
        width: channels at the volume's size, twice as many at each level below.
        depth: levels below the volume's size.
        norm, activation, dropout: as for `unet`.

    Example:
        >>> unet_3d().native_hw, unet_3d(depth=1).names[:3]
        ((48, 48, 48), ('level1', 'pool1', 'level2'))
    """
    flat = unet("unet_3d", width=width, depth=depth, norm=norm, activation=activation, dropout=dropout)
    return replace(flat, paper=PAPER_3D, size=SIZE_3D, dims=3, channels=1)


def _with_encoder(name: str, found: Body, width: int, dropout: float, defaults: dict[str, Any]) -> Blueprint:
    last = found.levels[-1]
    rows = [Row("conv", width_at(last, width), inputs=(last.name,), options={"kernel": 1}, name="bottom")]
    rows += dropped(dropout)
    for level in levels_above(found):
        at, before = f"at{level.stride}", rows[-1].name
        rows.append(enlarged(before, level, f"up_{at}"))
        if has_map(level):
            rows.append(Row("concat", inputs=(f"up_{at}", level.name), name=f"join_{at}"))
        rows.append(Row("conv", width_at(level, width), repeat=2, name=f"decode_{at}"))
    return found.blueprint(name, [*rows, *outputs(found)], defaults, paper=PAPER)


def encoder_decoder(
    name: str,
    /,
    *,
    width: int = 16,
    depth: int | None = None,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return a network without pooling: convolutions with stride on the way down, transposed ones on the way up.

    Args: as for `unet`.
    """
    found = own_body(width, 4 if depth is None else depth, pooled=False)
    before, rows = found.levels[-1].name, dropped(dropout)
    for number, level in reversed(list(enumerate(found.levels[:-1], 1))):
        inputs, options = (rows[-1].name if rows else before, level.name), {"kernel": 3}
        rows.append(Row("transposed", level.channels, stride=2, inputs=inputs, options=options, name=f"up{number}"))
        rows.append(Row("conv", level.channels, repeat=2, name=f"decode{number}"))
    defaults = {"norm": norm, "activation": activation}
    return found.blueprint(name, [*rows, *outputs(found)], defaults, paper=PAPER_STRIDED)


def segnet(
    name: str,
    unpooling: str,
    /,
    *,
    width: int = 16,
    depth: int | None = None,
    norm: str = "batch",
    activation: str = "relu",
    dropout: float = 0.0,
) -> Blueprint:
    """Return a network with pooling on the way down and unpooling on the way up, each to the width of its level.

    Args: as for `unet`.
    """
    found = own_body(width, 4 if depth is None else depth)
    rows = dropped(dropout)
    for number, level in reversed(list(enumerate(found.levels[:-1], 1))):
        rows.append(Row("conv", level.channels, name=f"narrow{number}"))
        inputs = (f"narrow{number}", level.name)
        if unpooling == "positions":
            rows.append(Row("max_unpool", stride=2, inputs=inputs, name=f"up{number}"))
        else:
            rows.append(Row("resize", inputs=inputs, options={"mode": unpooling}, name=f"up{number}"))
        rows.append(Row("conv", level.channels, repeat=2, name=f"decode{number}"))
    defaults = {"norm": norm, "activation": activation}
    return found.blueprint(name, [*rows, *outputs(found)], defaults, paper=PAPER_SEGNET)


ENTRIES = {
    "unet_3d": Entry(unet_3d, PAPER_3D, 2016, "U-Net with one axis more, for volumes"),
    "unet": Entry(partial(unet, "unet"), PAPER, 2015, "encoder and decoder with skip connections, for maps"),
    "encoder_decoder": Entry(
        partial(encoder_decoder, "encoder_decoder"),
        PAPER_STRIDED,
        2014,
        "strided convolutions down, transposed ones up, for maps",
    ),
    "segnet": Entry(
        partial(segnet, "segnet", "positions"), PAPER_SEGNET, 2015, "pooling, unpooling to its positions, for maps"
    ),
    "segnet_nearest": Entry(
        partial(segnet, "segnet_nearest", "nearest"),
        PAPER_SEGNET,
        2015,
        "pooling, nearest-neighbour unpooling, for maps",
    ),
}
