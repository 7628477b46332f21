"""A10, A12, B9, B10 and B11 for boxes: in Pascal VOC's XML, COCO JSON and the text files of YOLO."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .bench import Bench, expect
from .pictures import SMALL, encoded, photo, put
from .sheet import Row

TINY = (*SMALL, "--task", "localise", "--size", "32")
HEIGHT, WIDTH = 48, 64


def thing(name: str, sides: tuple[int, int, int, int]) -> str:
    """Return an object of Pascal VOC; its sides count from 1."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in corners)
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def write_boxes(root: Path, change: dict[int, str] | None = None, count: int = 14) -> Path:
    """Write `NN.jpg` and `NN.xml` with one object each, some files as given; return the root."""
    for index in range(count):
        put(root / f"{index:02d}.jpg", encoded(photo(f"{root.name}{index}", (HEIGHT, WIDTH)), "JPEG"))
        text = (change or {}).get(index, thing("cat" if index % 2 else "dog", (3 + index, 4, 40, 30 + index)))
        put(root / f"{index:02d}.xml", f"<annotation>{text}</annotation>")
    return root


def voc(bench: Bench) -> str:
    good = write_boxes(bench.folder / "good")
    bench.works("train", good, *TINY, "--out", "run")
    two = thing("cat", (1, 1, 9, 9)) + thing("dog", (2, 2, 9, 9))
    several = write_boxes(bench.folder / "several", {3: two, 5: ""})
    found = json.loads(bench.works("check", several, "--out", "sheet", "--json").out)
    spread = found["dataset"]["distribution"]
    expect((spread["boxes"], spread["background"]) == (14, 1), f"the check counts {spread}")
    bench.refuses(3, "train", several, *TINY, "--out", "no", names=["have no box, or several"])
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaa">]><annotation>&a;</annotation>'
    hostile = write_boxes(bench.folder / "hostile")
    put(hostile / "04.xml", bomb)
    bench.refuses(3, "train", hostile, *TINY, "--out", "no", names=["04.xml", "declares entities"])
    flat = write_boxes(bench.folder / "flat", {2: thing("cat", (9, 9, 8, 20))})
    bench.refuses(3, "train", flat, *TINY, "--out", "no", names=["02.jpg", "a box without area: object 1"])
    bench.works("train", flat, *TINY, "--on-bad", "skip", "--out", "run2")
    return "one object an image is learnt; several and none are counted; entities, no area: named"


def coco(bench: Bench) -> str:
    for index in range(14):
        put(bench.folder / "set" / "images" / f"{index:02d}.jpg", encoded(photo(f"coco{index}"), "JPEG"))
    good: dict[str, Any] = {
        "images": [{"id": 7 * n, "file_name": f"{n:02d}.jpg", "height": 64, "width": 96} for n in range(14)],
        "annotations": [
            {"id": 100 + n, "image_id": 7 * n, "category_id": 3 + 40 * (n % 2), "bbox": [5, 6, 40, 30]}
            for n in range(14)
        ],
        "categories": [{"id": 43, "name": "dog"}, {"id": 3, "name": "cat"}],
    }

    def saved(**parts: Any) -> None:
        put(bench.folder / "set" / "instances.json", json.dumps(good | parts))

    saved()
    bench.works("train", "set", *TINY, "--out", "run")
    rows = good["annotations"]
    for change, says in (
        ({"image_id": 5}, "annotation 100 has the image_id 5"),
        ({"category_id": 4}, "annotation 100 has the category_id 4"),
        ({"bbox": [1, 2, 3]}, "annotation 100 is not x, y, width, height"),
    ):
        saved(annotations=[rows[0] | change, *rows[1:]])
        bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["instances.json", says])
    saved(annotations=[rows[0] | {"bbox": [5, 6, 0, 30]}, *rows[1:]])
    bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["a box without area: annotation 100"])
    saved(categories=None)
    bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["instances.json", "categories"])
    return "ids with gaps are mapped, what is wrong is named by its annotation"


