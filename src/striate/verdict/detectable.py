"""What a study can find: the smallest difference of two variants that its verdict calls significant in 80 % of cases.

S seeds, N test images. The difference of two means has the variance

    D / N x (1/2 + 1/2S) + 2 L^2 / S

where D is the share of images on which two runs differ (half of it stays whatever the seed), and L is the standard
deviation of a variant's score over seeds. With one seed the last part is left out, as it is in the interval.
"""

import math
from dataclasses import dataclass

from striate.base.text import plural
from striate.evaluate.interval import smallest_found
from striate.metric import by_key

DISAGREE = 0.15  # D: two networks near 85 % on small images
SPREAD = 0.01  # L: 1 point
GOAL = 0.03
MOST_IMAGES = 10**6


@dataclass(frozen=True)
class Plan:
    """A study's size: seeds, and images of the split that is reported."""

    num_seeds: int
    num_images: int

    @property
    def smallest(self) -> float:
        """The smallest difference found in 80 % of cases, as a share.

        Example:
            >>> [round(100 * Plan(3, num).smallest, 1) for num in (100, 600, 6000)]
            [9.2, 4.4, 3.0]
        """
        seeds = self.num_seeds
        images = DISAGREE / self.num_images * (0.5 + 0.5 / seeds)
        luck = 2 * SPREAD**2 / seeds if seeds > 1 else 0.0
        parts = images**2 / max(self.num_images - 1, 1) + (luck**2 / (2 * (seeds - 1)) if luck else 0)
        return min(1.0, smallest_found(images + luck, (images + luck) ** 2 / parts))

    def enough(self, goal: float = GOAL) -> "list[Plan]":
        """Return, for these seeds and for two more, the least images that show `goal`; none where luck forbids it."""
        found = []
        for seeds in (self.num_seeds, self.num_seeds + 2):
            images = self.num_images
            while images < MOST_IMAGES and Plan(seeds, images).smallest > goal:
                images = math.ceil(1.02 * images)
            found += [Plan(seeds, images)] if images < MOST_IMAGES else []
        return found


def forecast(metric: str, num_seeds: int, num_images: int, split: str) -> str:
    """Say before a study what it can find; empty for a score that is no share of right images."""
    say, plan = by_key(metric), Plan(num_seeds, max(1, num_images))
    if metric not in {"accuracy", "exact_match"}:
        return ""
    size = f"{plural(num_seeds, 'seed')} and {plural(num_images, f'{split} image')}"
    text = f"with {size} a true difference of {say.amount(plan.smallest)} is found in 80% of studies"
    more = [f"{_round(one.num_images):,} {split} images with {plural(one.num_seeds, 'seed')}" for one in plan.enough()]
    if plan.smallest > GOAL and more:
        text += f"; {say.amount(GOAL)} would take about {' or '.join(more)}"
    text += f" (assumed: two runs differ on {100 * DISAGREE:.0f}% of the images, seeds spread by {say.amount(SPREAD)})"
    return text + ("; one seed leaves out the luck of training" if num_seeds == 1 else "")


def _round(num: int) -> int:
    return int(float(f"{num:.2g}"))
