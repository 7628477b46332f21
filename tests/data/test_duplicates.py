"""Planted copies: how many are found, and how many others are taken for copies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, photo
from PIL import Image, ImageEnhance, ImageOps

from striate.data.check.duplicates import TURNS, Alike, exact_groups, features, join, look_alikes, turned
from striate.data.check.scan import _summary
from striate.data.decode import decode, decode_bytes

RNG = np.random.default_rng(0)


def half(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)


def cropped(picture: Image.Image) -> Image.Image:
    width, height = round(0.9 * picture.width), round(0.9 * picture.height)
    left, top = RNG.integers(picture.width - width + 1), RNG.integers(picture.height - height + 1)
    return picture.crop((left, top, left + width, top + height))


COPIES: dict[
    str, tuple[str, Callable[[Image.Image], Image.Image], int]
] = {  # how it is reported, how it is made, quality
    "re-encoded": ("near", lambda p: p, 50),
    "half size": ("near", half, 85),
    "half size, re-encoded": ("near", half, 50),
    "brighter": ("near", lambda p: ImageEnhance.Brightness(p).enhance(1.2), 85),
    "darker": ("near", lambda p: ImageEnhance.Brightness(p).enhance(0.7), 85),
    "more contrast": ("near", lambda p: ImageEnhance.Contrast(p).enhance(1.2), 85),
    "grey": ("near", lambda p: p.convert("L"), 85),
    "mirrored": ("mirrored", ImageOps.mirror, 85),
    "flipped": ("upside down mirrored", ImageOps.flip, 85),
    "turned by 180": ("turned by 180 degrees", lambda p: p.rotate(180), 85),
    "turned to the left": ("turned by 90 degrees", lambda p: p.rotate(90, expand=True), 85),
    "turned to the right": ("turned by 90 degrees", lambda p: p.rotate(-90, expand=True), 85),
    "transposed": ("turned and mirrored", lambda p: p.transpose(Image.Transpose.TRANSPOSE), 85),
    "transversed": ("turned and mirrored the other way", lambda p: p.transpose(Image.Transpose.TRANSVERSE), 85),
    "cropped": ("cropped", cropped, 85),
}


def scanned(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    pixels = decode_bytes(data, name="x.jpg", short_side_px=64)
    thumb, statistics = _summary(pixels, pixels.shape[:2], len(data))
    return thumb, np.array(statistics, dtype=np.float32)[4:7]


def planted(pictures: list[Image.Image], how: str, num_pairs: int) -> dict[str, set[tuple[int, int]]]:
    """Return the pairs found, by how they were reported, among the images and copies of the first of them."""
    _, make, quality = COPIES[how]
    files = [encoded(picture, quality=85) for picture in pictures]
    files += [encoded(make(picture), quality=quality) for picture in pictures[:num_pairs]]
    thumbs, colours = (np.stack(part) for part in zip(*map(scanned, files), strict=True))
    return {found.how: {(int(a), int(b)) for a, b in found.pairs} for found in look_alikes(thumbs, colours)}


def measure(pictures: list[Image.Image], how: str, num_pairs: int) -> tuple[float, float]:
    """Return recall and precision over all kinds of report."""
    wanted = {(index, len(pictures) + index) for index in range(num_pairs)}
    found = planted(pictures, how, num_pairs)
    every = set().union(*found.values())
    return len(wanted & found.get(COPIES[how][0], set())) / num_pairs, len(wanted & every) / max(1, len(every))


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [photo(seed) for seed in range(120)]


@pytest.mark.parametrize("how", COPIES)
def test_planted_copies_of_drawn_pictures(photos: list[Image.Image], how: str) -> None:
    recall, precision = measure(photos, how, 40)
    assert recall >= 0.97 if how == "cropped" else recall == 1.0
    assert precision == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("how", COPIES)
def test_planted_copies_of_real_photos(real_data: Path, how: str) -> None:
    """200 pairs among 1,200 photos; two of the photos themselves are nearly the same."""
    paths = (
        sorted((real_data / "cats_dogs" / "train").rglob("*.jpg"))[::2]
        + sorted((real_data / "flowers102").rglob("*.jpg"))[::10]
    )
    recall, precision = measure([Image.fromarray(decode(path)) for path in paths], how, 200)
    assert recall >= 0.99 and precision >= 0.99


def test_turning_features_is_turning_pictures() -> None:
    pictures = RNG.random((5, 32, 32)).astype(np.float32)
    for swap, rows, columns in TURNS.values():
        other = pictures.transpose(0, 2, 1) if swap else pictures
        other = other[:, ::-1] if rows else other
        other = other[:, :, ::-1] if columns else other
        wanted = features(np.ascontiguousarray(other), 10)
        assert np.abs(turned(features(pictures, 10), 10, swap, rows, columns) - wanted).max() < 1e-5


def test_brightness_and_contrast_leave_the_features_alone() -> None:
    pictures = RNG.random((5, 32, 32)).astype(np.float32) * 200
    assert np.abs(features(pictures, 16) - features(pictures * 0.4 + 30, 16)).max() < 1e-4


def test_a_set_of_look_alikes_is_judged_more_strictly() -> None:
    """Bars on black, as digits and garments are: none is a copy of another, a re-encoded one still is."""
    rng = np.random.default_rng(1)
    place = np.arange(28)
    bars = [
        255
        * np.clip(3 - np.abs(place[None, :] - 14 - slope * (place[:, None] - 14)), 0, 1)
        * (abs(place[:, None] - 14) < 10)
        for slope in rng.normal(0, 0.15, 300)
    ]
    bars.append(np.clip(bars[0] * 0.9 + rng.normal(0, 1, (28, 28)), 0, 255))
    pictures = [Image.fromarray(bar.astype(np.uint8)).resize((32, 32), Image.Resampling.BILINEAR) for bar in bars]
    thumbs = np.stack([np.asarray(picture) for picture in pictures])
    near = next(iter(look_alikes(thumbs, np.zeros((301, 3), dtype=np.float32))))
    assert near.least > 0.98 and (0, 300) in {tuple(pair) for pair in near.pairs.tolist()}


def thumbs_of(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack(
        [np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX), np.float32) for picture in pictures]
    )


def noisy(thumb: np.ndarray, count: int, noise: float) -> np.ndarray:
    return thumb + RNG.normal(0, noise, (count, 32, 32))


def near_of(thumbs: np.ndarray) -> Alike:
    pictures = np.clip(thumbs, 0, 255).astype(np.uint8)
    return next(iter(look_alikes(pictures, np.zeros((len(pictures), 3), dtype=np.float32))))


@pytest.mark.parametrize("bursts", [(5,), (12,), (5, 5, 5, 5), (10,) * 10])
def test_bursts_make_no_set_of_look_alikes(photos: list[Image.Image], bursts: tuple[int, ...]) -> None:
    """Several copies of one image, as a camera or an augmentation before the split makes them, hide no other copy."""
    thumbs = thumbs_of(photos)
    parts = [noisy(thumbs[place], size, 6.0) for place, size in enumerate(bursts)]
    near = near_of(np.concatenate([thumbs, *parts, noisy(thumbs[50], 1, 6.0)]))
    last = len(photos) + sum(bursts)
    assert near.least == 0.9 and (50, last) in {tuple(pair) for pair in near.pairs.tolist()}
    assert len(near.pairs) == 1 + sum(size * (size + 1) // 2 for size in bursts)


def test_pictures_of_one_subject_are_a_set_of_look_alikes(photos: list[Image.Image]) -> None:
    """As X-rays are: one form in all of them, details of their own."""
    body, details = thumbs_of(photos[:1])[0], thumbs_of(photos[1:])
    near = near_of(body + 0.2 * (details - details.mean(axis=(1, 2), keepdims=True)))
    assert near.least > 0.98 and not len(near.pairs)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_sets_of_look_alikes(real_data: Path, name: str) -> None:
    from striate.data import open_dataset

    images = open_dataset(real_data / name, limit={"train": 1200, "val": 400, "test": 400}).images
    thumbs = np.stack([thumbs_of([Image.fromarray(images.read(index)[..., 0])])[0] for index in range(len(images))])
    assert near_of(thumbs).least > 0.98


def test_flat_pictures_are_no_copies_of_each_other() -> None:
    thumbs = np.full((20, 32, 32), 7, dtype=np.uint8)
    assert all(not len(found.pairs) for found in look_alikes(thumbs, np.zeros((20, 3), dtype=np.float32)))


def test_exact_groups() -> None:
    digests = np.array([[1] * 16, [2] * 16, [1] * 16, [3] * 16, [2] * 16, [1] * 16], dtype=np.uint8)
    assert exact_groups(digests, np.arange(6)) == [[0, 2, 5], [1, 4]]
    assert exact_groups(digests, np.array([0, 1, 3])) == []


def test_joining_pairs_equals_brute_force() -> None:
    for seed in range(20):
        pairs = np.random.default_rng(seed).integers(0, 30, (18, 2))
        reach = np.eye(30, dtype=bool)
        reach[pairs[:, 0], pairs[:, 1]] = reach[pairs[:, 1], pairs[:, 0]] = True
        for _ in range(5):
            reach = reach @ reach
        used = sorted(set(pairs.ravel().tolist()))
        wanted = {tuple(np.flatnonzero(reach[index])) for index in used}
        assert {tuple(group) for group in join(pairs)} == wanted


def test_speed_of_the_comparison_grows_gently() -> None:
    """A generous limit: 4,000 images against each other in eight ways (25,000 take 40 times as long)."""
    import time

    thumbs = np.random.default_rng(2).integers(0, 256, (4000, 32, 32), dtype=np.uint8)
    start = time.process_time()
    found = list(look_alikes(thumbs, np.zeros((4000, 3), dtype=np.float32)))
    assert time.process_time() - start < 10 and all(isinstance(one, Alike) for one in found)
