"""A ragged batch is a list of tensors, however it is cut and joined."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.data.target import Ragged
from striate.data.target.rows import rows_of, starts_of


def ragged(lengths: list[int]) -> Ragged:
    total = sum(lengths)
    values = torch.arange(total * 2.0).view(total, 2)
    return Ragged(values, tuple(lengths), {"labels": torch.arange(total)})


@given(st.lists(st.integers(0, 4), max_size=6))
def test_items_are_what_a_list_would_hold(lengths: list[int]):
    batch, start = ragged(lengths), 0
    assert len(batch) == len(lengths)
    items = list(batch)
    for index, length in enumerate(lengths):
        expected = batch.values[start : start + length]
        assert torch.equal(batch[index], expected) and torch.equal(items[index], expected)
        assert torch.equal(batch[index - len(lengths)], expected)
        assert torch.equal(batch.of("labels")[index], torch.arange(start, start + length))
        start += length
    assert batch.rows.tolist() == [index for index, length in enumerate(lengths) for _ in range(length)]


def test_there_is_no_item_beyond_the_last():
    with pytest.raises(IndexError, match="image 2 of a batch of 2"):
        ragged([1, 2])[2]


def test_a_device_takes_all_of_it():
    moved = ragged([1, 0, 2]).to("meta")
    assert moved.values.device.type == "meta" and moved.fields["labels"].device.type == "meta"
    assert moved.lengths == (1, 0, 2)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_rows_of_some_images(lengths: list[int], data):
    starts = starts_of(lengths)
    some = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=6))
    rows, counts = rows_of(starts, some)
    assert rows.tolist() == [row for index in some for row in range(starts[index], starts[index + 1])]
    assert counts.tolist() == [lengths[index] for index in some]
