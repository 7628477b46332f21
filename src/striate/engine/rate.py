"""The learning-rate range test: the rate grows at every step, and the loss says where it is too low and too high."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from striate.base.errors import DivergedError, SettingsError
from striate.data.sample import Batch

from .loop import Batches
from .update import Update

WIDTH_STEPS = 3.0  # deviation of the Gaussian that smooths the losses; centred, so that nothing moves to the right
STOP_FACTOR = 4.0  # times the lowest smoothed loss: it has diverged
SHARE = 0.1  # of the rate with the lowest loss


@dataclass(frozen=True)
class RateTest:
    """What a range test found.

    `rates` and `losses` of each step, `smoothed` the losses without their noise, `ended` "diverged" or "finished".
    `lowest` is the rate with the lowest smoothed loss, `steepest` the one before it where the loss falls fastest over
    the logarithm of the rate, `suggestion` a tenth of `lowest`, rounded to two digits.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    ended: str
    lowest: float
    steepest: float
    suggestion: float


def range_test(
    update: Update,
    loader: Batches,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    num_steps: int = 100,
    advance: Callable[[], None] = lambda: None,
) -> RateTest:
    """Train with rates that grow from `low` to `high` by a constant factor; the model comes back as it was.

    It ends early when the loss is not finite or above four times its lowest. The optimiser's state is spent: hand in
    an update made for this.

    Raises:
        SettingsError: the loss fell at no rate.

    Reference: Smith 2017, Cyclical learning rates for training neural networks, arXiv:1506.01186, section 3.3.
    """
    before = {name: tensor.detach().clone() for name, tensor in update.model.state_dict().items()}
    was_training, rate_at = update.model.training, update.rate_at
    update.rate_at = lambda step: low * (high / low) ** (step / max(1, num_steps - 1))
    update.train_mode()
    try:
        losses, ended = _losses(update, _endless(loader), num_steps, advance)
        rates = [update.rate_at(step) for step in range(len(losses))]
    finally:
        update.rate_at = rate_at
        update.model.load_state_dict(before)
        update.optimiser.zero_grad()
        update.model.train(was_training)
    return judge(rates, losses, ended)


def _endless(loader: Batches) -> Iterator[Batch]:
    for epoch in count():
        yield from loader.batches(epoch)


def _losses(
    update: Update, batches: Iterator[Batch], num_steps: int, advance: Callable[[], None]
) -> tuple[list[float], str]:
    losses: list[float] = []
    for step in range(num_steps):
        try:
            tally = update(next(batches), step)
        except DivergedError:
            return losses, "diverged"
        loss = update.task.summarise(tally)["loss"]
        if not math.isfinite(loss):
            return losses, "diverged"
        losses.append(loss)
        advance()
        smoothed = smooth(losses)
        if smoothed[-1] > STOP_FACTOR * smoothed.min():
            return losses, "diverged"
    return losses, "finished"


def smooth(losses: list[float]) -> np.ndarray:
    """Return the losses under a centred Gaussian; near the ends the weights that are there count."""
    places = np.arange(len(losses))
    weights = np.exp(-0.5 * ((places[:, None] - places) / WIDTH_STEPS) ** 2)
    return np.asarray(weights @ np.asarray(losses) / weights.sum(1))


def judge(rates: list[float], losses: list[float], ended: str) -> RateTest:
    """Return the suggestion for rates and their losses.

    Raises:
        SettingsError: the loss fell at no rate.
    """
    smoothed = smooth(losses) if losses else np.empty(0)
    best = int(smoothed.argmin()) if losses else 0
    if best < 2 or smoothed[best] > 0.99 * smoothed[0]:
        raise SettingsError("the loss fell at no rate", where="rates", fix="start lower with --low, or check the data")
    slope = np.gradient(smoothed, np.log(rates))[: best + 1]
    suggestion = float(f"{SHARE * rates[best]:.2g}")
    return RateTest(
        tuple(rates),
        tuple(losses),
        tuple(smoothed.tolist()),
        ended,
        rates[best],
        rates[int(slope.argmin())],
        suggestion,
    )
