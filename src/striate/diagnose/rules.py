"""Causes: what in the training, the network or the data keeps a run from being better."""

import math
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np

from striate.base.numbers import significant
from striate.base.text import plural, shown
from striate.model import zoo

from .boxes import dominating_part, unreached_boxes
from .experiment import again, other, with_model
from .reading import Reading, at, number
from .remark import Remark

# A usual weight is about 0.05 (He, 1,000 inputs), and Adam moves every weight by about the rate: at 20 times the usual
# rate a few steps replace the weights.
HIGH_RATE = 20.0
HUGE_RATE = 100.0
LOW_RATE = 0.1  # of the usual: ten times as many steps for the same way
LITTLE = 0.1  # of the loss is gone: no better than guessing, for a person's purposes
HALF = 0.5  # of the loss is gone: what is wrong did not keep the network from learning
EXPLODED = 2.0  # times the loss of guessing: a validation loss that mere ignorance cannot have
NUM_EXPLODED = 2  # epochs: one may be bad luck
# Steps until batch norm's running statistics, a tenth renewed a step, are the network's own: 0.9^50 is half a percent.
# Before that the validation loss says nothing about the rate.
NUM_SETTLING = 50
DEAD = 0.5  # of a row's units: dropout at its usual strongest loses as many, but other ones each time
NUM_DEAD_EPOCHS = 2  # in a row at the end: so that one odd look is none
# Relative gradient (norm over weights' norm) of the first rows against the last: 2e-5 to 2e-6 in a sigmoid network of
# 12 rows, 1e-2 to 1 in ReLU networks that learn.
VANISHED = 1e-3
# He and Wu, "Group normalization" (2018), figure 1: the error of ResNet-50 is the same at 32 and 16 images a batch,
# 1 point higher at 8, 4 at 4, 11 at 2.
SMALL_BATCH = 8
NOISE_ON_PURPOSE = 0.1
# Confidence tells mistakes from hits with an AUC of 0.65 to 0.97 where mistakes are hard images; where labels are wrong
# at random the network cannot know, and it is 0.5.
NOISE_AUC = 0.6
MIN_MISTAKES = 30
NOISE_SHARE = 0.1  # of the images it is surest of
NOISE_SKILL = 0.3  # of the way from guessing to perfect: it must know something for its confidence to mean anything
MISSED_IOU = 0.05  # of a class: next to nothing of it is right
VAL_AHEAD = 0.05  # points by which clean validation images may be ahead of training images by chance


def diverged(found: Reading) -> Remark | None:
    """The loss stopped being a number."""
    if found.status != "diverged":
        return None
    epochs = f"after epoch {at(found.history[-1], 'epoch')}" if found.history else "in the first epoch"
    return _slower(found, "certain", f"The loss stopped being a finite number {epochs}, at a rate of {_rate(found)}.")


def rate_too_high(found: Reading) -> Remark | None:
    """Validation loss is worse than ignorance while training loss is no better, or a huge rate has learned little."""
    if found.is_head_only or found.status == "diverged":
        return None
    start = found.guess if found.guess > 0 else _first(found)
    settling = NUM_SETTLING // found.steps_an_epoch if found.has_batch_norm and found.steps_an_epoch else 0
    pairs = list(zip(found.curve("train"), found.curve("val"), strict=True))[settling:]
    burst = [val for train, val in pairs if val > EXPLODED * start and train > HALF * start]
    if len(burst) >= NUM_EXPLODED and not found.learned > HALF:
        of_what = "that of guessing" if found.guess > 0 else "that of the first epoch"
        evidence = f"In {len(burst)} epochs the validation loss was more than {EXPLODED:g} times {of_what}"
        evidence += f" (up to {significant(max(burst))} against {significant(start)})"
        return _slower(found, "likely", f"{evidence}, at a rate of {_rate(found)}.")
    if found.excess >= HIGH_RATE and found.learned < HALF:
        evidence = f"The rate is {_rate(found)}, {_round(found.excess)} times the usual one"
        sure = "likely" if found.learned < LITTLE or found.excess >= HUGE_RATE else "possible"
        return _slower(found, sure, f"{evidence}, and {_little(found)}.")
    return None


