"""The images that a table names: which column holds them, and where each lies below the root."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

from striate.base.errors import DataError
from striate.base.text import plural, shown

from ..format import EXTENSIONS
from .cells import Table, refuse_pixels

PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "image_file",
              "img", "img_path", "image_name", "img_name", "image_id", "img_id", "id", "name")  # fmt: skip


def path_column(table: Table) -> str:
    """Return the column of files: by its name, else the only one whose cells end like the names of images.

    Raises:
        DataError: there is none.
    """
    found = table.column(PATH_NAMES)
    if found is not None:
        return found
    alike = [name for name, cells in table.columns.items() if all(c.lower().endswith(EXTENSIONS) for c in cells)]
    if len(alike) == 1:
        return alike[0]
    refuse_pixels(table.path, list(table.columns))
    have = ", ".join(shown(name, 30) for name in list(table.columns)[:8])
    raise DataError(f"no path column among {have}", where=f"{table.path}:1", fix="name the column of files `path`")


def find_files(table: Table, column: str, base: Path) -> tuple[list[str], list[str]]:
    """Return the files as paths relative to the root, and sentences on names that had to be completed.

    A name without suffix gets the one with which there is a file. Where letters with marks are written in another
    Unicode form on the disk, the name on the disk counts.

    Raises:
        DataError: the message has the line: a path that is empty, missing, leads out of the root, or is there twice.
    """
    names: list[str] = []
    first_row: dict[str, int] = {}
    changes: Counter[str] = Counter()
    for row, cell in enumerate(table.columns[column]):
        name, change = find_file(table, row, cell, str(base))
        changes[change] += 1
        if first_row.setdefault(name, row) != row:
            what = f"image {shown(name, 80)!r} is also in line {table.lines[first_row[name]]}"
            raise table.error(row, what, "keep one of the two lines")
        names.append(name)
    said = [f"{plural(count, 'file')} found {how}" for how, count in changes.items() if how]
    return names, said


def find_file(table: Table, row: int, cell: str, base: str) -> tuple[str, str]:
    """Return the name of a file that exists, as a path relative to `base`, and how it differs from its cell.

    Raises:
        DataError: see `find_files`.
    """
    joined = os.path.normpath(os.path.join(base, cell.replace("\\", "/") if os.sep == "/" else cell))  # noqa: PTH118
    name = os.path.relpath(joined, base).replace(os.sep, "/")
    if not cell or name == "." or name.startswith("../"):
        what = f"path {shown(cell, 60)!r} leads out of {shown(base, 60)}" if cell else "path is empty"
        raise table.error(row, what, "put all images below it", "--root with a folder that holds all")
    if os.path.isfile(joined):  # noqa: PTH113 - many files
        return name, ""
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, name)
        if other != name and os.path.isfile(os.path.join(base, other)):  # noqa: PTH113, PTH118
            return other, "in another Unicode form than in the table"
    with_suffix = [f"{name}{end}" for end in EXTENSIONS if os.path.isfile(f"{joined}{end}")]  # noqa: PTH113
    with_suffix = with_suffix or [f"{name}{end.upper()}" for end in EXTENSIONS if os.path.isfile(joined + end.upper())]  # noqa: PTH113
    if len(with_suffix) == 1:
        return with_suffix[0], f"by adding {Path(with_suffix[0]).suffix}"
    if with_suffix:
        what = f"{shown(name, 60)!r} may be {' or '.join(shown(Path(one).name, 40) for one in with_suffix[:2])}"
        raise table.error(row, what, "add the suffix to the name")
    raise table.error(row, f"image {shown(name, 80)!r} is missing", "mend the path", "--root FOLDER")
