"""Options that several commands share, and how a command gives its result."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.errors import SettingsError
from striate.base.files import to_json
from striate.base.progress import Progress
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
Weights = Annotated[
    str | None,
    typer.Option(metavar="imagenet|FILE|RUN", help="Weights to start from: published, a file's, or an earlier run's."),
]
TargetName = Annotated[str | None, typer.Option(help="The target to predict; by default the dataset's first.")]
TaskName = Annotated[str | None, typer.Option(help="classify, tag or regress; by default what the target is.")]
Size = Annotated[
    int | None, typer.Option(help="Side of the network's input in pixels; by default 64 or the pictures' own.")
]
Fit = Annotated[str | None, typer.Option(help="Resize policy: crop, letterbox or squash.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change one setting, e.g. train.epochs=4; repeatable.")]
Out = Annotated[Path | None, typer.Option(help="Result folder; by default runs/NNN-name.")]
KeepCheckpoints = Annotated[
    bool, typer.Option("--keep-checkpoints", help="Keep a finished run's last states, not its best weights only.")
]
Overwrite = Annotated[bool, typer.Option(help="Move an existing result folder aside.")]
Limit = Annotated[str | None, typer.Option(help="Images a split, e.g. train=2000,val=500,test=500.")]
AllowEmpty = Annotated[bool, typer.Option("--allow-empty", help="Accept class folders without images.")]
OnBad = Annotated[str, typer.Option("--on-bad", help="stop at unusable files, or skip them.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; by default all.", min=1, max=256)]
Json = Annotated[bool, typer.Option("--json", help="Give the result as one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
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
        sys.stdout.write("\n".join(shown(line, 4000) for line in text.split("\n")) + "\n")


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
        int | None, typer.Option(help="Read images as 1 (grey) or 3 (RGB) channels; by default what they are.")
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


def takes_opening(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with the parameter `opening: Opening` the fields of `Opening` as its options.

    Typer reads a command's options off its signature, so the signature shown to it has the fields where `opening`
    stands; the command itself gets one object.
    """
    own, options = signature(command), signature(Opening).parameters
    parameters: list[Parameter] = []
    for parameter in own.parameters.values():
        parameters += options.values() if parameter.name == "opening" else [parameter]

    @wraps(command)
    def called(**typed: Any) -> None:
        opening = Opening(**{name: typed.pop(name) for name in options})
        command(opening=opening, **typed)

    called.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called


def is_typed(context: typer.Context, name: str) -> bool:
    """Return whether an option stands on the command line, rather than being at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def recipe_of(
    name: str, changes: list[str] | None, size: int | None = None, fit: str | None = None, weights: str | None = None
) -> "Recipe":
    """Return the named recipe with `--size`, `--fit`, `--weights` and `--set` applied."""
    from striate.run.recipe import named

    found = named(name)
    short = {"size": ("data.size", size), "fit": ("data.fit", fit), "weights": ("transfer.weights", weights)}
    for option, (setting, value) in short.items():
        if value is not None:
            found = found.changed([f"{setting}={value}"], f"--{option}")
    return found.changed(once(changes or [], "--set"))


def once(assignments: list[str], option: str) -> list[str]:
    """Return assignments `name=value` of an option, none of which says again what another has said.

    Raises:
        SettingsError: one does.
    """
    names = [text.partition("=")[0].strip() for text in assignments]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"{twice} is given twice", where=option, fix="leave one of them out")
    return assignments


def use_threads(count: int | None) -> None:
    """Set the CPU threads of torch."""
    import torch

    if count is not None:
        torch.set_num_threads(count)


def command_line() -> str:
    """Return the command as it was typed."""
    import shlex

    return shlex.join(["striate", *sys.argv[1:]])
