"""Symptoms: over- and underfitting, training that ended too early; and what a run without any of them shows."""

import math
from collections.abc import Iterator, Sequence

from striate.evaluate.curves import WIDE_GAP, is_overfit
from striate.model import zoo
from striate.run.recipe import MANY

from .experiment import again, as_study, on_weights, other
from .reading import Reading, at, number
from .remark import Remark

CAUSES = {"rate_too_high", "rate_too_low", "dead_units", "vanishing_gradients", "batch_too_small_for_norm"}
POOR_SHARE = 0.85  # of training images right: what the network cannot even fit
POOR = {"mean_iou": POOR_SHARE / (2 - POOR_SHARE)}  # 0.74: IoU where Dice, a share like the others, is 0.85
POOR_LOSS = 0.5  # of the loss gone in training, where the score is no share
FALL = 0.02  # of validation loss over the last tenth of the epochs: what `overfit_epoch` calls noticeable, downward
LATE = 0.1  # of the epochs, at the end
ALL_RIGHT, NEARLY_ALL = 0.9995, 0.98  # shares that leave nothing to gain: of the reported images, of validation
MIN_EPOCHS = 6  # fewer have no last tenth
STRONG_DROPOUT = 0.5  # what a network of usual width bears
STRONG_NOISE = 0.3


def symptoms(found: Reading, causes: Sequence[Remark]) -> Iterator[Remark]:
    """Give over- or underfitting and early ends; what a cause explains is not said again."""
    if not math.isfinite(found.score("val")):
        return
    known = {remark.state for remark in causes if remark.sureness != "possible"}
    wide = overfitting(found)
    if wide:
        yield wide
    elif not known & (CAUSES | {"label_noise"}):
        early = still_improving(found)
        poor = None if early else underfitting(found)
        yield from (remark for remark in (early, poor) if remark)


def overfitting(found: Reading) -> Remark | None:
    """The score on training images is better than on validation, by more than chance and by more than a little."""
    train, val, is_share = found.train_score, found.score("val"), found.say.is_share
    is_wide, is_sure = (
        is_overfit(train, val, is_share=is_share, half_width=found.half_width, times=times) for times in (1, 2)
    )
    if not is_wide:
        return None
    evidence = f"{_capital(found.say.name)} is {found.say.text(train)} on training images and {found.say.text(val)} "
    evidence += f"on validation, {found.say.amount(train - val)} worse"
    turn = number(at(found.info, "result.overfit_epoch"))
    if math.isfinite(turn) and not found.is_head_only:
        evidence += f"; validation loss rose after epoch {turn:g}"
    what, command = _regularization(found)
    return Remark("over_fitting", "certain" if is_sure else "likely", f"{evidence}.", what, command)


def _regularization(found: Reading) -> tuple[str, str]:
    """The first that the run did not have, in the order in which they cost least and help most on few images."""
    if found.is_head_only:
        return "Take features of more augmented views of each image.", again(found, "transfer.views=8")
    if found.setting("augment") in ([], ()):
        return "Add augmentation: it is the first regularization to try on few images.", again(found, "augment=medium")
    if not number(found.setting("train.weight_decay")) > 0:
        return "Add weight decay.", again(found, "train.weight_decay=0.05")
    if not number(found.setting("train.label_smoothing")) > 0 and found.is_exclusive:
        return "Add label smoothing.", again(found, "train.label_smoothing=0.1")
    if found.option("dropout") == 0:
        return "Add dropout before the last layer.", again(found, "model.dropout=0.3")
    if not found.setting("transfer.weights") and _only_moves(found):
        return "Strengthen the augmentation: so far it only moves the images.", again(found, "augment=medium")
    if len(found.history) < MIN_EPOCHS:
        return _longer(found)
    if longer := still_improving(found):
        return longer.next, longer.command
    is_transfer, is_strong = bool(found.setting("transfer.weights")), "erase" in _augmentation(found)
    if is_transfer and not is_strong:
        return "Strengthen the augmentation.", again(found, "augment=strong")
    if not number(found.setting("train.ema")) > 0 and not number(found.setting("train.swa")) > 0:
        return "Average the weights of the last quarter of the epochs.", again(found, "train.swa=0.25")
    if is_transfer:
        return "Every usual regularization is in use: look for more training images.", ""
    what = "Every usual regularization is in use: start from published weights."
    return what, other(found, "--model", zoo.PRETRAINED, "--weights", "imagenet", "--recipe", "finetune")


def _longer(found: Reading) -> tuple[str, str]:
    return "Train for 20 epochs: so few teach little.", again(found, "train.epochs=20")


def _augmentation(found: Reading) -> set[str]:
    return {op["kind"] for op in found.setting("augment") or []}


def _only_moves(found: Reading) -> bool:
    """Return whether few images are only mirrored and shifted; many need no more."""
    kinds = _augmentation(found)
    num_train = number(at(found.info, "dataset.counts.train"))
    return bool(kinds) and kinds <= {"flip", "alternating_flip", "shift"} and num_train <= MANY


def still_improving(found: Reading) -> Remark | None:
    """Validation loss was still falling when training ended, and the last epochs were the best."""
    if found.is_head_only or at(found.info, "result.stopped") not in {"finished", "early"}:
        return None
    losses = [loss for loss in found.curve("val") if math.isfinite(loss)]
    fall = late_fall(losses)
    best, num = number(at(found.info, "result.best_epoch")), len(losses)
    if fall is None or fall < FALL or best < (1 - LATE) * num:
        return None
    evidence = f"Validation loss still fell by {100 * fall:.0f}% over the last {_num_late(num)} of {num} epochs"
    evidence += f", to {losses[-1]:.3f}, and epoch {best:g} was the best."
    command = again(found, f"train.epochs={2 * num}")
    return Remark("still_improving", "likely", evidence, f"Train for {2 * num} epochs.", command)


