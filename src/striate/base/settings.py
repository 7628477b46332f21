"""Typed settings: one schema makes the parser, the documentation and the error messages. TOML is the file form."""

import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from .choose import nearest
from .errors import SettingsError
from .text import NotUtf8, text_of

MAX_BYTES = 1 << 20  # of a settings file; the longest blueprint of the zoo takes a twentieth
MAX_DOTS = 32
_DEEP_KEY = re.compile(rf"""(?<![\w-])(?:["']?[\w-]++["']?[ \t]*+\.[ \t]*+){{{MAX_DOTS}}}""")


class Settings(BaseModel):
    """A frozen group of settings; unknown keys are refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: Any) -> Any:
        """Pydantic takes `true` for 1; as text it is refused where a number is wanted."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        numbers = {key for key in values if key in fields and {int, float} & set(_kinds(fields[key].annotation))}
        return {
            key: str(value).lower() if isinstance(value, bool) and key in numbers else value
            for key, value in values.items()
        }

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: object = "") -> Self:
        """Return checked settings.

        Raises:
            SettingsError: the message names the file (`where`), the field, what came and what is allowed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as problem:
            raise _explain(cls, problem, where) from problem

    def changed(self, assignments: Sequence[str], where: object = "--set") -> Self:
        """Return a copy with `field.path=value` assignments applied; values are read as TOML, else as text.

        Raises:
            SettingsError: an assignment without `=`, an unknown field, or a value of the wrong type.
        """
        pairs = []
        for assignment in assignments:
            path, sign, text = assignment.partition("=")
            if not sign or not path.strip():
                raise SettingsError(f"{assignment!r} is not a setting", where=where, fix="write field=value")
            pairs.append((path.strip(), value_of(text.strip())))
        return self.with_values(pairs, where)

    def with_values(self, pairs: Sequence[tuple[str, Any]], where: object = "") -> Self:
        """Return a copy with values at `field.path`, as `changed` does with text.

        Raises:
            SettingsError: an unknown field, or a value of the wrong type.
        """
        values = self.model_dump(mode="json")
        for path, value in pairs:
            _assign(values, path.split("."), value, where)
        return type(self).parse(values, where)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises:
        SettingsError: the file is missing, is not UTF-8 or is not TOML; the message has the line.
    """
    try:
        return _parsed(text_of(_content(path)))
    except OSError as problem:
        raise SettingsError(
            f"settings file cannot be read ({problem.strerror})", where=path, fix="check the path"
        ) from problem
    except (ValueError, RecursionError) as problem:
        fix = "save it as UTF-8" if isinstance(problem, NotUtf8) else "mend this line"
        raise SettingsError(f"not TOML: {problem}", where=path, fix=fix) from problem


def _content(path: Path) -> bytes:
    """Return what a settings file holds; its kind and size are looked at first, since a pipe or a device has no end."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no file but a pipe or a device"
        raise SettingsError(f"settings cannot be read from this: it is {what}", where=path, fix="give a TOML file")
    if found.st_size > MAX_BYTES:
        what = f"{found.st_size:,} bytes are no settings file; at most {MAX_BYTES:,} are read"
        raise SettingsError(what, where=path, fix="give a TOML file")
    return path.read_bytes()


def _parsed(text: str) -> dict[str, Any]:
    """Return the tables of TOML text.

    Raises:
        ValueError: it is not TOML, or has a number or a dotted key that takes its reader minutes.
    """
    if found := _DEEP_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key of more than {MAX_DOTS} parts (at line {line})")
    return tomllib.loads(text)


def value_of(text: str) -> Any:
    """Return the value of `text` read as TOML (number, true, list, quoted text), else the text itself."""
    try:
        return _parsed(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _assign(values: dict[str, Any], keys: list[str], value: Any, where: object) -> None:
    name = ".".join(keys)
    if len(keys) > MAX_DOTS:
        raise SettingsError(f"no setting has a name of {len(keys)} parts", where=where, fix="write field=value")
    for key in keys[:-1]:
        inner = values.get(key)
        if not isinstance(inner, dict):
            inner = values[key] = {}
        values = inner
    if isinstance(inner := values.get(keys[-1]), dict) and inner:
        fix = f"set one of them, such as {name}.{next(iter(inner))}=..."
        raise SettingsError("this is a group of settings, not one", where=f"{where}: {name}", fix=fix)
    values[keys[-1]] = value


def _explain(cls: type[BaseModel], problem: ValidationError, where: object) -> SettingsError:
    first, *others = problem.errors()
    if first["type"] == "missing":  # a name that is not known says more: it is the missing one, misspelt
        first = next((one for one in others if one["type"] == "extra_forbidden"), first)
    path = [str(part) for part in first["loc"]]
    field = ".".join(path)
    place = f"{where}: {field}" if where else field
    if first["type"] == "extra_forbidden":
        known = _known_fields(cls, path[:-1])
        inner = [] if path[:-1] else _inner_fields(cls, path[-1])
        if inner:
            return SettingsError("unknown setting", where=place, fix=f"did you mean {' or '.join(inner)}?")
        close = nearest(path[-1], known)
        fix = f"did you mean {known[close]}?" if close else f"known settings: {', '.join(known)}"
        return SettingsError("unknown setting", where=place, fix=fix)
    came, what = repr(first["input"]), first["msg"].removeprefix("Value error, ")
    return SettingsError(
        f"{what}; got {came if len(came) < 60 else came[:57] + '...'}",
        where=place,
        fix=f"change {field}",
    )


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the types a field may have: those of a union, else its own."""
    return get_args(annotation) or (annotation,)


def _inner_fields(cls: type[BaseModel], name: str) -> list[str]:
    """Return where the groups of settings have a field of this name or title."""
    groups = {group: _model_in(field.annotation) for group, field in cls.model_fields.items()}
    return [
        f"{group}.{known[name]}"
        for group, inner in groups.items()
        if inner and name in (known := _known_fields(inner, ()))
    ]


def _known_fields(cls: type[BaseModel], path: Sequence[str]) -> dict[str, str]:
    """Return every spelling of a field's name (the name itself, and its title) with the name."""
    for part in path:
        field = cls.model_fields.get(part)
        inner = _model_in(field.annotation) if field else None
        if field and inner is None:
            break
        cls = inner or cls  # a place in a list stays with the list's model
    titles = {field.title: name for name, field in cls.model_fields.items() if field.title}
    return {name: name for name in cls.model_fields} | titles


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings class of a field: its own, or that of the items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for item in get_args(annotation) if (found := _model_in(item))), None)
