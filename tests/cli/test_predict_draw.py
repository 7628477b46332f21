"""`striate predict --draw`: overlays and masks read back by Pillow; what cannot be drawn is refused."""

import csv
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

import striate
from striate.base.errors import DataError
from striate.cli.app import run
from striate.predict.ahead import read_ahead

MASKS = "toy:shapes?n=60&size=16"


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, quick):
    folder = tmp_path_factory.mktemp("segmented") / "run"
    assert (
        run(["train", MASKS, "--task", "segment", "--target", "mask", "--fit", "crop", *quick, "--out", str(folder)])
        == 0
    )
    return folder


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (40, 24)), ("sub/a.jpg", (24, 24)), ("b.png", (90, 50))):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def given(capsys, *words):
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["predictions"]


def test_overlay_and_mask_have_the_images_size_and_the_maps_classes(segmented, photos, tmp_path, capsys):
    rows = given(capsys, "predict", str(segmented), str(photos), "--draw", str(tmp_path / "drawn"))
    plain = given(capsys, "predict", str(segmented), str(photos))
    assert [{key: row[key] for key in row if key != "drawn"} for row in rows] == plain
    assert len({row["drawn"]["mask"] for row in rows}) == 3  # two of them are called a
    maps = striate.Run(segmented).predict([row["id"] for row in rows])
    with (tmp_path / "drawn" / "classes.csv").open() as file:
        legend = {int(row["id"]): row for row in csv.DictReader(file)}
    names = ["background", "circle", "cross", "square", "star", "triangle"]
    assert [row["name"] for row in legend.values()] == [*names, "not seen"]
    for row, one in zip(rows, maps, strict=True):
        with Image.open(row["id"]) as image:
            photo = np.asarray(image.convert("RGB"), int)
        with Image.open(row["drawn"]["mask"]) as mask:
            assert mask.mode == "P" and mask.text["classes"].split("\n")[1] == "1 circle"
            classes, colours = np.asarray(mask), np.asarray(mask.convert("RGB"))
        np.testing.assert_array_equal(classes, one.map)
        for number in np.unique(classes):
            expected = [int(legend[number][name]) for name in ("red", "green", "blue")]
            assert (colours[classes == number] == expected).all()
        drawn = np.asarray(Image.open(row["drawn"]["overlay"]), int)
        assert drawn.shape == photo.shape == (*one.map.shape, 3)
        is_clear = (classes == 0) | (classes == 255)
        np.testing.assert_array_equal(drawn[is_clear], photo[is_clear])
        half = (photo + colours)[~is_clear] / 2
        assert np.abs(drawn[~is_clear] - half).max(initial=0) <= 0.5
        np.testing.assert_array_equal(one.overlay(row["id"]), drawn)


def test_tiles_look_at_the_whole_of_a_large_image(segmented, photos, tmp_path, capsys):
    image = str(photos / "b.png")
    (row,) = given(capsys, "predict", str(segmented), image, "--draw", str(tmp_path / "drawn"), "--tiles", "auto")
    assert json.loads((segmented / "run.json").read_text())["input"]["scale"] == 1
    mask = np.asarray(Image.open(row["drawn"]["mask"]))
    assert mask.shape == (50, 90) and (mask != 255).all()
    (seen,) = striate.Run(segmented).predict(image)
    assert (seen.map == 255).any()  # the run crops, so the whole image was not seen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tiles", "auto"], "predicts no map and no objects that tiles"),
        (["--tiles", "fine"], "'fine' is no scale"),
    ],
)
def test_what_a_classifier_cannot_draw_is_refused(finished, photos, words, said, last_line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["predict", str(finished), str(photos / "a.png"), *words]) == 2
    assert said in last_line()
    assert not (tmp_path / "drawn").exists()


def test_an_overlay_of_another_image_is_refused(segmented, photos):
    (one,) = striate.Run(segmented).predict(photos / "a.png")
    with pytest.raises(DataError, match="different sizes"):
        one.overlay(photos / "b.png")


def test_a_contact_sheet_shows_each_image_where_it_should_be(finished, tmp_path, capsys):
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    for number in range(203):
        Image.new("RGB", (16, 16), colours[number % 3]).save(tmp_path / f"{number:03}.png")
    capsys.readouterr()
    assert run(["predict", str(finished), str(tmp_path / "*.png"), "--draw", str(tmp_path / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first, second = (np.asarray(Image.open(path)) for path in document["sheets"])
    assert [row["id"] for row in document["predictions"]] == sorted(str(path) for path in tmp_path.glob("*.png"))
    for sheet, numbers in ((first, range(200)), (second, range(200, 203))):
        for place, number in enumerate(numbers):
            left, top = 4 + place % 8 * 116 + 56, 4 + place // 8 * 146 + 56
            assert tuple(sheet[top, left]) == colours[number % 3]
        assert sheet[-34:-4, 6:100].min() < 100  # the text below the last row
    folder = str(tmp_path / "out")
    assert run(["predict", str(finished), folder]) == 3  # sheets of ours are no images to answer
    assert "no images found" in capsys.readouterr().err


def test_sheets_of_maps_show_the_overlays(segmented, photos, tmp_path, capsys):
    capsys.readouterr()
    assert run(["predict", str(segmented), str(photos / "b.png"), "--draw", str(tmp_path / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    overlay = Image.open(document["predictions"][0]["drawn"]["overlay"]).resize((112, 62), Image.Resampling.NEAREST)
    sheet = Image.open(document["sheets"][0]).crop((4, 4 + 25, 116, 4 + 25 + 62))
    assert np.abs(np.asarray(sheet, int) - np.asarray(overlay, int)).mean() < 12


def test_a_list_on_stdin_and_a_pattern_name_files(finished, photos, monkeypatch, capsys, last_line):
    monkeypatch.chdir(photos)
    monkeypatch.setattr("sys.stdin", io.StringIO("a.png\n\nsub\r\n"))
    assert run(["predict", str(finished), "-", "b*.png", "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["a.png:", "sub/a.jpg:", "b.png:"]
    assert all(len(line.split()) == 3 for line in lines)
    assert run(["predict", str(finished), "c*.png"]) == 3
    assert last_line() == "error: no file matches: c*.png -- fix: check the pattern, or name files"


def test_images_read_ahead_come_in_their_order_with_their_problems():
    def read(given, doubts, name):
        time.sleep(0.002 * (given % 3))
        if given % 5 == 4:
            raise DataError("bad", where=name)
        doubts += [DataError("doubt", where=name)] * (given % 2)
        return np.full((1, 1, 1), given)

    rows = list(read_ahead(range(40), read, num_threads=3))
    assert [row.number for row in rows] == list(range(40)) == [row.given for row in rows]
    assert [row.number for row in rows if row.problem] == list(range(4, 40, 5))
    for row in rows:
        if row.pixels is not None:
            assert row.pixels[0, 0, 0] == row.number
            assert [doubt.where for doubt in row.doubts] == [f"image {row.number}"] * (row.number % 2)
