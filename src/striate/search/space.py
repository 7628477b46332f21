"""The search space: genome -> blueprint, small random changes, and the width that a cost limit allows. No training.

A genome is a row of stages, each of which halves the map, then global pooling and the outputs. The bipyramid is the
genome of plain stages one block deep.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from math import ceil, log2, sqrt
from operator import mul
from typing import Any, Self

from numpy.random import Generator

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.size import SizeHW
from striate.model.blueprint import Blueprint, Row
from striate.model.walk import walk

UNIT = 4  # channels of a stage are a multiple of it, so that a bottleneck's quarter is whole
MIN_WIDTH = 8
MAX_DEPTH = 3
MAX_WIDTH = 4096
EXPAND = 4  # of an inverted block
WIDENINGS = (1.0, 1.5, 2.0)
NORMS = ("none", "batch", "group")
POOLS = ("max", "avg", "stride")


@dataclass(frozen=True)
class Kind:
    """A kind of stage: kernels it can have, whether it can have a skip, and whether that is inside its block."""

    kernels: tuple[int, ...]
    skips: tuple[bool, ...]
    has_own_skip: bool = False
    is_first: bool = False  # whether it can read pixels: one to three channels give a depthwise kernel little


KINDS: Mapping[str, Kind] = {
    "conv": Kind((3, 5), (False, True), is_first=True),
    "basic": Kind((3,), (True,), has_own_skip=True, is_first=True),
    "bottleneck": Kind((3,), (False, True), has_own_skip=True),
    "separable": Kind((3, 5), (False, True)),
    "inverted": Kind((3, 5), (False, True), has_own_skip=True),
}


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind at one size of the map.

    Args:
        kind: a name in `KINDS`.
        depth: blocks, 1 to 3.
        widen: channels over those of the stage before; 1 in the first.
        kernel: side of the window.
        skip: whether each block after the first is added to its input; basic, bottleneck and inverted add the first
            one's too where the shape stays.
        pool: what halves the map: "max" or "avg" at the end, or a "stride" of the first block.

    Raises:
        SettingsError: a value is not in the space.
    """

    kind: str = "conv"
    depth: int = 1
    widen: float = 2.0
    kernel: int = 3
    skip: bool = False
    pool: str = "max"

    def __post_init__(self) -> None:
        kind = choose("kind of stage", self.kind, KINDS)
        table = {"depth": range(1, MAX_DEPTH + 1), "widen": WIDENINGS, "kernel": kind.kernels, "pool": POOLS}
        for name, allowed in {**table, "skip": kind.skips}.items():
            if getattr(self, name) not in allowed:
                values = ", ".join(map(str, allowed))
                raise SettingsError(f"{name} {getattr(self, name)} is not in the space", fix=f"choose {values}")

    def __str__(self) -> str:
        skip = "+skip" if self.skip else ""
        return f"{self.kind}{self.kernel}x{self.depth}{skip} *{self.widen:g} {self.pool}"


@dataclass(frozen=True)
class Genome:
    """A network of the space.

    Args:
        width: channels of the first stage; 8 or more.
        norm: "none", "batch" or "group".

    Example:
        >>> Genome(32, "batch", (Stage(widen=1), Stage())).widths
        (32, 64)
    """

    width: int
    norm: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not MIN_WIDTH <= self.width <= MAX_WIDTH or not self.stages:
            raise SettingsError(f"width {self.width} is not in the space", fix=f"give {MIN_WIDTH} to {MAX_WIDTH}")
        choose("normalisation", self.norm, dict.fromkeys(NORMS))
        if not KINDS[self.stages[0].kind].is_first:
            raise SettingsError(f"{self.stages[0].kind} cannot read pixels", fix="start with conv or basic")
        if self.stages[0].widen != 1:  # equal networks have equal genomes
            raise SettingsError("the first stage is wider than the width", fix="give widen 1 and another width")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage, rounded to multiples of 4."""
        factors = accumulate((stage.widen for stage in self.stages), mul)
        return tuple(UNIT * max(2, round(self.width * factor / UNIT)) for factor in factors)

    def __str__(self) -> str:
        return f"{self.width} {self.norm}: " + " | ".join(map(str, self.stages))

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Return the genome that `to_json` described."""
        return cls(table["width"], table["norm"], tuple(Stage(**stage) for stage in table["stages"]))


@dataclass(frozen=True)
class Frame:
    """What all candidates share: height and width of the images, their channels, the outputs, the recipe's part."""

    size_hw: SizeHW
    channels: int
    outputs: int
    activation: str = "relu"
    dropout: float = 0.0

    @property
    def size(self) -> int:
        """The shorter side, which bounds how often a map can be halved."""
        return min(self.size_hw)

    @property
    def levels(self) -> int:
        """The most stages: down to a map of 2x2."""
        return max(1, ceil(log2(self.size)) - 1)


@dataclass(frozen=True)
class Limit:
    """The most a candidate may cost: "macs" or "parameters" of one network."""

    kind: str
    value: int


