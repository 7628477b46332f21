"""Milliseconds a step of a network here, beside those of the reference's own module in the same rounds."""

import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.base import torchvision as tv
from striate.base.device import place
from striate.base.errors import ModelError

from .blueprint import Blueprint
from .build import build
from .network import Network
from .published import timm_module, timm_name

ROUNDS, WARM_UP = 5, 2
CLASSES = 1000
Advance = Callable[[], None]


@dataclass(frozen=True)
class Timing:
    """One kind of step, at one batch size. Times are medians in milliseconds, by arm; missing where it cannot run.

    Arms: "ours" and "reference" in float32 with contiguous maps, "ours_channels_last" and "reference_channels_last"
    in float32, "ours_as_trained" with channels-last maps and, where the processor has it, bf16.

    Args:
        step: "inference" (forward) or "training" (forward, loss, backward, SGD).
    """

    step: str
    batch: int
    ms: Mapping[str, float]

    @property
    def ratio(self) -> float | None:
        """Ours / reference, both contiguous float32."""
        return self._divide("ours", "reference")

    @property
    def ratio_channels_last(self) -> float | None:
        """Ours / reference, both channels-last float32."""
        return self._divide("ours_channels_last", "reference_channels_last")

    @property
    def speedup(self) -> float | None:
        """How many times faster ours is, as we train, than the reference with its defaults."""
        return self._divide("reference", "ours_as_trained")

    def _divide(self, above: str, below: str) -> float | None:
        return self.ms[above] / self.ms[below] if above in self.ms and below in self.ms else None

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers with the ratios."""
        ratios = {"ratio": self.ratio, "ratio_channels_last": self.ratio_channels_last, "speedup": self.speedup}
        return asdict(self) | ratios


def measure(
    blueprint: Blueprint,
    *,
    size_hw: tuple[int, ...],
    batches: Iterable[int] = (1, 32),
    has_bf16: bool = False,
    rounds: int = ROUNDS,
    advance: Advance = lambda: None,
) -> list[Timing]:
    """Return how long steps take: after a warm-up, the median of rounds in which all arms take turns.

    Weights and images are random; nothing is fetched. Threads are torch's.

    Args:
        batches: images a step.
        has_bf16: whether the arm as we train may use bf16.
        advance: called after each of the `2 * len(batches)` kinds of step.
    """
    torch_module = reference(blueprint.name)
    timings = []
    for batch in batches:
        images = torch.rand(batch, 3, *size_hw, generator=torch.Generator().manual_seed(0))
        for step in ("inference", "training"):
            arms = _arms(blueprint, torch_module, images, step, has_bf16)
            with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
                timings.append(Timing(step, batch, _interleaved(arms, rounds)))
            advance()
    return timings


def reference(name: str) -> nn.Module | None:
    """Return torchvision's or timm's module of that name with random weights; None if neither has it."""
    models = tv.load("torchvision.models")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some announce a slow start of their weights
        if name in models.list_models():
            made: nn.Module = models.get_model(name, weights=None)
            return made
        try:
            found: nn.Module = timm_module(name).create_model(timm_name(name), pretrained=False)
        except ModelError:
            return None
        return found


def _arms(
    blueprint: Blueprint, torch_module: nn.Module | None, images: Tensor, step: str, has_bf16: bool
) -> dict[str, Callable[[], object]]:
    size_hw = (images.shape[2], images.shape[3])
    ours = build(blueprint, channels=3, outputs=CLASSES, size_hw=size_hw, seed=0)
    arms = {
        "ours": _step(ours, images, step),
        "ours_channels_last": _step(_last(blueprint, size_hw), images, step, is_last=True),
        "ours_as_trained": _step(_last(blueprint, size_hw), images, step, is_last=True, is_bf16=has_bf16),
    }
    if torch_module is not None:
        arms["reference"] = _step(torch_module, images, step)
        arms["reference_channels_last"] = _step(reference(blueprint.name), images, step, is_last=True)
    return arms


def _last(blueprint: Blueprint, size_hw: tuple[int, ...]) -> nn.Module:
    return build(blueprint, channels=3, outputs=CLASSES, size_hw=size_hw, seed=0)


def _step(
    model: nn.Module | None, images: Tensor, step: str, *, is_last: bool = False, is_bf16: bool = False
) -> Callable[[], object]:
    """Return a function that does one step."""
    assert model is not None
    if is_last:
        model = place(model, "cpu")
        images = images.to(memory_format=torch.channels_last)
    network = model.train(step == "training")
    targets = torch.arange(len(images)) % CLASSES
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)
    options: dict[str, Any] = {}
    if isinstance(network, Network) and network.blueprint.auxiliary_heads and step == "training":
        options = {"auxiliary": True}  # the references' auxiliary heads run in training too

    def forward() -> Any:
        with torch.autocast("cpu", torch.bfloat16) if is_bf16 else nullcontext():
            return network(images, **options)

    def infer() -> object:
        with torch.inference_mode():
            return forward()

    def train() -> object:
        found = forward()
        outputs = found.values() if isinstance(found, dict) else [found] if isinstance(found, Tensor) else found
        loss = sum(F.cross_entropy(output.float(), targets) for output in outputs if output is not None)
        assert isinstance(loss, Tensor)
        loss.backward()
        optimiser.step()
        return optimiser.zero_grad(set_to_none=True)

    return infer if step == "inference" else train


def _interleaved(arms: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time in ms of each arm that works; each round runs every arm once."""
    times: dict[str, list[float]] = {}
    for name, step in arms.items():
        try:
            for _ in range(WARM_UP):
                step()
        except ValueError:  # batch normalisation of one image whose map is one pixel
            continue
        times[name] = []
    for _ in range(rounds):
        for name, found in times.items():
            begin = time.perf_counter()
            arms[name]()
            found.append(time.perf_counter() - begin)
    return {name: round(statistics.median(found) * 1000, 3) for name, found in times.items()}
