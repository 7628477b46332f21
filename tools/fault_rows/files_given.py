"""A20, F3c, G9: files known by what they hold, texts with a byte order mark, a cache that cannot be written."""

import atexit
import codecs
import json
import os
from typing import NoReturn

from .bench import Bench, drop_rights, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

LOUD = tuple(word for word in SMALL if word != "-q")
BLUEPRINT = '[[rows]]\nblock = "conv"\nwidth = 4\n[[rows]]\nblock = "global_pool"\n[[rows]]\nblock = "linear"\n'
RECIPE = "[train]\nepochs = 1\n"
SETTINGS = 'set = ["train.epochs=1", "model.width=4", "model.depth=1"]\n'
STUDY = f'data = "data"\nseeds = 1\n{SETTINGS}[[variant]]\nname = "a"\n'
CLASSES = ("cat", "dog")
TABLE = "\n".join(["path,label", *(f"data/{name}/{index:02d}.png,{name}" for name in CLASSES for index in range(14))])
NOT_READ = {
    "1.psd": (b"8BPS" + bytes(99), "PSD"),
    "2.dcm": (bytes(128) + b"DICM", "DICOM"),
    "3.jxl": (b"\xff\x0a" + bytes(9), "JPEG XL"),
    "4.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000"),
    "5.exr": (b"\x76\x2f\x31\x01" + bytes(99), "OpenEXR"),
    "6.nef": (b"II*\0" + bytes(99), "TIFF behind .nef"),
}


def marked_texts(bench: Bench) -> str:
    """What Windows' editors put before a text is passed over; UTF-16 and UTF-32 are named, not called damaged."""
    write_tree(bench.folder / "data")
    size = ("--size", "12")
    commands = {  # the file, its text, the command that reads it, the exit code of one that cannot be read
        "recipe.toml": (RECIPE, ("train", "data", "--recipe", "recipe.toml", "--set", "model.width=4", *size, "-q"), 2),
        "blueprint.toml": (BLUEPRINT, ("train", "data", "--model", "blueprint.toml", *SMALL[:2], *size, "-q"), 2),
        "study.toml": (STUDY, ("study", "study.toml", "-q"), 2),
        "table.csv": (TABLE, ("check", "table.csv"), 3),
    }
    for name, (text, words, code) in commands.items():
        path = bench.folder / name
        path.write_bytes(codecs.BOM_UTF8 + text.encode())
        bench.works(*words, "--out", f"out-{path.stem}")
        for encoding in ("utf-16", "utf-16-be", "utf-16-le", "utf-32"):
            path.write_bytes(text.encode(encoding))
            bench.refuses(code, *words, "--out", "none", names=[name, encoding[:6].upper(), "save it as UTF-8"])
        path.write_bytes(text.encode() + b"# caf\xe9")
        bench.refuses(code, *words, "--out", "none", names=[name, "UTF-8"])
        path.unlink()
    expect(not (bench.folder / "none").exists(), "a folder was begun")
    return f"{len(commands)} kinds of files"


def known_by_content(bench: Bench) -> str:
    """Images under any name are images; formats that are not read are a warning that names them, in train too."""
    data = write_tree(bench.folder / "data")
    names = {
        "a.JPG_large": "JPEG",
        "b": "PNG",
        "c.dat": "WEBP",
        "d.png.part": "GIF",
        "e.txt": "BMP",
        "wrong.jpg": "PNG",
    }
    for name, kind in names.items():
        put(data / "cat" / name, encoded(pixels(name), kind))
    for name, (content, _) in NOT_READ.items():
        put(data / "dog" / name, content)
    put(data / "dog" / "notes.md", "nothing to see\n")
    put(data / "dog" / "empty", "")
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)
    expect(found["dataset"]["images"] == 28 + len(names), f"{found['dataset']['images']} images")
    left = [item for item in found["findings"] if item["kind"] == "left_out"]
    said = {
        word
        for _, word in NOT_READ.values()
        if any(word in item["text"] for item in left if item["severity"] == "warning")
    }
    expect(len(said) == len(NOT_READ), f"not warned of: {({word for _, word in NOT_READ.values()}) - said}")
    expect(any("not images" in item["text"] and item["severity"] == "note" for item in left), "the text is not noted")
    outcome = bench.works("train", data, *LOUD, "--out", "run")
    expect(all(word in outcome.err for word in said), f"train does not warn: {outcome.err[:300]}")
    return f"{len(names)} images by content, {len(said)} formats warned of"


def locked_cache(bench: Bench) -> str:
    """Where the cache cannot be written images are decoded elsewhere for this command, which is said; none is left."""
    write_tree(bench.folder / "data")
    temporary = bench.folder / "tmp"
    temporary.mkdir()
    (bench.folder / "locked").mkdir()
    (bench.folder / "locked").chmod(0o555)
    (bench.folder / "file").write_text("mine\n")
    for number, cache in enumerate(("locked", "locked/new", "file", "file/new")):
        env = {"STRIATE_CACHE": str(bench.folder / cache), "TMPDIR": str(temporary)}
        out = f"run{number}"
        outcome = bench.works("train", "data", *SMALL, "--out", out, before=_forget_temporary, env=env)
        expect(cache in outcome.err and "STRIATE_CACHE" in outcome.err, f"{cache}: not said: {outcome.err[:300]}")
        expect(
            outcome.err.count("cannot be written") == 1, f"{cache}: said {outcome.err.count('cannot be written')} times"
        )
        expect(not any(temporary.iterdir()), f"left behind: {[path.name for path in temporary.iterdir()]}")
    (bench.folder / "locked").chmod(0o755)
    env = {"STRIATE_CACHE": str(bench.folder / "file"), "TMPDIR": str(temporary)}
    bench.refuses(5, "train", "data", *SMALL, "--out", "none", before=_no_temporary, env=env, names=["STRIATE_CACHE"])
    return "4 caches that cannot be written"


def _forget_temporary() -> None:
    """Take the rights of root away, ask anew where temporary files go, and end as an interpreter does."""
    import tempfile

    tempfile.tempdir = None
    atexit._clear()  # what the parent registered is the parent's
    leave = os._exit

    def end(code: int) -> NoReturn:
        atexit._run_exitfuncs()
        leave(code)

    os._exit = end
    drop_rights()


def _no_temporary() -> None:
    import tempfile

    _forget_temporary()
    mkdtemp = tempfile.mkdtemp

    def full(*rest: object, prefix: str = "", **options: object) -> str:
        if prefix.startswith("striate-cache"):
            raise OSError(28, os.strerror(28))
        return mkdtemp(*rest, prefix=prefix, **options)  # type: ignore[call-overload, no-any-return]

    tempfile.mkdtemp = full  # type: ignore[assignment]


ROWS = (
    Row("A20", "images under any name; formats that are not read", known_by_content, max_cpu_s=20, max_mb=400),
    Row("F3c", "cache that cannot be written", locked_cache, max_cpu_s=20, max_mb=400),
    Row("G9", "texts with a byte order mark, UTF-16, UTF-32", marked_texts, max_cpu_s=20, max_mb=400),
)
