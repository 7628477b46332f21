"""Real odd files, where the checkout has them, and the recall of the look before the run on many generated ones."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np

from .bench import Bench, Skipped, expect
from .pictures import SMALL, encoded, pixels, put
from .sheet import Row

NUM_FILES, NUM_BAD = 2000, 200


def recall(bench: Bench) -> str:
    """Every planted bad file is found before training, and no good one is blamed."""
    rng, bad = np.random.default_rng(0), set()
    kinds = ("empty", "cut", "text", "flip", "tiff")
    for index in range(NUM_FILES):
        name = f"{('cat', 'dog')[index % 2]}/{index:04d}.png"
        content = bytearray(encoded(pixels(name, 16, index % 2)))
        if index % (NUM_FILES // NUM_BAD) == 3:
            bad.add(name)
            kind = kinds[int(rng.integers(len(kinds)))]
            if kind == "flip":
                content[content.index(b"IDAT") + 4 + int(rng.integers(200))] ^= 1 << int(rng.integers(8))
            else:
                cut = content[: int(rng.integers(9, len(content) - 1))]
                content = {"empty": bytearray(), "cut": cut, "text": bytearray(b"404\n")}.get(kind, content)
                content = bytearray(encoded(pixels(name), "TIFF")) if kind == "tiff" else content
        put(bench.folder / "data" / name, bytes(content))
    found = json.loads(bench.works("check", "data", "--out", "sheet", "--json").out)
    named = {name for item in found["findings"] if item["severity"] == "error" for name in item["ids"]}
    missed, wrong = sorted(bad - named), sorted(named - bad)
    expect(not missed and not wrong, f"missed {missed[:3]}, blamed {wrong[:3]}")
    bench.refuses(3, "train", "data", *SMALL, "--out", "run", names=[f"{len(bad)} of {NUM_FILES:,}"])
    return f"recall {len(bad)}/{len(bad)}, 0 of {NUM_FILES - len(bad):,} good ones blamed"


def real_files(bench: Bench) -> str:
    """Nothing crashes on files that broke other tools, each that no decoder reads is named, and the rest trains."""
    root = Path(os.environ.get("STRIATE_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "bad_images"
    if not (root / "index.csv").is_file():
        raise Skipped("no bad_images here; set STRIATE_TEST_DATA")
    with (root / "index.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (root / row["file"]).is_file()]
    names, unreadable = {}, set()
    for place, row in enumerate(rows):
        source = root / row["file"]
        name = f"{('a', 'b')[place % 2]}/{place:03d}{source.suffix}"
        put(bench.folder / "data" / name, b"")
        shutil.copyfile(source, bench.folder / "data" / name)
        names[name] = row["file"]
        if row["pillow"] not in {"ok", "warning"}:
            unreadable.add(name)
    for place in range(40):
        put(bench.folder / "data" / "ab"[place % 2] / f"good{place}.png", encoded(pixels(f"good{place}", 32)))
    while copies := _copies(bench, f"copies{len(names)}"):  # in two splits they would be a leak, which is another row
        for name in copies:
            (bench.folder / "data" / name).unlink()
            names.pop(name)
    outcome = bench.works("check", "data", "--out", "sheet", "--json", "--full")
    found = json.loads(outcome.out)
    named = {name for item in found["findings"] if item["severity"] == "error" for name in item["ids"]}
    seen = {name for name in names if name.lower().endswith(_extensions())}
    silent = sorted(names[name] for name in (unreadable & seen) - named)
    expect(not silent, f"not named: {silent[:6]}")
    expect(not {name for name in named if "good" in name}, "a good file is blamed")
    bench.refuses(3, "train", "data", *SMALL, "--size", 16, "--out", "run")
    bench.works("train", "data", *SMALL, "--size", 16, "--out", "run", "--on-bad", "skip")
    with (bench.folder / "run" / "skipped.csv").open(newline="") as file:
        skipped = {row["id"] for row in csv.DictReader(file)}
    expect(skipped == named, "skipped.csv and the check differ")
    return f"{len(seen)} of {len(names)} files looked at, {len(named)} refused by name"


def _copies(bench: Bench, out: str) -> list[str]:
    """Files with the pixels of another one, as the check finds them."""
    found = json.loads(bench.works("check", "data", "--out", out, "--json", "--full").out)["findings"]
    groups = (item["ids"] for item in found if item["kind"] in {"duplicate", "split_leak"})
    return sorted({name for group in groups for name in group if "good" not in name})


def _extensions() -> tuple[str, ...]:
    from striate.data.format import EXTENSIONS

    return EXTENSIONS


ROWS = (
    Row("A-n", f"{NUM_BAD} bad among {NUM_FILES:,} generated files", recall),
    Row("A-r", "real odd files", real_files),
)
