"""Images with boxes from Pascal VOC and COCO: the boxes, the classes, the splits, the refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
from masked import numbered, put_masks, put_photos
from PIL import Image, ImageOps

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.task import fit_task

NAMES = ("cat", "dog")
SIDES = [(3 + number, 2, 30 + number, 40) for number in range(6)]  # xmin, ymin, xmax, ymax as VOC counts: from 1


def thing(name: str, sides: tuple[int, ...]) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in corners)
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def put_voc(root: Path, things: list[str]) -> None:
    put_photos(root / "JPEGImages", numbered(".jpg"))
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for name, text in zip(numbered(".xml"), things, strict=True):
        (root / "Annotations" / name).write_text(f"<annotation>{text}</annotation>")
    (root / "ImageSets/Main/train.txt").write_text("000\n001\n002\n003\n")
    (root / "ImageSets/Main/val.txt").write_text("004\n005\n")


def put_coco(root: Path, rows: list[dict], names: tuple[str, ...] = NAMES) -> None:
    put_photos(root / "images", numbered(".jpg"))
    images = [{"id": 10 + n, "file_name": name, "height": 48, "width": 64} for n, name in enumerate(numbered(".jpg"))]
    categories = [{"id": number, "name": name} for number, name in enumerate(("none", *names))]
    annotations = [{"id": number, **row} for number, row in enumerate(rows)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(document))


def coco_rows(**more: object) -> list[dict]:
    return [{"image_id": 10 + n, "category_id": 1 + n % 2, "bbox": [n, 2.5, 20, 30 + n], **more} for n in range(6)]


def test_voc(tmp_path):
    put_voc(tmp_path, [thing(NAMES[number % 2], sides) for number, sides in enumerate(SIDES)])
    data = open_dataset(tmp_path)
    assert list(data.targets) == ["box", "label"] and data.target("box").names == NAMES
    by_hand = np.array(SIDES) - [1, 1, 0, 0]
    order = [f"JPEGImages/{name}" for name in numbered(".jpg")]
    rows = [order.index(name) for name in data.ids]
    assert (data.target("box").xyxy == by_hand[rows]).all()
    assert data.target("label").values.tolist() == [row % 2 for row in rows]
    assert [data.ids[i][-7:-4] for i in data.splits["val"]] == ["004", "005"]
    assert len(data.splits["train"]) == 3  # of the four listed, one is for test: there is no list of that
    assert open_dataset(tmp_path, task="classify").target().names == NAMES


def test_voc_beside_the_images_in_splits(tmp_path):
    for split, name in (("train", "cat"), ("valid", "cat"), ("test", "cat")):
        put_photos(tmp_path / split, numbered(".jpg"))
        for file, sides in zip(numbered(".xml"), SIDES, strict=True):
            (tmp_path / split / file).write_text(f"<annotation>{thing(name, sides)}</annotation>")
    (tmp_path / "test" / "005.xml").unlink()
    data = open_dataset(tmp_path)
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 6, "val": 6, "test": 5}
    assert list(data.targets) == ["box"]  # one class: nothing to tell apart
    assert any("1 image without a file of boxes" in note for note in data.notes)
    assert fit_task(data.targets, data.splits["train"]).name == "localise"


def test_coco(tmp_path):
    put_coco(tmp_path, coco_rows())
    data = open_dataset(tmp_path)
    assert data.target("box").names == NAMES
    numbers = [int(name[-7:-4]) for name in data.ids]
    assert data.target("box").xyxy.tolist() == [[n, 2.5, n + 20, 32.5 + n] for n in numbers]
    assert data.target("label").values.tolist() == [n % 2 for n in numbers]


def test_coco_with_outlines_has_masks_first(tmp_path):
    put_coco(tmp_path, coco_rows(segmentation=[[1, 1, 20, 1, 20, 20]]))
    data = open_dataset(tmp_path)
    assert list(data.targets) == ["mask", "box", "label"]
    assert open_dataset(tmp_path, task="localise").target().kind == "box"


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda rows: [*rows, rows[0]], [2, 1, 1, 1, 1, 1]),
        (lambda rows: rows[1:], [0, 1, 1, 1, 1, 1]),
        (lambda rows: [*rows[1:], rows[1]], [0, 2, 1, 1, 1, 1]),
    ],
)
def test_any_number_of_objects(tmp_path, change, counts):
    put_coco(tmp_path, change(coco_rows()))
    data = open_dataset(tmp_path)
    assert list(data.targets) == ["box"] and not data.target().is_single
    assert np.diff(data.target().starts)[np.argsort(data.ids)].tolist() == counts


def test_voc_with_several_objects_and_none(tmp_path):
    things = [thing("cat", sides) for sides in SIDES]
    put_voc(tmp_path, ["", things[1] + things[2].replace("cat", "dog"), *things[2:]])
    boxes = open_dataset(tmp_path).target()
    order = np.argsort(open_dataset(tmp_path).ids)
    assert np.diff(boxes.starts)[order].tolist() == [0, 2, 1, 1, 1, 1]
    assert boxes.text(int(order[1])) == "1 cat + 1 dog" and boxes.text(int(order[0])) == "no box"


def test_pixels_counted_from_0_are_seen(tmp_path):
    at_zero = [(0, 0, 20, 30), (0, 4, 20, 30), (5, 0, 64, 48), *SIDES[3:]]
    put_voc(tmp_path, [thing("cat", sides) for sides in at_zero])
    data = open_dataset(tmp_path)
    assert data.target().xyxy[np.argsort(data.ids)].tolist() == [list(map(float, sides)) for sides in at_zero]
    assert any("count pixels from 0" in one.text for one in data.readings)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("is_lying", [True, False])
def test_boxes_of_images_that_exif_turns(tmp_path, tag, is_lying):
    """A bright rectangle in the stored pixels: its box, in either frame, is where the upright image shows it."""
    exif, stored = Image.Exif(), np.zeros((40, 60, 3), np.uint8)
    exif[0x0112] = tag
    stored[4:10, 20:50] = 255
    for name in numbered(".png"):
        Image.fromarray(stored).save(tmp_path / name, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "000.png")))
    rows, columns = np.nonzero(upright[..., 0])
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    own = [20, 4, 50, 10] if is_lying else seen
    height, width = stored.shape[:2] if is_lying else upright.shape[:2]
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    text = thing("cat", (own[0] + 1, own[1] + 1, own[2], own[3]))
    for name in numbered(".xml"):
        (tmp_path / name).write_text(f"<annotation>{size}{text}</annotation>")
    if is_lying and 1 < tag < 5:
        return  # the size does not say: the boxes are taken for those of the upright image, with a warning
    data = open_dataset(tmp_path)
    assert (data.target().xyxy == seen).all()
    assert any("turned upright" in one.text for one in data.readings) == (tag > 1)
    assert any(one.is_doubtful for one in data.readings) == (1 < tag < 5)


def test_images_of_another_size_than_their_boxes_are_named(tmp_path):
    put_voc(tmp_path, [f"<size><width>128</width><height>96</height></size>{thing('cat', sides)}" for sides in SIDES])
    (said,) = [one for one in open_dataset(tmp_path).readings if one.is_doubtful]
    assert "another size" in said.text and "000.jpg (64x48, said to be 128x96)" in said.text


def test_ids_and_names_that_are_there_twice_are_said(tmp_path):
    put_coco(tmp_path, coco_rows(id=3), ("cat", "cat"))
    texts = [one.text for one in open_dataset(tmp_path).readings if one.is_doubtful]
    assert any("1 annotation id there twice in annotations.json: 3" in text for text in texts)
    assert any("are called 'cat'" in text for text in texts)
    path = tmp_path / "annotations.json"
    path.write_text(path.read_text().replace('{"id": 2, "name": "cat"}', '{"id": 1, "name": "dog"}'))
    with pytest.raises(DataError, match="category id 1 is there twice"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("bbox", [[1, 2, 3], "1 2 3 4", [1, 2, float("nan"), 3], None])
def test_a_bad_box_is_named(tmp_path, bbox):
    rows = coco_rows()
    rows[3]["bbox"] = bbox
    put_coco(tmp_path, rows)
    with pytest.raises(DataError, match="the bbox of annotation 3 is not x, y, width, height"):
        open_dataset(tmp_path)


def test_an_id_that_is_no_number_is_named(tmp_path):
    for part in ("image_id", "category_id"):
        rows = coco_rows()
        rows[2][part] = [10]
        put_coco(tmp_path, rows)
        with pytest.raises(DataError, match=f"annotation 2 has the {part}"):
            open_dataset(tmp_path)
    put_coco(tmp_path, coco_rows())
    path = tmp_path / "annotations.json"
    path.write_text(path.read_text().replace('"id": 11,', '"id": [11],'))
    with pytest.raises(DataError, match="no number as its id"):
        open_dataset(tmp_path)


def test_a_bad_file_is_named(tmp_path):
    things = [thing("cat", sides) for sides in SIDES]
    put_voc(tmp_path, [*things[:4], things[4].replace("<xmax>34</xmax>", ""), things[5]])
    with pytest.raises(DataError, match="cat has no number xmax") as caught:
        open_dataset(tmp_path)
    assert str(caught.value.where).endswith("004.xml")


def test_boxes_of_a_set_with_class_masks_are_read_where_they_are_asked_for(tmp_path):
    put_voc(tmp_path, [thing("cat", sides) for sides in SIDES])
    put_masks(tmp_path / "SegmentationClass", numbered(".png"))
    assert list(open_dataset(tmp_path).targets) == ["mask"]
    assert list(open_dataset(tmp_path, task="detect").targets) == ["box"]
