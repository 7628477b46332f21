"""What networks that make maps begin with: rows of their own, or the body of any other network of the zoo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.base.errors import SettingsError
from striate.model.blueprint import IMAGE, Blueprint, Row
from striate.model.dilation import dilated
from striate.model.level import Level

Encoder = str | Mapping[str, Any]  # a name of the zoo, or {"name": that, and options}; empty = rows of their own
SIZE = 128  # pixels that networks with rows of their own are made for
LARGEST = 16  # the widest level has this many times the channels of the first
OUTPUTS = {"kernel": 1, "norm": "none", "activation": "none"}


@dataclass(frozen=True)
class Body:
    """The rows of an encoder.

    Args:
        levels: the maps that a decoder can take, fine to coarse.
        whole: the network with its own head, of the zoo; None for rows that are no other network's.
        given: its name and options.
    """

    rows: tuple[Row, ...]
    levels: tuple[Level, ...]
    whole: Blueprint | None = None
    given: Mapping[str, Any] | None = None

    def blueprint(self, name: str, decoder: Sequence[Row], defaults: Mapping[str, Any], **more: Any) -> Blueprint:
        """Return the network of these rows and a decoder's, made for what the encoder was made for.

        Where both have defaults of their own, they are written out.
        """
        head, whole = decoder[0].name, self.whole
        if whole is None or self.given is None:
            return Blueprint(name, (*self.rows, *decoder), head=head, **{"size": SIZE, "defaults": defaults, **more})
        same = {"size": whole.size, "channels": whole.channels, "init": whole.init, "encoder": self.given}
        if defaults == whole.defaults:
            return Blueprint(name, (*self.rows, *decoder), head=head, **{**same, "defaults": defaults, **more})
        from striate.model.encoder import written_out

        rows = *self.rows, *(written_out(row, defaults) for row in decoder)
        return Blueprint(name, rows, head=head, **{**same, **more})


def body_of(encoder: Encoder, depth: int | None = None, coarsest: int = 0) -> Body:
    """Return the body of a network of the zoo.

    Args:
        depth: how often it may halve the image at most; None = as often as it does.
        coarsest: the stride from which on dilation takes the place of strides, where blocks have it; 0 = nowhere.

    Raises:
        SettingsError: the name or an option is unknown, or the network has no maps.
    """
    from striate.model.encoder import encoder_of

    from . import blueprint

    given = {"name": encoder} if isinstance(encoder, str) else dict(encoder)
    if "name" not in given:
        raise SettingsError("an encoder needs a name", where="encoder", fix='give {"name": "resnet18"} and its options')
    whole = blueprint(given["name"], **{key: value for key, value in given.items() if key != "name"})
    rows, levels = encoder_of(whole, coarsest)
    if depth is not None:
        levels = [level for level in levels if level.stride <= 2**depth] or levels[:1]
    return Body(tuple(_needed(rows, levels)), tuple(levels), whole, given)


def rows_before_head(encoder: str, options: Mapping[str, Any], coarsest: int = 0) -> Body:
    """Return the rows of a network up to its global pooling, for networks that know theirs: no levels, no torch.

    Args:
        options: of that network.
        coarsest: as for `body_of`.
    """
    from . import blueprint

    whole = blueprint(encoder, **options)
    rows = whole.rows[: next(index for index, row in enumerate(whole.rows) if row.block == "global_pool")]
    return Body(dilated(rows, coarsest) if coarsest else rows, (), whole, {"name": encoder, **options})


def own_body(width: int, depth: int, *, pooled: bool = True, ceil: bool = False) -> Body:
    """Return two convolutions at each level, and max-pooling, or a stride in the first of them, between levels.

    Args:
        width: channels at the image's size, twice as many at each level below, up to `LARGEST` times.
        depth: levels below the image's size.
        ceil: whether pooling keeps a last window that is partly outside.
    """
    rows, levels = [], []
    for number in range(1, depth + 2):
        wide, stride = min(2 ** (number - 1), LARGEST) * width, 2 ** (number - 1)
        if pooled and number > 1:
            options = {"ceil": True} if ceil else {}
            rows.append(Row("max_pool", stride=2, options=options, name=f"pool{number - 1}"))
        step = 1 if pooled or number == 1 else 2
        rows.append(Row("conv", wide, stride=step, repeat=2, name=f"level{number}"))
        levels.append(Level(f"level{number}", stride, wide, is_whole=number == 1))
    return Body(tuple(rows), tuple(levels))


def levels_above(found: Body) -> list[Level]:
    """Return where a decoder passes, coarse to fine, from above the coarsest level to the image itself.

    Between levels whose strides differ by more than 2, and up to the image, come levels without a map.
    """
    wanted = {level.stride: level for level in found.levels[:-1]}
    stride = found.levels[-1].stride
    path = []
    while stride > 1:
        stride //= 2
        path.append(wanted.get(stride) or Level("" if stride > 1 else IMAGE, stride, 0))
    return path


def has_map(level: Level) -> bool:
    """Return whether a level has a map of the encoder's."""
    return level.name not in {"", IMAGE}


def enlarged(name: str, level: Level, as_name: str, mode: str = "nearest") -> Row:
    """Return the row that brings a map to a level's size, or to twice its own where that has no map."""
    if level.name:
        return Row("resize", inputs=(name, level.name), options={"mode": mode}, name=as_name)
    return Row("resize", inputs=(name,), options={"mode": mode, "scale": 2}, name=as_name)


def outputs(found: Body, source: str = "") -> list[Row]:
    """Return the layer that gives the outputs, brought to the image's size where its map does not have it."""
    inputs = (source,) if source else ()
    rows = [Row("conv", inputs=inputs, options=OUTPUTS, name="outputs")]
    finest = found.levels[0]
    if finest.stride == 1 and not finest.is_whole:
        rows.append(Row("resize", inputs=("outputs", IMAGE), name="map"))
    return rows


def dropped(rate: float) -> list[Row]:
    """Return a row of dropout, none at a rate of 0."""
    return [Row("dropout", options={"rate": rate}, name="map_dropout")] if rate else []


def width_at(level: Level, width: int) -> int:
    """Return a decoder's channels at a level: `width` at the image's size, twice as many at each stride below."""
    return min(level.stride, LARGEST) * width


def _needed(rows: Sequence[Row], levels: Sequence[Level]) -> list[Row]:
    """The rows that the levels need."""
    names = {level.name for level in levels}
    for row in reversed(rows):
        if row.name in names:
            names.update(row.inputs)
    return [row for row in rows if row.name in names]


def own_or(encoder: Encoder, own: Body, depth: int | None, coarsest: int = 0) -> Body:
    """Return the body of a network of the zoo where one is asked for, else rows of their own."""
    return body_of(encoder, depth, coarsest) if encoder else own
