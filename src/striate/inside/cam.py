"""Grad-CAM: a layer's maps, weighted by how much the score rises with each (Selvaraju et al., arXiv:1610.02391).

The layer is chosen by the graph of the forward pass: the last map before height and width are lost that all of the
score goes through. (In a transformer that is the block before the last: behind the last attention only the class token
counts.) For outputs that are maps themselves, where height and width are never lost, it is the last of the coarsest
maps (Vinogradova et al., arXiv:2002.11434) that is not the classes' own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.base.errors import SettingsError
from striate.base.text import plural
from striate.task import Objective
from striate.task.views import leaves

from .explanation import Explanation, Report, explanations
from .tap import Probe, Use

LINEAR = {2: "bilinear", 3: "trilinear"}
AT_ONCE = 8  # candidates whose gradients are looked at together
LAST_DIM = (nn.Linear, nn.LayerNorm)  # four dimensions of these are N H W C


@dataclass(frozen=True)
class Place:
    """A map of a network: the output of one use of a module.

    Args:
        name: of the module.
        index: which use of it.
        grid: height and width; of volumes depth, height and width.
    """

    name: str
    index: int
    grid: tuple[int, ...]

    def map_of(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the map (N, C, h, w) from what the module returned at each use; tokens are laid out on their grid."""
        return as_map(tensors[self.index], self.grid)

    @property
    def text(self) -> str:
        """Its name, and which use of several it is."""
        use = f", use {self.index + 1}" if self.index else ""
        return f"{self.name}{use} ({' x '.join(map(str, self.grid))})"


def grad_cam(
    probe: Probe,
    images: Tensor,
    objective: Objective,
    *,
    layer: str | Place | None = None,
    report: Report | None = None,
) -> list[Explanation]:
    """Return, for each pixel, the positive part of sum_k w_k A_k, where w_k is the mean gradient of map A_k.

    `coarse` is the sum on the layer's own grid, before it is laid over the image bilinearly.

    Args:
        layer: whose maps are used; by default `layer_of`.

    Raises:
        SettingsError: the network has no map, or not one of that name.
    """
    images = probe.ready(images)
    place = layer if isinstance(layer, Place) else layer_of(probe, images, objective, layer)
    leaf = images.requires_grad_()
    outputs, found = probe.maps(leaf, [place.name])
    scores = objective.score(outputs)
    if not scores.requires_grad:
        raise _no_map(probe)
    (gradient,) = torch.autograd.grad(scores.sum(), found[place.name][place.index], allow_unused=True)
    if gradient is None:
        fix = f"use {layer_of(probe, images, objective).name}, or leave it out"
        raise SettingsError(f"the score does not hang on {place.name}", where="layer", fix=fix)
    maps, rises = place.map_of(found[place.name]).detach(), as_map(gradient, place.grid)
    coarse = (rises.flatten(2).mean(2).view(*rises.shape[:2], *[1] * len(place.grid)) * maps).sum(1).clamp(min=0)
    large = F.interpolate(coarse[:, None], images.shape[2:], mode=LINEAR[len(place.grid)], align_corners=False)[:, 0]
    return explanations("gradcam", objective, scores.detach(), large, is_signed=False, coarse=coarse, layer=place.text)