def _slower(found: Reading, sureness: str, evidence: str) -> Remark:
    usual = found.peak_rate / found.excess
    lower = usual if found.excess > 3 else found.peak_rate / 10
    lower = lower if math.isfinite(lower) else 1e-4
    what = f"Train at a rate of {lower:g}."
    return Remark("rate_too_high", sureness, evidence, what, again(found, f"train.lr={lower:g}"))  # type: ignore[arg-type]


def rate_too_low(found: Reading) -> Remark | None:
    """The loss creeps down every epoch, at a rate far below the usual one, and has hardly moved."""
    if found.is_head_only or not (found.excess <= LOW_RATE and found.learned < HALF):
        return None
    if found.setting("transfer.weights"):  # a small rate is right for weights that know much already
        return None
    losses = [loss for loss in found.curve("train") if math.isfinite(loss)]
    if len(losses) < 2:
        return None
    evidence = f"The rate is {_rate(found)}, {_round(1 / found.excess)} times lower than usual, and in "
    evidence += f"{len(losses)} epochs training loss went from {_exact(losses[0])} to {_exact(losses[-1])} only."
    usual = found.peak_rate / found.excess
    command = again(found, f"train.lr={usual:g}")
    return Remark("rate_too_low", "likely", evidence, f"Train at the usual rate of {usual:g}.", command)


def dead_units(found: Reading) -> Remark | None:
    """Half of a row's ReLUs or more are zero for every image."""
    last = found.rows[-NUM_DEAD_EPOCHS:]
    if found.is_head_only or not last:
        return None
    shares = {name: min(number(dict(rows).get(name, {}).get("dead_frac")) for rows in last) for name, _ in last[-1]}
    dead = {name: share for name, share in shares.items() if share >= DEAD}
    if not dead:
        return None
    worst = max(dead, key=lambda name: dead[name])
    evidence = f"In row {worst} {100 * dead[worst]:.0f}% of the units are zero for every image looked at"
    evidence += f", and in {plural(len(dead) - 1, 'more row')} at least {100 * DEAD:.0f}%" if len(dead) > 1 else ""
    change = "model.activation=leaky_relu"
    what = "Use leaky ReLUs, which let a gradient through below zero."
    if found.excess > 3:  # the rate killed them: a cure of the symptom would leave the cause
        lower = found.peak_rate / found.excess
        change, what = (
            f"train.lr={lower:g}",
            f"Train at a rate of {lower:g}: large steps push units below zero for good.",
        )
    sure = "possible" if not found.learned < HALF else "likely" if found.excess > 3 else "certain"
    return Remark("dead_units", sure, f"{evidence}; {_little(found)}.", what, again(found, change))  # type: ignore[arg-type]


def vanishing_gradients(found: Reading) -> Remark | None:
    """The first rows' gradient is a thousandth of the last rows', relative to their weights."""
    if found.is_head_only or found.learned > HALF or not found.rows:
        return None
    ratios = [pair for rows in found.rows if (pair := _gradient_ratio(rows))]
    if not ratios or not median(ratio for ratio, _ in ratios) < VANISHED:
        return None
    times, (first, last) = 1 / median(ratio for ratio, _ in ratios), ratios[-1][1]
    evidence = (
        f"Relative to its weights, the gradient of row {first} is {_round(times)} times smaller than that of {last}"
    )
    return Remark("vanishing_gradients", "likely", f"{evidence}; {_little(found)}.", *_let_through(found))


