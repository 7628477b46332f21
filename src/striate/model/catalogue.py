"""The table of networks: what each costs at its own input, and the accuracy its publisher states.

The numbers stand in `zoo/facts.py`, so that the table is there at once and without torch. Nobody types them: running
this module (`python -m striate.model.catalogue`) writes the file from walks and publishers' metadata, and tests hold
every line of it against a new walk. What Keras states stands beside it, in `zoo/keras.py`.
"""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.base.choose import choose
from striate.base.errors import ModelError

from .zoo import ZOO, blueprint
from .zoo.facts import FACTS
from .zoo.keras import STATED as KERAS

if TYPE_CHECKING:
    from .walk import Walk

HEADER = '''"""What each network costs and scores. Written by `python -m striate.model.catalogue`; do not edit.

Name, size in pixels, channels, outputs, parameters and MACs of prediction, parameters with the auxiliary outputs of
training, depth, MB; top-1, top-5 in percent as published, at how many pixels, and by whom.
"""

FACTS = """
'''


@dataclass(frozen=True)
class Stated:
    """An accuracy on ImageNet's validation images as someone states it.

    Args:
        top1, top5: percent.
        size_px: side of the images it was measured on.
        source: who states it, of which weights.
    """

    top1: float
    top5: float
    size_px: int
    source: str


@dataclass(frozen=True)
class Facts:
    """One line of the table.

    Args:
        size_px, channels, outputs: of the input and head it was made for, at which the rest is counted.
        parameters, macs: of what prediction runs; macs are multiply-adds for one image.
        parameters_trained: with the auxiliary outputs, which only training runs.
        depth: weighted layers on the longest way.
        size_mb: all parameters and buffers in float32, in units of 2**20 bytes.
        weights: who publishes weights; "" if nobody does.
        stated: published accuracies, the one of these weights first.
    """

    name: str
    year: int
    paper: str
    text: str
    size_px: int
    channels: int
    outputs: int
    parameters: int
    macs: int
    parameters_trained: int
    depth: int
    size_mb: float
    weights: str
    stated: tuple[Stated, ...]

    @property
    def input(self) -> str:
        """What it was made for, as text.

        Example:
            >>> [facts(name).input for name in ("resnet18", "resnet_1d", "unet_3d")]
            ['224x224x3', '128x1', '48x48x48x1']
        """
        size = blueprint(self.name).native_hw
        return "x".join(map(str, (*(size[1:] if size[0] == 1 else size), self.channels)))

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict."""
        return asdict(self)


def facts(name: str) -> Facts:
    """Return a network's line.

    Raises:
        SettingsError: the name is unknown; the nearest known one is named.

    Example:
        >>> facts("resnet18").parameters, facts("resnet18").depth
        (11689512, 18)
        >>> [(one.top1, one.top5) for one in facts("xception").stated]
        [(79.0, 94.5)]
    """
    entry = choose("network", name, ZOO)
    cells = _cells(name)
    size_px, channels, outputs, parameters, macs, trained, depth = map(int, cells[1:8])
    weights = "" if cells[12] == "-" else cells[12]
    stated = [Stated(float(cells[9]), float(cells[10]), int(cells[11]), weights)] if cells[9] != "-" else []
    stated += [Stated(*KERAS[name], size_px, "Keras Applications")] if name in KERAS else []
    return Facts(
        name=name,
        year=entry.year,
        paper=entry.paper,
        text=entry.text,
        size_px=size_px,
        channels=channels,
        outputs=outputs,
        parameters=parameters,
        macs=macs,
        parameters_trained=trained,
        depth=depth,
        size_mb=float(cells[8]),
        weights=weights,
        stated=tuple(stated),
    )


def _cells(name: str) -> list[str]:
    """A network's line of the file; that of a user's own network, which no file has, is counted now."""
    line = next((line for line in FACTS.splitlines() if line.startswith(f"{name} ")), "")
    return line.split(maxsplit=12) if line else [name, *map(str, counted(name)), *"----"]


def matching(pattern: str) -> list[str]:
    """Return the names that fit a pattern, or that have the text in their name, description or paper.

    Raises:
        SettingsError: none does.

    Example:
        >>> matching("vgg1?")
        ['vgg11', 'vgg13', 'vgg16', 'vgg19']
    """
    if pattern in ZOO:
        return [pattern]
    low = pattern.lower()
    found = [name for name in ZOO if fnmatchcase(name, low)]
    found = found or [name for name, entry in ZOO.items() if low in f"{name} {entry.text} {entry.paper}".lower()]
    if not found:
        choose("network", pattern, ZOO)
    return found


def counted(name: str, found: "Walk | None" = None) -> tuple[int | float, ...]:
    """Return a network's numbers from a walk, by default a new one, in the order of the file."""
    from .network import plan
    from .walk import walk

    design = blueprint(name)
    found = found or walk(design)
    runs = {row for row, _, _ in plan(design, design.ends or design.names[-1:])}
    layers = [layer for layer in found.layers if layer.name in runs]
    used = sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)
    return *design.native.values(), *used, found.parameters, found.depth, round(found.size_mb, 3)


def stated(name: str) -> tuple[float | None, float | None, int | None, str]:
    """Return top-1, top-5, at which size, and who publishes the weights, from their metadata; nothing is fetched."""
    from .published import find

    try:
        found = find(name)
    except ModelError:
        return None, None, None, ""
    publisher, _, key = found.source.partition(" ")
    size = found.preset.size if found.scores else None
    return found.scores.get("top1"), found.scores.get("top5"), size, f"{publisher} {key.rpartition('.')[2]}"


def write(path: Path) -> None:
    """Write the file of numbers."""
    from striate.base.files import write_text

    lines = [" ".join(str(cell or "-") for cell in (name, *counted(name), *stated(name))) for name in ZOO]
    write_text(path, HEADER + "\n".join(lines) + '\n"""\n')


if __name__ == "__main__":
    write(Path(__file__).parent / "zoo" / "facts.py")
