"""C1 to C4: copies of images, in another split, changed a little, or with another label."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance, ImageOps

from .bench import Bench, expect
from .pictures import encoded, photo, put
from .sheet import Row

NUM = 200  # images, and copies of each kind
CLASSES = ("cat", "dog")
Change = Callable[[Image.Image], Image.Image]
QUALITY = 90

NEAR: dict[str, tuple[Change, int]] = {
    "re-encoded": (lambda picture: picture, 50),
    "half size": (lambda picture: picture.resize((picture.width // 2, picture.height // 2)), QUALITY),
    "brighter": (lambda picture: ImageEnhance.Brightness(picture).enhance(1.2), QUALITY),
}
MOVED: dict[str, tuple[Change, str]] = {  # how the finding says it
    "mirrored": (ImageOps.mirror, "are the same but mirrored"),
    "turned": (lambda picture: picture.rotate(90, expand=True), "are the same but turned by 90 degrees"),
    "cropped": (lambda picture: _cropped(picture), "are the same but for their rim"),
}


def _cropped(picture: Image.Image) -> Image.Image:
    width, height = round(0.9 * picture.width), round(0.9 * picture.height)
    left, top = (picture.width - width) // 3, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _write(root: Path, copies: dict[str, tuple[Change, int]]) -> None:
    """Write images into train and test, and one copy of each training image and kind into val."""
    for index in range(NUM):
        label, picture = CLASSES[index % 2], photo(f"{index}")
        put(root / "train" / label / f"{index}.jpg", encoded(picture, "JPEG", quality=QUALITY))
        put(root / "test" / label / f"{index}-own.jpg", encoded(photo(f"own {index}"), "JPEG", quality=QUALITY))
        for how, (change, quality) in copies.items():
            content = encoded(change(picture), "JPEG", quality=quality)
            put(root / "val" / label / f"{index}-{how}.jpg", content)


def _findings(bench: Bench, data: str) -> list[dict[str, Any]]:
    found = json.loads(bench.works("check", data, "--out", "sheet", "--json", "-q", may_change=["sheet"]).out)
    return list(found["findings"])


def _pairs(findings: list[dict[str, Any]], kind: str, says: str = "") -> set[tuple[str, str]]:
    """The pairs of file names that findings of a kind, alone or across splits, take for one image."""
    groups = [f["ids"] for f in findings if f["kind"].removesuffix("_leak") == kind and says in f["text"]]
    names = [sorted(name.rpartition("/")[2].removesuffix(".jpg") for name in ids) for ids in groups]
    return {pair for group in names for pair in combinations(group, 2)}


def _rates(pairs: set[tuple[str, str]], hows: list[str]) -> tuple[dict[str, float], float]:
    """The share of the planted copies of each kind that was found, and the share of the pairs that are copies."""
    recall = {how: sum((str(n), f"{n}-{how}") in pairs for n in range(NUM)) / NUM for how in hows}
    alike = [a.split("-")[0] == b.split("-")[0] and "own" not in a + b for a, b in pairs]
    return recall, sum(alike) / max(1, len(alike))


def exact(bench: Bench) -> str:
    _write(bench.folder / "data", {})
    for index in range(NUM):
        label = CLASSES[index % 2]
        copied = (bench.folder / "data" / "train" / label / f"{index}.jpg").read_bytes()
        put(bench.folder / "data" / "val" / label / f"{index}-same.jpg", copied)
    findings = _findings(bench, "data")
    recall, precision = _rates(_pairs(findings, "duplicate"), ["same"])
    expect(recall["same"] == precision == 1, f"recall {recall['same']}, precision {precision}")
    expect(all(f["kind"].endswith("_leak") for f in findings if "duplicate" in f["kind"]), "not told as leaks")
    text = bench.works("check", "data", "--out", "sheet", "-q", may_change=["sheet"]).out
    line = next((line for line in text.split("\n") if "7-same.jpg" in line), "")
    expect("train/dog/7.jpg" in line and "val/dog/7-same.jpg" in line, f"does not name both: {line}")
    expect("across train and val" in line, f"does not say that it leaks: {line}")
    names = bench.works("check", "data", "--fix-list", "-q").out.split("\n")
    expect({"train/cat/0.jpg", "val/cat/0-same.jpg"} <= set(names), "not in the list of files to mend")
    bench.refuses(7, "check", "data", "--strict", "--out", "strict", "-q", names=["problems found", "data"])
    return f"{NUM} pairs, recall {recall['same']:g}, precision {precision:g}"


def near(bench: Bench) -> str:
    _write(bench.folder / "data", NEAR)
    pairs = _pairs(_findings(bench, "data"), "near_duplicate")
    recall, precision = _rates(pairs, list(NEAR))
    for how, share in {**recall, "precision": precision}.items():
        expect(share >= 0.99, f"{how}: {share:.3f}")
    bench.refuses(7, "check", "data", "--strict", "--out", "strict", "-q", names=["problems found", "data"])
    return f"{NUM} pairs each, recall {_said(recall)}, precision {precision:.3f}"


def moved(bench: Bench) -> str:
    _write(bench.folder / "data", {how: (change, QUALITY) for how, (change, _) in MOVED.items()})
    findings = _findings(bench, "data")
    recall: dict[str, float] = {}
    for how, (_, says) in MOVED.items():
        kind = "cropped_duplicate" if how == "cropped" else "turned_duplicate"
        found, precision = _rates(_pairs(findings, kind, says), [how])
        recall |= found
        expect(precision >= 0.99, f"{how}: precision {precision:.3f}")
        expect(found[how] >= (0.9 if how == "cropped" else 0.99), f"{how}: recall {found[how]:.3f}")
    expect(not _rates(_pairs(findings, "near_duplicate"), ["mirrored"])[0]["mirrored"], "mirrored ones count as near")
    return f"{NUM} pairs each, recall {_said(recall)}"


def _said(recall: dict[str, float]) -> str:
    return ", ".join(f"{how} {share:.3f}" for how, share in recall.items())


def conflicting(bench: Bench) -> None:
    for index in range(24):
        put(bench.folder / "data" / CLASSES[index % 2] / f"{index}.jpg", encoded(photo(f"{index}"), "JPEG"))
    same = (bench.folder / "data" / "cat" / "4.jpg").read_bytes()
    put(bench.folder / "data" / "dog" / "same.jpg", same)
    put(bench.folder / "data" / "dog" / "again.jpg", encoded(photo("8"), "JPEG", quality=50))
    conflicts = {tuple(f["ids"]): f for f in _findings(bench, "data") if f["kind"] == "conflicting_labels"}
    wanted = {("cat/4.jpg", "dog/same.jpg"), ("cat/8.jpg", "dog/again.jpg")}
    expect({tuple(sorted(ids)) for ids in conflicts} == wanted, f"listed: {list(conflicts)}")
    for ids, finding in conflicts.items():
        expect(finding["severity"] == "warning", f"only a {finding['severity']}")
        labels = [f"{name} ({name.split('/')[0]})" in finding["text"] for name in ids]
        expect(all(labels), f"does not give both labels: {finding['text']}")
    bench.refuses(7, "check", "data", "--strict", "--out", "strict", "-q", names=["data"])


ROWS = (
    Row("C1", "exact copies across splits", exact),
    Row("C2", "copies re-encoded, resized, brightened", near),
    Row("C3", "copies mirrored, turned, cropped", moved),
    Row("C4", "copies with another label", conflicting),
)
