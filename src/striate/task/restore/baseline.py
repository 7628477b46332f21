"""What restores an image (H, W, C) uint8 without learning. A method yields one image a strength.

A network is held against the best of them, each at the strength that is best for the very image, which only who knows
the truth can choose: what is beaten is an upper bound of the method.
"""

from collections.abc import Iterator, Mapping

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

ImageU8 = npt.NDArray[np.uint8]
Methods = Mapping[str, Iterator[ImageU8]]  # by name, what it makes at each of its strengths
SIDES_PX, STDS_PX = (3, 5), (0.6, 0.8, 1.0, 1.4, 2.0)
REACH_PX, SEARCH_PX = 3, 11  # non-local means: patches compared, and how far away
CLOSE_PX = 1.5  # bilateral: deviation of the distance
LIKE = (3.6, 4.8)  # bilateral: deviation of the difference in levels, in deviations of the noise
SMALL_PX = 8


def median(image: ImageU8) -> Iterator[ImageU8]:
    """Yield median filters of windows of 3 and 5 pixels."""
    for side in SIDES_PX:
        yield _like(cv2.medianBlur(image, side), image)


def gaussian(image: ImageU8) -> Iterator[ImageU8]:
    """Yield Gaussian blurs of several deviations."""
    for std in STDS_PX:
        yield _like(cv2.GaussianBlur(image, (0, 0), std), image)


def bilateral(image: ImageU8, noise: float) -> Iterator[ImageU8]:
    """Yield bilateral filters for noise of a deviation in levels of 255 (Tomasi and Manduchi, ICCV 1998)."""
    for factor in LIKE:
        yield _like(cv2.bilateralFilter(image, 5, factor * noise, CLOSE_PX), image)


def nonlocal_means(image: ImageU8, noise: float) -> Iterator[ImageU8]:
    """Yield non-local means of each channel (Buades et al., CVPR 2005)."""
    channels = [
        cv2.fastNlMeansDenoising(np.ascontiguousarray(image[..., one]), None, noise, REACH_PX, SEARCH_PX)
        for one in range(image.shape[2])
    ]
    yield np.stack(channels, axis=2)


def enlarged(image: ImageU8, scale: int, mode: str) -> Iterator[ImageU8]:
    """Yield the image `scale` times as large: "nearest", "bilinear" or "bicubic" as Pillow does it."""
    yield _sized(image, (image.shape[0] * scale, image.shape[1] * scale), mode)


def mean_filled(image: ImageU8, is_hole: npt.NDArray[np.bool_]) -> Iterator[ImageU8]:
    """Yield the image with its holes in the mean colour of the rest."""
    filled = image.copy()
    filled[is_hole] = np.rint(image[~is_hole].mean(0)) if not is_hole.all() else 0
    yield filled


def spread(image: ImageU8, is_hole: npt.NDArray[np.bool_]) -> Iterator[ImageU8]:
    """Yield the image with its holes filled from their edges (Telea, Journal of Graphics Tools 2004)."""
    yield _like(cv2.inpaint(image, is_hole.astype(np.uint8), 3, cv2.INPAINT_TELEA), image)


def mean_colour(image: ImageU8) -> Iterator[ImageU8]:
    """Yield one colour, the image's mean."""
    yield np.broadcast_to(np.rint(image.mean((0, 1))), image.shape).astype(np.uint8)


def tiny(image: ImageU8) -> Iterator[ImageU8]:
    """Yield what is left of the image after it was made as small as 8 x 8 pixels."""
    small = _sized(image, (SMALL_PX, SMALL_PX), "bicubic")
    yield _sized(small, (image.shape[0], image.shape[1]), "bicubic")


def itself(image: ImageU8) -> Iterator[ImageU8]:
    """Yield the image as it came."""
    yield image


def for_noise(image: ImageU8, noise: float) -> Methods:
    """Return what the methods against noise, of a deviation in levels of 255, make of an image."""
    return {
        "median": median(image),
        "Gaussian": gaussian(image),
        "bilateral": bilateral(image, noise),
        "non-local means": nonlocal_means(image, noise),
    }


def for_size(image: ImageU8, scale: int) -> Methods:
    """Return what the methods that enlarge make of an image."""
    return {mode: enlarged(image, scale, mode) for mode in ("nearest", "bilinear", "bicubic")}


def for_holes(image: ImageU8, is_hole: npt.NDArray[np.bool_]) -> Methods:
    """Return what the methods that fill holes (H, W) make of an image."""
    return {"mean colour": mean_filled(image, is_hole), "spread from the edges": spread(image, is_hole)}


def _sized(image: ImageU8, size_hw: tuple[int, int], mode: str) -> ImageU8:
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    options = {} if mode == "nearest" else {"antialias": True}  # which has the same bicubic kernel as Pillow
    sized = F.interpolate(pixels, size_hw, mode=mode, **options)
    return sized[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


def _like(filtered: npt.ArrayLike, image: ImageU8) -> ImageU8:
    """With the channel that OpenCV drops."""
    return np.asarray(filtered, np.uint8).reshape(image.shape)
