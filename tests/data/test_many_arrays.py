"""The check of very many images in memory: all are compared by digest, the rest of the work has a bound."""

import numpy as np
import pytest

from striate.data.check import duplicates as check_duplicates
from striate.data.check import scan as check_scan
from striate.data.check.check import check, prescan
from striate.data.check.finding import Findings
from striate.data.sources.arrays import from_arrays

NUM, MOST, SAMPLE = 1200, 1000, 100
LOOKS = 1 + 1 + 6 + 5  # is it a set of look-alikes, near copies, six turns, five places of a crop


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the images summed up and the pairs compared."""
    counts = {"summed up": 0, "pairs": 0}
    summary, candidates = check_scan._summary, check_duplicates._candidates

    def counted_summary(*rest: object) -> object:
        counts["summed up"] += 1
        return summary(*rest)

    def counted_pairs(left: np.ndarray, right: np.ndarray, *rest: object, **options: object) -> object:
        counts["pairs"] += len(left) * len(right)
        return candidates(left, right, *rest, **options)

    monkeypatch.setattr(check_scan, "_summary", counted_summary)
    monkeypatch.setattr(check_duplicates, "_candidates", counted_pairs)
    monkeypatch.setattr(check_scan, "MAX_ARRAY", MOST)
    monkeypatch.setattr(check_scan, "ARRAY_SAMPLE", SAMPLE)
    return counts


def images(num: int, *, is_equal: bool) -> np.ndarray:
    drawn = np.random.default_rng(0).integers(0, 256, (1 if is_equal else num, 8, 8, 3), np.uint8)
    return np.repeat(drawn, num, axis=0) if is_equal else drawn


def texts(findings: Findings, kind: str) -> list[str]:
    return [item.text for item in findings if item.kind == kind]


def test_many_different_images_cost_a_sample_and_it_is_said(work: dict[str, int]) -> None:
    array = images(NUM, is_equal=False)
    array[NUM - 1] = array[3]
    found = check(from_arrays(array, np.arange(NUM) % 2))
    assert work["summed up"] == SAMPLE and 0 < work["pairs"] <= LOOKS * SAMPLE**2
    assert [item.ids for item in found if item.kind == "duplicate"] == [("3", str(NUM - 1))]
    assert any(f"a sample of {SAMPLE} of 1,200 images" in text for text in texts(found, "unchecked"))
    assert not texts(found, "constant")


def test_many_equal_images_are_one_group(work: dict[str, int]) -> None:
    found = check(from_arrays(images(NUM, is_equal=True), np.arange(NUM) % 2))
    assert work["summed up"] == SAMPLE and work["pairs"] <= LOOKS
    assert [len(item.ids) for item in found if item.kind == "duplicate"] == [NUM]
    assert len(texts(found, "conflicting_labels")) == 1


def test_all_are_looked_at_on_request_and_below_the_bound(work: dict[str, int]) -> None:
    prescan(from_arrays(images(NUM, is_equal=False), np.arange(NUM) % 2), full=True)
    assert work["summed up"] == NUM
    found = check(from_arrays(images(MOST, is_equal=False), np.arange(MOST) % 2))
    assert work["summed up"] == NUM + MOST and not texts(found, "unchecked")


def test_blank_images_only(work: dict[str, int]) -> None:
    found = check(from_arrays(np.full((30, 8, 8, 3), 7, np.uint8), np.arange(30) % 2))
    assert len(texts(found, "constant")) == 1 and work["pairs"] == 0
