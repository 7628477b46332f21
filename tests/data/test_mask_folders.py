"""Folders of images with masks: which belong together, what their values mean, what is said of the rest."""

from collections.abc import Callable
from pathlib import Path

import masked
import numpy as np
import pytest
from masked import PALETTE, areas, numbered, put_masks, put_photos
from PIL import Image

from striate.base.errors import DataError, SettingsError
from striate.data import Dataset, open_dataset
from striate.data.sample import IGNORE


def refused(root: Path, **options: str) -> DataError:
    with pytest.raises(DataError) as caught:
        open_dataset(root, **options)  # type: ignore[arg-type]
    assert caught.value.fix and len(caught.value.line) <= 240
    return caught.value


def said(dataset: Dataset) -> str:
    return " | ".join([*dataset.notes, *(one.text for one in dataset.readings)])


def two_folders(root: Path, masks: list[np.ndarray], suffix: str = ".png") -> None:
    put_photos(root / "images", numbered(".jpg", len(masks)))
    (root / "masks").mkdir(exist_ok=True)
    for name, mask in zip(numbered(suffix, len(masks)), masks, strict=True):
        Image.fromarray(mask).save(root / "masks" / name)


@pytest.mark.parametrize(
    ("make", "names", "first", "splits", "targets"),
    [
        (masked.camvid, "0123", ("train/000.jpg", "trainannot/000.png"), (6, 6, 6), ["mask"]),
        (masked.in_splits, "0123", ("train/images/000.png", "train/masks/000.png"), (5, 6, 1), ["mask"]),
        (masked.carvana, "bf", ("train/000.jpg", "train_masks/000_mask.gif"), (4, 1, 1), ["mask"]),
        (masked.jpeg_masks, "bf", ("images/000.jpg", "masks/000.jpg"), (4, 1, 1), ["mask"]),
        (masked.medical, "bf", ("x/000.png", "y/000.png"), (4, 1, 1), ["mask"]),
        (masked.instances, "0123", ("images/000.png", "instances/000.png"), (4, 1, 1), ["mask"]),
        (
            masked.cityscapes,
            "0123",
            (
                "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
                "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png",
            ),
            (6, 1, 1),
            ["mask"],
        ),
        (
            masked.among_the_classes,
            "bf",
            ("benign/benign (0).png", "benign/benign (0)_mask.png"),
            (8, 2, 2),
            ["mask", "label"],
        ),
        (masked.beside_the_classes, "0123", ("cat/cat0.jpg", "masks/cat0.png"), (8, 2, 2), ["mask", "label"]),
    ],
)
def test_masks_are_found_by_the_layout(
    tmp_path: Path, make: Callable[[Path], None], names: str, first: tuple[str, str], splits: tuple[int, ...],
    targets: list[str],
) -> None:  # fmt: skip
    make(tmp_path)
    dataset = open_dataset(tmp_path)
    mask, index = dataset.target(), dataset.ids.index(first[0])
    assert list(dataset.targets) == targets
    assert (dataset.ids[index], mask.images.names[index]) == first
    assert mask.names == (("background", "foreground") if names == "bf" else tuple(names))
    assert tuple(map(len, dataset.splits.values())) == splits
    number = int(Path(first[0]).stem.split("_")[1]) if "_" in first[0] else 0
    expected = areas(number, 2 if names == "bf" else 4)
    assert np.array_equal(mask.read(index), expected)
    assert dataset.images.read(index).shape[:2] == expected.shape


