"""Masks among the images of a folder: known by what the files hold, beside images of the same name or the same folder.

A mask has few colours, in areas; its image has many, and the same size. Names alone decide nothing: a class may be
called `masks`, and the files of all classes may be called 1, 2, 3.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError

from ..bands import shown_bands
from ..decode import decode, header
from ..sample import ImageU8

MASK_WORD = re.compile(r"mask|label|annot|segm|truth|trimap|(?<![a-z])(?:gt|seg|lbl)(?![a-z])", re.IGNORECASE)
MAX_FOLDERS, NUM_PROBED = 64, 3  # looked at, and files in each of them
MAX_COLOURS, MIN_RATIO, MIN_IMAGE_COLOURS = 64, 8, 64  # of a mask; of its image, relative to the mask, and at least
MAX_SAMPLED = 1 << 16  # pixels whose colours are counted
NUM_AREAS, LOSSY_SHARE, LOSSY_GREY = 6, 0.97, 12  # of a JPEG mask: so many colours, so near, make up this share


@dataclass(frozen=True)
class Pair:
    """An image and its mask, as names relative to the root."""

    image: str
    mask: str


def find_masks(root: Path, folders: dict[str, list[str]]) -> Pair | None:
    """Return an image and its mask, or None. A few images are decoded, and only where names and headers allow it.

    Args:
        folders: the names of the images directly in each folder.
    """
    partners = _Partners(folders)
    likely = sorted(folders, key=lambda folder: not MASK_WORD.search(folder))
    first = [folder for folder in likely if MASK_WORD.search(folder)][: MAX_FOLDERS // 2]
    for folder in dict.fromkeys([*first, *spread(likely, MAX_FOLDERS)]):
        related = partners.related(folder)
        lossless = [name for name in related if PurePosixPath(name).suffix.lower() not in {".jpg", ".jpeg"}]
        for names in (spread(folders[folder], NUM_PROBED), spread(lossless or related, NUM_PROBED)):
            probed = [(name, partners.of(name)) for name in names]
            pairs = [pair for name, others in probed if (pair := _pair(root, name, others))]
            if pairs and len(pairs) >= min(2, len(names)):
                return pairs[0]
    return None


def spread(names: Sequence[str], count: int) -> list[str]:
    """Return so many names, evenly spaced."""
    step = max(1, len(names) // count)
    return list(names[::step][:count])


class _Partners:
    """The images that a mask may belong to."""

    def __init__(self, folders: dict[str, list[str]]) -> None:
        self._folders = folders
        self._by_stem: dict[str, list[str]] = {}
        for names in folders.values():
            for name in names:
                stem = PurePosixPath(name).stem
                for key in {stem, _short(stem)}:
                    self._by_stem.setdefault(key, []).append(name)

    def of(self, name: str) -> list[str]:
        """Return some images that share the file's name, or whose folder says that this one holds masks of theirs."""
        folder, stem = _folder(name), PurePosixPath(name).stem
        found = []
        for key in _keys(stem):
            for other in self._by_stem.get(key, ())[:MAX_FOLDERS]:
                is_whole = PurePosixPath(other).stem == key
                if other != name and (is_whole or _folder(other) != folder):
                    found.append(other)
        if MASK_WORD.search(PurePosixPath(name).stem):
            found += self._folders[folder][:NUM_PROBED]
        if MASK_WORD.search(PurePosixPath(folder).name):
            near = [other for other in self._folders if _folder(other) == _folder(folder) and other != folder]
            found += [self._folders[other][0] for other in near[:NUM_PROBED]]
        return [other for other in found if other != name][: 2 * NUM_PROBED]

    def related(self, folder: str) -> list[str]:
        """Return the images whose name is that of another one in the folder and a word more, or another suffix."""
        names = self._folders[folder]
        stems = [PurePosixPath(name).stem for name in names]
        whole, twice = set(stems), {stem for stem in stems if len(self._by_stem.get(stem, ())) > 1}
        return [
            name
            for name, stem in zip(names, stems, strict=True)
            if any(key in whole for key in _keys(stem)[1:]) or (stem in twice and stems.count(stem) > 1)
        ]


def _keys(stem: str) -> list[str]:
    """Return a file's name, and what is left of it without its last words, or its first.

    Example:
        >>> _keys("a_1_mask")
        ['a_1_mask', 'a_1', 'a', '1_mask', 'mask']
    """
    cuts = [found.start() for found in re.finditer(r"[-_. ]", stem)]
    return [stem, *(stem[:cut] for cut in reversed(cuts)), *(stem[cut + 1 :] for cut in cuts)]


def _short(stem: str) -> str:
    """Return a file's name without its last word."""
    return re.sub(r"[-_. ][^-_. ]*$", "", stem)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _pair(root: Path, name: str, others: Sequence[str]) -> Pair | None:
    """Return the pair that a file makes with the first image it can be a mask of."""
    probe = header(root / name)
    can_be_mask = probe.channels == 1 or probe.mode == "P" or probe.format != "JPEG" or MASK_WORD.search(name)
    if not others or not probe.mode or not can_be_mask:
        return None
    alike = [other for other in others if _has_size(root / other, probe.size_hw)]
    num_mask = _num_colours(root / name, is_mask=True) if alike else 0
    if not 0 < num_mask <= MAX_COLOURS:
        return None
    wanted = max(MIN_IMAGE_COLOURS, MIN_RATIO * num_mask)
    return next((Pair(other, name) for other in alike if _num_colours(root / other) >= wanted), None)


def _has_size(path: Path, size_hw: tuple[int, int]) -> bool:
    """Whether an image has the shape of another, which may be smaller."""
    height, width = header(path).size_hw
    return height * width > 0 and abs(height * size_hw[1] / (width * size_hw[0]) - 1) < 0.02


def _num_colours(path: Path, is_mask: bool = False) -> int:
    """Return how many colours an image has, of a JPEG mask how many its areas have; 0 where it says nothing."""
    try:
        pixels = decode(path)
    except DataError:
        return 0
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / MAX_SAMPLED) ** 0.5))
    colours, counts = np.unique(_packed(pixels[::step, ::step]), return_counts=True)
    if len(colours) == 1 and header(path).mode.startswith("I"):
        return 2  # numbers of objects, too small to be seen among 65,536 levels
    if len(colours) <= MAX_COLOURS or not is_mask or header(path).format != "JPEG":
        return len(colours) if len(colours) > 1 else 0
    sizes = _areas(colours, counts)
    return len(sizes) if sum(sizes) >= LOSSY_SHARE * counts.sum() else len(colours)


def _areas(colours: npt.NDArray[np.uint32], counts: npt.NDArray[np.intp]) -> list[int]:
    """Return how many pixels lie near each of the most frequent colours of a lossy image."""
    planes = np.stack([(colours >> shift) & 255 for shift in (16, 8, 0)], axis=-1).astype(np.int64)
    left, sizes = counts.copy(), []
    for _ in range(NUM_AREAS):
        near = (np.abs(planes - planes[left.argmax()]) <= LOSSY_GREY).all(axis=1)
        sizes.append(int(left[near].sum()))
        left[near] = 0
    return [size for size in sizes if size]


def _packed(pixels: ImageU8) -> npt.NDArray[np.uint32]:
    wide = shown_bands(pixels).astype(np.uint32)
    if wide.shape[2] == 1:
        return wide[..., 0]
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2], dtype=np.uint32)
