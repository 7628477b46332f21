"""What to do next, from all runs of a study: state of the best variant, transfer, more images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from striate.base.rundir import StudyDir
from striate.diagnose import Remark, narrate

from .compare import Comparison
from .learning import curve_sentence
from .transfer import transfer_sentence

Advice = dict[str, str]


def advise(study: StudyDir, verdict: Mapping[str, Any], found: Comparison) -> list[Advice]:
    """Return pieces of advice, each a `text` and a `command` to type ("" where there is none)."""
    curve = verdict["learning_curve"]
    texts = [transfer_sentence(study, found), curve_sentence(curve, verdict) if curve else ""]
    return [*_state(study, verdict, found), *({"text": text, "command": ""} for text in texts if text)]


def _state(study: StudyDir, verdict: Mapping[str, Any], found: Comparison) -> Iterator[Advice]:
    """The state most runs of the best variant are in, and the experiment that follows from it."""
    name = verdict["best"]
    first = [said[0] for trial in found[name].trials if (said := narrate(study.run(name, *trial.key)))]
    if not first:
        return
    state, num = Counter(remark.state for remark in first).most_common(1)[0]
    remark: Remark = next(one for one in first if one.state == state)
    everywhere = {1: "in its run", 2: "in both runs"}.get(num, f"in all {num} runs")
    share = everywhere if num == len(first) else f"in {num} of {len(first)} runs"
    which = "In one of them: " if len(first) > 1 else ""
    words = remark.title[:1].lower() + remark.title[1:]
    text, is_healthy = f"State of {name}, {share}: {words}. {which}{remark.evidence}", remark.state == "healthy"
    # the next experiment of a healthy run is a study, and this is one
    yield {
        "text": text if is_healthy else f"{text} Try next: {remark.next}",
        "command": "" if is_healthy else remark.command,
    }
