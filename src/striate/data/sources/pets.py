"""The Oxford-IIIT pets: a trimap, a breed, a species and, for some, a box around the head."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..channels import sampled_channels
from ..sample import Dataset, LeftOut
from ..target import Boxes, Label, Target
from .images import FileImages
from .mask_folders import mask_target
from .mask_names import ClassList
from .names import folder_name
from .voc_xml import read_things

LISTS = {"trainval.txt": "train", "test.txt": "test"}
TRIMAP = ClassList("annotations/trimaps", ("pet", "background", "border"), (1, 2, 3), is_colour=False)
SPECIES = ("cat", "dog")
EXTENSIONS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class _Pet:
    """A line of a list: the image's name, its breed and its species, counted from 1."""

    name: str
    breed_id: int
    species_id: int
    where: str

    @property
    def breed(self) -> str:
        return self.name.rpartition("_")[0].replace("_", " ")


def matches(root: Path) -> bool:
    """Return whether a folder holds the images, trimaps and lists of the set."""
    annotations = root / "annotations"
    has_list = any((annotations / name).is_file() for name in LISTS)
    return has_list and (annotations / "trimaps").is_dir() and (root / "images").is_dir()


def read(root: Path, where: str, ignore: str | None = None) -> Dataset:
    """Return the dataset of `images/`, `annotations/trimaps/` and `trainval.txt`, `test.txt`.

    Targets: "mask" (pet, background, border), "breed", "species", and "head" where there are boxes: images without
    one are left out when that target is chosen.

    Raises:
        DataError: a line of a list is not name, class, species, breed; an image is in two lists, or none of them is
            there; or a file of boxes cannot be read.

    Reference: Parkhi, Vedaldi, Zisserman, Jawahar, Cats and Dogs (2012).
    """
    found = {split: _lines(root / "annotations" / name) for name, split in LISTS.items()}
    _refuse_twice(found)
    files = _image_files(root)
    lost = {
        "image": [pet for pets in found.values() for pet in pets if pet.name not in files],
        "trimap": [pet for pets in found.values() for pet in pets if not _trimap(root, pet.name).is_file()],
    }
    gone = {pet.name for pets in lost.values() for pet in pets}
    kept = {split: [pet for pet in pets if pet.name not in gone] for split, pets in found.items()}
    pets = [pet for split in kept.values() for pet in split]
    if not pets:
        raise DataError("none of the listed images is there", where=root / "images", fix="unpack images.tar.gz here")
    left_out = [
        LeftOut(f"{plural(len(names), 'line')} of the lists without {what}", tuple(pet.name for pet in names), True,
                "download the set again, or remove the lines")
        for what, names in lost.items() if names
    ]  # fmt: skip
    images = tuple(f"images/{files[pet.name]}" for pet in pets)
    masks = [f"annotations/trimaps/{pet.name}.png" for pet in pets]
    channels, said = sampled_channels(root, list(images))
    mask, readings = mask_target(root, images, masks, TRIMAP, ignore)
    targets: dict[str, Target] = {"mask": mask, **_labels(pets), **_heads(root, pets)}
    ends = np.cumsum([0, *(len(part) for part in kept.values())])
    splits = {
        split: np.arange(ends[at], ends[at + 1], dtype=np.intp) for at, split in enumerate(kept) if len(kept[split])
    }
    first = f"target mask comes first; others (--target): {', '.join(list(targets)[1:])}"
    return Dataset(
        name=folder_name(root),
        where=where,
        images=FileImages(root, images, channels),
        ids=images,
        targets=targets,
        splits=splits if "train" in splits else {},
        channels=channels,
        notes=("layout: Oxford-IIIT pets", first, said, *(one.text for one in left_out)),
        left_out=tuple(left_out),
        readings=tuple(replace(one, text=f"trimaps: {one.text.removeprefix('masks: ')}") for one in readings),
    )


def _trimap(root: Path, name: str) -> Path:
    return root / "annotations" / "trimaps" / f"{name}.png"


def _lines(path: Path) -> list[_Pet]:
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"the list cannot be read ({problem})", where=path, fix="download it again") from problem
    pets = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells or line.startswith("#"):
            continue
        if len(cells) != 4 or not all(cell.isdecimal() for cell in cells[1:]) or cells[2] not in {"1", "2"}:
            what = f"{shown(line, 60)!r} is not a name, a class, a species (1 or 2) and a breed"
            raise DataError(what, where=f"{path}:{number}", fix="mend the line")
        pets.append(_Pet(cells[0], int(cells[1]), int(cells[2]), f"{path}:{number}"))
    return pets


def _refuse_twice(found: dict[str, list[_Pet]]) -> None:
    first: dict[str, str] = {}
    for pet in (pet for pets in found.values() for pet in pets):
        if first.setdefault(pet.name, pet.where) != pet.where:
            what = f"{shown(pet.name, 60)!r} is listed twice, first in {first[pet.name].rpartition('/')[2]}"
            raise DataError(what, where=pet.where, fix="remove one of the lines")


def _image_files(root: Path) -> dict[str, str]:
    files = sorted(path for path in (root / "images").iterdir() if path.suffix.lower() in EXTENSIONS)
    return {path.stem: path.name for path in files}


def _labels(pets: Sequence[_Pet]) -> dict[str, Target]:
    """Breed and species, as far as there are two of them; breeds in the order of their class numbers."""
    breeds = {pet.breed_id: pet.breed for pet in pets}
    order, targets = sorted(breeds), {}
    if len(breeds) > 1:
        values = np.array([order.index(pet.breed_id) for pet in pets], np.int64)
        targets["breed"] = Label(values, tuple(breeds[key] for key in order))
    if len({pet.species_id for pet in pets}) > 1:
        targets["species"] = Label(np.array([pet.species_id - 1 for pet in pets], np.int64), SPECIES)
    return dict(targets)


def _heads(root: Path, pets: Sequence[_Pet]) -> dict[str, Target]:
    paths = [root / "annotations" / "xmls" / f"{pet.name}.xml" for pet in pets]
    things = [read_things(path) if path.is_file() else [] for path in paths]
    if not any(things):
        return {}
    boxes = [[thing.xyxy for thing in some] for some in things]
    labels = [[pet.species_id - 1] * len(some) for pet, some in zip(pets, things, strict=True)]
    return {"head": Boxes.of(boxes, labels, SPECIES, is_partial=True)}
