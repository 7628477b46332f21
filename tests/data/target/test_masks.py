"""Masks of any size: read lazily, kept as a second plane of the store, moved with their image, drawn."""

import numpy as np
import pytest
import torch
from PIL import Image
from PIL import Image as Pillow
from target_data import dataset_of, loader_of, nearest_moved, place_of, plain_masks, plan_of, sizes

from striate.base.errors import DataError, SettingsError
from striate.base.errors import DataError as Refused
from striate.data.augment import STRENGTHS, Brightness, Cutmix, Flip, Pipeline, Rotate, Zoom
from striate.data.sources.mask_coding import LEVELS, Coding
from striate.data.sources.mask_files import MaskFiles
from striate.data.target import Mask
from striate.data.target.mask import IGNORE

COUNT = 10
NAMES = ("background", "cat", "dog")
GREYS = np.array([20, 120, 220], np.uint8)  # of the image, for each class
TURN = Pipeline((Flip(), Rotate(max_deg=25), Zoom(min=0.8, max=1.2), Brightness(amount=0.2)))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def images_of(masks: list[np.ndarray]) -> list[np.ndarray]:
    return [np.repeat(GREYS[mask % 3][..., None], 3, axis=2) for mask in masks]


def files_of(folder, masks: list[np.ndarray], **options) -> MaskFiles:
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(f"{index:03d}.png" for index in range(len(masks)))
    for name, mask in zip(names, masks, strict=True):
        Pillow.fromarray(mask).save(folder / name)
    return MaskFiles(folder, names, 1, **options)


@pytest.mark.parametrize("fit", ["crop", "letterbox", "squash"])
def test_masks_of_any_size_follow_their_image(tmp_path, fit):
    """The image's level is its class: where nothing is interpolated between two, the moved mask says the same."""
    masks = plain_masks(COUNT)
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": Mask(files_of(tmp_path / "masks", masks), NAMES)})
    pipeline = Pipeline((Flip(), Rotate(max_deg=25), Zoom(min=0.8, max=1.2)))
    num_sure = 0
    for batch in loader_of(dataset, fit=fit, pipeline=pipeline).batches(0):
        mask = batch.targets["mask"]
        assert mask.dtype == torch.int64 and mask.shape == (len(batch), 32, 32)
        level = ((batch.images[:, 0] * 0.25 + 0.5) * 255).numpy()
        for label, expected in enumerate(GREYS):
            is_sure = (np.abs(level - expected) < 0.5) & (mask.numpy() != IGNORE)
            num_sure += is_sure.sum()
            if not is_sure.any():
                continue
            # a level between two others may be met by interpolation: the middle class is allowed its rims
            assert (mask.numpy()[is_sure] == label).mean() > (0.93 if label == 1 else 0.999)
    assert num_sure > (0.4 if fit == "letterbox" else 0.6) * COUNT * 32 * 32


def test_a_moved_mask_is_the_nearest_class_by_plain_arithmetic():
    masks = plain_masks(COUNT)
    target = Mask.of(masks, NAMES)
    place = place_of(COUNT, 32)
    squares = [target.square(index, place.geometry) for index in range(COUNT)]
    plan = plan_of(TURN, COUNT, 32)
    found = target.batch(
        np.arange(COUNT), plan, place_of(COUNT, 32, squares=lambda indices: [squares[i] for i in indices])
    )
    for row in range(COUNT):
        expected, is_close = nearest_moved(squares[row][..., 0], plan.warp[row], 32)
        assert (found[row].numpy() == expected)[~is_close].all()
        assert is_close.mean() < 0.4


def test_cutmix_pastes_the_mask_where_it_pastes_the_image(tmp_path):
    masks = plain_masks(COUNT)
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": Mask(files_of(tmp_path / "masks", masks), NAMES)})
    plain, mixed = (
        next(loader_of(dataset, pipeline=Pipeline(ops), batch_size=COUNT).batches(0)) for ops in ((), (Cutmix(),))
    )
    level = ((mixed.images[:, 0] * 0.25 + 0.5) * 255).numpy()
    for label, expected in enumerate(GREYS):
        is_sure = np.abs(level - expected) < 0.5
        assert (mixed.targets["mask"].numpy()[is_sure] == label).mean() > (0.93 if label == 1 else 0.999)
    changed = (plain.targets["mask"] != mixed.targets["mask"]).float().mean()
    assert 0.05 < changed < 0.5


