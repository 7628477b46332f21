"""Selective search: boxes that may hold a thing, of whatever class, from the image alone.

An image is cut into small regions of like colour, and the two neighbours most alike in colour, texture, size and how
they fit are joined until one is left; the box around every region on the way is a proposal. At half the size it takes
a sixth of the time, and finds no fewer things.

Reference: Uijlings et al., "Selective search for object recognition", IJCV 104 (2013), as OpenCV's contributed modules
have it ("fast": one grouping by two colour spaces). N images, P proposals, T boxes.
"""

import hashlib
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.base.device import num_cpus
from striate.base.errors import SettingsError
from striate.base.files import to_json
from striate.base.progress import Progress
from striate.base.tensors import read_tensors, write_tensors

from .cache import cached
from .eviction import make_room, touch
from .geometry import coloured
from .sample import Dataset, ImageU8
from .store import Indices, in_order
from .target import Boxes

VERSION = 4  # part of every key: raise it when the proposals of the same image change
NAME = "proposals"  # of the target
MOST = 5000  # of an image that are kept
DIGEST_BYTES = 16
MAX_BYTES = 1 << 24  # of a file, that its digest is made from
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Search:
    """How proposals are looked for.

    Args:
        longest_px: side to which larger images are reduced before they are searched.
        most: proposals an image; of more, every so many by size stay.
        min_side_px: of a box, in pixels of what is searched.
    """

    longest_px: int = 320
    most: int = 1000
    min_side_px: float = 8.0


def selective_search(image_u8: ImageU8, search: Search = Search()) -> Floats:
    """Return proposals (P, 4) xyxy in pixels of an image (H, W, C), the largest first.

    Raises:
        SettingsError: OpenCV has no contributed modules.

    Example:
        >>> image = np.full((80, 120, 3), 240, np.uint8)
        >>> image[20:60, 30:70] = (20, 60, 200)
        >>> [30.0, 20.0, 70.0, 60.0] in selective_search(image).tolist()
        True
    """
    import cv2

    rgb = coloured(image_u8, 3)
    height, width = rgb.shape[:2]
    scale = min(1.0, search.longest_px / max(height, width))
    sides = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(rgb, sides, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    segmentation = _segmentation()
    segmentation.setBaseImage(np.ascontiguousarray(small[:, :, ::-1]))
    segmentation.switchToSelectiveSearchFast()
    x, y, across, down = np.unique(segmentation.process(), axis=0).T  # in an order of its own: theirs is random
    is_kept = np.minimum(across, down) >= search.min_side_px
    back = np.array([width / sides[0], height / sides[1]] * 2)
    boxes = (np.column_stack([x, y, x + across, y + down]) * back)[is_kept]
    order = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(1), kind="stable")
    return np.asarray(boxes[order[_some(len(order), search.most)]], np.float32)


def _some(num: int, most: int) -> Indices:
    """At most so many of `num` places, evenly."""
    return np.linspace(0, num - 1, min(num, most)).round().astype(np.intp)


def _segmentation() -> Any:
    import cv2

    module = getattr(cv2, "ximgproc", None)
    if module is None:
        what, fix = "OpenCV has no selective search", 'pip install "striate[detect]"'
        raise SettingsError(what, where="opencv-contrib-python-headless", fix=fix)
    return module.segmentation.createSelectiveSearchSegmentation()


def proposals_of(dataset: Dataset, search: Search = Search(), progress: Progress | None = None) -> Boxes:
    """Return the proposals of all images of the splits as boxes of one class, from the cache or by searching.

    The cache knows images by what they hold: those of another split, dataset or run are not searched again.
    """
    indices, progress = np.unique(np.concatenate([*dataset.splits.values()])), progress or Progress()
    whole = replace(search, most=MOST)  # so that another number need not be searched for again
    keys = {index: _digest(dataset.images.digest(index, MAX_BYTES)) for index in indices.tolist()}
    known = _cached(whole, set(keys.values()))
    if new := [index for index, key in keys.items() if key not in known]:
        found = _search_all(dataset, new, whole, progress)
        known |= {keys[index]: boxes for index, boxes in zip(new, found, strict=True)}
        _write(whole, {keys[index]: known[keys[index]] for index in new})
        make_room(0)
    nothing = np.zeros((0, 4), np.float32)
    rows = [known[keys[index]] if index in keys else nothing for index in range(len(dataset))]
    rows = [boxes[_some(len(boxes), search.most)] if len(boxes) else boxes for boxes in rows]
    label = [np.zeros(len(boxes), np.int64) for boxes in rows]
    return Boxes.of(rows, label, (NAME,))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES]


def _prefix(search: Search) -> str:
    return hashlib.sha256(to_json([VERSION, repr(search)]).encode()).hexdigest()[:16]


def _cached(search: Search, wanted: Set[bytes]) -> dict[bytes, Floats]:
    """The proposals of images, by digest, as far as files of the cache have them."""
    found: dict[bytes, Floats] = {}
    for path in sorted(cached(NAME).glob(f"{_prefix(search)}-*.safetensors")):
        if wanted <= found.keys():
            break
        part = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
        rows = {digest.tobytes(): row for row, digest in enumerate(part["digests"])}
        if its := wanted & rows.keys():
            touch(path)
            found |= {key: part["xyxy"][slice(*part["starts"][rows[key] : rows[key] + 2])] for key in its}
    return found


def _write(search: Search, found: Mapping[bytes, Floats]) -> None:
    import torch

    digests = np.frombuffer(b"".join(found), np.uint8).reshape(-1, DIGEST_BYTES)
    starts = np.cumsum([0, *map(len, found.values())])
    tensors = {"digests": digests.copy(), "starts": starts, "xyxy": np.concatenate([*found.values()])}
    name = hashlib.sha256(b"".join(found)).hexdigest()[:16]
    path = cached(NAME, f"{_prefix(search)}-{name}.safetensors")
    write_tensors(path, {name: torch.from_numpy(values) for name, values in tensors.items()})


def _search_all(dataset: Dataset, indices: Sequence[int], search: Search, progress: Progress) -> list[Floats]:
    found = []
    with ThreadPoolExecutor(num_cpus()) as pool, progress.bar("proposals", len(indices)) as bar:
        work = lambda index: selective_search(dataset.images.read(int(index)), search)  # noqa: E731
        for boxes in in_order(pool, work, np.asarray(indices), 4 * num_cpus()):
            found.append(boxes)
            bar.advance()
    return found


def recall(proposals: Boxes, truth: Boxes, indices: Indices, levels: Sequence[float] = (0.5, 0.7)) -> list[float]:
    """Return the share of true boxes, crowds left out, that some proposal reaches with each IoU; nan without boxes.

    What selective search misses no detector on it finds.
    """
    best = []
    for index in indices.tolist():
        given, true = (_rows(boxes, index) for boxes in (proposals, truth))
        true = true[~truth.crowd[int(truth.starts[index]) : int(truth.starts[index + 1])]]
        best.append(overlaps(true, given).max(1, initial=0))
    reached = np.concatenate([*best, np.zeros(0)])
    return [float((reached >= level).mean()) if len(reached) else float("nan") for level in levels]


def _rows(boxes: Boxes, index: int) -> Floats:
    return boxes.xyxy[int(boxes.starts[index]) : int(boxes.starts[index + 1])]


def overlaps(a: Floats, b: Floats) -> Floats:
    """Return the IoU (A, B) of every box of (A, 4) with every one of (B, 4)."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(2)
    one, other = (a[:, 2:] - a[:, :2]).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    return np.asarray(shared / np.maximum(one[:, None] + other - shared, 1e-9), np.float32)
