"""The model card beside an export: README.md with a YAML header, as model hubs read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from striate.base.text import plural

SHOWN = 20  # classes that are listed


def card(
    config: Mapping[str, Any],
    scores: Mapping[str, Any],
    files: Mapping[str, str],
    agreement: str,
    use: Sequence[str] = (),
) -> str:
    """Return the card of a run: what it answers, how well, what it needs, and how it was checked.

    Args:
        config: what config.json holds.
        scores: split -> metric -> value, as the run measured them.
        files: name -> what is in it.
        use: lines of Python that load it.
    """
    names, size = list(config["names"]), "x".join(map(str, config["size_hw"]))
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    answer = f"{plural(len(names), 'name')}: {shown}" if names else "an image"
    lines = [
        "---", "library_name: striate", "tags:", f"- {config['task']}", f"- {config['model']}", "metrics:",
        *(f"- {name}" for name in _metrics(scores)), "---", "",
        f"# {config['model']} for {config['data']}", "",
        f"Task: {config['task']}. It answers with {answer}.", "",
        f"Input: images of {config['channels']} channels, brought to {size} ({config['fit']}), "
        f"normalised by mean {_short(config['mean'])} and deviation {_short(config['std'])} of values 0..1.", "",
        "## Scores", "", "| split | metric | value |", "| --- | --- | --- |",
        *(f"| {split} | {name} | {value:.4g} |" for split, found in scores.items() for name, value in found.items()),
        "", "## Files", "", *(f"- `{name}`: {what}" for name, what in files.items()), "",
        *(["## Use", "", "```python", *use, "```", ""] if use else []),
        "## Checked", "", agreement, "",
    ]  # fmt: skip
    return "\n".join(lines)


def _short(values: Any) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _metrics(scores: Mapping[str, Any]) -> list[str]:
    return sorted({name for found in scores.values() for name in found if name != "loss"})
