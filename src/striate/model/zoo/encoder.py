"""Any network of the zoo as the encoder of one that makes maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from striate.base.errors import SettingsError
from striate.model.blueprint import IMAGE, Blueprint, Row

if TYPE_CHECKING:
    from striate.model.encoder import Level

Encoder = str | Mapping[str, Any]  # a name of the zoo, or {"name": that, and options}


@dataclass(frozen=True)
class Body:
    """The rows of an encoder.

    Args:
        levels: the maps that a decoder can take, fine to coarse.
        whole: the network with its own head.
        given: its name and options.
    """

    rows: tuple[Row, ...]
    levels: tuple["Level", ...]
    whole: Blueprint
    given: Mapping[str, Any]

    def blueprint(self, name: str, decoder: Sequence[Row], defaults: Mapping[str, Any], **more: Any) -> Blueprint:
        """Return the network of these rows and a decoder's, made for what the encoder was made for.

        Both have their defaults written out, since each has its own.
        """
        from striate.model.encoder import written_out

        rows = *self.rows, *(written_out(row, defaults) for row in decoder)
        whole, head = self.whole, decoder[0].name
        same: dict[str, Any] = {
            "size": whole.size,
            "channels": whole.channels,
            "init": whole.init,
            "encoder": self.given,
        }
        return Blueprint(name, rows, head=head, **same, **more)


def body_of(encoder: Encoder, depth: int | None = None) -> Body:
    """Return the body of a network of the zoo.

    Args:
        depth: how often it may halve the image at most; None = as often as it does.

    Raises:
        SettingsError: the name or an option is unknown, or the network has no maps.
    """
    from striate.model.encoder import encoder_of

    from . import blueprint

    given = {"name": encoder} if isinstance(encoder, str) else dict(encoder)
    if "name" not in given:
        raise SettingsError("an encoder needs a name", where="encoder", fix='give {"name": "resnet18"} and its options')
    whole = blueprint(given["name"], **{key: value for key, value in given.items() if key != "name"})
    rows, levels = encoder_of(whole)
    if depth is not None:
        levels = [level for level in levels if level.stride <= 2**depth] or levels[:1]
    return Body(tuple(_needed(rows, levels)), tuple(levels), whole, given)


def levels_of(found: Body) -> list["Level"]:
    """Return where a decoder passes, coarse to fine, from above the coarsest level to the image itself.

    Between levels whose strides differ by more than 2, and up to the image, come levels without a name.
    """
    wanted = {level.stride: level for level in found.levels[:-1]}
    stride, first = found.levels[-1].stride, found.levels[0]
    path = []
    while stride > 1:
        stride //= 2
        path.append(wanted.get(stride) or replace(first, name="" if stride > 1 else IMAGE, stride=stride))
    return path


def enlarged(name: str, level: "Level", as_name: str, mode: str = "nearest") -> Row:
    """Return the row that brings a map to a level's size, or to twice its own where the level has no map."""
    if level.name:
        return Row("resize", inputs=(name, level.name), options={"mode": mode}, name=as_name)
    return Row("resize", inputs=(name,), options={"mode": mode, "scale": 2}, name=as_name)


def _needed(rows: Sequence[Row], levels: Sequence["Level"]) -> list[Row]:
    """The rows that the levels need."""
    names = {level.name for level in levels}
    for row in reversed(rows):
        if row.name in names:
            names.update(row.inputs)
    return [row for row in rows if row.name in names]
