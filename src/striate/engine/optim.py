"""Optimisers by name: one class keeps the state, each group of parameters names the rule of its step.

`torch.optim`'s classes import torch's compiler when the first one is made, which takes half a second; its functions do
the same arithmetic without. A network can have two rules at once, which is what Muon needs.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .muon import add_orthogonal, is_filter

Group = dict[str, Any]
Groups = list[Group]
State = dict[str, Tensor]
Rule = Callable[[Group, list[Tensor], list[Tensor], list[State], Tensor | None], None]


def _zeros(states: list[State], key: str, parameters: list[Tensor]) -> list[Tensor]:
    """Return one entry of each state; it begins at zero, laid out in memory like its parameter."""
    for state, parameter in zip(states, parameters, strict=True):
        if key not in state:  # `setdefault` would make zeros at every step: a third of what a GPU is asked for
            state[key] = torch.zeros_like(parameter, requires_grad=False)
    return [state[key] for state in states]


def _steps(states: list[State], device: torch.device | str) -> list[Tensor]:
    """Return the number of steps so far of each state, a scalar on the device."""
    for state in states:
        if "step" not in state:
            state["step"] = torch.zeros((), device=device)
    return [state["step"] for state in states]


def _sgd(
    group: Group, parameters: list[Tensor], grads: list[Tensor], states: list[State], is_lost: Tensor | None
) -> None:
    momentum = group["momentum"]
    buffers: list[Tensor | None] = list(_zeros(states, "momentum_buffer", parameters)) if momentum else []
    sgd(
        parameters, grads, buffers, fused=True, weight_decay=group["weight_decay"], momentum=momentum, lr=group["lr"],
        dampening=0.0, nesterov=momentum > 0, maximize=False, found_inf=is_lost,
    )  # fmt: skip


def _adam(
    group: Group, parameters: list[Tensor], grads: list[Tensor], states: list[State], is_lost: Tensor | None,
    is_decoupled: bool = False,
) -> None:  # fmt: skip
    means, squares = (_zeros(states, key, parameters) for key in ("exp_avg", "exp_avg_sq"))
    adam(
        parameters, grads, means, squares, [], _steps(states, parameters[0].device), fused=True,
        decoupled_weight_decay=is_decoupled, amsgrad=False, beta1=group["momentum"], beta2=0.999, lr=group["lr"],
        weight_decay=group["weight_decay"], eps=1e-8, maximize=False, found_inf=is_lost,
    )  # fmt: skip


def _adamw(
    group: Group, parameters: list[Tensor], grads: list[Tensor], states: list[State], is_lost: Tensor | None
) -> None:
    _adam(group, parameters, grads, states, is_lost, is_decoupled=True)


def _rmsprop(group: Group, parameters: list[Tensor], grads: list[Tensor], states: list[State], _: object) -> None:
    squares = _zeros(states, "square_avg", parameters)
    buffers = _zeros(states, "momentum_buffer", parameters) if group["momentum"] else []
    rmsprop(
        parameters, grads, squares, [], buffers, _steps(states, "cpu"), foreach=True, lr=group["lr"],
        alpha=0.99, eps=1e-8, weight_decay=group["weight_decay"], momentum=group["momentum"], centered=False,
    )  # fmt: skip


def _lion(group: Group, parameters: list[Tensor], grads: list[Tensor], states: list[State], _: object) -> None:
    means = _zeros(states, "exp_avg", parameters)
    signs = torch._foreach_lerp(means, grads, 1 - group["momentum"])
    torch._foreach_sign_(signs)
    torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_add_(parameters, signs, alpha=-group["lr"])
    torch._foreach_lerp_(means, grads, 0.01)


def _muon(group: Group, parameters: list[Tensor], grads: list[Tensor], states: list[State], _: object) -> None:
    means, momentum = _zeros(states, "momentum_buffer", parameters), group["momentum"]
    torch._foreach_lerp_(means, grads, 1 - momentum)
    torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
    add_orthogonal(parameters, list(torch._foreach_lerp(grads, means, momentum)), -group["lr"])


OPTIMISERS: dict[str, Rule] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
    "lion": _lion,
    "muon": _muon,
}
FUSED = {"sgd", "adam", "adamw"}  # their kernels can leave a step out by themselves
NORMS = nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm
DEFAULT_LR = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 3e-4, "lion": 1e-4, "muon": 1e-3}


class Optimiser:
    """Groups of parameters, each with its rule, rate and decay, and the state of every parameter.

    Args:
        groups: dictionaries with "params", "rule", "lr", "scale" (of the rate), "momentum", "weight_decay".
    """

    def __init__(self, groups: Groups) -> None:
        self.param_groups = groups
        self.state: defaultdict[Tensor, State] = defaultdict(dict)

    @property
    def parameters(self) -> list[Tensor]:
        """Every parameter, group after group: a checkpoint numbers them in this order."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @property
    def decaying(self) -> list[Tensor]:
        """Weights, to which decay and penalties apply; biases and the scales of normalisations are left alone."""
        return [parameter for parameter in self.parameters if parameter.ndim > 1]

    def set_rate(self, lr: float) -> None:
        """Set the rate of each group: `lr` times the group's scale."""
        for group in self.param_groups:
            group["lr"] = lr * group["scale"]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, is_finite: Tensor | None = None) -> None:
        """Move every parameter that has a gradient; nothing moves where `is_finite`, on the device, is false.

        The fused rules find that out on the device. The others have to wait for it, a whole step on a GPU.
        """
        if is_finite is not None and not all(group["rule"] in FUSED for group in self.param_groups):
            if not is_finite:
                return
            is_finite = None
        is_lost = None
        if is_finite is not None:  # as the fused kernels want it, by one operator
            is_lost = torch.empty((), dtype=torch.float32, device=is_finite.device)
            torch.logical_not(is_finite, out=is_lost)
        for group in self._calls():
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moved:
                states = [self.state[parameter] for parameter in moved]
                OPTIMISERS[group["rule"]](group, moved, [parameter.grad for parameter in moved], states, is_lost)

    def _calls(self) -> Groups:
        """The groups, those of the same settings as one: a fused step asks a GPU once, for however many parameters."""
        found: dict[tuple[Any, ...], Group] = {}
        for group in self.param_groups:
            settings = tuple(value for name, value in group.items() if name != "params")
            found.setdefault(settings, {**group, "params": []})["params"].extend(group["params"])
        return list(found.values())


