"""JSON files that belong to images: one that is not whole is a fault of the data, named by its file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from striate.base.documents import read_json
from striate.base.errors import DataError, ModelError

MOST = 20  # files that are looked at where a folder is not understood


def read_object(path: Path, what: str) -> Mapping[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DataError: it is none.
    """
    try:
        found: Mapping[str, Any] = read_json(path, what, dict)
    except ModelError as problem:
        raise DataError(problem.what, where=path, fix=problem.fix) from problem
    return found


def refuse_broken(root: Path, names: Sequence[str]) -> None:
    """Look for a JSON file that is not whole among the files of a folder that is not understood: it may be why.

    Raises:
        DataError: there is one.
    """
    files = [name for name in names if name.casefold().endswith(".json")]
    for name in sorted(files, key=lambda name: (name.count("/"), name))[:MOST]:
        try:
            read_json(root / name, "annotations")
        except ModelError as problem:
            raise DataError(problem.what, where=root / name, fix=problem.fix) from problem
