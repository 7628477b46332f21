"""Pascal VOC with class masks: lists, classes and void; what is wrong is named."""

from pathlib import Path

import numpy as np
import pytest
from masked import PALETTE, areas, numbered, put_masks, put_photos
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.sample import IGNORE

LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,0,0::\ncar:0,128,0::\ntree:128,128,0::\n"


def voc(root: Path, how: str = "P", count: int = 10) -> Path:
    put_photos(root / "JPEGImages", numbered(".jpg", count))
    put_masks(root / "SegmentationClass", numbered(".png", count), how)
    put_masks(root / "SegmentationObject", numbered(".png", count), "P")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{index:03d}\n" for index in range(6)))
    (lists / "val.txt").write_text("006\n007\n")
    (lists / "trainval.txt").write_text("".join(f"{index:03d}\n" for index in range(8)))
    return root


def test_lists_are_splits_and_255_is_void(tmp_path: Path) -> None:
    root = voc(tmp_path)
    mask = areas(2)
    mask[0, :5] = IGNORE
    picture = Image.fromarray(mask)
    picture.putpalette(PALETTE.tobytes().ljust(768, b"\0"))
    picture.save(root / "SegmentationClass" / "002.png")
    dataset = open_dataset(root)
    target = dataset.target()
    assert len(dataset) == 8 and len(target.names) == 21 and target.names[:3] == ("background", "aeroplane", "bicycle")
    assert dataset.splits["val"].tolist() == [6, 7] and set(dataset.splits) == {"train", "val", "test"}
    assert np.array_equal(target.read(dataset.ids.index("JPEGImages/002.jpg")), mask)
    assert [one.reason for one in dataset.left_out] == ["2 images with masks that are in no list"]


def test_a_label_map_names_colours(tmp_path: Path) -> None:
    root = voc(tmp_path, "RGB")
    (root / "labelmap.txt").write_text(LABELMAP)
    target = open_dataset(root).target()
    assert target.names == ("background", "road", "car", "tree") and np.array_equal(target.read(1), areas(1))


def test_without_lists_all_that_have_masks_are_used(tmp_path: Path) -> None:
    root = voc(tmp_path)
    for path in (root / "ImageSets" / "Segmentation").iterdir():
        path.unlink()
    (root / "SegmentationClass" / "001.png").unlink()
    dataset = open_dataset(root)
    assert len(dataset) == 9 and [len(part) for part in dataset.splits.values()] == [6, 2, 1]


@pytest.mark.parametrize(("line", "says"), [("999", "is not there"), ("006", "is also in")])
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    root = voc(tmp_path)
    with (root / "ImageSets" / "Segmentation" / "train.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=says) as caught:
        open_dataset(root)
    assert ".txt:" in caught.value.where and caught.value.fix


def test_an_unknown_number_stops_with_file_value_and_pixel(tmp_path: Path) -> None:
    root = voc(tmp_path)
    mask = areas(3)
    mask[11, 13] = 77
    Image.fromarray(mask).save(root / "SegmentationClass" / "003.png")
    target = open_dataset(root).target()
    with pytest.raises(DataError, match=r"77 \(row 11, column 13\).*003\.png"):
        target.read(3)
