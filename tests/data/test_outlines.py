"""Masks drawn of polygons and run lengths, and the COCO and LabelMe files that hold them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masked import SIZE_HW, numbered, put_photos
from matplotlib.path import Path as Polygon

from striate.base.errors import DataError
from striate.base.runs import covered_by, run_lengths
from striate.data import open_dataset
from striate.data.sample import IGNORE
from striate.data.target.extent import area_of, fill

HEIGHT, WIDTH = SIZE_HW


def inside(polygon: np.ndarray, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """Return the pixels whose centres lie in a polygon, by another library."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    return Polygon(polygon).contains_points(centres).reshape(size_hw)


def star(seed: int, count: int = 12) -> np.ndarray:
    """Return a polygon around a point, partly outside of the image, that does not cross itself."""
    rng = np.random.default_rng(seed)
    turn, radius = np.sort(rng.random(count)) * 2 * np.pi, rng.uniform(3, 30, count)
    return rng.uniform(5, 45, 2) + radius[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)


@pytest.mark.parametrize("seed", range(20))
def test_a_polygon_covers_the_pixels_whose_centres_are_inside(seed: int) -> None:
    mask = np.zeros(SIZE_HW, np.uint8)
    fill(mask, star(seed), 3)
    assert np.array_equal(mask == 3, inside(star(seed))) and set(np.unique(mask)) <= {0, 3}
    big = np.zeros((200, 200), np.uint8)
    fill(big, star(seed) + 60, 1)
    assert big.sum() == pytest.approx(area_of(star(seed)), rel=0.05, abs=12)


def encoded(runs: list[int]) -> str:
    """Write run lengths as COCO does, by the sign-extended groups of five bits of each difference."""
    text = ""
    for index, run in enumerate(runs):
        value, is_more = run - (runs[index - 2] if index > 2 else 0), True
        while is_more:
            group, value = value & 31, value >> 5
            is_more = not ((value == 0 and not group & 16) or (value == -1 and group & 16))
            text += chr(48 + group + 32 * is_more)
    return text


def test_run_lengths_are_read_as_they_are_written() -> None:
    assert run_lengths("04") == [0, 4] and run_lengths("T3") == [100]  # all of 2 x 2, nothing of 10 x 10
    rng = np.random.default_rng(0)
    for _ in range(50):
        runs = rng.integers(0, 3000, rng.integers(1, 40)).tolist()
        assert run_lengths(encoded(runs)) == runs
    for bad in ("P", "\x1f", "0T"):
        with pytest.raises(ValueError, match="character|ends inside"):
            run_lengths(bad)


def test_run_lengths_equal_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.asfortranarray(np.random.default_rng(1).random((30, 41)) > 0.6).astype(np.uint8)
    found = coco.encode(np.asfortranarray(mask))
    assert np.array_equal(covered_by(run_lengths(found["counts"].decode()), (30, 41)), mask)


def test_runs_go_down_the_columns() -> None:
    mask = np.random.default_rng(2).random((7, 5)) > 0.5
    flat = mask.T.ravel().astype(int)
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    runs = [0, *runs] if flat[0] else runs
    assert np.array_equal(covered_by(runs, (7, 5)), mask)


def document(count: int = 10) -> dict[str, Any]:
    """Two categories with a gap in their ids; image 1 has overlaps, image 2 a crowd, image 3 nothing."""
    images = [{"id": 100 + at, "file_name": f"{at:03d}.jpg", "height": HEIGHT, "width": WIDTH} for at in range(count)]
    rows = [(100 + at, 7 if at % 2 else 3, [star(at).ravel().tolist()]) for at in range(count) if at != 3]
    rows += [(101, 3, [[10, 10, 20, 10, 20, 20, 10, 20]])]
    annotations = [
        {"id": 500 + n, "image_id": i, "category_id": c, "segmentation": s} for n, (i, c, s) in enumerate(rows)
    ]
    crowd = np.zeros(SIZE_HW, bool)
    crowd[:, 30:] = True
    runs = [HEIGHT * 30, HEIGHT * (WIDTH - 30)]
    annotations.append({"id": 900, "image_id": 102, "category_id": 3, "iscrowd": 1,
                        "segmentation": {"size": list(SIZE_HW), "counts": runs}})  # fmt: skip
    return {"images": images, "annotations": annotations,
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]}  # fmt: skip


