"""An option that helps is named where the command that is typed has it, and only there."""

import pytest

from striate.base.errors import DataError, combined
from striate.cli.app import _flags


@pytest.mark.parametrize(
    ("verb", "option", "is_kept"),
    [
        ("train", "--on-bad skip", True),
        ("check", "--on-bad skip", False),
        ("evaluate", "--target a --blank ignore to leave such images out", False),
        ("check", "--target a --blank ignore to leave such images out", True),
        ("rate", "--on-bad skip", False),
        ("nonsense", "--on-bad skip", False),
    ],
)
def test_an_option_is_named_where_the_command_has_it(verb: str, option: str, is_kept: bool) -> None:
    problem = combined([DataError("no image", where="a.png", fix="replace it", option=option)] * 2)
    assert problem.fix == f"replace it, or use {option}"
    problem.keep_options(_flags([verb, "birds", "--size", "64"]))
    assert problem.fix == (f"replace it, or use {option}" if is_kept else "replace it")
    problem.fix = "look at it"
    assert problem.line == "error: no image (and 1 more file): a.png -- fix: look at it"
