"""Large images in overlapping tiles against the whole image at once, and what asks for tiles in vain."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from striate.base.errors import SettingsError
from striate.data.geometry import Geometry
from striate.predict.predictor import Predictor
from striate.predict.tiling import starts, tiled_outputs, weights
from striate.task import Decoded, Defaults, from_json
from striate.task.head import Map


@dataclass(frozen=True)
class Bright(Defaults):
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


class Local(torch.nn.Module):
    """Three convolutions of 3 x 3 with padding: sees 3 pixels to each side."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        widths = (3, 8, 8, 2)
        self.weights = [torch.randn(b, a, 3, 3, generator=generator) / a for a, b in pairwise(widths)]

    def forward(self, images):
        for weight in self.weights:
            images = F.conv2d(images, weight, padding=1).tanh()
        return images


def noise(height, width, seed=0):
    """Smooth noise, so that a map has areas."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 3, height // 4 + 2, width // 4 + 2), np.float32))
    fine = F.interpolate(coarse, (height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return (fine.clip(0, 1) * 255).astype(np.uint8)


def predictor(size_hw, make=Bright, **options):
    geometry = Geometry(size_hw, "crop", 1.0, 3)
    return Predictor(Local(), make("part", ("dark", "bright")), geometry, (0.5,) * 3, (0.3,) * 3, **options)


@pytest.mark.parametrize("size", [(100, 75), (33, 200), (64, 64), (90, 20), (32, 49)])
@pytest.mark.parametrize("tile", [(32, 32), (32, 48)])
def test_tiles_give_what_the_whole_image_gives(size, tile):
    image = noise(*size)
    (found,) = predictor(tile)(image, tiles=1.0)
    whole = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.3
    logits = Local()(whole)[0]
    expected = logits.argmax(0).numpy()
    is_clear = (logits[0] - logits[1]).abs().numpy() > 1e-4
    assert found.map.shape == size and found.map.dtype == np.uint8
    if size[0] >= tile[0] and size[1] >= tile[1]:
        np.testing.assert_array_equal(found.map[is_clear], expected[is_clear])
    else:  # continued by its mirror image, where the whole one has zeros
        inside = np.s_[: size[0] - 3, : size[1] - 3]
        np.testing.assert_array_equal(found.map[inside][is_clear[inside]], expected[inside][is_clear[inside]])
    assert 0.1 < expected.mean() < 0.9


def test_maps_of_numbers_are_blended_too():
    image = noise(70, 70)
    (found,) = predictor((32, 32), Depth)(image, tiles=1)
    whole = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.3
    np.testing.assert_allclose(found.map[..., 0], Local()(whole)[0, 1].numpy(), atol=1e-5)


@pytest.mark.parametrize("length", [32, 33, 47, 48, 49, 64, 97, 1000])
def test_every_place_has_a_tile_that_sees_it_and_overlaps_are_half_a_tile(length):
    places = starts(length, 32)
    assert places[0] == 0 and places[-1] + 32 == length
    assert all(0 < b - a <= 16 for a, b in pairwise(places))
    total = np.zeros(length)
    for place in places:
        total[place : place + 32] += weights(place, length, 32)
    assert total.min() >= 0.5


def test_no_tile_beyond_its_blind_edge_counts():
    image = noise(80, 80)

    def spoilt(tiles):  # at the edges, as by padding
        grey = torch.stack([torch.from_numpy(one).float().mean(2)[None] for one in tiles])
        grey[..., :4, :] = grey[..., -4:, :] = grey[..., :4] = grey[..., -4:] = 1e6
        return grey

    whole = torch.cat(list(tiled_outputs(image, (32, 32), spoilt)), 2)[0, 0].numpy()
    np.testing.assert_allclose(whole[4:-4, 4:-4], image.mean(2, dtype=np.float32)[4:-4, 4:-4], rtol=1e-5)


def test_the_scale_of_training_is_taken_and_small_images_are_seen_whole():
    image = noise(128, 128)
    one = predictor((32, 32), scale=0.5)
    (auto,), (half,), (whole,) = one(image, tiles="auto"), one(image, tiles=0.5), one(image)
    np.testing.assert_array_equal(auto.map, half.map)
    assert (auto.map != whole.map).any()
    (small,) = one(image, tiles=0.25)
    np.testing.assert_array_equal(small.map, whole.map)
    several = one([image, noise(32, 32), image], tiles=0.5)
    assert [one.id for one in several] == ["0", "1", "2"] and [len(one.map) for one in several] == [128, 32, 128]


@pytest.mark.parametrize(("scale", "said"), [("auto", "which scale"), (0, "scale of 0"), (float("inf"), "inf")])
def test_a_scale_that_is_none_is_refused(scale, said):
    with pytest.raises(SettingsError, match=said):
        predictor((32, 32))(noise(64, 64), tiles=scale)


def test_classes_have_no_tiles():
    task = from_json({"name": "classify", "target": "class", "names": list("ab")})
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 256, 2))
    with pytest.raises(SettingsError, match="predicts no map"):
        Predictor(network, task, Geometry((16, 16)), (0.5,) * 3, (0.2,) * 3)(noise(64, 64), tiles=1)
