"""Walk a folder for image files: names are relative to it, and what is left out is counted by reason."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from striate.base.errors import DataError
from striate.base.own import is_own_folder, is_own_picture
from striate.base.text import plural

from ..decode import NO_IMAGE, refusal
from ..decode_heif import INSTALL
from ..format import EXTENSIONS
from ..sample import LeftOut

JUNK_FOLDERS = {"__macosx", "@eadir", "__pycache__", "lost+found", "$recycle.bin", "system volume information"}
OWN_PICTURES = re.compile(
    r"(?:contact-sheet(?:-\d+)?|augmentation|search|rate-.*|.*-filters)\.png"
)  # as commands call them
MAX_OWN_DEPTH = 4
JUNK_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"}


class Reason(NamedTuple):
    """Why something is left out: the noun for one and for many, and whether a person may miss images."""

    one: str
    many: str
    is_serious: bool = False
    fix: str = ""


SYSTEM = Reason("hidden or system file or folder", "hidden or system files and folders")
NOT_IMAGES = Reason("file that is not an image", "files that are not images")
SPECIAL = Reason("pipe, socket or device", "pipes, sockets or devices")
CIRCLES = Reason("link in a circle", "links in a circle")
AGAIN = Reason("folder that a link shows a second time", "folders that links show a second time")
LOST_LINKS = Reason("link that became a text file", "links that became text files", True, "link them again: ln -s")
BROKEN = Reason("broken link", "broken links", True, "restore what they link to, or remove them")
OWN = Reason("result of striate", "results of striate")
UNREADABLE = Reason("file that cannot be read", "files that cannot be read", True, "check their permissions")
NAMED_LIKE_IMAGES = Reason("folder named like an image", "folders named like an image", True, "give them other names")


@dataclass
class _Listing:
    """What lies directly in one folder, by kind, as names relative to the root, in order of name."""

    folders: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)


class Walk:
    """One look through a folder. Links are followed, out of the folder too, but never in a circle.

    All names are relative to the root, with "/" between their parts; "" is the root itself. Each folder is read once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)
        self._listings: dict[str, _Listing] = {}
        self._tree: dict[str, _Listing] = {}
        self._left_out: dict[Reason, dict[str, None]] = {}

    def folders(self, inside: str = "") -> list[str]:
        """Return the folders directly in a folder, without system folders and links in a circle."""
        return [name for name in self._list(inside).folders if not self._holds_own_only(name)]

    def loose(self, inside: str = "") -> list[str]:
        """Return the images directly in a folder."""
        return self._list(inside).images

    def images(self, inside: str = "") -> list[str]:
        """Return the images in a folder and below it."""
        above = (self._real_root, *(self._real(name) for name in _prefixes(inside)))
        return list(self._images(inside, above, set(above)))

    def tree(self) -> dict[str, list[str]]:
        """Return the images directly in each folder, of all folders."""
        return {folder: listing.images for folder, listing in self._everything().items()}

    def others(self) -> list[str]:
        """Return the files that are not images, in all folders."""
        return [name for listing in self._everything().values() for name in listing.others]

    def leave_out(self, reason: Reason, *names: str) -> None:
        """Count files or folders that are not in the dataset."""
        self._left_out.setdefault(reason, {}).update(dict.fromkeys(names))

    def use(self, *names: str) -> None:
        """Take back that files are not in the dataset: they say what is in it."""
        for found in self._left_out.values():
            for name in names:
                found.pop(name, None)

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return what was left out so far, what a person may miss first."""
        found = [
            LeftOut(plural(len(names), reason.one, reason.many), tuple(names), reason.is_serious, reason.fix)
            for reason, names in self._left_out.items()
            if names
        ]
        return tuple(sorted(found, key=lambda one: (not one.is_serious, -len(one.names))))

    def _images(self, folder: str, above: tuple[str, ...], seen: set[str]) -> Iterator[str]:
        listing = self._list(folder)
        yield from listing.images
        for name in listing.folders:
            real = self._real(name)
            if real in above:
                self.leave_out(CIRCLES, name)
            elif real in seen:
                self.leave_out(AGAIN, name)
            elif name.lower().endswith(EXTENSIONS):
                self.leave_out(NAMED_LIKE_IMAGES, name)
            else:
                seen.add(real)
                yield from self._images(name, (*above, real), seen)

    def _everything(self) -> dict[str, _Listing]:
        """Return what lies in each folder, each of them once, however many links lead to it."""
        if not self._tree:
            todo, seen = [""], {self._real_root}
            while todo:
                folder = todo.pop()
                self._tree[folder] = self._list(folder)
                for name in reversed(self._tree[folder].folders):
                    real = self._real(name)
                    if real not in seen:
                        seen.add(real)
                        todo.append(name)
        return self._tree

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name) if name else str(self.root)  # noqa: PTH118 - many files

    def _real(self, name: str) -> str:
        return os.path.realpath(self._path(name))

    def _list(self, folder: str) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = listing = _Listing()
            for entry in self._entries(folder):
                name = f"{folder}/{entry.name}" if folder else entry.name
                if self._is_kept(entry, name):
                    self._sort_in(listing, entry, name)
        return self._listings[folder]

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        try:
            with os.scandir(self._path(folder)) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            where = self._path(folder)
            raise DataError(f"folder cannot be read ({reason})", where=where, fix="check its permissions") from problem

    def _is_kept(self, entry: "os.DirEntry[str]", name: str) -> bool:
        lower = entry.name.lower()
        if lower.startswith(".") or lower in JUNK_FOLDERS or lower in JUNK_FILES:
            self.leave_out(SYSTEM, name)
        elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
            self.leave_out(BROKEN, name)
        elif entry.is_symlink() and self._is_above(os.path.realpath(entry.path)):
            self.leave_out(CIRCLES, name)
        else:
            return True
        return False

    def _is_above(self, real: str) -> bool:
        """Whether a folder is the root or holds it."""
        return self._real_root == real or self._real_root.startswith(os.path.join(real, ""))  # noqa: PTH118

    def _sort_in(self, listing: _Listing, entry: "os.DirEntry[str]", name: str) -> None:
        if self._is_own(entry):
            listing.own.append(name)
            self.leave_out(OWN, name)
        elif entry.is_dir():
            listing.folders.append(name)
        elif entry.name.lower().endswith(EXTENSIONS):
            listing.images.append(name)
        elif entry.is_file():
            self._sort_by_content(listing, entry, name)
        else:
            self.leave_out(SPECIAL, name)

    def _sort_by_content(self, listing: _Listing, entry: "os.DirEntry[str]", name: str) -> None:
        """Take a file without the suffix of an image for one if its first bytes are those of one that is read."""
        try:
            with Path(entry.path).open("rb") as file:
                head = file.read(512)
        except OSError:
            self.leave_out(UNREADABLE, name)
            return
        reason = refusal(head, Path(entry.name).suffix)
        if not reason:
            listing.images.append(name)
            return
        listing.others.append(name)
        fix = INSTALL if reason in {"AVIF", "HEIC"} else "convert them to PNG or JPEG"
        is_image = reason != NO_IMAGE
        if not is_image and _is_lost_link(entry.path, head):
            self.leave_out(LOST_LINKS, name)
            return
        self.leave_out(Reason(f"{reason} image", f"{reason} images", True, fix) if is_image else NOT_IMAGES, name)

    def _is_own(self, entry: "os.DirEntry[str]") -> bool:
        """Whether a folder is a run, a study or a search, or an image is a chart or a contact sheet of ours."""
        if entry.is_dir():
            return is_own_folder(entry.path)
        return bool(OWN_PICTURES.fullmatch(entry.name)) and is_own_picture(entry.path)

    def _holds_own_only(self, folder: str) -> bool:
        """Whether a folder is there for results of ours, as `runs` is, and holds no images."""
        has_own = False
        for listing in self._below(folder, MAX_OWN_DEPTH):
            has_own = has_own or bool(listing.own)
            if listing.images:
                return False
        return has_own

    def _below(self, folder: str, depth: int) -> Iterator[_Listing]:
        yield (listing := self._list(folder))
        for name in listing.folders if depth else ():
            yield from self._below(name, depth - 1)


def _is_lost_link(path: str, head: bytes) -> bool:
    """Whether a text file holds nothing but the path of a folder or file: what a checkout without links leaves."""
    text = os.fsdecode(head)
    target = os.path.join(os.path.dirname(path), text)  # noqa: PTH118, PTH120
    return "/" in text and not set(text) & set("\n\0") and os.path.exists(target)  # noqa: PTH110 - text of any length


def _prefixes(name: str) -> list[str]:
    """Return a folder and those that hold it, the outermost first.

    Example:
        >>> _prefixes("train/cat"), _prefixes("")
        (['train', 'train/cat'], [])
    """
    parts = name.split("/") if name else []
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
