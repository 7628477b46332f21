"""Find objects in photos with torchvision's published detectors: nothing needs to be trained first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base import torchvision as tv
from striate.base.choose import choose
from striate.base.errors import ModelError
from striate.base.size import SizeHW
from striate.base.text import shown
from striate.data.geometry import Geometry, coloured
from striate.data.raster import Samples
from striate.model import foreign
from striate.model.published import Preset, Published, fetch
from striate.nn.boxes import provide
from striate.task import from_json
from striate.task.answer import Thing

from .prediction import Prediction
from .predictor import Predictor

PREFIX = "coco:"  # before a detector's name on the command line
NAMES = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "retinanet_resnet50_fpn",
    "fcos_resnet50_fpn",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
    "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
)
MIN_SCORE = 0.5
NO_CLASSES = ("__background__", "N/A", "no person")  # of torchvision's lists
MIN_MASK = 0.5  # probability from which a pixel belongs to an object
FLOAT_BYTES, ROOM_BYTES = 4, 1 << 26  # of a parameter; of what is saved beside them


class Detector(Predictor):
    """One of torchvision's detectors with COCO's classes; each image is brought to a size of the network's own.

    Attributes:
        min_score: things below it are left out.
        categories: the classes by the network's number, with places that are none.
        source: where the weights are from.

    Example:
        >>> detector = load("retinanet_resnet50_fpn")                       # doctest: +SKIP
        >>> detector([Path("street.jpg")])[0].things[0].name            # doctest: +SKIP
        'person'
    """

    batch = 4  # images at their own size

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        source: str,
        min_score: float = MIN_SCORE,
        points: Sequence[str] = (),
    ) -> None:
        known = [name for name in dict.fromkeys(names) if name not in NO_CLASSES]
        task = from_json({"name": "detect", "target": "box", "names": known, "point_names": list(points)})
        super().__init__(network, task, Geometry((800, 800), "letterbox", margin=1.0), (0.0,) * 3, (1.0,) * 3)
        self.categories, self.source, self.min_score = tuple(names), source, min_score

    def framed(self, pixels: Samples) -> npt.NDArray[Any]:
        """Return the image (H, W, 3) as it is: the network itself resizes it."""
        return coloured(pixels, 3)

    @torch.inference_mode()
    def outputs(self, stored: Sequence[npt.NDArray[Any]]) -> list[dict[str, Tensor]]:
        """Return what torchvision's network returns for images (H, W, 3): "boxes", "labels", "scores" and more."""
        found: list[dict[str, Tensor]] = self.network(
            [torch.tensor(image).permute(2, 0, 1).float() / 255 for image in stored]
        )
        return found

    def _read(self, outputs: Any, ids: Sequence[str], sizes_hw: Sequence[SizeHW]) -> list[Prediction]:
        return [
            Prediction(name, self.task.names, things=self._things(one)) for name, one in zip(ids, outputs, strict=True)
        ]

    def _things(self, found: Mapping[str, Tensor]) -> tuple[Thing, ...]:
        known = (found["scores"] >= self.min_score).nonzero()[:, 0].tolist()
        things = (self._thing(found, row) for row in known)
        return tuple(thing for thing in things if thing.name not in NO_CLASSES)

    def _thing(self, found: Mapping[str, Tensor], row: int) -> Thing:
        mask = found.get("masks")
        points: tuple[tuple[float, ...], ...] = ()
        if "keypoints" in found:
            table = torch.cat([found["keypoints"][row][:, :2], found["keypoints_scores"][row][:, None]], 1)
            points = tuple(map(tuple, table.tolist()))
        return Thing(
            self.categories[int(found["labels"][row])],
            float(found["scores"][row]),
            tuple(found["boxes"][row].tolist()),
            None if mask is None else (mask[row, 0] >= MIN_MASK).numpy(),
            points,
        )


def load(name: str, weights_path: str | Path | None = None, *, min_score: float = MIN_SCORE) -> Detector:
    """Return a published detector, ready for images.

    Args:
        name: one of `NAMES`, with or without "coco:" before it.
        weights_path: a file with its tensors (`.safetensors`, `.pth`, `.npz`); by default the published ones, from
            torch's cache or downloaded.
        min_score: things below it are left out.

    Raises:
        SettingsError: the name is unknown.
        ModelError: the weights cannot be had, or do not fit.
    """
    known = name.removeprefix(PREFIX)
    choose("detector", known, dict.fromkeys(NAMES))
    models = tv.load("torchvision.models")
    provide()
    published = models.get_model_weights(known).DEFAULT
    names = tuple(published.meta["categories"])
    path = weights_path or fetch(Published(known, f"torchvision {published}", published.url, Preset(), names))
    limit_bytes = FLOAT_BYTES * published.meta["num_params"] + ROOM_BYTES
    network = _build(known, published, path, foreign.read(path, limit_bytes).tensors)
    return Detector(network, names, str(path), min_score, published.meta.get("keypoint_names", ()))


def _build(name: str, published: Any, path: str | Path, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Torchvision's network with tensors in the place of the published file's, which it would unpickle itself.

    With weights it builds other layers than without: frozen batch norm with another epsilon.
    """
    kind = tv.load("torchvision.models._api").WeightsEnum
    own = kind.get_state_dict
    kind.get_state_dict = lambda *_, **__: dict(tensors)
    try:
        network: nn.Module = tv.load("torchvision.models").get_model(name, weights=published)
    except RuntimeError as problem:
        reason = str(problem).strip().split("\n")[1:2] or [str(problem)]
        fix = "give the weights of this detector with its published classes"
        raise ModelError(
            f"the weights are not {name}'s ({shown(reason[0].strip(), 120)})", where=path, fix=fix
        ) from problem
    finally:
        kind.get_state_dict = own
    return network