def describe() -> dict[str, Any]:
    """Return the space in plain values, as search.json holds it."""
    kinds = {name: {"kernel": kind.kernels, "skip": kind.skips} for name, kind in KINDS.items()}
    stage = {"kind": kinds, "depth": [1, MAX_DEPTH], "widen": WIDENINGS, "pool": POOLS}
    return {"stage": stage, "norm": NORMS, "first_kind": [name for name, kind in KINDS.items() if kind.is_first]}


def start(frame: Frame, width: int = 32, norm: str = "none") -> Genome:
    """Return the bipyramid's genome for images of this size."""
    stages = tuple(Stage(widen=2.0 if 0 < level <= 4 else 1.0) for level in range(frame.levels))
    return Genome(width, norm, stages)


def blueprint(genome: Genome, frame: Frame, name: str = "searched") -> Blueprint:
    """Return the genome's network as rows.

    Example:
        >>> frame = Frame((16, 16), 3, 10)
        >>> [row.name for row in blueprint(start(frame), frame).rows]
        ['stage1', 'stage1_pool', 'stage2', 'stage2_pool', 'stage3', 'stage3_pool', 'pool', 'outputs']
    """
    rows: list[Row] = []
    for number, (stage, width) in enumerate(zip(genome.stages, genome.widths, strict=True), 1):
        rows += _stage_rows(stage, width, genome.norm, frame.activation, f"stage{number}")
    rows.append(Row("global_pool", name="pool"))
    if frame.dropout:
        rows.append(Row("dropout", options={"rate": frame.dropout}, name="dropout"))
    rows.append(Row("linear", options={"activation": "none"}, name="outputs"))
    paper = "found by regularised evolution, Real et al., arXiv:1802.01548"
    return Blueprint(name, tuple(rows), paper=paper, size=frame.size, defaults={"activation": frame.activation})


def _stage_rows(stage: Stage, width: int, norm: str, activation: str, name: str) -> list[Row]:
    """The rows of a stage; a plain one normalises after its pooling, like the bipyramid."""
    options: dict[str, Any] = {"norm": norm}
    options |= {"kernel": stage.kernel} if len(KINDS[stage.kind].kernels) > 1 else {}
    options |= {"expand": EXPAND} if stage.kind == "inverted" else {}
    stride = 2 if stage.pool == "stride" else 1
    pool = [] if stride == 2 else [Row(f"{stage.pool}_pool", stride=2, options={"ceil": True}, name=f"{name}_pool")]
    if KINDS[stage.kind].has_own_skip:
        return [Row(stage.kind, width, stage.depth, stride, options=options | {"skip": stage.skip}, name=name), *pool]
    if stage.skip and stage.depth > 1:
        rows = [Row(stage.kind, width, stride=stride, options=options, name=name)]
        for turn in range(2, stage.depth + 1):
            around, inside = rows[-1].name, f"{name}_{turn}"
            rows.append(Row(stage.kind, width, options=options | {"activation": "none"}, name=inside))
            sum_options = {"activation": activation}
            rows.append(Row("add", inputs=(around, inside), options=sum_options, name=f"{name}_sum{turn}"))
        return [*rows, *pool]
    if stage.kind == "conv" and pool and norm != "none":
        before = [Row("conv", width, stage.depth - 1, options=options, name=f"{name}_first")] if stage.depth > 1 else []
        bare = {"kernel": stage.kernel, "activation": "none", "bias": False}
        after = Row("normalise", options={"norm": norm}, name=f"{name}_norm")
        return [*before, Row("conv", width, options=bare, name=name), *pool, after]
    return [Row(stage.kind, width, stage.depth, stride, options=options, name=name), *pool]


def cost(genome: Genome, frame: Frame) -> dict[str, int]:
    """Return the "macs" and "parameters" of the genome's network, by `walk`."""
    options: dict[str, Any] = {"channels": frame.channels, "outputs": frame.outputs}
    found = walk(blueprint(genome, frame), size_hw=frame.size_hw, **options)
    return {"macs": found.macs, "parameters": found.parameters}


def fitted(genome: Genome, frame: Frame, limit: Limit) -> Genome | None:
    """Return the genome at the largest width that keeps within the limit; None where the narrowest is beyond it."""
    low, high, width = MIN_WIDTH - 1, MAX_WIDTH + 1, genome.width
    while high - low > 1:
        spent = cost(replace(genome, width=width), frame)[limit.kind]
        low, high = (width, high) if spent <= limit.value else (low, width)
        guess = int(width * sqrt(limit.value / spent))  # the cost grows with the square of the width, or a little less
        width = min(max(guess, low + 1), high - 1)
    return replace(genome, width=low) if low >= MIN_WIDTH else None


def mutated(genome: Genome, frame: Frame, rng: Generator) -> tuple[str, Genome]:
    """Return one random change: its name in `MUTATIONS`, and the genome with it, which differs from the one given."""
    while True:
        name = str(rng.choice(list(MUTATIONS)))
        child = MUTATIONS[name](genome, frame, rng)
        if child != genome:
            return name, child


