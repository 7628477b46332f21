"""Damage good images by seed, let the check look at them, and count what passes without a word.

    python tools/damage.py FOLDER                  30 damaged files of each format and kind of damage
    python tools/damage.py FOLDER --num 200 --only jpeg --json
    python tools/damage.py FOLDER --good           damage nothing: every image that is refused or warned of

For every format and damage: how many were refused, how many the check warns of, how many pass with their pixels
unchanged or nearly so, and how many pass unsaid with more than 1 % of the pixels changed.
"""

import argparse
import io
import json
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SECTOR = 512
HEAD = 16  # bytes that no damage touches: what kind of file it is
MAX_SHARE = 0.01
MAX_SIDE_PX = 320
FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "jpeg": (".jpg", {"format": "JPEG", "quality": 90}),
    "jpeg progressive": (".jpg", {"format": "JPEG", "quality": 90, "progressive": True}),
    "jpeg restart": (".jpg", {"format": "JPEG", "quality": 90, "restart_marker_rows": 1}),
    "png": (".png", {"format": "PNG"}),
    "webp": (".webp", {"format": "WEBP", "quality": 90}),
    "webp lossless": (".webp", {"format": "WEBP", "lossless": True}),
    "gif": (".gif", {"format": "GIF"}),
    "tiff lzw": (".tif", {"format": "TIFF", "compression": "tiff_lzw"}),
    "tiff deflate": (".tif", {"format": "TIFF", "compression": "tiff_adobe_deflate"}),
    "tiff raw": (".tif", {"format": "TIFF"}),
    "bmp": (".bmp", {"format": "BMP"}),
}
Damage = Callable[[bytes, np.random.Generator], bytes]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(HEAD, len(data) - 4))]


