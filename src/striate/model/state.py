"""A module's tensors under its own names: without those of what it is wrapped in, tied ones once."""

from collections.abc import Iterable, Mapping

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

COMPILED = "_orig_mod"  # the name under which a compiled module holds its own; no layer is called so
PREFIXES = ("module.", f"{COMPILED}.")  # of networks wrapped for several devices, or compiled


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's state for a file, which the same network reads again wrapped or not.

    Example:
        >>> list(state_of(nn.DataParallel(nn.Linear(2, 3))))
        ['weight', 'bias']
    """
    found, tied = dict[str, Tensor](), set[int]()
    names = plain_names(network)
    for name, tensor in network.state_dict(keep_vars=True).items():
        if id(tensor) not in tied:
            found[names[name]] = tensor if is_lazy(tensor) else tensor.detach()
        tied.add(id(tensor))
    return found


def load_state(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put a state back that `state_of` gave, whatever the network is wrapped in now or was then."""
    given, names = without_prefixes(tensors), plain_names(network)
    state, first = network.state_dict(keep_vars=True), dict[int, str]()
    for name, tensor in state.items():
        first.setdefault(id(tensor), names[name])
    plain = {name: names[name] if names[name] in given else first[id(state[name])] for name in state}
    known = {name: given[plain[name]] for name in state if plain[name] in given}
    network.load_state_dict(known | {name: given[name] for name in given.keys() - set(names.values())})


def plain_names(network: nn.Module) -> dict[str, str]:
    """Return the names of the state -> those without wrappers, wherever in the network they are."""
    inner = {COMPILED}
    wrappers = {path for path, module in network.named_modules() if _is_parallel(module)}

    def plain(name: str) -> str:
        parts = name.split(".")
        kept = [
            part
            for place, part in enumerate(parts)
            if part not in inner and not (part == "module" and ".".join(parts[:place]) in wrappers)
        ]
        return ".".join(kept)

    return {name: plain(name) for name in network.state_dict()}


def without_prefixes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file without the prefixes that every name has, and those of compiled parts.

    Example:
        >>> without_prefixes({"module._orig_mod.a": 1, "module._orig_mod.b._orig_mod.c": 2})
        {'a': 1, 'b.c': 2}
    """
    names = list(tensors)
    while prefix := next((one for one in PREFIXES if names and all(name.startswith(one) for name in names)), ""):
        names = [name.removeprefix(prefix) for name in names]
    names = [".".join(part for part in name.split(".") if part != COMPILED) for name in names]
    return dict(zip(names, tensors.values(), strict=True))


def under_known_names(tensors: Mapping[str, Tensor], known: Iterable[str]) -> dict[str, Tensor]:
    """Return the tensors without what all their names begin with, if they have known names then.

    A body saved as a part of something else has a prefix of its own ("model.", "backbone.", "net."): no list of such
    words would be complete, so any first part that all names share is taken off. Where some name is unknown even then,
    all stay as they were.

    Example:
        >>> list(under_known_names({"net.body.a.weight": 1, "net.body.b.weight": 2}, ["a.weight", "b.weight"]))
        ['a.weight', 'b.weight']
        >>> list(under_known_names({"other.a": 1, "other.c": 2}, ["a", "b"]))
        ['other.a', 'other.c']
    """
    names, wanted = list(tensors), set(known)
    while names and not wanted.issuperset(names):
        first = names[0].partition(".")[0] + "."
        if not all(name.startswith(first) for name in names):
            return dict(tensors)
        names = [name.removeprefix(first) for name in names]
    return dict(zip(names, tensors.values(), strict=True))


def _is_parallel(module: nn.Module) -> bool:
    return isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel)