def layer_of(probe: Probe, images: Tensor, objective: Objective, name: str | None = None) -> Place:
    """Return the map that Grad-CAM uses, see the top of this file; or the last map that a module of this name gives.

    Raises:
        SettingsError: the network, or that module, gives no map with more than one place.
    """
    image = probe.ready(images[:1])
    outputs, uses = probe.uses(image)
    places = list(maps_among(uses, image.ndim - 2))
    if name is not None:
        probe.module(name)
        own = [place for place in places if place.name == name.removeprefix("rows.")]
        if not own:
            fix = (
                f"choose one of {', '.join(dict.fromkeys(place.name for place in places[-3:]))}"
                if places
                else "occlude"
            )
            raise SettingsError(f"{name} gives no map with height and width", where="layer", fix=fix)
        return own[-1]
    is_dense = any(one.ndim == image.ndim and one.shape[2:].numel() > 1 for one in leaves(outputs))
    if is_dense:
        places.sort(key=lambda place: -prod(place.grid))  # stable: the last of the coarsest comes last
    last: Place | None = None
    for end in range(len(places), 0, -AT_ONCE):
        for place in reversed(_counting(probe, image, objective, places[max(0, end - AT_ONCE) : end], is_dense)):
            if is_dense or _is_all(probe, image, objective, place):
                return place
            last = last or place
    if last is None:
        raise _no_map(probe)
    return last


def maps_among(uses: Sequence[Use], axes: int = 2) -> Iterator[Place]:
    """Return the uses whose output is a map with more than one place, not made from a single place, in order.

    Args:
        axes: of a map: height and width, of volumes three.
    """
    grid: tuple[int, ...] = (0,)
    for use in uses:
        shape = use.shape
        if len(shape) == axes + 2 and type(use.module) not in LAST_DIM:
            grid = shape[2:]
            is_from_one = len(use.taken) == axes + 2 and prod(use.taken[2:]) == 1
            if prod(grid) > 1 and not is_from_one:
                yield Place(use.name, use.index, grid)
        elif len(shape) == 3 and prod(grid) > 1 and _token_dim(shape, grid):
            yield Place(use.name, use.index, grid)


def as_map(tensor: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Return a map (N, C, h, w) as it is; tokens (N, T, C) or (N, C, T) as the map they were cut from."""
    if tensor.ndim > 3:
        return tensor
    num = prod(grid)
    tokens = tensor if _token_dim(tuple(tensor.shape), grid) == 2 else tensor.transpose(1, 2)
    return tokens[:, :, -num:].reshape(*tokens.shape[:2], *grid)


def _token_dim(shape: tuple[int, ...], grid: tuple[int, ...]) -> int:
    """Which dimension counts the tokens of a grid, one class token at most among them; 0 where none does."""
    num = prod(grid)
    return next((dim for dim in (2, 1) if shape[dim] in {num, num + 1}), 0)


def _counting(
    probe: Probe, image: Tensor, objective: Objective, places: Sequence[Place], is_dense: bool
) -> list[Place]:
    """Those of the places whose map the score of an image hangs on; of outputs that are maps, on several channels."""
    outputs, found = probe.maps(image.detach().requires_grad_(), [place.name for place in places])
    score = objective.score(outputs, torch.zeros(1, dtype=torch.int64))
    if not score.requires_grad:
        return []
    tensors = [found[place.name][place.index] for place in places]
    reached = [number for number, tensor in enumerate(tensors) if tensor.requires_grad]
    gradients = torch.autograd.grad(score.sum(), [tensors[number] for number in reached], allow_unused=True)
    least = 2 if is_dense else 1
    return [
        places[number]
        for number, gradient in zip(reached, gradients, strict=True)
        if gradient is not None
        and as_map(gradient, places[number].grid).transpose(0, 1).flatten(1).any(1).sum() >= least
    ]


def _is_all(probe: Probe, image: Tensor, objective: Objective, place: Place) -> bool:
    """Whether the score of an image hangs on it through this map alone."""
    leaf = image.detach().requires_grad_()
    score = objective.score(probe.cut_at(leaf, place.name, place.index), torch.zeros(1, dtype=torch.int64))
    return not score.requires_grad or torch.autograd.grad(score.sum(), leaf, allow_unused=True)[0] is None


def _no_map(probe: Probe) -> SettingsError:
    parts = plural(sum(1 for _ in probe.network.modules()), "module")
    what = f"none of {parts} gives a map with height and width that the answer hangs on"
    return SettingsError(what, where=type(probe.network).__name__, fix="use another method, such as gradient")
