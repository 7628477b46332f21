"""Images that cannot be used under `on_bad="skip"`: said by split, and refused where nothing is left."""

from pathlib import Path

import pytest
from pictures import tree

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.data import Dataset, open_dataset
from striate.data.check.skip import without_bad


def damaged(root: Path, *patterns: str) -> Dataset:
    tree(root, {f"{split}/{name}": 3 for split in ("train", "val", "test") for name in "ab"})
    for pattern in patterns:
        for path in root.glob(pattern):
            path.write_bytes(b"\xff\xd8 no image")
    return open_dataset(root)


class _Heard(Progress):
    def __init__(self) -> None:
        super().__init__("quiet")
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("train/a/0*", ("train 1", "train/a/0")), ("test/a/*", ("test 3", "no image is left of class 'a' in test"))],
)
def test_what_is_skipped_is_said(tmp_path: Path, pattern: str, words: tuple[str, ...]) -> None:
    heard = _Heard()
    kept, skipped = without_bad(damaged(tmp_path, pattern), "skip", heard)
    said = next(text for text in heard.said if "skipped" in text)
    assert all(word in said for word in words) and len(kept) == 18 - len(skipped) < 18
    assert said.removeprefix("warning: ") in [one["text"] for one in kept.findings]


@pytest.mark.parametrize("patterns", [("train/a/*",), ("test/*/*",), ("*/*/*",)])
def test_a_split_or_class_without_usable_images_is_refused(tmp_path: Path, patterns: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"no image of (train and class 'a'|train|test)"):
        without_bad(damaged(tmp_path, *patterns), "skip", None)
