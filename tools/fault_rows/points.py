"""B11 for points: in tables and in COCO's key points."""

import json
from pathlib import Path
from typing import Any

from .bench import Bench, expect
from .pictures import SMALL, encoded, photo, put
from .sheet import Row

TINY = (*SMALL, "--task", "points", "--size", "32")
HEADER = "path,x_left,y_left,x_right,y_right"
HEIGHT, WIDTH = 48, 64


def write_points(root: Path, change: dict[int, str] | None = None, header: str = HEADER, count: int = 14) -> Path:
    """Write `NN.jpg` and a table with two points each, some lines as given; return the table."""
    lines = [header]
    for index in range(count):
        put(root / f"{index:02d}.jpg", encoded(photo(f"{root.name}{index}", (HEIGHT, WIDTH)), "JPEG"))
        lines.append(f"{index:02d}.jpg,{(change or {}).get(index, f'{20 + index},10,{50 + index / 2},{12 + index}')}")
    put(root / "points.csv", "\n".join(lines))
    return root / "points.csv"


def tables(bench: Bench) -> str:
    good = write_points(bench.folder / "good", {3: ",,30,20", 5: ",,,"})
    bench.works("train", good, *TINY, "--out", "run")
    bench.works("predict", "run", good.parent, "--csv", good.parent / "found.csv")
    bench.works("check", good.parent / "found.csv", "--out", "again")
    odd = write_points(bench.folder / "odd", {2: "10,60,12,55", 4: "900,10,20,20", 6: ",,,"})
    found = json.loads(bench.works("check", odd, "--out", "sheet", "--json").out)["findings"]
    kinds = {item["kind"]: item["ids"] for item in found}
    expected = {"points_swapped": ["02.jpg"], "point_beyond": ["04.jpg"], "no_point": ["06.jpg"]}
    expect(expected.items() <= kinds.items(), f"the check says {kinds}")
    faults: dict[str, tuple[dict[int, str], str, str]] = {
        "half": ({4: "1,,3,4"}, HEADER, "y_left is empty, x_left is not"),
        "word": ({4: "1,two,3,4"}, HEADER, "y_left is 'two', no number"),
        "shares": (dict.fromkeys(range(14), "0.1,0.2,0.3,0.4"), HEADER, "shares, not pixels"),
        "lone": ({}, "path,x_left,y_left,x_right,y_rihgt", "has no y beside it"),
        "never": (dict.fromkeys(range(14), ",,3,4"), HEADER, "left is not marked in any training image"),
    }
    for name, (change, header, said) in faults.items():
        bench.refuses(3, "train", write_points(bench.folder / name, change, header), *TINY, "--out", "no", names=[said])
    other = write_points(bench.folder / "other", {}, "path,x_left,y_left,x_ear,y_ear")
    bench.refuses(3, "evaluate", "run", other, names=["no right and ear is new"])
    return "swapped, beyond, missing: counted; half a point, words, shares, other names: named"


def coco(bench: Bench) -> str:
    for index in range(14):
        put(bench.folder / "set" / f"{index:02d}.jpg", encoded(photo(f"coco{index}", (HEIGHT, WIDTH)), "JPEG"))
    marks = [10, 12, 2, 20, 12, 1]
    good: dict[str, Any] = {
        "images": [{"id": 7 * n, "file_name": f"{n:02d}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(14)],
        "annotations": [
            {"id": 100 + n, "image_id": 7 * (n // 2), "category_id": 3, "bbox": [5, 6, 30, 30 + n], "keypoints": marks}
            for n in range(28)
        ],
        "categories": [{"id": 3, "name": "cat", "keypoints": ["left", "right"]}],
    }
    put(bench.folder / "set" / "all.json", json.dumps(good))
    said = bench.works("check", "set", "--task", "points", "--out", "sheet")
    expect("14 images with several things" in said.out, f"the check says {said.out}")
    bench.works("train", "set", *TINY, "--out", "run")
    good["annotations"][3]["keypoints"] = marks[:4]
    put(bench.folder / "set" / "all.json", json.dumps(good))
    bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["annotation 103", "2 times x, y, visibility"])
    good["categories"][0].pop("keypoints")
    put(bench.folder / "set" / "all.json", json.dumps(good))
    bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["no key points"])
    return "of several things the largest; marks too few, and none: named"


ROWS = (
    Row("B11p", "points in tables: swapped, beyond, half, words, shares, other names", tables),
    Row("B11k", "COCO key points: several things, too few marks, none", coco),
)
