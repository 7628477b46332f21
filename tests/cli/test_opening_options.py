"""What a person types about the data reaches the one function that opens a dataset, whichever command it was."""

import sys
from collections.abc import Callable

import pytest

from striate.base.errors import DataError
from striate.cli.app import run
from striate.data import open_dataset

TYPED = [
    *("--target", "angle", "--task", "regress", "--limit", "train=20,test=5", "--per-class", "4"),
    *("--classes", "round, square", "--top-classes", "2", "--group", "(.)", "--separator", ";"),
    *("--root", "here", "--split-seed", "3", "--blank", "negative", "--split-column", "part", "--levels", "0-1023"),
]
MEANT = {
    "target": "angle",
    "task": "regress",
    "limit": {"train": 20, "test": 5},
    "per_class": 4,
    "classes": ["round, square"],
    "top_classes": 2,
    "group": "(.)",
    "separator": ";",
    "blank": "negative",
    "split_column": "part",
    "root": "here",
    "levels": "0-1023",
    "seed": 3,
}
UNSAID = MEANT.keys() - {"seed"}


def swap(old: Callable, new: Callable) -> None:
    """Put one opening for another wherever it was imported, also by modules that came in between."""
    for name, module in list(sys.modules.items()):
        if name.startswith("striate") and vars(module).get("open_dataset") is old:
            module.open_dataset = new


@pytest.fixture
def opened():
    """Return the list to which each opening adds the place and the keywords it was asked for."""
    calls = []

    def remember(where, **words):
        calls.append((where, words))
        raise DataError("seen", where=where, fix="none")

    swap(open_dataset, remember)
    yield calls
    swap(remember, open_dataset)


@pytest.mark.parametrize("command", ["train", "study", "search", "check"])
def test_every_option_reaches_the_opening(opened, command):
    empty = [] if command == "check" else ["--allow-empty"]  # check always accepts them
    assert run([command, "birds", *TYPED, *empty]) == 3
    assert opened == [("birds", MEANT | {"allow_empty": True})]


def test_rate_opens_what_its_options_say(opened):
    assert run(["rate", "birds", *TYPED[:6]]) == 3
    ((where, words),) = opened
    assert where == "birds"
    assert words.items() >= {name: MEANT[name] for name in ("target", "task", "limit")}.items()


@pytest.mark.parametrize("command", ["train", "study", "search", "check", "rate"])
def test_what_is_not_typed_is_left_to_the_opening(opened, command):
    assert run([command, "birds"]) == 3
    ((_, words),) = opened
    assert not words.keys() & UNSAID
    assert words.get("seed", 0) == 0
    assert words.get("allow_empty", False) == (command == "check")


@pytest.mark.parametrize("command", ["train", "study", "search", "check", "rate"])
def test_a_limit_is_splits_and_counts(opened, command, last_line):
    assert run([command, "birds", "--limit", "train:20"]) == 2
    assert "write train=2000,val=500,test=500" in last_line()
    assert not opened
