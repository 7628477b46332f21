"""Which kind of transfer fits these images, and whether transfer does at all: as measured in a study."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.base.rundir import StudyDir
from striate.base.stages import has_frozen_body
from striate.base.text import listed, plural

from .compare import Comparison
from .facts import Gain, clause, surely

FEATURES, FROZEN, TUNED = "its features, a linear probe", "its frozen body, a new head", "all of it, trained on"


def transfer_sentence(study: StudyDir, found: Comparison) -> str:
    """Return what was measured of transfer; empty when no variant starts from a trained network."""
    kinds = {variant["name"]: kind_of(variant) for variant in study.info()["variants"]}
    known = [name for name in kinds if name not in found.dropped and found[name].mean("val") is not None]
    names, scratch = [name for name in known if kinds[name]], [name for name in known if not kinds[name]]
    if not names:
        return ""
    tale = _Transfer(found, kinds)
    best, rival = tale.best_of(names), tale.best_of(scratch) if scratch else ""
    parts = [tale.ranking(best, names)] if len(names) > 1 or rival else []
    parts += [tale.against(best, rival)] if rival else []
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
    return FROZEN if has_frozen_body(train) else TUNED


class _Transfer:
    def __init__(self, found: Comparison, kinds: Mapping[str, str]) -> None:
        self.found, self.kinds = found, kinds
        self.say, self.sign = found.metric, -1 if found.metric.is_less_better else 1

    def best_of(self, names: Sequence[str]) -> str:
        return max(names, key=lambda name: self.sign * (self.found[name].mean("val") or 0.0))

    def ranking(self, best: str, names: Sequence[str]) -> str:
        """The best kind on validation, and what it is ahead of and tied with on the reported images."""
        text = f"Of the kinds of transfer, {best} ({self.kinds[best]}) is best on validation"
        gains = [one for name in names if name != best and (one := self.gain(best, name))]
        tied = [one.other for one in gains if not one.is_significant]
        places = {
            f"{best} is significantly better than": [o.other for o in gains if o.is_significant and o.size > 0],
            f"{best} is significantly worse than": [o.other for o in gains if o.is_significant and o.size < 0],
            f"{best} is not significantly different from": tied,
        }
        said = [f"{start} {listed(others)}" for start, others in places.items() if others]
        text += f"; on the {self.split} images {'; '.join(said)}" if said else ""
        cheap = min([best, *tied], key=lambda name: self.found[name].mean("time_s") or 0.0)
        return f"{text}." + (f" Of {listed([best, *tied])}, {cheap} takes least time." if cheap != best else "")

    @property
    def split(self) -> str:
        return "test" if self.found.split == "test" else "validation"

    def gain(self, subject: str, other: str) -> Gain | None:
        """How much better a variant is than another; None where they share no finished run."""
        row = self.found.difference(subject, other) if other else None
        return Gain.between(subject, other, row, self.found.metric.direction, self.found.split) if row else None

    def against(self, best: str, rival: str) -> str:
        gain = self.gain(best, rival)
        if gain is None:
            return f"No run of {best} could be compared with {rival}, the best from scratch on validation."
        return f"Against the best from scratch on validation: {clause(gain, self.say)}, {surely(gain)}."

    def similarity(self, features: str, rival: str, tuned: Sequence[str], images: str) -> Iterator[str]:
        """How far the borrowed features tell these images apart as they are, and what training them on brings."""
        text = f"{images}a linear probe on the unchanged features ({features}) reaches "
        text = text[:1].upper() + text[1:] + self.say.text(self.found[features].mean("reported"))
        yield f"{text}: the closer these images are to what the weights were trained on, the better that is."
        for subject, other in ((features, rival), *((name, features) for name in tuned)):
            if gain := self.gain(subject, other):
                yield f"{clause(gain, self.say)}, {surely(gain)}."


def _images(study: StudyDir) -> str:
    """The training images of each class, where every image has one."""
    data = study.info().get("dataset") or {}
    each, num = (data.get("class_counts") or {}).get("train"), (data.get("counts") or {}).get("train")
    if not each or not num or sum(each) != num:
        return f"with {plural(num, 'training image')}, " if num else ""
    span = f" ({min(each):,} to {max(each):,})" if min(each) < max(each) else ""
    return f"with {plural(round(num / len(each)), 'training image')} a class{span}, "
