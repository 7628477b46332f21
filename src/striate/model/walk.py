"""What a network costs and sees, row by row, read from one run of the network itself on the meta device."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from .blueprint import Blueprint
from .build import assemble
from .field import Axis, View, join
from .meta import ShapesOnly, perform
from .network import Network, Shape
from .operation import macs_of, view_after

FLOAT_BYTES = 4
Watch = Callable[[str, Any, Sequence[Any], Sequence[Tensor]], None]  # row, operation, its arguments, what it made


@dataclass(frozen=True)
class Layer:
    """One row of the walk.

    Args:
        out_shape: of the output for one image: (C, H, W), or (C,) for a vector.
        parameters: weights and biases in the row.
        macs: multiply-adds of convolution and matrix products for one image.
        receptive_field_hw: pixels of the image that one unit of the output sees (padding included), height and width;
            of volumes along these two axes too, of signals 0.
        jump_hw: distance in pixels between neighbouring units.
        start_hw: centre of what the first unit sees; 0 is the centre of the image's first pixel.
        activation_bytes: of all tensors the row makes for one image in float32; what training has to keep, about.
        is_global: whether all units see the same pixels, as after global pooling or attention.
    """

    index: int
    name: str
    block: str
    out_shape: Shape
    parameters: int
    macs: int
    receptive_field_hw: tuple[int, int]
    jump_hw: tuple[float, float]
    activation_bytes: int
    is_global: bool = False
    start_hw: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Walk:
    """The rows and the totals.

    Args:
        depth: convolution and linear layers on the longest way from image to output.
        size_mb: parameters and buffers (running statistics) in float32, in units of 2**20 bytes.
    """

    name: str
    channels: int
    size_hw: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    depth: int
    size_mb: float
    activation_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists and numbers."""
        return asdict(self)

    def _repr_html_(self) -> str:
        from .table import html

        return html(self)


def walk(
    network: nn.Module | Blueprint,
    *,
    size_hw: tuple[int, ...] | None = None,
    channels: int | None = None,
    outputs: int | None = None,
    watch: Watch | None = None,
) -> Walk:
    """Return what each row of a network costs and sees. Weights are neither read nor changed.

    Args:
        network: a `Network`, a blueprint, or any module of images (its layers are then the rows).
        size_hw: height and width of the image in pixels; by default what the network was made for.
        channels: of the image; by default those of the network, else 3.
        outputs: of a blueprint; by default those it was made for.
        watch: called after every operation with the row's name, the operation, its arguments and the tensors it made.

    Raises:
        SettingsError: a blueprint cannot work on this input.

    Example:
        >>> from striate.model.blueprint import Blueprint, Row
        >>> tiny = Blueprint("tiny", (Row("conv", 8, stride=2), Row("conv", 8), Row("global_pool"), Row("linear")))
        >>> found = walk(tiny, size_hw=(32, 32), outputs=10)
        >>> found.parameters, found.macs, found.layers[1].receptive_field_hw
        (898, 202832, (7, 7))
    """
    if isinstance(network, Blueprint):
        network = at_native(network, size_hw, channels, outputs)
    tracer, depth = _trace(network, size_hw, channels, watch)
    if isinstance(network, Network):
        name, size_hw, channels = network.blueprint.name, size_hw or network.size_hw, channels or network.channels
    else:
        name, size_hw, channels = type(network).__name__, size_hw or (224, 224), channels or 3
    state = {id(value): value.numel() for value in (*network.parameters(), *network.buffers())}
    return Walk(
        name,
        channels,
        size_hw,
        tuple(tracer.layers),
        parameters=sum(value.numel() for value in network.parameters()),
        macs=tracer.macs,
        depth=depth,
        size_mb=sum(state.values()) * FLOAT_BYTES / 2**20,
        activation_bytes=tracer.activation_bytes,
    )


def views(
    network: nn.Module, *, size_hw: tuple[int, ...] | None = None, channels: int | None = None
) -> dict[str, View]:
    """Return row -> what each of its units sees of an image; rows that see nothing of it are left out.

    Example:
        >>> from striate.model.blueprint import Blueprint, Row
        >>> plan = Blueprint("tiny", (Row("conv", 8, stride=2), Row("conv", 8), Row("global_pool"), Row("linear")))
        >>> seen = views(at_native(plan, (32, 32), 3, 10))["conv2"].height
        >>> int(seen.low[5]), int(seen.high[5])
        (7, 13)
    """
    return _trace(network, size_hw, channels, None)[0].seen


def _trace(
    network: nn.Module, size_hw: tuple[int, ...] | None, channels: int | None, watch: Watch | None
) -> tuple["Tracer", int]:
    """Run a network on the meta device; return what saw it and the depth of its output."""
    if isinstance(network, Network):
        units = list(network.rows.items())
        blocks = {row.name: row.block + (f" x{row.repeat}" if row.repeat > 1 else "") for row in network.blueprint.rows}
        size_hw, channels = size_hw or network.size_hw, channels or network.channels
    else:
        units = [(key, part) for key, part in network.named_modules() if not any(True for _ in part.children())]
        blocks = {key: type(part).__name__ for key, part in units}
    tracer = Tracer(units, blocks, watch)
    dtype = next((value.dtype for value in network.parameters() if value.is_floating_point()), torch.float32)
    image = torch.empty(1, channels or 3, *(size_hw or (224, 224)), device="meta", dtype=dtype)
    return tracer, _run(network, tracer, image)


