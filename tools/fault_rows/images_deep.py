"""A17 to A19: sixteen bits that hold fewer, transparency and white as zero at every depth, and netpbm files."""

import json
import zlib

import numpy as np
from PIL import Image

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_tree
from .sheet import Row

LOUD = [word for word in SMALL if word != "-q"]


def few_levels(bench: Bench) -> str:
    """Ten bits in files of sixteen: a warning with range and setting; with it, training and prediction as of 8 bits."""
    for name in ("cat", "dog"):
        for index in range(14):
            grey = pixels(f"{name}{index}", 24, name == "dog", channels=1)[..., 0].astype(np.uint16)
            put(bench.folder / "deep" / name / f"{index}.png", encoded(Image.fromarray(grey * 4)))
            put(bench.folder / "eight" / name / f"{index}.png", encoded(Image.fromarray(grey.astype(np.uint8))))
    outcome = bench.works("train", "deep", *LOUD, "--out", "dark")
    expect("of 0 to 65535" in outcome.err and "--levels auto" in outcome.err, f"training says {outcome.err[-300:]}")
    found = json.loads(bench.works("check", "deep", "--out", "sheet", "--json").out)["findings"]
    expect([item["kind"] for item in found if item["severity"] != "note"] == ["few_levels"], f"the check says {found}")
    bench.works("train", "deep", *SMALL, "--set", "train.precision=float32", "--out", "run", "--levels", "0-1020")
    bench.works("train", "eight", *SMALL, "--set", "train.precision=float32", "--out", "twin")
    answers = []
    for folder, data in (("run", "deep"), ("twin", "eight")):
        bench.works("evaluate", folder, data, "--split", "all", "-q")
        said = json.loads(bench.works("predict", folder, f"{data}/cat/0.png", f"{data}/dog/0.png", "--json").out)
        answers.append([one["probabilities"] for one in said["predictions"]])
    expect(answers[0] == answers[1], f"predictions differ from those of the twin: {answers}")
    bench.refuses(2, "train", "deep", *SMALL, "--out", "no", "--levels", "9-3", names=["9-3", "--levels"])
    return "as of 8 bits"


def transparency(bench: Bench) -> str:
    """The transparent level of a grey PNG is white at every depth."""
    from striate.data.decode import decode

    for depth in (1, 2, 4, 8, 16):
        top, width = 2**depth - 1, 16
        levels = np.arange(width) * top // (width - 1)
        bits = (levels[:, None] >> np.arange(depth)[::-1]) & 1
        row = b"\0" + np.packbits(bits.reshape(-1)).tobytes()
        key = int(levels[0])
        head = (width).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([depth, 0, 0, 0, 0])
        parts = ((b"IHDR", head), (b"tRNS", key.to_bytes(2, "big")), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
        chunks = (len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
                  for kind, body in parts)  # fmt: skip
        path = put(bench.folder / f"{depth}.png", b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        golden = np.where(levels == key, 255, levels * 255 / top)
        error = np.abs(decode(path)[0, :, 0] - golden).max()
        expect(error <= 0.51, f"depth {depth} is off by {error:.1f} levels")
    return "5 depths"


def netpbm(bench: Bench) -> str:
    """PPM, PGM and PBM are read; what their headers lie about is refused by name."""
    data = write_tree(bench.folder / "data")
    good = pixels("x", 24)
    wanted = {
        "cat/a.ppm": (b"P6\n24 24\n255\n" + good.tobytes(), good),
        "cat/b.ppm": (b"P3\n24 24\n255\n" + " ".join(map(str, good.ravel())).encode(), good),
        "dog/c.pgm": (b"P5\n24 24\n65535\n" + (good[..., 0].astype(">u2") * 257).tobytes(), good[..., :1]),
        "dog/d.pbm": (b"P4\n24 24\n" + np.packbits(good[..., 0] < 99, axis=1).tobytes(), (good[..., :1] >= 99) * 255),
    }
    from striate.data.decode import decode

    for name, (content, golden) in wanted.items():
        path = put(data / name, content)
        expect(np.array_equal(decode(path, channels=golden.shape[2]), golden), f"{name} differs")
    bench.works("train", data, *SMALL, "--out", "run")
    hostile = {
        "big.ppm": b"P6 99999999 99999999 255\n",
        "cut.pgm": b"P5 24 24 255\n" + bytes(99),
        "odd.pbm": b"P1 2 2\n1 0 x 1",
        "top.pgm": b"P2 2 1 9\n9 10",
        "size.ppm": b"P6 -1 2 255\n",
    }
    for name, content in hostile.items():
        put(data / "cat" / name, content)
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)["findings"]
    errors = {name for item in found if item["severity"] == "error" for name in item["ids"]}
    expect(errors == {f"cat/{name}" for name in hostile}, f"the check refuses {sorted(errors)}")
    bench.refuses(3, "train", data, *SMALL, "--out", "no")
    return f"{len(hostile)} refused"


ROWS = (
    Row("A17", "ten bits in files of sixteen, --levels", few_levels),
    Row("A18", "transparency at every depth", transparency),
    Row("A19", "PPM, PGM, PBM, and their hostile headers", netpbm),
)
