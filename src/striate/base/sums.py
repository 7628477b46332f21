"""Checksums of a folder's members, as `sha256sum -c SHA256SUMS` reads them: what is read again is held against them.

A folder is sealed when its work is finished, and whoever changes it afterwards breaks the seal first, so that a kill
in between leaves a folder without checksums, never one whose checksums are wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DamagedError
from .files import is_temporary, sha256, write_text

NAME = "SHA256SUMS"


def seal(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of those members that there are."""
    members = [name for name in names if (folder / name).is_file()]
    write_text(folder / NAME, "".join(f"{sha256(folder / name)}  {name}\n" for name in members))


def is_sealed(folder: Path) -> bool:
    """Whether the folder has checksums."""
    return (folder / NAME).exists()


def break_seal(folder: Path) -> None:
    """Remove the checksums, before a member changes."""
    (folder / NAME).unlink(missing_ok=True)


@contextmanager
def unsealed(folder: Path, members: Callable[[], Iterable[str]], replaced: str = "") -> Iterator[None]:
    """Let members of a sealed folder change in this block, and seal it again when the block ends well.

    Args:
        replaced: the member that is written anew, whatever became of it.

    Raises:
        DamagedError: a member was damaged before.
    """
    was_sealed = is_sealed(folder)
    for name in members() if was_sealed else ():
        if name != replaced:
            checked(folder, name)
    break_seal(folder)
    yield
    if was_sealed:
        seal(folder, members())


def checked(folder: Path, name: str) -> Path:
    """Return the path of a member, which is what it was when its folder was sealed; there may be no such file.

    Raises:
        DamagedError: it is another, is missing, or is not listed.
    """
    path = folder / name
    if is_sealed(folder) and (problem := _problem(folder, name, _sums(folder))):
        fix = f"restore it from a copy, or delete {NAME} if you edited it"
        raise DamagedError(problem, where=path, fix=fix)
    return path


def damage(folder: Path) -> str | None:
    """Return what is wrong with a folder all of whose files are members, or None."""
    if not is_sealed(folder):
        return f"has no {NAME}"
    sums = _sums(folder)
    names = {path.name for path in folder.iterdir() if path.name != NAME and not is_temporary(path.name)}
    problems = (_problem(folder, name, sums) for name in sorted(names | sums.keys()))
    return next(filter(None, problems), None) if sums or names else "is empty"


def _problem(folder: Path, name: str, sums: dict[str, str]) -> str | None:
    path = folder / name
    if not path.is_file():
        return f"{name} is missing" if name in sums else None
    if name not in sums:
        return f"{name} is not listed in {NAME}"
    return None if sha256(path) == sums[name] else f"{name} does not match its checksum"


def _sums(folder: Path) -> dict[str, str]:
    lines = (folder / NAME).read_text("utf-8", "replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
