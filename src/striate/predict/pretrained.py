"""Name photos with published networks: nothing needs to be trained first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from torch import nn

from striate.base.choose import choose
from striate.base.errors import ModelError
from striate.data.geometry import Geometry
from striate.data.raster import Samples
from striate.model import zoo
from striate.model.published import PRESETS, Preset, classes, find
from striate.model.weights import Loaded
from striate.model.weights import load as load_weights
from striate.task import from_json

from .prediction import Prediction
from .predictor import Predictor

if TYPE_CHECKING:
    pass

PREFIX = "imagenet:"  # before a network's name on the command line


class Pretrained(Predictor):
    """A published network with its preparation of images: shorter side to `resize`, centre square, normalised.

    Attributes:
        preset: that preparation.
        loaded: which tensors of the weights went where.

    Example:
        >>> predictor = load("mobilenet_v2")                            # doctest: +SKIP
        >>> best(predictor([Path("robin.jpg")])[0], 2)                  # doctest: +SKIP
        [('robin', 0.93), ('brambling', 0.02)]
    """

    def __init__(self, network: nn.Module, names: Sequence[str], preset: Preset, loaded: Loaded) -> None:
        geometry = Geometry((preset.size, preset.size), "crop", margin=1.0, channels=len(preset.mean))
        task = from_json({"name": "classify", "target": "class", "names": list(names)})
        super().__init__(network, task, geometry, preset.mean, preset.std)
        self.preset, self.loaded = preset, loaded

    @property
    def short_side_px(self) -> int:
        """The shorter side that a decoder must deliver at least."""
        return self.preset.resize

    def framed(self, pixels: Samples) -> npt.NDArray[Any]:
        """Return the centre square (size, size, C) of an image."""
        preset, (height, width) = self.preset, pixels.shape[:2]
        side = max(1, round(min(height, width) * preset.size / preset.resize))
        top, left = (height - side) // 2, (width - side) // 2
        return self.geometry.to_store(pixels[top : top + side, left : left + side])


def load(
    name: str,
    weights_path: str | Path | None = None,
    *,
    preset: str | Preset | None = None,
    names: Sequence[str] | None = None,
) -> Pretrained:
    """Return a network of the zoo with published weights, ready for images.

    Args:
        name: of the network, with or without "imagenet:" before it.
        weights_path: a weights file; by default the published ones, from the local cache or downloaded.
        preset: how the weights want their images, a name in `striate.model.published.PRESETS` or a `Preset`; by
            default what is published with them, and "torchvision" for a file.
        names: of the classes; by default those of ImageNet.

    Raises:
        ModelError: the weights cannot be had, or do not fit.
        SettingsError: the network or the preset is unknown.
    """
    name = name.removeprefix(PREFIX)
    make = zoo.blueprint(name)  # an unknown name is said before anything is fetched
    if preset is None:
        preset = find(name).preset if weights_path is None else replace(PRESETS["torchvision"], size=make.size)
    elif isinstance(preset, str):
        preset = choose("preset", preset, PRESETS)
    names = classes() if names is None else tuple(names)
    network = zoo.build(
        name, classes=names, channels=len(preset.mean), size=preset.size, seed=0, **dict(preset.options)
    )
    loaded = load_weights(network, weights_path or "imagenet")
    if loaded.missing:
        raise ModelError(
            f"the weights are for another number of classes than {len(names)}",
            where=loaded.source,
            fix="give the names of all classes",
        )
    return Pretrained(network, names, preset, loaded)


def best(prediction: Prediction, count: int = 5) -> list[tuple[str, float]]:
    """Return the most probable classes of a prediction, each with its probability.

    Example:
        >>> best(Prediction("a.jpg", ("cat",), (), {"dog": 0.1, "cat": 0.7, "fox": 0.2}), 2)
        [('cat', 0.7), ('fox', 0.2)]
    """
    found = prediction.probabilities or {}
    return sorted(found.items(), key=lambda item: -item[1])[:count]