def test_colours_are_classes_by_how_frequent_they_are(tmp_path: Path) -> None:
    masked.colours(tmp_path)
    dataset = open_dataset(tmp_path)
    mask = dataset.target()
    stored = [PALETTE[areas(index)] for index in range(6)]
    colours, counts = np.unique(np.concatenate([one.reshape(-1, 3) for one in stored]), axis=0, return_counts=True)
    expected = ["#{:02x}{:02x}{:02x}".format(*colours[k]) for k in np.argsort(-counts)]
    assert list(mask.names) == expected and "most frequent first" in said(dataset)
    for index, one in enumerate(stored):
        back = np.array([[int(name[at : at + 2], 16) for at in (1, 3, 5)] for name in mask.names])[mask.read(index)]
        assert np.array_equal(back, one)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nvoid,0,0,0\nroad,128,0,0\ncar,0,128,0\ntree,128,128,0\n"),
        ("labelmap.txt", "# label:color_rgb:parts\nvoid:0,0,0::\nroad:128,0,0::\ncar:0,128,0::\ntree:128,128,0::"),
        ("label_colors.txt", "0 0 0\tvoid\n128 0 0\troad\n0 128 0\tcar\n128 128 0\ttree\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["RGB", "P"])
def test_colours_are_named_by_a_list(tmp_path: Path, file: str, text: str, how: str) -> None:
    put_photos(tmp_path / "images", numbered(".jpg"))
    put_masks(tmp_path / "masks", numbered(".png"), how)
    (tmp_path / file).write_text(text)
    dataset = open_dataset(tmp_path)
    assert dataset.target().names == ("road", "car", "tree")
    expected = np.array([IGNORE, 0, 1, 2], np.uint8)[areas(2)]
    assert np.array_equal(dataset.target().read(2), expected)
    assert "left out of loss and scores: void" in said(dataset)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "0 sky\n1 road\n2 car\n3 Unlabelled\n"),
        ("classes.txt", "sky\nroad\ncar\nvoid"),
        ("_classes.csv", "Pixel Value, Class\n0, sky\n1, road\n2, car\n3, ignore\n"),
        ("labels.txt", "0: sky\n1: road\n2: car\n3: void\n"),
    ],
)
@pytest.mark.parametrize("how", ["L", "P", "16"])
def test_numbers_are_named_by_a_list(tmp_path: Path, file: str, text: str, how: str) -> None:
    put_photos(tmp_path / "images", numbered(".jpg"))
    put_masks(tmp_path / "masks", numbered(".png"), how)
    (tmp_path / file).write_text(text)
    mask = open_dataset(tmp_path).target()
    assert mask.names == ("sky", "road", "car")
    assert np.array_equal(mask.read(1), np.array([0, 1, 2, IGNORE], np.uint8)[areas(1)])


def test_255_beside_classes_is_ignored_and_said(tmp_path: Path) -> None:
    masks = [areas(index) for index in range(6)]
    masks[3][5, 7] = masks[3][9, 2] = IGNORE
    two_folders(tmp_path, masks)
    assert "left out of loss and scores: 255 (255 beside numbers" in said(open_dataset(tmp_path))
    for ignore in (None, "255"):
        assert open_dataset(tmp_path, ignore=ignore).target().names == ("0", "1", "2", "3")
    mask = open_dataset(tmp_path, ignore="255").target()
    assert mask.names == ("0", "1", "2", "3") and np.array_equal(mask.read(3), masks[3])
    without = open_dataset(tmp_path, ignore="255, 3").target()
    assert without.names == ("0", "1", "2")
    assert np.array_equal(without.read(0), np.where(masks[0] == 3, IGNORE, masks[0]))
    with pytest.raises(SettingsError, match="no class is called 'void'"):
        open_dataset(tmp_path, ignore="void")


def test_grey_levels_far_apart_are_classes_with_255_among_them(tmp_path: Path) -> None:
    two_folders(tmp_path, [areas(index, 3) * np.uint8(127) + (areas(index, 3) == 2) for index in range(6)])
    mask = open_dataset(tmp_path).target()
    assert mask.names == ("0", "127", "255") and np.array_equal(mask.read(2), areas(2, 3))


def test_lossy_masks_of_several_classes_are_refused(tmp_path: Path) -> None:
    put_photos(tmp_path / "b" / "images", numbered(".jpg"))
    put_masks(tmp_path / "b" / "masks", numbered(".jpg"), "L", quality=95)
    problem = refused(tmp_path / "b")
    assert "saved as JPEG" in problem.what and "000.jpg" in problem.where and "PNG" in problem.fix


