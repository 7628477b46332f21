"""A prediction in a line for a terminal, and with bars for a notebook."""

import math
from typing import TYPE_CHECKING

from striate.base.html import Html, bar, card, table, text
from striate.base.text import shown

if TYPE_CHECKING:
    from .prediction import Prediction

MOST = 5  # bars
NEXT = 2  # classes on a terminal beside those given
MOST_VALUES = 12


def prediction_text(prediction: "Prediction") -> str:
    """Return the answer, and for classes what comes next.

    Example:
        >>> from striate.predict.prediction import Prediction
        >>> Prediction("a.jpg", ("robin",), (), {"robin": 0.9, "wren": 0.06, "tit": 0.04})
        Prediction('a.jpg': robin 90.0%; then wren 6.0%, tit 4.0%)
        >>> Prediction("b.png", ("angle",), (41.5,))
        Prediction('b.png': angle 41.5)
    """
    if prediction.things is not None or prediction.map is not None or prediction.points:
        given, then = [prediction.line(MOST)], []
    elif prediction.probabilities is None:
        pairs = list(zip(prediction.names, prediction.values, strict=True))
        given = [f"{shown(name, 40)} {value:.4g}" for name, value in pairs[:MOST_VALUES]]
        then = [f"{len(pairs) - MOST_VALUES} more"] if len(pairs) > MOST_VALUES else []
    else:
        ranked = [(name in prediction.names, f"{shown(name, 40)} {_percent(p)}") for name, p in _ranked(prediction)]
        given = [said for is_given, said in ranked if is_given][:MOST_VALUES]
        then = [said for is_given, said in ranked if not is_given][:NEXT]
    ending = f"; then {', '.join(then)}" if then else ""
    return f"Prediction({shown(prediction.id)!r}: {', '.join(given) or 'none'}{ending})"


def prediction_card(prediction: "Prediction") -> Html:
    """Return the five most probable classes with bars, those given in bold; or the numbers."""
    if prediction.map is not None:
        shares = sorted(prediction.shares.items(), key=lambda item: -item[1])[:MOST]
        parts = [(text(name, 80), bar(share), _percent(share)) for name, share in shares]
        return card(prediction.id, "x".join(map(str, prediction.map.shape)), table(parts, right={2}))
    if prediction.things is not None:
        parts = [(text(thing.name, 80), bar(thing.score), _percent(thing.score)) for thing in prediction.things[:MOST]]
        return card(prediction.id, prediction.line(MOST), table(parts, right={2}))
    if prediction.points:
        places = [
            (name, f"{x:.1f}", f"{y:.1f}") for name, (x, y) in zip(prediction.names, prediction.points, strict=True)
        ]
        return card(prediction.id, "x and y in pixels", table(places, right={1, 2}))
    if prediction.probabilities is None:
        rows: list[tuple[object, ...]] = [
            (name, f"{value:.4g}") for name, value in zip(prediction.names, prediction.values, strict=True)
        ]
        return card(prediction.id, "", table(rows, right={1}))
    rows = []
    for name, p in _ranked(prediction)[:MOST]:
        is_given = name in prediction.names
        rows.append((Html(f"<b>{text(name, 80)}</b>") if is_given else text(name, 80), bar(p), _percent(p)))
    about = ", ".join(prediction.names) or "none is probable enough"
    return card(prediction.id, about, table(rows, right={2}))


def _ranked(prediction: "Prediction") -> list[tuple[str, float]]:
    """Classes with their probabilities, the most probable first; what is not a number last."""
    pairs = (prediction.probabilities or {}).items()
    return sorted(pairs, key=lambda pair: math.inf if math.isnan(pair[1]) else -pair[1])


def _percent(p: float) -> str:
    return "n/a" if math.isnan(p) else f"{p:.1%}"
