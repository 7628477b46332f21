"""Images from a program: every way to give one that has a meaning gives the file's prediction, others are refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.base.errors import DataError
from striate.data.geometry import Geometry
from striate.data.given import images_of
from striate.data.sources.arrays import from_arrays
from striate.predict import Predictor
from striate.task import from_json

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
MASK = GREY > 100


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    task = from_json({"name": "classify", "target": "class", "names": list("abcd")})
    return Predictor(network, task, Geometry((16, 16), "crop", 1.0, 3), (0.5,) * 3, (0.2,) * 3)


def answer(predictor, given):
    (found,) = predictor(given)
    return np.array(list(found.probabilities.values()))


SAME = {  # what is given, the uint8 image it is
    "array": (IMAGE, IMAGE),
    "floats": (IMAGE.astype(np.float32) / 255, IMAGE),
    "doubles": (IMAGE / 255, IMAGE),
    "sixteen bits": (IMAGE.astype(np.uint16) * 256 + 7, IMAGE),
    "sixteen bits, grey": (GREY.astype(np.uint16) * 257, GREY[..., None]),
    "bool": (MASK, MASK[..., None] * np.uint8(255)),
    "grey": (GREY, GREY[..., None]),
    "grey, one channel": (GREY[..., None], GREY[..., None]),
    "tensor": (torch.from_numpy(IMAGE.copy()), IMAGE),
    "tensor, channels first": (torch.from_numpy(IMAGE.transpose(2, 0, 1).copy()), IMAGE),
    "tensor of floats": (torch.from_numpy(IMAGE.transpose(2, 0, 1) / 255).float().requires_grad_(), IMAGE),
    "grey tensor": (torch.from_numpy(GREY)[None] / 255, GREY[..., None]),
    "Pillow": (Image.fromarray(IMAGE), IMAGE),
    "Pillow, grey": (Image.fromarray(GREY), GREY[..., None]),
    "Pillow, with alpha": (Image.fromarray(np.dstack([IMAGE, np.full((16, 16), 255, np.uint8)])), IMAGE),
    "list": ([IMAGE], IMAGE),
    "generator": ((image for image in [IMAGE]), IMAGE),
    "batch": (IMAGE[None], IMAGE),
    "batch of tensors": (torch.from_numpy(IMAGE.transpose(2, 0, 1)[None] / 255), IMAGE),
}


@pytest.mark.parametrize("name", SAME)
def test_every_way_to_give_an_image_is_the_same_image(predictor, name):
    given, image = SAME[name]
    pixels = np.broadcast_to(image, (16, 16, 3)).astype(np.float32).transpose(2, 0, 1) / 255
    with torch.no_grad():
        logits = predictor.network(torch.from_numpy((pixels - 0.5) / np.float32(0.2))[None])
    np.testing.assert_allclose(answer(predictor, given), logits.softmax(1)[0], atol=2e-3)


REFUSED = {
    "RGBA": (np.dstack([IMAGE, GREY]), "4 channels"),
    "channels first": (IMAGE.transpose(2, 0, 1), "channels first"),
    "13 channels": (np.zeros((16, 16, 13), np.uint8), "16x16x13"),
    "empty": (np.zeros((0, 16, 3), np.uint8), "0x16x3"),
    "beyond 1": (IMAGE.astype(np.float32), "range"),
    "negative": (IMAGE / 255 - 0.5, "range"),
    "not a number": (np.full((16, 16, 3), np.nan), "range nan"),
    "int64": (IMAGE.astype(np.int64), "type int64"),
    "sixteen bits, dark": (IMAGE.astype(np.uint16), "none above 255"),
    "complex": (IMAGE.astype(complex), "complex128"),
    "text": (np.full((16, 16, 3), "a"), "type <U1"),
    "number": (3, "int is no image"),
    "nothing": (None, "NoneType is no image"),
    "dict in a list": ([{"image": IMAGE}], "dict is no image"),
    "five dimensions": (IMAGE[None, None], "1x16x16x3"),
    "row of pixels": ([IMAGE[0, 0]], "shape 3"),
    "Pillow, 32 bits": (Image.fromarray(np.ones((4, 4), np.int32)), "no fixed range"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_by_name(predictor, name):
    given, says = REFUSED[name]
    with pytest.raises(DataError, match=says):
        predictor(given)


def test_bad_images_among_good_ones_are_named_by_their_place(predictor):
    bad = []
    found = predictor([IMAGE, IMAGE[..., :2], IMAGE], bad)
    assert [one.id for one in found] == ["0", "2"] and "image 1" in str(bad[0])


def test_many_images_are_read_as_they_come(predictor):
    assert len(predictor(IMAGE for _ in range(130))) == 130


def test_a_truncated_file_opened_by_pillow_is_data(predictor, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    with Image.open(path) as opened, pytest.raises(DataError, match="image 0"):
        predictor(opened)


def test_arrays_are_opened_by_the_same_rules():
    labels = np.array([0, 1])
    for images, says in (
        ([IMAGE, IMAGE[:8]], "different sizes"),
        (np.zeros((2, 8), np.uint8), "shape"),
        (np.zeros((2, 8, 8), complex), "complex"),
    ):
        with pytest.raises(DataError, match=says):
            from_arrays(images, labels)
    assert from_arrays([IMAGE, IMAGE], labels).channels == 3


def test_a_text_is_one_path_not_its_letters():
    assert list(images_of("a.png")) == ["a.png"]
