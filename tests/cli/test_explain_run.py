"""`explain RUN IMAGE...`: a page, an image, a document; every task; mistakes."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toy_networks import plain

import striate as st
from striate.cli.app import run
from striate.data.geometry import Geometry
from striate.predict import Predictor
from striate.report.explained import explain_image
from striate.task.localise import Localise
from striate.task.regress import Regress
from striate.task.segment import Segment
from striate.task.tag import Tag


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "<b>cat.png")
    return tmp_path / "<b>cat.png"


def test_it_writes_a_page_an_image(finished, photo, capsys):
    assert run(["explain", str(finished), str(photo), "--json", "--quiet"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    page = photo.with_name("<b>cat-explained.html").read_text()
    assert page.count("<img") == 1 + 5 + 4  # the image, the methods, the stages of randomisation
    assert not re.search(r"https?://", page.replace("http://www.w3.org", "")) and "<b>cat" not in page
    methods = {one["method"]: one for one in row["explanations"]}
    assert set(methods) == {"gradient", "smoothgrad", "integrated", "gradcam", "occlusion"}
    assert methods["gradient"]["target"] == row["prediction"][0] and methods["gradcam"]["layer"]
    assert methods["integrated"]["gap"] >= 0 and len(row["sanity"]["stages"]) == 4
    assert f"logit of {row['prediction'][0]}" in page


def test_a_class_a_method_and_a_png_can_be_asked_for(finished, photo, capsys):
    words = ["--target", "star", "--method", "gradcam", "--no-sanity", "--out", "a/x.png", "--json", "--quiet"]
    assert run(["explain", str(finished), str(photo), *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    assert [(one["method"], one["target"]) for one in row["explanations"]] == [("gradcam", "star")]
    with Image.open(photo.with_name("a") / "x.png") as image:
        assert image.format == "PNG"


def test_several_images_go_into_a_folder_under_names_of_their_own(finished, photo, capsys):
    photo.with_name("other").mkdir()
    twin = photo.with_name("other") / photo.name
    twin.write_bytes(photo.read_bytes())
    words = ["--method", "gradient", "--no-sanity", "--out", "pages", "--quiet"]
    assert run(["explain", str(finished), str(photo), str(twin), *words]) == 0
    assert len(list(photo.with_name("pages").glob("*-explained.html"))) == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["RUN", "none.png"], 3, "missing"),
        (["RUN", "IMAGE", "--target", "sta"], 2, "did you mean 'star'?"),
        (["RUN", "IMAGE", "--method", "gradcan"], 2, "did you mean 'gradcam'?"),
        (["RUN", "IMAGE", "--out", "x.jpg"], 2, "page or a PNG"),
        (["RUN", "IMAGE", "IMAGE", "--out", "x.html"], 2, "need a folder"),
        (["RUN", "IMAGE", "--out", "IMAGE"], 2, "would replace the image"),
        (["runs/9", "IMAGE"], 4, "no such run"),
        (["filters", "IMAGE", "--target", "x"], 2, "one photo"),
    ],
)
def test_mistakes_end_in_one_line(finished, photo, capsys, words, code, says):
    names = {"RUN": str(finished), "IMAGE": str(photo)}
    assert run(["explain", *(names.get(word, word) for word in words), "--no-sanity", "--quiet"]) == code
    said = capsys.readouterr()
    assert says in said.err and " -- fix: " in said.err and said.out == ""


def test_in_python_maps_are_arrays_over_what_the_network_saw(finished, photo):
    found = st.Run(finished).explain(photo, methods=["gradient", "occlusion"], sanity=True)
    assert found["occlusion"].map.shape == found.seen.shape[:2] == (16, 16)
    assert len(found.figure().axes) >= 3 + 4
    assert np.abs(found.seen.astype(int).mean() - 127) < 20  # levels again, not normalised numbers
    over = found.overlays()["gradient"]
    at = np.unravel_index(found["gradient"].map.argmax(), (16, 16))
    assert over.dtype == np.uint8 and over[at].sum() > over.sum(2).mean()


@pytest.fixture(scope="module")
def of_series(tmp_path_factory, quick):
    folder = tmp_path_factory.mktemp("series") / "run"
    assert run(["train", "toy:order?n=40", *quick, "--out", str(folder)]) == 0
    return st.Run(folder)


def test_a_series_is_explained_step_by_step(of_series, tmp_path):
    series = np.random.default_rng(0).normal(size=64)
    found = of_series.explain(series)
    assert {one.map.shape for one in found.maps} == {(1, 64)} and len(found.maps) == 5
    assert found.prediction.names == of_series.predict([series])[0].names
    page = found.write(tmp_path / "a.html").read_text()
    sizes = {tuple(map(int, one)) for one in re.findall(r'width="(\d+)" height="(\d+)"', page)}
    assert (192, 48) in sizes and (192, 3) not in sizes  # a band, not a line of one pixel


PIXELS = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 1))


@pytest.mark.parametrize(
    ("network", "task"),
    [
        (plain(outputs=3), Tag("tags", ("p", "q", "r"))),
        (plain(outputs=2), Regress("size", ("w", "h"), "m", (1.0, 2.0), (2.0, 5.0))),
        (plain(outputs=2), Regress("turn", ("turn",), "deg")),
        (plain(outputs=7), Localise("boxes", ("a", "b", "c"))),
        (PIXELS, Segment("mask", ("background", "cat", "dog"))),
        (nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), Tag("tags", ("p", "q", "r"))),
    ],
    ids=["tags", "numbers", "angles", "boxes", "masks", "no maps"],
)
def test_every_task_is_explained(network, task, photo, tmp_path):
    before = [value.clone() for value in network.state_dict().values()]
    predictor = Predictor(network, task, Geometry((16, 16)), (0.5,) * 3, (0.25,) * 3)
    found = explain_image(predictor, photo)
    assert {one.map.shape for one in found.maps} == {(16, 16)}
    assert len(found.maps) + len(found.refused) == 5 and (not found.refused or "Grad-CAM" in found.refused[0])
    page = found.write(tmp_path / "page.html").read_text()
    assert found.maps[0].text in page
    assert all(torch.equal(*pair) for pair in zip(before, network.state_dict().values(), strict=True))


def test_a_page_below_a_file_is_said_not_to_be_written(finished, photo, capsys):
    arguments = ["explain", str(finished), str(photo), "--method", "gradient", "--no-sanity", "--quiet", "--out"]
    assert run([*arguments, f"{photo}/page.html"]) == 5
    assert "cannot write" in capsys.readouterr().err
    assert run([*arguments, "new/folder/page.html"]) == 0
