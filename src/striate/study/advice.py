"""What to do next, from all runs of a study: state of the best variant, score for its time, transfer, more images."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from striate.base.rundir import StudyDir
from striate.base.text import plural

from .compare import Comparison
from .learning import curve_sentence
from .narrator import Remark, narrate
from .wording import Wording, is_known, listed, significant

Advice = dict[str, str]


def advise(study: StudyDir, verdict: Mapping[str, Any], found: Comparison) -> list[Advice]:
    """Return pieces of advice, each a `text` and a `command` to type ("" where there is none)."""
    variants = {variant["name"]: variant for variant in study.info()["variants"]}
    curve = verdict["learning_curve"]
    return [
        *_state(study, verdict, found),
        *_per_minute(verdict),
        *_transfer(variants, verdict, found),
        *([{"text": curve_sentence(curve, verdict), "command": ""}] if curve else []),
    ]


def _state(study: StudyDir, verdict: Mapping[str, Any], found: Comparison) -> Iterator[Advice]:
    """The state most runs of the best variant are in, and the experiment that follows from it."""
    name = verdict["best"]
    first = [said[0] for trial in found[name].trials if (said := narrate(study.run(name, *trial.key)))]
    if not first:
        return
    state, num = Counter(remark.state for remark in first).most_common(1)[0]
    remark: Remark = next(one for one in first if one.state == state)
    share = f"in {num} of {plural(len(first), 'run')}" if num < len(first) else f"in all {plural(num, 'run')}"
    which = "In one of them: " if len(first) > 1 else ""
    words = remark.title[:1].lower() + remark.title[1:]
    text, is_healthy = f"State of {name}, {share}: {words}. {which}{remark.evidence}", remark.state == "healthy"
    # the next experiment of a healthy run is a study, and this is one
    yield {
        "text": text if is_healthy else f"{text} Try next: {remark.next}",
        "command": "" if is_healthy else remark.command,
    }


def _per_minute(verdict: Mapping[str, Any]) -> Iterator[Advice]:
    """What each variant gives for a minute of training."""
    say = Wording(verdict["metric"], verdict.get("unit", ""))
    rows = [row for row in verdict["variants"] if is_known(row["per_minute"])]
    if say.is_share and len(rows) > 1:
        rows = sorted(rows, key=lambda row: -row["per_minute"])
        each = listed([f"{row['name']} {significant(100 * row['per_minute'])}" for row in rows])
        yield {"text": f"Points of {say.name} a minute of training: {each}.", "command": ""}


def _transfer(variants: Mapping[str, Any], verdict: Mapping[str, Any], found: Comparison) -> Iterator[Advice]:
    """Which kind of transfer fits these images, as measured here; and whether transfer does at all."""
    names = [name for name, one in variants.items() if _kind(one) and found[name].mean("val") is not None]
    if not names:
        return
    say, sign = Wording(verdict["metric"], verdict.get("unit", "")), 1 if found.mode == "max" else -1
    pick = lambda among: max(among, key=lambda name: sign * (found[name].mean("val") or 0.0))  # noqa: E731
    best = pick(names)
    text = f"Of the kinds of transfer, {best} ({_kind(variants[best])}) is best on validation"
    told = {name: found.difference(best, name) for name in names if name != best}
    ahead = [n for n, one in told.items() if one and one.is_separable and sign * one.mean > 0]
    tied = [n for n, one in told.items() if one and not one.is_separable]
    text += f"; on the {found.split} images it is ahead of {listed(ahead)}" if ahead else ""
    text += f"; the data cannot tell it from {listed(tied)}" if tied else ""
    cheap = min([best, *tied], key=lambda name: found[name].mean("time_s") or 0.0)
    text += f", of which {cheap} takes least time" if tied and cheap != best else ""
    scratch = [name for name in variants if not _kind(variants[name]) and found[name].mean("val") is not None]
    if scratch:
        rival = pick(scratch)
        gain = found.difference(best, rival)
        if gain is not None and gain.is_separable:
            word = "above" if sign * gain.mean > 0 else "below"
            text += f". It is {say.amount(gain.mean)} {word} {rival}, the best from scratch"
        else:
            text += f". The data cannot tell it from {rival}, the best from scratch"
    yield {"text": f"{text}.", "command": ""}


def _kind(variant: Mapping[str, Any]) -> str:
    """What of a trained network a variant takes over; "" when it starts from nothing."""
    recipe = variant.get("recipe") or {}
    transfer, train = recipe.get("transfer") or {}, recipe.get("train") or {}
    if not transfer.get("weights"):
        return ""
    if transfer.get("head") == "only":
        return "its features, a solved head"
    return "its frozen body, a new head" if train.get("frozen") == "body" else "all of it, trained on"
