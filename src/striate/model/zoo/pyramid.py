"""Light decoders: a feature pyramid, and LinkNet, which adds where U-Net joins."""

from functools import partial

from striate.model.blueprint import IMAGE, Blueprint, Row

from .encoder import OUTPUTS, Encoder, dropped, has_map, levels_above, outputs, own_body, own_or
from .entry import Entry

PAPER_FPN = "Kirillov et al., Panoptic Feature Pyramid Networks, arXiv:1901.02446"
PAPER_LINK = "Chaurasia, Culurciello, LinkNet, arXiv:1707.03718"


def fpn(
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
    """Return a feature pyramid from a quarter of the image's size on, whose levels are added up for the outputs.

    Args:
        encoder: a network of the zoo whose body takes the place of a small one.
        width: channels at the image's size, twice as many at each level below, up to 16 times; of the pyramid 4 times
            as many at every level. With an encoder, of the pyramid alone.
        depth: levels below the image's size; by default 5, all of an encoder's.
        norm, activation: with an encoder, of the decoder alone.
        dropout: rate before the outputs.
    """
    found = own_or(encoder, own_body(width, 5 if depth is None else depth), depth)
    levels = [level for level in found.levels if level.stride >= 4] or list(found.levels[-1:])
    plain, none = {"kernel": 1, "norm": "none", "activation": "none"}, {"activation": "none"}
    rows: list[Row] = []
    before = ""
    for level in reversed(levels):
        at = f"at{level.stride}"
        rows.append(Row("conv", 4 * width, inputs=(level.name,), options=plain, name=f"lateral_{at}"))
        if before:
            rows.append(Row("resize", inputs=(before, f"lateral_{at}"), options={"mode": "nearest"}, name=f"up_{at}"))
            rows.append(Row("add", inputs=(f"lateral_{at}", f"up_{at}"), options=none, name=f"merged_{at}"))
        before = rows[-1].name
        rows.append(Row("conv", 4 * width, name=f"smooth_{at}"))
    parts = [f"smooth_at{levels[0].stride}"]
    for level in levels[1:]:
        parts.append(f"spread_at{level.stride}")
        rows.append(Row("resize", inputs=(f"smooth_at{level.stride}", levels[0].name), name=parts[-1]))
    rows.append(Row("add", inputs=tuple(parts), options=none, name="total"))
    rows += [*dropped(dropout), Row("conv", options=OUTPUTS, name="outputs")]
    rows.append(Row("resize", inputs=("outputs", IMAGE), name="map"))
    return found.blueprint(name, rows, {"norm": norm, "activation": activation}, paper=PAPER_FPN)


def linknet(
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
    """Return figure 1 of the paper: each level is made larger at a quarter of its channels, and the encoder's added.

    Args: as for `fpn`; `width` with an encoder is that of the last rows, at the image's size.
    """
    found = own_or(encoder, own_body(width, 5 if depth is None else depth), depth)
    rows = dropped(dropout)
    wide, before = found.levels[-1].channels, rows[-1].name if rows else found.levels[-1].name
    for level in levels_above(found):
        at, few = f"at{level.stride}", max(1, wide // 4)
        wide = level.channels or max(width, wide // 2)
        inputs = (f"narrow_{at}", level.name) if level.name else (f"narrow_{at}",)
        rows += [
            Row("conv", few, inputs=(before,), options={"kernel": 1}, name=f"narrow_{at}"),
            Row("transposed", few, stride=2, inputs=inputs, options={"kernel": 3}, name=f"up_{at}"),
            Row("conv", wide, options={"kernel": 1}, name=f"widen_{at}"),
        ]
        if has_map(level):
            inputs = (f"widen_{at}", level.name)
            rows.append(Row("add", inputs=inputs, options={"activation": "none"}, name=f"sum_{at}"))
        before = rows[-1].name
    rows.append(Row("conv", width, name="smooth"))
    return found.blueprint(name, [*rows, *outputs(found)], {"norm": norm, "activation": activation}, paper=PAPER_LINK)


ENTRIES = {
    "fpn": Entry(partial(fpn, "fpn"), PAPER_FPN, 2019, "a light feature pyramid, for maps"),
    "linknet": Entry(partial(linknet, "linknet"), PAPER_LINK, 2017, "light decoder that adds the encoder's maps"),
}
