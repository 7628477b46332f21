"""What a user can mend: one line that says what is wrong, where, and the one action that mends it.

The line has the form `error: WHAT: FILE[:line|field] -- fix: ONE ACTION`; each class has its exit code.
"""

import re
from collections.abc import Sequence, Set

from .text import plural, shown, with_capital

MAX_LINE_CHARS = 240
FLAG = re.compile(r"--[a-z][a-z-]*")


class UserError(Exception):
    """A problem the user can mend.

    Args:
        what: the problem, with the value that came and what is allowed.
        where: the file, file:line, field or row it is about; empty if it is about the call itself.
        fix: one action, in the imperative.
        option: an option that helps as well, as it is typed, and what it does; dropped where the command lacks it.
        details: further lines (a list of bad files, a diff), printed before the error line.
    """

    exit_code = 2

    def __init__(
        self, what: str, *, where: object = "", fix: str = "", option: str = "", details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.details = what, str(where), details
        self.action, self.option = fix, option

    @property
    def fix(self) -> str:
        """What to do, with the option that helps as well."""
        return ", or ".join(filter(None, (self.action, self.option and f"use {self.option}")))

    @fix.setter
    def fix(self, text: str) -> None:
        self.action, self.option = text, ""

    def keep_options(self, known: Set[str]) -> None:
        """Drop the option where it is not among those that a command knows, such as {"--on-bad", "--size"}."""
        if not set(FLAG.findall(self.option)) <= known:
            self.option = ""

    def __str__(self) -> str:
        fix = f" -- fix: {shown(self.fix, 110)}" if self.fix else ""
        room = MAX_LINE_CHARS - len("error: ") - len(fix)
        where = f": {shown(self.where, max(24, room // 2))}" if self.where else ""
        return shown(self.what, max(24, room - len(where))) + where + fix

    @property
    def line(self) -> str:
        """The last line on stderr."""
        return f"error: {self}"


class SettingsError(UserError):
    """Usage, settings or a blueprint that cannot work (exit 2)."""


class DataError(UserError):
    """A dataset, image or label file that cannot be used (exit 3)."""

    exit_code = 3


def combined(problems: Sequence[DataError]) -> DataError:
    """Return one error for at least one of them: the first, how many more there are, and all as its details."""
    first, num_more = problems[0], len(problems) - 1
    if not num_more:
        return first
    what = f"{first.what} (and {plural(num_more, 'more file')})"
    details = tuple(map(str, problems))
    return DataError(what, where=first.where, fix=first.action, option=first.option, details=details)


class ModelError(UserError):
    """A model, weights file, checkpoint or run folder that cannot be used (exit 4)."""

    exit_code = 4


class DamagedError(ModelError):
    """A file that is not what it was when it was written, by its checksum."""


class ResourceError(UserError):
    """Memory, disk, lock, device or permission (exit 5)."""

    exit_code = 5


class LostError(ResourceError):
    """Another process of the same run has gone (exit 5): it says why, if it could."""


class DivergedError(UserError):
    """Training produced a loss that is not finite (exit 6)."""

    exit_code = 6


class CheckError(UserError):
    """`check --strict` found problems (exit 7)."""

    exit_code = 7


class Terminated(KeyboardInterrupt):
    """SIGTERM where no training listens for it: a KeyboardInterrupt with an exit code of its own."""

    exit_code = 143


class Interrupted(UserError):
    """Ctrl-C (130) or SIGTERM (143): the state was saved; `fix` holds the resume command."""

    exit_code = 130

    def __init__(self, what: str, *, where: object = "", fix: str = "", signal_number: int = 2) -> None:
        super().__init__(what, where=where, fix=fix)
        self.exit_code = 128 + signal_number

    @property
    def line(self) -> str:
        """The last line on stderr: no error, and how to go on, in full."""
        return f"{with_capital(self.what)}." + (f" Go on with: {shown(self.fix, 4000)}" if self.fix else "")
