"""JPEG compression and back: with the codec on a CPU, with its arithmetic (without the Huffman code) on a GPU."""

from typing import TYPE_CHECKING, Literal, Self

import cv2
import numpy as np
from pydantic import model_validator

from ..sample import ImageU8
from .effect import on, unless
from .operation import Draws, Numbers, Probability, between, ordered
from .quality import Quality

if TYPE_CHECKING:
    import torch

# ITU-T T.81, tables K.1 and K.2: luma, chroma
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)  # fmt: skip
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
_FREQUENCY = np.arange(8)[:, None]
_DCT = np.cos((2 * np.arange(8) + 1) * _FREQUENCY * np.pi / 16) / np.where(_FREQUENCY == 0, np.sqrt(8), 2)
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]])


class Jpeg(Quality):
    """With probability `p` compress as JPEG, its quality uniform in the given range of 1..100.

    Chroma keeps its full resolution (4:4:4). The codec counts in whole numbers, so a coefficient near the edge of a
    quantisation step may fall to different sides on a CPU and on a GPU: there the two differ by that step, which makes
    less than one level on average over an image.
    """

    kind: Literal["jpeg"] = "jpeg"
    quality: tuple[int, int] = (20, 80)
    p: Probability = 0.5

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not (self.quality[0] >= 1 and self.quality[1] <= 100):
            raise ValueError("quality lies in 1..100")
        return ordered(self, *self.quality)

    def values(self, draws: Draws) -> Numbers:
        """Return (B, 1) whole qualities."""
        return unless(draws[:, 0] >= self.p, np.rint(between(*self.quality, draws[:, 1])))

    def on_cpu(self, picture: ImageU8, values: Numbers) -> ImageU8:
        """See `Effect.on_cpu`."""
        full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        is_coloured = picture.ndim == 3 and picture.shape[2] == 3
        source = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if is_coloured else picture
        _, code = cv2.imencode(".jpg", source, [cv2.IMWRITE_JPEG_QUALITY, int(values[0]), *full])
        found = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR if is_coloured else cv2.IMREAD_GRAYSCALE))
        return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB) if is_coloured else found, np.uint8)

    def on_torch(self, pixels: "torch.Tensor", values: Numbers) -> "torch.Tensor":
        """See `Effect.on_torch`."""
        import torch
        import torch.nn.functional as F

        channels, height, width = pixels.shape[1:]
        to_planes = on(_YCBCR if channels == 3 else np.eye(1), pixels)
        shift = on(np.array([0.0, 128, 128])[:channels], pixels)[:, None, None]
        planes = (torch.einsum("ij,bjhw->bihw", to_planes, pixels) + shift).round() - 128
        planes = F.pad(planes, (0, -width % 8, 0, -height % 8), mode="replicate")
        blocks = planes.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)  # (B, C, rows, columns, 8, 8)
        step, dct = on(steps(values[:, 0])[:, :channels, None, None], pixels), on(_DCT, pixels)
        kept = ((dct @ blocks @ dct.mT) / step).round() * step
        planes = (dct.mT @ kept @ dct).transpose(3, 4).flatten(4, 5).flatten(2, 3)[:, :, :height, :width]
        planes = (planes.round() + 128).clamp(0, 255) - shift
        return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_planes), planes).round().clamp(0, 255)


def steps(quality: Numbers) -> Numbers:
    """Return the (B, 3, 8, 8) quantisation steps of the common JPEG library for qualities (B,)."""
    scale = np.where(quality < 50, np.floor(5000 / quality), 200 - 2 * quality)[:, None, None, None]
    tables = np.stack([_LUMA, _CHROMA, _CHROMA])
    return np.floor((tables * scale + 50) / 100).clip(1, 255)
