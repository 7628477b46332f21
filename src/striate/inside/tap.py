"""Borrow a network to look inside it, and give it back as it was: `with borrowed(network) as probe`.

Nothing of the network is written to. Weights and buffers are handed in for each call (`torch.func.functional_call`):
the network's own storage where it is float32, float32 copies where it is bfloat16 or half; buffers always as copies, so
that no running statistic moves. Modules are in evaluation mode in the block, whatever they were; each gets its own mode
back, also when the block raises. Gradients are on in the block and autocast is off, whatever the caller set.

A map that is asked for is the one that its module returned: what follows gets a copy, so that an in-place activation
cannot overwrite it. A module that is used several times gives a map for each use.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.errors import ModelError

HALVES = (torch.bfloat16, torch.float16)
ROWS = "rows."  # where a `Network` keeps its rows


@dataclass(frozen=True)
class Use:
    """One use of a module in a forward pass.

    Args:
        name: of the module; rows of a `Network` go by their own names.
        index: how many uses of it came before.
        module: the module.
        shape: of the tensor it returned, () where it returned none.
        taken: shape of the first tensor it was given, () where it was given none.
    """

    name: str
    index: int
    module: nn.Module
    shape: tuple[int, ...]
    taken: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Probe:
    """A borrowed network. Images are brought to its device and precision.

    Args:
        network: the network itself, in evaluation mode while it is borrowed.
        state: parameters and buffers that it computes with, by name; all floats are float32, or float64.
    """

    network: nn.Module
    state: Mapping[str, Tensor]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((value.device for value in self.state.values()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The precision of what it computes."""
        return next((value.dtype for value in self.state.values() if value.is_floating_point()), torch.float32)

    def ready(self, images: Tensor) -> Tensor:
        """Return images as the network takes them; no gradient of the caller's flows through them."""
        images = images.clone() if images.is_inference() else images.detach()
        return images.to(self.device, self.dtype)

    def __call__(self, images: Tensor) -> Any:
        """Return the outputs for images (N, C, H, W); gradients flow to the images if these require them."""
        return torch.func.functional_call(self.network, dict(self.state), (images.clone(),))

    def maps(self, images: Tensor, names: Iterable[str]) -> tuple[Any, dict[str, list[Tensor]]]:
        """Return the outputs, and what each of these modules returned at each use, in order; gradients flow to both.

        Raises:
            SettingsError: no module has that name.
        """
        found: dict[str, list[Tensor]] = {}

        def keep(name: str) -> Callable[..., Any]:
            def hook(module: nn.Module, args: Any, out: Any) -> Any:
                tensor = first_tensor(out)
                if tensor is None:
                    return None
                found.setdefault(name, []).append(tensor)
                return tensor.clone() if tensor is out else (tensor.clone(), *out[1:])

            return hook

        with _hooked((self.module(name), keep(name)) for name in dict.fromkeys(names)):
            return self(images), found

    def cut_at(self, images: Tensor, name: str, index: int) -> Any:
        """Return the outputs, where no gradient flows through what use `index` of a module returned."""
        count = iter(range(1 << 30))

        def hook(module: nn.Module, args: Any, out: Any) -> Any:
            tensor = first_tensor(out)
            if next(count) != index or tensor is None:
                return None
            return tensor.detach().clone() if tensor is out else (tensor.detach().clone(), *out[1:])

        with _hooked([(self.module(name), hook)]):
            return self(images)

    def uses(self, images: Tensor) -> tuple[Any, list[Use]]:
        """Return the outputs and each use of each module, in the order in which they ended, without gradients."""
        found: list[Use] = []
        counts: dict[str, int] = {}

        def note(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, args: Any, out: Any) -> None:
                shapes = (() if one is None else tuple(one.shape) for one in (first_tensor(out), first_tensor(args)))
                found.append(Use(name, counts.get(name, 0), module, *shapes))
                counts[name] = counts.get(name, 0) + 1

            return hook

        with torch.no_grad(), _hooked((module, note(shown_name(name))) for name, module in self._modules()):
            return self(images), found

    def module(self, name: str) -> nn.Module:
        """Return a module by its name, or by that of its row.

        Raises:
            SettingsError: there is none; the message names the nearest.
        """
        modules = {shown_name(key): module for key, module in self._modules()}
        return choose("layer", name.removeprefix(ROWS), modules)

    def with_state(self, changes: Mapping[str, Tensor]) -> "Probe":
        """Return a probe that computes with some parameters or buffers changed; the network has its own still."""
        return replace(self, state={**self.state, **changes})

    def _modules(self) -> Iterator[tuple[str, nn.Module]]:
        return ((name, module) for name, module in self.network.named_modules() if name)


@contextmanager
def borrowed(network: nn.Module, *, has_weight_gradients: bool = False) -> Iterator[Probe]:
    """Lend a network for this block; after it, all of it is as it was, also when the block raises.

    Args:
        has_weight_gradients: whether gradients can be taken of `probe.state` too; they never reach the network's own.

    Raises:
        ModelError: a parameter has no value yet.
    """
    modes = [(module, module.training) for module in network.modules()]
    with torch.inference_mode(False), torch.enable_grad():
        probe = Probe(network, _state_of(network, has_weight_gradients))
        with torch.autocast(probe.device.type, enabled=False):
            try:
                for module, _ in modes:
                    module.training = False
                yield probe
            finally:
                for module, mode in modes:
                    module.training = mode


def _state_of(network: nn.Module, has_gradients: bool) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, value in network.named_parameters():
        if nn.parameter.is_lazy(value) or value.is_meta:
            raise ModelError(f"the parameter {name} has no value yet", where=type(network).__name__, fix="train it")
        own = value.clone() if value.is_inference() else value.detach()
        own = own.float() if own.dtype in HALVES else own
        state[name] = own.requires_grad_() if has_gradients and own.is_floating_point() else own
    for name, buffer in network.named_buffers():
        own = buffer.clone() if buffer.is_inference() else buffer.detach().clone()
        state[name] = own.float() if own.dtype in HALVES else own
    return state


@contextmanager
def _hooked(pairs: Iterable[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Let functions see what modules return; they are taken away again, also when the block raises."""
    handles = []
    try:
        for module, hook in pairs:
            handles.append(module.register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(value: Any) -> Tensor | None:
    """Return a tensor, or the first item of a tuple or list if it is one; None for anything else."""
    if isinstance(value, Tensor):
        return value
    is_several = isinstance(value, tuple | list) and len(value) > 0 and isinstance(value[0], Tensor)
    return value[0] if is_several else None


def shown_name(name: str) -> str:
    """Return a module's name as people know it: that of a row without the place where rows are kept."""
    return name.removeprefix(ROWS)
