"""Ragged boxes: moved by the matrix of their image, cut at the border, left out when there is nothing left of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from target_data import dataset_of, loader_of, place_of, plan_of, sizes

from striate.base import torchvision as tv
from striate.data.augment import Flip, Pipeline, Rotate, Zoom
from striate.data.augment.move import move_hulls
from striate.data.geometry import Geometry
from striate.data.sources.images import FileImages
from striate.data.target import Boxes, Place
from striate.data.target.boxes import MIN_SIDE_PX
from striate.data.target.place import MIN_SEEN

v2, tv_tensors = tv.load("torchvision.transforms.v2"), tv.load("torchvision.tv_tensors")
COUNT = 10
TURN = Pipeline((Flip(), Rotate(max_deg=30), Zoom(min=0.6, max=1.6)))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def random_boxes(count: int, seed: int = 0) -> Boxes:
    rng, boxes, labels = np.random.default_rng(seed), [], []
    for index, (height, width) in enumerate(sizes(count)):
        num = index % 4
        first = rng.uniform(0, 0.7, (num, 2))
        last = first + rng.uniform(0.1, 0.3, (num, 2))
        boxes.append(np.concatenate([first, last], 1) * [width, height, width, height])
        labels.append(rng.integers(0, 3, num))
    crowd = [np.arange(len(part)) == 1 for part in boxes]
    return Boxes.of(boxes, labels, ("a", "b", "c"), crowd=crowd)


def test_without_augmentation_boxes_are_where_torchvision_puts_them(tmp_path):
    target = random_boxes(COUNT)
    images = [
        np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8) for i, size in enumerate(sizes(COUNT))
    ]
    loader = loader_of(
        dataset_of(tmp_path, images, {"box": target}),
        fit="squash",
        pipeline=Pipeline((Flip(horizontal=1, vertical=0),)),
    )
    theirs = v2.Compose(
        [
            v2.Resize((32, 32)),
            v2.RandomHorizontalFlip(1),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(min_size=MIN_SIDE_PX),
        ]
    )
    num = 0
    for batch in loader.batches(0):
        found = batch.targets["box"]
        assert found.values.dtype == torch.float32 and len(found) == len(batch)
        for index, boxes, labels in zip(batch.index, found, found.of("labels"), strict=True):
            blank = tv_tensors.Image(torch.zeros(3, *sizes(COUNT)[index]))
            rows = slice(target.starts[index], target.starts[index + 1])
            whole = tv_tensors.BoundingBoxes(
                torch.from_numpy(target.xyxy[rows]), format="XYXY", canvas_size=sizes(COUNT)[index]
            )
            out = theirs({"image": blank, "boxes": whole, "labels": torch.from_numpy(target.labels[rows])})
            torch.testing.assert_close(boxes, out["boxes"].as_subclass(torch.Tensor), atol=1e-3, rtol=0)
            assert torch.equal(labels, out["labels"])
            num += len(boxes)
    assert num == len(target.xyxy)


def test_a_size_is_not_asked_of_a_file_that_was_read(tmp_path, monkeypatch):
    images = [np.full((*size, 3), 99, np.uint8) for size in sizes(COUNT)]
    dataset = dataset_of(tmp_path, images, {"boxes": random_boxes(COUNT)})
    loader = loader_of(dataset, max_bytes=0)
    reads: list[int] = []
    read = FileImages.read
    monkeypatch.setattr(FileImages, "read", lambda self, index, side=None: [reads.append(index), read(self, index)][1])
    assert len(list(loader.batches(0))) > 1 and sorted(reads) == list(range(COUNT))
    assert [loader.store.size_hw(index) for index in range(COUNT)] == sizes(COUNT) and len(reads) == COUNT


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.sampled_from(["crop", "letterbox", "squash"]))
def test_a_moved_box_holds_what_was_in_it_and_no_more(epoch: int, fit: str):
    """Brute force: a fine grid over each box, moved by the inverse of the matrix that moves pixels, gives its hull."""
    target, place, plan = random_boxes(COUNT), place_of(COUNT, 32, fit), plan_of(TURN, COUNT, 32, epoch)
    found = target.batch(np.arange(COUNT), plan, place)
    expected, rows = [], []
    for row in range(len(target.xyxy)):
        index = int(np.searchsorted(target.starts, row, side="right") - 1)
        left, top, right, bottom = target.xyxy[row].astype(np.float64)
        grid = np.stack(np.meshgrid(np.linspace(left, right, 9), np.linspace(top, bottom, 9)), -1).reshape(-1, 2)
        spot = place.geometry.placement(*sizes(COUNT)[index])
        stored = (grid - spot.box[:2]) * np.array(spot.spot[2:]) / np.array(spot.box[2:]) + spot.spot[:2]
        warp = np.vstack([plan.warp[index], [0, 0, 1]])
        moved = (np.linalg.inv(warp) @ np.column_stack([stored - 0.5, np.ones(len(stored))]).T).T[:, :2] + 0.5
        hull = np.concatenate([moved.min(0), moved.max(0)])
        seen = hull.clip(0, 32)
        sides, whole = seen[2:] - seen[:2], hull[2:] - hull[:2]
        if abs(sides.min() - MIN_SIDE_PX) < 1e-3 or abs(sides.prod() - MIN_SEEN * whole.prod()) < 1e-2:
            return  # a toss-up
        if sides.min() >= MIN_SIDE_PX and sides.prod() >= MIN_SEEN * whole.prod():
            expected.append(seen)
            rows.append(row)
    assert found.fields["row"].tolist() == rows
    np.testing.assert_allclose(found.values, np.array(expected).reshape(-1, 4), atol=2e-3)
    assert found.fields["labels"].tolist() == target.labels[rows].tolist()
    assert found.fields["crowd"].tolist() == target.crowd[rows].tolist()


def test_a_batch_is_its_images_one_by_one():
    target, place, plan = random_boxes(COUNT), place_of(COUNT, 32), plan_of(Pipeline(), COUNT, 32)
    whole = target.batch(np.arange(COUNT), plan, place)
    for index in range(COUNT):
        alone = target.batch(np.array([index]), plan_of(Pipeline(), 1, 32), place)
        assert torch.equal(alone.values, whole[index]) and alone.lengths == whole.lengths[index : index + 1]


def test_images_without_boxes_stay_in_the_batch():
    none = Boxes.of([[], []])
    found = none.batch(np.arange(2), plan_of(TURN, 2, 32), place_of(2, 32))
    assert found.lengths == (0, 0) and found.values.shape == (0, 4) and found.fields["labels"].shape == (0,)
    assert len(set(none.strata())) == 1 and len(none.take(np.array([1]))) == 1


def test_what_is_left_out_is_tiny_or_nearly_gone():
    inside, tiny, sliver, gone = [10, 5, 30, 25], [20, 20, 20.5, 30], [9, 5, 10.5, 25], [0, 0, 5, 5]
    target = Boxes.of([[inside, tiny, sliver, gone]])  # of an image 40 x 60, whose left 10 columns a crop to 40 cuts
    found = target.batch(np.array([0]), plan_of(Pipeline(), 1, 40), place_of(1, 40))
    assert found.fields["row"].tolist() == [0] and found.values.tolist() == [[0, 5, 20, 25]]


def test_a_digest_sees_labels_and_how_boxes_are_shared_out():
    def digest(boxes: Boxes) -> bytes:
        return b"".join(boxes.digest("box", np.arange(len(boxes))))

    one, two = [0, 0, 4, 4], [1, 1, 5, 5]
    assert digest(Boxes.of([[one, two], []])) != digest(Boxes.of([[one], [two]]))
    assert digest(Boxes.of([[one]], [[0]])) != digest(Boxes.of([[one]], [[1]]))
    assert digest(Boxes.of([[one]])) != digest(Boxes.of([[one]], difficult=[[1]]))


def test_findings_name_the_images_whose_boxes_are_odd():
    boxes = {
        "fine": ([0, 0, 9, 9], 0), "flat": ([4, 4, 4, 8], 0),
        "swapped": ([9, 9, 4, 20], 0), "nan": ([1, 1, np.nan, 3], 0),
        "beyond": ([5, 5, 90, 9], 0), "nearly": ([5, 5, 40.9, 9], 0), "outside": ([50, 5, 90, 9], 0),
        "speck": ([1, 1, 2, 2], 0), "strange": ([1, 1, 3, 3], 4),
    }  # fmt: skip
    target = Boxes.of([[box] for box, _ in boxes.values()] + [[]], [[k] for _, k in boxes.values()] + [[]], ("a",))
    target = replace(target, origin="line {}", numbers=np.arange(9))
    found = list(target.findings((*boxes, "empty"), np.full((10, 2), 40)))
    assert {item.kind: (item.severity, item.ids) for item in found} == {
        "flat_box": ("error", ("flat", "nan")),
        "swapped_box": ("error", ("swapped",)),
        "box_outside": ("error", ("outside",)),
        "strange_box": ("error", ("strange",)),
        "box_beyond": ("warning", ("beyond",)),
        "speck_box": ("warning", ("speck",)),
        "no_box": ("note", ("empty",)),
    }
    assert found[0].reasons == ("a box without area: line 1 (4, 4, 4, 8)", "a box without area: line 3 (1, 1, nan, 3)")
    assert "swapped line 2" in found[1].text
    assert not list(random_boxes(4).take(np.arange(1, 4)).findings(tuple("abc"), np.array(sizes(4)[1:])))


def test_boxes_that_are_there_twice_are_named():
    box = [1, 1, 9, 9]
    target = Boxes.of([[box, box, [1, 1, 9.3, 9]], [box], [box, box]], [[0, 0, 0], [0], [0, 1]], ("a", "b"))
    (found,) = target.findings(tuple("pqr"), np.full((3, 2), 40))
    assert (found.kind, found.ids) == ("doubled_box", ("p",)) and "2 boxes there twice" in found.text


@pytest.mark.parametrize("fit", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("size_hw", [(32, 32), (32, 48)])
def test_the_advised_size_makes_small_boxes_large_enough(fit, size_hw):
    target, sizes_hw = random_boxes(COUNT), np.array(sizes(COUNT))
    ids = tuple(map(str, range(COUNT)))
    (found,) = target.findings_at(ids, sizes_hw, Geometry(size_hw, fit, 1.15))
    place = Place(Geometry(size_hw, fit, 1.15), lambda index: sizes(COUNT)[index])
    pipeline, store_hw = Pipeline(), place.geometry.store_hw
    plan = pipeline.matrices(pipeline.draw(COUNT, 0, 0), store_hw, size_hw, np.zeros((COUNT, 3)))
    matrices = place.matrices(target.image)
    stored = target.xyxy.reshape(-1, 2, 2) @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    moved = move_hulls(stored.reshape(-1, 4).astype(np.float32), plan, target.image)
    sides = (moved[:, 2:] - moved[:, :2]).min(1)
    assert f"{int((sides < 8).sum())} boxes" in found.text and "would do for all" in found.fix
    larger = tuple(map(int, found.fix.split()[1].split("x")))
    assert not list(target.findings_at(ids, sizes_hw, Geometry(larger * (2 // len(larger)), fit, 1.15)))


def test_counts_and_sizes_by_class():
    target = Boxes.of([[[0, 0, 4, 2], [1, 1, 9, 5]], [], [[0, 0, 6, 3]]], [[0, 1], [], [0]], ("a", "b"))
    found = target.distribution({"train": np.array([0, 1]), "val": np.array([2])})
    assert (found["boxes"], found["images"], found["background"], found["an_image"]) == (3, 3, 1, [0, 1.0, 2])
    assert found["classes"]["a"] == {
        "boxes": 2, "train": 1, "val": 1, "width_px": [4.2, 5, 5.8], "height_px": [2.1, 2.5, 2.9], "aspect": [2, 2, 2]
    }  # fmt: skip
    lines = target.summary("box", {"train": np.array([0, 1]), "val": np.array([2])})
    assert lines[0] == "3 boxes in 3 images, 0 to 2 an image (median 1); 1 without any" and len(lines) == 4


def test_a_drawn_box_is_a_frame():
    image = np.zeros((30, 30, 3), np.uint8)
    drawn = Boxes.of([[[5, 6, 15, 20]]]).draw(image, 0)
    rows, columns = np.nonzero(drawn.any(-1))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (5, 6, 15, 20)
    assert not drawn[8:18, 7:13].any() and not image.any()


def test_the_share_of_small_boxes_is_a_plain_number():
    boxes = Boxes.of([[[0, 0, 40, 40]]] * 2, names=("cell",))
    (said,) = boxes.findings_at(("a", "b"), np.array([[400, 400]] * 2), Geometry((32, 32), "letterbox"))
    assert said.text.startswith("2 boxes (100 %) become smaller than 8 px")
