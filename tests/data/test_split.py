import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.split import allocate, assign, assign_tags, choose_some
from striate.data.target import Mask, Number, Tags

SHARES = (0.7, 0.15, 0.15)


def ids(count: int) -> list[str]:
    return [f"{index}.jpg" for index in range(count)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 2**20))
def test_shares_hold_in_every_class_and_in_total(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    part = assign(ids(len(labels)), labels, SHARES, seed)
    for kind, size in enumerate(sizes):
        counts = np.bincount(part[labels == kind], minlength=3)
        assert np.all(np.abs(counts - size * np.array(SHARES)) <= 2) and (size == 0 or counts[0] >= 1)
    if min(sizes) >= 2:  # a class of one image must be trained on
        assert np.all(np.abs(np.bincount(part, minlength=3) - len(labels) * np.array(SHARES)) <= 1.5)


def test_small_classes_do_not_starve_a_split() -> None:
    part = assign(ids(300), np.repeat(np.arange(100), 3), SHARES, 0)
    assert np.bincount(part).tolist() == [210, 45, 45]


@given(st.permutations(range(30)), st.integers(0, 100))
def test_the_order_of_the_files_does_not_matter(order: list[int], seed: int) -> None:
    labels, names = np.arange(30) % 3, ids(30)
    first = dict(zip(names, assign(names, labels, SHARES, seed), strict=True))
    moved = [names[index] for index in order]
    assert dict(zip(moved, assign(moved, labels[order], SHARES, seed), strict=True)) == first


def test_one_image_more_moves_few_others() -> None:
    names = ids(400)
    whole = assign(names, np.zeros(400, dtype=np.int64), SHARES, 0)
    without = assign(names[1:], np.zeros(399, dtype=np.int64), SHARES, 0)
    assert (whole[1:] != without).sum() <= 2


def test_groups_are_never_cut_and_classes_stay_even() -> None:
    rng = np.random.default_rng(0)
    group_of = rng.integers(0, 120, 1500)
    labels = (group_of % 3 == 0).astype(np.int64)
    part = assign(ids(1500), labels, SHARES, 5, [str(group) for group in group_of])
    for group in range(120):
        assert len(set(part[group_of == group])) <= 1
    for kind in (0, 1):
        assert np.allclose(np.bincount(part[labels == kind]) / (labels == kind).sum(), SHARES, atol=0.02)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 400))
def test_allocation_is_exact_and_proportional(counts: list[int], total: int) -> None:
    given_out = allocate(np.array(counts), total)
    assert given_out.sum() == min(total, sum(counts)) and np.all(given_out <= counts)
    exact = np.array(counts) * min(total, sum(counts)) / max(1, sum(counts))
    assert np.all(np.abs(given_out - exact) < 1)


def test_smaller_choices_lie_in_larger_ones() -> None:
    labels = np.arange(200) % 2
    small, large = (choose_some(ids(200), labels, count, 1) for count in (20, 60))
    assert set(small) < set(large) and np.bincount(labels[small]).tolist() == [10, 10]


@pytest.mark.parametrize("kind", ["value", "tags", "mask"])
def test_strata_of_other_targets(kind: str) -> None:
    values = {
        "value": np.arange(100, dtype=np.float32)[:, None],
        "tags": np.array([[1, 1], [1, 0], [0, 0], [1, 0]], dtype=np.uint8),
        "mask": np.zeros((3, 2, 2), dtype=np.uint8),
    }[kind]
    found = {"value": Number, "tags": Tags, "mask": Mask.of}[kind](values).strata()
    wanted = {"value": np.arange(100) // 10, "tags": [1, 0, 2, 0], "mask": [0, 0, 0]}[kind]
    assert np.array_equal(found, wanted)


def tags_of(num, seed=0):
    """Tags of falling frequency that come together, the last ones on 8, 3 and 2 images."""
    rng = np.random.default_rng(seed)
    tags = np.zeros((num, 6), bool)
    for column, count in enumerate((num // 2, num // 5, 30, 8, 3, 2)):
        tags[rng.choice(num, count, replace=False), column] = True
    return tags


@pytest.mark.parametrize("seed", range(5))
def test_every_tag_is_in_every_split_where_it_has_images_enough(seed):
    tags, names = tags_of(400), [f"{index}.png" for index in range(400)]
    part = assign_tags(names, tags, (0.7, 0.15, 0.15), seed)
    counts = np.stack([tags[part == index].sum(0) for index in range(3)])
    assert (counts[:, :5] >= 1).all(), counts
    assert (counts[:2, 5] == 1).all(), "two images: one to learn from, one to choose by"
    assert np.abs(np.bincount(part) - [280, 60, 60]).max() <= 4
    assert np.abs(counts[:, :3] - np.outer([0.7, 0.15, 0.15], tags.sum(0)[:3])).max() <= 2


def test_the_split_of_tags_depends_on_seed_and_ids_alone():
    tags, names = tags_of(200), np.array([f"{index}.png" for index in range(200)])
    order = np.random.default_rng(1).permutation(200)
    first = dict(zip(names, assign_tags(names, tags, (0.7, 0.15, 0.15), 0), strict=True))
    second = dict(zip(names[order], assign_tags(names[order], tags[order], (0.7, 0.15, 0.15), 0), strict=True))
    assert first == second
    assert first != dict(zip(names, assign_tags(names, tags, (0.7, 0.15, 0.15), 1), strict=True))
