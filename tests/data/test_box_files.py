"""Boxes of YOLO's text files, of tables and of masks that number objects: read right, and refused by file and line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from masked import SIZE_HW, numbered, put_photos
from PIL import Image

from striate.base import torchvision as tv
from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.open import find
from striate.data.sources.instance_masks import hulls_of
from striate.data.sources.yolo_list import read_list

HEIGHT, WIDTH = SIZE_HW
LINE = "1 0.5 0.25 0.5 0.25"


def put_yolo(root: Path, lines: dict[int, str] | None = None, listing: str = "nc: 2\nnames: [cat, dog]\n") -> Path:
    put_photos(root / "images", numbered(".jpg"))
    (root / "labels").mkdir()
    for number, name in enumerate(numbered(".txt")):
        (root / "labels" / name).write_text((lines or {}).get(number, LINE))
    if listing:
        (root / "data.yaml").write_text(listing)
    return root


def refused(where: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(where, **options)
    assert caught.value.fix and len(caught.value.line) < 400
    return caught.value.line


def test_a_line_of_yolo_is_a_box_in_pixels(tmp_path):
    outline = "0 0.25 0.5 0.75 0.5 0.5 1.0"
    data = open_dataset(put_yolo(tmp_path, {0: "", 1: f"{LINE}\n\n{outline}\n"}))
    box, order = data.target(), np.argsort(data.ids)
    assert [box.text(int(index)) for index in order[:3]] == ["no box", "1 cat + 1 dog", "1 dog"]
    rows = slice(*box.starts[[order[1], order[1] + 1]])
    by_hand = [[0.25 * WIDTH, 0.125 * HEIGHT, 0.75 * WIDTH, 0.375 * HEIGHT], [16, 24, 48, 48]]
    np.testing.assert_allclose(box.xyxy[rows], by_hand, rtol=1e-6)
    assert box.numbers[rows].tolist() == [1, 3] and box.origin == "line {}"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("2 0.5 0.5 0.1 0.1", "class 2, and data.yaml has 2 classes (0 to 1)"),
        ("0 0.5 1.5 0.1 0.1", "the share 1.5 is not in 0 to 1"),
        ("0 0.5 0.5 0.1", "4 columns, not 5"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 columns, not 5"),
        ("cat 0.5 0.5 0.1 0.1", "'cat' is no number of a class"),
        ("0 0.5 nan 0.1 0.1", "'nan' is no number"),
        ("-1 0.5 0.5 0.1 0.1", "'-1' is no number of a class"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, says):
    problem = refused(put_yolo(tmp_path, {3: f"{LINE}\n{line}"}))
    assert says in problem and "003.txt:2" in problem, problem


def test_pixels_in_place_of_shares_are_named(tmp_path):
    assert "the share 32 is not in 0 to 1" in refused(put_yolo(tmp_path, dict.fromkeys(range(6), "0 32 24 20 10")))


def test_all_wrong_lines_are_counted(tmp_path):
    assert "(and 1 more file)" in refused(put_yolo(tmp_path, {1: "7 0 0 1 1", 3: "0 0 0 1"}))


def test_what_is_missing_is_said(tmp_path):
    put_yolo(tmp_path, listing="")
    (tmp_path / "labels/002.txt").unlink()
    texts = [(one.text, one.is_doubtful) for one in open_dataset(tmp_path).readings]
    assert ("1 image without a label file: taken for background, as by YOLO (images/002.jpg)", True) in texts
    assert any("no data.yaml names the classes: they are called 1" in text for text, _ in texts)


@pytest.mark.parametrize(
    "text",
    [
        "names: [cat, 'big dog']",
        'names: ["cat",\n  "big dog"]  # two\nnc: 2',
        "names:\n- cat\n- big dog\n",
        "train: a\nnames:\n  0: cat\n  1: 'big dog'\nval: b",
        "names: {0: cat, 1: big dog}",
        "---\n# a set\nnc: 2\nnames:\n  - cat   # first\n  - big dog\n",
    ],
)
def test_lists_of_classes(tmp_path, text):
    yaml = pytest.importorskip("yaml")
    (tmp_path / "data.yaml").write_text(text)
    theirs = yaml.safe_load(text)["names"]
    expected = theirs if isinstance(theirs, dict) else dict(enumerate(theirs))
    assert read_list(tmp_path / "data.yaml").names == expected == {0: "cat", 1: "big dog"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("names: [cat, dog]\nnc: 3", "nc is 3, and there are 2 names"),
        ("names: [cat, cat]", "class 'cat' is named twice"),
        ("names:\n  0: cat\n  dog", "data.yaml:3"),
        ("names: [cat]\n!!python/object:os.system", "data.yaml:2"),
        ("names: [cat, dog]\nnc: two", "nc: two is no number"),
    ],
)
def test_wrong_lists_of_classes(tmp_path, text, says):
    assert says in refused(put_yolo(tmp_path, listing=text))


def test_splits_of_a_list_of_classes(tmp_path):
    put_yolo(tmp_path, listing="path: .\ntrain: part.txt\nval: [images/004.jpg.d, other.txt]\nnames: [cat, dog]\n")
    (tmp_path / "part.txt").write_text("./images/000.jpg\nimages/001.jpg\n")
    (tmp_path / "other.txt").write_text(f"{tmp_path.resolve() / 'images/003.jpg'}\n")
    for where in (tmp_path, tmp_path / "data.yaml"):
        data = find(str(where), {})
        assert [data.ids[i] for i in data.splits["train"]] == ["images/000.jpg", "images/001.jpg"]
        assert [data.ids[i] for i in data.splits["val"]] == ["images/003.jpg"] and len(data) == 3


def put_table(root: Path, lines: list[str], header: str = "path,xmin,ymin,xmax,ymax,label") -> Path:
    put_photos(root, numbered(".jpg"))
    rest = [f"{name},1,2,30,40,cat" for name in numbered(".jpg")[3:]]
    (root / "boxes.csv").write_text("\n".join([header, *lines, *rest]))
    return root / "boxes.csv"


GOOD = ["000.jpg,1,2.5,30,40,cat", "001.jpg,,,,,", "000.jpg,5,5,9,9,dog"]


def test_a_line_of_a_table_is_a_box(tmp_path):
    path = put_table(tmp_path, GOOD)
    for where in (path, tmp_path):
        data = find(str(where), {})
        box = data.target()
        assert [len(box.take(np.array([index])).xyxy) for index in range(5)] == [2, 0, 1, 1, 1]
        assert box.xyxy[:2].tolist() == [[1, 2.5, 30, 40], [5, 5, 9, 9]] and box.labels[:2].tolist() == [0, 1]
        assert box.numbers[:2].tolist() == [2, 4] and data.ids[:2] == ("000.jpg", "001.jpg")


@pytest.mark.parametrize(
    ("header", "task"),
    [
        ("filename,XMin,YMin,XMax,YMax,class", None),
        ("image,x1,y1,x2,y2,name", "detect"),
        ("path,bbox_x,bbox_y,bbox_w,bbox_h,label", None),
        ("path,x,y,width,height,label", "detect"),
    ],
)
def test_other_names_of_columns(tmp_path, header, task):
    box = find(str(put_table(tmp_path, GOOD, header)), {"task": task}).target()
    is_size = header.split(",")[3] in {"bbox_w", "width"}
    assert box.xyxy[0].tolist() == ([1, 2.5, 31, 42.5] if is_size else [1, 2.5, 30, 40])


def test_numbers_of_a_table_are_boxes_only_where_they_are_asked_for(tmp_path):
    path = put_table(tmp_path, [f"00{n}.jpg,1,{n},30,40,cat" for n in range(3)])
    assert open_dataset(path, target="ymin", task="regress").target().kind == "value"
    assert open_dataset(path).target().kind == "box"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("001.jpg,1,2,x,4,cat", "xmax is 'x', no number"),
        ("001.jpg,1,2,3,4,", "a box without a class"),
        ("gone.jpg,1,2,3,4,cat", "image 'gone.jpg' is missing"),
    ],
)
def test_a_wrong_line_of_a_table_is_named(tmp_path, line, says):
    problem = refused(put_table(tmp_path, [GOOD[0], line]))
    assert says in problem and "boxes.csv:3" in problem


def test_shares_are_no_pixels(tmp_path):
    put_photos(tmp_path, numbered(".jpg"))
    path = tmp_path / "boxes.csv"
    path.write_text("path,xmin,ymin,xmax,ymax,label\n000.jpg,0.1,0.2,0.5,1.0,cat\n")
    assert "shares, not pixels" in refused(path)


def test_hulls_of_numbered_objects_equal_torchvision():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 60, (40, 50)).clip(45) - 45
    ids = np.unique(numbers)[1:]
    theirs = tv.load("torchvision.ops").masks_to_boxes(torch.from_numpy(numbers == ids[:, None, None])).numpy()
    found = hulls_of(numbers)
    assert list(found) == ids.tolist()
    np.testing.assert_array_equal(np.array(list(found.values())) - [0, 0, 1, 1], theirs)


def put_numbered(root: Path, values: tuple[int, ...] = (1, 2)) -> Path:
    put_photos(root / "images", numbered(".jpg"))
    (root / "masks").mkdir()
    for name in numbered(".png"):
        mask = np.zeros(SIZE_HW, np.uint8)
        for place, value in enumerate(values):
            mask[4 + 12 * place : 12 + 12 * place, 5:25] = value
        Image.fromarray(mask).save(root / "masks" / name)
    return root


def test_masks_that_number_objects(tmp_path):
    put_numbered(tmp_path)
    assert open_dataset(tmp_path).target().kind == "mask"
    for options in ({"task": "detect"}, {"target": "box"}):
        box = open_dataset(tmp_path, **options).target()
        assert box.xyxy[:2].tolist() == [[5, 4, 25, 12], [5, 16, 25, 24]] and box.names == ("object",)


def test_masks_of_classes_have_no_boxes(tmp_path):
    assert "a mask with the values 1, 7" in refused(put_numbered(tmp_path / "a", (1, 7)), task="detect")
    put_numbered(tmp_path / "b")
    (tmp_path / "b/classes.txt").write_text("road\ncar\nman\n")
    assert "masks of classes (classes.txt lists them)" in refused(tmp_path / "b", task="detect")


def test_one_white_object_a_mask_can_be_localised(tmp_path):
    data = open_dataset(put_numbered(tmp_path, (255,)), task="localise")
    assert data.target().is_single and data.target().xyxy[0].tolist() == [5, 4, 25, 12]


def test_penn_fudan(real_data):
    data = open_dataset(real_data / "pennfudan", task="detect")
    assert len(data) == 130 and data.target().names == ("pedestrian",) and np.diff(data.target().starts).min() >= 1
    sizes = data.target().xyxy[:, 2:] - data.target().xyxy[:, :2]
    assert sizes.min() > 3 and (sizes[:, 1] > sizes[:, 0]).mean() > 0.95  # people stand
