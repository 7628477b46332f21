"""A13 to A15: links, unreadable files, system junk, odd names."""

import csv
import io
import json
import os
import unicodedata

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
    (data / "cat" / "gone.png").symlink_to("nowhere.png")
    (data / "cat" / "loop").symlink_to("..")
    (data / "cat" / "self.png").symlink_to("self.png")
    (data / "cat" / "out.png").symlink_to(bench.folder / "outside" / "o.png")
    (data / "dog" / "outside").symlink_to(bench.folder / "outside")
    (data / "dog" / "folder.jpg").mkdir()
    put(data / "dog" / "folder.jpg" / "inner.png", encoded(pixels("inner")))
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)
    expect(found["dataset"]["images"] == 28, f"{found['dataset']['images']} images, not 28")
    note = next((note for note in found["dataset"]["notes"] if note.startswith("left out")), "")
    for what in ("broken links", "links in a circle", "lead out of the folder", "folders named like a picture"):
        expect(what in note, f"{what!r} is not counted: {note!r}")
    bench.works("train", data, *SMALL, "--out", "run")
    os.mkfifo(data / "cat" / "pipe.png")
    bench.refuses(3, "train", data, *SMALL, "--out", "other", names=["pipe.png"])
    return note


def junk(bench: Bench) -> str:
    data = write_tree(bench.folder / "data")
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/._00.png", "cat/@eaDir/00.png", "dog/notes.txt"):
        put(data / name, b"junk")
    for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX"):
        put(data / name / "00-checkpoint.png", encoded(pixels(name)))
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)["dataset"]
    expect(list(found["classes"]) == ["cat", "dog"], f"classes {list(found['classes'])}")
    expect(found["images"] == 28, f"{found['images']} images")
    note = next((note for note in found["notes"] if note.startswith("left out")), "")
    expect("8 system or hidden" in note and "1 file" in note, f"counted as {note!r}")
    bench.works("train", data, *SMALL, "--out", "run")
    return note


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
    Row("A14", "system junk among the pictures", junk),
    Row("A15", "odd file and class names", names),
)
