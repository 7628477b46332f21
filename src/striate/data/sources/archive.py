"""Arrays of an `.npz` file, read without pickle and never larger than the file says."""

import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.base.columns import size
from striate.base.errors import DataError
from striate.base.text import shown

Array = npt.NDArray[np.generic]
MAX_BYTES = 16 << 30


def names_in(path: Path) -> frozenset[str]:
    """Return the names of the arrays in a file; none where it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return frozenset()


def load(path: Path, names: Collection[str]) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays of some names that are there, and the names of all others.

    Raises:
        DataError: no .npz, Python objects, an array that is damaged or not as large as it claims.
    """
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = [one for one in archive.infolist() if one.filename.removesuffix(".npy") in names]
            for member in wanted:
                name = member.filename
                _check_member(path, archive, member)
            num_bytes = sum(member.file_size for member in wanted)
            if num_bytes > MAX_BYTES:
                raise DataError(f"arrays of {size(num_bytes)}", where=path, fix=f"use at most {size(MAX_BYTES)}")
            known = {member.filename for member in wanted}
            others = [one.removesuffix(".npy") for one in archive.namelist() if one not in known]
        with np.load(path, allow_pickle=False) as opened:
            arrays = {
                (name := member.filename).removesuffix(".npy"): opened[name.removesuffix(".npy")] for member in wanted
            }
        return arrays, others
    except (OSError, ValueError, KeyError, EOFError, zlib.error, NotImplementedError, zipfile.BadZipFile) as problem:
        reason = "it holds Python objects" if "allow_pickle" in str(problem) else str(problem).split("\n")[0]
        about = f"array {shown(name.removesuffix('.npy'), 30)}" if name else ".npz file"
        fix = "save plain arrays with numpy.savez"
        raise DataError(f"not a readable {about} ({reason})", where=path, fix=fix) from problem


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Return if an array is as large as its header says: numpy asks for that memory before it reads."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        held = member.file_size - file.tell()
    claimed = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and claimed != held:
        what = f"array {shown(member.filename.removesuffix('.npy'), 30)} claims {claimed:,} bytes and holds {held:,}"
        raise DataError(what, where=path, fix="save it again with numpy.savez")
