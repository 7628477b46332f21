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


HOT = [[f"p/{index:02d}.png", *(f"{int(index % 3 == band)}.0" for band in range(3))] for index in range(36)]


def odd_cells(bench: Bench) -> str:
    """One cell in a column of numbers, of 0/1 or of splits that does not fit the others: its line is named."""
    folder, num = bench.folder, 0
    weights = [[f"p/{index:02d}.png", str(index + 0.5)] for index in range(36)]
    for cell in ("", "nan", "inf", "3,14", "30 kg", "NA"):
        spoilt = [*weights[:20], [weights[20][0], f'"{cell}"'], *weights[21:]]
        path = write_table(folder / f"number{num}.csv", spoilt, "path,weight")
        for options in ((), ("--task", "regress"), ("--task", "regress", "--target", "weight")):
            said = cell or "''"
            bench.refuses(3, "train", path, *options, *SMALL, "--out", "run", names=[f"{path.name}:22", said])
            num += 1
    for cell in ("", "nan", "-1", "2"):
        spoilt = [*HOT[:9], [HOT[9][0], "0.0", cell, "0.0"], *HOT[10:]]
        path = write_table(folder / f"flag{num}.csv", spoilt, "path,edema,effusion,mass")
        bench.refuses(3, "train", path, *SMALL, "--out", "run", names=[f"{path.name}:11", "effusion"])
        num += 1
    counts = {}
    for rule in ("negative", "ignore"):
        done = bench.works("check", path.with_name(f"flag{num - 2}.csv"), "--blank", rule, "--out", rule, "--json")
        counts[rule] = json.loads(done.out)["dataset"]["images"]
    expect(counts == {"negative": 36, "ignore": 35}, f"blanks ruled on leave {counts}")
    return f"{num} tables with one odd cell refused by line"


def readings(bench: Bench) -> str:
    """What a table means beyond words: one-hot columns, the author's division, an index, names without suffix."""
    folder = bench.folder
    hot = write_table(folder / "hot.csv", HOT, "path,a,b,c")
    found = json.loads(bench.works("check", hot, "--out", "hot", "--json").out)
    counts = {name: sum(splits.values()) for name, splits in found["dataset"]["classes"].items()}
    expect(counts == {"a": 12, "b": 12, "c": 12}, f"one-hot columns became {counts}")
    own = write_table(
        folder / "own.csv", [[*row, str(at > 26)] for at, row in enumerate(ROWS_OK)], "path,label,is_valid"
    )
    found = json.loads(bench.works("check", own, "--out", "own", "--json").out)
    expect(found["dataset"]["splits"]["val"] == 9, f"is_valid was not used: {found['dataset']['splits']}")
    lines = [f"{at},{row[0][2:-4]},{'ab'[at % 2]},{at % 5 + 1}" for at, row in enumerate(ROWS_OK)]
    (folder / "odd.csv").write_text("\n".join([",id,breed,fold", *lines]) + "\n")
    found = json.loads(bench.works("check", "odd.csv", "--root", "p", "--out", "odd", "--json").out)
    expect(list(found["dataset"]["classes"]) == ["a", "b"], "a column of folds was learnt")
    found = bench.works("train", "odd.csv", "--root", "p", "--target", "breed", *SMALL[:-1], "--out", "run2")
    for words in ("row numbers", "adding .png", "not used: fold"):
        expect(words in found.err, f"train does not say {words!r}")
    bench.refuses(3, "check", "odd.csv", "--root", "p", "--split-column", "fold", "--out", "no", names=["odd.csv:2"])
    (folder / "pixels.csv").write_text(
        ",".join(["label", *(f"pixel{at}" for at in range(64))]) + "\n" + "0," * 64 + "0\n"
    )
    bench.refuses(3, "check", "pixels.csv", "--out", "no", names=["pixel0", ".npz"])
    with (folder / "large.csv").open("wb") as file:
        file.truncate(257 << 20)
    done = bench.refuses(3, "check", "large.csv", "--out", "no", names=["large.csv", "256"])
    expect(done.peak_mb < 100, f"a table that is too large took {done.peak_mb:.0f} MB")
    (folder / "large.csv").unlink()
    return "one-hot, own division, index, suffix and pixels read or named"


ROWS = (
    Row("B8", "tables: BOM, ;, missing, twice, empty, 010, quotes", tables),
    Row("B8c", "tables: one cell that does not fit its column", odd_cells),
    Row("B8r", "tables: one-hot, is_valid, index, no suffix, pixels", readings),
)
