"""Where points come from: toy shapes, tables, COCO; held against the pixels, and against what was written."""

import json

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.cli.app import run as command
from striate.data import open_dataset
from striate.data.evaluation import open_to_evaluate
from striate.data.target.points import pairs_of

PERSON = {"id": 1, "name": "person", "keypoints": ["left_eye", "right_eye", "nose"]}


def save_images(folder, num=12, size=(60, 40), exif=None):
    folder.mkdir(exist_ok=True)
    for index in range(num):
        image = Image.fromarray(np.random.default_rng(index).integers(0, 255, (size[1], size[0], 3), np.uint8))
        image.save(folder / f"{index:02d}.png", **({"exif": exif} if exif else {}))


def table_of(folder, header, *rows):
    save_images(folder, len(rows))
    lines = [header, *(f"{index:02d}.png,{row}" for index, row in enumerate(rows))]
    (folder / "points.csv").write_text("\n".join(lines))
    return folder / "points.csv"


def coco_of(folder, annotations, num=12, categories=(PERSON,), size=(60, 40)):
    images = [{"id": at, "file_name": f"{at:02d}.png", "width": size[0], "height": size[1]} for at in range(num)]
    rows = [{"id": at, "category_id": 1, **row} for at, row in enumerate(annotations)]
    (folder / "list.json").write_text(
        json.dumps({"images": images, "annotations": rows, "categories": list(categories)})
    )


def test_toy_corners_are_where_the_pixels_say():
    """Of a square on a plain ground, the corner of its mask that is furthest along each diagonal."""
    data = open_dataset("toy:shapes?points=corners,centre&n=30&size=128&clutter=0&noise=0")
    points, angles = data.target("points"), np.deg2rad(data.target("angle").values[:, 0].astype(float))
    masks = data.target("mask")
    for index in range(len(data)):
        rows, columns = np.nonzero(masks.own_map(index))
        centre = points.xy[index, 4]
        ahead = np.array([np.cos(angles[index]), -np.sin(angles[index])])  # y points down
        left = np.array([ahead[1], -ahead[0]])
        away = np.stack([columns + 0.5, rows + 0.5], 1) - centre
        for name, way in zip(points.names, (ahead + left, ahead - left, -ahead + left, -ahead - left), strict=False):
            furthest = away[np.argmax(away @ way)] + centre
            found = points.xy[index, points.names.index(name)]
            assert np.abs(furthest - found).max() < 1.6, (index, name)
    assert points.pairs == ((0, 1), (2, 3))
    assert not list(points.findings(data.ids, np.full((30, 2), 128)))


def test_a_toy_bite_has_the_colour_of_the_ground():
    data = open_dataset("toy:shapes?points=bite,centre&n=60&size=64&clutter=0&noise=0")
    assert list(data.targets)[:2] == ["points", "label"]
    for index, (bite, centre) in enumerate(data.target("points").xy):
        mask = data.target("mask").own_map(index)
        assert mask[int(bite[1]), int(bite[0])] == 0
        assert mask[int(centre[1]), int(centre[0])] > 0
    with pytest.raises(DataError, match="unknown kind of points 'corner'"):
        open_dataset("toy:shapes?points=corner")


def test_a_table_of_points(tmp_path):
    rows = ["1.5,2,,,30,20.25,train"] * 6 + ["1,2,3,4,5,6,val"] * 3 + [",,,,,,test"] * 3
    path = table_of(tmp_path, "path,x_left_eye,y_left_eye,x_right_eye,y_right_eye,nose_x,nose_y,split", *rows)
    data = open_dataset(path)
    target = data.target()
    assert list(data.targets) == ["points"]
    assert target.names == ("left_eye", "right_eye", "nose")
    assert target.pairs == ((0, 1),)
    assert target.xy[0].tolist() == [[1.5, 2], [0, 0], [30, 20.25]]
    assert target.visible[:, 0].tolist()[:1] == [2]
    assert target.visible[[0, 6, 9]].tolist() == [[2, 0, 2], [2, 2, 2], [0, 0, 0]]
    assert {name: len(rows) for name, rows in data.splits.items()} == {"train": 6, "val": 3, "test": 3}
    found = {item.kind: item.ids for item in target.findings(data.ids, np.full((12, 2), 60))}
    assert found == {"no_point": ("09.png", "10.png", "11.png")}


