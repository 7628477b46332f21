"""A10, A12, B9, B11 and B12 for masks and the boxes beside them."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .bench import Bench, expect
from .pictures import SMALL, Pixels, encoded, photo, put
from .sheet import Row

TINY = (*SMALL, "--task", "segment", "--size", "32")
HEIGHT, WIDTH = 48, 64


def areas(seed: int, size_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> Pixels:
    """Return a mask with areas of the classes 0, 1 and 2."""
    rng, mask = np.random.default_rng(seed), np.zeros(size_hw, np.uint8)
    for label in (1, 2):
        top, left = (int(rng.integers(0, max(1, side // 2))) for side in size_hw)
        mask[top : top + max(1, size_hw[0] // 3), left : left + max(1, size_hw[1] // 3)] = label
    return mask


def write_masks(root: Path, change: Mapping[int, Pixels] | None = None, count: int = 14) -> Path:
    """Write `images/NN.jpg` and `masks/NN.png`, some masks as given; return the root."""
    for index in range(count):
        put(root / "images" / f"{index:02d}.jpg", encoded(photo(f"{root.name}{index}", (HEIGHT, WIDTH)), "JPEG"))
        put(root / "masks" / f"{index:02d}.png", encoded((change or {}).get(index, areas(index))))
    return root


def values(bench: Bench) -> str:
    rim, strange, small = areas(3), areas(4), areas(5, (40, 64))
    rim[6, 9] = rim[8, 1] = 255
    strange[7, 11] = 99
    with_rim = write_masks(bench.folder / "rim", {3: rim})
    said = bench.works("check", with_rim, "--out", "sheet", "--strict").out
    expect("left out of loss and scores: 255" in said, "nothing says what 255 is taken for")
    listed = write_masks(bench.folder / "listed", {4: strange, 5: small})
    put(listed / "classes.txt", "0 sky\n1 road\n2 car\n")
    says = ["2 of 14 images", "99", "row 7, column 11", "04.jpg"]
    bench.refuses(3, "train", listed, *TINY, "--out", "no", names=says)
    found = json.loads(bench.works("check", listed, "--out", "sheet2", "--json").out)["findings"]
    bad = [item for item in found if item["kind"] == "unusable_mask"]
    expect([item["ids"] for item in bad] == [["images/04.jpg", "images/05.jpg"]], f"the check says {bad}")
    bench.works("train", listed, *TINY, "--on-bad", "skip", "--ignore", "99", "--out", "ignored")
    return "255 is left out and said; an unknown number, another shape: refused, named, skipped or ignored as asked"


def colours(bench: Bench) -> str:
    table = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    root = write_masks(bench.folder / "colours", {index: table[areas(index)] for index in range(14)})
    found = json.loads(bench.works("check", root, "--out", "sheet", "--json").out)["dataset"]["pixels"]["train"]
    expect(sorted(found) == ["#000000", "#008000", "#800000"], f"classes {list(found)}")
    put(root / "class_dict.csv", "name,r,g,b\nsky,0,0,0\nroad,128,0,0\n")
    bench.refuses(3, "train", root, *TINY, "--out", "no", names=["#008000", "row", "none of its 2 classes"])
    put(root / "class_dict.csv", "name,r,g,b\nsky,0,0,0\nroad,128,0,0\ncar,0,128,zero\n")
    bench.refuses(3, "check", root, "--out", "no", names=["class_dict.csv:4", "car,0,128,zero"])
    lossy = write_masks(bench.folder / "lossy")
    for index in range(14):
        (lossy / "masks" / f"{index:02d}.png").unlink()
        put(lossy / "masks" / f"{index:02d}.jpg", encoded(areas(index), "JPEG"))
    bench.refuses(3, "check", lossy, "--out", "no", names=["saved as JPEG", "masks/00.jpg", "PNG"])
    return "colours are classes, named by a list; lossy numbers are refused"


def turned(bench: Bench) -> str:
    """The same photo and mask under all eight tags: the mask lies as the image does in its file."""
    from striate.data import open_dataset
    from striate.data.upright import upright

    upside = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # what undoes each turn
    picture, mask = np.asarray(photo("turned", (HEIGHT, WIDTH))), areas(1)
    mask[:6, :9] = 2
    for tag in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = tag
        lying = np.ascontiguousarray(upright(picture, upside[tag]))
        put(bench.folder / "set" / "images" / f"{tag}.png", encoded(Image.fromarray(lying), exif=exif))
        lying = np.ascontiguousarray(upright(mask[..., None], upside[tag])[..., 0])
        put(bench.folder / "set" / "masks" / f"{tag}.png", encoded(lying))
    dataset = open_dataset(bench.folder / "set")
    for index, name in enumerate(dataset.ids):
        expect(np.array_equal(dataset.images.read(index), picture), f"{name} is not upright")
        expect(np.array_equal(dataset.target().read(index), mask), f"the mask of {name} does not follow it")
    outcome = bench.works("check", "set", "--out", "sheet")
    expect("0 errors" in outcome.out, f"the check says {outcome.out}")
    expect("turned upright by EXIF, and their masks are read with them" in outcome.out, "nothing is said")
    return "eight tags, one image, one mask"


def small(bench: Bench) -> str:
    root = write_masks(bench.folder / "small")
    put(root / "images" / "dot.png", encoded(Image.new("RGB", (1, 1), (90, 80, 70))))
    put(root / "masks" / "dot.png", encoded(Image.new("L", (1, 1), 1)))
    put(root / "images" / "wide.png", encoded(photo("wide", (3, 200))))
    put(root / "masks" / "wide.png", encoded(areas(1, (3, 200))))
    found = json.loads(bench.works("check", root, "--out", "sheet", "--json").out)["findings"]
    tiny = [item["ids"] for item in found if item["kind"] == "tiny"]
    expect(tiny == [["images/dot.png", "images/wide.png"]], f"the check says {tiny}")
    bench.works("train", root, *TINY, "--out", "run")
    return "masks of 1x1 and 3x200 are trained on"


def coco(bench: Bench) -> str:
    for index in range(14):
        put(bench.folder / "set" / "images" / f"{index:02d}.jpg", encoded(photo(f"coco{index}"), "JPEG"))
    box = [[5, 5, 40, 5, 40, 30, 5, 30]]
    good: dict[str, Any] = {
        "images": [{"id": 7 * n, "file_name": f"{n:02d}.jpg", "height": 64, "width": 96} for n in range(14)],
        "annotations": [
            {"id": 100 + n, "image_id": 7 * n, "category_id": 3 + 40 * (n % 2), "segmentation": box} for n in range(14)
        ],
        "categories": [{"id": 43, "name": "dog"}, {"id": 3, "name": "cat"}],
    }

    def saved(**parts: Any) -> None:
        content = {name: value for name, value in (good | parts).items() if value is not None}
        put(bench.folder / "set" / "instances.json", json.dumps(content))

    saved()
    found = json.loads(bench.works("check", "set", "--out", "sheet", "--json").out)["dataset"]["pixels"]["train"]
    expect(list(found) == ["background", "cat", "dog"], f"classes {list(found)}")
    rows = good["annotations"]
    for change, says in (
        ({"image_id": 5}, "annotation 100 has the image_id 5"),
        ({"category_id": 4}, "annotation 100 has the category_id 4"),
        ({"segmentation": [[1, 2, 3]]}, "annotation 100 cannot be read"),
        ({"segmentation": {"size": [64, 96], "counts": [1, 2]}}, "annotation 100 cannot be read"),
    ):
        saved(annotations=[rows[0] | change, *rows[1:]])
        bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["instances.json", says])
    saved(categories=None)
    bench.refuses(3, "train", "set", *TINY, "--out", "no", names=["instances.json", "categories"])
    saved(annotations=[rows[0] | {"segmentation": [[5, 5, 9, 5, 20, 5]]}, *rows[1:]])
    outcome = bench.works("check", "set", "--out", "sheet2")
    expect("annotation 100" in outcome.out and "without area" in outcome.out, "an outline without area is not named")
    return "ids with gaps are mapped, what is wrong is named by its annotation"


def boxes(bench: Bench) -> str:
    lines = []
    for index in range(14):
        name = f"{'cat' if index % 2 else 'Dog'}_{index}"
        put(bench.folder / "pets" / "images" / f"{name}.jpg", encoded(photo(name), "JPEG"))
        put(bench.folder / "pets" / "annotations" / "trimaps" / f"{name}.png", encoded(areas(index, (64, 96)) + 1))
        lines.append(f"{name} {1 + index % 2} {1 + index % 2} 1")
    put(bench.folder / "pets" / "annotations" / "trainval.txt", "\n".join(lines))
    bench.works("check", "pets", "--out", "sheet")
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    thing = "<annotation><object><name>{}</name><bndbox>{}</bndbox></object></annotation>"
    for text, says in (
        (f"{bomb}]><annotation>&j;</annotation>", "declares entities"),
        (thing.format("cat", "<xmin>1</xmin>"), "no number ymin"),
        (thing.format("", ""), "no name"),
        ("<annotation>", "no XML"),
    ):
        put(bench.folder / "pets" / "annotations" / "xmls" / "cat_1.xml", text)
        start_s = time.monotonic()
        bench.refuses(3, "check", "pets", "--out", "no", names=["cat_1.xml", says])
        expect(time.monotonic() - start_s < 20, "it takes long")
    return "entities, a missing side, no name, half a file"


ROWS = (
    Row("A10m", "masks of images that EXIF turns", turned),
    Row("A12m", "masks of 1x1 and 3x200 pixels", small),
    Row("B9m", "COCO outlines: ids with gaps, unknown ids, no area, no categories", coco),
    Row("B11", "VOC XML: an entity bomb, a missing side, no name", boxes),
    Row("B12", "masks: 255, an unknown number, another size", values),
    Row("B12c", "masks in colour, a broken list of classes, lossy masks", colours),
)
