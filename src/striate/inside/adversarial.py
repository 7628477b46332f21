"""Adversarial images: changes too small to be seen that change the answer of a network.

Everything is in pixel space: levels 0..1, before normalisation. An attack may change each number by at most `eps` and
stays in 0..1, so what it makes is an image again. It raises the loss of the true answer, whatever the task: the
cross-entropy of a class or of the pixels of a mask, the squared error of a number. A targeted one lowers the loss of
the answer that is wanted; of numbers and maps, which have no other answer to be, it moves what an explanation is about.

Reference: Goodfellow et al., Explaining and Harnessing Adversarial Examples, arXiv:1412.6572 (FGSM); Madry et al.,
Towards Deep Learning Models Resistant to Adversarial Attacks, arXiv:1706.06083 (PGD).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.seeds import seed_for
from striate.data.sample import Batch
from striate.task import Objective, Outputs, Task

from .explanation import no_gradient
from .tap import Probe, borrowed

Losses = Callable[[Outputs], Tensor]  # outputs of N images -> what an attack raises, of each image (N,)
LEVELS = 255  # of an 8-bit image: an eps of 1 / LEVELS changes each by one at most
STEPS = 10
REACH = 2.5  # the steps of PGD together could go this many times as far as eps, so that they can turn
GRID_IMAGES = 16  # of a grid of eps, looked at together


@dataclass(frozen=True)
class PixelSpace:
    """The way between pixels in 0..1 and what a network gets: (pixel - mean) / std of each channel."""

    mean: Sequence[float]
    std: Sequence[float]

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return pixels (N, C, ...) as a network gets them."""
        mean, std = self._shaped(pixels)
        return (pixels - mean) / std

    def pixels(self, images: Tensor) -> Tensor:
        """Return normalised images (N, C, ...) as pixels, cut to 0..1."""
        mean, std = self._shaped(images)
        return (images * std + mean).clamp(0, 1)

    def _shaped(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, *[1] * (like.ndim - 2))
        mean, std = (like.new_tensor(list(values)).view(shape) for values in (self.mean, self.std))
        return mean, std


@dataclass(frozen=True)
class Attack:
    """How an image is changed.

    Args:
        eps: the most by which a number of the image may change, 0..1; 1/255 is one level of an 8-bit image.
        method: "fgsm", one step of eps along the sign of the gradient; "pgd", `steps` smaller ones from a random
            start, each brought back to within eps.
        steps: of PGD.
        step: of PGD, how far each goes; by default 2.5 x eps / steps.
        seed: of PGD's random start.

    Raises:
        SettingsError: a value is out of its range.
    """

    eps: float
    method: str = "fgsm"
    steps: int = STEPS
    step: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        choose("attack", self.method, METHODS)
        if not 0 <= self.eps <= 1:
            raise SettingsError(f"an attack cannot have eps {self.eps:g}", where="eps", fix="give a number in 0..1")
        if self.steps < 1:
            raise SettingsError(f"an attack of {self.steps} steps", where="steps", fix="give 1 or more")

    @property
    def step_size(self) -> float:
        """How far one step goes."""
        if self.method == "fgsm":
            return self.eps
        return REACH * self.eps / self.steps if self.step is None else self.step

    def to_json(self) -> dict[str, Any]:
        """Return a plain description; what FGSM has no use for is left out."""
        found: dict[str, Any] = {"method": self.method, "eps": self.eps, "step_size": self.step_size}
        return found if self.method == "fgsm" else {**found, "steps": self.steps, "seed": self.seed}


def attacked(
    network: nn.Module, pixels: Tensor, losses: Losses, space: PixelSpace, attack: Attack, keys: Sequence[int] = ()
) -> Tensor:
    """Return the changed pixels (N, C, ...): within eps of `pixels` and in 0..1. The network is given back unchanged.

    Args:
        pixels: (N, C, ...) in 0..1.
        losses: what is raised, of each image; see `raising` and `lowering`.
        keys: a number an image from which its random start is drawn, by default its place.
    """
    with borrowed(network) as probe:
        start = probe.ready(pixels)
        if not attack.eps:
            return start
        return METHODS[attack.method](probe, start, losses, space, attack, keys or range(len(start))).detach()


