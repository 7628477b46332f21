"""A network's body as the encoder of another one: its rows before the head, and the map it ends in at each stride."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log2
from typing import Any

from striate.base.errors import SettingsError
from striate.nn.blocks import BLOCKS

from .blueprint import Blueprint, Row
from .build import parameters
from .dilation import dilated
from .level import Level
from .network import Network, plan
from .walk import at_native


def encoder_of(blueprint: Blueprint, coarsest: int = 0) -> tuple[list[Row], list[Level]]:
    """Return the rows of a network's body under their own names, and its levels, fine to coarse.

    Args:
        coarsest: the stride from which on dilation takes the place of strides; 0 = the body as it is.

    The rows have the blueprint's defaults written out, so that they mean the same in another table. Tokens of a
    transformer become a map by a row `grid`.

    Raises:
        SettingsError: the network gives no vector, or has no maps.

    Example:
        >>> from striate.model.zoo import blueprint
        >>> rows, levels = encoder_of(blueprint("resnet18"))
        >>> [(level.name, level.stride, level.channels) for level in levels][:2]
        [('stem', 2, 64), ('stage1', 4, 64)]
    """
    network = at_native(replace(blueprint, rows=dilated(blueprint.rows, coarsest)) if coarsest else blueprint)
    if len(network.shapes[blueprint.names[-1]]) != 1 or not network.stages:
        what = f"{blueprint.name} has no maps with a head behind them"
        raise SettingsError(what, where="encoder", fix="choose a network that classifies by convolution or attention")
    rows = [written_out(row, blueprint.defaults) for row in body(network, network.stages)]
    levels = []
    for stage in network.stages:
        rows, name = as_map(network, stage, rows)
        side, size = max(network.grids.get(stage) or network.shapes[stage][1:]), max(network.size_hw)
        levels.append(Level(name, 2 ** round(log2(size / side)), network.shapes[stage][0], side == size))
    return rows, levels


def body(network: Network, stages: Sequence[str]) -> list[Row]:
    """Return the rows that the stages need, each with the names of what it takes."""
    sources = network.blueprint.sources
    needed = {name for name, _, _ in plan(network.blueprint, tuple(stages))}
    return [replace(row, inputs=sources[row.name]) for row in network.blueprint.rows if row.name in needed]


def as_map(network: Network, stage: str, rows: list[Row]) -> tuple[list[Row], str]:
    """Return the rows and the name under which a stage is a map: tokens need a row more."""
    if len(network.shapes[stage]) != 2:
        return rows, stage
    name, cut_from = f"map_of_{stage}", stage
    while len(network.shapes[cut_from]) != 3:
        cut_from = network.blueprint.sources[cut_from][0]
    return [*rows, Row("grid", inputs=(stage, cut_from), name=name)], name


def written_out(row: Row, defaults: Mapping[str, Any]) -> Row:
    """Return the row with those defaults among its options that its block takes.

    Example:
        >>> written_out(Row("conv", 8), {"norm": "batch", "rate": 0.1})
        Row('conv', 8, options={'norm': 'batch'})
    """
    takes = parameters(BLOCKS[row.block])
    given = {key: value for key, value in defaults.items() if key in takes}
    return replace(row, options={**given, **row.options})
