"""The table of networks: what each costs at its own input, and the accuracy its publisher states.

The numbers stand in `zoo/facts.py`, so that the table is there at once and without torch. Nobody types them: running
this module (`python -m striate.model.catalogue`) writes the file from walks and publishers' metadata, and tests hold
every line of it against a new walk.
"""

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from striate.base.choose import choose
from striate.base.errors import ModelError

from .blueprint import Blueprint
from .zoo import ZOO, blueprint
from .zoo.facts import FACTS

HEADER = '''"""What each network costs and scores. Written by `python -m striate.model.catalogue`; do not edit.

Name, size in pixels, channels, outputs, parameters, MACs, depth, MB; top-1, top-5 in percent as published, and by whom.
"""

FACTS = """
'''
GREY = {"lenet5", "lenet5_dense", "neocognitron"}  # made for grey pictures
SMALL_PX = 64  # up to here networks were made for ten classes, above for ImageNet's thousand


@dataclass(frozen=True)
class Facts:
    """One line of the table.

    Args:
        size_px, channels, outputs: of the input and head it was made for, at which the rest is counted.
        macs: multiply-adds for one image.
        depth: weighted layers on the longest way.
        size_mb: parameters and buffers in float32, in units of 2**20 bytes.
        top1, top5: percent on ImageNet's validation images as `source` states them; None if it states none.
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
    depth: int
    size_mb: float
    top1: float | None
    top5: float | None
    source: str

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
    """
    entry = choose("network", name, ZOO)
    cells = next(line.split(maxsplit=10) for line in FACTS.splitlines() if line.startswith(f"{name} "))
    size_px, channels, outputs, parameters, macs, depth = map(int, cells[1:7])
    top1, top5 = (None if cell == "-" else float(cell) for cell in cells[8:10])
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
        depth=depth,
        size_mb=float(cells[7]),
        top1=top1,
        top5=top5,
        source="" if cells[10] == "-" else cells[10],
    )


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


def native(plan: Blueprint) -> dict[str, int]:
    """Return the input and head a network was made for: "size", "channels" and "outputs".

    Example:
        >>> native(blueprint("lenet5"))
        {'size': 32, 'channels': 1, 'outputs': 10}
    """
    outputs = 10 if plan.size <= SMALL_PX else 1000
    return {"size": plan.size, "channels": 1 if plan.name in GREY else 3, "outputs": outputs}


def counted(name: str) -> tuple[int, int, int, int, int, int, float]:
    """Return a network's numbers from a walk, in the order of the file."""
    from .walk import walk

    plan = blueprint(name)
    at = native(plan)
    found = walk(plan, size_hw=(at["size"], at["size"]), channels=at["channels"], outputs=at["outputs"])
    return *at.values(), found.parameters, found.macs, found.depth, round(found.size_mb, 3)  # type: ignore[return-value]


def stated(name: str) -> tuple[float | None, float | None, str]:
    """Return top-1, top-5 and who states them, from the publisher's metadata; nothing is fetched."""
    from .published import find

    try:
        found = find(name)
    except ModelError:
        return None, None, ""
    publisher, _, key = found.source.partition(" ")
    return found.scores.get("top1"), found.scores.get("top5"), f"{publisher} {key.rpartition('.')[2]}"


def write(path: Path) -> None:
    """Write the file of numbers."""
    from striate.base.files import write_text

    lines = [" ".join(str(cell or "-") for cell in (name, *counted(name), *stated(name))) for name in ZOO]
    write_text(path, HEADER + "\n".join(lines) + '\n"""\n')


if __name__ == "__main__":
    write(Path(__file__).parent / "zoo" / "facts.py")
