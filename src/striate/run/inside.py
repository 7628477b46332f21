"""What a finished run shows of its network from Python: filters, maps, what units see and want, attacks, embeddings.

Each method returns arrays, in an object with a `figure()` for notebooks. Nothing is loaded before it is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.base.choose import choose
from striate.base.errors import ModelError, SettingsError
from striate.base.rundir import RunDir

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from striate.data.given import Given
    from striate.inside.adversarial import Attack, Flips, PixelSpace
    from striate.inside.kernels import Kernels
    from striate.inside.maximise import Preferred
    from striate.inside.receptive import ReceptiveField
    from striate.predict import Predictor
    from striate.task.answer import Answer

    from .embedding import Embedding

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """What rows gave for one image: row -> (C, H, W), or (C,) for a vector."""

    maps: dict[str, Floats]

    def __getitem__(self, row: str) -> Floats:
        """Return the maps of a row."""
        return self.maps[row]

    def figure(self, row: str) -> "Figure":
        """Return a matplotlib figure of a row's maps, a tile a channel, blue below 0 and red above; of volumes the
        middle slice."""
        from striate.inside.figures import tiles

        maps = choose("row", row, self.maps)
        maps = maps[:, maps.shape[1] // 2] if maps.ndim == 4 else maps
        images = list(maps) if maps.ndim == 3 else [maps[None]]
        return tiles(images, [str(number) for number in range(len(images))], f"maps of {row}")


@dataclass(frozen=True, eq=False)
class AdversarialImage:
    """An image before and after an attack (H, W, C) in 0..1, or a volume (D, H, W, C), and the answers to both."""

    attack: "Attack"
    before: Floats
    after: Floats
    answer: "Answer"
    answer_after: "Answer"

    @property
    def is_flipped(self) -> bool:
        """Whether another class or other tags are answered; numbers and maps do not flip."""
        return self.answer.names != self.answer_after.names

    def figure(self) -> "Figure":
        """Return a matplotlib figure: the image, what was changed (made as large as it can be), what came of it."""
        from striate.inside.figures import tiles

        before, after = (one[len(one) // 2] if one.ndim == 4 else one for one in (self.before, self.after))
        change = after - before
        largest = float(np.abs(change).max()) or 1.0
        titles = [_title(self.answer), f"change x {0.5 / largest:.0f}", _title(self.answer_after)]
        return tiles([before, 0.5 + 0.5 * change / largest, after], titles, f"eps {self.attack.eps:.4f}", 3)


def _title(answer: "Answer") -> str:
    if answer.map is not None:
        shares = ((answer.map == index).mean() for index in range(len(answer.names)))
        return ", ".join(f"{name} {share:.0%}" for name, share in zip(answer.names, shares, strict=True) if share)
    if answer.values:
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(answer.names, answer.values, strict=True))
    probabilities = answer.probabilities or {}
    return ", ".join(f"{name} {probabilities.get(name, 0):.0%}" for name in answer.names) or "nothing"


class Inside:
    """What a run shows of its network. `network` is the module, where the run was not made from a blueprint."""

    folder: RunDir

    def filters(
        self, row: str | None = None, *, initial: bool = False, network: "nn.Module | None" = None
    ) -> "list[Kernels]":
        """Return the kernels of each convolution of a row.

        Args:
            row: by default the first convolution's.
            initial: those that training started from, see `initial_network`.
        """
        from striate.inside.kernels import kernels_of

        return kernels_of(initial_network(self.folder) if initial else self._predictor(network).network, row)

    def maps(self, image: "Given", rows: Sequence[str] = (), *, network: "nn.Module | None" = None) -> FeatureMaps:
        """Return what rows give for an image; by default all rows."""
        from striate.inside.statistics import feature_maps

        predictor = self._predictor(network)
        found = feature_maps(predictor.network, _inputs(predictor, image), rows)
        return FeatureMaps({name: np.array(maps[0].float().cpu().numpy()) for name, maps in found.items()})

    def receptive_field(
        self,
        image: "Given",
        row: str,
        unit: tuple[int, int] | None = None,
        channel: int | None = None,
        *,
        network: "nn.Module | None" = None,
    ) -> "ReceptiveField":
        """Return what a unit of a row's map sees of an image; by default the one in the middle, all its channels."""
        from striate.inside.receptive import receptive_field

        predictor = self._predictor(network)
        inputs = _inputs(predictor, image)
        found = receptive_field(predictor.network, inputs, row, unit, channel)
        return replace(found, seen=_image(_space(predictor).pixels(inputs)))

    def adversarial(
        self,
        image: "Given",
        eps: float = 4 / 255,
        *,
        method: str = "fgsm",
        target: str | None = None,
        steps: int = 10,
        seed: int = 0,
        network: "nn.Module | None" = None,
    ) -> AdversarialImage:
        """Return an image changed by at most `eps` (of 0..1) so that the answer to it changes.

        Args:
            method: "fgsm" or "pgd" with its `steps` and the `seed` of its random start.
            target: the class to be answered, by default anything but what is answered now; of numbers and maps what
                is made more, by default what they say is made less, see `inside.adversarial.against`.

        Raises:
            SettingsError: the task has no such target.
        """
        import torch

        from striate.inside.adversarial import Attack, against, attacked
        from striate.inside.tap import borrowed

        predictor = self._predictor(network)
        task, attack = predictor.task, Attack(eps, method, steps, seed=seed)
        inputs, space = _inputs(predictor, image), _space(predictor)
        with borrowed(predictor.network) as probe:
            losses = against(probe, task, inputs, target)
        before = space.pixels(inputs)
        after = attacked(predictor.network, before, losses, space, attack)
        with torch.no_grad():
            outputs = predictor.network(space.normalised(torch.cat([before, after])))
            answers = task.answers(task.decode(outputs / predictor.temperature))
        return AdversarialImage(attack, _image(before), _image(after), *answers)

    def flips(self, image: "Given", eps: Sequence[float] = (), *, network: "nn.Module | None" = None) -> "Flips":
        """Return the answers to an image moved along FGSM's direction by each eps; `smallest` is the first that flips.

        Args:
            eps: rising from 0; by default 0 to 16 levels of 255.
        """
        from striate.inside.adversarial import flips, own_answer, raising, require_answers

        predictor = self._predictor(network)
        require_answers(predictor.task)
        inputs, space = _inputs(predictor, image), _space(predictor)
        losses = raising(predictor.task, own_answer(predictor.network, predictor.task, inputs))
        return flips(predictor.network, space.pixels(inputs), losses, predictor.task, space, eps)

    def preferred(
        self,
        what: str | int,
        row: str = "",
        place: tuple[int, int] | None = None,
        *,
        network: "nn.Module | None" = None,
        **settings: Any,
    ) -> "Preferred":
        """Return the image that raises a class, or a channel of a row, the most; see `striate.inside.maximise`.

        Args:
            what: a class by name, or a channel by number.
            row: of the channel; "" for the outputs.
            settings: `steps`, `rate`, `jitter`, `weight_decay`, `seed`.
        """
        from striate.inside.maximise import Unit, maximise

        predictor = self._predictor(network)
        names = {name: index for index, name in enumerate(predictor.task.names)}
        channel = what if isinstance(what, int) else choose("class", what, names)
        size = predictor.geometry.size_hw
        if len(size) != 2:
            what = "volumes are not made, only images of two axes"
            raise SettingsError(what, where=self.folder.path, fix="choose a run of images")
        return maximise(predictor.network, Unit(row, channel, place), _space(predictor), size, **settings)

    def embedding(
        self, method: str = "pca", *, split: str | None = None, data: str | None = None, **settings: Any
    ) -> "Embedding":
        """Return a map of the images of a split, by default test, as the network sees them; see `embed`."""
        from .embedding import embed
        from .evaluate import open_split

        return embed(open_split(self.folder.path, data=data, split=split), method=method, **settings)

    def activations(self, *, split: str | None = None, data: str | None = None, images: int = 500) -> dict[str, Any]:
        """Return what each row answers over a split, and how the loss pulls on it; see `run.statistics.measure`."""
        from .evaluate import open_split
        from .statistics import measure

        return measure(open_split(self.folder.path, data=data, split=split), images)

    def _predictor(self, network: "nn.Module | None") -> "Predictor":
        from striate.predict import Predictor

        return Predictor.load(self.folder, network)


