"""A13 to A15: links, unreadable files, system junk, odd names."""

import csv
import io
import json
import os
import unicodedata
from typing import Any

from .bench import Bench, drop_rights, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

LONG = "n" * 246 + ".png"
NAMES = (
    "\U0001f98a fox.png",
    "two\nlines.png",
    "-dash.png",
    LONG,
    unicodedata.normalize("NFD", "é\u0308tude.png"),
    os.fsdecode(b"caf\xe9 \xff.png"),
    "=sum(1,2).png",
    'quote"comma,.png',
    "  blanks  .png",
    "percent%41?query#hash.png",
    "\u202egnp.evil.png",
)


def unreadable(bench: Bench) -> None:
    data = write_tree(bench.folder / "data")
    secret = data / "cat" / "03.png"
    secret.chmod(0)
    bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["03.png", "cannot be read"], before=drop_rights)
    (data / "dog").chmod(0)
    bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["dog", "cannot be read"], before=drop_rights)
    (data / "dog").chmod(0o755)
    secret.chmod(0o644)


def links(bench: Bench) -> str:
    unreadable(bench)
    data = bench.folder / "data"
    put(bench.folder / "outside" / "o.png", encoded(pixels("o")))
    put(bench.folder / "outside.png", encoded(pixels("p")))
    (data / "cat" / "gone.png").symlink_to("nowhere.png")
    (data / "cat" / "loop").symlink_to("..")
    (data / "cat" / "self.png").symlink_to("self.png")
    (data / "cat" / "out.png").symlink_to(bench.folder / "outside.png")
    (data / "dog" / "outside").symlink_to(bench.folder / "outside")
    (data / "dog" / "folder.jpg").mkdir()
    put(data / "dog" / "folder.jpg" / "inner.png", encoded(pixels("inner")))
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)
    expect(found["dataset"]["images"] == 30, f"{found['dataset']['images']} images, not 28 and 2 by links")
    said = left_out(found)
    wanted = {"2 broken links": "warning", "1 link in a circle": "note", "1 folder named like an image": "warning"}
    expect(said == wanted, f"left out: {said}")
    outcome = bench.works("train", data, *[word for word in SMALL if word != "-q"], "--out", "run")
    warned = [line for line in outcome.err.split("\n") if line.startswith("warning: left out")]
    expect(len(warned) == 2 and "cat/gone.png" in warned[0] + warned[1], f"train warns of {warned}")
    (data / "eel").symlink_to(bench.folder / "outside")
    bench.works("train", data, *SMALL, "--out", "three", "--on-bad", "skip")
    names = json.loads((bench.folder / "three" / "run.json").read_text())["task"]["names"]
    expect(names == ["cat", "dog", "eel"], f"a class that is a link: {names}")
    (data / "eel").unlink()
    os.mkfifo(data / "cat" / "pipe.png")
    bench.refuses(3, "train", data, *SMALL, "--out", "other", names=["pipe.png"])
    return "followed, loops cut"


def left_out(found: dict[str, Any]) -> dict[str, str]:
    """Return what a check says was left out, and how severe that is."""
    items = [item for item in found["findings"] if item["kind"] == "left_out"]
    return {item["text"].removeprefix("left out: ").partition(" (")[0]: item["severity"] for item in items}


def places(bench: Bench) -> str:
    data = write_tree(bench.folder / "home" / "data")
    (bench.folder / "link").symlink_to(data)
    ways = [(".", data), ("./", data), ("..", data / "cat"), ("../data", data), ("~/data", data), (data, data)]
    ways += [
        ("link", bench.folder),
        ("link/", bench.folder),
        ("home/data", bench.folder),
        ("./home/data/", bench.folder),
    ]
    for count, (way, current) in enumerate(ways):
        options = {"before": lambda current=current: os.chdir(current), "env": {"HOME": str(bench.folder / "home")}}
        sheet = bench.folder / "sheets" / str(count)
        found = json.loads(bench.works("check", way, "--out", sheet, "--json", "-q", **options).out)["dataset"]
        expect(found["images"] == 28 and list(found["classes"]) == ["cat", "dog"], f"{way}: {found['images']} images")
    bench.works("train", ".", *SMALL, "--out", bench.folder / "run", before=lambda: os.chdir(data))
    bench.works("evaluate", "run", "-q")
    for words in (("train", ""), ("check", " "), ("check", "link", "--root", ""), ("predict", "run", "")):
        bench.refuses(2, *words, names=["argument"])
    return f"{len(ways)} ways to say it"


