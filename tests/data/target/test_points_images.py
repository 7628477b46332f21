"""Points and partner images: moved with their image, swapped in a mirror, untouched by colour and noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from target_data import dataset_of, loader_of, place_of, plan_of, sizes

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.data.augment import Flip, Mixup, Pipeline, Rotate
from striate.data.sheet import contact_sheet
from striate.data.target import Boxes, Image, Mask, Points
from striate.data.target.arrays import ListImages

v2 = tv.load("torchvision.transforms.v2")
COUNT = 6
FLIP = Pipeline((Flip(horizontal=1, vertical=0),))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def pictures(count: int = COUNT) -> list[np.ndarray]:
    """Smooth images: resizing and turning them loses little."""
    found = []
    for index, (height, width) in enumerate(sizes(count)):
        y, x = np.mgrid[:height, :width]
        planes = [np.sin(x / 9 + index), np.cos(y / 7), np.sin((x + y) / 11)]
        found.append((127 + 100 * np.stack(planes, -1)).astype(np.uint8))
    return found


def faces(count: int = COUNT) -> Points:
    """Left eye, right eye and nose of as many faces as an image's number modulo 3."""
    rng, points = np.random.default_rng(0), []
    for index, (height, width) in enumerate(sizes(count)):
        points.append(rng.uniform(0, 1, (index % 3, 3, 2)) * [width, height])
    visible = [np.full(part.shape[:2], 2) for part in points]
    visible[1][0, 2] = 1
    return Points.of(points, visible, ("left", "right", "nose"), [(0, 1)])


def test_a_mirror_swaps_left_and_right():
    target, place = faces(), place_of(COUNT, 32, "squash")
    plain = target.batch(np.arange(COUNT), plan_of(Pipeline(), COUNT, 32), place)
    flipped = target.batch(np.arange(COUNT), plan_of(FLIP, COUNT, 32), place)
    both = target.batch(np.arange(COUNT), plan_of(Pipeline((Flip(horizontal=1, vertical=1),)), COUNT, 32), place)
    scale = np.repeat([[32 / w, 32 / h] for h, w in sizes(COUNT)], np.diff(target.starts), axis=0)
    np.testing.assert_allclose(plain.values, target.xy * scale[:, None], atol=1e-3)
    mirrored = plain.values.numpy()[:, [1, 0, 2]] * [-1, 1] + [32, 0]
    np.testing.assert_allclose(flipped.values, mirrored, atol=1e-3)
    np.testing.assert_allclose(both.values, 32 - plain.values.numpy(), atol=1e-3)  # turned by 180 degrees: no mirror
    assert plain.lengths == flipped.lengths == tuple(np.diff(target.starts).tolist())
    assert torch.equal(plain.fields["visible"], torch.from_numpy(target.visible.astype(np.int64)))
    alone = replace(target, pairs=())
    np.testing.assert_allclose(
        alone.batch(np.arange(COUNT), plan_of(FLIP, COUNT, 32), place).values, mirrored[:, [1, 0, 2]], atol=1e-3
    )


def test_visibility_is_swapped_too_and_what_left_the_output_is_not_there():
    target = Points.of([[[[12, 5], [45, 5], [2, 2]]]], [[[2, 1, 2]]], ("left", "right", "nose"), [(0, 1)])
    plain = target.batch(np.array([0]), plan_of(Pipeline(), 1, 40), place_of(1, 40))  # a crop cuts 10 columns a side
    flipped = target.batch(np.array([0]), plan_of(FLIP, 1, 40), place_of(1, 40))
    assert plain.fields["visible"].tolist() == [[2, 1, 0]]
    assert flipped.fields["visible"].tolist() == [[1, 2, 0]]
    assert flipped.values[0].tolist() == [[5, 5], [38, 5], [48, 2]]