def coco(root: Path, content: dict[str, Any] | None = None, count: int = 10) -> Path:
    put_photos(root / "images", numbered(".jpg", count))
    (root / "annotations").mkdir()
    (root / "annotations" / "instances.json").write_text(json.dumps(content or document(count)))
    return root


def test_coco_outlines_become_class_masks(tmp_path: Path) -> None:
    dataset = open_dataset(coco(tmp_path))
    mask = dataset.target()
    assert mask.names == ("background", "cat", "dog") and len(dataset) == 10
    first = dataset.ids.index("images/000.jpg")
    assert np.array_equal(mask.read(first), inside(star(0)) * 1)
    expected = inside(star(1)) * 2  # a dog, and a smaller cat on it
    expected[10:20, 10:20] = 1
    assert np.array_equal(mask.read(dataset.ids.index("images/001.jpg")), expected)
    crowd = np.zeros(SIZE_HW, np.uint8)
    crowd[:, 30:] = IGNORE
    crowd[inside(star(2))] = 1
    assert np.array_equal(mask.read(dataset.ids.index("images/002.jpg")), crowd)
    assert not mask.read(dataset.ids.index("images/003.jpg")).any()
    assert any("smaller one is on top" in one.text for one in dataset.readings)
    assert not any("instances.json" in note for note in dataset.notes)


def test_coco_files_of_splits_are_splits(tmp_path: Path) -> None:
    for split, count in (("train2017", 8), ("val2017", 4)):
        put_photos(tmp_path / split, numbered(".jpg", count), len(split))
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(document(count)))
    dataset = open_dataset(tmp_path, ignore="dog")
    assert dataset.target().names == ("background", "cat")
    assert {dataset.ids[index].split("/")[0] for index in dataset.splits["val"]} == {"val2017"}
    assert len(dataset.splits["val"]) == 4 and dataset.target().read(dataset.ids.index("val2017/001.jpg")).max() == 255


@pytest.mark.parametrize(
    ("part", "row", "values", "says"),
    [
        ("annotations", 2, {"image_id": 42}, "annotation 502 has the image_id 42"),
        ("annotations", 2, {"category_id": 42}, "annotation 502 has the category_id 42"),
        ("annotations", 2, {"segmentation": [[1, 2, 3]]}, "annotation 502 cannot be read"),
        ("annotations", 2, {"segmentation": {"counts": [1, 2], "size": [2, 2]}}, "annotation 502 cannot be read"),
        ("annotations", 2, {"segmentation": {"counts": "P", "size": [2, 2]}}, "annotation 502 cannot be read"),
        ("categories", None, {}, "no list 'categories'"),
        ("images", 1, {"id": 100}, "id is there twice"),
        ("images", 1, {"height": 0}, "image 101 has no height"),
    ],
)
def test_what_is_wrong_in_a_coco_file_is_named(
    tmp_path: Path, part: str, row: int | None, values: dict[str, Any], says: str
) -> None:
    content = document()
    if row is None:
        del content[part]
    else:
        content[part][row] |= values
    with pytest.raises(DataError, match=says) as caught:
        open_dataset(coco(tmp_path, content))
    assert "instances.json" in caught.value.where and caught.value.fix


def test_flat_outlines_and_lost_images_are_left_out_by_name(tmp_path: Path) -> None:
    content = document()
    content["annotations"][4]["segmentation"] = [[5, 5, 9, 5, 12, 5]]
    content["images"].append({"id": 7, "file_name": "gone.jpg", "height": 4, "width": 4})
    dataset = open_dataset(coco(tmp_path, content))
    assert any("1 outline without area left out: annotation 5" in one.text for one in dataset.readings)
    assert [(one.reason, one.names) for one in dataset.left_out] == [("1 listed image without file", ("gone.jpg",))]