def yolo(bench: Bench) -> str:
    lines = {
        "2 0.5 0.5 0.2 0.2": "class 2, and data.yaml has 2 classes",
        "0 0.5 1.5 0.2 0.2": "the share 1.5 is not in 0 to 1",
        "0 0.5 0.5 0.2": "4 columns, not 5",
        "0 0.5 0.5 0.2 0.2 0.9": "6 columns, not 5",
    }
    for index in range(14):
        put(bench.folder / "set" / "images" / f"{index:02d}.jpg", encoded(photo(f"yolo{index}"), "JPEG"))
        put(bench.folder / "set" / "labels" / f"{index:02d}.txt", f"{index % 2} 0.5 0.5 0.25 0.3\n")
    put(bench.folder / "set" / "data.yaml", "nc: 2\nnames: [cat, dog]\n")
    for line, says in lines.items():
        put(bench.folder / "set" / "labels" / "03.txt", f"0 0.5 0.5 0.25 0.3\n{line}\n")
        bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["03.txt:2", says])
    put(bench.folder / "set" / "labels" / "03.txt", "")
    found = json.loads(bench.works("check", "set", "--out", "sheet", "--json").out)
    empty = [item["ids"] for item in found["findings"] if item["kind"] == "no_box"]
    expect(empty == [["images/03.jpg"]], f"the check says {empty} have no boxes")
    expect(list(found["dataset"]["classes"]) == ["cat", "dog"], "the classes are not those of data.yaml")
    return f"{len(lines)} wrong lines are named by file and line; an empty file is background"


def turned(bench: Bench) -> str:
    """The same photo under all eight tags; boxes are those of the upright image, and none lies beyond it."""
    from striate.data import open_dataset
    from striate.data.upright import upright

    upside = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # what undoes each turn

    picture = np.asarray(photo("turned", (HEIGHT, WIDTH)))
    for tag in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = tag
        lying = np.ascontiguousarray(upright(picture, upside[tag]))
        put(bench.folder / "set" / f"{tag}.png", encoded(Image.fromarray(lying), exif=exif))
        put(bench.folder / "set" / f"{tag}.xml", f"<annotation>{thing('cat', (5, 6, WIDTH, 40))}</annotation>")
    dataset = open_dataset(bench.folder / "set")
    for index in range(8):
        expect(np.array_equal(dataset.images.read(index), picture), f"{dataset.ids[index]} is not upright")
    outcome = bench.works("check", "set", "--out", "sheet")
    expect("beyond the border" not in outcome.out, f"the check says {outcome.out}")
    return "eight tags, one image, one box of the upright image"


def small(bench: Bench) -> str:
    root = write_boxes(bench.folder / "small")
    for name, size_hw in (("dot", (1, 1)), ("wide", (3, 200))):
        put(root / f"{name}.png", encoded(photo(name, size_hw)))
        put(root / f"{name}.xml", f"<annotation>{thing('cat', (1, 1, size_hw[1], size_hw[0]))}</annotation>")
    found = json.loads(bench.works("check", root, "--out", "sheet", "--json").out)["findings"]
    tiny = [item["ids"] for item in found if item["kind"] == "tiny"]
    expect(tiny == [["dot.png", "wide.png"]], f"the check says {tiny}")
    bench.works("train", root, *TINY, "--out", "run")
    return "boxes of 1x1 and 3x200 images are trained on"


ROWS = (
    Row("A10b", "boxes of images that EXIF turns", turned),
    Row("A12b", "boxes of 1x1 and 3x200 images", small),
    Row("B9b", "COCO boxes: ids with gaps, unknown ids, no area, no categories", coco),
    Row("B10", "YOLO labels: a class or a share beyond, 4 or 6 columns, an empty file", yolo),
    Row("B11b", "VOC boxes: several objects, none, an entity, no area", voc),
)
