"""Options that several commands share, and how a command gives its result."""

import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.errors import SettingsError
from striate.base.files import to_json
from striate.base.progress import Progress
from striate.base.size import parse_size
from striate.base.text import shown

if TYPE_CHECKING:
    from striate.data.sample import Dataset
    from striate.run.recipe import Recipe

Where = Annotated[
    str, typer.Argument(metavar="DATA", help="A folder, table, IDX/CIFAR/.npz file, public name, or toy:shapes.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
MAX_SEED = (1 << 63) - 1
MAX_DIGITS = 12  # of a count of images
Seed = Annotated[int, typer.Option(help="Seed of init, order, augmentation and dropout.", min=-MAX_SEED, max=MAX_SEED)]
ModelName = Annotated[
    str, typer.Option("--model", "-m", help="A network's name (see `striate models`) or a .toml blueprint.")
]
OwnModelName = Annotated[
    str | None,
    typer.Option(
        "--model", "-m",
        help="A network's name (see `striate models`) or a .toml blueprint; by default the recipe's, else bipyramid.",
    ),
]  # fmt: skip
Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="Take a part out of the network: skip, norm, aux, se or depthwise; repeatable."),
]
Pool = Annotated[
    str | None, typer.Option(help="How the network makes maps smaller instead of its own pooling: avg, max or stride.")
]
RecipeName = Annotated[
    str, typer.Option("--recipe", "-r", help="A recipe's name (see `striate recipes`) or a .toml file.")
]
RecipeOrUsual = Annotated[
    str | None,
    typer.Option("--recipe", "-r", help="A recipe's name or a .toml file; by default regularized, or the task's own."),
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="imagenet|FILE|RUN", help="Weights to start from: published, a file's, or an earlier run's."),
]
TargetName = Annotated[str | None, typer.Option(help="The target to predict; by default the dataset's first.")]
TaskName = Annotated[
    str | None,
    typer.Option(help="classify, tag, regress, segment, localise, points, ...; by default by the target."),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="PIXELS",
        help="The network's input: 128, or height x width as 180x240; by default 64 or the images' own.",
    ),
]
Fit = Annotated[str | None, typer.Option(help="Resize policy: crop, letterbox or squash.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one setting, e.g. train.epochs=4; repeatable.")]
Name = Annotated[
    str | None, typer.Option(metavar="NAME", help="What to call it: in runs/NNN-NAME, in lists and in the report.")
]
Out = Annotated[Path | None, typer.Option(help="Result folder; by default runs/NNN-name.")]
KeepCheckpoints = Annotated[
    bool, typer.Option("--keep-checkpoints", help="Keep a finished run's last states, not its best weights only.")
]
Tensorboard = Annotated[str | None, typer.Option(metavar="DIR", help="A folder where TensorBoard shows it too.")]
Mlflow = Annotated[str | None, typer.Option(metavar="URI", help="A tracking store where MLflow shows it too.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Move an existing result folder aside.")]
Limit = Annotated[str | None, typer.Option(help="Images a split, e.g. train=2000,val=500,test=500.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Accept class folders without images.")]
OnBad = Annotated[
    str, typer.Option("--on-bad", metavar="stop|skip", help="What to do at unusable files: stop, or leave them out.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; by default all.", min=1, max=256)]