def test_what_has_no_partner_is_named_and_counted(tmp_path: Path) -> None:
    two_folders(tmp_path, [areas(index) for index in range(12)])
    (tmp_path / "masks" / "002.png").unlink()
    (tmp_path / "images" / "004.jpg").unlink()
    put_photos(tmp_path / "more", ["x.jpg"])
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 10
    reasons = {one.reason: (one.names, one.is_serious) for one in dataset.left_out}
    assert reasons["1 image without mask"] == (("images/002.jpg",), True)
    assert reasons["1 mask without image"] == (("masks/004.png",), True)
    assert reasons["1 image in a folder without masks"] == (("more/x.jpg",), True)


def test_masks_that_are_named_otherwise_are_refused(tmp_path: Path) -> None:
    masked.a_folder_a_sample(tmp_path)
    problem = refused(tmp_path)
    assert "not named like their images" in problem.what and "_mask" in problem.fix


def test_camvid(real_data: Path) -> None:
    dataset = open_dataset(real_data / "camvid")
    mask = dataset.target()
    assert {name: len(found) for name, found in dataset.splits.items()} == {"train": 184, "val": 51, "test": 86}
    assert len(mask.names) == 11 and mask.names[3] == "Road" and "Unlabelled" not in mask.names
    counts = np.zeros(256, np.int64)
    for path in (real_data / "camvid" / "trainannot").iterdir():
        counts += np.bincount(np.asarray(Image.open(path)).ravel(), minlength=256)
    assert np.allclose(list(mask.shares(dataset.splits["train"]).values()), counts[:11] / counts[:11].sum())


def test_penn_fudan_masks_number_pedestrians(real_data: Path) -> None:
    dataset = open_dataset(real_data / "pennfudan")
    mask = dataset.target()
    assert mask.names == ("background", "pedestrian")
    path = real_data / "pennfudan" / mask.images.names[7]
    assert np.array_equal(mask.read(7), np.asarray(Image.open(path)) > 0)


def test_masks_that_seem_to_number_objects_are_doubted(tmp_path: Path) -> None:
    two_folders(tmp_path, [areas(index, 2 + index % 6) for index in range(12)])
    doubts = [one.text for one in open_dataset(tmp_path).readings if one.is_doubtful]
    assert any("number objects, not classes" in text for text in doubts)


def roboflow(root: Path) -> None:
    for seed, split in enumerate(("train", "valid", "test")):
        put_photos(root / split, numbered(".jpg"), 20 * seed)
        put_masks(root / split, numbered("_mask.png"))
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, sky\n1, road\n2, car\n3, tree\n")


def kaggle_camvid(root: Path) -> None:
    for seed, split in enumerate(("train", "val", "test")):
        put_photos(root / split, numbered(".png"), 20 * seed)
        put_masks(root / f"{split}_labels", numbered("_L.png"), "RGB")
    (root / "class_dict.csv").write_text("name,r,g,b\nsky,0,0,0\nroad,128,0,0\ncar,0,128,0\ntree,128,128,0\n")


def ade(root: Path) -> None:
    for seed, split in enumerate(("training", "validation")):
        put_photos(root / "images" / split, numbered(".jpg"), 20 * seed)
        put_masks(root / "annotations" / split, numbered(".png"))
    (root / "classes.txt").write_text("sky\nroad\ncar\ntree\n")


def one_folder(root: Path) -> None:
    put_photos(root, numbered(".jpg", 12))
    put_masks(root, numbered(".png", 12))
    (root / "classes.txt").write_text("sky\nroad\ncar\ntree\n")


@pytest.mark.parametrize("make", [roboflow, kaggle_camvid, ade, one_folder])
def test_layouts_of_well_known_sets(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.target().names == ("sky", "road", "car", "tree") and not dataset.left_out
    for index, name in enumerate(dataset.ids):
        assert np.array_equal(dataset.target().read(index), areas(int(Path(name).stem)))


def test_a_value_of_a_few_pixels_in_one_mask_is_doubted(tmp_path: Path) -> None:
    masks = [areas(index) for index in range(12)]
    masks[5][4, 4] = 77
    two_folders(tmp_path, masks)
    dataset = open_dataset(tmp_path)
    doubts = [reading for reading in dataset.readings if reading.is_doubtful]
    assert [("value 77 occurs only in 1 pixel of" in one.text, "--ignore 77" in one.fix) for one in doubts] == [
        (True, True)
    ]
    assert not [one for one in open_dataset(tmp_path, ignore="77").readings if one.is_doubtful]
