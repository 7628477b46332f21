"""What a user can mend: one line that says what is wrong, where, and the one action that mends it.

The line has the form `error: WHAT: FILE[:line|field] -- fix: ONE ACTION`; each class has its exit code.
"""

from collections.abc import Sequence

from .text import plural, shown

MAX_LINE_CHARS = 240


class UserError(Exception):
    """A problem the user can mend.

    Args:
        what: the problem, with the value that came and what is allowed.
        where: the file, file:line, field or row it is about; empty if it is about the call itself.
        fix: one action, in the imperative.
        details: further lines (a list of bad files, a diff), printed before the error line.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: object = "", fix: str = "", details: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what, self.where, self.fix, self.details = what, str(where), fix, details

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
    return DataError(what, where=first.where, fix=first.fix, details=tuple(map(str, problems)))


class ModelError(UserError):
    """A model, weights file, checkpoint or run folder that cannot be used (exit 4)."""

    exit_code = 4


class DamagedError(ModelError):
    """A file that is not what it was when it was written, by its checksum."""


class ResourceError(UserError):
    """Memory, disk, lock, device or permission (exit 5)."""

    exit_code = 5


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