Processes = Annotated[
    int | None,
    typer.Option(help="Train in so many processes, which share each batch; each has its part of the threads.", min=1),
]
Json = Annotated[bool, typer.Option("--json", help="Give the result as one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; warnings are still said.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

JSON_SCHEMA = 1


def progress_for(quiet: bool) -> Progress:
    """Return where a command shows its progress."""
    return Progress("quiet" if quiet else None)


def give(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Write a command's result to stdout: one JSON document, or text for a person."""
    if as_json:
        sys.stdout.write(to_json({"schema": JSON_SCHEMA, **document}, indent=1) + "\n")
    else:
        lines = [shown(line, 4000) for line in text.split("\n")]
        if sys.stdout.isatty():
            lines = [part for line in lines for part in _wrapped(line, shutil.get_terminal_size().columns)]
        sys.stdout.write("\n".join(lines) + "\n")


def _wrapped(line: str, width: int) -> list[str]:
    """A sentence in lines of a terminal's width; a command, a path and a row of a table stay as they are.

    Example:
        >>> _wrapped("  a sentence that is long", 16), _wrapped("a table   1.5", 8)
        (['  a sentence', '  that is long'], ['a table   1.5'])
    """
    inside = line.strip()
    if len(line) <= width or "  " in inside or "striate " in inside or " " not in inside:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(line, width, initial_indent="", subsequent_indent=indent, break_long_words=False)


def counts(text: str | None) -> dict[str, int] | None:
    """Return `train=2000,val=1000` as a dictionary.

    Raises:
        SettingsError: a part is not SPLIT=NUMBER.
    """
    if text is None:
        return None
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        is_count = number.strip().isascii() and number.strip().isdecimal() and len(number.strip()) <= MAX_DIGITS
        if name.strip() in found:
            fix = "give each split once"
            raise SettingsError(f"{name.strip()!r} has two limits", where="--limit", fix=fix)
        if name.strip() not in {"train", "val", "test"} or not is_count:
            raise SettingsError(
                f"{part!r} is not a split and a count", where="--limit", fix="write train=2000,val=500,test=500"
            )
        found[name.strip()] = int(number)
    return found


@dataclass(frozen=True)
class Opening:
    """Which part of a dataset to open: what a person types about it, one field an option."""

    limit: Limit = None
    per_class: Annotated[
        int | None,
        typer.Option("--per-class", help="At most this many training images a class.", min=1, max=10**MAX_DIGITS),
    ] = None
    classes: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these classes, with commas between them; repeatable, so for a name with a comma in it."
        ),
    ] = None
    top_classes: Annotated[
        int | None, typer.Option("--top-classes", help="Only the k classes with the most images.", min=2)
    ] = None
    group: Annotated[
        str | None, typer.Option(help="Regular expression on the image id whose first group must not be split.")
    ] = None
    separator: Annotated[str | None, typer.Option(help="Separator of several labels in one cell of a table.")] = None
    channels: Annotated[
        int | None, typer.Option(help="Read images as 1 (grey), 3 (RGB) or the first bands; by default what they are.")
    ] = None
    blank: Annotated[
        str | None, typer.Option(help="Blank 0/1 cells of a table: negative, or ignore (leave the image out).")
    ] = None
    split_column: Annotated[
        str | None, typer.Option("--split-column", help="The column of a table that says train, val or test.")
    ] = None
    root: Annotated[Path | None, typer.Option(help="Folder of a local copy of a public dataset.")] = None
    levels: Annotated[
        str | None,
        typer.Option(metavar="auto|full|LOW-HIGH", help="Of images with 16 bits, the levels from black to white."),
    ] = None
    ignore: Annotated[
        str | None,
        typer.Option(metavar="VALUE|CLASS", help="Pixels of masks to leave out of loss and scores: 255, or void."),
    ] = None
    split_seed: Annotated[
        int,
        typer.Option("--split-seed", help="Seed of the split into train, val and test.", min=-MAX_SEED, max=MAX_SEED),
    ] = 0

    def words(self, target: str | None, task: str | None, allow_empty: bool = False) -> dict[str, Any]:
        """Return the keywords of `open_dataset` for these options and the target, without those not given.

        Raises:
            SettingsError: a part of the limit is not SPLIT=NUMBER.
        """
        found = {
            "target": target,
            "task": task,
            "limit": counts(self.limit),
            "per_class": self.per_class,
            "classes": self.classes or None,
            "top_classes": self.top_classes,
            "group": self.group,
            "separator": self.separator,
            "blank": self.blank,
            "split_column": self.split_column,
            "root": str(self.root) if self.root else None,
            "levels": self.levels,
            "ignore": self.ignore,
            "seed": self.split_seed,
            "channels": self.channels,
            "allow_empty": allow_empty,
        }
        return {name: value for name, value in found.items() if value is not None}

    def open(self, where: str, target: str | None, task: str | None, allow_empty: bool = False) -> "Dataset":
        """Open the dataset at `where`, for `target` or `task`.

        Raises:
            SettingsError, DataError: see `words` and `open_dataset`.
        """
        from striate.data import open_dataset

        return open_dataset(where, **self.words(target, task, allow_empty))


@dataclass(frozen=True)
class Tuning:
    """The settings that are changed most, each with an option of its own: `--lr 0.01` is `--set train.lr=0.01`.

    What a value may be is the recipe's to say, so there are no bounds here.
    """

    lr: Annotated[float | None, typer.Option(metavar="RATE", help="The highest learning rate.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images a training step.")] = None
    augment: Annotated[
        str | None, typer.Option(metavar="NAME", help="none, light, medium, strong or auto; or one operation.")
    ] = None
    optimiser: Annotated[str | None, typer.Option(metavar="NAME", help="sgd, adam, adamw, rmsprop, lion or muon.")] = (
        None
    )
    patience: Annotated[
        int | None, typer.Option(metavar="EPOCHS", help="Epochs without a better score before stopping; 0 never stops.")
    ] = None

    def typed(self) -> dict[str, Any]:
        """Return the value of every option, None where it was not given."""
        return {f"--{field.name.replace('_', '-')}": getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Training(Tuning):
    """`Tuning` where networks are trained to the end."""

    epochs: Annotated[int | None, typer.Option(help="Passes over the training images, at most.")] = None


def takes_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with parameters such as `opening: Opening` the fields of these classes as its options.

    Typer reads a command's options off its signature, so the signature shown to it has the fields where `opening`
    stands; the command itself gets one object.
    """
    own = signature(command)
    groups: dict[str, type[Any]] = {
        name: type(one.default) for name, one in own.parameters.items() if is_dataclass(one.default)
    }
    parameters: list[Parameter] = []
    for parameter in own.parameters.values():
        group = groups.get(parameter.name)
        parameters += signature(group).parameters.values() if group else [parameter]

    @wraps(command)
    def called(**typed: Any) -> None:
        for name, group in groups.items():
            typed[name] = group(**{field.name: typed.pop(field.name) for field in fields(group)})
        command(**typed)

    called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


def is_typed(context: typer.Context, name: str) -> bool:
    """Return whether an option stands on the command line, rather than being at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def first_typed(context: typer.Context, besides: set[str]) -> str | None:
    """Return the first option that stands on the command line, other than those `besides`; None where there is none."""
    params = (one for one in context.command.params if one.name and one.name not in besides)
    return next((one.opts[0] for one in params if is_typed(context, one.name or "")), None)


def recipe_of(
    name: str,
    changes: list[str] | None,
    size: str | None = None,
    fit: str | None = None,
    weights: str | None = None,
    tuning: Tuning | None = None,
) -> "Recipe":
    """Return the named recipe with `--size`, `--fit`, `--weights`, the options of `tuning` and `--set` applied."""
    from striate.run.recipe import named

    return named(name).changed(assignments(changes, size, fit, weights, tuning))


def assignments(
    changes: list[str] | None,
    size: str | None = None,
    fit: str | None = None,
    weights: str | None = None,
    tuning: Tuning | None = None,
) -> list[str]:
    """Return what `--set` says, after what options of their own say in its words; to be applied in one go.

    Raises:
        SettingsError: a setting is given twice, or an option has a value that is not allowed; it names the option.
    """
    from striate.base.settings import value_of
    from striate.run.keywords import require_allowed
    from striate.run.recipe import OPTIONS

    typed = {"--size": size, "--fit": fit, "--weights": weights, **(tuning.typed() if tuning else {})}
    given = {option: f"{OPTIONS[option]}={value}" for option, value in typed.items() if value is not None}
    for option, assignment in given.items():
        require_allowed(OPTIONS[option], value_of(assignment.partition("=")[2]), option)
    everything = [*((option, text) for option, text in given.items()), *(("--set", text) for text in changes or [])]
    names = [text.partition("=")[0].strip() for _, text in everything]
    for (option, _), name in zip(everything, names, strict=True):
        if names.count(name) > 1:
            raise SettingsError(f"{name} is given twice", where=option, fix="leave one of them out")
    return [text for _, text in everything]


def size_of(text: str | None, option: str, least: int, most: int) -> tuple[int, ...] | None:
    """Return the (height, width) of a size as typed, each side from `least` to `most` pixels; None for none.

    Raises:
        SettingsError: it is no such size.
    """
    if text is None:
        return None
    try:
        size_hw = parse_size(text)
    except ValueError:
        size_hw = (0, 0)
    if not all(least <= side <= most for side in size_hw):
        fix = f"give pixels, or height x width such as 180x240, each {least} to {most}"
        raise SettingsError(f"{text!r} is no size", where=option, fix=fix)
    return size_hw


def recipe_title(name: str, changes: list[str] | None, size: str | None, fit: str | None, tuning: Tuning) -> str:
    """Return how a run calls its recipe: by name, with a word where options have changed it."""
    is_changed = changes or size or fit or tuning != type(tuning)()
    return f"{name} changed" if is_changed else name


def use_threads(count: int | None) -> None:
    """Set the CPU threads of torch."""
    import torch

    from striate.base import rank

    if rank.size() > 1:  # which else sets them when it meets the others
        from striate.base.processes import join

        join()
    if count is not None:
        torch.set_num_threads(count)


def command_line() -> str:
    """Return the command as it was typed."""
    import shlex

    return shlex.join(["striate", *sys.argv[1:]])
