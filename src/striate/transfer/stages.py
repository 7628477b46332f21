"""The stages of a training: the epochs with frozen rows, and those after, in which they train too."""

from dataclasses import dataclass

from striate.base.errors import SettingsError
from striate.base.text import plural
from striate.engine.optim import DEFAULT_LR
from striate.run.recipe import TrainSettings


@dataclass(frozen=True)
class Stage:
    """Epochs in which the same rows train, with an optimiser and a whole course of the rate of their own.

    Args:
        start, end: first epoch, and the one after the last.
        frozen: the last of the leading rows that do not train; `setting` says where that name came from.
        lr: the highest rate.
    """

    start: int
    end: int
    frozen: str
    setting: str
    lr: float


def stages(settings: TrainSettings, num_epochs: int) -> tuple[Stage, ...]:
    """Return the stages of `num_epochs` epochs: one, or two where `frozen_epochs` is set.

    Raises:
        SettingsError: no epochs are left for the second one, or the weights are averaged before it begins.

    Example:
        >>> found = stages(TrainSettings(frozen="body", frozen_epochs=2, lr=0.01, then_lr=1e-4), num_epochs=8)
        >>> [(stage.start, stage.end, stage.frozen, stage.lr) for stage in found]
        [(0, 2, 'body', 0.01), (2, 8, '', 0.0001)]
    """
    lr, first = settings.lr or DEFAULT_LR[settings.optimiser], settings.frozen_epochs
    if not first:
        return (Stage(0, num_epochs, settings.frozen, "train.frozen", lr),)
    if first >= num_epochs:
        what = f"frozen for {plural(first, 'epoch')} of {num_epochs}: none is left"
        raise SettingsError(what, where="train.frozen_epochs", fix="set it lower, or train.epochs higher")
    if settings.swa and first_averaged(settings, num_epochs) < first:
        what = f"the mean of the last {settings.swa:.0%} of the epochs would have networks with frozen rows in it"
        raise SettingsError(what, where="train.swa", fix="set it or train.frozen_epochs lower")
    then = Stage(first, num_epochs, settings.then_frozen, "train.then_frozen", settings.then_lr or lr)
    return Stage(0, first, settings.frozen, "train.frozen", lr), then


def patience_of(settings: TrainSettings, num_epochs: int) -> int:
    """Return after how many epochs without a better score training stops; 0 is never.

    Automatically half of the epochs, since a rate that is still high hides progress; never with `swa`, which needs the
    last ones.

    Example:
        >>> [patience_of(TrainSettings(swa=share), num_epochs=8) for share in (0, 0.25)]
        [4, 0]
    """
    automatic = 0 if settings.swa else max(1, num_epochs // 2)
    return automatic if settings.patience is None else settings.patience


def first_averaged(settings: TrainSettings, num_epochs: int) -> int:
    """Return the first epoch whose network counts for stochastic weight averaging.

    Example:
        >>> first_averaged(TrainSettings(swa=0.25), num_epochs=8)
        6
    """
    return num_epochs - max(1, round(settings.swa * num_epochs))
