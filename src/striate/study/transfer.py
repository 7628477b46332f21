"""Which kind of transfer fits these images, and whether transfer does at all: as measured in a study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.base.rundir import StudyDir
from striate.base.text import plural

from .compare import Comparison
from .wording import Wording, listed

FEATURES, FROZEN, TUNED = "its features, a solved head", "its frozen body, a new head", "all of it, trained on"


def transfer_sentence(study: StudyDir, found: Comparison) -> str:
    """Return what was measured of transfer; empty when no variant starts from a trained network."""
    kinds = {variant["name"]: kind_of(variant) for variant in study.info()["variants"]}
    known = [name for name in kinds if name not in found.dropped and found[name].mean("val") is not None]
    names, scratch = [name for name in known if kinds[name]], [name for name in known if not kinds[name]]
    if not names:
        return ""
    tale = _Transfer(found, kinds)
    best, rival = tale.best_of(names), tale.best_of(scratch) if scratch else ""
    parts = [tale.ranking(best, names), *([tale.against(best, rival)] if rival else [])]
    features = [name for name in names if kinds[name] == FEATURES]
    if features:
        tuned = [name for name in names if kinds[name] == TUNED]
        parts += tale.similarity(tale.best_of(features), rival, tuned, _images(study))
    return " ".join(parts)


def kind_of(variant: Mapping[str, Any]) -> str:
    """Return what of a trained network a variant takes over; "" when it starts from nothing."""
    recipe = variant.get("recipe") or {}
    transfer, train = recipe.get("transfer") or {}, recipe.get("train") or {}
    if not transfer.get("weights"):
        return ""
    if transfer.get("head") == "only":
        return FEATURES
    return FROZEN if train.get("frozen") == "body" and not train.get("frozen_epochs") else TUNED


class _Transfer:
    def __init__(self, found: Comparison, kinds: Mapping[str, str]) -> None:
        self.found, self.kinds = found, kinds
        self.say, self.sign = Wording(found.metric, found.unit), 1 if found.mode == "max" else -1

    def best_of(self, names: Sequence[str]) -> str:
        return max(names, key=lambda name: self.sign * (self.found[name].mean("val") or 0.0))

    def ranking(self, best: str, names: Sequence[str]) -> str:
        """The best kind on validation, and what it is ahead of and tied with on the reported images."""
        text = f"Of the kinds of transfer, {best} ({self.kinds[best]}) is best on validation"
        told = {name: self.found.difference(best, name) for name in names if name != best}
        ahead = [n for n, one in told.items() if one and one.is_separable and self.sign * one.mean > 0]
        tied = [n for n, one in told.items() if one and not one.is_separable]
        text += f"; on the {self.found.split} images it is ahead of {listed(ahead)}" if ahead else ""
        text += f"; the data cannot tell it from {listed(tied)}" if tied else ""
        cheap = min([best, *tied], key=lambda name: self.found[name].mean("time_s") or 0.0)
        return text + (f", of which {cheap} takes least time." if tied and cheap != best else ".")

    def against(self, best: str, rival: str) -> str:
        gain = self.found.difference(best, rival)
        if gain is None or not gain.is_separable:
            return f"The data cannot tell it from {rival}, the best from scratch."
        word = "better" if self.sign * gain.mean > 0 else "worse"
        return f"It is {self.say.amount(gain.mean)} {word} than {rival}, the best from scratch."

    def similarity(self, features: str, rival: str, tuned: Sequence[str], images: str) -> Iterator[str]:
        """How far the borrowed features tell these images apart as they are, and what training them on brings."""
        text = f"{images}a head solved on the unchanged features ({features}) reaches "
        text = text[:1].upper() + text[1:] + self.say.value(self.found[features].mean("reported"))
        compared = self._compared(features, rival)
        if compared:
            text += f", {compared} {rival}"
        yield f"{text}: the closer these images are to what the weights were trained on, the higher that is."
        for name in tuned:
            if compared := self._compared(name, features):
                yield f"Training the whole network on ({name}) is {compared} that."

    def _compared(self, a: str, b: str) -> str:
        """How much better A is than B, with the interval in favour of A: `3.1 points (...) better than`."""
        gain = self.found.difference(a, b) if b else None
        if gain is None:
            return ""
        ends = gain.interval if self.sign > 0 else (-gain.interval[1], -gain.interval[0])
        word = "better" if self.sign * gain.mean > 0 else "worse"
        unsure = "" if gain.is_separable else ", cannot be told from zero"
        return f"{self.say.amount(gain.mean)} {word} ({self.say.span(ends, is_change=True)}{unsure}) than"


def _images(study: StudyDir) -> str:
    """The training images of each class, where every image has one."""
    data = study.info().get("dataset") or {}
    each, num = (data.get("class_counts") or {}).get("train"), (data.get("counts") or {}).get("train")
    if not each or not num or sum(each) != num:
        return f"with {plural(num, 'training image')}, " if num else ""
    span = f" ({min(each):,} to {max(each):,})" if min(each) < max(each) else ""
    return f"with {plural(round(num / len(each)), 'training image')} a class{span}, "
