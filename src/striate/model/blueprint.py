"""A blueprint: an architecture as a table of rows. Plain data; torch is not needed to make, read or print one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from striate.base.choose import nearest
from striate.base.errors import SettingsError
from striate.base.settings import read_toml

IMAGE = "image"  # the name by which a row takes the network's input
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
MAX_WIDTH, MAX_BLOCKS = 1 << 20, 4000  # far beyond any network that was ever trained
# Blocks that carry their input past themselves; a test finds among them all that can do without it.
SKIPPING = {"add", "concat", "basic", "bottleneck", "pre_basic", "pre_bottleneck", "inverted", "xception", "convnext"}
SKIPPING |= {"dense", "transformer", "cell", "inception_residual"}
MAP_ENDS = {
    "conv",
    "transposed",
    "bilinear_transposed",
    "subpixel",
    "resize",
}  # blocks of a last row that gives a map, not a vector
AUX_WEIGHT = 0.3  # GoogLeNet, arXiv:1409.4842, section 5
SMALL_PX = 64  # up to here networks were made for ten classes, above for ImageNet's thousand


@dataclass(frozen=True)
class Row:
    """One line of an architecture's table.

    Args:
        block: a name in `striate.nn.blocks.BLOCKS`.
        width: channels (or features) out; 0 in the last row that has a width = the number of outputs.
        repeat: how often the block follows itself.
        stride: step of the block's window, in units of its input; the first repetition only.
        inputs: names of the rows it takes; empty = the row before. `"image"` is the network's input.
        options: further arguments of the block; numbers, texts, truth values, lists and mappings of them.
        each: arguments with one value per repetition, `{"drop_path": (0.0, 0.1)}` for `repeat=2`.
        name: how other rows and `features(at=...)` call it; empty = the block's name and a number.

    Example:
        >>> Row("conv", 64, stride=2, options={"kernel": 7}).options["kernel"]
        7
    """

    block: str
    width: int = 0
    repeat: int = 1
    stride: int = 1
    inputs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    each: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("inputs", "options", "each"):
            object.__setattr__(self, key, _frozen(getattr(self, key)))
        _check_types(self, f"row {self.name or self.block}")
        is_possible = 0 <= self.width <= MAX_WIDTH and 1 <= self.repeat <= MAX_BLOCKS and 1 <= self.stride <= MAX_WIDTH
        if not is_possible:
            raise SettingsError(
                f"width {self.width}, repeat {self.repeat}, stride {self.stride} cannot be",
                where=f"row {self.name or self.block}",
                fix=f"give width 0..{MAX_WIDTH}, repeat 1..{MAX_BLOCKS} and stride >= 1",
            )
        for key, values in self.each.items():
            if not isinstance(values, tuple) or len(values) != self.repeat:
                raise SettingsError(
                    f"each.{key} must list one value for each of {self.repeat} repetitions",
                    where=f"row {self.name or self.block}",
                    fix=f"give {self.repeat} values",
                )

    def __repr__(self) -> str:
        from .card import row_text

        return row_text(self, _plain(self))


@dataclass(frozen=True)
class Blueprint:
    """An architecture: its rows from the stem to the head.

    Args:
        name: the network's name.
        rows: the table; the last row gives the outputs.
        paper: title and where to find it.
        size: input height and width in pixels it was made for.
        height: of that input where it is another, 1 for series; 0 = `size`.
        dims: axes of that input: 1 of signals, 2 of images, 3 of volumes.
        channels: of the input it was made for.
        defaults: options for every row whose block takes them, `{"norm": "batch", "activation": "relu"}`.
        head: name of the first row that belongs to the head; empty = the first that yields a vector.
        init: how weights start, a name in `striate.model.init.SCHEMES`.
        ends: names of the rows whose outputs, as a list, are the network's; empty = the last row alone, no list.
        aux_weight: of the loss of each auxiliary head in training, as published; GoogLeNet's where nothing is.
        encoder: the network of the zoo whose body its first rows are, `{"name": "resnet18"}` and that one's options.

    Example:
        >>> tiny = Blueprint("tiny", (Row("conv", 8), Row("max_pool", stride=2), Row("global_pool"), Row("linear")))
        >>> tiny.names
        ('conv1', 'max_pool1', 'global_pool1', 'linear1')
        >>> Blueprint.from_json(tiny.to_json()) == tiny
        True
    """

    name: str
    rows: tuple[Row, ...]
    paper: str = ""
    size: int = 224
    height: int = 0
    dims: int = 2
    channels: int = 3
    defaults: Mapping[str, Any] = field(default_factory=dict)
    head: str = ""
    init: str = "he"
    ends: tuple[str, ...] = ()
    aux_weight: float = AUX_WEIGHT
    encoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        object.__setattr__(self, "defaults", _frozen(self.defaults))
        object.__setattr__(self, "ends", _frozen(self.ends))
        object.__setattr__(self, "encoder", _frozen(self.encoder))
        if type(self.aux_weight) is int:  # TOML writes 1 for 1.0
            object.__setattr__(self, "aux_weight", float(self.aux_weight))
        _check_types(self, f"blueprint {self.name}")
        if not self.rows:
            raise SettingsError("a blueprint needs at least one row", where=self.name, fix="add a row")
        if (num := sum(getattr(row, "repeat", 1) for row in self.rows)) > MAX_BLOCKS:
            what = f"{num:,} blocks; at most {MAX_BLOCKS:,} can be built"
            raise SettingsError(what, where=self.name, fix="give fewer rows and repetitions")
        object.__setattr__(self, "rows", _named(self.rows, self.name))
        _check_inputs(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Row names in order."""
        return tuple(row.name for row in self.rows)

    @property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Row name -> names of the rows it takes."""
        before = (IMAGE, *self.names[:-1])
        return {row.name: row.inputs or (before[index],) for index, row in enumerate(self.rows)}

    @property
    def native(self) -> dict[str, int]:
        """The input and head it was made for: "size", "channels" and "outputs".

        Outputs are Pascal VOC's 21 of maps and its 20 of detectors, ten of small images and series, else ImageNet's.

        What looks at a blueprint without being told more (walk, draw, examine, the list of models) takes these.

        Example:
            >>> Blueprint("tiny", (Row("linear", 8),), size=32, channels=1).native
            {'size': 32, 'channels': 1, 'outputs': 10}
        """
        if any(row.block == "places" for row in self.rows):
            return {"size": self.size, "channels": self.channels, "outputs": 20}
        outputs = 21 if self.rows[-1].block in MAP_ENDS else 10 if min(self.native_hw) <= SMALL_PX else 1000
        return {"size": self.size, "channels": self.channels, "outputs": outputs}

    @property
    def native_hw(self) -> tuple[int, ...]:
        """Height and width in pixels of the input it was made for; as many sides as that has axes."""
        return (self.height or self.size, self.size) if self.dims == 2 else (self.size,) * self.dims

    @property
    def auxiliary_heads(self) -> tuple[str, ...]:
        """Rows that nothing takes and that are no end: outputs that help training."""
        taken = {source for sources in self.sources.values() for source in sources}
        return tuple(name for name in self.names[:-1] if name not in taken and name not in self.ends)

    @property
    def has_skips(self) -> bool:
        """Whether rows carry their input past themselves, or maps are joined."""
        return any(row.block in SKIPPING and row.options.get("skip") is not False for row in self.rows)

    @property
    def norms(self) -> set[str]:
        """The kinds of normalisation in its rows and defaults, "none" left out.

        Example:
            >>> Blueprint("tiny", (Row("conv", 8, options={"norm": {"kind": "batch", "eps": 0.001}}),)).norms
            {'batch'}
        """
        given = [self.defaults.get("norm"), *(row.options.get("norm") for row in self.rows)]
        kinds = [norm.get("kind", "batch") if isinstance(norm, Mapping) else norm for norm in given]
        return {str(kind) for kind in kinds if kind} - {"none"}

    def __repr__(self) -> str:
        from .card import blueprint_text

        return blueprint_text(self)

    def _repr_html_(self) -> str:
        from .card import blueprint_card

        return blueprint_card(self)

    def _repr_svg_(self) -> str:
        return self._drawing

    @cached_property
    def _drawing(self) -> str:
        """The drawing, which a notebook asks for twice: as an image, and inside the table's HTML."""
        from .draw import draw

        return draw(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and texts; what equals its default is left out."""
        table = _plain(self)
        table["rows"] = [_plain(row) for row in self.rows]
        return table

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Return the blueprint that `to_json` described.

        Raises:
            SettingsError: a key is unknown or missing, a value has the wrong type, or the rows do not fit together.
        """
        _check_keys(table, cls, "blueprint")
        rows = table["rows"]
        if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
            raise SettingsError("rows must be a list of tables", where="blueprint rows", fix="write [[rows]] tables")
        for index, row in enumerate(rows):
            _check_keys(row, Row, f"blueprint row {index}")
        return cls(**{**table, "rows": tuple(Row(**row) for row in rows)})

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a blueprint file: the keys of `to_json`, a `[[rows]]` table for each row.

        Raises:
            SettingsError: the file is missing, not TOML, or not a blueprint.
        """
        try:
            table = read_toml(Path(path))
        except SettingsError as problem:
            raise SettingsError(f"not a blueprint file ({problem.what})", where=path, fix=problem.fix) from problem
        try:
            return cls.from_json({"name": Path(path).stem, **table})
        except SettingsError as problem:
            raise SettingsError(f"{problem.what} ({problem.where})", where=path, fix=problem.fix) from problem


def _frozen(value: Any) -> Any:
    """Return the value with lists as tuples, so that equal blueprints compare equal after a trip through JSON."""
    if isinstance(value, Mapping):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _thawed(item) for key, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value


def _plain(item: Row | Blueprint) -> dict[str, Any]:
    """Return the fields that differ from their defaults (empty mappings and texts are defaults)."""
    usual = {"repeat": 1, "stride": 1, "size": 224, "channels": 3, "dims": 2, "init": "he", "aux_weight": AUX_WEIGHT}
    values = {one.name: getattr(item, one.name) for one in fields(item)}
    return {key: _thawed(value) for key, value in values.items() if value != usual.get(key, type(value)())}


def _check_keys(table: Mapping[str, Any], kind: type, where: str) -> None:
    known = [one.name for one in fields(kind)]
    for key in table:
        if key not in known:
            close = nearest(key, known)
            fix = f"did you mean {close!r}?" if close else f"known keys: {', '.join(known)}"
            raise SettingsError(f"unknown key {key!r}", where=where, fix=fix)
    for key in {"name", "rows"} if kind is Blueprint else {"block"}:
        if key not in table:
            raise SettingsError(f"key {key!r} is missing", where=where, fix=f"add {key}")


TYPES: Mapping[str, type] = {
    **dict.fromkeys(("block", "name", "paper", "head", "init"), str),
    "aux_weight": float,
    **dict.fromkeys(("width", "repeat", "stride", "size", "height", "dims", "channels"), int),
    **dict.fromkeys(("options", "each", "defaults", "encoder"), Mapping),
    **dict.fromkeys(("inputs", "rows", "ends"), tuple),
}


def _check_types(item: Row | Blueprint, where: str) -> None:
    for one in fields(item):
        value, wanted = getattr(item, one.name), TYPES[one.name]
        if not isinstance(value, wanted) or isinstance(value, bool):
            kind = {str: "a text", int: "a whole number", float: "a number", Mapping: "a table", tuple: "a list"}[
                wanted
            ]
            raise SettingsError(f"{one.name} must be {kind}; got {value!r}", where=where, fix=f"give {kind}")


def _named(rows: tuple[Row, ...], where: str) -> tuple[Row, ...]:
    """Return the rows with names: given ones are kept, others become block name + number."""
    taken = {IMAGE}
    for row in rows:
        if not isinstance(row, Row):
            raise SettingsError(f"rows must be Row objects; got {row!r}", where=where, fix="write Row(block, width)")
        if row.name and (row.name in taken or not NAME.fullmatch(row.name)):
            why = "is used twice" if NAME.fullmatch(row.name) else "must be letters, digits and underscores"
            raise SettingsError(f"row name {row.name!r} {why}", where=where, fix="choose another name")
        taken.add(row.name)
    named = []
    for row in rows:
        if not row.name:
            stem = re.sub(r"\W", "_", row.block) or "row"
            number = next(n for n in range(1, len(rows) + len(taken) + 1) if f"{stem}{n}" not in taken)
            row = replace(row, name=f"{stem}{number}")
            taken.add(row.name)
        named.append(row)
    return tuple(named)


def _check_inputs(blueprint: Blueprint) -> None:
    """Refuse inputs that do not come before the row that takes them, and an unknown head."""
    before = [IMAGE]
    for index, row in enumerate(blueprint.rows):
        for name in row.inputs:
            if name not in before:
                close = nearest(str(name), before)
                late = name in blueprint.names
                raise SettingsError(
                    f"input {name!r} " + ("comes after the row that takes it" if late else "is no row"),
                    where=f"{blueprint.name} row {index} ({row.name})",
                    fix=f"did you mean {close!r}?" if close and not late else f"choose among {', '.join(before[-8:])}",
                )
        before.append(row.name)
    for part, name in (("head", blueprint.head), *(("end", name) for name in blueprint.ends)):
        if name and name not in blueprint.names:
            close = nearest(name, blueprint.names)
            raise SettingsError(
                f"{part} {name!r} is no row",
                where=blueprint.name,
                fix=f"did you mean {close!r}?" if close else f"choose among {', '.join(blueprint.names[-8:])}",
            )
