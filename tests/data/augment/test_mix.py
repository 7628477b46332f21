"""Mixup and cutmix: pixels and targets against torchvision's, partners, shares, and who decides them."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from striate.base import torchvision as tv
from striate.base.errors import SettingsError
from striate.data.augment import Cutmix, Flip, Mixup, Pipeline, refuse_unmixable
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.augment.device import apply_torch
from striate.data.augment.mix import Mix, boxes_of, draw_mix, mix_cpu
from striate.data.target import Angle, Boxes, Label, Mask, Number, Tags

v2 = tv.load("torchvision.transforms.v2")
BOTH = (Mixup(alpha=0.4, p=0.5), Cutmix())
LABELS = Label(np.arange(10) % 4, ("a", "b", "c", "d"))


def mix_for(ops, count: int, side: int = 20, seed: int = 0, epoch: int = 0) -> Mix:
    return draw_mix([(op, op.draw(count, seed, epoch, place)) for place, op in enumerate(ops)], (side, side))


def rolled(count: int, weight: float, box: tuple[int, int, int, int], side: int) -> Mix:
    """torchvision's pairs: each image with the one before it, all in the same way."""
    cycle = np.arange(count)[::-1].copy()
    return Mix(cycle, np.full(count, weight), np.tile(np.array(box, np.int32), (count, 1)), (side, side))


@pytest.mark.parametrize(
    ("weight", "box"), [(0.3, (0, 0, 0, 0)), (0.85, (0, 0, 0, 0)), (1.0, (4, 7, 15, 20)), (1.0, (0, 0, 20, 20))]
)
def test_pixels_and_labels_equal_torchvision(weight, box):
    images = np.random.default_rng(0).random((10, 20, 20, 3), np.float32)
    ours, mix = images.copy(), rolled(10, weight, box, 20)
    mix_cpu(ours, mix, None, 1)
    chw, labels = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(LABELS.values)
    area = (box[2] - box[0]) * (box[3] - box[1]) / 400
    if weight < 1:
        theirs, parameters = v2.MixUp(num_classes=4), {"lam": weight}
    else:
        theirs, parameters = v2.CutMix(num_classes=4), {"box": box, "lam_adjusted": 1 - area}
    parameters |= {"labels": labels, "batch_size": 10}
    np.testing.assert_allclose(ours, theirs.transform(chw, parameters).permute(0, 2, 3, 1), atol=1e-6)
    expected = theirs.transform(labels, parameters)
    np.testing.assert_allclose(LABELS.mix(LABELS.values, mix), expected, atol=1e-6)


def test_targets_have_the_shares_of_the_pixels():
    """Images whose level is their label: the mean of what is seen is the mean of the mixed labels."""
    labels = np.arange(12)
    target = Label(labels, tuple(map(str, labels)))
    pixels = np.repeat(labels.astype(np.float32), 30 * 30).reshape(12, 30, 30, 1)
    mix = mix_for(BOTH, 12, 30)
    assert (mix.weight < 1).any() and (mix.boxes[:, 2] > mix.boxes[:, 0]).any()
    mix_cpu(pixels, mix, None, 1)
    shares = target.mix(labels, mix)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(pixels.mean((1, 2, 3)), shares @ labels, atol=1e-4)
    numbers = Number(labels[:, None].astype(np.float32), ("x",))
    np.testing.assert_allclose(numbers.mix(numbers.values, mix)[:, 0], shares @ labels, atol=1e-4)
    tags = Tags(np.eye(12, dtype=np.uint8), tuple(map(str, labels)))
    np.testing.assert_allclose(tags.mix(tags.values, mix), shares, atol=1e-6)


def test_everybody_has_another_partner_and_the_order_of_the_batch_does_not_matter():
    op = Mixup(alpha=1)
    table = op.draw(40, 3, 7, 0)
    mix = draw_mix([(op, table)], (16, 16))
    assert sorted(mix.partner) == list(range(40)) and (mix.partner != np.arange(40)).all()
    order = np.random.default_rng(0).permutation(40)
    other = draw_mix([(op, table[order])], (16, 16))
    np.testing.assert_array_equal(order[other.partner], mix.partner[order])
    assert (mix_for([op], 40, epoch=1).partner != mix_for([op], 40).partner).any()


