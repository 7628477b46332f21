"""Time series in `.ts` files of the UCR and UEA archives, tables or `.npz`: images of height 1, dimensions as bands."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from striate.base.errors import DataError
from striate.base.text import plural

from ..bands import MAX_BANDS
from ..sample import Dataset, Reading, Usual
from ..target import Label
from .names import SPLIT_NAMES, class_list, folder_name
from .series_archive import SUFFIX as ARCHIVE
from .series_archive import is_series_archive, read_archive
from .series_images import Cases, SeriesImages, ranges_of
from .series_table import SUFFIXES, is_series_table, read_table

if TYPE_CHECKING:
    import numpy.typing as npt

SUFFIX = ".ts"
MAX_LENGTH = 8192  # of what a network receives; longer series are made shorter
BATCH_SIZE = 16  # Wang et al., arXiv:1611.06455: a tenth of the training series, at most 16
_MARKS = (b"@problemname", b"@classlabel", b"@data")
_UNTRUE = {"flip", "alternating_flip", "rotate", "shear", "perspective", "crop", "zoom", "saturation", "hue", "grey"}


def matches(root: Path) -> bool:
    """Return whether a folder holds `.ts` files of series, or tables or `.npz` called NAME_TRAIN or NAME_TEST."""
    return any(_series_files(root))


def is_series(path: Path) -> bool:
    """Return whether a file is a `.ts` file, a table or an `.npz` of series, by how it begins."""
    if is_series_table(path) or is_series_archive(path):
        return True
    if path.suffix.lower() != SUFFIX or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(1 << 16).lower()
    return any(mark in head for mark in _MARKS)


def _series_files(root: Path) -> Iterator[Path]:
    """Yield the files of series in a folder; tables by their names, since other tables have numbers too."""
    for path in sorted([*root.glob("*.[tTcC][sS]*"), *root.glob("*.[nN][pP][zZ]")]):
        is_named = path.suffix.lower() == SUFFIX or bool(_split_of(path)[1])
        if is_named and is_series(path):
            yield path


def read(path: Path, where: str, known: tuple[str, ...] | None = None) -> Dataset:
    """Return the series of a folder with NAME_TRAIN.ts and NAME_TEST.ts (NAME_VAL.ts), or of one file.

    Args:
        known: the classes of a run that is to be evaluated on these series: a test file alone will do.

    Raises:
        DataError: a line cannot be read, or the files do not fit each other; the message names file and line.
    """
    files = {"": path} if path.is_file() else _files(path, needs_train=known is None)
    parts = _parts(files, path, needs_train=known is None)
    dims = {stem: part.values[0].shape[1] for stem, part in parts.values()}
    if len(set(dims.values())) > 1:
        said = " and ".join(f"{count} in {stem}" for stem, count in dims.items())
        raise DataError(f"series of different dimensions: {said}", where=path, fix="use the files of one set")
    return _dataset(path, where, parts)


def _parts(files: Mapping[str, Path], where: Path, needs_train: bool) -> dict[str, tuple[str, Cases]]:
    """The cases of each split, and what their ids begin with; an archive may hold several splits."""
    parts: dict[str, tuple[str, Cases]] = {}
    for split, file in files.items():
        if file.suffix.lower() != ARCHIVE:
            parts[split] = file.stem, read_file(file)
            continue
        inside = read_archive(file)
        if split and set(inside) != {""}:
            what = f"{file.name} holds splits of its own beside other files"
            raise DataError(what, where=where, fix=f"call its arrays series and labels, or name {file.name} itself")
        parts |= {split or own: (own or file.stem, cases) for own, cases in inside.items()}
    if needs_train and not {"train", ""} & set(parts):
        raise DataError("no training series", where=where, fix="add series_train and labels_train")
    return parts


def _dataset(path: Path, where: str, named: Mapping[str, tuple[str, Cases]]) -> Dataset:
    """The dataset of the cases of each split, each with what its ids begin with."""
    parts = {split: part for split, (_, part) in named.items()}
    values = tuple(case for part in parts.values() for case in part.values)
    labels = [label for part in parts.values() for label in part.labels]
    names = class_list([*labels, *(name for part in parts.values() for name in part.names)], path)
    ids = tuple(f"{stem}/{n + 1}" for stem, part in named.values() for n in range(len(part.values)))
    splits, at = {}, 0
    for split, part in parts.items():
        splits[split] = np.arange(at, at + len(part.values), dtype=np.intp)
        at += len(part.values)
    first = next(iter(parts.values())).values
    lengths, num_dims = [len(case) for case in values], values[0].shape[1]
    length = min(MAX_LENGTH, max(map(len, first)))
    return Dataset(
        name=folder_name(path) if path.is_dir() else path.stem,
        where=where,
        images=SeriesImages(values, ranges_of(first)),
        ids=ids,
        targets={"label": Label(np.array([names.index(label) for label in labels], np.int64), names)},
        splits={} if "" in splits else splits,
        channels=num_dims,
        bands=next(iter(parts.values())).dims or tuple(f"dimension {number}" for number in range(1, num_dims + 1)),
        notes=(_note(lengths, num_dims, length),),
        readings=tuple(_beside(path)),
        usual=Usual("series", 16, "squash", (1, length), batch_size=BATCH_SIZE, untrue_after=frozenset(_UNTRUE)),
    )


def read_file(path: Path, *, needs_class: bool = True) -> Cases:
    """Return the cases of a `.ts` file, of a table, or of an `.npz` file with all its splits.

    Args:
        needs_class: whether a file without classes is refused; else the labels of its cases are "".

    Raises:
        DataError: the file cannot be read, or a line says what cannot be; the message names it.
    """
    if path.suffix.lower() in SUFFIXES:
        return read_table(path, needs_class=needs_class)
    if path.suffix.lower() == ARCHIVE:
        inside = list(read_archive(path, needs_class=needs_class).values())
        return Cases(
            tuple(case for part in inside for case in part.values), sum((part.labels for part in inside), ()), ()
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"series file cannot be read ({problem})", where=path, fix="download it again") from problem
    header: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if not words[0].startswith("@"):
            raise DataError("a line before @data that is no setting", where=f"{path}:{number}", fix="begin it with @")
        header[words[0][1:].lower()] = words[1:]
        if words[0].lower() == "@data":
            return _cases(path, _checked(header, path, number, needs_class), lines, number)
    raise DataError("no line @data", where=path, fix="use a .ts file of the UCR or UEA archive")


def _checked(header: Mapping[str, list[str]], path: Path, number: int, needs_class: bool) -> Mapping[str, list[str]]:
    """Return the header if series of its kind are read."""
    if _is_true(header.get("timestamps", [])):
        raise DataError("series with time stamps are not read", where=path, fix="write the values alone")
    if needs_class and not _is_true(header.get("classlabel", [])):
        what = "no classes: @classLabel is not true"
        raise DataError(what, where=f"{path}:{number}", fix="give each case its class, and @classLabel true A B ...")
    return header


def _cases(path: Path, header: Mapping[str, list[str]], lines: list[str], start: int) -> Cases:
    has_class = _is_true(header.get("classlabel", []))
    names = tuple(header["classlabel"][1:]) if has_class else ()
    values, labels = [], []
    wanted = int(header["dimensions"][0]) if "".join(header.get("dimensions", [])).isdigit() else 0
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{path}:{number}"
        *fields, label = (field.strip() for field in (line if has_class else f"{line}: ").split(":"))
        if not fields or (has_class and not label) or (names and label not in names):
            what = f"class {label!r} is not among those of @classLabel" if fields and label else "a case without class"
            raise DataError(what, where=where, fix="end the line with : and its class")
        case = _numbers(fields, where)
        wanted = wanted or case.shape[1]
        if case.shape[1] != wanted:
            what = f"{plural(case.shape[1], 'dimension')}, the others have {wanted}"
            raise DataError(what, where=where, fix="put one : between dimensions")
        values.append(case)
        labels.append(label)
    if not values:
        raise DataError("no case after @data", where=path, fix="download it again")
    return Cases(tuple(values), tuple(labels), names)


def _numbers(fields: list[str], where: str) -> "npt.NDArray[np.float32]":
    """The values (L, D) of a case's dimensions."""
    if len(fields) > MAX_BANDS:
        raise DataError(f"{len(fields)} dimensions", where=where, fix=f"use at most {MAX_BANDS}")
    rows = []
    for number, field in enumerate(fields, 1):
        try:
            with np.errstate(over="ignore"):  # what float32 does not hold is refused below
                row = np.array(field.rstrip(",").split(","), np.float64).astype(np.float32)
        except ValueError:
            row = np.array([np.nan], np.float32)
        if not np.isfinite(row).all():
            raise DataError(
                f"{_fault(field)} in dimension {number}", where=where, fix="fill it in, or leave the case out"
            )
        rows.append(row)
    if len({len(row) for row in rows}) > 1:
        lengths = ", ".join(str(len(row)) for row in rows[:6])
        raise DataError(f"dimensions of different lengths ({lengths})", where=where, fix="give all the same length")
    return np.stack(rows, axis=1)


