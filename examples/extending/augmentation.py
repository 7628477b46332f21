"""An augmentation of one's own: settings with their ranges, and what a row of random numbers does.

`striate train DATA --plugin augmentation.py --augment tint`
"""

from typing import Literal

import numpy as np
from pydantic import Field

from striate.data.augment.colour import Colour
from striate.data.augment.operation import between
from striate.data.augment.own import register
from striate.data.augment.pipeline import Pipeline


@register
class Tint(Colour):
    """Multiply the red channel by a factor uniform in 1 - amount .. 1 + amount."""

    kind: Literal["tint"] = "tint"
    amount: float = Field(0.3, ge=0, le=1)

    def matrices(self, draws, mean_grey):
        """Return (B, 3, 4) maps of RGB levels: one number of `draws` (B, 1), in 0..1, decides for each image."""
        maps = np.tile(np.eye(3, 4), (len(draws), 1, 1))
        maps[:, 0, 0] = between(1 - self.amount, 1 + self.amount, draws[:, 0])
        return maps


pipeline = Pipeline((Tint(amount=0.5),))
