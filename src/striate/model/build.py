"""Blueprint -> network. The builder never learns block names; a block's signature says what it takes."""

import inspect
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Generator, nn

from striate.base.choose import choose, nearest
from striate.base.errors import SettingsError
from striate.base.kernels import guard
from striate.base.memory import require_memory
from striate.nn.blocks import BLOCKS, Block
from striate.nn.blocks.norm import is_weight_norm, normalise_weights

from .blueprint import IMAGE, Blueprint, Row
from .init import initialise
from .meta import ShapesOnly, Unfilled
from .network import Network, Shape

LARGEST_SIDE = 2048  # where the search for a size that works ends
BUILDER_KEYS = ("width", "stride", "size_hw", "dims")


class DoesNotFit(SettingsError):
    """A row whose block fails on its input; perhaps because the map is too small there."""


def build(
    blueprint: Blueprint, *, channels: int, outputs: int, size_hw: tuple[int, ...], seed: int | None = None
) -> Network:
    """Return the network, in training mode on the CPU, with fresh weights.

    Weights start as the blueprint's `init` says: by default He-normal for convolution and linear layers, zero biases
    (see `striate.model.init`). The same seed gives the same bits; torch's global random state is not touched.

    Args:
        channels: of the input, 1 or more.
        outputs: numbers per image; the width of the last row that has none.
        size_hw: height and width of the input in pixels; of volumes (depth, height, width), of signals (length,).
        seed: of the weights; None draws one from the operating system.

    Raises:
        SettingsError: a row cannot work; the message names the row, its input, the rule and a number that would work.
        ResourceError: the weights do not fit into the memory that is free.

    Example:
        >>> from striate.model.blueprint import Blueprint, Row
        >>> rows = (Row("conv", 8, stride=2), Row("global_pool"), Row("linear"))
        >>> network = build(Blueprint("tiny", rows), channels=3, outputs=10, size_hw=(32, 32), seed=0)
        >>> network.shapes
        {'conv1': (8, 16, 16), 'global_pool1': (8,), 'linear1': (10,)}
    """
    guard()  # who trains it in a loop of their own comes by no other place
    network = assemble(blueprint, channels=channels, outputs=outputs, size_hw=size_hw)
    require_memory(sum(tensor.nbytes for tensor in network.state_dict().values()), f"the weights of {blueprint.name}")
    _leave_meta(network)
    seed = int.from_bytes(os.urandom(7), "little") if seed is None else seed
    initialise(network, Generator().manual_seed(seed), blueprint.init)
    return network.train()


def _leave_meta(network: nn.Module) -> None:
    """Give every tensor memory, unfilled; `to_empty` does the same and takes half a second to import what it asks."""
    for module in network.modules():
        for name, value in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(value.shape, dtype=value.dtype), value.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def assemble(blueprint: Blueprint, *, channels: int, outputs: int, size_hw: tuple[int, ...]) -> Network:
    """Return the network on the meta device: shapes without numbers. Arguments as for `build`."""
    if channels < 1 or outputs < 1 or min(size_hw) < 1:
        raise SettingsError(
            f"channels {channels}, outputs {outputs}, size {'x'.join(map(str, size_hw))} cannot be",
            where=blueprint.name,
            fix="give numbers of at least 1",
        )
    try:
        return _assemble(blueprint, channels, outputs, size_hw)
    except DoesNotFit as problem:
        side = _smallest_side(blueprint, channels, outputs, min(size_hw)) if len(size_hw) == 2 else None
        if len(size_hw) != 2:
            problem.fix = "use a network whose blocks take maps of so many axes, such as unet_3d, or larger ones"
        elif side:
            problem.fix = f"use images of at least {side}x{side} pixels, or fewer rows that shrink the map"
        raise


def _assemble(blueprint: Blueprint, channels: int, outputs: int, size_hw: tuple[int, ...]) -> Network:
    widths = _widths(blueprint, outputs)
    maps = {IMAGE: torch.empty(1, channels, *size_hw, device="meta")}
    modules: dict[str, nn.Module] = {}
    sources = blueprint.sources
    for index, row in enumerate(blueprint.rows):
        inputs = [maps[source] for source in sources[row.name]]
        try:
            modules[row.name], maps[row.name] = _make(row, widths[row.name], inputs, blueprint.defaults)
        except SettingsError as problem:
            given = " and ".join(_text(x.shape[1:]) for x in inputs)
            where = f"{blueprint.name} row {index} ({row.name}: {row.block} on {given})"
            raise type(problem)(problem.what, where=where, fix=problem.fix) from problem
    shapes = {name: tuple(x.shape[1:]) for name, x in maps.items() if name != IMAGE}
    return Network(blueprint, modules, shapes, channels=channels, outputs=outputs, size_hw=size_hw)