def _fault(field: str) -> str:
    """What is wrong with the samples of a dimension."""
    if not field.strip(", "):
        return "no sample"
    odd = next((text.strip() for text in field.split(",") if not _is_number(text)), field[:20])
    if odd in {"", "?"} or odd.lower() == "nan":
        return "a missing value" + (f" ({odd})" if odd else "")
    try:
        float(odd)
    except ValueError:
        return f"{odd[:20]!r} is no number"
    return f"{odd[:20]} is too large for 32 bits"


def _is_number(text: str) -> bool:
    try:
        return bool(abs(float(text)) <= float(np.finfo(np.float32).max))
    except ValueError:
        return False


def _is_true(words: list[str]) -> bool:
    return bool(words) and words[0].lower() == "true"


def _files(root: Path, needs_train: bool) -> dict[str, Path]:
    """Return the file of each split of the one set in a folder; "" where a file names no split."""
    found = list(_series_files(root))
    named = [(path, *_split_of(path)) for path in found]
    if len({name for _, name, _ in named}) > 1 or len({split for *_, split in named}) < len(named):
        what = f"{plural(len(found), 'file')} of several sets: {', '.join(path.name for path in found[:4])}"
        raise DataError(what, where=root, fix="name one file, or give each set a folder of its own")
    files = {split: path for path, _, split in named}
    if needs_train and not {"train", ""} & set(files):
        raise DataError(f"no training series beside {found[0].name}", where=root, fix="add NAME_TRAIN.ts")
    return {split: files[split] for split in ("", "train", "val", "test") if split in files}


