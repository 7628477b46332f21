"""The `striate` command: its groups, its errors and exit codes."""

import errno
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer

from striate import __version__
from striate.base import plugin, rank
from striate.base.errors import ResourceError, SettingsError, Terminated, UserError
from striate.base.memory import is_out_of_memory, no_memory
from striate.base.plugin import load_all, take_options
from striate.base.progress import say
from striate.base.text import shown

from . import (
    analyze,
    clean,
    data,
    demo,
    doctor,
    embed,
    explain,
    explore,
    export,
    help,
    look,
    models,
    predict,
    rate,
    runs,
    search,
    serve,
    study,
    time,
    train,
    weights,
)

EXAMPLES = """Train, compare and explain convolutional networks on your own images.

\b
Examples:
  striate demo                     a study on built-in images, with a report
  striate check birds/             what is in the folder, and what is wrong
  striate train birds/             one network, a run folder, a report
  striate study birds/ --seeds 3   which regularization helps, by how much
  striate report runs/001-study    the report again
"""

app = typer.Typer(
    cls=help.Group,
    help=EXAMPLES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"striate {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.py",
            help="Load your own tasks, networks, blocks, augmentations or formats; also behind any command, "
            "or in the variable STRIATE_PLUGINS. Repeatable.",
        ),
    ] = None,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for group in (
    demo,
    data,
    rate,
    train,
    study,
    search,
    look,
    predict,
    runs,
    explain,
    embed,
    explore,
    export,
    time,
    serve,
    models,
    analyze,
    weights,
    clean,
    doctor,
):
    group.add_to(app)
for command in app.registered_commands:
    command.cls = help.Command


def main() -> None:
    """Run the command line; every way out has its exit code."""
    sys.stdout, sys.stderr = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()  # None when closed by the caller
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    signals: list[int] = []
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # what runs in the background ignores it

        def interrupt(number: int, frame: FrameType | None) -> None:
            signals.append(number)
            signal.default_int_handler(number, frame)

        signal.signal(signal.SIGINT, interrupt)
    try:
        code = run(sys.argv[1:], signals) if rank.rank() == 0 else _follow(sys.argv[1:])
    except KeyboardInterrupt as stop:  # one more while the last line was written
        code = getattr(stop, "exit_code", 130)
    if rank.size() > 1:
        rank.remove_mark()
        sys.stdout.flush()
        os._exit(code)  # nothing is left to do, and torch takes a second to take leave of the other processes
    sys.exit(code)


def _follow(arguments: list[str]) -> int:
    """Run as another process of a run than the first one, which speaks for all while it is there."""
    own, sys.stderr, sys.stdout = sys.stderr, io.StringIO(), io.StringIO()
    code = run(arguments)
    if code not in {0, 130, 143}:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # with which torchrun ends all when one has failed
        if not rank.first_has_spoken():
            *_, last = ["", *sys.stderr.getvalue().splitlines()]
            sys.stderr = own
            say(f"process {rank.rank()}: {last}")
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    """Turn SIGTERM into an exception, so that what is half written is removed on the way out."""
    raise Terminated


def run(arguments: list[str], signals: Sequence[int] = ()) -> int:
    """Run one command line and return its exit code: 0 ok, 1 our bug, 2 usage, 3 data, 4 model, 5 resource, ...

    Args:
        signals: numbers of those that came so far: one that comes while numpy or torch is being imported ends as
            another error.
    """
    is_debug = "--debug" in arguments
    try:
        _refuse_several(arguments)
        _refuse_empty(arguments)
        arguments, files = take_options(arguments)
        load_all(files)
        _invoke(arguments)
        sys.stdout.flush()
        return 0
    except typer.Exit as end:
        return end.exit_code
    except UserError as problem:
        if is_debug:
            traceback.print_exc()
        if signals and problem.exit_code < 128:
            return _stopped(signals)
        for line in problem.details:
            say(line)
        problem.keep_options(_flags(arguments))
        say(problem.line)
        return problem.exit_code
    except typer.TyperException as problem:
        say(_usage_line(problem))
        return 2
    except (KeyboardInterrupt, typer.Abort) as stop:
        say(str(stop) or STOPPED)
        return 143 if isinstance(stop, Terminated) else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush is quiet too
        return 0
    except Exception as problem:
        if is_debug:
            traceback.print_exc()
        if signals:
            return _stopped(signals)
        if is_out_of_memory(problem):
            error = no_memory(problem)
            error.keep_options(_flags(arguments))
            say(error.line)
            return error.exit_code
        refusal = plugin.refusal(problem) or (_refusal(problem) if isinstance(problem, OSError) else None)
        if refusal:
            say(refusal.line)
            return refusal.exit_code
        what = f"{shown(type(problem).__name__)}: {shown(problem)}"
        say(f"error: this is a bug in striate: {what} -- fix: report it with the output of --debug")
        return 1