def rows_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the rows of a network in order, by name; of any other module its children."""
    rows = getattr(model, "rows", None)
    return dict(rows.items() if isinstance(rows, nn.ModuleDict) else model.named_children())


def groups(
    model: nn.Module,
    weight_decay: float,
    depth_decay: float = 1.0,
    rule: str = "adamw",
    *,
    norm_bias_scale: float = 1.0,
) -> Groups:
    """Return groups of trainable parameters: weights with decay, and vectors (biases, norm scales) without.

    Args:
        depth_decay: each row's rate is this times that of the next row which has parameters; 1 = one rate for all.
        rule: "muon" sets the filters apart; the rest then follows "adamw".
        norm_bias_scale: the rate of the biases of normalisations is this times that of the rest.

    Raises:
        SettingsError: nothing is left to train, or the network has no filter for Muon.

    Reference: He et al. 2019, Bag of tricks, section 3.1; Howard and Ruder 2018, arXiv:1801.06146 (rate per depth).
    """
    biases = {id(module.bias) for module in model.modules() if isinstance(module, NORMS)}
    heads = [parameter for parameter in model.parameters() if parameter.ndim > 1][-1:]
    found = []
    for scale, parameters in _by_depth(model, depth_decay):
        filters = [p for p in parameters if rule == "muon" and is_filter(p) and not any(p is head for head in heads)]
        chosen = {id(parameter) for parameter in filters}
        weights = [p for p in parameters if p.ndim > 1 and id(p) not in chosen]
        apart = [p for p in parameters if norm_bias_scale != 1 and id(p) in biases]
        vectors = [p for p in parameters if p.ndim <= 1 and all(p is not bias for bias in apart)]
        rest = "adamw" if rule == "muon" else rule
        found += [
            {"params": params, "rule": its_rule, "scale": scale * factor, "weight_decay": decay}
            for params, its_rule, factor, decay in (
                (filters, "muon", 1.0, weight_decay),
                (weights, rest, 1.0, weight_decay),
                (vectors, rest, 1.0, 0.0),
                (apart, rest, norm_bias_scale, 0.0),
            )
            if params
        ]
    if not found:
        raise SettingsError("every parameter is frozen", where="train.stages", fix="leave at least the last row free")
    if rule == "muon" and all(group["rule"] != "muon" for group in found):
        raise SettingsError("the network has no filters for muon", where="train.optimiser", fix="use adamw")
    return found


def _by_depth(model: nn.Module, depth_decay: float) -> Iterator[tuple[float, list[nn.Parameter]]]:
    """Yield (scale of the rate, trainable parameters), first rows first."""
    if depth_decay == 1:
        yield 1.0, [parameter for parameter in model.parameters() if parameter.requires_grad]
        return
    parts = [list(row.parameters()) for row in rows_of(model).values()]
    inside = {id(parameter) for part in parts for parameter in part}
    parts = [[p for p in model.parameters() if id(p) not in inside], *parts]  # a module's own lie before its rows
    parts = [part for part in parts if part]
    for depth, part in zip(reversed(range(len(parts))), parts, strict=True):
        yield depth_decay**depth, [parameter for parameter in part if parameter.requires_grad]


def build(
    model: nn.Module,
    name: str,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    depth_decay: float = 1.0,
    norm_bias_scale: float = 1.0,
) -> Optimiser:
    """Return the optimiser called `name`.

    "sgd" (Nesterov) and "rmsprop" add decay to the gradient (L2), as does "adam"; "adamw", "lion" and "muon" shrink the
    weights beside the step (decoupled decay, Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        momentum: of SGD, RMSprop and Muon; Adam's and Lion's first beta.
        depth_decay, norm_bias_scale: see `groups`.

    Raises:
        SettingsError: unknown name, or nothing to train with it.

    Reference: Chen et al. 2023, arXiv:2302.06675 (Lion, its second beta is 0.99); Jordan 2024 (Muon, see `muon`).
    """
    choose("optimiser", name, OPTIMISERS)
    found = groups(model, weight_decay, depth_decay, name, norm_bias_scale=norm_bias_scale)
    return Optimiser([{**group, "lr": lr * group["scale"], "momentum": momentum} for group in found])