def _make(
    row: Row, width: int, inputs: list[torch.Tensor], defaults: Mapping[str, Any]
) -> tuple[nn.Module, torch.Tensor]:
    """Return the row's module on the meta device and its output."""
    if hasattr(nn.ModuleDict, row.name):
        raise SettingsError(f"row name {row.name!r} is taken by torch", fix=f"call it {row.name}_1")
    block = choose("block", row.block, BLOCKS)
    _check_options(row, block, width, len(inputs))
    parts: list[nn.Module] = []
    for turn in range(row.repeat):
        options = {key: value for key, value in defaults.items() if key in parameters(block)}
        options |= {**row.options, **{key: values[turn] for key, values in row.each.items()}}
        part = _construct(block, width, row.stride if turn == 0 else 1, inputs, options)
        inputs = [_try(part, inputs)]
        parts.append(part)
    return (parts[0] if len(parts) == 1 else nn.Sequential(*parts)), inputs[0]


def _construct(
    block: Block, width: int, stride: int, inputs: list[torch.Tensor], options: Mapping[str, Any]
) -> nn.Module:
    has_weight_norm = is_weight_norm(options.get("norm", "none"))
    if has_weight_norm:
        options = {**options, "norm": "none"}
    sides = tuple(inputs[0].shape[2:])
    given = {"width": width, "stride": stride, "size_hw": sides, "dims": len(sides) or 2}
    arguments = {key: value for key, value in given.items() if key in parameters(block)} | dict(options)
    c_ins = tuple(int(x.shape[1]) for x in inputs)
    try:
        with torch.device("meta"), Unfilled():
            part = block(c_ins if "c_ins" in parameters(block) else c_ins[0], **arguments)
            return normalise_weights(part) if has_weight_norm else part
    except (TypeError, ValueError, RuntimeError) as problem:
        raise SettingsError(_first_line(problem), fix="change the row's options") from problem


def _try(part: nn.Module, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Return the part's output for the inputs; refuse a map of no pixels."""
    try:
        for module in part.modules():  # quicker than `eval`; most of a deep network's time goes here
            module.training = False
        with torch.inference_mode(False), torch.no_grad(), ShapesOnly():
            y: torch.Tensor = part(*inputs)
    except (TypeError, ValueError, RuntimeError, IndexError) as problem:
        raise DoesNotFit(_first_line(problem), fix="change the row's options or its input") from problem
    if 0 in y.shape:
        raise DoesNotFit(f"nothing is left: {_text(y.shape[1:])}", fix="change the row's options or its input")
    return y


@cache
def parameters(block: Block) -> Mapping[str, inspect.Parameter]:
    """Return the block's parameters by name."""
    return inspect.signature(block).parameters


def _check_options(row: Row, block: Block, width: int, num_inputs: int) -> None:
    """Refuse what the block's signature does not take."""
    takes = parameters(block)
    known = [key for key in takes if key not in {"c_in", "c_ins", *BUILDER_KEYS}]
    for key in (*row.options, *row.each):
        if key not in known:
            close = nearest(key, known)
            names = ", ".join(known) or "none"
            raise SettingsError(
                f"unknown option {key!r}", fix=f"did you mean {close!r}?" if close else f"known options: {names}"
            )
    if num_inputs > 1 and "c_ins" not in takes:
        raise SettingsError(f"takes one input; got {num_inputs}", fix="join them in a row 'concat' or 'add'")
    if row.repeat > 1 and num_inputs > 1:
        raise SettingsError("a row of several inputs cannot repeat", fix="write one row for each")
    if row.width and "width" not in takes:
        raise SettingsError(f"has no width; got {row.width}", fix="leave the width out")
    if row.stride != 1 and "stride" not in takes:
        raise SettingsError(f"has no stride; got {row.stride}", fix="leave the stride out")
    if not width and "width" in takes and takes["width"].default is inspect.Parameter.empty:
        raise SettingsError("needs a width", fix="give a width, for example 64")


def _widths(blueprint: Blueprint, outputs: int) -> dict[str, int]:
    """Return the width of each row; on the way back from each end, the first without a number gives the outputs.

    Where branches are added, that is the first of each.
    """
    widths = {row.name: row.width for row in blueprint.rows}
    rows = {row.name: row for row in blueprint.rows}

    def has_width(name: str) -> bool:
        block = BLOCKS.get(rows[name].block)
        return block is not None and "width" in parameters(block)

    ahead = [blueprint.names[-1], *blueprint.ends, *blueprint.auxiliary_heads]
    while ahead:
        name = ahead.pop()
        if name == IMAGE:
            continue
        if has_width(name):
            widths[name] = rows[name].width or outputs
        else:
            sources = blueprint.sources[name]
            ahead += sources if getattr(BLOCKS.get(rows[name].block), "same_width", False) else sources[:1]
    return widths


def _smallest_side(blueprint: Blueprint, channels: int, outputs: int, too_small: int) -> int | None:
    """Return the smallest square the blueprint accepts, by doubling and halving; None if none up to `LARGEST_SIDE`."""

    def works(side: int) -> bool:
        try:
            _assemble(blueprint, channels, outputs, (side, side))
        except SettingsError:
            return False
        return True

    high = too_small * 2
    while not works(high):
        too_small, high = high, high * 2
        if high > LARGEST_SIDE:
            return None
    while high - too_small > 1:
        middle = (too_small + high) // 2
        too_small, high = (too_small, middle) if works(middle) else (middle, high)
    return high


def _text(shape: Shape | torch.Size) -> str:
    return "x".join(str(int(size)) for size in shape)


def _first_line(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0].rstrip(".")
