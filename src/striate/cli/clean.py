"""striate clean."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from striate.base.errors import ModelError
from striate.base.text import plural

from . import help as h
from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="What cache and old checkpoints take; removes them", rich_help_panel=h.KEEP)(clean)


def clean(
    runs: Annotated[Path, typer.Argument(metavar="[RUNS]", help="Where runs and studies lie.")] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only shown.")] = False,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Show what the cache and the checkpoints of finished runs take, and with --yes remove them.

    Nothing that a process is using is removed, nor weights, results, reports, public datasets, or the checkpoints of
    a run that is not finished or was told to keep them.

    \b
    Examples:
      striate clean
      striate clean runs/ --yes
    """
    from striate.data.cache import cache_dir
    from striate.data.eviction import entries, limit_bytes, size_of
    from striate.run.leftovers import remove_states, with_old_states

    if not runs.is_dir() and runs != Path("runs"):
        raise ModelError("no such folder", where=runs, fix="name the folder that holds your runs")
    num, num_bytes, kept = Counter[str](), Counter[str](), Counter[str]()
    for entry in entries():
        _count(entry.kind, entry.num_bytes, not yes or entry.remove(), num, num_bytes, kept)
    for run in list(with_old_states(runs)):
        size = size_of([run.checkpoints])
        _count("checkpoints of finished runs", size, not yes or remove_states(run), num, num_bytes, kept)
    public = size_of([cache_dir() / "public"])
    document: dict[str, Any] = {"command": "clean", "cache": str(cache_dir()), "runs": str(runs), "removed": yes}
    document |= {"limit_bytes": limit_bytes(), "num": num, "num_bytes": num_bytes, "in_use": kept, "public": public}
    lines = [f"{kind:<30}{num[kind]:>8,}{num_bytes[kind] / 1e6:>12,.1f} MB" for kind in num]
    lines += [f"{kind} in use: {plural(count, 'thing')} kept" for kind, count in kept.items()]
    lines += [f"public datasets, which stay: {public / 1e6:,.1f} MB"] if public else []
    verb = "removed" if yes else "could be removed"
    total = f"{sum(num_bytes.values()) / 1e6:,.1f} MB {verb}; cache {cache_dir()}, at most {limit_bytes() / 1e9:g} GB"
    lines += [total] + ([] if yes or not num else ["next: striate clean --yes" + _words(runs)])
    o.give(document, "\n".join(lines), as_json)


def _count(kind: str, size: int, is_gone: bool, num: Counter[str], num_bytes: Counter[str], kept: Counter[str]) -> None:
    if is_gone:
        num[kind] += 1
        num_bytes[kind] += size
    else:
        kept[kind] += 1


def _words(runs: Path) -> str:
    import shlex

    return "" if runs == Path("runs") else f" {shlex.quote(str(runs))}"
