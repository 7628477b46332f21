"""Label, tags and numbers: what splits, checks, mixing and runs ask of them; what all kinds share."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import DataError, SettingsError
from striate.data.open import open_dataset
from striate.data.sources.arrays import from_arrays
from striate.data.target import KINDS, TASK_KINDS, Angle, Boxes, Image, Label, Mask, Number, Points, Tags, Target
from striate.data.target.arrays import ListImages
from striate.run.prepare import fingerprint, outline

RNG = np.random.default_rng(0)
COUNT = 12
LABELS = Label(RNG.integers(0, 3, COUNT), ("a", "b", "c"))
TAGS = Tags(RNG.integers(0, 2, (COUNT, 3)).astype(np.uint8), ("x", "y", "z"))
NUMBERS = Number(RNG.normal(size=(COUNT, 2)), ("kg", "cm"))
ANGLES = Angle(RNG.uniform(0, 360, (COUNT, 1)), ("angle",))
PIXELS = [RNG.integers(0, 256, (5 + index, 4, 3), dtype=np.uint8) for index in range(COUNT)]
EVERY: dict[str, Target] = {
    "label": LABELS,
    "tags": TAGS,
    "number": NUMBERS,
    "angle": ANGLES,
    "mask": Mask.of([image[..., 0] % 3 for image in PIXELS], ("a", "b", "c")),
    "boxes": Boxes.of([RNG.random((index % 3, 4)) for index in range(COUNT)], names=("a",)),
    "points": Points.of([RNG.random((index % 3, 2, 2)) for index in range(COUNT)], names=("l", "r")),
    "image": Image(ListImages(tuple(PIXELS))),
}
every = pytest.mark.parametrize("target", EVERY.values(), ids=EVERY)


def content(target: Target, indices) -> bytes:
    return b"".join(target.digest("t", np.asarray(indices, np.intp)))


def test_every_kind_is_tested_here():
    assert set(KINDS) == {type(target) for target in EVERY.values()} - {Angle}
    assert len({cls.kind for cls in KINDS}) == len(KINDS)
    known = {"classify": ("label", "tags"), "tag": ("tags",), "regress": ("value",)}
    assert TASK_KINDS | known | {"segment": ("mask",), "detect": ("box",)} == TASK_KINDS


@every
def test_taking_is_the_same_as_looking_at_some(target: Target):
    some = np.array([7, 2, 2, 11])
    taken = target.take(some)
    assert len(target) == COUNT and len(taken) == 4
    assert content(taken, range(4)) == content(target, some)
    assert [taken.text(place) for place in range(4)] == [target.text(index) for index in some]
    assert len(taken.strata()) == 4


@every
def test_a_digest_knows_images_order_and_name(target: Target):
    first = content(target, [0, 4, 5])
    assert first == content(target, [0, 4, 5])
    assert first != content(target, [4, 0, 5]) and first != content(target, [0, 4])
    assert b"".join(target.digest("other", np.array([0, 4, 5]))) != first


@every
def test_counts_are_those_of_the_members_of_each_class(target: Target):
    some = np.array([0, 3, 3, 8, 9, 10])
    counts = target.counts(some)
    assert counts.dtype == np.int64
    assert counts.tolist() == [len(target.members(label, some)) for label in range(len(target.classes))]


def test_counts_and_members_by_hand():
    labels = Label(np.array([0, 1, 1, 2]), ("a", "b", "c"))
    tags = Tags(np.array([[1, 0], [1, 1], [0, 0]], np.uint8), ("x", "y"))
    assert labels.counts(np.array([1, 2, 3])).tolist() == [0, 2, 1]
    assert labels.members(1, np.array([3, 2, 1])).tolist() == [2, 1]
    assert tags.counts(np.arange(3)).tolist() == [2, 1]
    assert tags.members(1, np.arange(3)).tolist() == [1]
    assert [tags.text(index) for index in range(3)] == ["x", "x + y", "none"]
    assert [labels.text(index) for index in range(4)] == ["a", "b", "b", "c"]


@pytest.mark.parametrize("target", [target for name, target in EVERY.items() if not target.classes and name != "mask"])
def test_what_has_no_classes_is_not_balanced(target: Target):
    with pytest.raises(SettingsError, match=f"{target.noun[1]} have no classes to balance; age is a {target.noun[0]}"):
        target.refuse_balance("age")
    with pytest.raises(SettingsError, match="no classes"):
        target.weights(np.arange(3))
    LABELS.refuse_balance("age")
    with pytest.raises(SettingsError, match="cannot be balanced"):
        EVERY["mask"].refuse_balance("mask")


@pytest.mark.parametrize("name", ["mask", "boxes", "points", "image"])
def test_nobody_knows_how_these_go_wrong(name: str):
    with pytest.raises(SettingsError, match="label noise needs classes, tags or numbers"):
        EVERY[name].with_noise(list("abcdefghijkl"), np.arange(3), 0.1, 0)


def test_degrees_are_angles():
    with pytest.raises(DataError, match="are angles"):
        Number(np.zeros((2, 1)), ("turn",), "deg")
    assert ANGLES.unit == "deg" and ANGLES.take(np.arange(2)).unit == "deg"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_sampling_by_weights_draws_every_class_equally_often(values: list[int]):
    labels = Label(np.array(values), tuple("abcde"))
    weights = labels.weights(np.arange(len(values)))
    shares = np.bincount(values, weights / weights.sum(), minlength=5)
    np.testing.assert_allclose(shares[np.unique(values)], 1 / len(set(values)))


def test_classes_of_other_data_are_laid_out_as_the_runs():
    run = ("cat", "dog", "yak")
    other = Label(np.array([0, 1, 0]), ("yak", "cat")).as_known(run, "here", is_complete=False)
    assert other.values.tolist() == [2, 0, 2] and other.names == run
    tags = Tags(np.array([[1, 0, 0], [1, 1, 0]], np.uint8), ("dog", "cat", "ape"))
    known = tags.as_known(run, "here", is_complete=True)
    assert known.values.tolist() == [[0, 1, 0], [1, 1, 0]] and known.names == run
    with pytest.raises(DataError, match="1 column of the run missing: 'yak'|1 column of the run missing: yak"):
        tags.as_known(run, "here", is_complete=False)
    with pytest.raises(DataError, match="does not know"):
        replace(tags, values=np.ones((2, 3), np.uint8)).as_known(run, "here", is_complete=True)
    assert NUMBERS.as_known(("kg", "cm"), "here", is_complete=False) is NUMBERS


def arrays(labels: np.ndarray):
    dataset = from_arrays(np.arange(192, dtype=np.uint8).reshape(12, 4, 4), labels)
    return dataset.with_splits({"train": np.arange(8), "val": np.arange(8, 10), "test": np.arange(10, 12)})


STORED = {  # first digits of fingerprint and outline, as the version before targets were classes computed them
    "toy": ("89ce41c4007fd849a939d047d49f3d12", "63461617fe5f18247bc3c8d922fad207"),
    "label": ("1606eeef9ee9c4bb809d27dc49e8f1ee", "8102ab4972ac277b7dc53071d27c0daf"),
    "tags": ("bd2b1de3cbecc69dfc317c56361e0739", "2b182afefd7f2bf60df06e0e48c37096"),
    "value": ("85a93706d93b1de9e10d4f89ee436afe", "1a9bdd89974ed51f6c008d4bed1d6f72"),
}


@pytest.mark.parametrize("name", STORED)
def test_fingerprints_in_old_run_folders_still_fit(name: str):
    make = {
        "toy": lambda: open_dataset("toy:shapes?n=60&size=24"),
        "label": lambda: arrays(np.arange(12) % 3),
        "tags": lambda: arrays(np.tri(12, 4, dtype=int)),
        "value": lambda: arrays(np.arange(24).reshape(12, 2) / 7),
    }
    dataset = make[name]()
    assert (fingerprint(dataset)[:32], outline(dataset)[:32]) == STORED[name]


def test_what_may_make_a_target_untrue_is_an_operation():
    from striate.data.augment.geometric import Geometric, Shift
    from striate.data.augment.pipeline import KINDS

    moving = {kind for kind, op in KINDS.items() if issubclass(op, Geometric) and op is not Shift}
    assert moving == EVERY["number"].untrue_after
    assert {"flip"} <= EVERY["angle"].untrue_after <= moving
    of_boxes = {name: target.untrue_after for name, target in EVERY.items() if isinstance(target, Boxes)}
    assert set(of_boxes.values()) == {frozenset({"rotate", "shear"})}  # hulls of turned boxes are too large
    others = set(EVERY) - {"number", "angle", *of_boxes}
    assert not any(EVERY[name].untrue_after for name in others)
