"""Boxes of Pascal VOC: an XML file an image, and the lists of `ImageSets/Main` as splits."""

from pathlib import PurePosixPath

from striate.base.errors import DataError, combined

from ..sample import Reading
from .boxed import Boxed, Collection, pair_files
from .boxes import image_named_in
from .mask_pairs import split_of
from .names import natural_key
from .voc_masks import split_lists
from .voc_xml import Annotated, from_first_pixel, read_annotation
from .walk import Reason, Walk

LISTS, MAIN, FIRST_LISTS = "ImageSets", "Main", ("train.txt", "trainval.txt")
NO_FILE = Reason("image without a file of boxes", "images without a file of boxes", True, "say what they show")
NO_LIST = Reason("image that is in no list", "images that are in no list")


def read(walk: Walk, like: str) -> Collection:
    """Return the images of a folder whose XML file has their name; a file without objects is an image without any.

    Coordinates count from 1, as VOC's own do, unless those at the left and upper borders are mostly 0.

    Args:
        like: one of the files; the others have its suffix.

    Raises:
        DataError: files or a list cannot be read; the message names the first and says how many more.
    """
    files = pair_files(walk, PurePosixPath(like).suffix) or _pair_inside(walk)
    listed = _lists(walk, {PurePosixPath(name).stem for name in files})
    names: list[str] = []
    for name in sorted((name for some in walk.tree().values() for name in some), key=natural_key):
        if name not in files or (listed and PurePosixPath(name).stem not in listed):
            walk.leave_out(NO_LIST if name in files else NO_FILE, name)
        else:
            names.append(name)
    annotations = _read_all(walk, [files[name] for name in names])
    first, readings = _first_pixel(annotations)
    images = [
        Boxed(
            name,
            listed.get(PurePosixPath(name).stem) or split_of(name),
            tuple(from_first_pixel(thing, first) for thing in one.things),
            one.size_hw,
        )
        for name, one in zip(names, annotations, strict=True)
    ]
    return Collection(images, "Pascal VOC", "object {}", readings)


def _pair_inside(walk: Walk) -> dict[str, str]:
    """Return the file of each image that one names inside: of sets in which no file is called like its image."""
    images = {PurePosixPath(name).stem.casefold(): name for some in walk.tree().values() for name in some}
    named = [(name, image_named_in(walk.root / name)) for name in walk.others() if name.casefold().endswith(".xml")]
    files = {images[image]: name for name, image in reversed(named) if image in images}
    walk.use(*files.values())
    return files


def _lists(walk: Walk, stems: set[str]) -> dict[str, str]:
    """Return the split of each listed name, by the lists of all folders that hold some."""
    files = [PurePosixPath(name) for name in walk.others()]
    holders = {file.parent for file in files if file.name in FIRST_LISTS}
    mains = {folder for folder in holders if folder.parts[-2:] == (LISTS, MAIN)}
    plain = {folder for folder in holders if folder.name == LISTS and folder / MAIN not in mains}
    listed: dict[str, str] = {}
    for folder in map(str, sorted(mains | plain)):
        lists = split_lists(walk.root, folder, stems)
        walk.use(*(f"{folder}/{split}.txt" for split in (*lists, "trainval")))
        listed |= {name: split for split, names in lists.items() for name in names}
    return listed


def _read_all(walk: Walk, files: list[str]) -> list[Annotated]:
    found, problems = [], []
    for file in files:
        try:
            found.append(read_annotation(walk.root / file))
        except DataError as problem:
            problems.append(problem)
    if problems:
        raise combined(problems)
    return found


def _first_pixel(annotations: list[Annotated]) -> tuple[int, tuple[Reading, ...]]:
    """Return what the first pixel is called, 1 or 0, by the boxes that begin at the left or the upper border."""
    sides = [side for one in annotations for thing in one.things for side in thing.xyxy[:2]]
    zeros, ones = sides.count(0), sides.count(1)
    if zeros <= ones:
        return 1, ()
    text = f"boxes count pixels from 0: {zeros:,} begin there, {ones:,} at 1, where Pascal VOC's own do"
    return 0, (Reading(text),)
