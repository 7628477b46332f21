"""Images made of others: a table like that of maps; the file beside it shows what came in, what was made, the truth.

The three stand side by side in one PNG (H, 3 W, C). Of a split as much is kept as fits into 512 MB; all is scored.
"""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from striate.metric import Answers

from .maps import Maps
from .sidecar import Sidecar, digest

ROOM_BYTES = 512 << 20  # of files of a split


class Images(Maps):
    """`truth` comes as (N, 2 C, H, W): the true image and what came in, brought to its size; all in 0..1."""

    kind: ClassVar[str] = "images"

    def kept(self, answers: Answers, sidecar: Sidecar | None) -> Answers:
        """Return hashes of the truth, and the names of the files."""
        truth = np.array([digest(one) for one in answers.truth], dtype=np.str_)
        names = [""] * len(truth)
        if sidecar and sidecar.num_bytes < ROOM_BYTES:
            names = sidecar.add_maps(strips(answers))
        return replace(answers, truth=truth, values=np.array(names, dtype=np.str_), probabilities=None)


def strips(answers: Answers) -> npt.NDArray[np.uint8]:
    """Return what came in, what was made and the truth side by side (N, H, 3 W, C), a grey image without C."""
    truth, given = np.split(answers.truth, 2, axis=1)
    side_by_side = np.concatenate([given, answers.values, truth], axis=3).transpose(0, 2, 3, 1)
    levels: npt.NDArray[np.uint8] = np.rint(side_by_side * 255).astype(np.uint8)
    return levels[..., 0] if levels.shape[3] == 1 else levels
