"""COCO JSON that is not whole: the file and the row are named, whatever was asked for."""

import json

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_dataset

MARKED = [10, 12, 2, 20, 12, 1, 15, 20, 2]


@pytest.fixture
def document(tmp_path):
    for index in range(6):
        Image.fromarray(np.full((40, 60, 3), 40 * index, np.uint8)).save(tmp_path / f"{index:02d}.png")
    rows = [{"id": at + 1, "image_id": at, "category_id": 1, "bbox": [8, 8, 20, 20]} for at in range(6)]
    return {
        "images": [{"id": at, "file_name": f"{at:02d}.png", "width": 60, "height": 40} for at in range(6)],
        "annotations": [{**row, "keypoints": MARKED} for row in rows],
        "categories": [{"id": 1, "name": "person", "keypoints": ["left_eye", "right_eye", "nose"]}],
    }


@pytest.mark.parametrize("side", ["abc", float("nan"), float("inf"), [40], 10**400])
def test_an_image_whose_size_is_no_number_is_named(tmp_path, document, side):
    document["images"][3]["height"] = side
    (tmp_path / "list.json").write_text(json.dumps(document))
    for task in ("detect", "points"):
        with pytest.raises(
            DataError, match=r"height and width of image 3 are .*, not pixels: .*list.json -- fix: mend"
        ):
            open_dataset(tmp_path, task=task)


@pytest.mark.parametrize("name", ["", "  ", None, ["nose"], {"name": "nose"}, 1.5])
def test_a_key_point_without_a_name_is_refused(tmp_path, document, name):
    document["categories"][0]["keypoints"][1] = name
    (tmp_path / "list.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="category person has a key point without a name: .*list.json"):
        open_dataset(tmp_path, task="detect")


@pytest.mark.parametrize("crowd", ["0", "no", [0], 2])
def test_a_crowd_is_no_or_yes(tmp_path, document, crowd):
    document["annotations"][3]["iscrowd"] = crowd
    (tmp_path / "list.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="the iscrowd of annotation 4 is .*list.json -- fix: write 0, or 1 for a crowd"):
        open_dataset(tmp_path, task="detect")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.95])  # of the text: nothing, a part of the images, all but the end
@pytest.mark.parametrize("task", ["detect", "points", None])
@pytest.mark.parametrize("folder", ["", "annotations"])
def test_a_list_that_is_cut_short_is_named(tmp_path, document, share, task, folder):
    text = json.dumps({name: document[name] for name in ("images", "categories", "annotations")})
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "list.json").write_text(text[: round(share * len(text))])
    with pytest.raises(DataError, match="cannot be read .*list.json -- fix: restore this file from a copy") as caught:
        open_dataset(tmp_path, task=task)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("place", [float("nan"), float("inf"), 1e300, 10**400, None, "x"])
def test_an_outline_with_a_place_that_is_no_pixel_is_named(tmp_path, document, place):
    document["annotations"][3]["segmentation"] = [[place, 1, 9, 1, 9, 9]]
    (tmp_path / "list.json").write_text(json.dumps(document))
    for task in ("detect", "segment"):
        with pytest.raises(DataError, match="the segmentation of annotation 4 cannot be read .*list.json -- fix: mend"):
            open_dataset(tmp_path, task=task)


@pytest.mark.parametrize("place", [float("nan"), float("inf"), 1e300, 10**400, None, "x"])
def test_a_point_or_a_polygon_of_labelme_with_such_a_place_is_named(tmp_path, document, place):
    def save(index, kind, *places):
        shape = {"label": "nose", "points": [[place, 6] if index == 3 else [5, 6], *places], "shape_type": kind}
        size = {"imagePath": f"{index:02d}.png", "imageWidth": 60, "imageHeight": 40}
        (tmp_path / f"{index:02d}.json").write_text(json.dumps({"shapes": [shape], **size}))

    for index in range(6):
        save(index, "point")
    with pytest.raises(DataError, match="shape 1 is a point without a place: .*03.json -- fix: mark it in LabelMe"):
        open_dataset(tmp_path, task="points")
    for index in range(6):
        save(index, "polygon", [9, 6], [9, 9])
    with pytest.raises(DataError, match="shape 1 .nose. is no polygon: .*03.json -- fix: draw it again"):
        open_dataset(tmp_path, task="segment")
