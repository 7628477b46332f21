"""Weights that others have published: where they are, how their images were prepared, what their classes are called."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from striate.base import torchvision as tv
from striate.base.errors import ModelError
from striate.base.text import shown

from .zoo import ZOO

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
IMAGES, COCO = "imagenet", "coco"
SOURCES = (IMAGES, COCO)  # words for published weights: of a classifier or an encoder, of a whole network for maps
WITH_PARTS = {"weights": None, "weights_backbone": None, "aux_loss": True}  # of torchvision's networks for maps
TO_ONE = ((0.5,) * 3, (0.5,) * 3)  # brings values to -1..1


@dataclass(frozen=True)
class Preset:
    """How the images of some weights are prepared: shorter side to `resize`, centre square of `size`, normalised.

    Args:
        mean, std: of each channel, for values 0..1.
        size: side in pixels of what the network sees.
        resize: shorter side in pixels before that square is cut.
        options: of the network that the weights need, `{"padding": "tensorflow"}`.
    """

    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]
    size: int = 224
    resize: int = 256
    options: Mapping[str, Any] = field(default_factory=dict)

    def normal(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std for images of another number of channels: then each has the average.

        Example:
            >>> Preset(mean=(0.5, 0.5, 0.2), std=(0.2, 0.2, 0.2)).normal(1)
            ((0.4,), (0.2,))
        """
        if channels == len(self.mean):
            return self.mean, self.std
        mean, std = (round(sum(values) / len(values), 6) for values in (self.mean, self.std))
        return (mean,) * channels, (std,) * channels


PRESETS: Mapping[str, Preset] = {
    "torchvision": Preset(),
    "tensorflow": Preset((0.5,) * 3, (0.5,) * 3, options={"padding": "tensorflow"}),
    "cifar": Preset(size=32, resize=32),
}


@dataclass(frozen=True)
class Published:
    """Published weights of a network.

    Args:
        source: who publishes them, and their name there.
        url: of the file; for timm, the repository on the model hub.
        classes: names in the order of the outputs.
        scores: "top1" and "top5" in percent on ImageNet's validation images, as published; empty if not said there.
        is_for_maps: whether it gives a class a pixel, trained on COCO's images of Pascal VOC's classes.
    """

    name: str
    source: str
    url: str
    preset: Preset
    classes: tuple[str, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    is_for_maps: bool = False


def find(name: str, source: str = "") -> Published:
    """Return what is published for a network; nothing is fetched.

    Args:
        source: what it must have been trained on, a name in `SOURCES`; empty = whatever it was.

    Raises:
        ModelError: neither torchvision nor timm publishes such weights of it.
    """
    found = _find(name)
    if source and source != (COCO if found.is_for_maps else IMAGES):
        what = f"no weights of {name!r} that were trained on {source} are published"
        others = COCO if found.is_for_maps else IMAGES
        raise ModelError(what, fix=f"give {others}, or a file")
    return found


def _find(name: str) -> Published:
    models = tv.load("torchvision.models")
    if name in models.list_models():
        weights = models.get_model_weights(name).DEFAULT
        how, metrics = weights.transforms(), weights.meta["_metrics"].get("ImageNet-1K")
        is_rescaled = name in ZOO and ZOO[name].is_rescaled
        mean, std = TO_ONE if is_rescaled else (tuple(how.mean), tuple(how.std))
        resize = how.resize_size[0]
        preset = Preset(mean, std, how.crop_size[0] if metrics else resize, resize)  # networks for maps take all of it
        scores = {"top1": metrics["acc@1"], "top5": metrics["acc@5"]} if metrics else {}
        names = tuple(weights.meta["categories"])
        return Published(name, f"torchvision {weights}", weights.url, preset, names, scores, is_for_maps=not metrics)
    settings = timm_module(name).get_pretrained_cfg(timm_name(name))
    if settings is None or settings.num_classes != 1000 or not (settings.hf_hub_id or settings.url):
        raise ModelError(f"no ImageNet weights of {name!r} are published", fix="give weights=FILE, or none to train it")
    size = settings.input_size[1]
    preset = Preset(tuple(settings.mean), tuple(settings.std), size, round(size / settings.crop_pct))
    return Published(name, f"timm {name}.{settings.tag}", settings.hf_hub_id or settings.url, preset, classes())


def classes() -> tuple[str, ...]:
    """Return the names of the 1000 ImageNet classes in the order of published networks' outputs.

    Example:
        >>> classes()[0], classes()[281]
        ('tench', 'tabby')
    """
    weights = tv.load("torchvision.models").ResNet18_Weights.DEFAULT
    return tuple(weights.meta["categories"])


def fetch(found: Published) -> Path:
    """Return the file of published weights from the local cache, downloaded first if it is not there.

    Files lie in torch's cache (`$TORCH_HOME/hub/checkpoints`), those of the model hub in its own (`$HF_HOME`).

    Raises:
        ModelError: it is not there and cannot be downloaded.
    """
    return _from_torch(found) if found.url.startswith("http") else _from_hub(found)


def _from_torch(found: Published) -> Path:
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / found.url.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    digits = re.search(r"-([a-f0-9]{8,})\.", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(found.url, str(path), digits.group(1) if digits else None, progress=False)
    except (OSError, RuntimeError) as problem:
        raise _offline(found, problem, f"put the file into {path.parent}") from problem
    return path


def _from_hub(found: Published) -> Path:
    hub = tv.load("huggingface_hub")
    try:
        return Path(hub.hf_hub_download(found.url, "model.safetensors"))
    except Exception as problem:  # the client's errors have no common class
        raise _offline(found, problem, "connect once, or give weights=FILE") from problem


def _offline(found: Published, problem: Exception, fix: str) -> ModelError:
    reason = shown(str(problem).strip().split("\n")[0], 60)
    return ModelError(f"cannot fetch the weights of {found.name} ({reason})", where=found.url, fix=fix)


def timm_name(name: str) -> str:
    """Return what the library timm calls a network."""
    return (ZOO[name].timm if name in ZOO else "") or name


def timm_module(name: str) -> Any:
    """Return the library timm, which has the network.

    Raises:
        ModelError: it is not installed, or has no such network.
    """
    tv.load()  # first, since timm imports torchvision
    try:
        timm = tv.load("timm")
    except ImportError as problem:
        what = f"the published weights of {name!r} come with timm, which is missing"
        raise ModelError(what, fix='install it: pip install "striate[pretrained]"') from problem
    if not timm.is_model(timm_name(name)):
        raise ModelError(f"no ImageNet weights of {name!r} are published", fix="give weights=FILE, or none to train it")
    return timm


@cache  # a network is built to know it
def key_order(name: str) -> tuple[str, ...]:
    """Return the names of a published network's tensors, in order; empty if nobody publishes it."""
    import warnings

    import torch

    models = tv.load("torchvision.models")
    try:
        make = (
            _torchvision(name)
            if name in models.list_models()
            else partial(timm_module(name).create_model, timm_name(name))
        )
    except ModelError:
        return ()
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some announce a slow start of weights, which there is none of here
        return tuple(make().state_dict())


def _torchvision(name: str) -> Any:
    """Return what makes torchvision's network with all its parts and nothing fetched."""
    builder = tv.load("torchvision.models").get_model_builder(name)
    known = inspect.signature(builder).parameters
    return partial(builder, **{key: value for key, value in WITH_PARTS.items() if key in known})
