"""The stages of a training: in each its own rows train, at its own learning rate."""

from dataclasses import dataclass
from itertools import accumulate

from striate.base.errors import SettingsError
from striate.base.text import plural
from striate.engine.optim import DEFAULT_LR
from striate.run.settings import StageSettings, TrainSettings


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
    """Return the stages of `num_epochs` epochs: those of the recipe, or one in which everything trains.

    Raises:
        SettingsError: no epochs are left for the last one, or the weights are averaged before it begins.

    Example:
        >>> rows = [{"epochs": 2, "frozen": "body"}, {"lr": 1e-4}]
        >>> found = stages(TrainSettings.parse({"stages": rows, "lr": 0.01}), num_epochs=8)
        >>> [(stage.start, stage.end, stage.frozen, stage.lr) for stage in found]
        [(0, 2, 'body', 0.01), (2, 8, '', 0.0001)]
    """
    usual, rows = settings.lr or DEFAULT_LR[settings.optimiser], settings.stages or (StageSettings(),)
    starts = [0, *accumulate(row.epochs or 0 for row in rows[:-1])]
    if starts[-1] >= num_epochs:
        what = f"the stages before the last take {plural(starts[-1], 'epoch')} of {num_epochs}: none is left"
        raise SettingsError(what, where="train.stages", fix="give them fewer, or set train.epochs higher")
    if settings.swa and first_averaged(settings, num_epochs) < starts[-1]:
        what = f"the mean of the last {settings.swa:.0%} of the epochs would have networks of two stages in it"
        raise SettingsError(
            what, where="train.swa", fix="set it lower, or give the stages before the last fewer epochs"
        )
    ends = [*starts[1:], num_epochs]
    return tuple(
        Stage(start, end, row.frozen, f"train.stages.{index}.frozen", row.lr or usual)
        for index, (start, end, row) in enumerate(zip(starts, ends, rows, strict=True))
    )


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
