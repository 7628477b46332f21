"""What a unit or a class wants to see: an image made from noise so that its number becomes as large as possible.

The image is not optimised pixel by pixel, which ends in a high-frequency pattern that no photo has, but as amplitudes
of waves that are scaled by 1 / frequency, as those of photos are (Fourier parametrisation); a sigmoid keeps it in
0..1. At each step the network sees it moved by a few pixels (jitter), so that what it shows does not hang on where
it stands. Adam climbs. What comes out shows what raises a number, not what the number means.

Reference: Erhan et al., Visualizing Higher-Layer Features of a Deep Network (2009); Olah et al., Feature
Visualization, Distill (2017), on the parametrisation and jitter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import SettingsError
from striate.base.seeds import seed_for

from .adversarial import PixelSpace
from .tap import Probe, borrowed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, RATE, JITTER = 128, 0.05, 1 / 16  # jitter is a share of the side
START = 0.01  # deviation of the waves' amplitudes at the start
Report = Callable[[int, int], None]  # steps done, steps in all; what it raises ends the work


@dataclass(frozen=True)
class Unit:
    """Whose number is raised: a channel of a row, its mean over the places, or at one place only.

    Args:
        row: of the network; "" for its outputs, whose channels are classes, before softmax.
        channel: which.
        place: (row, column) in its map; None for the mean of all.
    """

    row: str = ""
    channel: int = 0
    place: tuple[int, int] | None = None

    def value(self, probe: Probe, images: Tensor) -> Tensor:
        """Return the number (N,) of each image.

        Raises:
            SettingsError: no such row, channel or place.
        """
        if self.row:
            maps = probe.maps(images, [self.row])[1][self.row][-1]
        else:
            maps = probe(images)
        if not isinstance(maps, Tensor):
            raise SettingsError("the network gives several outputs", where="row", fix="name one of its rows")
        if not 0 <= self.channel < maps.shape[1]:
            fix = f"there are {maps.shape[1]}, from 0"
            raise SettingsError(f"no channel {self.channel}", where=self.row or "outputs", fix=fix)
        chosen = maps[:, self.channel]
        if self.place is None:
            return chosen.flatten(1).mean(1) if chosen.ndim > 1 else chosen
        is_there = chosen.ndim == 3 and all(
            0 <= at < side for at, side in zip(self.place, chosen.shape[1:], strict=True)
        )
        if not is_there:
            fix = f"the map is {' x '.join(map(str, chosen.shape[1:])) or 'a single number'}"
            raise SettingsError(f"no place {self.place}", where=self.row or "outputs", fix=fix)
        return chosen[:, self.place[0], self.place[1]]


@dataclass(frozen=True, eq=False)
class Preferred:
    """The image (H, W, C) in 0..1, the unit's value for it as it stands, and that after each step (jittered)."""

    image: npt.NDArray[np.float32]
    value: float
    values: tuple[float, ...]
    settings: dict[str, Any]

    def figure(self) -> "Figure":
        """Return a matplotlib figure of the image."""
        from .figures import tiles

        return tiles([self.image], [f"value {self.value:.3g}"], "", 1)


def maximise(
    network: nn.Module,
    unit: Unit,
    space: PixelSpace,
    size_hw: tuple[int, int],
    *,
    steps: int = STEPS,
    rate: float = RATE,
    jitter: float = JITTER,
    weight_decay: float = 0.0,
    seed: int = 0,
    report: Report | None = None,
) -> Preferred:
    """Return the image that raises a unit's value the most, as far as climbing from noise gets.

    Args:
        space: of the network's images, whose means say how many channels they have.
        size_hw: of the image in pixels.
        steps, rate: of Adam.
        jitter: the image is moved by up to this share of its side at each step, round the border.
        weight_decay: pulls amplitudes to 0, that is the image to grey.
        seed: of the noise it starts from, and of jitter.

    Raises:
        SettingsError: no such unit, or a setting is out of its range.
    """
    if steps < 1 or not 0 <= jitter < 1 or rate <= 0 or weight_decay < 0:
        what = f"steps {steps}, rate {rate:g}, jitter {jitter:g}, weight decay {weight_decay:g}"
        raise SettingsError(f"{what} cannot be", where="maximise", fix="give steps and rate above 0, jitter in 0..1")
    generator = torch.Generator().manual_seed(seed_for(seed, "maximise") & (2**63 - 1))
    with borrowed(network) as probe:
        waves = (START * torch.randn(1, len(space.mean), size_hw[0], size_hw[1] // 2 + 1, 2, generator=generator)).to(
            probe.device
        )
        scale = _scale(size_hw).to(probe.device)
        waves.requires_grad_()
        climb = torch.optim.Adam([waves], lr=rate, weight_decay=weight_decay)
        values = []
        for step in range(steps):
            moves = [_move(side, jitter, generator) for side in size_hw]
            image = _image(waves, scale, size_hw).roll(moves, (2, 3))
            value = unit.value(probe, space.normalised(image))[0]
            (waves.grad,) = torch.autograd.grad(-value, waves)
            climb.step()
            values.append(float(value.detach()))
            if report:
                report(step + 1, steps)
        with torch.no_grad():
            image = _image(waves, scale, size_hw)
            value = unit.value(probe, space.normalised(image))[0]
    pixels = image[0].permute(1, 2, 0).float().cpu().numpy()
    settings = {"steps": steps, "rate": rate, "jitter": jitter, "weight_decay": weight_decay, "seed": seed}
    return Preferred(np.ascontiguousarray(pixels), float(value), tuple(values), settings)


def _image(waves: Tensor, scale: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Pixels (1, C, H, W) in 0..1 of waves (1, C, H, W // 2 + 1, 2)."""
    pixels: Tensor = torch.fft.irfft2(torch.view_as_complex(waves) * scale, s=size_hw)
    return pixels.sigmoid()


def _scale(size_hw: tuple[int, int]) -> Tensor:
    """One over the frequency of each wave, so that all have the share that they have in photos; (H, W // 2 + 1)."""
    height, width = size_hw
    frequency = (torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.rfftfreq(width)[None] ** 2).sqrt()
    scale: Tensor = (height * width) ** 0.5 / frequency.clamp(min=1 / max(height, width))
    return scale


def _move(side: int, jitter: float, generator: torch.Generator) -> int:
    most = int(side * jitter)
    return int(torch.randint(-most, most + 1, (1,), generator=generator)) if most else 0
