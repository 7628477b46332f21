"""What a network starts from: fresh weights, or those that others or an earlier run have trained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from striate.base.choose import choose
from striate.base.errors import ModelError, SettingsError
from striate.base.rundir import RunDir
from striate.base.size import SizeHW
from striate.base.text import shown
from striate.data.geometry import Geometry
from striate.engine.regularise import BODY
from striate.model import zoo
from striate.model.ablate import split_name
from striate.model.blueprint import Blueprint
from striate.model.network import Network
from striate.model.published import COCO, PRESETS, SOURCES, Preset, fetch, find
from striate.model.weights import Loaded, load
from striate.task import Task
from striate.task.head import nouns_of

from .recipe import Recipe

MAX_PX = 160  # networks made for 224 px keep most of their accuracy there, at half the cost

FIX_FRESH, WITH_WEIGHTS = "use a recipe for fresh networks, such as regularized", "--weights imagenet, a file or a run"


@dataclass(frozen=True)
class Start:
    """Weights to start from, and how they want their images.

    Args:
        source: "imagenet", a weights file or a run folder.
        preset: mean, std and size of the images, and options of the network.
        blueprint: of the run that is the source.
        run_size_hw: height and width of that run's input.
    """

    source: str
    preset: Preset
    blueprint: Blueprint | None = None
    run_size_hw: SizeHW | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of the network that the weights need."""
        return self.preset.options

    @property
    def size_hw(self) -> SizeHW:
        """Height and width of the images when none are asked for."""
        if self.run_size_hw is not None:
            return self.run_size_hw
        side = min(self.preset.size, MAX_PX)
        return side, side

    def normal(self, channels: int) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of each channel, in 0..1."""
        mean, std = self.preset.normal(channels)
        return list(mean), list(std)

    def fill(self, network: Network, task: Task, new_head: str = "") -> Loaded:
        """Load the weights into a network of this kind, and say what became of the last layer.

        It stays fresh if it has other outputs: another number of them or, where a run says what they are, others.

        Args:
            new_head: why it stays fresh in any case.

        Raises:
            ModelError: the weights cannot be had, or are another network's.
        """
        run, file = self._run(), Path(self.source).name
        reason = new_head or (_other_outputs(run.info()["task"], task) if run else "")
        source = run.checked(run.weights.name if self.blueprint else file) if run else self.source
        loaded = load(network, source, reset_head=True, new_head=reason)
        if loaded.missing:
            return loaded
        same = f"the same {nouns_of(task.kind)}" if run else "as many outputs as here, for what the file does not say"
        return replace(loaded, head=f"the head is kept: {same}")

    def _run(self) -> RunDir | None:
        """The run that the weights are of, if it is here."""
        folder = Path(self.source) if self.blueprint is not None else Path(self.source).parent
        return RunDir(folder) if (folder / "run.json").is_file() else None


def _other_outputs(before: Mapping[str, Any], task: Task) -> str:
    """Why a head for the task of a run is not one for this task; empty where it is."""
    names = [str(name) for name in before["names"]]
    if before["kind"] == task.kind and names == list(task.names):
        return ""
    theirs, ours = shown(", ".join(names), 60), shown(", ".join(task.names), 60)
    return f"the head is new: the run's {nouns_of(before['kind'])} are {theirs}, those here {ours}"


def start_of(recipe: Recipe, model: object) -> Start | None:
    """Return what the recipe's network starts from, or None for fresh weights.

    Raises:
        SettingsError: a preset beside weights that have their own, or fresh weights under a recipe for trained ones.
        ModelError: nothing is published for this network, or the file or run is not there.
    """
    settings = recipe.transfer
    name = trained_name(recipe, model)
    if settings.weights is None:
        is_for_trained = settings.head != "fresh" or recipe.train.frozen_at_first == BODY
        if is_for_trained and isinstance(model, str | Blueprint):  # a module of the user's own may be trained
            what = f"this recipe needs a trained network, and the weights of {name} would be random"
            raise SettingsError(what, where="transfer.weights", fix=FIX_FRESH, option=WITH_WEIGHTS)
        return None
    source, path = settings.weights, Path(settings.weights)
    if settings.preset is not None and (source in SOURCES or path.is_dir()):
        what = f"weights from {source} know how they want their images"
        raise SettingsError(what, where="transfer.preset", fix="leave it out")
    if source in SOURCES:
        return Start(source, find(name, source).preset)
    if path.is_dir():
        return _of_run(RunDir(path))
    if not path.is_file():
        raise ModelError(
            "no such weights file or run folder", where=source, fix=f"give {', '.join(SOURCES)}, a file or a run"
        )
    if settings.preset is not None:
        return Start(source, choose("preset", settings.preset, PRESETS))
    return Start(source, replace(PRESETS["torchvision"], size=zoo.blueprint(name).size if name in zoo.ZOO else 224))


def require_start(recipe: Recipe, model: object) -> None:
    """Have the weights that a recipe starts from at hand, before any work is done; published ones are downloaded.

    Raises:
        ModelError: they cannot be had.
    """
    start = start_of(recipe, model)
    if start is not None and start.source in SOURCES:
        fetch(find(trained_name(recipe, model), start.source))


def trained_name(recipe: Recipe, model: object) -> str:
    """Return the network whose weights are looked for: the encoder where there is one, else the network itself."""
    is_whole = recipe.transfer.weights == COCO
    if isinstance(model, Blueprint):
        return model.name if is_whole else str(model.encoder.get("name", model.name))
    name = split_name(str(model))[0]
    if is_whole or name not in zoo.ZOO:
        return str(model)
    encoder = recipe.model.encoder if "encoder" in zoo.options(name) else None
    return encoder or str(zoo.blueprint(name).encoder.get("name", model))


def _of_run(run: RunDir) -> Start:
    info = run.info()
    data, plan = info["input"], info["model"]["blueprint"]
    if not run.weights.is_file():
        raise ModelError(
            "the run has no weights yet", where=run.path, fix=f"finish it with `striate resume {run.path}`"
        )
    if plan is None:
        raise ModelError("the run's network was a module of the user's own", where=run.path, fix="load it from Python")
    size_hw = Geometry.from_json(data).size_hw
    preset = Preset(tuple(data["mean"]), tuple(data["std"]), max(size_hw), max(size_hw))
    return Start(str(run.path), preset, Blueprint.from_json(plan), size_hw)
