"""The check that a saliency map has to do with what the network learnt: randomise its weights and look again.

Layers are randomised from the top down, each keeping what was done to those above it; a method whose maps stay as they
were shows the image, not the network (Adebayo et al., Sanity Checks for Saliency Maps, arXiv:1810.03292). A layer is
randomised by permuting each of its weights' numbers, so that sizes of activations stay about as they were.

What is compared has its signs, where a method gives them. Of absolute gradients, strides and borders alone leave a
pattern that no weight changes: correlations of 0.4 to 0.8 between random networks with a strided first layer.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.base.choose import choose
from striate.task import Objective, Task
from striate.task.objective import Which

from .cam import layer_of
from .explain import METHODS, objective_of
from .explanation import Array, Explanation
from .tap import ROWS, Probe, borrowed, shown_name

LIMIT = 0.5  # a correlation below it passes
STAGES = 4


@dataclass(frozen=True, eq=False)
class Sanity:
    """How alike a map and those of ever more random networks are.

    Args:
        method: that made the maps.
        layers: the lowest layer randomised at each stage, from the top down; at the last one all are.
        correlations: of each stage, Spearman's rank correlation with the map of the network itself.
        maps: (stages, H, W).
    """

    method: str
    layers: tuple[str, ...]
    correlations: tuple[float, ...]
    maps: Array

    @property
    def is_passed(self) -> bool:
        """Whether the map of the wholly random network is another one."""
        return abs(self.correlations[-1]) < LIMIT

    def to_json(self) -> dict[str, Any]:
        """Return what came out, without the maps."""
        stages = [
            {"layer": layer, "correlation": one} for layer, one in zip(self.layers, self.correlations, strict=True)
        ]
        return {"method": self.method, "is_passed": self.is_passed, "stages": stages}


def check(
    network: nn.Module,
    task: Task,
    image: Tensor,
    *,
    method: str = "gradient",
    which: Which = None,
    stages: int = STAGES,
    seed: int = 0,
    **settings: Any,
) -> Sanity:
    """Return how a method's map of an image (1, C, H, W) changes as weights become random, from the top down.

    The same class is explained throughout; the network is given back as it was.

    Args:
        stages: how often to look, at equal numbers of layers.
        seed: of the permutations.
        settings: of the method.

    Raises:
        SettingsError: as `explain` does.
    """
    with borrowed(task.explained(network)) as probe:
        return check_probe(
            probe, image, objective_of(probe, task, image, which), method=method, stages=stages, seed=seed, **settings
        )


def check_probe(
    probe: Probe,
    image: Tensor,
    objective: Objective,
    *,
    method: str,
    stages: int = STAGES,
    seed: int = 0,
    **settings: Any,
) -> Sanity:
    """Return the same of a borrowed network and a chosen objective."""
    make = choose("method", method, METHODS)
    (before,) = make(probe, image, objective, **settings)
    if before.layer:  # the same one throughout: a random network might have another last map
        settings = {"layer": layer_of(probe, image, objective)} | settings
    layers = layers_from_top(probe, image)
    ends = [round(len(layers) * stage / stages) for stage in range(1, stages + 1)]
    ends = sorted({end for end in ends if end})
    found: list[Explanation] = []
    for end in ends:
        random = probe.with_state(randomised(probe, layers[:end], seed))
        found += make(random, image, objective, **settings)
    return Sanity(
        method,
        tuple(layers[end - 1] for end in ends),
        tuple(rank_correlation(_compared(before), _compared(one)) for one in found),
        np.stack([one.map for one in found]),
    )


def layers_from_top(probe: Probe, image: Tensor) -> list[str]:
    """Return the modules with weights of their own, the last used first, those that are never used at the end."""
    own = [
        name for name, module in probe.network.named_modules() if any(True for _ in module.parameters(recurse=False))
    ]
    names = {shown_name(name) for name in own}
    _, uses = probe.uses(probe.ready(image[:1]))
    order = list(dict.fromkeys(use.name for use in reversed(uses) if use.name in names))
    return order + [shown_name(name) for name in reversed(own) if shown_name(name) not in order]


def randomised(probe: Probe, layers: Sequence[str], seed: int) -> dict[str, Tensor]:
    """Return the weights of some layers, the numbers of each in a random order that hangs on its name and the seed."""
    changed = {}
    wanted = set(layers)
    for name, value in probe.state.items():
        layer = shown_name(name.rpartition(".")[0])
        if layer in wanted and value.is_floating_point():
            draw = torch.Generator().manual_seed(seed + zlib.crc32(name.removeprefix(ROWS).encode()))
            order = torch.randperm(value.numel(), generator=draw).to(value.device)
            changed[name] = value.detach().flatten()[order].view_as(value)
    return changed


def _compared(explanation: Explanation) -> Array:
    """The numbers of an explanation that are compared: with signs, and not interpolated, where it has such."""
    own = (explanation.values, explanation.coarse, explanation.map)
    return next(one for one in own if one is not None)


def rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's rank correlation of two maps; 0 where one of them is the same everywhere.

    Example:
        >>> rank_correlation(np.array([[1, 2], [3, 9]], np.float32), np.array([[2, 4], [5, 6]], np.float32))
        1.0
    """
    from scipy.stats import rankdata  # 0.7 s to load

    ranks = [rankdata(values) - (values.size + 1) / 2 for values in (one.ravel(), other.ravel())]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / size if size else 0.0