def vanishing_over_time(found: Reading) -> Remark | None:
    """The loss of a recurrent network pulls on the end of a series, and hardly on its start."""
    reach = number(at(found.info, "result.time_reach"))
    if not reach < VANISHED or found.learned > HALF:
        return None
    times = f"{_round(1 / reach)} times weaker than" if reach > 1e-30 else "nothing against"
    evidence = (
        f"The gradient vanishes over time: the loss's pull on the first tenth of the steps is {times} that on the "
    )
    evidence += f"last tenth, so the network hardly learns from how a series begins; {_little(found)}."
    what = (
        "Take convolutions, which see a long series in few steps; gates (lstm, gru) are enough for some tens of steps."
    )
    return Remark("vanishing_gradients", "likely", evidence, what, with_model(found, zoo.usual(None, "series")))


def _let_through(found: Reading) -> tuple[str, str]:
    """What lets the gradient reach the first rows, of all that the network does not have already; and the command."""
    if found.setting("model.activation") not in {None, "relu", "leaky_relu", "gelu", "silu"}:
        return "Use ReLUs, which let the gradient through.", again(found, "model.activation=relu")
    if not found.has_norm:
        return "Normalise each row's outputs.", again(found, "model.norm=batch")
    depth = number(found.setting("model.depth"))
    if depth >= 2:
        return "Take half the depth: its rows are normalised already.", again(found, f"model.depth={depth // 2:g}")
    if not found.has_skips:
        what = "Take a network with skips, past which the gradient need not go through every row."
        return what, with_model(found, zoo.SMALL_RESIDUAL)
    return "Take a network of fewer rows, or another initialisation: it is normalised and has skips already.", ""


def _gradient_ratio(rows: list[tuple[str, Mapping[str, float]]]) -> tuple[float, tuple[str, str]] | None:
    """The first row's relative gradient over the last's; None where rows are dead, which is another fault."""
    known = [(name, row) for name, row in rows if number(row.get("weight_norm")) > 0]
    if len(known) < 3 or any(number(row.get("dead_frac")) >= DEAD for _, row in rows):
        return None
    (first, a), (last, b) = known[0], known[-1]
    ends = [number(row.get("gradient_norm")) / row["weight_norm"] for row in (a, b)]
    return (ends[0] / ends[1], (first, last)) if ends[0] > 0 and ends[1] > 0 else None


def batch_too_small(found: Reading) -> Remark | None:
    """Batch norm takes its statistics from too few images."""
    size = found.batch_size
    if found.is_head_only or not found.has_batch_norm or not 0 < size < SMALL_BATCH:
        return None
    evidence = f"Batch norm takes mean and variance from {size} images a step, which makes them noise"
    train, val = found.score("train"), found.score("val")
    if math.isfinite(train - val):
        evidence += f"; {found.say.name} is {found.say.text(train)} on training, {found.say.text(val)} on validation"
    what = "Normalise over groups of channels, which does not depend on the batch; or take 32 images a step."
    sure = "likely" if size < SMALL_BATCH / 2 else "possible"
    command = again(found, "model.norm=group")
    return Remark("batch_too_small_for_norm", sure, f"{evidence}.", what, command)  # type: ignore[arg-type]


def label_noise(found: Reading) -> Remark | None:
    """Wrong labels: by the recipe; or mistakes that the network is as sure of as of its hits."""
    share = number(found.setting("train.label_noise"))
    if share >= NOISE_ON_PURPOSE:
        evidence = f"The recipe makes {100 * share:.0f}% of the training labels wrong (train.label_noise={share:g})."
        what = "Train on the labels as they are."
        return Remark("label_noise", "certain", evidence, what, again(found, "train.label_noise=0"))
    evidence = _train_behind(found) or _sure_mistakes(found)
    what = "Look for wrong labels: the images with the largest loss, and copies with two labels."
    return Remark("label_noise", "likely", evidence, what, other(found, verb="check")) if evidence else None


def _train_behind(found: Reading) -> str:
    """Training images as they are score below validation images: only other labels, or harder images, do that."""
    ahead = found.score("val") - found.score("train")
    if not found.say.is_share or not ahead > max(VAL_AHEAD, 1.5 * found.half_width):
        return ""
    train, val = (found.say.text(found.score(split)) for split in ("train", "val"))
    return (
        f"The {found.say.name} is {train} on plain training images, but {val} on validation: training labels are worse."
    )


