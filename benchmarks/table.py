"""Write what was measured, `benchmarks/results/*.json`, as docs/benchmarks.md and as the two tables of README.md.

    python benchmarks/table.py           # writes both
    python benchmarks/table.py --check   # ends with 1 where a page is not what the files say

A file is one measurement: `section`, `title`, `data`, `score`, `unit`, `machine` (of machines.json), `date`, `command`,
and `rows` with `what`, `value`, and where known `spread` (between seeds), `interval`, `each` (seed), `note`. A row may
have its own machine, date and command. `readme` is what a row is called in README.md.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
SECTIONS = (
    "From scratch",
    "Transfer",
    "Maps: segmentation",
    "Numbers and places",
    "Objects: detection",
    "Restoration",
    "Series and volumes",
    "Speed",
    "Typing it",
)
HEAD = """# Benchmarks

What was measured, on which machine, when, and by which command. `python benchmarks/table.py` writes these tables
from `benchmarks/results/*.json`; a test holds them against each other.

Accuracies are means over seeds on the test split, chosen on validation; ± is the spread between seeds; an interval
is that of the mean, for new seeds and new images, or of one run for new images. Speeds are ratios of programs that
took turns in one run: the median, and the range where it was kept. *Behind* are numbers that others do better, or
that missed their aim. Two cores each, where nothing else is said. Processors differ much in speed: `striate doctor`
says which kind yours is.
"""

Document = dict[str, Any]


def documents() -> list[Document]:
    """Return the measurements in the order of the page."""
    paths = sorted(RESULTS.glob("*-*.json"), key=lambda path: path.stem)
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(found, key=lambda one: SECTIONS.index(one["section"]))


def machines() -> dict[str, str]:
    """Return what stands for each kind of machine."""
    named: dict[str, str] = json.loads((RESULTS / "machines.json").read_text(encoding="utf-8"))
    return named


def digits(value: float, unit: str) -> str:
    """Return a number with the decimals of its unit.

    Example:
        >>> digits(88.4, "%"), digits(13, "x"), digits(0.51, "")
        ('88.4', '13', '0.510')
    """
    places = {"%": 1, "": 3, " dB": 2, " degrees": 2, "count": 0}
    return f"{value:.{places[unit]}f}" if unit in places else str(value)


def score(row: Document, unit: str) -> str:
    """Return value and spread: `88.4 ± 0.8 %`."""
    spread = f" ± {digits(row['spread'], unit)}" if "spread" in row else ""
    written = {"%": " %", "count": ""}.get(unit, unit)
    return f"{digits(row['value'], unit)}{spread}{written}"


def details(row: Document, unit: str) -> str:
    """Return what is known of the seeds, and the note."""
    each = ", ".join(digits(value, unit) for value in row.get("each", ()))
    return "; ".join(part for part in (f"each {each}" if each else "", row.get("note", "")) if part)


def interval(row: Document, unit: str) -> str:
    """Return `86.0 to 90.5`, or nothing."""
    return " to ".join(digits(end, unit) for end in row.get("interval", ()))


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return a table without the columns that are empty."""
    kept = [index for index, name in enumerate(header) if index < 2 or any(row[index] for row in rows)]
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line[index] for index in kept) + " |" for line in lines]


def measurement(one: Document) -> list[str]:
    """Return a measurement as lines of Markdown."""
    rows = one["rows"]
    marks = {row.get("machine", one["machine"]): None for row in rows}
    kinds = machines()
    header = ["", one["score"], one["interval"], "more", "machine", "date", "command"]
    commands = list(dict.fromkeys(row.get("command", one["command"]) for row in rows))
    cells = [
        [
            row["what"],
            score(row, row.get("unit", one["unit"])),
            interval(row, one["unit"]),
            details(row, one["unit"]),
            kinds[row.get("machine", one["machine"])] if len(marks) > 1 else "",
            row.get("date", one["date"]) if any("date" in other for other in rows) else "",
            str(commands.index(row.get("command", one["command"])) + 1) if len(commands) > 1 else "",
        ]
        for row in rows
    ]
    lines = [f"### {one['title']}", "", f"{one['data']}." if one["data"] else "", "", *table(header, cells), ""]
    seeds = one.get("seeds")
    said = [f"{seeds} seed{'s' * (seeds > 1)}" if seeds else "", kinds[one["machine"]] if len(marks) == 1 else ""]
    said += [one["date"] if not any("date" in row for row in rows) else ""]
    stated = ", ".join(part for part in said if part)
    lines += [" ".join(part for part in (f"{stated}." if stated else "", one.get("text", "")) if part), ""]
    numbers = [f"# {index}\n{text}" if len(commands) > 1 else text for index, text in enumerate(commands, 1)]
    return [*lines, "```sh", *numbers, "```", ""]


def page() -> str:
    """Return docs/benchmarks.md."""
    lines = [HEAD]
    section = ""
    for one in documents():
        if one["section"] != section:
            section = one["section"]
            lines += [f"## {section}", ""]
        lines += measurement(one)
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"


def readme_table(is_speed: bool) -> str:
    """Return the table of README.md, of the rows that have a name there."""
    kinds = machines()
    chosen = [(one, row) for one in documents() for row in one["rows"] if "readme" in row]
    chosen = [(one, row) for one, row in chosen if (one["section"] == "Speed") == is_speed]
    if is_speed:
        cells = [
            [row["readme"], f"**{score(row, one['unit'])}**", kinds[row.get("machine", one["machine"])]]
            for one, row in chosen
        ]
        return "\n".join(table(["", "times as fast", "machine"], cells))
    cells = [[row["readme"], f"**{score(row, one['unit'])}**", interval(row, one["unit"])] for one, row in chosen]
    return "\n".join(table(["", "test split", "95 % interval"], cells))


def readme(text: str) -> str:
    """Return README.md with its two tables as the files have them."""
    for name in ("accuracy", "speed"):
        new = f"<!-- {name} -->\n\n{readme_table(name == 'speed')}\n\n<!-- /{name} -->"
        text, count = re.subn(f"<!-- {name} -->.*?<!-- /{name} -->", lambda _, new=new: new, text, flags=re.DOTALL)
        assert count == 1, f"README.md has no place for the table {name}"
    return text


def main() -> int:
    """Write both pages, or compare them."""
    new = {PAGE: page(), README: readme(README.read_text(encoding="utf-8"))}
    if "--check" in sys.argv:
        old = [path.name for path, text in new.items() if path.read_text(encoding="utf-8") != text]
        print(f"not what the files say: {', '.join(old)}" if old else "as the files say")
        return bool(old)
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