def cut_and_end(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, and made to look whole: an end marker, or lengths that fit."""
    kept = cut(data, rng)
    if data.startswith(b"\xff\xd8"):
        return kept + b"\xff\xd9"
    if data.startswith(b"\x89PNG"):
        return kept + b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")
    if data.startswith(b"GIF"):
        return kept + b"\0;"
    if data.startswith(b"RIFF"):
        body = kept[20 : len(kept) & ~1]
        return b"RIFF" + _length(12 + len(body)) + data[8:16] + _length(len(body)) + body
    return kept


def _length(count: int) -> bytes:
    return count.to_bytes(4, "little")


def zero_block(data: bytes, rng: np.random.Generator) -> bytes:
    """A sector of the disk lost."""
    at = int(rng.integers(0, max(1, len(data) // SECTOR))) * SECTOR
    return _with(data, max(HEAD, at), bytes(SECTOR))


def zero_run(data: bytes, rng: np.random.Generator) -> bytes:
    return _with(data, _place(data, rng), bytes(int(rng.integers(8, 200))))


def flip_byte(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return _with(data, at, bytes([data[at] ^ int(rng.integers(1, 256))]))


def flip_bit(data: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return _with(data, at, bytes([data[at] ^ 1 << int(rng.integers(8))]))


def swap_blocks(data: bytes, rng: np.random.Generator) -> bytes:
    """Two sectors in each other's place."""
    num = len(data) // SECTOR
    if num < 3:
        return flip_byte(data, rng)
    one, other = (int(place) * SECTOR for place in rng.choice(np.arange(1, num), 2, replace=False))
    return _with(_with(data, one, data[other : other + SECTOR]), other, data[one : one + SECTOR])


DAMAGES: dict[str, Damage] = {
    "cut": cut,
    "cut and end marker": cut_and_end,
    "zeroed block": zero_block,
    "zero run": zero_run,
    "flipped byte": flip_byte,
    "flipped bit": flip_bit,
    "swapped blocks": swap_blocks,
}


def _place(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(HEAD, len(data)))


def _with(data: bytes, at: int, part: bytes) -> bytes:
    return data[:at] + part[: len(data) - at] + data[at + len(part) :]


def encodings(files: Sequence[Path], names: Sequence[str]) -> dict[str, list[bytes]]:
    """Return every image in every format, at most 320 pixels long."""
    found: dict[str, list[bytes]] = {name: [] for name in names}
    for file in files:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
        image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
        for name in names:
            content = io.BytesIO()
            image.save(content, **FORMATS[name][1])  # type: ignore[arg-type]
            found[name].append(content.getvalue())
    return found


def planted(
    whole: dict[str, list[bytes]], num: int, seed: int, root: Path
) -> Iterator[tuple[str, str, str, bytes, bytes]]:
    """Write damaged files below `root`; yield format, damage, id, the good and the damaged content."""
    for number, (kind, contents) in enumerate(whole.items()):
        for place, (name, damage) in enumerate(DAMAGES.items()):
            for index in range(num):
                rng = np.random.default_rng((seed, number, place, index))
                good = contents[index % len(contents)]
                bad = damage(good, rng)
                path = root / kind / f"{name}-{index}{FORMATS[kind][0]}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(bad)
                yield kind, name, path.relative_to(root).as_posix(), good, bad


def changed_share(good: bytes, bad: bytes, name: str) -> float:
    """Return the share of pixels that differ at all; 1 for another size."""
    from striate.data.decode import decode_bytes

    one, other = (decode_bytes(data, name=name, channels=3) for data in (good, bad))
    if one.shape != other.shape:
        return 1.0
    differing: npt.NDArray[np.bool_] = (one != other).any(axis=2)
    return float(differing.mean())


def judged(root: Path) -> tuple[set[str], set[str]]:
    """Return the ids that the check refuses, and those it warns of as damaged."""
    from striate.data import open_dataset
    from striate.data.check.check import prescan

    findings = prescan(open_dataset(root, split=(0.8, 0.1, 0.1)))
    refused = {name for item in findings if item.severity == "error" for name in item.ids if item.kind == "unreadable"}
    return refused, {name for item in findings.of("damaged") for name in item.ids}


def campaign(files: Sequence[Path], names: Sequence[str], num: int, seed: int) -> list[dict[str, object]]:
    """Return one row of counts for each format and damage."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    with tempfile.TemporaryDirectory(prefix="striate-damage-") as folder:
        root = Path(folder)
        cases = list(planted(encodings(files, names), num, seed, root))
        refused, warned = judged(root)
        for kind, damage, name, good, bad in cases:
            row = rows.setdefault(
                (kind, damage),
                {"format": kind, "damage": damage, "files": 0, "refused": 0, "warned": 0, "same": 0, "unsaid": 0},
            )
            share = 0.0 if bad == good or name in refused else changed_share(good, bad, name)
            outcome = "unsaid" if share > MAX_SHARE else "same"
            outcome = "refused" if name in refused else "warned" if name in warned else outcome
            for key in ("files", outcome):
                row[key] = int(str(row[key])) + 1
    return list(rows.values())


def blame(files: Sequence[Path]) -> int:
    """Print every file that is refused or complained of as it is; return 1 if there is one."""
    from striate.data.decode import examine

    probes = [(file, examine(file.read_bytes(), name=file.name, short_side_px=64)[0]) for file in files]
    blamed = [(file, probe.problem or probe.complaint) for file, probe in probes if probe.problem or probe.complaint]
    for file, text in blamed:
        print(f"{file}: {text}")
    print(f"{len(blamed)} of {len(files):,} good files blamed")
    return 1 if blamed else 0


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of good images")
    parser.add_argument("--num", type=int, default=30, help="damaged files of each format and damage")
    parser.add_argument("--good", action="store_true", help="look at all images as they are")
    parser.add_argument("--images", type=int, default=20, help="how many images of the folder to damage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="formats that begin so, comma-separated: jpeg,png")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    from striate.data.format import EXTENSIONS

    files = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
    names = [name for name in FORMATS if name.startswith(tuple(options.only.split(",")))]
    if not files or not names:
        parser.error("no images there" if not files else f"no format begins with {options.only}")
    if options.good:
        return blame(files)
    rows = campaign(files[: options.images], names, options.num, options.seed)
    if options.json:
        print(json.dumps({"schema": 1, "seed": options.seed, "rows": rows}, indent=1))
        return 0
    print(
        f"{'format':<17} {'damage':<18} {'files':>5} {'refused':>7} {'warned':>6} {'same':>5}  unsaid, over 1 % changed"
    )
    for row in rows:
        cells = [f"{row[key]:>{width}}" for key, width in (("files", 5), ("refused", 7), ("warned", 6), ("same", 5))]
        print(f"{row['format']:<17} {row['damage']:<18} {' '.join(cells)}  {row['unsaid']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
