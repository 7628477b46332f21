"""Why boxes are not found: objects that no place or anchor of the network can learn of, or that are a few pixels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.numbers import significant
from striate.base.size import size_text
from striate.base.text import shown

from .experiment import again
from .reading import Reading, at, number
from .remark import Remark

FEW_PX = 8.0  # the finest stride of a usual pyramid
UNREACHED, SMALL = 0.05, 0.2  # shares of the objects
POOR = 0.2  # AP of small objects
DOMINATING = 0.95  # of the loss
FALLEN = 0.5  # of the other parts in the first epoch
PREFIX = "loss_"  # of a part in the history
WEIGHT_OF = {
    "class": "class_weight", "objectness": "class_weight", "box": "box_weight", "proposal": "box_weight"
}  # fmt: skip
USUAL_WEIGHTS = {"class_weight": 1.0, "box_weight": 2.0}
LESS = 5.0
SIDES = slice(1, 5)  # of a row of a table of true boxes, behind its class
LARGEST_PX = 1024  # of a side that is proposed


def unreached_boxes(found: Reading) -> Remark | None:
    """Objects that the network cannot learn of, since they lie between its places or fit none of its anchors."""
    reach = at(found.scores, "train.reach") or at(found.scores, "val.reach")
    objects, reached = number(at(reach, "objects")), number(at(reach, "reached"))
    if objects > 0 and 1 - reached / objects >= UNREACHED:
        share = 1 - reached / objects
        evidence = (
            f"Of {share:.0%} of the objects ({objects - reached:,.0f} of {objects:,.0f}) the network cannot learn"
        )
        kind = shown(at(found.info, "task.detector"), 30)
        evidence += f": as {kind} sees them, no place lies in them, or no anchor overlaps them enough."
        return _larger(found, "likely", evidence)
    return small_boxes(found)


def small_boxes(found: Reading) -> Remark | None:
    """Objects that are a few pixels where the network sees them, and are hardly found."""
    sides = sides_px(found)
    if not len(sides) or not (sides < FEW_PX).mean() >= SMALL:
        return None
    if number(at(found.scores, "val.ap")) >= POOR:
        return None
    evidence = f"{(sides < FEW_PX).mean():.0%} of the validation objects are smaller than {FEW_PX:g} px as the network"
    return _larger(found, "likely", f"{evidence} sees them (median {np.median(sides):.0f} px).")


def dominating_part(found: Reading) -> Remark | None:
    """One part of the loss is nearly all of it while the others do not fall, and the objects are hardly found."""
    first, last = (_parts(found.history[epoch]) for epoch in (0, -1)) if len(found.history) > 1 else ({}, {})
    if len(last) < 2 or first.keys() != last.keys() or not number(at(found.scores, "val.ap")) < POOR:
        return None
    name, total = max(last, key=lambda key: last[key]), sum(last.values())
    before, after = (sum(parts.values()) - parts[name] for parts in (first, last))
    share = last[name] / total if total > 0 else 0.0
    if share < DOMINATING or after < FALLEN * before:
        return None
    rest = ", ".join(f"{key} {significant(value)}" for key, value in last.items() if key != name)
    evidence = f"Of the training loss {share:.0%} is the part {shown(name, 20)} ({significant(last[name])}; {rest})."
    evidence += " What is left has not fallen by half since the first epoch."
    changes = [f"task.{weight}={significant(value)}" for weight, value in _other_weights(found, name)]
    return Remark(
        "one_part_dominates", "possible", evidence, f"Weigh it less: {', '.join(changes)}.", again(found, *changes)
    )


def _parts(row: Mapping[str, Any]) -> dict[str, float]:
    train = at(row, "train") or {}
    return {key.removeprefix(PREFIX): number(value) for key, value in train.items() if key.startswith(PREFIX)}


def _other_weights(found: Reading, name: str) -> list[tuple[str, float]]:
    """The weight of a part, lower; of one that has none, those of the others, higher."""
    given = {weight: number(found.setting(f"task.{weight}")) for weight in USUAL_WEIGHTS}
    now = {weight: value if value > 0 else USUAL_WEIGHTS[weight] for weight, value in given.items()}
    if weight := WEIGHT_OF.get(name):
        return [(weight, now[weight] / LESS)]
    return [(weight, value * LESS) for weight, value in now.items()]


def sides_px(found: Reading) -> npt.NDArray[np.float64]:
    """Return the shorter side of each validation object in pixels of the network's view, about."""
    table, view = found.val, at(found.info, "input.size_hw")
    sizes = None if table is None else table.records.get("size_hw")
    if table is None or sizes is None or not view or table.truth.ndim != 3 or table.truth.shape[2] <= SIDES.stop:
        return np.empty(0)
    scales = np.array(view, float) / np.maximum(sizes, 1)
    fit = at(found.info, "input.fit")
    scale = scales.max(1) if fit == "crop" else scales.min(1)
    boxes = table.truth[:, :, SIDES]
    shorter = (boxes[:, :, 2:] - boxes[:, :, :2]).min(2) * scale[:, None]
    return np.asarray(shorter[np.isfinite(shorter)])


def _larger(found: Reading, sureness: str, evidence: str) -> Remark:
    sides = [int(side) for side in at(found.info, "input.size_hw") or ()]
    larger = size_text(tuple(2 * side for side in sides)) if sides and 2 * max(sides) <= LARGEST_PX else ""
    what = (
        f"Let the network see larger images: {larger} px." if larger else "Cut the images into parts before training."
    )
    command = again(found, f"data.size={larger}") if larger else ""
    return Remark("unreached_boxes", sureness, evidence, what, command)  # type: ignore[arg-type]
