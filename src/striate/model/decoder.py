"""Rows behind a network's stages that make maps of the image's size, or a map a stride, instead of a vector.

A light feature pyramid: 1x1 convolutions bring the stages to one width, each is added to the coarser ones made larger,
from coarse to fine; the last is smoothed by a 3x3 convolution, gives its outputs by a 1x1, and is brought to the
image's size bilinearly. Of the stages those from half the image's size on take part: finer maps cost most.

Reference: Lin et al., "Feature pyramid networks for object detection", arXiv:1612.03144, section 3.
"""

from dataclasses import replace

from striate.base.errors import SettingsError

from .blueprint import IMAGE, Blueprint, Row
from .build import assemble
from .encoder import as_map, body
from .network import Network

WIDTH = 64  # of the pyramid
PLAIN = {"kernel": 1, "norm": "none", "activation": "none"}
MAP = "map"  # the row that gives the outputs


def with_map(blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
    """Return the blueprint with a decoder for its head: its output is a map (N, outputs, H, W) of the image's size.

    Raises:
        SettingsError: the network has neither maps nor a vector that one could be made of.
    """
    plan, levels = _pyramid(blueprint, channels, size_hw)
    rows = (
        Row("conv", WIDTH, inputs=(levels[0],), name="map_smooth"),
        Row("conv", options=PLAIN, name="map_outputs"),
        Row("resize", inputs=("map_outputs", IMAGE), name=MAP),
    )
    return replace(plan, rows=(*plan.rows, *rows))


def with_pyramid(blueprint: Blueprint, *, channels: int, size_hw: tuple[int, ...]) -> Blueprint:
    """Return the blueprint with a decoder whose outputs are a list of maps (N, outputs, h, w), fine to coarse.

    Raises:
        SettingsError: the network has neither maps nor a vector that one could be made of.
    """
    plan, levels = _pyramid(blueprint, channels, size_hw)
    rows: list[Row] = []
    for number, level in enumerate(levels):
        rows.append(Row("conv", WIDTH, inputs=(level,), name=f"level{number}_smooth"))
        rows.append(Row("conv", inputs=(f"level{number}_smooth",), options=PLAIN, name=f"level{number}"))
    ends = tuple(f"level{number}" for number in range(len(levels)))
    return replace(plan, rows=(*plan.rows, *rows), ends=ends)


def _pyramid(blueprint: Blueprint, channels: int, size_hw: tuple[int, ...]) -> tuple[Blueprint, list[str]]:
    """The body with the pyramid's rows, and the names of its levels, fine to coarse."""
    network = assemble(blueprint, channels=channels, outputs=1, size_hw=size_hw)
    stages = _stages(network)
    rows = list(body(network, stages) if stages else _flat_body(network))
    first = len(rows)
    if not stages:
        rows.append(Row("unpool", WIDTH, inputs=(rows[-1].name,), name="unpooled"))
        return replace(blueprint, rows=tuple(rows), head="unpooled"), ["unpooled"]
    levels: list[str] = []
    for stage in reversed(stages):
        number = len(stages) - len(levels)
        rows, source = as_map(network, stage, rows)
        lateral = f"lateral{number}"
        rows.append(Row("conv", WIDTH, inputs=(source,), options=PLAIN, name=lateral))
        if levels:
            rows.append(Row("resize", inputs=(levels[0], lateral), name=f"larger{number}"))
            rows.append(Row("add", inputs=(lateral, f"larger{number}"), name=f"merged{number}"))
            lateral = f"merged{number}"
        levels.insert(0, lateral)
    return replace(blueprint, rows=tuple(rows), head=rows[first].name), levels


def _stages(network: Network) -> list[str]:
    """The stages that take part, fine to coarse."""
    half = max(network.size_hw) / 2
    coarse = [name for name in network.stages if max(_size_of(network, name)) <= half]
    return coarse or list(network.stages)


def _size_of(network: Network, name: str) -> tuple[int, ...]:
    return network.grids.get(name) or network.shapes[name][1:]


def _flat_body(network: Network) -> list[Row]:
    """The rows before the last one of a network that has vectors only."""
    rows: list[Row] = list(network.blueprint.rows[:-1])
    if not rows or len(network.shapes[rows[-1].name]) != 1:
        what = "no map and no vector of features that a map could be made of"
        raise SettingsError(what, where=network.blueprint.name, fix="choose another network")
    return rows
