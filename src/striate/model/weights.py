"""Weights into a network: its own file by name; others' by order, shape and role, with a report of what went where."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.errors import ModelError
from striate.base.files import write_bytes
from striate.base.text import plural, shown

from . import published
from .adapt import Roles, adapted, roles_of
from .foreign import Foreign, read
from .network import Network
from .state import under_known_names
from .tensor_kind import tensor_kind

COUNTERS = "num_batches_tracked"  # of batch normalisation; not a weight, and references differ in having it
FIX = "build it with the options, channels and size of these weights"
SIDES = ("aux", "AuxLogits")  # torchvision's names of auxiliary heads
MAX_NAMES = 8  # that a summary lists
ROOM_BYTES = 256 << 20  # a file may be four times the network's size (doubles, averages) and this


@dataclass(frozen=True)
class Loaded:
    """What became of the tensors of a network and of a file.

    Args:
        source: the file, or who published it.
        matched: name here -> name there.
        reshaped: those of them that had to change -> what was done.
        missing: names here that keep their fresh values: the layers that give the outputs.
        unused: names there that went nowhere.
        heads: outputs there and here, where the last layer is new because they differ.
        head: what else is to be said of the last layer.
        preset: how images are prepared for these weights, if that is known.
    """

    source: str
    matched: Mapping[str, str]
    reshaped: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    heads: tuple[int, int] | None = None
    head: str = ""
    preset: published.Preset | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.summary}"

    @property
    def summary(self) -> str:
        """How many tensors matched, and which changed, stayed fresh or went nowhere."""
        parts = [f"{plural(len(self.matched), 'tensor')} matched"]
        parts += [f"{name}: {how}" for name, how in self.reshaped.items()]
        parts += [f"fresh: {_listed(self.missing)}"] if self.missing else []
        parts += ["the head had {} outputs, the new one has {}".format(*self.heads)] if self.heads else []
        parts += [self.head] if self.head else []
        parts += [f"unused: {_listed(self.unused)}"] if self.unused else []
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists."""
        return asdict(self)


def _listed(names: tuple[str, ...]) -> str:
    """All names, or the number of them with the first and the last one."""
    few = len(names) <= MAX_NAMES
    return ", ".join(names) if few else f"{plural(len(names), 'tensor')}, {names[0]} to {names[-1]}"


