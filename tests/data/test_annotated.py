"""Images with boxes are known by what their files hold; class folders are class folders, whatever they are called."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from masked import SIZE_HW, numbered, put_masks, put_photos
from pictures import tree
from PIL import Image

from striate.base.errors import DataError
from striate.cli.app import run
from striate.data import open_dataset
from striate.data.open import find

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
VOC = f"<annotation>{f'<object><name>{{0}}</name>{BOX}</object>' * 2}</annotation>"
YOLO = "0 0.5 0.5 0.25 0.3\n1 0.1 0.2 0.1 0.1\n"


def refused(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        open_dataset(root, allow_empty=True)
    assert caught.value.fix and len(caught.value.line) <= 240
    return caught.value


def put(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)


def voc(root: Path) -> None:
    put_photos(root / "JPEGImages", numbered(".jpg"))
    put(root / "Annotations", {name: VOC.format("x") for name in numbered(".xml")})
    put(root / "ImageSets" / "Main", {"train.txt": "000\n001\n"})


def yolo(root: Path) -> None:
    for split in ("train", "val"):
        put_photos(root / "images" / split, numbered(".jpg"))
        put(root / "labels" / split, {name: "" if name.startswith("000") else YOLO for name in numbered(".txt")})
    put(root, {"data.yaml": "nc: 2\nnames: [a, b]\n"})


def yolo_in_splits(root: Path) -> None:
    for split in ("train", "valid", "test"):
        put_photos(root / split / "images", numbered(".jpg"))
        put(root / split / "labels", dict.fromkeys(numbered(".txt"), YOLO))


def yolo_beside(root: Path) -> None:
    for scene in ("scene1", "scene2"):
        put_photos(root / scene, numbered(".jpg"))
        put(root / scene, dict.fromkeys(numbered(".txt"), YOLO))


def coco_document(names: list[str], label: str = "person", **more: object) -> str:
    images = [{"id": index, "file_name": name} for index, name in enumerate(names)]
    rows = [{"id": index, "image_id": index // 2, "category_id": 1, **more} for index in range(len(names) + 1)]
    return json.dumps({"images": images, "annotations": rows, "categories": [{"id": 1, "name": label}]})


def coco(root: Path) -> None:
    for split in ("train2017", "val2017"):
        put_photos(root / split, numbered(".jpg"))
        put(root / "annotations", {f"instances_{split}.json": coco_document(numbered(".jpg"), bbox=[1, 2, 3, 4])})


def coco_in_splits(root: Path) -> None:
    for split in ("train", "valid"):
        put_photos(root / split, numbered(".jpg"))
        put(root / split, {"_annotations.coco.json": coco_document(numbered(".jpg"), bbox=[1, 2, 3, 4])})


def coco_in_batches(root: Path) -> None:
    for batch in ("batch_1", "batch_2", "batch_3"):
        put_photos(root / batch, numbered(".jpg"))
    put(root, {"annotations.json": coco_document(["batch_1/000.jpg"], bbox=[1, 2, 3, 4])})


def cvat(root: Path) -> None:
    put_photos(root / "images", numbered(".jpg"))
    put(
        root,
        {"annotations.xml": '<?xml version="1.0"?><annotations><image id="0"><box label="a"/></image></annotations>'},
    )


def boxes_table(root: Path) -> None:
    for split in ("train", "test"):
        put_photos(root / split, numbered(".jpg"))
        put(
            root / split,
            {"_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n000.jpg,9,9,a,1,1,2,2\n"},
        )


def dogs(root: Path) -> None:
    for seed, name in enumerate(("n01-Chihuahua", "n02-Spaniel")):
        names = [f"{name[:3]}_{index}" for index in range(5)]
        put_photos(root / "Images" / name, [f"{one}.jpg" for one in names], 10 * seed)
        put(root / "Annotation" / name, {one: VOC.format(name[4:]) for one in names})


@pytest.mark.parametrize(
    ("make", "counts", "names"),
    [
        (voc, {0: 0, 2: 2}, ("x",)),  # of six images two are listed
        (yolo, {0: 2, 2: 10}, ("a", "b")),
        (yolo_in_splits, {2: 18}, ("0", "1")),
        (yolo_beside, {2: 12}, ("0", "1")),
        (coco, {0: 4, 1: 2, 2: 6}, ("person",)),
        (coco_in_splits, {0: 4, 1: 2, 2: 6}, ("person",)),
        (coco_in_batches, {2: 1}, ("person",)),
        (boxes_table, {1: 2}, ("a",)),
        (dogs, {2: 10}, ("Chihuahua", "Spaniel")),
    ],
)
def test_boxes_are_read(tmp_path: Path, make: Callable[[Path], None], counts: dict[int, int], names: object) -> None:
    make(tmp_path)
    data = find(str(tmp_path), {})
    found = np.bincount(np.diff(data.target("box").starts), minlength=3)
    assert next(iter(data.targets)) == "box" and data.target().names == names
    assert {number: found[number] for number in counts} == counts and found.sum() == sum(counts.values())


@pytest.mark.parametrize(("make", "says"), [(cvat, "CVAT: annotations.xml")])
def test_formats_that_are_not_read_are_named(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path)
    problem = refused(tmp_path)
    assert says in problem.what and "not read yet" in problem.what and "COCO JSON" in problem.fix, problem.line


def test_captions_are_not_classes(tmp_path: Path) -> None:
    for split in ("train2014", "val2014"):
        put_photos(tmp_path / split, numbered(".jpg"))
    put(tmp_path / "annotations", {"captions_train2014.json": coco_document(numbered(".jpg"), caption="a cat")})
    problem = refused(tmp_path)
    assert "captioning is not a task yet" in problem.what and "path,label" in problem.fix


def numbered_classes(root: Path) -> None:
    for seed, name in enumerate(("cat", "dog", "images", "labels", "masks")):
        put_photos(root / name, numbered(".png", 8), 20 * seed)


def images_and_masks(root: Path) -> None:
    put_photos(root / "images", numbered(".jpg", 10))
    put_photos(root / "masks", numbered(".jpg", 10), 50)


def digits(root: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("0", "1", "7"):  # strokes on black, some of few grey levels: as in MNIST
        (root / name).mkdir(parents=True)
        for number in range(8):
            pixels = np.zeros((28, 28), np.uint8)
            strokes = rng.integers(2, 26, (int(rng.integers(15, 220)), 2))
            pixels[strokes[:, 0], strokes[:, 1]] = rng.integers(1, 256, len(strokes))
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def shapes(root: Path) -> None:
    for name, levels in (("circle", 2), ("square", 3), ("line", 2)):
        put_masks(root / name, numbered(".png", 8), "binary" if levels == 2 else "L")


def icons_and_photos(root: Path) -> None:
    put_photos(root / "photo", [f"photo{index}.png" for index in range(8)])
    put_masks(root / "icon", [f"icon{index}.png" for index in range(8)])


def flat(root: Path) -> None:
    put_photos(root / "full", numbered(".png", 8))
    (root / "none").mkdir()
    for number, name in enumerate(numbered(".png", 8)):
        Image.new("RGB", SIZE_HW[::-1], (number, 9, 9)).save(root / "none" / name)


def sidecars(root: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        put_photos(root / name, numbered(".jpg", 8), 20 * seed)
        put(root / name, dict.fromkeys(numbered(".txt", 8), f"a photo of a {name}, 4k"))
        put(root / name, {f"{one}.json": json.dumps({"title": one, "url": "x"}) for one in numbered(".jpg", 8)})
        put(root / name, dict.fromkeys(numbered(".cls.txt", 8), "3"))
    listing = coco_document(numbered(".jpg", 8))
    put(root, {"train.json": listing, "counts.csv": "class,number\ncat,8\n", "classes.txt": "cat\ndog\n"})


def boxes_of_the_classes(root: Path) -> None:
    for seed, name in enumerate(("cat", "dog")):
        put_photos(root / name, numbered(".jpg", 8), 20 * seed)
    document = json.loads(coco_document(numbered(".jpg", 8), "Cat", bbox=[1, 2, 3, 4]))
    document["categories"].append({"id": 2, "name": "dog"})
    put(root, {"boxes.json": json.dumps(document)})


@pytest.mark.parametrize(
    "make",
    [
        *(numbered_classes, images_and_masks, digits, shapes, icons_and_photos, flat, sidecars),
        boxes_of_the_classes,
    ],
)
def test_class_folders_are_classes(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    assert open_dataset(tmp_path).classes == tuple(sorted(path.name for path in tmp_path.iterdir() if path.is_dir()))


def test_every_command_refuses_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cvat(tmp_path / "set")
    monkeypatch.chdir(tmp_path)  # a long path would shorten the line
    for command in ("check", "train"):  # the others open their data alike
        assert run([command, "set", "--out", "out"]) == 3, command
        last = capsys.readouterr().err.strip().split("\n")[-1]
        assert "not read yet" in last and "COCO JSON" in last, last
    assert not (tmp_path / "out").exists()


def test_real_sets(real_data: Path) -> None:
    data = open_dataset(real_data / "bccd")
    boxes = data.target()
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 170, "val": 64, "test": 58}
    assert dict(zip(boxes.names, np.bincount(boxes.labels), strict=True)) == {"Platelets": 287, "RBC": 3270, "WBC": 299}
    for name in (
        "birds",
        "birds/images",
        "cats_dogs",
        "cifar10/val",
        "cifar10_exact",
        "flowers102",
        "flowers102/train",
    ):
        assert len(open_dataset(real_data / name).classes) in {2, 10, 89}


def test_real_digits_in_folders(real_data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(real_data / "mnist")
    labels = dataset.target().values
    for kind in range(10):
        (tmp_path / str(kind)).mkdir()
        for number, index in enumerate(np.flatnonzero(labels == kind)[:12]):
            Image.fromarray(dataset.images.read(int(index))[..., 0]).save(tmp_path / str(kind) / f"{number}.png")
    assert len(open_dataset(tmp_path).classes) == 10


def test_numbered_class_folders_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {"cat": 8, "dog": 8, "images": 8})
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("an image was loaded"))
    assert len(open_dataset(root)) == 24
