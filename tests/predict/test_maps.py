"""A predicted map comes back in the image's own pixels; against a pixel by pixel look-up."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from striate.data.geometry import Geometry
from striate.predict.prediction import Prediction
from striate.predict.predictor import Predictor
from striate.task import Decoded, Defaults
from striate.task.head import Map

SIZE = 16


@dataclass(frozen=True)
class Bright(Defaults):
    """Is a pixel dark or bright."""

    name: ClassVar[str] = "bright"

    @property
    def head(self):
        return Map(len(self.names))

    def decode(self, outputs):
        return Decoded(outputs.argmax(1))


@dataclass(frozen=True)
class Depth(Bright):
    def decode(self, outputs):
        return Decoded(outputs[:, 1:])


class Network(torch.nn.Module):
    def forward(self, images):
        grey = images.mean(1, keepdim=True)
        return torch.cat([-grey, grey], 1)


def predictor(fit, make=Bright):
    geometry = Geometry((SIZE, SIZE), fit, 1.0, 3)
    return Predictor(Network(), make("part", ("dark", "bright")), geometry, (0.5,) * 3, (0.5,) * 3)


def halves(height, width):
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    return image


@pytest.mark.parametrize("fit", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("size", [(32, 64), (64, 32), (48, 48), (16, 16), (8, 24)])
def test_a_map_has_the_size_of_its_image_and_its_edge(fit, size):
    (found,) = predictor(fit)(halves(*size))
    height, width = size
    assert found.map.shape == size
    seen = found.map != 255
    box = min(size) if fit == "crop" else None
    assert seen.sum() == (box * box if box else height * width)
    # the edge lies within a pixel of the network's view of where it is
    columns = np.flatnonzero(seen.any(0))
    coarse = 1 + max(size) / SIZE
    for column in columns:
        if abs(column + 0.5 - width / 2) > coarse:
            assert set(found.map[seen[:, column], column]) == {int(column >= width // 2)}
    assert found.shares["bright"] == pytest.approx(0.5, abs=0.13)


def test_a_large_jpeg_is_not_decoded_smaller(tmp_path):
    PillowImage.fromarray(halves(256, 512)).save(tmp_path / "a.jpg", quality=95)
    (found,) = predictor("squash")(tmp_path / "a.jpg")
    assert found.map.shape == (256, 512)


def test_a_map_of_numbers_is_interpolated_and_nan_where_nothing_was_seen():
    ramp = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    (found,) = predictor("crop", Depth)(ramp)
    assert found.map.shape == (32, 64, 1)
    assert np.isnan(found.map[:, :16]).all() and np.isnan(found.map[:, 48:]).all()
    expected = ramp[:, 17:47, :1] / 255 * 2 - 1
    np.testing.assert_allclose(found.map[:, 17:47], expected, atol=0.06)


def test_it_is_said_in_text_json_and_html():
    (found,) = predictor("squash")(halves(16, 32))
    assert found.to_json() == {"id": "0", "size_hw": [16, 32], "shares": {"dark": 0.5, "bright": 0.5}}
    assert found.line(1) == "dark 0.500" and repr(found) == "Prediction('0': dark 0.500, bright 0.500)"
    assert "50.0%" in found._repr_html_()
    assert Prediction("a", ("x",), (1.5,)).line(3) == "x 1.5"
    assert Prediction("a", ("cat",), (), {"dog": 0.2, "cat": 0.8}).line(1) == "cat 0.800"
    unnamed = Prediction("a", (), map=np.array([[0, 2], [2, 255]]))
    assert unnamed.shares == {"0": pytest.approx(1 / 3), "1": 0.0, "2": pytest.approx(2 / 3)}