def test_names_and_ids_that_are_there_twice_are_said(tmp_path: Path) -> None:
    content = document()
    content["categories"].append({"id": 99, "name": content["categories"][0]["name"]})
    content["annotations"][1]["id"] = content["annotations"][0]["id"]
    said = [one.text for one in open_dataset(coco(tmp_path, content), task="segment").readings if one.is_doubtful]
    assert any("1 annotation id there twice" in text for text in said), said
    assert any("read as one class" in text and repr(content["categories"][0]["name"]) in text for text in said), said


def test_the_coco_sample(real_data: Path) -> None:
    """Each mask covers what another library says of its polygons, and each outline the area that COCO states."""
    dataset = open_dataset(real_data / "coco_sample")
    mask = dataset.target()
    content = json.loads((real_data / "coco_sample" / "annotations" / "instances_sample.json").read_text())
    assert len(dataset) == 6 and len(mask.names) == 81
    for image in content["images"]:
        index, size_hw = dataset.ids.index(f"images/{image['file_name']}"), (image["height"], image["width"])
        brute = np.zeros(size_hw, bool)
        for row in (row for row in content["annotations"] if row["image_id"] == image["id"] and not row["iscrowd"]):
            parts = [inside(np.array(polygon).reshape(-1, 2), size_hw) for polygon in row["segmentation"]]
            brute |= np.any(parts, axis=0)
            assert np.sum(parts) == pytest.approx(row["area"], rel=0.02, abs=15)
        found = mask.read(index)
        num_other = int((((found > 0) & (found != IGNORE)) != brute).sum())
        assert num_other <= 8 or (found == IGNORE).any(), "but for centres that lie on an edge"


def labelme(root: Path, count: int = 10) -> Path:
    put_photos(root, numbered(".jpg", count))
    for at, name in enumerate(numbered(".json", count)):
        shapes = [
            {"label": "road", "shape_type": "rectangle", "points": [[40, 30], [10, 5]]},
            {"label": "car", "points": star(at).tolist(), "shape_type": "polygon"},
            {"label": "wheel", "shape_type": "circle", "points": [[20, 20], [20, 23]]},
        ]
        shapes += [{"label": "__ignore__", "shape_type": "rectangle", "points": [[0, 0], [2, 2]]}] if at == 0 else []
        text = {"version": "5.0", "shapes": shapes, "imagePath": f"{at:03d}.jpg",
                "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        (root / name).write_text(json.dumps(text))
    return root


def test_labelme_shapes_become_class_masks(tmp_path: Path) -> None:
    dataset = open_dataset(labelme(tmp_path))
    mask = dataset.target()
    assert mask.names == ("background", "car", "road", "wheel")
    for index in range(10):
        expected = np.zeros(SIZE_HW, np.uint8)
        rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        things = [(750.0, 2, (columns > 10) & (columns < 40) & (rows > 5) & (rows < 30))]
        things += [(area_of(star(index)), 1, inside(star(index)))]
        for _, label, where in sorted(things, key=lambda thing: -thing[0]):
            expected[where] = label
        wheel = (columns - 20) ** 2 + (rows - 20) ** 2
        expected[wheel < 9] = 3
        if index == 0:
            expected[:2, :2] = IGNORE
        is_sure = np.abs(np.sqrt(wheel) - 3) > 0.05
        if area_of(star(index)) > 30 and index:
            assert np.array_equal(mask.read(index)[is_sure], expected[is_sure])
    assert mask.read(0)[0, 0] == IGNORE


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"shapes": None}, "no list 'shapes'"),
        ({"shapes": [{"points": [[1, 2]], "label": ""}]}, "a shape without label"),
        ({"shapes": [{"points": [[1, 2]], "label": "car"}]}, "is no polygon: it has 1 points"),
        ({"imageHeight": None}, "no imageHeight"),
    ],
)
def test_what_is_wrong_in_a_labelme_file_is_named(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    path = labelme(tmp_path) / "004.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    with pytest.raises(DataError, match=says) as caught:
        open_dataset(tmp_path)
    assert "004.json" in caught.value.where and caught.value.fix


def test_images_without_outlines_are_left_out_by_name(tmp_path: Path) -> None:
    (labelme(tmp_path) / "004.json").unlink()
    dataset = open_dataset(tmp_path)
    assert [(one.reason, one.names) for one in dataset.left_out] == [("1 image without outlines", ("004.jpg",))]