def raising(task: Task, batch: Batch) -> Losses:
    """Return the loss of the true answers, which an attack raises."""
    return lambda outputs: task.losses(outputs, batch)


def lowering(task: Task, wanted: Batch) -> Losses:
    """Return minus the loss of the answers that are wanted, which a targeted attack raises."""
    return lambda outputs: -task.losses(outputs, wanted)


def moving(objective: Objective, sign: int) -> Losses:
    """Return what an explanation of N images is about, which an attack raises (`sign` 1) or lowers (-1)."""
    return lambda outputs: sign * objective.score(outputs)


def against(probe: Probe, task: Task, inputs: Tensor, target: str | None = None) -> Losses:
    """Return what an attack of images (N, C, ...) raises where no truth is known.

    Classes and tags: the loss of the network's own answer, or minus that of `target`. Numbers and maps: the field, or
    the class in the pixels that have it, see `Task.objective`; made less, or of a `target` more.

    Raises:
        SettingsError: the task has no such target.
    """
    if task.temperature is not None:
        own = own_answer(probe, task, inputs)
        return raising(task, own) if target is None else lowering(task, wanted(task, own, target))
    with torch.no_grad():
        return moving(task.objective(probe(inputs), target), -1 if target is None else 1)


def own_answer(network: Callable[[Tensor], Outputs], task: Task, inputs: Tensor) -> Batch:
    """Return images (N, C, ...) with a network's own answers as their truth."""
    with torch.no_grad():
        values = task.decode(network(inputs)).values
    return Batch(inputs, {task.target: values}, np.arange(len(inputs)))


def wanted(task: Task, own: Batch, name: str) -> Batch:
    """Return images with another answer as their truth: a class; of tags this one added to the others.

    Raises:
        SettingsError: there is no class of that name.
    """
    index = choose("class", name, {known: place for place, known in enumerate(task.names)})
    values = own.targets[task.target].clone()
    if values.ndim == 1:
        values[:] = index
    else:
        values[:, index] = 1
    return replace(own, targets={task.target: values})


def slope(probe: Probe, pixels: Tensor, losses: Losses, space: PixelSpace) -> Tensor:
    """Return the gradient of each image's loss by its pixels, of the shape of `pixels`.

    Raises:
        ModelError: the loss does not hang on the pixels by a gradient.
    """
    pixels = pixels.detach().requires_grad_()
    total = losses(probe(space.normalised(pixels))).sum()
    found = torch.autograd.grad(total, pixels, allow_unused=True)[0] if total.requires_grad else None
    if found is None:
        raise no_gradient(probe)
    return found


def within(pixels: Tensor, start: Tensor, eps: float) -> Tensor:
    """Return pixels brought to within eps of `start` and into 0..1."""
    return torch.minimum(torch.maximum(pixels, start - eps), start + eps).clamp(0, 1)


def _fgsm(
    probe: Probe, start: Tensor, losses: Losses, space: PixelSpace, attack: Attack, keys: Sequence[int]
) -> Tensor:
    return within(start + attack.eps * slope(probe, start, losses, space).sign(), start, attack.eps)


def _pgd(probe: Probe, start: Tensor, losses: Losses, space: PixelSpace, attack: Attack, keys: Sequence[int]) -> Tensor:
    noise = torch.stack([_noise(start[0], attack.seed, key) for key in keys]).to(start)
    pixels = within(start + attack.eps * noise, start, attack.eps)
    for _ in range(attack.steps):
        ahead = pixels + attack.step_size * slope(probe, pixels, losses, space).sign()
        pixels = within(ahead, start, attack.eps)
    return pixels