def test_other_columns_of_a_table_of_points_are_targets_where_points_are_asked_for(tmp_path):
    path = table_of(
        tmp_path, "path,label,age,x_a,y_a", *[f"{'cat' if at % 2 else 'dog'},{at}.5,3,4" for at in range(12)]
    )
    assert open_dataset(path).target().kind == "label"
    data = open_dataset(path, task="points")
    assert list(data.targets) == ["points", "age"]
    assert len(open_dataset(path, target="points")) == 12


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("path,x_a,y_a,x_b", "1,2,3", r"column x_b has no y beside it: .*fix: add it"),
        ("path,x_nose,y_nos,x_b,y_b", "1,2,3,4", r"column x_nose has no y beside it: .*fix: did you mean y_nos\?"),
        ("path,x_a,y_a", "1,", r"y_a is empty, x_a is not: .*:2"),
        ("path,x_a,y_a", "1,two", r"y_a is 'two', no number: .*:2"),
        ("path,x_a,y_a", "0.5,0.25", r"at most 1: shares, not pixels"),
    ],
)  # fmt: skip
def test_a_table_of_points_that_is_not_whole(tmp_path, header, row, message):
    with pytest.raises(DataError, match=message):
        open_dataset(table_of(tmp_path, header, *[row] * 12))


def test_points_are_asked_for_and_there_are_none(tmp_path):
    with pytest.raises(DataError, match="no columns of points: .*points.csv:1 -- fix: name them x_NAME and y_NAME"):
        open_dataset(table_of(tmp_path, "path,label", *["a", "b"] * 6), task="points")
    (tmp_path / "points.csv").unlink()
    with pytest.raises(DataError, match="no key points"):
        open_dataset(tmp_path, task="points")


def test_swapped_and_outer_points_are_told_apart():
    from striate.data.target import Points

    target = Points.of([[[[50, 10]]], [[[10, 50]]], [[[70, 70]]]], names=("a",))
    found = {item.kind: item.ids for item in target.findings(tuple("abc"), np.array([[40, 60]] * 3))}
    assert found == {"points_swapped": ("b",), "point_beyond": ("c",)}


def test_coco_key_points_of_the_largest_thing(tmp_path):
    save_images(tmp_path)
    small = {"image_id": 0, "keypoints": [1, 1, 2, 2, 2, 2, 3, 3, 2], "bbox": [0, 0, 4, 4]}
    large = {"image_id": 0, "keypoints": [10, 12, 2, 20, 12, 1, 0, 0, 0], "bbox": [8, 8, 20, 20]}
    none = {"image_id": 1, "keypoints": [0] * 9, "bbox": [8, 8, 20, 20]}
    coco_of(tmp_path, [small, large, none, *({**small, "image_id": at} for at in range(2, 12))])
    data = open_dataset(tmp_path, task="points")
    target = data.target()
    assert target.xy[0].tolist()[:2] == [[10.5, 12.5], [20.5, 12.5]]
    assert target.visible[:2].tolist() == [[2, 1, 0], [0, 0, 0]]
    assert target.names == ("left_eye", "right_eye", "nose")
    texts = " / ".join(reading.text for reading in data.readings)
    assert "1 image with several things that have key points: the largest is taken" in texts
    assert open_dataset(tmp_path).target().kind == "box"
    wrong = {**small, "keypoints": [1, 2, 2]}
    coco_of(tmp_path, [wrong])
    with pytest.raises(DataError, match="the keypoints of annotation 0 are not 3 times x, y, visibility"):
        open_dataset(tmp_path, task="points")
    coco_of(tmp_path, [small], categories=(PERSON, {"id": 2, "name": "cat", "keypoints": ["tail"]}))
    with pytest.raises(DataError, match="the categories person and cat have different key points"):
        open_dataset(tmp_path, task="points")


