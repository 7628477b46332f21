"""The page's templates: every text that enters them is escaped, and its control characters are made visible."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from striate.base.text import shown, with_capital

FOLDER = Path(__file__).parent


def fill(template: str, **context: Any) -> str:
    """Return a whole template, filled."""
    return environment().get_template(template).render(**context)


def piece(template: str, macro: str, *args: Any, **options: Any) -> Markup:
    """Return one macro of a template, called: the body of a section, or a part of one."""
    return Markup(getattr(environment().get_template(template).module, macro)(*args, **options))


@cache
def environment() -> Environment:
    """Return what compiles the templates and keeps them."""
    found = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {"soft": _soft, "with_capital": with_capital}
    return found


def _soft(value: Any) -> Markup:
    """Return a text that may break after each underscore, where a long name would else break within a word."""
    return escape(_visible(str(value))).replace("_", Markup("_<wbr>"))


def _visible(value: Any) -> Any:
    """Show control characters as escapes in every text that enters the page; markup made here passes unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value, max_chars=4000)
    return value