METHODS: dict[str, Callable[..., Tensor]] = {"fgsm": _fgsm, "pgd": _pgd}


def _noise(like: Tensor, seed: int, key: int) -> Tensor:
    """Even numbers in -1..1 that depend on seed and key only, so neither batch size nor order change them."""
    generator = torch.Generator().manual_seed(seed_for(seed, "attack", int(key)) & (2**63 - 1))
    return torch.rand(like.shape, generator=generator) * 2 - 1


class Batches(Protocol):
    """Anything that yields batches of an epoch."""

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class AttackedBatches:
    """The batches of a loader with each image attacked; what reads them scores the network under attack.

    Args:
        source: batches of normalised images.
        progress: called with the number of images after each batch.
    """

    source: Batches
    network: nn.Module
    task: Task
    space: PixelSpace
    attack: Attack
    progress: Callable[[int], object] = lambda num: None

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches; the random start of an image depends on its place in the dataset."""
        for batch in self.source.batches(epoch, start):
            with torch.inference_mode(False):  # a reader that evaluates is in it, and no gradient comes out of that
                plain = replace(batch, images=batch.images.clone())
                pixels, losses = self.space.pixels(plain.images), raising(self.task, plain)
                changed = attacked(self.network, pixels, losses, self.space, self.attack, plain.index.tolist())
            yield replace(batch, images=self.space.normalised(changed))
            self.progress(len(batch))


@dataclass(frozen=True)
class Flips:
    """What a network answers to one image at each eps of a grid, along one direction.

    `values` and `probabilities` have a row an eps; `smallest` is the least eps at which the answer is another one
    than at 0, None where there is none.
    """

    eps: tuple[float, ...]
    values: npt.NDArray[Any]
    probabilities: npt.NDArray[np.floating] | None
    direction: npt.NDArray[np.float32]

    @property
    def smallest(self) -> float | None:
        """The least eps of the grid at which the answer changes."""
        rows = self.values.reshape(len(self.values), -1)
        changed = (rows != rows[0]).any(1)
        return self.eps[int(changed.argmax())] if changed.any() else None


def flips(
    network: nn.Module, pixels: Tensor, losses: Losses, task: Task, space: PixelSpace, eps: Sequence[float] = ()
) -> Flips:
    """Return the answers to one image (1, C, ...) moved by each eps along FGSM's direction.

    Args:
        eps: rising, the first 0; by default 0 to 16 levels of 255.

    Raises:
        SettingsError: the first eps is not 0, or they do not rise.
    """
    grid = tuple(eps) or tuple(level / LEVELS for level in range(17))
    if grid[0] != 0 or any(after <= before for before, after in pairwise(grid)):
        raise SettingsError("a grid of eps rises from 0", where="eps", fix="give 0 first, then larger ones")
    with borrowed(network) as probe:
        start = probe.ready(pixels)
        direction = slope(probe, start, losses, space).sign()
        moved = torch.cat([within(start + one * direction, start, one) for one in grid])
        with torch.no_grad():
            decoded = [task.decode(probe(space.normalised(part))) for part in moved.split(GRID_IMAGES)]
    values = torch.cat([one.values for one in decoded]).cpu().numpy()
    known = [one.probabilities for one in decoded if one.probabilities is not None]
    probabilities = torch.cat(known).cpu().numpy() if known else None
    return Flips(grid, values, probabilities, direction[0].cpu().numpy().astype(np.float32))


def require_answers(task: Task) -> None:
    """Refuse a task whose answers are no classes or tags of images: there is nothing that could flip.

    Raises:
        SettingsError: the message names the task.
    """
    if task.temperature is None:
        what = f"the task {task.name} gives no classes or tags of images, which could flip"
        raise SettingsError(what, where=task.target, fix="see its error under attack: striate evaluate --adversarial")