def test_a_sample_keeps_its_share_when_samples_are_added():
    np.testing.assert_array_equal(Mixup().draw(50, 1, 2, 0)[:20], Mixup().draw(20, 1, 2, 0))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta_distributed(alpha):
    shares = mix_for([Mixup(alpha=alpha)], 20_000).share.astype(float)
    assert abs(shares.mean() - 0.5) < 0.01
    assert abs(shares.var() - 1 / (4 * (2 * alpha + 1))) < 0.004  # Beta's variance


def test_cut_boxes_have_their_area_and_are_cut_at_the_border():
    draws = Cutmix(alpha=1).draw(5000, 0, 0, 0)
    boxes = boxes_of(draws, (100, 100))
    assert boxes.min() >= 0 and boxes.max() <= 100
    inner = (boxes[:, :2] > 0).all(1) & (boxes[:, 2:] < 100).all(1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / 1e4
    np.testing.assert_allclose(area[inner], 1 - draws[inner, 2], atol=0.021)
    assert (area[~inner] <= 1 - draws[~inner, 2] + 0.021).all()


def test_two_operations_never_meet_in_one_picture():
    mix = mix_for(BOTH, 4000)
    is_mixed, is_cut = mix.weight < 1, np.prod(mix.boxes[:, 2:] - mix.boxes[:, :2], axis=1) > 0
    assert not (is_mixed & is_cut).any()
    assert abs(is_mixed.mean() - 0.5) < 0.03 and is_cut.mean() > 0.4


@pytest.mark.parametrize("parts", [1, 3, 7, 50])
@pytest.mark.parametrize("count", [1, 2, 11])
def test_threads_do_not_change_a_bit(parts, count):
    images = np.random.default_rng(0).integers(0, 256, (count, 20, 20, 3), np.uint8)
    pipeline = Pipeline([Flip(), *BOTH])
    plan = pipeline.matrices(pipeline.draw(count, 0, 0), (20, 20), (20, 20), images.mean((1, 2)))
    plain, sizes = Pipeline([Flip()]), ((20, 20), (20, 20))
    before = apply_cpu(images, plain.matrices(pipeline.draw(count, 0, 0)[:, :2], *sizes, images.mean((1, 2)))).astype(
        float
    )
    alone = apply_cpu(images, plan)
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(apply_cpu(images, plan, pool=pool, parts=parts), alone)
    for row, (other, weight, (left, top, right, bottom)) in enumerate(
        zip(plan.mix.partner, plan.mix.weight, plan.mix.boxes, strict=True)
    ):
        expected = weight * before[row] + (1 - weight) * before[other]
        expected[top:bottom, left:right] = before[other, top:bottom, left:right]
        np.testing.assert_allclose(alone[row], expected, atol=0.51)


@pytest.mark.parametrize("channels", [1, 3])
def test_cpu_and_gpu_code_agree(channels):
    images = np.random.default_rng(0).integers(0, 256, (16, 24, 24, channels), np.uint8)
    pipeline, mean, std = Pipeline(BOTH), [0.5] * channels, [0.25] * channels
    plan = pipeline.matrices(pipeline.draw(16, 0, 0), (24, 24), (24, 24), images.mean((1, 2)))
    ours = apply_cpu(images, plan, normal=Normal.of(mean, std, (24, 24)))
    other = apply_torch(torch.from_numpy(images), plan, torch.tensor(mean), torch.tensor(std))
    assert other.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(ours, other.permute(0, 2, 3, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("op", "target"),
    [
        (Cutmix(), Number(np.ones((3, 1)), ("x",))),
        (Cutmix(), Angle(np.ones((3, 1)), ("x",))),
        (Mixup(), Angle(np.ones((3, 1)), ("x",))),
        (Mixup(), Mask.of(np.ones((3, 4, 4)), ("x",))),
        (Cutmix(), Boxes.of(np.ones((3, 1, 4)))),
    ],
)
def test_what_cannot_be_mixed_is_refused(op, target):
    with pytest.raises(SettingsError, match=f"{op.kind} cannot mix"):
        refuse_unmixable((Flip(), op), "t", target)
    refuse_unmixable((Flip(),), "t", target)
    refuse_unmixable((Mixup(),), "t", Number(np.ones((3, 1)), ("x",)))
    refuse_unmixable(BOTH, "t", LABELS)