def test_points_stay_on_what_they_mark(tmp_path):
    """A white square of three pixels around each point is white under the moved point."""
    rng, images, points = np.random.default_rng(0), [], []
    for height, width in sizes(COUNT):
        image, spot = np.zeros((height, width, 3), np.uint8), rng.uniform(12, [width - 12, height - 12])
        x, y = np.floor(spot).astype(int)
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
        images.append(image)
        points.append([[[x + 0.5, y + 0.5]]])
    dataset = dataset_of(tmp_path, images, {"points": Points.of(points)})
    pipeline = Pipeline((Flip(), Rotate(max_deg=40)))
    for batch in loader_of(dataset, size=48, fit="letterbox", pipeline=pipeline, batch_size=COUNT).batches(0):
        assert batch.targets["points"].lengths == (1,) * COUNT
        for image, ((spot,),), ((seen,),) in zip(
            batch.images, batch.targets["points"], batch.targets["points"].of("visible"), strict=True
        ):
            x, y = spot.floor().long().tolist()
            assert seen == 2 and image[0, y, x] > 1.9


def test_findings_of_points():
    target = Points.of([[[[5, 5]]], [[[50, 5]]], []])
    found = {item.kind: item.ids for item in target.findings(tuple("abc"), np.full((3, 2), 40))}
    assert found == {"point_beyond": ("b",), "no_point": ("c",)}


def test_a_drawn_point_is_a_disc_there():
    drawn = Points.of([[[[10.5, 20.5]]]]).draw(np.zeros((40, 40, 3), np.uint8), 0)
    rows, columns = np.nonzero(drawn.any(-1))
    assert drawn[20, 10].any() and rows.mean() == 20 and columns.mean() == 10 and len(rows) < 30


def test_a_partner_of_another_size_moves_alike(tmp_path):
    images = pictures()
    double = [
        v2.functional.resize(
            torch.from_numpy(image).permute(2, 0, 1), [2 * image.shape[0], 2 * image.shape[1]], antialias=True
        )
        for image in images
    ]
    partners = Image(ListImages(tuple(one.permute(1, 2, 0).numpy() for one in double)))
    dataset = dataset_of(tmp_path, images, {"sharp": partners})
    for batch in loader_of(dataset, pipeline=Pipeline((Flip(), Rotate(max_deg=30)))).batches(0):
        assert (batch.targets["sharp"] - (batch.images * 0.25 + 0.5)).abs().mean() < 0.02
    assert not list(partners.findings(dataset.ids, np.array(sizes(COUNT))))
    turned = [item.ids for item in partners.findings(dataset.ids, np.array(sizes(COUNT))[:, ::-1])]
    assert turned == [tuple(name for name, (h, w) in zip(dataset.ids, sizes(COUNT), strict=True) if h != w)]


def test_a_grey_partner_keeps_its_channel(tmp_path):
    images = pictures()
    grey = Image(ListImages(tuple(image[..., :1] for image in images)), channels=1)
    batch = next(loader_of(dataset_of(tmp_path, images, {"grey": grey})).batches(0))
    torch.testing.assert_close(batch.targets["grey"][:, 0], batch.images[:, 0] * 0.25 + 0.5, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "target",
    [faces(), Image(ListImages(tuple(pictures()))), Mask.of([np.zeros((2, 2))] * COUNT), Boxes.of([[]] * COUNT)],
)
def test_none_of_these_is_mixed(tmp_path, target):
    dataset = dataset_of(tmp_path, pictures(), {"t": target})
    with pytest.raises(SettingsError, match=f"mixup cannot mix a target of kind {target.kind}"):
        loader_of(dataset, pipeline=Pipeline((Mixup(),)))


def test_the_contact_sheet_shows_the_first_target(tmp_path):
    images = pictures()
    dataset = dataset_of(tmp_path, images, {})
    plain = contact_sheet(dataset)
    drawn = {
        "mask": Mask.of([np.ones(image.shape[:2], np.uint8) for image in images], ("background", "a")),
        "box": Boxes.of([[[5, 5, 25, 25]]] * COUNT),
        "points": faces(),
        "image": Image(ListImages(tuple(255 - image for image in images))),
    }
    sheets = {name: contact_sheet(replace(dataset, targets={name: target})) for name, target in drawn.items()}
    assert len({plain, *sheets.values()}) == 5