def at_native(
    plan: Blueprint, size_hw: tuple[int, ...] | None = None, channels: int | None = None, outputs: int | None = None
) -> Network:
    """Return the network of a blueprint on the meta device, for what is given and else for what it was made for."""
    at = plan.native
    return assemble(
        plan,
        channels=channels or at["channels"],
        outputs=outputs or at["outputs"],
        size_hw=size_hw or plan.native_hw,
    )


class Tracer(ShapesOnly):
    """Sees every operation: counts what it costs, and follows what its output sees of the image."""

    def __init__(self, units: Sequence[tuple[str, nn.Module]], blocks: dict[str, str], watch: Watch | None) -> None:
        super().__init__()
        self.units, self.blocks, self.watch = units, blocks, watch
        self.row = ""
        self.views: Any = WeakTensorKeyDictionary()
        self.written: dict[int, tuple[Any, View]] = {}  # storages that were written in part: id -> itself, what by
        self.layers: list[Layer] = []
        self.seen: dict[str, View] = {}  # row -> what the units of its last output see
        self.macs = self.activation_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = perform(func, args, kwargs or {})
        inputs = [x for x in _tensors(args) if self.view_of(x)]
        made = list(_tensors(out))
        self.macs += macs_of(func, args, made)
        if not any(one.alias_info for one in func._schema.returns):  # neither a view nor in place
            self.activation_bytes += sum(x.numel() for x in made) * FLOAT_BYTES
        if inputs:
            views = [view for x in inputs if (view := self.view_of(x))]
            for x in made:
                self.views[x] = view_after(func, args, views, [tuple(y.shape) for y in inputs], tuple(x.shape))
            if (
                func._schema.is_mutable
                and args[0].numel() * args[0].element_size() < args[0].untyped_storage().nbytes()
            ):
                storage = args[0].untyped_storage()
                self.written[storage._cdata] = storage, join(view.whole() for view in views)
        if self.watch:
            self.watch(self.row, func, args, made)
        return out

    def view_of(self, x: Tensor) -> View | None:
        """Return what a tensor's units see, None of nothing of the image; the whole where others wrote into parts."""
        view = self.views.get(x)
        _, other = self.written.get(x.untyped_storage()._cdata, (None, None)) if self.written else (None, None)
        return view if other is None else join([other, *([view.whole()] if view else [])])

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Note a layer at the end of each unit."""
        handles = []
        for name, unit in self.units:
            handles.append(unit.register_forward_pre_hook(self._begin(name)))
            handles.append(unit.register_forward_hook(self._end(name, unit)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self, name: str) -> Callable[..., None]:
        def begin(module: nn.Module, args: Any) -> None:
            self.row, self.before = name, (self.macs, self.activation_bytes)

        return begin

    def _end(self, name: str, unit: nn.Module) -> Callable[..., None]:
        parameters = sum(value.numel() for value in unit.parameters())

        def end(module: nn.Module, args: Any, out: Any) -> None:
            tensor = next(_tensors(out), None)
            if tensor is None:
                return
            view = self.view_of(tensor)
            if view:
                self.seen[name] = view
            axes = view.axes if view else ()  # what does not depend on the image (a class token) sees nothing of it
            self.layers.append(
                Layer(
                    len(self.layers),
                    name,
                    self.blocks[name],
                    tuple(tensor.shape[1:]),
                    parameters,
                    self.macs - self.before[0],
                    (axes[0].size, axes[1].size) if axes else (0, 0),
                    (abs(axes[0].jump), abs(axes[1].jump)) if axes else (0.0, 0.0),
                    self.activation_bytes - self.before[1],
                    not axes or axes[0].is_global or axes[1].is_global,
                    (axes[0].start, axes[1].start) if axes else (0.0, 0.0),
                )
            )

        return end


def _run(network: nn.Module, tracer: Tracer, image: Tensor) -> int:
    """Run the network on the meta device and give it back as it was; return the depth of its output."""
    state = dict((*network.named_parameters(), *network.named_buffers()))
    modes = [module for module in network.modules() if module.training]
    options = {"auxiliary": True} if isinstance(network, Network) and network.blueprint.auxiliary_heads else {}
    if image.ndim > 3:  # of signals, which have no height, nothing is followed
        high, wide = image.ndim - 2, image.ndim - 1
        tracer.views[image] = View(Axis.image(image.shape[high]), Axis.image(image.shape[wide]), (high, wide))
    try:
        for module in modes:
            module.training = False
        with torch.no_grad(), tracer.hooked(), tracer:
            if all(value.is_meta for value in state.values()):
                out = network(image, **options)
            else:
                shapes = {name: value.to("meta") for name, value in state.items()}
                out = torch.func.functional_call(network, shapes, (image,), options)
    finally:
        for module in modes:
            module.training = True
    if isinstance(out, dict):
        out = list(out.values())[-1]
    view = tracer.view_of(next(_tensors(out)))
    return view.depth if view else 0


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)
