"""How `-h` looks: options in groups, plain types, commands by what they are for, each in one line of 80 columns."""

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

START, LEARN, USE, LOOK, KEEP = "Start", "Train and compare", "Use a run", "Look inside", "Keep house"
COMMANDS = (START, LEARN, USE, LOOK, KEEP)

MANY = 12  # options that are easier found in groups
GROUPS = {
    "Data": (
        "target task size fit limit per_class classes top_classes group separator channels blank split_column root "
        "levels ignore split_seed allow_empty on_bad num_train data split images augment full folds"
    ),
    "Model": (
        "model without pool weights base preset seed_model max_macs max_parameters recipe option outputs ladder layer"
    ),
    "Training": (
        "lr batch_size optimiser patience epochs set_ seed seeds device threads processes parallel on cpus_per_run "
        "gpus_per_run prune budget candidates learning_curve low high steps"
    ),
    "Output": (
        "name out overwrite keep_checkpoints tensorboard mlflow dry_run as_json quiet debug help strict fix_list draw"
    ),
}
PLAIN = {"int": "N", "float": "NUMBER", "str": "TEXT", "path": "PATH", "file": "FILE", "directory": "DIR"}


class Command(TyperCommand):
    """A command whose help has its options in groups, where there are many."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {}
        params = self.get_params(ctx)
        are_many = sum(one.param_type_name == "option" for one in params) > MANY
        for one in params:
            record = one.get_help_record(ctx)
            if record is not None:
                is_option = one.param_type_name == "option"
                title = group_of(str(one.name), are_many) if is_option else "Arguments"
                rows.setdefault(title, []).append(plain(*record, is_option=is_option))
        for title in ("Arguments", "Options", *GROUPS):
            if title in rows:
                with formatter.section(title):
                    formatter.write_dl(rows[title])


class Group(TyperGroup):
    """The commands, by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a line for each command."""
        shown = [(name, self.commands[name]) for name in self.list_commands(ctx) if not self.commands[name].hidden]
        room = formatter.width - max(len(name) for name, _ in shown) - 6
        for title in (*COMMANDS, None):  # None: commands that name no group
            rows = [
                (name, one.get_short_help_str(room))
                for name, one in shown
                if getattr(one, "rich_help_panel", None) == title
            ]
            if rows:
                with formatter.section(title or "Other"):
                    formatter.write_dl(rows, col_max=20)


def group_of(name: str, are_many: bool) -> str:
    """Return the title under which an option of this name stands.

    Example:
        >>> group_of("per_class", True), group_of("per_class", False), group_of("kernel", True)
        ('Data', 'Options', 'Options')
    """
    return next((title for title, names in GROUPS.items() if are_many and name in names.split()), "Options")


def plain(name: str, text: str, *, is_option: bool) -> tuple[str, str]:
    """Return an option's name and text without the types and bounds of a program.

    Example:
        >>> plain("--seeds <int range>", "Runs a variant.  [default: 3; 1<=x<=1000]", is_option=True)
        ('--seeds N', 'Runs a variant.  [default: 3]')
        >>> plain("IMAGE... <list[Path]>", "Image files.  [required]", is_option=False)
        ('IMAGE...', 'Image files.')
    """
    name = re.sub(r" / --no-[a-z-]+", "", name) if "default: no-" in text else name
    name = re.sub(r" <(?:list\[)?(\w+)(?: range)?\]?>", lambda found: _type(found[1]) if is_option else "", name)
    text, _, more = text.partition("  [")
    kept = [
        one for one in more.rstrip("]").split("; ") if one.startswith("default") and not one.startswith("default: no-")
    ]
    return name, f"{text}  [{'; '.join(kept)}]" if kept else text


def _type(name: str) -> str:
    return f" {PLAIN.get(name.lower(), name.upper())}"
