"""Walk a folder for picture files: what is left out is counted, links never lead in circles or out of the folder."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from striate.base.errors import DataError
from striate.base.text import shown

from ..format import EXTENSIONS

NOT_PICTURES = "files that are not pictures by their name"
NUM_NAMED = 4
JUNK_FOLDERS = {"__macosx", "@eadir", "__pycache__", "lost+found", "$recycle.bin", "system volume information"}
JUNK_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"}


class Walk:
    """One look through a folder; `ignored` counts what was left out, by reason.

    `not_pictures` are the files whose names have no extension of a picture, relative to the root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ignored: Counter[str] = Counter()
        self.not_pictures: list[str] = []
        self._real_root = os.path.realpath(root)
        self._entries: dict[str, list[os.DirEntry[str]]] = {}

    def folders(self, folder: Path) -> list[Path]:
        """Return the folders in `folder`, in order of name, without system folders and circular links."""
        return [Path(entry.path) for entry in self._kept(str(folder)) if entry.is_dir()]

    def count_loose(self, folder: Path) -> int:
        """Return the number of pictures directly in `folder`; other files there are counted as left out."""
        return sum(1 for entry in self._kept(str(folder)) if self._is_picture(entry))

    def files(self, folder: Path) -> list[str]:
        """Return the pictures in `folder` and below, as paths relative to the root."""
        above = [folder, *(parent for parent in folder.parents if parent.is_relative_to(self.root))]
        real = tuple(os.path.realpath(parent) for parent in reversed(above))
        return [self._relative(path) for path in self._pictures(str(folder), real)]

    def notes(self) -> tuple[str, ...]:
        """Return a sentence on what was left out, or nothing."""
        if not self.ignored:
            return ()
        named = ", ".join(shown(name, 60) for name in self.not_pictures[:NUM_NAMED])
        named += ", ..." if len(self.not_pictures) > NUM_NAMED else ""
        names = {NOT_PICTURES: f" ({named})"}
        listed = ", ".join(f"{count:,} {what}{names.get(what, '')}" for what, count in self.ignored.most_common())
        return (f"left out: {listed}",)

    def _relative(self, path: str) -> str:
        return path[len(os.path.join(str(self.root), "")) :].replace(os.sep, "/")  # noqa: PTH118

    def _pictures(self, folder: str, above: tuple[str, ...]) -> Iterator[str]:
        for entry in self._kept(folder):
            if not entry.is_dir():
                if self._is_picture(entry):
                    yield entry.path
                continue
            real = os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(above[-1], entry.name)  # noqa: PTH118
            if real in above:
                self.ignored["links in a circle"] += 1
            elif entry.name.lower().endswith(EXTENSIONS):
                self.ignored["folders named like a picture"] += 1
            else:
                yield from self._pictures(entry.path, (*above, real))

    def _is_picture(self, entry: os.DirEntry[str]) -> bool:
        if entry.is_dir():
            return False
        if entry.name.lower().endswith(EXTENSIONS):
            return True
        self.ignored[NOT_PICTURES] += 1
        self.not_pictures.append(self._relative(entry.path))
        return False

    def _kept(self, folder: str) -> list[os.DirEntry[str]]:
        """Return what is in a folder, each folder read once so that nothing is counted twice."""
        if folder not in self._entries:
            try:
                with os.scandir(folder) as entries:
                    self._entries[folder] = sorted(filter(self._keep, entries), key=lambda entry: entry.name)
            except OSError as problem:
                reason = problem.strerror or str(problem)
                raise DataError(f"folder cannot be read ({reason})", where=folder, fix="check it") from problem
        return self._entries[folder]

    def _keep(self, entry: os.DirEntry[str]) -> bool:
        name = entry.name.lower()
        if name.startswith(".") or name in JUNK_FOLDERS or name in JUNK_FILES:
            self.ignored["system or hidden files and folders"] += 1
            return False
        if entry.is_symlink():
            reason = self._bad_link(entry.path)
            if reason:
                self.ignored[reason] += 1
            return not reason
        return True

    def _bad_link(self, path: str) -> str:
        real = os.path.realpath(path)
        if not os.path.exists(real):  # noqa: PTH110
            return "broken links"
        if real != self._real_root and not real.startswith(os.path.join(self._real_root, "")):  # noqa: PTH118
            return "links that lead out of the folder"
        return ""
