"""U-Net, and the three networks that a study sets beside it: the same encoder, the same widths, no skip connections."""

from functools import partial
from typing import Any

from striate.model.blueprint import IMAGE, Blueprint, Row

from .encoder import Encoder, body_of, enlarged, levels_of
from .entry import Entry

PAPER = "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, arXiv:1505.04597"
PAPER_SEGNET = "Badrinarayanan et al., SegNet, arXiv:1511.00561"
PAPER_STRIDED = "Springenberg et al., Striving for Simplicity: The All Convolutional Net, arXiv:1412.6806"
SIZE = 128
LARGEST = 16  # the widest level has this many times the channels of the first


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
        return _with_encoder(name, encoder, width, depth, dropout, defaults)
    sizes = _widths(width, depth)
    rows = _pooled_body(sizes, dropout)
    for number, wide in reversed(list(enumerate(sizes[:-1], 1))):
        rows.append(Row("transposed", wide, stride=2, inputs=(rows[-1].name, f"level{number}"), name=f"up{number}"))
        rows.append(Row("concat", inputs=(f"up{number}", f"level{number}"), name=f"join{number}"))
        rows.append(Row("conv", wide, repeat=2, name=f"decode{number}"))
    return _finished(name, rows, PAPER, defaults, len(sizes) - 1)


def _with_encoder(
    name: str, encoder: Encoder, width: int, depth: int | None, dropout: float, defaults: dict[str, Any]
) -> Blueprint:
    found = body_of(encoder, depth)
    coarsest = found.levels[-1]
    wide = min(coarsest.stride, LARGEST) * width
    rows = [Row("conv", wide, inputs=(coarsest.name,), options={"kernel": 1}, name="bottom")]
    rows += [Row("dropout", options={"rate": dropout}, name="bottom_dropout")] if dropout else []
    for level in levels_of(found):
        at, before = f"at{level.stride}", rows[-1].name
        wide = min(level.stride, LARGEST) * width
        rows.append(enlarged(before, level, f"up_{at}"))
        if level.name not in {"", IMAGE}:
            rows.append(Row("concat", inputs=(f"up_{at}", level.name), name=f"join_{at}"))
        rows.append(Row("conv", wide, repeat=2, name=f"decode_{at}"))
    rows.append(Row("conv", options=OUTPUTS, name="outputs"))
    if found.levels[0].stride == 1 and not found.levels[0].is_whole:
        rows.append(Row("resize", inputs=("outputs", IMAGE), name="map"))
    return found.blueprint(name, rows, defaults, paper=PAPER)


OUTPUTS = {"kernel": 1, "norm": "none", "activation": "none"}


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
    sizes = _widths(width, depth)
    rows = [Row("conv", sizes[0], repeat=2, name="level1")]
    for number, wide in enumerate(sizes[1:], 2):
        rows.append(Row("conv", wide, stride=2, repeat=2, name=f"level{number}"))
    rows += _dropped(dropout)
    for number, wide in reversed(list(enumerate(sizes[:-1], 1))):
        inputs = (rows[-1].name, f"level{number}")
        rows.append(Row("transposed", wide, stride=2, inputs=inputs, options={"kernel": 3}, name=f"up{number}"))
        rows.append(Row("conv", wide, repeat=2, name=f"decode{number}"))
    return _finished(name, rows, PAPER_STRIDED, {"norm": norm, "activation": activation}, len(sizes) - 1)


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
    sizes = _widths(width, depth)
    rows = _pooled_body(sizes, dropout)
    for number, wide in reversed(list(enumerate(sizes[:-1], 1))):
        rows.append(Row("conv", wide, name=f"narrow{number}"))
        inputs = (f"narrow{number}", f"level{number}")
        if unpooling == "positions":
            rows.append(Row("max_unpool", stride=2, inputs=inputs, name=f"up{number}"))
        else:
            rows.append(Row("resize", inputs=inputs, options={"mode": "nearest"}, name=f"up{number}"))
        rows.append(Row("conv", wide, repeat=2, name=f"decode{number}"))
    return _finished(name, rows, PAPER_SEGNET, {"norm": norm, "activation": activation}, len(sizes) - 1)


def _widths(width: int, depth: int | None) -> list[int]:
    return [min(2**level, LARGEST) * width for level in range((4 if depth is None else depth) + 1)]


def _pooled_body(sizes: list[int], dropout: float) -> list[Row]:
    """Two convolutions at each level, max-pooling between levels."""
    rows = [Row("conv", sizes[0], repeat=2, name="level1")]
    for number, wide in enumerate(sizes[1:], 2):
        rows.append(Row("max_pool", stride=2, name=f"pool{number - 1}"))
        rows.append(Row("conv", wide, repeat=2, name=f"level{number}"))
    return rows + _dropped(dropout)


def _dropped(rate: float) -> list[Row]:
    return [Row("dropout", options={"rate": rate}, name="dropout")] if rate else []


def _finished(name: str, rows: list[Row], paper: str, defaults: dict[str, Any], num_levels: int) -> Blueprint:
    """Return the blueprint with the layer that gives the outputs; the decoder is its head."""
    rows = [*rows, Row("conv", options=OUTPUTS, name="outputs")]
    names = [row.name for row in rows]
    head = names[names.index(f"level{num_levels + 1}") + 1]
    return Blueprint(name, tuple(rows), paper=paper, size=SIZE, defaults=defaults, head=head)


ENTRIES = {
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
