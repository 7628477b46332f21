"""Learning-rate schedules: pure functions of how far training is, so resuming needs no state."""

import math
from collections.abc import Callable

from striate.base.choose import choose

Shape = Callable[[float], float]


def _constant(progress: float) -> float:
    return 1.0


def _step(progress: float) -> float:
    """Divide by ten at 50 % and at 75 % of training (He 2015, section 4.2)."""
    return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))


def _cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov 2017, SGDR)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def _linear(progress: float) -> float:
    return 1.0 - progress


SHAPES: dict[str, Shape] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
    "linear": _linear,
    "onecycle": _cosine,
}
ONECYCLE_WARMUP = 0.25
ONECYCLE_START = 0.04


def rate_at(lr: float, schedule: str, num_steps: int, warmup_frac: float = 0.0) -> Callable[[int], float]:
    """Return the function step -> learning rate.

    After a linear warm-up over `warmup_frac` of the steps the rate follows the schedule over the rest. "onecycle"
    is a warm-up over a quarter of training from lr / 25, then a half cosine to 0 (Smith 2018), unless
    `warmup_frac` says otherwise.

    Raises:
        SettingsError: unknown schedule.

    Example:
        >>> rate = rate_at(0.1, "cosine", num_steps=100)
        >>> round(rate(0), 3), round(rate(50), 3), round(rate(100), 3)
        (0.1, 0.05, 0.0)
    """
    shape = choose("schedule", schedule, SHAPES)
    is_onecycle = schedule == "onecycle"
    warmup = warmup_frac or (ONECYCLE_WARMUP if is_onecycle else 0.0)
    start = ONECYCLE_START if is_onecycle else 0.0
    warmup_steps = round(num_steps * warmup)

    def rate(step: int) -> float:
        if step < warmup_steps:
            return lr * (start + (1 - start) * (step + 1) / warmup_steps)
        progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
        return lr * shape(min(1.0, progress))

    return rate


def then_constant(rate: Callable[[int], float], first_step: int, lr: float) -> Callable[[int], float]:
    """Return `rate` up to `first_step`, and `lr` from there on.

    Example:
        >>> rate = then_constant(rate_at(0.1, "linear", num_steps=10), first_step=8, lr=0.05)
        >>> [round(rate(step), 3) for step in (0, 7, 8, 9)]
        [0.1, 0.03, 0.05, 0.05]
    """
    return lambda step: rate(step) if step < first_step else lr
