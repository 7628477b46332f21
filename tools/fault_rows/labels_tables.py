"""B8: what a table of labels can say wrongly."""

import json

from .bench import Bench, expect
from .pictures import SMALL, write_table
from .sheet import Row

ROWS_OK = [[f"p/{index:02d}.png", ("007", "7", "10")[index % 3]] for index in range(36)]


def tables(bench: Bench) -> str:
    folder = bench.folder
    bad = {
        "missing": (7, ["p/nowhere.png", "7"], "nowhere.png"),
        "twice": (11, ROWS_OK[3], "03.png"),
        "unlabelled": (6, ["p/99.png", ""], "empty"),
        "unquoted": (4, ["p/99.png", "red, or blue"], "3 cells"),
        "outside": (8, ["../x.png", "7"], "leads out"),
    }
    write_table(folder / "good.csv", [*ROWS_OK, ["p/99.png", "7"]])
    for name, (line, row, says) in bad.items():
        rows = [*ROWS_OK[: line - 2], row, *ROWS_OK[line - 2 :]]
        (folder / f"{name}.csv").write_text("\n".join(["path,label", *map(",".join, rows)]) + "\n")
        bench.refuses(3, "train", f"{name}.csv", *SMALL, "--out", "run", names=[f"{name}.csv:{line}", says])
    (folder / "quotes.csv").write_text('path,label\np/00.png,"7\np/01.png,7\n')
    bench.refuses(3, "check", "quotes.csv", "--out", "no", names=["quotes.csv:"])
    good = {
        "bom": ("path,label", ",", "\ufeff"),
        "semicolon": ("path,label", ";", ""),
    }
    for name, (header, delimiter, mark) in good.items():
        path = write_table(folder / f"{name}.csv", ROWS_OK, header, delimiter)
        path.write_text(mark + path.read_text(), encoding="utf-8")
        found = json.loads(bench.works("check", path, "--out", f"sheet-{name}", "--json").out)["dataset"]
        expect(list(found["classes"]) == ["007", "7", "10"], f"{name}: labels became {list(found['classes'])}")
        expect(found["images"] == 36, f"{name}: {found['images']} images")
    quoted = [[f'"p/{index:02d}.png"', ('"red, or blue"', "yes", "no", "010")[index % 4]] for index in range(36)]
    path = write_table(folder / "quoted.csv", quoted)
    bench.works("train", path, *SMALL, "--out", "run")
    names = json.loads((folder / "run" / "run.json").read_text())["task"]["names"]
    expect(sorted(names) == ["010", "no", "red, or blue", "yes"], f"labels became {names}")
    return f"{len(bad) + 1} broken tables refused by line, {len(good) + 1} odd ones read"


ROWS = (Row("B8", "tables: BOM, ;, missing, twice, empty, 010, quotes", tables),)