def to_bytes(network: nn.Module, notes: Mapping[str, str] | None = None) -> bytes:
    """Return the network's state, and notes about it, as the content of a `.safetensors` file."""
    state = {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
    return save(state, metadata=dict(notes) if notes else None)


def load(network: Network, source: str | Path, *, reset_head: bool | None = None, new_head: str = "") -> Loaded:
    """Load weights into a network and return what went where.

    A file this network was saved to is taken name by name. Any other is taken by order and shape: blueprints keep the
    order of torchvision, else timm. What a name there ends in (weight, bias, running_mean ...) must be what the one
    here does. A prefix that all names share is passed over where the rest is known. The first layer adapts to the
    number of input channels (see `adapt.channels_to`), a transformer's positions to the size of its map.

    Weights of a network's encoder, as its classifier has them, go into the rows before the head; the others stay fresh.

    Args:
        source: "imagenet" (a classifier's or an encoder's) or "coco" (those of a whole network for maps) for published
            weights, from the local cache or downloaded; else a `.safetensors`, `.npz`, or (read by a child process
            that takes tensors and nothing else) `.pth`, `.pt`, `.th` or `.pth.tar` file.
        reset_head: whether the last layer stays fresh if the number of outputs differs; by default only for the words.
        new_head: why the last layer stays fresh even if the number is the same; empty if it does not.

    Raises:
        ModelError: the source cannot be read, would run code, or does not fit; the message names the first tensor.
    """
    encoder = _encoder_of(network)
    if source in published.SOURCES:
        encoder = None if source == published.COCO else encoder
        found = published.find((encoder or network).blueprint.name, str(source))
        text, preset, resets, path = found.source, found.preset, reset_head is not False, published.fetch(found)
    else:
        text, preset, resets, path = str(source), None, bool(reset_head), Path(source)
    if encoder is not None:
        given = _read(path, encoder)
        if not _is_whole(network, given):
            return _take_body(network, encoder, given, text, preset)
    return _take(network, _read(path, network), text, preset, resets, new_head)


def _encoder_of(network: Network) -> Network | None:
    """The classifier that a network's first rows are the body of, without numbers; None where there is none."""
    from .build import assemble
    from .zoo import blueprint

    options = dict(network.blueprint.encoder)
    if not options:
        return None
    plan = blueprint(options.pop("name"), **options)
    return assemble(plan, channels=network.channels, outputs=network.outputs, size_hw=network.size_hw)


def _is_whole(network: Network, given: Foreign) -> bool:
    """Whether a file holds the network itself, not its encoder alone."""
    state = network.state_dict()
    if not given.tensors.keys() - state:
        return given.tensors.keys() == state.keys()
    order = _weights(published.key_order(network.blueprint.name))
    return bool(order) and _without_sides(given.tensors) == _without_sides(order)


def _without_sides(names: Iterable[str]) -> set[str]:
    return {name for name in _weights(names) if not name.startswith(SIDES)}


def _take_body(
    network: Network, encoder: Network, given: Foreign, text: str, preset: published.Preset | None
) -> Loaded:
    """Put the weights of a classifier's body into the network's first rows."""
    here, there = _ordered(encoder, given, text)
    if len(here) != len(there):
        raise ModelError(f"{len(here)} tensors in the encoder, {len(there)} there", where=text, fix=FIX)
    state = network.state_dict()
    pairs = [(name, other) for name, other in zip(here, there, strict=True) if name in state]
    fit = _fit(network, [name for name, _ in pairs], [other for _, other in pairs], given.tensors, text, True)
    fit.write()
    fresh = tuple(name for name in _weights(state) if name not in fit.ready)
    unused = tuple(other for name, other in zip(here, there, strict=True) if name not in state)
    say = f"the encoder is {encoder.blueprint.name}'s body"
    return Loaded(text, dict(pairs), fit.reshaped, fresh, unused, None, say, preset)


def _read(source: str | Path, network: Network) -> Foreign:
    """Return what a file holds, under names that are this network's or its publisher's where there is a way to them."""
    state = network.state_dict()
    given = read(source, 4 * sum(value.nbytes for value in state.values()) + ROOM_BYTES)
    tensors = under_known_names(given.tensors, state)
    if tensors.keys() - state:
        tensors = under_known_names(tensors, published.key_order(network.blueprint.name))
    return replace(given, tensors=tensors)


def _take(
    network: Network, given: Foreign, text: str, preset: published.Preset | None, resets: bool, new_head: str = ""
) -> Loaded:
    here, there = _ordered(network, given, text)
    fit = _fit(network, here, there, given.tensors, text, resets, bool(new_head))
    fit.write()
    unused = tuple(name for name in given.tensors if name not in there and not name.endswith(COUNTERS))
    matched = {name: other for name, other in zip(here, there, strict=True) if name in fit.ready}
    pairs = [(len(given.tensors[there[here.index(name)]]), len(fit.state[name])) for name in fit.fresh]
    heads = next(((theirs, ours) for theirs, ours in pairs if theirs != ours), None)
    return Loaded(text, matched, fit.reshaped, fit.fresh, unused, heads, "" if heads else new_head, preset)


def import_file(
    source: str | Path,
    name: str,
    out: str | Path,
    *,
    preset: str | None = None,
    outputs: int | None = None,
    channels: int = 3,
) -> Loaded:
    """Write a weights file of any kind as a network's own `.safetensors`, under the names of its rows.

    Args:
        source: as for `load`; a `.pth` is read by a child process that takes tensors and nothing else.
        name: of the network in the zoo.
        out: the file to write; it is written whole or not at all.
        preset: how images are prepared for these weights, a name in `published.PRESETS`, noted in the file; the
            options it needs ("tensorflow": other padding) belong to the blueprint, and are not in the file.
        outputs: of the network; by default what the last tensor gives.
        channels: of its input; the first layer adapts as `adapt.channels_to` says.

    Raises:
        SettingsError: the network or the preset is unknown.
        ModelError: the weights cannot be read, would run code, or do not fit; nothing is written.
    """
    from .build import assemble, build
    from .zoo import blueprint

    plan = blueprint(name)
    found = choose("preset", preset, published.PRESETS) if preset else None
    size_hw = plan.native_hw
    usual = assemble(plan, channels=channels, outputs=outputs or 1000, size_hw=size_hw)
    given = _read(source, usual)
    if outputs is None:
        known = (*usual.state_dict(), *published.key_order(name))  # a .safetensors file is sorted by name
        order = [key for key in known if key in given.tensors] or list(given.tensors)
        outputs = max(1, *given.tensors[_weights(order)[-1]].shape[:1]) if _weights(order) else 1
    network = build(plan, channels=channels, outputs=outputs, size_hw=size_hw, seed=0)
    loaded = _take(network, given, str(source), found, False)
    write_bytes(Path(out), to_bytes(network, {"model": name, "preset": preset or ""}))
    return loaded


def copy_by_order(network: nn.Module, reference: Mapping[str, Tensor], where: str = "reference") -> None:
    """Copy a reference implementation's state, tensor by tensor in order; shapes are equal up to dimensions of 1.

    Blueprints keep the order of the reference (torchvision or timm), so its names need not be known.

    Raises:
        ModelError: the number of tensors or a shape differs; the first pair that does is named.
    """
    here, there = _weights(network.state_dict()), _weights(reference)
    _fit(network, here, there, reference, where, False).write()


def _weights(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.endswith(COUNTERS)]


def _ordered(network: Network, given: Foreign, where: str) -> tuple[list[str], list[str]]:
    """Return the names here and those there that belong to them, one to one."""
    wanted, theirs = network.state_dict(), given.tensors
    here, there = _weights(wanted), _weights(theirs)
    if not set(here) & set(there):
        order = _weights(published.key_order(network.blueprint.name))
        if set(order) == set(there) or given.ordered:
            names = order if set(order) == set(there) else there
            return here, [name for name in names if network.blueprint.auxiliary_heads or not name.startswith(SIDES)]
    for trouble, odd in (("missing", wanted.keys() - theirs), ("unknown", theirs.keys() - wanted)):
        if odd:
            raise ModelError(f"{plural(len(odd), 'tensor')} {trouble}, one is {min(odd)!r}", where=where, fix=FIX)
    return list(wanted), list(wanted)


@dataclass(frozen=True)
class Fit:
    """Tensors ready to be copied: `ready` name -> new value; `reshaped` name -> what was done; `fresh` stay."""

    state: Mapping[str, Tensor]
    ready: dict[str, Tensor] = field(default_factory=dict)
    reshaped: dict[str, str] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()

    def write(self) -> None:
        """Copy the values into the network."""
        with torch.no_grad():
            for name, value in self.ready.items():
                self.state[name].copy_(value)


def _fit(
    network: nn.Module,
    here: list[str],
    there: list[str],
    theirs: Mapping[str, Tensor],
    where: str,
    resets: bool,
    has_new_head: bool = False,
) -> Fit:
    """Bring each tensor there into the shape of the one here; nothing is copied yet, so a misfit changes nothing."""
    state = network.state_dict()
    roles = roles_of(network) if isinstance(network, Network) else Roles()
    fit, fresh = Fit(state), []
    for name, other in zip(here, there, strict=False):
        value, given = state[name], theirs[other]
        if has_new_head and name in roles.outputs:
            fresh.append(name)
            continue
        made = adapted(name, value, given, roles)
        if made is not None and given.is_floating_point() == value.is_floating_point():
            _require_kind(name, other, where)
            fit.ready[name] = _finite(made[0].to(value.dtype), other, where)
            fit.reshaped.update({name: made[1]} if made[1] else {})
        elif made is None and resets and name in roles.outputs:
            fresh.append(name)
        else:
            raise _misfit(name, other, value, given, where, name in roles.outputs)
    if len(here) != len(there):
        raise ModelError(f"{len(here)} tensors here, {len(there)} there", where=where, fix=FIX)
    return replace(fit, fresh=tuple(fresh))


def _require_kind(name: str, other: str, where: str) -> None:
    """Refuse a tensor whose name says that it is something else, as running means in a place of weights."""
    kinds = {tensor_kind(name), tensor_kind(other)} - {""}
    if len(kinds) > 1:
        what = f"tensor {shown(other)} would go into {name}: the order of the file is not the network's"
        raise ModelError(what, where=where, fix="save it layer by layer: weight, bias, running_mean, running_var")


def _finite(value: Tensor, other: str, where: str) -> Tensor:
    if not bool(torch.isfinite(value).all()):
        num = int((~torch.isfinite(value)).sum())
        what = f"tensor {shown(other)} has {num:,} of {value.numel():,} numbers that are not finite"
        raise ModelError(what, where=where, fix="get the weights again, from before they diverged")
    return value


def _misfit(name: str, other: str, value: Tensor, given: Tensor, where: str, is_head: bool) -> ModelError:
    kinds = [f"{_text(x)} {x.dtype}".removesuffix(" torch.float32") for x in (given, value)]
    what = f"tensor {name} is {kinds[0]}, the network's is {kinds[1]}" + ("" if other == name else f" (from {other})")
    fix = f"build it for {len(given)} outputs, or use reset_head=True (train --weights does)" if is_head else FIX
    return ModelError(what, where=where, fix=fix)


def _text(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
