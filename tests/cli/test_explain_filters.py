"""`explain filters PHOTO`: an image, a document, and mistakes."""

import json

import numpy as np
import pytest
from PIL import Image

from striate.cli.app import run
from striate.inside import filters


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_it_writes_a_picture_and_says_where(photo, capsys):
    assert run(["explain", "filters", str(photo)]) == 0
    out = capsys.readouterr().out
    assert out.strip().endswith("cat-filters.png")
    with Image.open(photo.with_name("cat-filters.png")) as opened:
        assert opened.format == "PNG"


def test_the_document_has_every_filter(photo, capsys):
    assert run(["explain", "filters", str(photo), "--out", "a/b.PNG", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["command"] == "explain"
    assert document["size_hw"] == [60, 80]
    assert [row["name"] for row in document["filters"]] == list(filters.table())
    assert document["filters"][1]["kernels"] == [[[0, 1, 0], [1, 4, 1], [0, 1, 0]]]
    with Image.open(photo) as opened:
        grey = filters.grey(np.asarray(opened))
    assert document["filters"][0]["mean"] == pytest.approx(grey.mean())
    assert photo.with_name("a").joinpath("b.PNG").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (
            ["saliency", "cat.png"],
            4,
            "no such run: saliency -- fix: name a folder made by `striate train`, or say filters",
        ),
        (["filters", "dog.png"], 3, "file is missing"),
        (["filters", "cat.png", "--out", "x.jpg"], 2, "the image is a PNG"),
        (["filters", "cat.png", "--out", "cat.png"], 2, "would replace the photo"),
    ],
)
def test_mistakes_end_in_one_line(photo, capsys, words, code, says):
    before = photo.read_bytes()
    assert run(["explain", *words]) == code
    said = capsys.readouterr()
    assert says in said.err
    assert " -- fix: " in said.err
    assert said.out == ""
    assert photo.read_bytes() == before
