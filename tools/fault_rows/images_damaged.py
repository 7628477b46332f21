"""A16 and on: files that a decoder reads although they are damaged."""

import json

from .bench import Bench, expect
from .pictures import SMALL, encoded, photo, put, write_tree
from .sheet import Row

END = b"\xff\xd9"


def ended_jpeg(bench: Bench) -> str:
    """Cut and ended by a marker: refused; pixels replaced by zeros or other bytes: refused or warned of, by name."""
    data = write_tree(bench.folder / "data")
    refused, doubtful = set(), set()
    for kind, options in (("baseline", {}), ("progressive", {"progressive": True})):
        whole = encoded(photo(kind, (160, 208)), "JPEG", quality=90, **options)
        for share in (50, 70):
            name = f"cat/{kind}{share}.jpg"
            put(data / name, whole[: len(whole) * share // 100] + END)
            refused.add(name)
        for length in (40, 600):
            name, start = f"dog/{kind}{length}.jpg", len(whole) * 6 // 10
            put(data / name, whole[:start] + bytes(length) + whole[start + length :])
            doubtful.add(name)
    put(data / "cat" / "padded.jpg", encoded(photo("padded"), "JPEG")[:-2] + bytes(40) + END)
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json").out)["findings"]
    errors = {name for item in found if item["severity"] == "error" for name in item["ids"]}
    warned = {name for item in found if item["kind"] == "damaged" for name in item["ids"]}
    expect(errors >= refused, f"not refused: {sorted(refused - errors)}")
    expect(errors | warned == refused | doubtful, f"the check names {sorted(errors)} and warns of {sorted(warned)}")
    bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["damaged"])
    outcome = bench.works("train", data, *[word for word in SMALL if word != "-q"], "--out", "run", "--on-bad", "skip")
    expect(not warned or "the decoder complained" in outcome.err, f"training says {outcome.err[-300:]}")
    return f"{len(errors)} refused, {len(warned)} warned of"


ROWS = (Row("A16", "JPEG cut and ended, zeros inside; none that is good", ended_jpeg),)
