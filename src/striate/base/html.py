"""Small pieces of HTML for notebooks: escaped, without script, and in the page's own colours, light or dark."""

from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Final

from .text import shown

RULE: Final = "1px solid rgba(128,128,128,.45)"  # grey between light and dark
CELL: Final = "padding:.2em .9em .2em 0;vertical-align:top"
LONG: Final = "white-space:normal;overflow-wrap:anywhere;min-width:16em;max-width:44em"
SHORT: Final = 30  # characters that stay on one line
BAR_PX: Final = 120


class Html(str):
    """Text that is HTML already; everything else is escaped when it is put into HTML."""


def text(value: object, max_chars: int = 160) -> Html:
    """Return a value as HTML: `Html` stays as it is, other text is made visible, shortened and escaped.

    Example:
        >>> text("<b>&"), text(Html("<b>bold</b>"))
        ('&lt;b&gt;&amp;', '<b>bold</b>')
    """
    return value if isinstance(value, Html) else Html(escape(shown(value, max_chars)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Return parts as one piece of HTML."""
    return Html(escape(between).join(text(part) for part in parts))


def card(title: object, about: object, *parts: object) -> Html:
    """Return what a notebook shows of an object: a bold title, what it is in a few words, then its parts."""
    # the class keeps a notebook from setting "$" in names as formulas
    head = f"<div><b>{text(title)}</b> {quiet(about)}</div>"
    return Html(f'<div class="tex2jax_ignore mathjax_ignore" style="line-height:1.45">{head}{join(parts)}</div>')


def quiet(value: object) -> Html:
    """Return a value paler than its surroundings."""
    return Html(f'<span style="opacity:.7">{text(value, 600)}</span>') if value else Html()


def line(value: object, max_chars: int = 1000) -> Html:
    """Return a value on a line of its own."""
    return Html(f'<div style="margin:.3em 0;max-width:60em">{text(value, max_chars)}</div>') if value else Html()


def fold(title: object, part: object) -> Html:
    """Return a part that opens on a click, without script."""
    inside = f'<div style="overflow-x:auto">{text(part)}</div>'
    return Html(f'<details style="margin:.3em 0"><summary>{text(title)}</summary>{inside}</details>')


def bar(share: float) -> Html:
    """Return a bar for a share between 0 and 1; what is not a number is empty."""
    width = max(0.0, min(1.0, share)) if share == share else 0.0
    inner = f'<span style="display:block;height:.7em;width:{width:.1%};background:currentColor;opacity:.55"></span>'
    return Html(f'<span style="display:inline-block;width:{BAR_PX}px;border-bottom:{RULE}">{inner}</span>')


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = (), *, right: Collection[int] = ()) -> Html:
    """Return rows of cells; columns whose place is in `right` end at the same place, the others begin there."""
    top = f"<thead>{_row(head, 'th', right, f';border-bottom:{RULE}')}</thead>" if head else ""
    body = "".join(_row(cells, "td", right) for cells in rows)
    style = "margin:0;border-collapse:collapse;table-layout:auto;font-size:inherit;color:inherit"
    made = f'<table style="{style}">{top}<tbody>{body}</tbody></table>'
    return Html(f'<div style="margin:.4em 0;overflow-x:auto">{made}</div>')


def _row(cells: Sequence[object], tag: str, right: Collection[int], look: str = "") -> str:
    made = []
    for place, cell in enumerate(cells):
        inside = text(cell, 400)
        is_short = isinstance(cell, Html) or len(inside) <= SHORT
        side, wrap = "right" if place in right else "left", "white-space:nowrap" if is_short else LONG
        made.append(f'<{tag} style="text-align:{side};{CELL};{wrap}{look}">{inside}</{tag}>')
    return f"<tr>{''.join(made)}</tr>"