def _split_of(path: Path) -> tuple[str, str]:
    """Return the set and the split that a file's name says: GunPoint_TRAIN.ts is ("GunPoint", "train")."""
    name, _, last = path.stem.rpartition("_")
    return (name, SPLIT_NAMES[last.lower()]) if name and last.lower() in SPLIT_NAMES else (path.stem, "")


def _beside(path: Path) -> list[Reading]:
    """Say so where one file of several is named."""
    if path.is_dir():
        return []
    others = [one.name for one in _series_files(path.parent) if one != path and _same_set(one, path)]
    if not others:
        return []
    text = f"{path.name} alone is divided into train, val and test; {', '.join(others)} beside it is not used"
    return [Reading(text, is_doubtful=True, fix="name the folder")]


def _same_set(one: Path, other: Path) -> bool:
    return _split_of(one)[0] == _split_of(other)[0]


def _note(lengths: list[int], num_dims: int, length: int) -> str:
    few, most = min(lengths), max(lengths)
    said = f"series of {plural(num_dims, 'dimension')}, "
    said += f"{most} samples long" if few == most else f"{few} to {most} samples long, brought to {length}"
    return f"{said}, kept with 16 bits"


def ranged(dataset: Dataset, ranges: str | None) -> Dataset:
    """Return the dataset with the ranges of values that its training series use, or with those in a text.

    Raises:
        DataError: the text is of other dimensions.
    """
    images = dataset.images
    if not isinstance(images, SeriesImages):
        return dataset
    train = dataset.splits.get("train", np.arange(len(dataset)))
    found = images.with_ranges(ranges) if ranges else images.measured(train)
    return replace(dataset, images=found)
