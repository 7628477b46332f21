"""striate check."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.errors import CheckError
from striate.base.text import plural, shown

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.data.check.finding import Findings
    from striate.data.sample import Dataset

MAX_SHOWN = 40
MARKS = {"error": "ERROR  ", "warning": "warning", "note": "note   "}


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="What is in a dataset, and what is wrong with it", rich_help_panel=h.START)(check)


@o.takes_groups
def check(
    data: o.Where,
    augment: Annotated[
        bool, typer.Option("--augment", help="Also show one image under the recipe's augmentation.")
    ] = False,
    recipe: o.RecipeName = "regularized",
    size: o.Size = None,
    fit: o.Fit = None,
    set_: o.Set = None,
    out: Annotated[Path, typer.Option(help="Folder for the images.")] = Path("check"),
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 7 when there are errors or warnings.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Decode every file, however many.")] = False,
    fix_list: Annotated[
        bool, typer.Option("--fix-list", help="List the files to mend, one a line, and nothing else.")
    ] = False,
    target: o.TargetName = None,
    task: o.TaskName = None,
    opening: o.Opening = o.Opening(),
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Say what is in a dataset and what is wrong with it, file by file; write a contact sheet.

    \b
    Examples:
      striate check birds/
      striate check birds/ --augment --recipe regularized
      striate check birds/ --strict && striate train birds/
    """
    from striate.data.check.check import check as look

    settings = o.recipe_of(recipe, set_, size, fit)
    dataset = opening.open(data, target, task, allow_empty=True)
    findings = look(dataset, full=full, progress=o.progress_for(quiet), geometry=_geometry(dataset, settings))
    if fix_list:
        names = sorted({name for finding in findings.problems for name in finding.ids})
        o.give({"command": "check", "files": names}, "\n".join(names), as_json)
    else:
        pictures = _pictures(dataset, findings, out, settings if augment or fit else None)
        document = {"command": "check", "dataset": _describe(dataset), **findings.to_dict(), "pictures": pictures}
        lines = [*_text(dataset, findings, pictures), _next(dataset, findings)]
        o.give(document, "\n".join(lines), as_json)
    if strict and findings.problems:
        raise CheckError(
            f"{plural(len(findings.problems), 'problem')} found",
            where=data,
            fix="mend the files, or leave out --strict",
        )


def _describe(dataset: "Dataset") -> dict[str, Any]:
    counts = {name: len(members) for name, members in dataset.splits.items()}
    found = dataset.target() if dataset.targets else None
    return {
        "name": dataset.name,
        "images": len(dataset),
        "channels": dataset.channels,
        "splits": counts,
        "classes": {name: dict(zip(counts, row, strict=True)) for name, row in _class_counts(dataset)},
        "distribution": found.distribution(dataset.splits) if found else {},
        "pixels": {name: found.shares(members) for name, members in dataset.splits.items()} if found else {},
        "notes": list(dataset.notes),
    }


def _class_counts(dataset: "Dataset") -> list[tuple[str, list[int]]]:
    from striate.data.check.labels import class_counts

    counts = class_counts(dataset)
    return [(name, [int(part[k]) for part in counts.values()]) for k, name in enumerate(dataset.classes) if counts]


def _pictures(dataset: "Dataset", findings: "Findings", out: Path, recipe: Any) -> list[str]:
    """Write the contact sheet, and the preview when a recipe is given; return their paths."""
    from striate.base.files import write_bytes
    from striate.data.sheet import contact_sheet

    files = {"contact-sheet.png": contact_sheet(dataset, skip=findings.bad)}
    if dataset.targets and (figure := dataset.target().figure(dataset.splits)) is not None:
        files["distribution.png"] = figure
    if recipe is not None:
        files["augmentation.png"] = _preview(dataset, findings, recipe)
    for name, content in files.items():
        write_bytes(out / name, content)
    return [str(out / name) for name in files]


def _geometry(dataset: "Dataset", recipe: Any) -> Any:
    """How a training with these settings would see the images; None where too few can be read for that."""
    from striate.base.errors import DataError
    from striate.run.geometry import choose_geometry

    try:
        return choose_geometry(dataset, recipe)
    except DataError:  # the check names the images
        return None


