"""The questions of a task that a study's variants answer: does a part of the network matter, where, at what cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from striate.base.numbers import counted
from striate.base.text import duration
from striate.metric import Metric
from striate.task import Question, Task

from .facts import Gain, clause, difference_row, surely

if TYPE_CHECKING:
    from .compare import Comparison


def answered(task: Task, variants: Sequence[Mapping[str, Any]]) -> tuple[Question, ...]:
    """Return the questions of a task that these variants answer, each with those of its others that are among them.

    A variant is a step of the task where it has its name and its network; one that was trained by another recipe does
    not answer a question of the network.

    Args:
        variants: plain descriptions, as in study.json.
    """
    models = {step.name: step.model for step in (*task.steps, *task.more_steps, *task.pretrained_steps)}
    known = {one["name"]: one for one in variants if models.get(one["name"]) == one.get("model")}
    found = []
    for question in task.questions:
        subject = known.get(question.subject)
        if subject is None:
            continue
        others = [
            name
            for name in question.others
            if name in known and (not question.is_same_recipe or is_alike(subject, known[name]))
        ]
        if others:
            found.append(replace(question, others=tuple(others)))
    return tuple(found)


def is_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two variants differ in nothing but their networks."""
    return all(one.get(key) == other.get(key) for key in ("recipe", "num_train"))


def rows(found: "Comparison") -> list[dict[str, Any]]:
    """Return the answers as verdict.json holds them: for each question the subject's differences from each other step.

    Each of `others` is a difference (see `decide`) with, where the task has metrics of places, `regions` (the
    differences in the first and in the second, whose names are `regions` of the answer) and `contrast`, the first minus
    the second. `is_of_network`: it is of a part of the network, which helps somewhere, and not of the training.
    """
    answers = []
    for question in found.questions:
        others = [row for name in question.others if (row := _other(found, question.subject, name))]
        if others:
            answer: dict[str, Any] = {"what": question.what, "subject": question.subject, "others": others}
            answer["is_of_network"] = question.is_same_recipe
            answers.append(answer | {"regions": [one.name for one in found.regions], "region_text": found.region_text})
    return answers


def _other(found: "Comparison", subject: str, name: str) -> dict[str, Any] | None:
    whole = found.difference(subject, name)
    if whole is None:
        return None
    row = {**difference_row(subject, name, whole, found.metric.direction), "regions": [], "contrast": None}
    parts = [found.region_difference(subject, name, place) for place in range(len(found.regions))]
    contrast = found.contrast(subject, name) if parts else None
    if contrast is None or None in parts:
        return row
    named = zip(found.regions, parts, strict=True)
    regions = [difference_row(subject, name, one, metric.direction) for metric, one in named if one is not None]
    return row | {"regions": regions, "contrast": difference_row(subject, name, contrast, found.regions[0].direction)}


def sentences(answers: Sequence[Mapping[str, Any]], found: "Comparison") -> Iterator[str]:
    """Yield what the answers say: whether it matters, where, and at what cost."""
    split = "test" if found.split == "test" else "validation"
    for answer in answers:
        gains = [Gain.of(row, found.metric.direction, found.split) for row in answer["others"]]
        each = "; ".join(f"{clause(one, found.metric)[:-1]}, {surely(one)})" for one in gains)
        yield f"{_conclusion(answer['what'], gains)} on the {split} images: {each}."
        for row in answer["others"]:
            if row["contrast"] is not None and answer["is_of_network"]:
                yield _where(answer, row, found, split)
        if cost := _cost(answer, found):
            yield cost


def _conclusion(what: str, gains: Sequence[Gain]) -> str:
    """Say what the gains have in common; each of them follows."""
    better = [one for one in gains if one.is_significant and one.size > 0]
    worse = [one for one in gains if one.is_significant and one.size < 0]
    start = what[:1].upper() + what[1:]
    if len(better) == len(gains):
        return f"{start}: better with than without"
    if len(worse) == len(gains):
        return f"{start}: worse with than without"
    if not better and not worse:
        return f"{start}: no significant difference"
    return f"{start}: no one answer"


def _where(answer: Mapping[str, Any], row: Mapping[str, Any], found: "Comparison", split: str) -> str:
    """Say by how much the subject is better near and away from boundaries, and whether that is a difference."""
    parts = [
        Gain.of(one, metric.direction, found.split) for one, metric in zip(row["regions"], found.regions, strict=True)
    ]
    near, far = (f"{_signed(one, say)}" for one, say in zip(parts, found.regions, strict=True))
    more = Gain.of(row["contrast"], found.regions[0].direction, found.split)
    names = [one.name for one in found.regions]
    note = "no significant difference"
    if more.is_significant:
        note = f"the gain in the first is {'larger' if more.size > 0 else 'smaller'}"
    span = found.regions[0].span(more.interval, is_change=True)
    return (
        f"Where, on the {split} images, {row['a']} against {row['b']}: {names[0]} ({answer['region_text']}) {near}, "
        f"{names[1]} {far}; {note} (difference of the gains {found.regions[0].change(more.size)}, 95% interval {span})."
    )


def _signed(gain: Gain, say: Metric) -> str:
    span = f"95% interval {say.span(gain.interval, is_change=True)}"
    return f"{say.change(gain.size)} ({span}, {surely(gain)})"


def _cost(answer: Mapping[str, Any], found: "Comparison") -> str:
    names = [answer["subject"], *(row["b"] for row in answer["others"])]
    known = [
        f"{name} {duration(time_s)} a run, {counted(found[name].parameters)} parameters"
        for name in names
        if (time_s := found[name].mean("time_s")) is not None and found[name].parameters is not None
    ]
    return f"What {answer['what']} cost: {'; '.join(known)}." if len(known) == len(names) else ""
