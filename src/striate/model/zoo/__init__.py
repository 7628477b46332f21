"""The networks that have a name. One family a file; torch is loaded only when a network is built."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base.choose import choose, nearest
from striate.base.errors import SettingsError
from striate.model.blueprint import Blueprint

from . import (
    airbench,
    alexnet,
    bipyramid,
    convnext,
    deeplab,
    densenet,
    detectors,
    efficientnet,
    fcn,
    googlenet,
    inception,
    lenet,
    mlp,
    mnasnet,
    mobilenet,
    nasnet,
    neocognitron,
    pyramid,
    resnet,
    restoration,
    sequence,
    series,
    squeezenet,
    unet,
    vgg,
    vit,
    xception,
)
from .entry import Entry

if TYPE_CHECKING:
    from striate.model.network import Network

ZOO: dict[str, Entry] = {
    **bipyramid.ENTRIES,
    **mlp.ENTRIES,
    **airbench.ENTRIES,
    **neocognitron.ENTRIES,
    **lenet.ENTRIES,
    **alexnet.ENTRIES,
    **vgg.ENTRIES,
    **googlenet.ENTRIES,
    **inception.ENTRIES,
    **resnet.ENTRIES,
    **squeezenet.ENTRIES,
    **densenet.ENTRIES,
    **xception.ENTRIES,
    **mobilenet.ENTRIES,
    **nasnet.ENTRIES,
    **mnasnet.ENTRIES,
    **efficientnet.ENTRIES,
    **vit.ENTRIES,
    **convnext.ENTRIES,
    **unet.ENTRIES,
    **restoration.ENTRIES,
    **fcn.ENTRIES,
    **deeplab.ENTRIES,
    **pyramid.ENTRIES,
    **series.ENTRIES,
    **sequence.ENTRIES,
    **detectors.ENTRIES,
}

AUTOENCODERS = ("autoencoder_32", "autoencoder", "autoencoder_512")  # by the length of their vector
RESTORING, TRANSPOSED, RESIZED = "residual_unet", "residual_unet_transposed", "residual_unet_resize"
ONE_STAGE, RETINANET, FCOS, SSD, YOLO_V1 = "one_stage", "retinanet", "fcos", "ssd", "yolo_v1"
RCNN, FAST_RCNN, FASTER_RCNN, DETR = "rcnn", "fast_rcnn", "faster_rcnn", "detr"
MASK_RCNN, KEYPOINT_RCNN = "mask_rcnn", "keypoint_rcnn"
DEFAULT = "bipyramid"  # trains in a minute on a CPU
OF_TASK = {  # where another one is usual
    **dict.fromkeys(("denoise", "superresolve", "inpaint", "colourise"), RESTORING),
    "reconstruct": AUTOENCODERS[1],
    "detect": ONE_STAGE,
}
OF_FORM = {"series": "resnet_1d", "volume": "unet_3d"}  # of what the data are, see `data.sample.Usual`
SIDE_BY_SIDE = {  # what a study of such data compares where no variants are named
    "series": ("mlp", "rnn", "lstm", "gru", "tcn", "transformer_1d", "fcn_1d", "resnet_1d"),
}
PLAIN = "mlp"  # the thing to beat: no sense of place
SMALL_RESIDUAL = "xception_small"  # skips and separable convolutions at little cost
STRIDED, UNPOOLING, NEAREST, WITH_SKIPS = (
    "encoder_decoder",
    "segnet",
    "segnet_nearest",
    "unet",
)  # of maps, alike in size
PRETRAINED = "mobilenet_v2"  # small, fast and published: what transfer starts from
FAST = "airbench"  # made for speed on images of 32 px

__all__ = [
    "DEFAULT",
    "DETR",
    "FAST",
    "FASTER_RCNN",
    "FAST_RCNN",
    "FCOS",
    "KEYPOINT_RCNN",
    "MASK_RCNN",
    "NEAREST",
    "ONE_STAGE",
    "PLAIN",
    "PRETRAINED",
    "RCNN",
    "RETINANET",
    "SMALL_RESIDUAL",
    "SSD",
    "STRIDED",
    "UNPOOLING",
    "WITH_SKIPS",
    "YOLO_V1",
    "ZOO",
    "Entry",
    "blueprint",
    "build",
    "names",
    "options",
    "usual",
]


def names() -> tuple[str, ...]:
    """Return the names of all networks.

    Example:
        >>> names()[:2]
        ('bipyramid', 'mlp')
    """
    return tuple(ZOO)


def usual(task: str | None, form: str = "image") -> str:
    """Return the network for a task, or for data of a form, where none is named.

    Example:
        >>> usual(None), usual("reconstruct"), usual(None, "series")
        ('bipyramid', 'autoencoder', 'resnet_1d')
    """
    return OF_TASK.get(task or "") or OF_FORM.get(form, DEFAULT)


def options(name: str) -> dict[str, Any]:
    """Return a network's options with their defaults.

    Example:
        >>> options("mlp")["depth"]
        2
    """
    signature = inspect.signature(choose("network", name, ZOO).make)
    return {key: one.default for key, one in signature.parameters.items() if one.kind is one.KEYWORD_ONLY}


# The parameter `name` is positional, so that a network may have an option of that name.
def blueprint(name: str, /, **given: Any) -> Blueprint:
    """Return the blueprint of a network.

    Args:
        name: one of `names()`.
        given: the network's options (see `options(name)`).

    Raises:
        SettingsError: the name or an option is unknown; the nearest known one is named.

    Example:
        >>> blueprint("bipyramid", width=16, depth=3).rows[0]
        Row('conv', 16, name='conv1')
    """
    known = options(name)
    for key in given:
        if key not in known:
            close = nearest(key, known)
            fix = f"did you mean {close!r}?" if close else f"known options: {', '.join(known)}"
            raise SettingsError(f"unknown option {key!r}", where=name, fix=fix)
    return ZOO[name].make(**given)


def build(
    name: str,
    /,
    *,
    classes: int | Sequence[str],
    channels: int = 3,
    size: int | tuple[int, ...] | None = None,
    weights: str | Path | None = None,
    seed: int | None = None,
    **given: Any,
) -> "Network":
    """Return a network with fresh weights, published ones, or those of a file.

    Args:
        classes: their number or their names.
        channels: of the input.
        size: side, or height and width, of the input in pixels; by default what the network was published for.
        weights: None = fresh; "imagenet" = published ones; or a weights file (see `striate.model.weights.load`).
        seed: of the fresh weights.
        given: the network's options.

    Raises:
        SettingsError: the name or an option is unknown, or the network cannot work on this input.
        ModelError: the weights do not fit.
    """
    from striate.model.build import build as build_network
    from striate.model.weights import load

    outputs = classes if isinstance(classes, int) else len(classes)
    size = blueprint(name).native_hw if size is None else size
    size_hw = (size, size) if isinstance(size, int) else size
    if "size" in options(name):
        given = {"size": min(size_hw), **given}
    network = build_network(blueprint(name, **given), channels=channels, outputs=outputs, size_hw=size_hw, seed=seed)
    if weights is not None:
        load(network, weights)
    return network