def _preview(dataset: "Dataset", findings: "Findings", recipe: Any) -> bytes:
    import io

    from PIL import Image

    from striate.data.augment.preview import preview
    from striate.data.sheet import own_mark
    from striate.run.geometry import choose_geometry, depth_of
    from striate.run.prepare import suited

    bad = set(findings.bad.tolist())
    index, *others = [int(i) for i in dataset.splits["train"] if int(i) not in bad][:: max(1, len(dataset) // 8)][:8]
    geometry = choose_geometry(dataset, recipe, skip=bad)
    grid = preview(
        dataset.images.read(index),
        suited(recipe, dataset, depth_of(dataset, recipe), list(dataset.targets)[:1]),
        geometry,
        others=[dataset.images.read(i) for i in others],
        target=next(iter(dataset.targets.values()), None),
        indices=[index, *others],
    )
    content = io.BytesIO()
    Image.fromarray(grid).save(content, "PNG", pnginfo=own_mark())
    return content.getvalue()


def _text(dataset: "Dataset", findings: "Findings", pictures: list[str]) -> list[str]:
    from striate.data.bands import channels_text

    summary, rows = findings.summary(), _class_counts(dataset)
    width = max([len(shown(name, 40)) for name, _ in rows[:MAX_SHOWN]] + [5])
    colours = {1: "grey", 3: "RGB"}.get(dataset.channels) or channels_text(dataset.channels, dataset.bands)
    lines = [f"{shown(dataset.name)}: {dataset.noun.count(len(dataset))}, {colours}"]
    lines.append(f"{'':<{width}}" + "".join(f"{name:>9}" for name in dataset.splits))
    lines += [
        f"{shown(name, 40):<{width}}" + "".join(f"{count:>9,}" for count in counts) for name, counts in rows[:MAX_SHOWN]
    ]
    if len(rows) > MAX_SHOWN:
        lines.append(f"... and {len(rows) - MAX_SHOWN:,} more classes")
    lines.append(f"{'all':<{width}}" + "".join(f"{len(found):>9,}" for found in dataset.splits.values()))
    lines += _numbers(dataset)
    if summary["median"] and not dataset.usual.is_in_space:  # a note says those of volumes
        small, middle, large = ("x".join(map(str, summary[name][::-1])) for name in ("smallest", "median", "largest"))
        lines.append(f"sizes {small} to {large}, median {middle}; modes {', '.join(summary['modes'])}")
    lines += [""] + [f"{MARKS[item.severity]} {dataset.noun.put(item.text)}" for item in findings]
    counts = {name: sum(item.severity == name for item in findings) for name in MARKS}
    lines += ["", ", ".join(plural(count, name) for name, count in counts.items())]
    lines += [f"image: {path}" for path in pictures]
    return lines


def _next(dataset: "Dataset", findings: "Findings") -> str:
    """The command that trains on what was looked at, with the same options."""
    from striate.base.errors import DataError
    from striate.data.arguments import option_words
    from striate.data.check.check import exclude_bad
    from striate.data.check.leaks import KIND as LEAK

    has_empty_class = any(not sum(counts) for _, counts in _class_counts(dataset))
    typed = option_words({**dataset.options, "allow_empty": has_empty_class})
    if any(finding.severity == "error" for finding in findings.of(LEAK)):
        return "next: remove the copies, or open one of the splits alone"
    try:
        exclude_bad(dataset, findings)
    except DataError:
        return "next: mend the errors: too few images are left without them"
    if not findings.bad.size:
        return "next: " + shlex.join(["striate", "train", dataset.where, *typed])
    return "next: mend the errors, or " + shlex.join(["striate", "train", dataset.where, *typed, "--on-bad", "skip"])


def _numbers(dataset: "Dataset") -> list[str]:
    """What a target of numbers looks like, a line a field and split; which other targets there are."""
    name, found = next(iter(dataset.targets.items()))
    lines = found.summary(name, dataset.splits)
    if not lines:
        return []
    others = [shown(other, 40) for other in dataset.targets if other != name]
    return [*lines, f"  other targets (--target): {', '.join(others)}"] if others else lines