STOPPED = "Stopped. Nothing was begun that could go on: run the same command again"
REFUSALS: dict[int, tuple[type[UserError], str]] = {
    errno.ENAMETOOLONG: (SettingsError, "choose a shorter name"),
    errno.EACCES: (ResourceError, "check the permissions"),
    errno.EPERM: (ResourceError, "check the permissions"),
    errno.EROFS: (ResourceError, "choose a folder that can be written"),
    errno.ENOSPC: (ResourceError, "free space"),
    errno.EDQUOT: (ResourceError, "free space"),
    errno.EMFILE: (ResourceError, "allow more open files: ulimit -n 4096"),
    errno.EIO: (ResourceError, "check the disk"),
}


def _refusal(problem: OSError) -> UserError | None:
    """What the system refused, where no command has said it already; None where it can only be our bug."""
    if problem.errno not in REFUSALS:
        return None
    kind, fix = REFUSALS[problem.errno]
    return kind(problem.strerror or "refused by the system", where=problem.filename or "", fix=fix)


def _stopped(signals: Sequence[int]) -> int:
    """Say that a signal ended the command, whatever error it ended as, and return the exit code."""
    say(STOPPED)
    return 128 + signals[-1]


def _invoke(arguments: list[str]) -> None:
    """Run the command without Typer's own handling of Ctrl-C and of closed pipes, which has other exit codes."""
    if "_STRIATE_COMPLETE" in os.environ:  # a shell asks what could come next
        app(args=arguments)
    command = typer.main.get_command(app)
    with command.make_context("striate", arguments) as context:
        command.invoke(context)


def _refuse_several(arguments: list[str]) -> None:
    """Refuse to do in several processes what one does.

    Raises:
        SettingsError: `torchrun` has started another command than those that train one network.
    """
    if rank.size() > 1 and not {"train", "resume"} & set(arguments):
        what = f"torchrun has started this {rank.size()} times; only train and resume share their work"
        raise SettingsError(what, where="WORLD_SIZE", fix="leave torchrun out")


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an argument without text, as an unset variable of a shell leaves it: as a path it would mean `.`.

    Raises:
        SettingsError: with the place of the argument.
    """
    for place, argument in enumerate(arguments):
        if not argument.strip() or re.fullmatch(r"--[a-z-]+=\s*", argument):
            after = f" after {arguments[place - 1]}" if place else ""
            name = f"{argument.strip()} has no value" if argument.strip() else f"an empty argument{after}"
            raise SettingsError(name, where=f"argument {place + 1}", fix="write what is meant; . is the current folder")


def _flags(arguments: list[str]) -> set[str]:
    """Return the options of the command that is typed."""
    commands = getattr(typer.main.get_command(app), "commands", {})
    verb = next((word for word in arguments if word in commands), None)
    return {"--plugin"} | {flag for one in (commands[verb].params if verb else ()) for flag in one.opts}


def _usage_line(problem: typer.TyperException) -> str:
    context = getattr(problem, "ctx", None)
    if setting := _setting_of(getattr(problem, "option_name", None), context):
        return f"error: No such option: {shown(problem.option_name, 60)} -- fix: use {setting}"  # type: ignore[attr-defined]
    message = shown(" ".join(problem.format_message().split()), 180).rstrip(".")
    command = context.command_path if context else "striate"
    command = "striate" + command[len(command.split(" ")[0]) :]
    return f"error: {message} -- fix: see `{command} -h`"


def _setting_of(option: str | None, context: typer.Context | None) -> str | None:
    """Return how this command is given the setting that an unknown option names; None where it names none."""
    flags = {flag for one in context.command.params for flag in one.opts} if context else set()
    if not option or "--set" not in flags:
        return None
    from striate.run.recipe import OPTIONS, paths

    name = option.strip("-").replace("-", "_")
    path = name if name in paths().values() else paths().get(name)
    own = next((flag for flag, known in OPTIONS.items() if known == path), None)
    return f"{own} ..." if own in flags else f"--set {path}=..." if path else None
