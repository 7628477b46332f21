"""B1 to B7: what class folders can say wrongly."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

from .bench import Bench, expect
from .pictures import SMALL, encoded, pixels, put, write_split, write_tree
from .sheet import Row

CLASSES = ("ant", "bee", "cat")
TREE = "DATA/train/cat/1.jpg"


def _document(path: Path) -> Any:
    return json.loads(path.read_text())


def class_missing(bench: Bench) -> None:
    full, without = CLASSES, ("ant", "cat")
    data = write_split(bench.folder / "data", {"train": full, "val": without, "test": without})
    outcome = bench.works("train", data, *[word for word in SMALL if word != "-q"], "--out", "run")
    warned = [line for line in outcome.err.split("\n") if line.startswith("warning:") and "bee" in line]
    expect(warned, f"no warning names the class: {outcome.err[-300:]}")
    info, scores = (_document(bench.folder / "run" / f"{name}.json") for name in ("run", "scores"))
    expect(info["task"]["names"] == list(full), f"class list {info['task']['names']}")
    for split in ("val", "test"):
        bee = next(row for row in scores[split]["per_class"] if row["name"] == "bee")
        expect(bee["support"] == 0 and bee["recall"] is None, f"a class that is not in {split} has recall {bee}")
        rows = scores[split]["confusion"]
        expect(len(rows) == 3 and sum(rows[1]) == 0 and sum(rows[2]) == 8, f"indices have moved in {split}: {rows}")


def class_only_in_val(bench: Bench) -> None:
    data = write_split(bench.folder / "data", {"train": ("ant", "bee"), "val": CLASSES})
    bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["'cat'", "val", "not in train"])
    bench.refuses(3, "check", data, "--out", "sheet", names=["'cat'", "val"])


def empty_class(bench: Bench) -> None:
    data = write_tree(bench.folder / "data")
    (data / "eel").mkdir()
    bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["eel", "empty", "remove it", "--allow-empty"])
    bench.works("train", data, *SMALL, "--out", "run", "--allow-empty")
    expect(_document(bench.folder / "run" / "run.json")["task"]["names"] == ["cat", "dog", "eel"], "the class is gone")
    bench.works("check", data, "--out", "sheet")


def numeric_names(bench: Bench) -> None:
    names = [str(number) for number in (1, 2, 9, 10, 11, 100)]
    data = write_tree(bench.folder / "data", names, 8)
    bench.works("train", data, *SMALL, "--out", "run", "--set", "train.epochs=2")
    info, scores = (_document(bench.folder / "run" / f"{name}.json") for name in ("run", "scores"))
    expect(info["task"]["names"] == info["dataset"]["classes"] == names, f"saved as {info['task']['names']}")
    with (bench.folder / "run" / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    expect(all(row["truth"] == row["id"].split("/")[0] for row in rows), "a truth is not its folder")
    for row in scores["test"]["per_class"]:
        mine = [one for one in rows if one["truth"] == row["name"]]
        right = sum(one["prediction"] == one["truth"] for one in mine) / len(mine)
        expect(abs(row["recall"] - right) < 1e-9, f"recall of {row['name']} is {row['recall']}, not {right}")


def almost_equal_names(bench: Bench) -> None:
    for place, pair in enumerate((("Cat", "cat"), ("\u00e9tude", "e\u0301tude"), ("owl", "owl "))):
        data = write_tree(bench.folder / f"data{place}", (*pair, "zebra"), 3)
        outcome = bench.refuses(3, "train", data, *SMALL, "--out", "run", names=["differ only"])
        shown = [repr(name) if name.isascii() else ascii(name) for name in pair]
        expect(all(name in outcome.last.replace("\\\\", "\\") for name in shown), f"does not name both: {outcome.last}")


def label_order(bench: Bench) -> None:
    names = ["10", "2", "b\u00e4r", "Ape"]
    wanted = ["2", "10", "Ape", "b\u00e4r"]
    data = write_tree(bench.folder / "data", names, 8)
    bench.works("train", data, *SMALL, "--out", "run")
    picture = put(bench.folder / "new" / "one.png", encoded(pixels("new")))
    shutil.rmtree(data)
    info, scores = (_document(bench.folder / "run" / f"{name}.json") for name in ("run", "scores"))
    given = json.loads(bench.works("predict", "run", picture, "--json").out)["predictions"][0]
    with (bench.folder / "run" / "predictions.csv").open(newline="") as file:
        head = [name[2:] for name in next(csv.reader(file)) if name.startswith("p:")]
    places = {
        "run.json (task)": info["task"]["names"],
        "run.json (dataset)": info["dataset"]["classes"],
        "scores.json": [row["name"] for row in scores["test"]["per_class"]],
        "predictions.csv": head,
        "predict": list(given["probabilities"]),
    }
    for place, found in places.items():
        expect(found == wanted, f"{place} has the order {found}")
    best = max(given["probabilities"], key=given["probabilities"].get)
    expect(given["prediction"] == [best], "the prediction is not the largest probability")


def layouts(bench: Bench) -> None:
    for index in range(6):
        put(bench.folder / "loose" / f"{index}.png", encoded(pixels(str(index))))
    one = write_tree(bench.folder / "one", ("cat",), 6)
    (bench.folder / "nothing").mkdir()
    for data, says in (("loose", "directly in the folder"), (one, "only one class"), ("nothing", "no images")):
        outcome = bench.refuses(3, "train", data, *SMALL, "--out", "run", names=[says, str(data)])
        expect(TREE in outcome.err, f"{says}: no image of the tree that is expected")
    few = write_tree(bench.folder / "few", num=1)
    outcome = bench.refuses(3, "train", few, *SMALL, "--out", "run", names=["2 images", "few", "would be empty"])


def masks_and_boxes(bench: Bench) -> str:
    photos = {f"{index:02d}": encoded(pixels(str(index)), "JPEG") for index in range(8)}
    box = "<annotation><object><name>a</name><bndbox><xmin>1</xmin></bndbox></object></annotation>"
    coco = {
        "images": [{"file_name": "00.jpg"}],
        "annotations": [{"image_id": 0, "bbox": [1, 2, 3, 4]}],
        "categories": [],
    }
    for name, content in photos.items():
        for folder in ("voc/JPEGImages", "yolo/train/images", "coco/images"):
            put(bench.folder / folder / f"{name}.jpg", content)
        put(bench.folder / "voc" / "Annotations" / f"{name}.xml", box)
        put(bench.folder / "yolo" / "train" / "labels" / f"{name}.txt", "0 0.5 0.5 0.2\n")
    put(bench.folder / "coco" / "annotations" / "instances.json", json.dumps(coco))
    kinds = {
        "voc": ["a has no number ymin", "Annotations/00.xml"],
        "yolo": ["4 columns, not 5", "00.txt:1"],
        "coco": ["image None has no file name", "instances.json"],
    }
    for name, said in kinds.items():
        for words in (("check", name), ("train", name, *SMALL)):
            bench.refuses(3, *words, "--out", "out", names=said)
    rows = [f"JPEGImages/{name}.jpg,{'ab'[index % 2]}" for index, name in enumerate(photos)]
    put(bench.folder / "voc" / "labels.csv", "\n".join(["path,label", *rows]))
    bench.works("check", "voc/labels.csv", "--out", "sheet")
    for band, name in enumerate(("images", "masks", "labels")):  # classes may be called so, and numbered alike
        for index in range(8):
            put(
                bench.folder / "plain" / name / f"{index}.png",
                encoded(pixels(f"{name}{index}", band=band, num_bands=3)),
            )
    found = json.loads(bench.works("check", "plain", "--out", "plain-sheet", "--json").out)["dataset"]
    expect(list(found["classes"]) == ["images", "labels", "masks"], f"classes {list(found['classes'])}")
    return f"{len(kinds)} layouts refused by name"


def other_data(bench: Bench) -> str:
    data = write_split(bench.folder / "data", {"train": CLASSES, "val": CLASSES, "test": CLASSES})
    bench.works("train", data, *SMALL, "--out", "run")
    others = {"one": (("cat",), ""), "two": (("ant", "cat"), ""), "held": (("bee", "cat"), "test")}
    for place, (names, split) in others.items():
        for name in names:
            for index in range(4):
                content = encoded(pixels(f"{place}{name}{index}", band=CLASSES.index(name), num_bands=3))
                put(bench.folder / place / "new" / split / name / f"{index}.png", content)
        found = json.loads(bench.works("evaluate", "run", f"{place}/new", "--json", "-q").out)
        expect(found["scores"]["num_images"] == 4 * len(names), f"{place}: {found['scores']['num_images']} images")
        recalls = {row["name"]: row["recall"] for row in found["scores"]["per_class"]}
        expect([recalls[name] is None for name in CLASSES] == [name not in names for name in CLASSES], f"{recalls}")
        rows = [f"{split}/{name}/{index}.png,{name},test".lstrip("/") for name in names for index in range(4)]
        put(bench.folder / place / "new" / "list.csv", "\n".join(["path,label,split", *rows]))
        again = json.loads(bench.works("evaluate", "run", f"{place}/new/list.csv", "--json", "-q").out)
        expect(again["scores"]["accuracy"] == found["scores"]["accuracy"], f"{place}: the list gives other scores")
    where = [_document(path)["data"]["where"] for path in (bench.folder / "run" / "evaluations").glob("*/scores.json")]
    expect(len(set(where)) == 2 * len(others), f"scores of {where}")
    (bench.folder / "two" / "new" / "eel").mkdir()
    shutil.copy(bench.folder / "one" / "new" / "cat" / "0.png", bench.folder / "two" / "new" / "eel")
    bench.refuses(3, "evaluate", "run", "two/new", names=["eel", "does not know"])
    shutil.move(data, bench.folder / "moved")
    bench.refuses(3, "evaluate", "run", names=["are gone", "--data"])
    bench.works("evaluate", "run", "--data", "moved", may_change=["run/evaluations"])
    bench.works("evaluate", "run", "--data", "moved", "--calibrate", may_change=["run"])
    return f"{len(where)} other sets"


ROWS = (
    Row("B1", "class missing from val and test", class_missing),
    Row("B2", "class only in val", class_only_in_val),
    Row("B3", "empty class folder", empty_class),
    Row("B4", "class names 1, 2, 10", numeric_names),
    Row("B5", "names that differ by case, Unicode form or blanks", almost_equal_names),
    Row("B6", "label order at predict time, data deleted", label_order),
    Row("B7", "loose images, one class, nothing, too few", layouts),
    Row("B10", "other data for a run: only test, one class, a list; moved", other_data),
    Row("B9", "folders of masks or boxes are no classes", masks_and_boxes),
)