def junk(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/._00.png", "cat/@eaDir/00.png", "dog/notes.txt"):
        put(data / name, b"junk")
    for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX"):
        put(data / name / "00-checkpoint.png", encoded(pixels(name)))
    document = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)
    found = document["dataset"]
    expect(list(found["classes"]) == ["cat", "dog"], f"classes {list(found['classes'])}")
    expect(found["images"] == 28, f"{found['images']} images")
    said = left_out(document)
    expect(said == {"8 hidden or system files and folders": "note", "1 file that is not an image": "note"}, f"{said}")
    bench.works("train", data, *SMALL, "--out", "run")
    return ", ".join(said)


def own_results(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    inside = {"before": lambda: os.chdir(data)}
    bench.works("check", ".", "--augment", **inside)
    bench.works("train", ".", *SMALL, **inside)
    bench.works("train", ".", *SMALL, **inside)
    names = json.loads(next(data.glob("runs/002-*/run.json")).read_text())["task"]["names"]
    expect(names == ["cat", "dog"], f"classes {names}")
    found = json.loads(bench.works("check", ".", "--json", may_change=["data/check"], **inside).out)
    expect(found["dataset"]["images"] == 28, f"{found['dataset']['images']} images")
    expect(left_out(found) == {"4 results of striate": "note"}, f"{left_out(found)}")
    return ", ".join(left_out(found))


def names(bench: Bench) -> str:
    data = bench.folder / "data"
    for band, class_name in enumerate(("b\u00e4r", "[red]x[bold] \u732b")):
        for name in NAMES:
            put(data / class_name / name, encoded(pixels(class_name + name, band=band)))
    wanted = {str(path.relative_to(data)) for path in data.rglob("*.png")}
    bench.works("check", data, "--out", "sheet")
    bench.works("train", data, *SMALL, "--out", "run")
    run = bench.folder / "run"
    split = json.loads((run / "split.json").read_text())
    expect({name for ids in split.values() for name in ids} == wanted, "a name does not come back from split.json")
    text = (run / "predictions.csv").read_bytes().decode("utf-8", "surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    ids = {row["id"].removeprefix("'") if row["id"][:2] in {"'=", "'-"} else row["id"] for row in rows}
    expect(ids == {*split["val"], *split["test"]}, "a name does not come back from predictions.csv")
    bench.works("report", "run", may_change=["run/report.html"])
    found = json.loads(bench.works("predict", "run", "--json", "--", *sorted(data.rglob("*.png"))).out)
    given = {one["id"].removeprefix(f"{data}/") for one in found["predictions"]}
    expect(given == wanted, f"predict gives {sorted(given ^ wanted)[:2]}")
    put(bench.folder / NAMES[2], encoded(pixels("dash")))
    bench.works("predict", "run", "--", NAMES[2])
    plain = bench.works("predict", "run", data)
    expect(len(plain.out.strip().split("\n")) == len(wanted), "a name breaks the lines of predict")
    expect("\u202e" not in plain.out, "a character that turns the text around reaches the terminal")
    return f"{len(wanted)} files"


ROWS = (
    Row("A13", "unreadable, links broken, circular, leading out; a pipe", links),
    Row("A13p", "the data as ., .., ~, link, relative, absolute; an empty argument", places),
    Row("A14r", "results of ours among the images", own_results),
    Row("A14", "system junk among the images", junk),
    Row("A15", "odd file and class names", names),
)