def _change_width(genome: Genome, frame: Frame, rng: Generator) -> Genome:
    width = round(genome.width * float(rng.choice([0.5, 0.7, 1.4, 2.0])))
    return replace(genome, width=min(max(width, MIN_WIDTH), MAX_WIDTH))


def _change_norm(genome: Genome, frame: Frame, rng: Generator) -> Genome:
    return replace(genome, norm=str(rng.choice(NORMS)))


def _change_stages(genome: Genome, frame: Frame, rng: Generator) -> Genome:
    """Leave a stage out, or put the same one after it, of the same width."""
    place, stages = int(rng.integers(len(genome.stages))), genome.stages
    if rng.random() < 0.5:
        more = (*stages[: place + 1], replace(stages[place], widen=1.0), *stages[place + 1 :])
        return replace(genome, stages=more) if len(more) <= frame.levels else genome
    fewer = (*stages[:place], *stages[place + 1 :])
    if not fewer or not KINDS[fewer[0].kind].is_first:
        return genome
    return replace(genome, stages=(replace(fewer[0], widen=1.0), *fewer[1:]))


def _change_stage(field: str) -> Callable[[Genome, Frame, Generator], Genome]:
    def change(genome: Genome, frame: Frame, rng: Generator) -> Genome:
        place = int(rng.integers(len(genome.stages)))
        stage = genome.stages[place]
        kind = KINDS[stage.kind]
        choices: dict[str, list[Any]] = {
            "kind": [name for name, one in KINDS.items() if place or one.is_first],
            "depth": [max(1, stage.depth - 1), min(MAX_DEPTH, stage.depth + 1)],
            "widen": list(WIDENINGS) if place else [1.0],
            "kernel": list(kind.kernels),
            "skip": list(kind.skips),
            "pool": list(POOLS),
        }
        value = choices[field][int(rng.integers(len(choices[field])))]
        changed = _with(stage, field, value)
        return replace(genome, stages=(*genome.stages[:place], changed, *genome.stages[place + 1 :]))

    return change


def _with(stage: Stage, field: str, value: Any) -> Stage:
    """The stage with a new value; a new kind that cannot have its kernel or skip takes its own."""
    values = {**asdict(stage), field: value}
    kind = KINDS[values["kind"]]
    values["kernel"] = values["kernel"] if values["kernel"] in kind.kernels else kind.kernels[0]
    values["skip"] = values["skip"] if values["skip"] in kind.skips else kind.skips[-1]
    if values["depth"] == 1 and not kind.has_own_skip:
        values["skip"] = False  # there is nothing to go around: equal networks have equal genomes
    return Stage(**values)


MUTATIONS: Mapping[str, Callable[[Genome, Frame, Generator], Genome]] = {
    "width": _change_width,
    "norm": _change_norm,
    "stages": _change_stages,
    **{one.name: _change_stage(one.name) for one in fields(Stage)},
}


def difference(parent: Genome, child: Genome) -> str:
    """Return what is different, in words.

    Example:
        >>> before = Genome(32, "batch", (Stage(widen=1), Stage()))
        >>> difference(before, replace(before, norm="none", stages=(Stage(widen=1), Stage(pool="avg"))))
        'norm batch -> none, stage 2 pool max -> avg'
    """
    parts = [
        f"{key} {a} -> {b}" for key in ("norm", "width") if (a := getattr(parent, key)) != (b := getattr(child, key))
    ]
    if len(parent.stages) != len(child.stages):
        parts.append(f"stages {len(parent.stages)} -> {len(child.stages)}")
    else:
        for number, (a, b) in enumerate(zip(parent.stages, child.stages, strict=True), 1):
            before, after = asdict(a), asdict(b)
            parts += [
                f"stage {number} {key} {before[key]} -> {after[key]}" for key in before if before[key] != after[key]
            ]
    return ", ".join(parts)


def parse_count(text: str) -> int:
    """Return `20M` as 20,000,000; k, M and G are thousand, million and milliard.

    Raises:
        SettingsError: this is no such number.

    Example:
        >>> parse_count("20M"), parse_count("1.5k"), parse_count("800")
        (20000000, 1500, 800)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?)", text.strip())
    count = round(float(found[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[found[2].lower()]) if found else 0
    if count < 1:
        raise SettingsError(f"{text!r} is no count", fix="write 500k, 20M or 1.8G")
    return count


def parse_duration(text: str) -> float:
    """Return `1h30m` in seconds.

    Raises:
        SettingsError: this is no duration.

    Example:
        >>> parse_duration("30m"), parse_duration("1h30m"), parse_duration("90s")
        (1800.0, 5400.0, 90.0)
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    time_s = (
        sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    )
    if not time_s:
        raise SettingsError(f"{text!r} is no duration", fix="write 30m, 1h30m or 90s")
    return time_s
