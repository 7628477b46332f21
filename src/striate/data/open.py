"""Open a dataset: find its layout, choose its target, its subset and its splits."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from striate.base.choose import nearest
from striate.base.errors import DataError, SettingsError
from striate.base.text import plural

from . import subset
from .channels import in_channels, with_band_names
from .levels import FULL, Levels, levels_asked, words
from .sample import SPLITS, Dataset
from .sources import public, series, toy
from .sources.images import ArrayImages, FileImages
from .sources.layouts import read_file, read_folder
from .sources.names import folder_name
from .sources.series_images import SeriesImages
from .split import Indices, assign
from .target import TASK_KINDS, Itself
from .target.itself import NAME as ITSELF
from .target_choice import first_target

SHARES = (0.7, 0.15, 0.15)  # of train, val and test


def open_dataset(
    where: str | Path,
    *,
    root: str | Path | None = None,
    target: str | None = None,
    task: str | None = None,
    split: Sequence[float] = SHARES,
    seed: int = 0,
    group: str | None = None,
    separator: str | None = None,
    blank: str | None = None,
    split_column: str | None = None,
    allow_empty: bool = False,
    per_class: int | None = None,
    limit: Mapping[str, int] | None = None,
    classes: Sequence[str] | str | None = None,
    top_classes: int | None = None,
    folds: int | None = None,
    fold: int | None = None,
    channels: int | None = None,
    levels: str | None = None,
    ignore: str | None = None,
    ranges: str | None = None,
) -> Dataset:
    """Open the dataset at `where` and split it. No image is decoded.

    `where` is a folder of class folders (one tree, or train/ val/ test/), a CSV or TSV file, a folder of IDX or
    CIFAR binary files or with the lists of CUB-200, an .npz file, .ts files of series, volumes with labels, a name as
    "fashion-mnist", or "toy:shapes", "toy:digits" or "toy:order".

    Args:
        root: where the files of a table, or a local copy of a public dataset, lie; for "toy:digits" one of MNIST.
        target: which target to learn (a column of a table; "label", "angle", ... of a toy); it becomes the first.
        task: "classify", "regress", "segment", "detect", ...: take the first target of its kind. For "denoise",
            "superresolve", "inpaint", "colourise" and "reconstruct" any folder of images will do.
        split: shares of train, val and test where the data does not say; stratified by the target.
        seed: of the split and the subsets; they are functions of it and of the ids only.
        group: regular expression on the id; what its first group matches stays on one side of a split.
        separator: several labels an image, separated by this in the label column.
        blank: what a blank cell of a table means: "negative" (among 0/1), or "ignore" for leaving the image out.
        split_column: the column of a table that divides the images into train, val and test.
        allow_empty: keep class folders without images in the class list.
        per_class: at most so many images of each class, of the whole tree, or of each split if it comes split.
        limit: at most so many images of a split, for example {"train": 2000}.
        classes: only these classes; text with commas that is no class itself names several.
        top_classes: only the so many largest classes.
        folds: divide into so many folds; `fold` (0 .. folds - 1) is the test split (the val split if the data has
            its own test split).
        channels: read images as 1 (grey) or 3 (RGB); by default grey where all of a sample are, else RGB.
        levels: of images with 16 bits, those that become black and white: "full" (0-65535), "LOW-HIGH", or "auto",
            the range that the training images use; every file is decoded for it.
        ignore: of masks, the values or classes that nobody knows, with commas between them: "255", "void,#000000".
        ranges: of series, the values that become the lowest and the highest level, LOW..HIGH of each dimension; by
            default the range of the training series with room beside it. A run keeps them.

    Raises:
        DataError: nothing readable is there, or the data contradicts itself; the message names the file and the fix.

    Example:
        >>> open_dataset("toy:shapes?n=200", limit={"train": 100})
        Dataset('shapes': 160 images, 5 classes; train 100, val 30, test 30)
    """
    given = {name: value for name, value in locals().items() if name != "where" and value is not None}
    if not isinstance(where, str | os.PathLike):
        fix = "name a folder, table or set; see st.from_arrays, st.from_table and st.from_dataset"
        raise SettingsError(f"{type(where).__name__} is no path", where="data", fix=fix)
    wanted = levels_asked(levels)
    dataset = with_band_names(in_channels(find(str(where), given), channels))
    dataset = first_target(dataset, target, task)
    dataset = _grouped(dataset, group)
    if classes:
        given["classes"] = classes = subset.chosen_classes(dataset, classes)
    dataset = _narrow(dataset, classes, top_classes, per_class, seed)
    dataset = _in_folds(dataset, folds, fold, split, seed) if folds else in_splits(dataset, split, seed)
    if limit:
        dataset = subset.limit_splits(dataset, limit, seed)
    if isinstance(dataset.images, SeriesImages):
        dataset = series.ranged(dataset, ranges)
        given["ranges"] = cast(SeriesImages, dataset.images).ranges_text
    if levels:
        dataset = levelled(dataset, wanted)
        given["levels"] = levels_of(dataset)
    return replace(checked(dataset), options=given | ({"root": str(path_of(root).absolute())} if root else {}))


def is_path(where: str) -> bool:
    """Return whether a dataset is a file or folder, not a toy or a public name.

    Example:
        >>> is_path("birds/"), is_path("toy:shapes"), is_path("cifar10")
        (True, False, False)
    """
    return not where.startswith("toy:") and where.lower() not in public.PUBLIC


def path_of(where: str | Path) -> Path:
    """Return the file or folder that a person means; `~` is the home folder, as in a shell.

    Raises:
        SettingsError: nothing is named.
    """
    if not str(where).strip():
        raise SettingsError("no dataset is named", where="DATA", fix="name a folder (. is this one), a table or a set")
    return Path(os.path.expanduser(where))  # noqa: PTH111 - it leaves what it does not know


def absolute_path(where: str) -> str | None:
    """Return where a file or folder lies, whatever the current folder will be; None for what is neither."""
    is_there = bool(where) and is_path(where) and path_of(where).exists()
    return str(path_of(where).absolute()) if is_there else None


def where_again(described: Mapping[str, Any]) -> str:
    """Return how to open a run's data again, from whichever folder: as typed where that is the same place.

    Args:
        described: "where", and where that is a file or folder its absolute "path".

    Raises:
        DataError: the data are not where they were.
    """
    typed, path = str(described["where"]), described.get("path")
    if not is_path(typed):
        return typed
    is_there, has_name = path_of(typed).exists(), Path(typed).name not in {"", ".."}
    if path and Path(path).exists():
        return typed if is_there and path_of(typed).samefile(path) else str(path)
    if not is_there or (path and not has_name):  # `.` is always there, and no sign of the data
        raise DataError("the data are gone", where=path or typed, fix="name their new place with --data")
    return typed


def options_again(described: Mapping[str, Any], where: str | None) -> dict[str, Any]:
    """Return the options to open a run's data again, from a new place `where` or from where they were.

    A table's root that is gone stays behind at a new place: there the table's own folder is the root.

    Raises:
        DataError: it is gone, and no new place is named.
    """
    options = {name: value for name, value in described["options"].items() if value is not None}
    root = options.get("root")
    if root and not path_of(root).exists():
        if where is None:
            fix = "put it back, or name with --data a table that lies beside the images"
            raise DataError("the folder of the images is gone", where=root, fix=fix)
        del options["root"]
    return options


def name_of(where: str) -> str:
    """Return what to call the results on a dataset.

    Example:
        >>> name_of("photos/birds/"), name_of("toy:shapes?n=500")
        ('birds', 'toy-shapes')
    """
    return folder_name(path_of(where)) if is_path(where) else where.split("?")[0].replace(":", "-")


def find(where: str, options: Mapping[str, Any], known: tuple[str, ...] | None = None) -> Dataset:
    """Return the dataset at a place as it comes, for `options` of `open_dataset`; a task may want the images alone.

    Args:
        known: the classes of a run that is to be evaluated on it, see `evaluation`.
    """
    is_alone = Itself.kind in TASK_KINDS.get(options.get("task") or "", ())
    alone = {"task": None, "target": None, "is_alone": True} if is_alone else {}
    dataset = _find(where, {**options, **alone}, known)
    return replace(dataset, targets={ITSELF: Itself(len(dataset)), **dataset.targets}) if is_alone else dataset


def _find(where: str, options: Mapping[str, Any], known: tuple[str, ...] | None) -> Dataset:
    path = path_of(where)
    is_table = path.suffix.lower() in {".csv", ".tsv"} and path.is_file()
    for name in ("blank", "split_column"):
        if options.get(name) is not None and not is_table and known is None:
            option = f"--{name.replace('_', '-')}"
            raise SettingsError(f"{option} is for tables, and this is none", where=where, fix="leave it out")
    base = path_of(options["root"]) if options.get("root") is not None else None
    options = {**options, "root": base}
    if where.startswith("toy:"):
        return toy.read(where, base)
    if path.is_file():
        return read_file(path, where, options, known)
    if path.is_dir():
        return read_folder(path, where, options, known)
    if where.lower() in public.PUBLIC:
        own = {"allow_empty": options.get("allow_empty")}
        return public.read(where.lower(), base, lambda copy: read_folder(copy, where, own, known))
    close = nearest(where, public.PUBLIC)
    fix = f"check the path, or did you mean {close!r}?" if close else "check the path"
    raise DataError("no such file, folder or public dataset", where=where, fix=fix)


def levels_of(dataset: Dataset) -> str:
    """Return the levels of 16 bits that become black and white, as a person types them."""
    images = dataset.images
    return words(images.levels) if isinstance(images, FileImages | ArrayImages) else words(FULL)


def levelled(dataset: Dataset, levels: Levels | None) -> Dataset:
    """Return the dataset with its files read by these levels; None measures what the training files use."""
    images = dataset.images
    if isinstance(images, FileImages):
        images = replace(images, levels=levels or _measured(dataset))
    said = f"16 bits: levels {levels_of(replace(dataset, images=images))} become black to white"
    return replace(dataset, images=images, notes=(*dataset.notes, said))


def _measured(dataset: Dataset) -> Levels:
    from .check.scan import scan

    probes = scan(dataset, full=True).probes
    train = dataset.splits.get("train", range(len(dataset)))
    used = [found for index in train if (found := probes[int(index)].used) is not None]
    low, high = (min(low for low, _ in used), max(high for _, high in used)) if used else FULL
    return (low, high) if low < high else FULL


def _grouped(dataset: Dataset, pattern: str | None) -> Dataset:
    if pattern is None:
        return dataset
    try:
        compiled = re.compile(pattern)
    except re.error as problem:
        raise DataError(f"group pattern is not a regular expression ({problem})", where=pattern,
                        fix="mend the pattern") from problem  # fmt: skip
    if compiled.groups != 1:
        raise DataError(f"group pattern has {compiled.groups} groups, not one", where=pattern,
                        fix=r"write one pair of brackets, as in 'patient(\d+)'")  # fmt: skip
    groups = []
    for name in dataset.ids:
        found = compiled.search(name)
        if not found:
            raise DataError(f"group pattern {pattern!r} does not fit this id", where=name, fix="widen the pattern")
        groups.append(found.group(1) or "")
    return replace(dataset, groups=tuple(groups))


def _narrow(
    dataset: Dataset, classes: Sequence[str] | None, top_classes: int | None, per_class: int | None, seed: int
) -> Dataset:
    if classes:
        dataset = subset.keep_classes(dataset, classes)
    if top_classes:
        dataset = subset.top_classes(dataset, top_classes)
    if per_class:
        dataset = subset.limit_classes(dataset, per_class, seed)
    return dataset


def _parts(dataset: Dataset, members: Indices, shares: Sequence[float], seed: int) -> list[Indices]:
    """Divide some images into parts of these shares; `members` and the parts are sorted."""
    target = dataset.target() if dataset.targets else None
    ids = [dataset.ids[index] for index in members]
    if target is not None and dataset.groups is None:
        part = target.divide(ids, members, shares, seed)
    else:
        stratum = np.zeros(len(dataset), np.int64) if target is None else target.strata()
        groups = [dataset.groups[index] for index in members] if dataset.groups is not None else None
        part = assign(ids, stratum[members], shares, seed, groups)
    return [members[part == index] for index in range(len(shares))]


def in_splits(dataset: Dataset, split: Sequence[float], seed: int) -> Dataset:
    """Return the dataset with the splits that it lacks taken from its training images, in these shares."""
    shares = _shares(split)
    have = dataset.splits
    missing = [name for name in SPLITS if name not in have]
    if not missing:
        return dataset
    if set(have) <= {"train"}:
        everything = have.get("train", np.arange(len(dataset), dtype=np.intp))
        parts = _parts(dataset, everything, shares, seed)
        how = "stratified" if dataset.groups is None else "stratified by class, groups kept together"
        note = f"split {'/'.join(f'{100 * share:g}' for share in shares)} % by seed {seed}, {how}"
        return replace(dataset, splits=dict(zip(SPLITS, parts, strict=True)), notes=(*dataset.notes, note),
                       made_splits=SPLITS)  # fmt: skip
    name = missing[0]
    share = shares[SPLITS.index(name)]
    train, taken = _parts(dataset, have["train"], (shares[0], share), seed)
    note = f"no {name} split in the data: {dataset.noun.count(len(taken))} of train taken for it, by seed {seed}"
    splits = {**have, "train": train, name: taken}
    splits = {key: splits[key] for key in SPLITS}
    return replace(dataset, splits=splits, notes=(*dataset.notes, note), made_splits=(name,))


def _in_folds(dataset: Dataset, folds: int, fold: int | None, split: Sequence[float], seed: int) -> Dataset:
    if folds < 2 or fold is None or not 0 <= fold < folds:
        what = f"fold {fold} of {folds}"
        raise DataError(what, where=dataset.where, fix="use at least 2 folds and a fold from 0 to folds - 1")
    own_test = dataset.splits.get("test")
    pool = np.setdiff1d(np.arange(len(dataset), dtype=np.intp), [] if own_test is None else own_test)
    parts = _parts(dataset, pool, [1.0] * folds, seed)
    rest = np.sort(np.concatenate([part for index, part in enumerate(parts) if index != fold]))
    if own_test is not None:
        splits = {"train": rest, "val": parts[fold], "test": own_test}
    else:
        shares = _shares(split)
        train, val = _parts(dataset, rest, (shares[0], shares[1]), seed)
        splits = {"train": train, "val": val, "test": parts[fold]}
    note = f"fold {fold} of {folds} is the {'val' if own_test is not None else 'test'} split"
    return replace(dataset, splits=splits, notes=(*dataset.notes, note))


def _shares(split: Sequence[float]) -> tuple[float, ...]:
    if len(split) != 3 or min(split) <= 0:
        what = f"split {'/'.join(f'{share:g}' for share in split)} is not three numbers above 0"
        raise DataError(what, fix="write for example 0.7/0.15/0.15")
    return tuple(share / sum(split) for share in split)


def checked(dataset: Dataset) -> Dataset:
    """Return the dataset if its splits hold images, and none of them twice.

    Raises:
        DataError: a split is empty, or an image is in two splits.
    """
    used = np.zeros(len(dataset), dtype=bool)
    for name, members in dataset.splits.items():
        if not len(members):
            of = f" in {plural(len(set(dataset.groups)), 'group')}" if dataset.groups is not None else ""
            of = of or (f" of {plural(len(dataset.classes), 'class', 'classes')}" if dataset.classes else "")
            what = f"{dataset.noun.count(len(dataset))}{of}, too few: the {name} split would be empty"
            fix = (
                f"take more {dataset.noun.many}"
                if dataset.groups is None
                else "group so that there are more groups (--group)"
            )
            raise DataError(what, where=dataset.where, fix=fix)
        if used[members].any():
            twice = dataset.ids[int(members[used[members]][0])]
            raise DataError(f"image is in {name} and in another split", where=twice, fix="keep it in one of them")
        used[members] = True
    return dataset