def test_a_value_without_a_name_is_refused_with_its_file(tmp_path):
    masks = plain_masks(COUNT)
    masks[3][35:45, 10:20] = 7
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": Mask(files_of(tmp_path / "masks", masks), NAMES)})
    with pytest.raises(DataError, match=r"has the value 7; classes are 0 to 2.*003.png"):
        list(loader_of(dataset).batches(0))


def test_classes_of_pixels_are_not_balanced_by_images():
    with pytest.raises(SettingsError, match="pixels weigh in the loss"):
        Mask.of(plain_masks(3), NAMES).refuse_balance("mask")


def test_padding_is_no_class(tmp_path):
    masks = plain_masks(5)
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": Mask.of(masks, NAMES)})
    batch = next(loader_of(dataset, fit="letterbox", batch_size=5).batches(0))
    for mask, (height, width) in zip(batch.targets["mask"], sizes(5), strict=True):
        share = (mask != IGNORE).float().mean().item()
        assert share == pytest.approx(min(height, width) / max(height, width), abs=0.04)


def test_colour_noise_and_blur_leave_a_mask_alone(tmp_path):
    masks = plain_masks(COUNT)
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": Mask.of(masks, NAMES)})
    plain = [batch.targets["mask"] for batch in loader_of(dataset).batches(0)]
    colour = [op for op in STRENGTHS["strong"] if op.kind in {"brightness", "contrast", "saturation", "hue", "erase"}]
    other = [batch.targets["mask"] for batch in loader_of(dataset, pipeline=Pipeline(colour)).batches(0)]
    assert len(colour) == 5 and all(map(torch.equal, plain, other))


def test_a_stored_plane_a_streamed_one_and_memory_say_the_same(tmp_path):
    masks = plain_masks(COUNT)
    in_files, in_memory = Mask(files_of(tmp_path / "masks", masks), NAMES), Mask.of(masks, NAMES)
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"files": in_files, "memory": in_memory})
    stored = list(loader_of(dataset, pipeline=TURN).batches(1))
    streamed = list(loader_of(dataset, pipeline=TURN, max_bytes=0).batches(1))
    for one, other in zip(stored, streamed, strict=True):
        assert torch.equal(one.targets["files"], one.targets["memory"])
        assert torch.equal(one.targets["files"], other.targets["files"])


def test_masks_are_sent_as_bytes_and_received_as_classes():
    target = Mask.of([np.array([[0, 1], [2, 255]], np.uint8)], NAMES)
    place = place_of(1, 2, squares=lambda indices: [target.read(0)[..., None]])
    sent = target.batch(np.array([0]), plan_of(Pipeline(), 1, 2), place)
    assert sent.dtype == torch.uint8
    assert target.widened(sent).dtype == target.widened(sent.to("meta")).dtype == torch.int64
    assert target.widened(sent).tolist() == [[[0, 1], [2, 255]]]


def test_a_plane_is_made_once_and_anew_when_a_mask_changes(tmp_path, monkeypatch):
    masks = plain_masks(4)
    target = Mask(files_of(tmp_path / "masks", masks), NAMES)
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": target})
    first = next(loader_of(dataset).batches(0)).targets["mask"]
    reads: list[int] = []
    read = MaskFiles.read
    monkeypatch.setattr(MaskFiles, "read", lambda self, index, side=None: [reads.append(index), read(self, index)][1])
    assert torch.equal(next(loader_of(dataset).batches(0)).targets["mask"], first)
    assert set(reads) <= {0}, "one square says what shape they have; the others come from the cache"
    Pillow.fromarray(np.full(masks[2].shape, 2, np.uint8)).save(tmp_path / "masks" / "002.png")
    second = next(loader_of(dataset).batches(0)).targets["mask"]
    assert (second[2] == 2).all() and torch.equal(second[[0, 1, 3]], first[[0, 1, 3]])


def test_masks_as_large_as_the_store_are_used_where_they_lie(tmp_path):
    from striate.data.sources.images import ArrayImages

    array = np.random.default_rng(0).integers(0, 3, (6, 32, 32, 1), dtype=np.uint8)
    images = [np.repeat(GREYS[mask[..., 0]][..., None], 3, axis=2) for mask in array]
    loader = loader_of(dataset_of(tmp_path / "set", images, {"mask": Mask(ArrayImages(array), NAMES)}))
    assert loader.store.planes[0].pixels is array
    assert np.array_equal(next(loader.batches(0)).targets["mask"], array[:4, ..., 0])