def test_coco_key_points_are_turned_with_their_image(tmp_path):
    """A white pixel marks the point in the file as it lies; EXIF turns the image, and the point with it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for at in range(12):
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[5 + at, 50] = 255
        Image.fromarray(pixels).save(tmp_path / f"{at:02d}.png", exif=exif)
    coco_of(tmp_path, [{"image_id": at, "keypoints": [50, 5 + at, 2] + [0] * 6, "area": 9} for at in range(12)])
    data = open_dataset(tmp_path, task="points")
    for at in range(12):
        x, y = np.floor(data.target().xy[at, 0]).astype(int)
        assert data.images.read(at).shape[:2] == (60, 40)
        assert data.images.read(at)[y, x].tolist() == [255] * 3
    with pytest.raises(
        DataError, match="COCO annotations without boxes: .*list.json -- fix: with key points use --task"
    ):
        open_dataset(tmp_path)
    assert any("their points are turned with them" in reading.text for reading in data.readings)


def test_pairs_by_name():
    assert pairs_of(("Left Ankle", "nose", "Right Ankle", "left", "bright")) == ((0, 2),)


def test_points_of_another_table_come_in_the_runs_order(tmp_path):
    path = table_of(tmp_path, "path,x_b,y_b,x_a,y_a", *["1,2,3,4"] * 12)
    found = open_to_evaluate(str(path), "points", "points", ("a", "b"), {}).target()
    assert found.names == ("a", "b")
    assert found.xy[0].tolist() == [[3, 4], [1, 2]]
    with pytest.raises(DataError, match="other points than the run's: no c and b is new"):
        open_to_evaluate(str(path), "points", "points", ("a", "c"), {})


def test_check_names_points_beyond_the_border(tmp_path, capsys):
    rows = ["5,5,8,30"] * 10 + ["5,50,8,30", "500,5,8,30"]
    path = table_of(tmp_path, "path,x_left,y_left,x_right,y_right", *rows)
    assert command(["check", str(path), "--out", str(tmp_path / "check")]) == 0
    said = capsys.readouterr().out
    assert "inside it with x and y swapped: points of 1 image: " in said
    assert "1 point beyond the border of the image: 11.png" in said
    assert "mirrored images swap left and right" in said
    assert "marked in 12 sets: left 12, right 12" in said


def labelme_of(folder, index, *points, size=(60, 40)):
    shapes = [{"label": name, "points": [[x, y]], "shape_type": "point"} for name, x, y in points]
    shapes.append({"label": "cat", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon"})
    document = {"shapes": shapes, "imagePath": f"{index:02d}.png", "imageWidth": size[0], "imageHeight": size[1]}
    (folder / f"{index:02d}.json").write_text(json.dumps(document))


def test_points_of_labelme(tmp_path):
    save_images(tmp_path)
    for index in range(12):
        points = [("right_eye", 20.5, 10), ("left_eye", 10.25, 10 + index)]
        labelme_of(tmp_path, index, *points[: 1 if index == 3 else 2])
    data = open_dataset(tmp_path, task="points")
    target = data.target()
    assert target.names == ("left_eye", "right_eye")
    assert target.pairs == ((0, 1),)
    assert target.xy[5].tolist() == [[10.25, 15], [20.5, 10]]
    assert target.visible[3].tolist() == [0, 2]
    assert open_dataset(tmp_path).target().kind == "mask"
    labelme_of(tmp_path, 4, ("left_eye", 1, 2), ("left_eye", 3, 4))
    with pytest.raises(DataError, match="two points are called 'left_eye': .*04.json"):
        open_dataset(tmp_path, task="points")
