"""What a search found: the best network, its lineage, the front, and whether it beat its seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.numbers import counted
from striate.metric import metric_of

from .evolve import Candidate, Rules, front, lineage


def outcome(history: Sequence[Candidate], rules: Rules, best: Candidate, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document that result.json holds."""
    statuses = [one.status for one in history]
    return {
        "candidates": len(history),
        **{status: statuses.count(status) for status in ("finished", "cut", "diverged")},
        "limit": {"kind": rules.limit.kind, "value": rules.limit.value},
        "best": described(best, rules),
        "seed": described(history[0], rules),
        "lineage": [described(one, rules) for one in lineage(history, best.number)],
        "front": [one.number for one in front(history, rules)],
        "sentence": sentence(verdict, history[0], best),
        "verdict": dict(verdict),
    }


def described(one: Candidate, rules: Rules) -> dict[str, Any]:
    """Return a candidate in plain values."""
    row = {name: getattr(one, name) for name in ("number", "parent", "change", "macs", "parameters", "status")}
    return {**row, "score": rules.score(one), "epochs": len(one.scores), "genome": str(one.genome or "")}


def sentence(
    verdict: Mapping[str, Any], seed: Candidate, best: Candidate, names: tuple[str, str] = ("searched", "seed")
) -> str:
    """Return in one sentence whether the network that was found beats the seed on the reported split.

    Args:
        verdict: of a study of the two; `names` are those of the variants, the found one first.
    """
    row = next((row for row in verdict["differences"] if {row["a"], row["b"]} == set(names)), None)
    costs = f"{counted(best.macs)} MACs and {counted(best.parameters)} parameters"
    costs += f" against {counted(seed.macs)} and {counted(seed.parameters)}"
    if row is None or None in row["interval"]:
        return f"There are too few runs to say whether the search beat its seed; {costs}."
    sign = 1 if row["a"] == names[0] else -1
    low, high = sorted(sign * end for end in row["interval"])
    gain = sign * row["mean"] * (1 if verdict["mode"] == "max" else -1)
    say = metric_of(verdict)
    ends = [low, high] if verdict["mode"] == "max" else [-high, -low]
    is_level = say.amount(gain) == say.amount(0.0)
    way = "the same" if is_level else f"{say.amount(gain)} {'better' if gain > 0 else 'worse'}"
    amount = f"{say.name} on {verdict['split_reported']} is {way}"
    interval = f"95% interval of the gain {say.span(ends, is_change=True)}"
    if not row["separable"]:
        said = "The search did not find a network significantly different from its seed"
    else:
        said = "The search beat its seed" if gain > 0 else "The search found a network worse than its seed"
    return f"{said}: its {amount} ({interval}), with {costs}."
