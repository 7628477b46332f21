"""What is done to images (N, C, H, W) in 0..1 before a network is to restore them; the same on every device.

What is random is drawn from one key an image (N,), whole numbers of 63 bits: neither order, batch size nor device
matter.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.nn.constant import constants

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
_MASK = 0xFFFFFFFF


def noised(images: Tensor, keys: Tensor, std: float) -> Tensor:
    """Return images with Gaussian noise of a standard deviation in 0..1."""
    return images + std * normals(keys, images[0].numel()).view(images.shape)


def shrunk(images: Tensor, scale: int) -> Tensor:
    """Return images of 1 / `scale` of the height and width: bicubic with antialiasing, as Pillow does it."""
    size = [side // scale for side in images.shape[2:]]
    return F.interpolate(images, size, mode="bicubic", antialias=True)


def holed(images: Tensor, keys: Tensor, share: float, side_px: int) -> Tensor:
    """Return images with squares of `side_px` painted black, at drawn places of a grid whose start is drawn too.

    Of the grid's squares a `share` is painted, the same number in each image; those at the edge may be cut off.
    """
    height, width = images.shape[2:]
    rows, columns = (-(-side // side_px) + 1 for side in (height, width))
    numbers = uniforms(keys, rows * columns + 2)
    cells = numbers[:, 2:]
    num = round(share * cells.shape[1])
    is_hole = torch.zeros_like(cells, dtype=torch.bool).scatter_(1, cells.argsort(1)[:, :num], True)
    starts = (numbers[:, :2] * side_px).long()  # how much of the first row and column is cut off
    y = (torch.arange(height, device=images.device) + starts[:, :1]) // side_px
    x = (torch.arange(width, device=images.device) + starts[:, 1:]) // side_px
    place = y[:, :, None] * columns + x[:, None, :]
    holes = is_hole.gather(1, place.flatten(1)).view(-1, 1, height, width)
    return images.masked_fill(holes, 0.0)


def greyed(images: Tensor) -> Tensor:
    """Return images without their colours: the ITU-R 601 luma in each channel."""
    weights = constants(LUMA, images).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def rounded(images: Tensor) -> Tensor:
    """Return images as a file of 8 bits holds them: clipped to 0..1, in steps of 1 / 255."""
    return (images * 255).round().clamp(0, 255) / 255


def normals(keys: Tensor, num: int) -> Tensor:
    """Return `num` standard normal numbers for each key (N, num), by Box and Muller."""
    half = -(-num // 2)
    radius, angle = uniforms(keys, 2 * half).split(half, 1)
    radius, angle = (-2 * radius.log()).sqrt(), 2 * math.pi * angle
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :num]


def uniforms(keys: Tensor, num: int) -> Tensor:
    """Return `num` numbers for each key (N, num), even in 0..1, neither end included.

    A hash of key and place, since a generator gives other numbers on other devices: the finaliser of MurmurHash3
    (Appleby), once with each half of the key.
    """
    keys = keys[:, None]
    place = torch.arange(num, device=keys.device) * 0x9E3779B1
    mixed = _finalised((place + (keys & _MASK)) & _MASK)
    mixed = _finalised(mixed ^ (keys >> 32))
    return ((mixed.double() + 0.5) / 2**32).float().clamp(max=1 - 2**-24)


def _finalised(values: Tensor) -> Tensor:
    """Mix 32 bits in int64; products wrap around, which leaves their lower half right."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        values = ((values ^ (values >> shift)) * factor) & _MASK
    return values ^ (values >> 16)