def initial_network(run: RunDir) -> "nn.Module":
    """Return the network of a run as training found it: its rows, initialised from its seed again.

    Raises:
        ModelError: it started from weights, from its training images, or is a module of the user's own.
    """
    from striate.base.seeds import seed_for
    from striate.data.geometry import Geometry
    from striate.model.build import build
    from striate.nn.blocks.whiten import Whiten
    from striate.task import from_json

    from .network import stored_blueprint

    info = run.info()
    start, geometry, task = info.get("start"), Geometry.from_json(info["input"]), from_json(info["task"])
    fix = "compare with another run instead"
    if start:
        raise ModelError(
            f"the run started from weights ({start['source']}), not from its seed", where=run.path, fix=fix
        )
    shape: dict[str, Any] = {"channels": geometry.channels, "size_hw": geometry.size_hw}
    seed = seed_for(info["seed"], "init")
    network = build(stored_blueprint(info, run), outputs=task.head.outputs, seed=seed, **shape)
    if any(isinstance(one, Whiten) for one in network.modules()):
        raise ModelError("its first row was made from the training images", where=run.path, fix=fix)
    return network


def _inputs(predictor: "Predictor", image: "Given") -> "Tensor":
    return predictor.inputs([predictor.fitted(image)])


def _space(predictor: "Predictor") -> "PixelSpace":
    from striate.inside.adversarial import PixelSpace

    return PixelSpace(predictor.mean, predictor.std)


def _image(pixels: "Tensor") -> Floats:
    """(H, W, C) of the first image."""
    return np.array(pixels[0].detach().movedim(0, -1).float().cpu().numpy())
