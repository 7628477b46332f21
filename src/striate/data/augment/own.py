"""Operations of one's own, in recipes: a plugin or a program registers a class, which then goes by its kind."""

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import WrapSerializer, WrapValidator

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .colour import Colour
from .effect import Effect
from .geometric import Geometric
from .operation import Operation
from .pipeline import KINDS, Op

Kind = TypeVar("Kind", bound=Operation)
OWN: dict[str, type[Operation]] = {}


def register(cls: type[Kind]) -> type[Kind]:
    """Add an operation to those that recipes know, by its `kind`, and return it; a decorator.

    Raises:
        SettingsError: it has no kind, the kind of one that is there already, or is of no family.
    """
    field = cls.model_fields.get("kind")
    kind = field.default if field is not None else None
    if not isinstance(kind, str) or not kind.isidentifier():
        fix = 'write kind: Literal["tint"] = "tint" in it'
        raise SettingsError("an operation without a kind", where=cls.__name__, fix=fix)
    if kind in KINDS:
        raise SettingsError(f"there is an operation {kind} already", where=cls.__name__, fix="give it another kind")
    if not issubclass(cls, Geometric | Colour | Effect):
        fix = "derive it from Geometric, Colour or Effect"
        raise SettingsError("an operation that a pipeline cannot apply", where=cls.__name__, fix=fix)
    OWN[kind] = cls
    return cls


def known() -> dict[str, Any]:
    """Return every operation by its kind, registered ones too."""
    return {**KINDS, **OWN}


def _read(value: Any, handler: Any) -> Any:
    kind = value if isinstance(value, str) else value.get("kind") if isinstance(value, dict) else None
    if type(value) in OWN.values():
        return value
    if isinstance(kind, str) and kind not in KINDS:
        own = choose("operation", kind, known())
        return own() if isinstance(value, str) else own.model_validate(value)
    return handler(value)


def _write(value: Any, handler: Any) -> Any:
    return value.model_dump(mode="json") if type(value) in OWN.values() else handler(value)


AnyOp: TypeAlias = Annotated[Op, WrapValidator(_read), WrapSerializer(_write)]
