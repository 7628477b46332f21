"""Masks of a folder in use: splits, subsets, findings, EXIF, other data for a run, copies."""

import io
from pathlib import Path

import numpy as np
import pytest
from masked import areas, numbered, put_masks, put_photos
from pictures import photo
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_dataset
from striate.data.check.check import check, exclude_bad
from striate.data.evaluation import open_to_evaluate
from striate.data.sample import IGNORE
from striate.data.sheet import TITLE_PX, contact_sheet
from striate.data.target.palette import colour_of
from striate.data.upright import upright

UNDO = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the tag by which pixels lie after a tag turned them


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_photos(tmp_path / "images", numbered(".jpg", 40))
    put_masks(tmp_path / "masks", numbered(".png", 40))
    return tmp_path


@pytest.mark.parametrize("lies", [True, False])
def test_a_mask_follows_its_image_however_exif_turns_it(tmp_path: Path, lies: bool) -> None:
    """Masks may lie as the images do in their files, or upright: the sides of some say which."""
    picture, mask = np.asarray(photo(1, (48, 64))), areas(1)
    for tag in UNDO:
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "masks").mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = tag
        turned = np.ascontiguousarray(upright(picture, UNDO[tag]))
        Image.fromarray(turned).save(tmp_path / "images" / f"{tag}.png", exif=exif)
        stored = np.ascontiguousarray(upright(mask[..., None], UNDO[tag] if lies else 1)[..., 0])
        Image.fromarray(stored).save(tmp_path / "masks" / f"{tag}.png")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 8
    for index in range(8):
        assert np.array_equal(dataset.images.read(index), picture)
        assert np.array_equal(dataset.target().read(index), mask), dataset.ids[index]
    said = next(one for one in dataset.readings if "EXIF" in one.text)
    assert ("with them" if lies else "as they are") in said.text and said.is_doubtful
    assert not check(dataset).of("unusable_mask")


def test_masks_that_cannot_be_used_are_left_out_on_request(folder: Path) -> None:
    (folder / "classes.txt").write_text("sky\nroad\ncar\ntree\n")
    strange = areas(3)
    strange[5, 9] = 77
    Image.fromarray(strange).save(folder / "masks" / "003.png")
    Image.fromarray(areas(4)[:, :40]).save(folder / "masks" / "004.png")
    (folder / "masks" / "005.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "masks" / "006.png")
    dataset = open_dataset(folder)
    findings = check(dataset)
    (found,) = findings.of("unusable_mask")
    assert found.severity == "error" and found.ids == tuple(f"images/{n:03d}.jpg" for n in (3, 4, 5))
    reasons = dict(findings.reasons(dataset))
    assert "77 (row 5, column 9)" in reasons["images/003.jpg"]
    assert "the mask is 40 x 48, its image 64 x 48" in reasons["images/004.jpg"]
    assert "cannot be read" in reasons["images/005.jpg"]
    with pytest.raises(DataError, match="3 of 40 images cannot be used"):
        findings.require_usable(dataset)
    kept = exclude_bad(dataset, findings)
    assert len(kept) == 37 and not set(found.ids) & set(kept.ids)
    assert all(kept.target().read(index).shape == (48, 64) for index in range(37))


def test_empty_masks_are_named(folder: Path) -> None:
    (folder / "classes.txt").write_text("background\nroad\ncar\ntree\nvoid\n")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "masks" / "006.png")
    Image.fromarray(np.full((48, 64), 4, np.uint8)).save(folder / "masks" / "007.png")
    findings = check(open_dataset(folder))
    assert [item.ids for item in findings.of("only_background")] == [("images/006.jpg",)]
    assert [item.ids for item in findings.of("empty_mask")] == [("images/007.jpg",)]


def test_the_split_has_its_share_of_every_class(tmp_path: Path) -> None:
    """Each mask has one class beside the background: a split by class gives each split some of all."""
    put_photos(tmp_path / "images", numbered(".jpg", 80))
    (tmp_path / "masks").mkdir()
    for index, name in enumerate(numbered(".png", 80)):
        mask = areas(index, 2) * np.uint8(1 + index % 4)
        Image.fromarray(mask).save(tmp_path / "masks" / name)
    dataset = open_dataset(tmp_path)
    main = [int(dataset.target().read(index).max()) for index in range(80)]
    for members in dataset.splits.values():
        counts = np.bincount([main[index] for index in members], minlength=5)[1:]
        assert counts.min() == counts.max() or counts.max() - counts.min() <= 1
    assert [len(members) for members in dataset.splits.values()] == [56, 12, 12]


def test_subsets_folds_and_groups_hold_for_masks(folder: Path) -> None:
    few = open_dataset(folder, limit={"train": 9})
    assert len(few.splits["train"]) == 9
    for index, name in enumerate(few.ids):
        assert np.array_equal(few.target().read(index), areas(int(Path(name).stem)))
    tests = [set(np.array(d.ids)[d.splits["test"]]) for d in (open_dataset(folder, folds=4, fold=k) for k in range(4))]
    assert len(set().union(*tests)) == sum(map(len, tests)) == 40
    grouped = open_dataset(folder, group=r"(\d)\.jpg")
    sides = [{Path(grouped.ids[index]).stem[-1] for index in members} for members in grouped.splits.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    with pytest.raises(DataError, match="needs one class an image"):
        open_dataset(folder, per_class=3)


def test_other_data_are_read_as_the_runs_classes(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    put_photos(other / "images", numbered(".jpg", 6), 100)
    put_masks(other / "masks", numbered(".png", 6), "L")
    (other / "classes.txt").write_text("0 sky\n2 car\n3 tree\n1 void\n")
    dataset = open_to_evaluate(str(other), "mask", "mask", ("tree", "car", "boat", "sky"), {})
    assert dataset.target().names == ("tree", "car", "boat", "sky")
    assert np.array_equal(dataset.target().read(2), np.array([3, IGNORE, 1, 0], np.uint8)[areas(2)])
    with pytest.raises(DataError, match="1 class that the run does not know: tree"):
        open_to_evaluate(str(other), "mask", "mask", ("car", "boat", "sky"), {})


def test_a_changed_mask_is_counted_anew(folder: Path) -> None:
    before = open_dataset(folder).target()
    Image.fromarray(np.full((48, 64), 3, np.uint8)).save(folder / "masks" / "002.png")
    after = open_dataset(folder).target()
    assert after.pixels(2)[3] == 48 * 64 != before.pixels(2)[3]


def test_copies_of_training_images_in_test_are_found(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("val", 50), ("test", 90)):
        put_photos(tmp_path / split / "images", numbered(".jpg"), seed)
        put_masks(tmp_path / split / "masks", numbered(".png"))
    (tmp_path / "test" / "images" / "003.jpg").write_bytes((tmp_path / "train" / "images" / "001.jpg").read_bytes())
    (found,) = check(open_dataset(tmp_path)).of("duplicate_leak")
    assert set(found.ids) == {"train/images/001.jpg", "test/images/003.jpg"}


def test_the_contact_sheet_names_the_colours_of_masks(folder: Path) -> None:
    """The legend stands above the images: a field of each class's colour, none for the background."""
    (folder / "classes.txt").write_text("background\nroad\ncar\ntree\n")
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(open_dataset(folder), per_row=3))))
    top = {tuple(pixel) for pixel in sheet[:TITLE_PX].reshape(-1, 3).tolist()}
    assert {colour_of(1), colour_of(2), colour_of(3)} <= top and colour_of(0) not in top
