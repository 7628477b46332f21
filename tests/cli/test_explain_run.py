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
import striate.predict.reading
from striate.cli.app import run
from striate.data.geometry import Geometry
from striate.data.volume_geometry import VolumeGeometry
from striate.predict import Predictor
from striate.predict.volumes import VolumePredictor
from striate.report.explained import explain_image
from striate.task.classify import Classify
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
    assert page.count('<figure class="chart scroll">') == 1 and row["receptive_fields"][0]["theoretical_px"] == 3
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


def test_a_file_of_series_is_explained_by_its_first_and_called_a_series(of_series, tmp_path, capsys):
    lines = [",".join(map(str, np.random.default_rng(case).normal(size=64).round(3))) for case in range(3)]
    (tmp_path / "set.ts").write_text("@univariate true\n@classLabel false\n@data\n" + "\n".join(lines) + "\n")
    words = ["--method", "occlusion", "--out", str(tmp_path / "a.html"), "--json", "--quiet"]
    assert run(["explain", str(of_series.path), str(tmp_path / "set.ts"), *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)["images"]
    assert row["id"] == "set/1" and row["explanations"][0]["settings"]["patch"] == 64 // 5
    page = (tmp_path / "a.html").read_text()
    assert "Which steps it depends on" in page and "How much of the series each row sees" in page
    assert "64 steps" in page and not re.search("pixel|image", _text_of(page))


def _text_of(page: str) -> str:
    return re.sub(r"(?s)<(script|style|svg).*?</\1>|<[^>]*>", " ", page)


class Means(nn.Module):
    """The mean over a volume of each of three maps, all of what follows from a stride of 2."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.Sequential(nn.Conv3d(1, 4, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.maps(x).flatten(2).mean(2))


@pytest.mark.parametrize("depth", [6, 12])  # padded to what the network sees, and cut to it
def test_a_volume_is_explained_by_two_of_its_own_slices(depth, tmp_path):
    network, volume = Means().eval(), np.zeros((depth, 8, 8), np.uint8)
    at = depth // 2 - 2
    volume[at, 3:6, 4:7] = 255  # one bright slice
    predictor = VolumePredictor(
        network, Classify("label", ("a", "b", "c")), VolumeGeometry((8, 8, 8), channels=1), (0.0,), (1.0,)
    )
    found = explain_image(predictor, volume)
    assert {one.map.shape for one in found.maps} == {(8, 8, 8)} and len(found.maps) == 5 and not found.fields
    x = torch.zeros(1, 1, 8, 8, 8)
    inner = volume[2:10] if depth == 12 else np.pad(volume, ((1, 1), (0, 0), (0, 0)), constant_values=128)
    x[0, 0] = torch.from_numpy(inner).float() / 255
    x.requires_grad_()
    best = int(network(x).argmax())
    network(x)[0, best].backward()
    assert np.allclose(found["gradient"].map, x.grad[0, 0].abs().numpy(), atol=1e-6)
    rows = {one["method"]: one["slices"] for one in found.to_json()["explanations"]}
    assert rows["integrated"] == {"middle": depth // 2, "heaviest": at}
    titles = dict(found.shown(found["integrated"]))
    assert list(titles)[1] == f"slice {at + 1} of {depth}: the most weight"
    seen_at = at - 2 if depth == 12 else at + 1
    assert np.array_equal(titles[list(titles)[1]], found.overlays()["integrated"][seen_at, ::-1])
    page = found.write(tmp_path / "a.html").read_text()
    assert "Which voxels" in page and not re.search("pixel|image", _text_of(page))
    assert ("only its middle, 8 x 8 x 8," in page) == (depth == 12)
    num = sum(axes.get_visible() for axes in found.figure().axes)
    assert num == 1 + sum(len(found.shown(one)) for one in found.maps) + len(found.sanity.layers)


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
    assert (found.drawn is not None) == isinstance(task, Localise | Segment)  # the answer has a place in the image
    assert len(found.maps) + len(found.refused) == 5 and (not found.refused or "Grad-CAM" in found.refused[0])
    page = found.write(tmp_path / "page.html").read_text()
    assert found.maps[0].text in page
    assert all(torch.equal(*pair) for pair in zip(before, network.state_dict().values(), strict=True))


def test_a_page_below_a_file_is_said_not_to_be_written(finished, photo, capsys):
    arguments = ["explain", str(finished), str(photo), "--method", "gradient", "--no-sanity", "--quiet", "--out"]
    assert run([*arguments, f"{photo}/page.html"]) == 5
    assert "cannot write" in capsys.readouterr().err
    assert run([*arguments, "new/folder/page.html"]) == 0


def test_an_image_is_decoded_once(finished, photo, monkeypatch):
    count, decode = [], striate.predict.reading.decode_samples
    monkeypatch.setattr(striate.predict.reading, "decode_samples", lambda *a, **k: count.append(a) or decode(*a, **k))
    st.Run(finished).explain(photo, methods=["gradient"])
    predictor = Predictor(PIXELS, Segment("mask", ("a", "b", "c")), Geometry((16, 16)), (0.5,) * 3, (0.25,) * 3)
    assert explain_image(predictor, photo, methods=["gradient"]).drawn.shape == (20, 24, 3)
    assert len(count) == 2