def test_a_broken_mask_stops_with_its_name(tmp_path):
    masks = plain_masks(4)
    files = files_of(tmp_path / "masks", masks)
    (tmp_path / "masks" / "001.png").write_bytes(b"no image")
    dataset = dataset_of(tmp_path / "set", images_of(masks), {"mask": Mask(files, NAMES)})
    with pytest.raises(DataError, match=r"001\.png"):
        loader_of(dataset)


def test_numbers_of_a_palette_are_classes_and_colours_are_not(tmp_path):
    mask = plain_masks(1)[0]
    palette = Pillow.fromarray(mask, mode="P")
    palette.putpalette([5, 5, 5, 250, 0, 0, 0, 250, 0])
    palette.save(tmp_path / "p.png")
    palette.convert("RGB").save(tmp_path / "rgb.png")
    Pillow.fromarray((mask + 1).astype(np.uint8)).save(tmp_path / "from_one.png")
    assert np.array_equal(MaskFiles(tmp_path, ("p.png",), 1).read(0)[..., 0], mask)
    shifted = MaskFiles(tmp_path, ("from_one.png",), 1, coding=Coding.of_levels((IGNORE, 0, 1, 2)))
    assert np.array_equal(shifted.read(0)[..., 0], mask)
    with pytest.raises(DataError, match=r"in colour \(RGB\).*rgb\.png"):
        MaskFiles(tmp_path, ("rgb.png",), 1).read(0)
    with pytest.raises(DataError, match=r"the mask holds 3 \(row \d+, column \d+\), which is none of its 3 classes"):
        MaskFiles(tmp_path, ("from_one.png",), 1, coding=Coding.of_levels((0, 1, 2))).read(0)


def test_findings_name_the_masks_that_are_odd():
    masks = [*plain_masks(5), np.full((9, 9), IGNORE, np.uint8)]
    masks[1] = masks[1].T
    masks[3][0, 0] = 7
    sizes_hw = np.array([*sizes(5), (9, 9)])
    found = {item.kind: item.ids for item in Mask.of(masks, NAMES).findings(tuple("abcdef"), sizes_hw)}
    assert found == {"unusable_mask": ("b",), "strange_class": ("d",), "empty_mask": ("f",)}
    assert not list(Mask.of(plain_masks(5), NAMES).findings(tuple("abcde"), np.array(sizes(5)) * 2))


def test_a_drawn_mask_covers_its_classes_half_and_nothing_else():
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 2:6], mask[6, 6] = 1, IGNORE
    image = np.full((16, 16, 3), 100, np.uint8)
    before = image.copy()
    drawn = Mask.of([mask], NAMES).draw(image, 0)
    is_changed = (drawn != 100).any(-1)
    expected = np.repeat(np.repeat(mask == 1, 2, 0), 2, 1)
    assert np.array_equal(is_changed, expected) and np.array_equal(image, before)
    assert (Mask.of([mask], ("sky", "cat")).draw(image, 0)[0, 0] != 100).any(), "a class that is no background is drawn"


def test_masks_read_as_other_classes_are_others(tmp_path):
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "a.png")
    files = [
        MaskFiles(tmp_path, ("a.png",), 1, coding=coding)
        for coding in (LEVELS, Coding.of_levels((0, 1)), Coding.of_levels((1, 0)))
    ]
    assert len({one.stamp(0) for one in files}) == 3
    assert len({one.digest(0, 1 << 20) for one in files}) == 3


def test_masks_of_other_classes_than_the_runs_are_refused():
    mask = Mask.of([np.zeros((2, 2), np.uint8)], ("sky", "bird"))
    assert mask.as_known(("sky", "bird"), "there", is_complete=True) is mask
    with pytest.raises(Refused, match="other classes"):
        mask.as_known(("bird", "sky"), "there", is_complete=True)


def test_a_mask_that_cannot_be_read_is_a_finding(tmp_path):
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    mask = Mask(MaskFiles(tmp_path, ("good.png", "bad.png"), 1), ("sky", "bird"))
    (only,) = mask.findings(("good", "bad"), np.array([[1, 2], [1, 2]]))
    assert (only.kind, only.severity, only.ids) == ("unusable_mask", "error", ("bad",))