def late_fall(losses: Sequence[float]) -> float | None:
    """Return by how much the mean of the last tenth (at least 2 epochs) is below that of as many before, relatively.

    None where there are too few epochs. Means, since a single epoch is noise.

    Example:
        >>> late_fall([4.0, 3.0, 2.0, 2.0, 1.0, 1.0]), late_fall([2.0, 1.0])
        (0.5, None)
    """
    late = _num_late(len(losses))
    if len(losses) < MIN_EPOCHS:
        return None
    before, after = sum(losses[-2 * late : -late]) / late, sum(losses[-late:]) / late
    return (before - after) / before if before > 0 else None


def _num_late(num_epochs: int) -> int:
    return max(2, round(LATE * num_epochs))


def poor_share(metric: str) -> float:
    """Return the training score, by the key of a metric that is a share, below which a network has not fitted."""
    return POOR.get(metric, POOR_SHARE)


def underfitting(found: Reading) -> Remark | None:
    """The network does not even fit its training images, and validation is no worse."""
    train, val, poor = found.score("train"), found.score("val"), poor_share(found.metric)
    if (gain := number(at(found.scores, f"val.{found.metric}_gain"))) < 0:
        return _behind(found, -gain)
    is_poor = train < poor if found.say.is_share else found.learned < POOR_LOSS
    if not is_poor or train == found.say.best:
        return None
    is_sure = train < poor - 2 * WIDE_GAP if found.say.is_share else True
    evidence = f"{_capital(found.say.name)} is {found.say.text(train)} even on training images"
    evidence += f" (validation {found.say.text(val)}): it has not fitted what it was shown."
    what, command = _loosening(found)
    return Remark("under_fitting", "likely" if is_sure else "possible", evidence, what, command)


def _behind(found: Reading, amount: float) -> Remark:
    """A method that learns nothing does better."""
    rows = at(found.scores, "val.baselines") or [{}]
    evidence = f"{_capital(found.say.name)} is {found.say.text(found.score('val'))} on validation, "
    evidence += f"{found.say.amount(amount)} below the best simple method ({rows[0].get('name', 'not known')})."
    what, command = _loosening(found)
    return Remark("under_fitting", "certain", evidence, what, command)


def _loosening(found: Reading) -> tuple[str, str]:
    """Take away what holds it back most; else give it more to fit with."""
    if found.is_head_only or found.has_frozen_body:
        if found.setting("transfer.weights"):
            return "Train the whole network on, not only its head.", on_weights(found, "finetune")
        change = "transfer.head=fresh" if found.is_head_only else "train.stages=[]"
        return "Train the whole network: its body has learned nothing yet.", again(found, change)
    if len(found.history) < MIN_EPOCHS:
        return _longer(found)
    if number(found.setting("model.dropout")) >= STRONG_DROPOUT:
        return "Drop fewer units.", again(found, "model.dropout=0.2")
    for name, less in (("weight_noise", 0), ("label_smoothing", 0.1), ("l1", 0), ("l2", 0)):
        if number(found.setting(f"train.{name}")) >= (STRONG_NOISE if less or name == "weight_noise" else 1e-3):
            return f"Weaken {name}.", again(found, f"train.{name}={less}")
    if found.excess < 0.5 and not found.setting("transfer.weights"):
        usual = found.peak_rate / found.excess
        return f"Train at the usual rate of {usual:g}.", again(found, f"train.lr={usual:g}")
    if not found.rows and found.learned < 0.1:
        what = "Record gradients and activations, which show where learning stops."
        return what, again(found, "train.record_gradients=true")
    width = number(found.setting("model.width"))
    if width > 0:
        wider = 2 * width
        return "Double the width of the network.", again(found, f"model.width={wider:g}")
    num = 2 * len(found.history)
    return f"Train for {num} epochs.", again(found, f"train.epochs={num}")


def solved(found: Reading) -> tuple[Remark, ...]:
    """Say that nothing can be gained on these images, where next to none is wrong; no advice helps there."""
    said = found.score("test") if math.isfinite(found.score("test")) else found.score("val")
    if not found.say.is_share or not (said >= ALL_RIGHT and found.score("val") >= NEARLY_ALL):
        return ()
    pairs = [(split, found.score(key)) for key, split in (("test", "test"), ("val", "validation"))]
    scores = " and ".join(f"{found.say.text(score)} on {split}" for split, score in pairs if math.isfinite(score))
    evidence = f"{_capital(found.say.name)} is {scores}: nothing can be gained on these images."
    return (Remark("healthy", "certain", evidence, "Try it on other, harder images.", ""),)


def healthy(found: Reading) -> tuple[Remark, ...]:
    """Say that nothing is wrong; nothing at all where there are no scores to say it from."""
    train, val = found.score("train"), found.score("val")
    if not math.isfinite(val):
        return ()
    pair = f"{found.say.text(val)} on validation"
    pair += f" and {found.say.text(train)} on training images" if math.isfinite(train) else ""
    evidence = f"{_capital(found.say.name)} is {pair}; no rule found a fault in its curves"
    evidence += ", gradients or units." if found.rows else "; gradients were not recorded."
    what = "Compare it with its alternatives over 3 seeds."
    return (Remark("healthy", "certain", evidence, what, as_study(found)),)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
