"""Counts with their nouns and verbs, and what one sample is called."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

import striate
from striate.base.noun import NOUNS, noun_of
from striate.report.read import input_text

VERB = re.compile(r"^ (?:(?:of|in|on) \w+ (?:\w+ )?)?(are|have|were|do|lie|show|come|need|hold)\b")
SOURCES = sorted(Path(striate.__file__).parent.rglob("*.py"))


def counted_verbs(source: str):
    """Texts that put a verb of many behind a count that may be one."""
    for node in ast.walk(ast.parse(source)):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for place, (count, text) in enumerate(pairwise(parts)):
            before = parts[place - 1].value if place and isinstance(parts[place - 1], ast.Constant) else ""
            call = getattr(count, "value", None)
            name = getattr(call, "func", None) and (getattr(call.func, "id", "") or getattr(call.func, "attr", ""))
            is_count = isinstance(count, ast.FormattedValue) and name in {"plural", "count"}
            if is_count and isinstance(text, ast.Constant) and VERB.match(text.value) and "all but" not in before:
                yield ast.unparse(node)


def test_no_verb_of_many_stands_behind_a_count_that_may_be_one():
    assert list(counted_verbs("""f"{plural(n, 'image')} of all are lost" """))
    assert not [(path.name, text) for path in SOURCES for text in counted_verbs(path.read_text())]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 image", "1 volume"),
        ("An image, 3 images/s: images.", "A volume, 3 volumes/s: volumes."),
        ("Hard images", "Hard volumes"),
        ("Images", "Volumes"),
        ("a/images/1.png and 'image' and images.csv", "a/images/1.png and 'image' and images.csv"),
        ("image_dice, image-net, my_image", "image_dice, image-net, my_image"),
        ("the (test images) of images: 5", "the (test volumes) of volumes: 5"),
    ],
)
def test_a_text_on_images_speaks_of_volumes(text, said):
    assert NOUNS["volume"].put(text) == said
    assert NOUNS["image"].put(text) == text == noun_of(None).put(text)


def test_in_a_page_only_what_is_read_changes():
    page = '<a href="#image" title="image x">An image</a><code>train images --x</code><style>image {}</style> images'
    kept = '<a href="#image" title="image x">A series</a><code>train images --x</code><style>image {}</style> series'
    assert NOUNS["series"].put_into_html(page) == kept


@pytest.mark.parametrize(
    ("form", "sides", "said"),
    [
        ("series", [1, 150], "150 samples"),
        ("volume", [48, 64, 48], "48 × 64 × 48 voxels"),
        ("image", [9, 7], "9 × 7 px"),
        ("series", [], ""),
    ],
)
def test_a_size_has_the_unit_of_its_samples(form, sides, said):
    assert input_text({"dataset": {"form": form}, "input": {"size_hw": sides}}) == said