def _sure_mistakes(found: Reading) -> str:
    """Confidence does not tell mistakes from hits, and images it is surest of are wrong too."""
    table = found.val
    if table is None or not table.layout.is_exclusive or table.probabilities is None or not _has_skill(found):
        return ""
    sure, right = table.probabilities.max(1), np.asarray(table.correct, dtype=bool)
    hits, mistakes = sure[right], sure[~right]
    if min(len(hits), len(mistakes)) < MIN_MISTAKES:
        return ""
    above = (hits[:, None] > mistakes).mean() + 0.5 * (hits[:, None] == mistakes).mean()
    wrong = float(1 - right[sure >= np.median(sure)].mean())
    if above > NOISE_AUC or wrong < NOISE_SHARE:
        return ""
    return (
        f"It is as sure of its {len(mistakes)} mistakes on validation ({100 * mistakes.mean():.0f}% on average) as of "
        f"its hits ({100 * hits.mean():.0f}%), and of the half it is surest of, {100 * wrong:.0f}% do not agree with "
        "their label."
    )


def _has_skill(found: Reading) -> bool:
    chance = 1 / max(2, len(at(found.info, "task.names") or ()))
    return (found.score("val") - chance) / (1 - chance) >= NOISE_SKILL


def missed_classes(found: Reading) -> Remark | None:
    """A class of pixels is hardly given in places where it is, by a network that gives other classes well."""
    rows = [row for row in at(found.scores, "val.per_class") or () if number(row.get("iou")) >= 0 and row.get("pixels")]
    total = sum(row["pixels"] for row in rows)
    missed = [row for row in rows if row["iou"] < MISSED_IOU]
    if not missed or not found.score("val") >= 2 * MISSED_IOU or len(missed) == len(rows):
        return None
    shown_rows = sorted(missed, key=lambda row: -row["pixels"])[:3]
    each = ", ".join(
        f"{shown(row['name'], 30)} (IoU {row['iou']:.1%}, {row['pixels'] / total:.1%} of the pixels)"
        for row in shown_rows
    )
    more = f" and {len(missed) - 3} more" if len(missed) > 3 else ""
    evidence = f"Hardly found on validation: {each}{more}."
    if found.setting("task.class_weights") in {None, "none"}:
        what = "Weigh rare classes more in the loss."
        return Remark("missed_classes", "likely", evidence, what, again(found, "task.class_weights=median"))
    what = "Train at a larger --size: what is thin is lost when images shrink. Or add images that show these classes."
    return Remark("missed_classes", "likely", evidence, what)


def _first(found: Reading) -> float:
    losses = [loss for loss in found.curve("train") if math.isfinite(loss)]
    return losses[0] if losses else math.nan


def _rate(found: Reading) -> str:
    return f"{found.peak_rate:g}" if math.isfinite(found.peak_rate) else "unknown size"


def _little(found: Reading) -> str:
    loss, start = _exact(found.train_loss), "guessing" if found.guess > 0 else "the first epoch"
    if found.learned < LITTLE:
        return f"training loss ({loss}) is hardly below that of {start}"
    return f"training loss is {loss}, {100 * found.learned:.0f}% below that of {start}"


def _round(times: float) -> str:
    """Two digits that count: these are orders of magnitude."""
    return f"{float(f'{times:.2g}'):,.10g}"


def _exact(loss: float) -> str:
    return f"{loss:.3f}" if 0.001 < abs(loss) < 1000 else significant(loss)


RULES: tuple[Callable[[Reading], Remark | None], ...] = (
    diverged,
    rate_too_high,
    rate_too_low,
    dead_units,
    vanishing_gradients,
    vanishing_over_time,
    batch_too_small,
    label_noise,
    missed_classes,
    unreached_boxes,
    dominating_part,
)
