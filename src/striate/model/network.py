"""The module a blueprint becomes."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

from torch import Tensor, nn

from striate.base.choose import nearest
from striate.base.errors import ModelError, SettingsError

from .blueprint import IMAGE, Blueprint
from .late import has_hooks, late_activations, pooled

Shape = tuple[int, ...]
Step = tuple[str, tuple[str, ...], tuple[str, ...]]  # row, the rows it takes, maps nobody needs after it


class Network(nn.Module):
    """Rows applied in order; each is a module in `rows`, under its name.

    Args:
        blueprint: the table it was built from.
        rows: row name -> module, in the table's order.
        shapes: row name -> shape of its output without N, for the size it was built for.
        channels: of the input.
        outputs: how many numbers it gives for an image, or for each place of a map.
        size_hw: sides it was built for, as in `build`; others work unless a row is tied to the size (flatten).
    """

    def __init__(
        self,
        blueprint: Blueprint,
        rows: Mapping[str, nn.Module],
        shapes: Mapping[str, Shape],
        *,
        channels: int,
        outputs: int,
        size_hw: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.blueprint = blueprint
        self.shapes = dict(shapes)
        self.channels, self.outputs, self.size_hw = channels, outputs, size_hw
        self.rows = nn.ModuleDict(dict(rows))
        self.stages = find_stages(blueprint, shapes)
        self.grids = find_grids(blueprint, shapes)
        self._late = late_activations(blueprint, rows)
        self._plans: dict[tuple[tuple[str, ...], ...], tuple[Step, ...]] = {}

    def forward(
        self, x: Tensor, auxiliary: bool = False, known: Mapping[str, Tensor] | None = None
    ) -> Tensor | list[Tensor] | dict[str, Tensor]:
        """Return the outputs (N, outputs) of images (N, C, H, W); those of all ends as a list, where it has several.

        Args:
            auxiliary: whether to return those of the auxiliary heads too: row name -> outputs, the main one last.
            known: outputs of rows for these images, which are not computed again, nor is what only they need.

        Raises:
            ModelError: the images have another number of channels than the network.
        """
        if x.shape[1] != self.channels:
            raise ModelError(
                f"the network takes {self.channels} channels; got {x.shape[1]}",
                where=self.blueprint.name,
                fix=f"build it with channels={x.shape[1]} or convert the images",
            )
        if self.blueprint.ends:
            return list(self._run(x, self.blueprint.ends, known).values())
        last = self.blueprint.names[-1]
        wanted = (*self.blueprint.auxiliary_heads, last) if auxiliary else (last,)
        found = self._run(x, wanted, known)
        return found if auxiliary else found[last]

    def features(self, x: Tensor, at: str | None = None) -> dict[str, Tensor]:
        """Return maps of the body (head left out): row name -> (N, C, H, W), fine to coarse.

        Tokens of a transformer come as the map they were cut from, without the class token.

        Args:
            at: the name of one row, whose output alone is returned; by default those of `stages`, a row a stride.

        Raises:
            SettingsError: no row has that name.
        """
        if at is None:
            return self._maps(x, self.stages)
        if at not in self.rows:
            close = nearest(at, self.rows)
            raise SettingsError(
                f"no row {at!r}",
                where=self.blueprint.name,
                fix=f"did you mean {close!r}?" if close else f"choose among {', '.join(self.rows)}",
            )
        return self._maps(x, (at,))

    def outputs_of(self, x: Tensor, rows: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the outputs of rows, by name, as the rows behind them take them: tokens stay tokens."""
        return self._run(x, rows)

    def ending_in(self, *ends: str) -> "Network":
        """Return a network of the same modules, not copies, that gives the outputs of these rows and runs no others.

        Raises:
            SettingsError: no row has that name.
        """
        other = copy(self)
        other.blueprint = replace(self.blueprint, ends=ends)
        return other

    def _maps(self, x: Tensor, wanted: tuple[str, ...]) -> dict[str, Tensor]:
        found = self._run(x, wanted)
        for name in self.grids.keys() & found.keys():
            high, wide = self.grids[name]
            found[name] = found[name][:, :, -high * wide :].unflatten(2, (high, wide))
        return found

    def _run(self, x: Tensor, wanted: tuple[str, ...], known: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        known = known or {}
        key = wanted, tuple(known)
        if key not in self._plans:
            self._plans[key] = plan(self.blueprint, *key)
        late = {
            pool: first
            for pool, first in self._late.items()
            if first not in wanted and first not in known and not has_hooks(self.rows[first], self.rows[pool])
        }
        maps = {IMAGE: x, **known}
        for name, sources, spent in self._plans[key]:
            if name in late.values():
                maps[name] = maps[sources[0]]  # its pooling row applies it
            elif name in late:
                maps[name] = pooled(self.rows[late[name]], self.rows[name], maps[late[name]])
            else:
                maps[name] = self.rows[name](*[maps[source] for source in sources])
            for old in spent:
                del maps[old]
        return {name: maps[name] for name in wanted}


def plan(blueprint: Blueprint, wanted: tuple[str, ...], known: tuple[str, ...] = ()) -> tuple[Step, ...]:
    """Return the steps that give the wanted rows and nothing more, each with the maps to forget after it.

    Args:
        known: rows whose outputs are there.
    """
    needed, sources = set(wanted), blueprint.sources
    for name in reversed(blueprint.names):
        if name in needed and name not in known:
            needed.update(sources[name])
    order = [name for name in blueprint.names if name in needed and name not in known]
    last_use = {source: name for name in order for source in sources[name]}
    return tuple(
        (name, sources[name], tuple(old for old in last_use if last_use[old] == name and old not in wanted))
        for name in order
    )


def find_stages(blueprint: Blueprint, shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """Return the last row at each stride before the head, fine to coarse; rows on side branches do not count.

    A stage lasts until the map has two thirds of its size or less: convolutions without padding take a rim off, which
    is no new stride. Tokens count as the map they were cut from.
    """
    path = {name for name, _, _ in plan(blueprint, blueprint.ends or (blueprint.names[-1],))}
    grids = find_grids(blueprint, shapes)
    stages: list[str] = []
    start = 0
    for name in blueprint.names:
        is_vector = len(shapes[name]) < 3 and name not in grids
        if name == blueprint.head or (not blueprint.head and name in path and is_vector):
            break
        if name not in path or is_vector:
            continue
        side = min(grids.get(name, shapes[name][1:]))
        if not stages or 3 * side <= 2 * start:
            start = side
            stages.append(name)
        stages[-1] = name
    return tuple(stages)


def find_grids(blueprint: Blueprint, shapes: Mapping[str, Shape]) -> dict[str, tuple[int, int]]:
    """Return row of tokens -> height and width of the map that they were cut from."""
    grids: dict[str, tuple[int, int]] = {}
    for name, sources in blueprint.sources.items():
        first = sources[0]
        if len(shapes[name]) != 2 or first == IMAGE:
            continue
        like = grids.get(first) or (shapes[first][1:] if len(shapes[first]) == 3 else ())
        if len(like) == 2 and shapes[name][1] >= like[0] * like[1]:
            grids[name] = (like[0], like[1])
    return grids
