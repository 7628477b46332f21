"""Ablation: a blueprint without one of its parts, or with another pooling. Rows go in, rows come out.

What each part is, and what is left when it goes:

- `skip`: the input that is added around a branch, projections and stochastic depth too; the branch stays. Rows `add`
  keep the latest of their inputs. DenseNet's concatenation and the sums inside NASNet's cells are no skips: they are
  all there is between layers, so nothing would be left.
- `norm`: every normalisation; the convolutions before them get a bias.
- `aux`: auxiliary outputs and the rows that lead to them alone.
- `se`: squeeze-and-excitation.
- `depthwise`: depthwise convolutions become plain ones of the same kernel, which see all channels: each has as many
  times more parameters as it has channels. Grouped convolutions (ResNeXt) are not depthwise.

`pool` concerns the pooling that makes maps smaller, in rows and inside blocks (Xception, Inception, NASNet, LeNet's
trained subsampling): "max", "avg", or "stride", which takes the middle of each window, as if the convolution before had
the stride (`striate.nn.blocks.pool.Pick`). Maps keep their sizes. Global and adaptive pooling, windows of stride 1 and
auxiliary heads stay as they are.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from inspect import Parameter
from typing import Any

from striate.base.choose import choose
from striate.base.errors import SettingsError

from .blueprint import Blueprint, Row

NAMED = re.compile(
    r"(?P<model>.+?)(?: without (?P<parts>[a-z]+(?:(?:, | and )[a-z]+)*))?(?: with (?P<pool>[a-z]+) pooling)?"
)
POOL_ROWS = {"max_pool": "max", "avg_pool": "avg", "stride_pool": "stride", "subsample": "trained"}
POOL_STEPS = {"max", "avg", "stride"}


def ablate(blueprint: Blueprint, without: Collection[str] = (), pool: str | None = None) -> Blueprint:
    """Return the blueprint without some parts or with another pooling; its name says so.

    Args:
        without: among "skip", "norm", "aux", "se", "depthwise".
        pool: "avg", "max" or "stride".

    Raises:
        SettingsError: a part or a pooling is unknown, or the network does not have it; what it has is named.

    Example:
        >>> from striate.model.zoo import blueprint
        >>> plain = ablate(blueprint("resnet20"), without=("skip",))
        >>> plain.name, plain.rows[1].options["skip"]
        ('resnet20 without skip', False)
    """
    given = blueprint
    for part in _in_order(without):
        changed = PARTS[part](blueprint)
        if changed == blueprint:
            raise SettingsError(f"{given.name} has no {part}", where=f"without {part}", fix=_what_it_has(given))
        blueprint = changed
    if pool is not None:
        choose("pooling", pool, {"avg": 0, "max": 0, "stride": 0})
        changed = _with_pool(blueprint, pool)
        if changed == blueprint:
            kinds = [kind for kind in sorted(POOL_STEPS) if _with_pool(blueprint, kind) != blueprint]
            what = f"{given.name} pools by {pool} already" if kinds else f"{given.name} has no pooling between maps"
            fix = f"choose {' or '.join(kinds)}" if kinds else _what_it_has(given)
            raise SettingsError(what, where=f"pool {pool}", fix=fix)
        blueprint = changed
    return replace(blueprint, name=ablated_name(given.name, without, pool))


def parts_of(blueprint: Blueprint) -> tuple[str, ...]:
    """Return the parts that `ablate` can take from a blueprint.

    Example:
        >>> from striate.model.zoo import blueprint
        >>> parts_of(blueprint("mobilenet_v3_small"))
        ('skip', 'norm', 'se', 'depthwise')
    """
    return tuple(part for part, take in PARTS.items() if take(blueprint) != blueprint)


def ablated_name(model: str, without: Collection[str] = (), pool: str | None = None) -> str:
    """Return how a model with parts taken out is called; wherever a model is named, this names it so.

    Example:
        >>> ablated_name("resnet18", ["norm", "skip"], "avg")
        'resnet18 without skip and norm with avg pooling'
        >>> ablated_name("resnet18 without skip", ["norm"])
        'resnet18 without skip and norm'
    """
    model, parts, known_pool = split_name(model)
    ordered, pool = _in_order({*parts, *without}), pool or known_pool
    text = f" without {', '.join(ordered[:-1])}{' and ' if ordered[1:] else ''}{ordered[-1]}" if ordered else ""
    return model + text + (f" with {pool} pooling" if pool else "")


def split_name(name: str) -> tuple[str, tuple[str, ...], str | None]:
    """Return the model, the parts taken out and the pooling that a name tells.

    Example:
        >>> split_name("resnet18 without skip and norm with avg pooling")
        ('resnet18', ('skip', 'norm'), 'avg')
    """
    found = NAMED.fullmatch(name)
    if found is None:
        return name, (), None
    return found["model"], tuple(re.split(", | and ", found["parts"])) if found["parts"] else (), found["pool"]


def _in_order(parts: Collection[str]) -> list[str]:
    for part in parts:
        choose("part", part, PARTS)
    return [part for part in PARTS if part in parts]


def _what_it_has(blueprint: Blueprint) -> str:
    parts = list(parts_of(blueprint))
    kinds = [f"pool {kind}" for kind in sorted(POOL_STEPS) if _with_pool(blueprint, kind) != blueprint]
    return f"it has {', '.join(parts + kinds)}" if parts + kinds else "choose another network"


def _takes(row: Row) -> Mapping[str, Parameter]:
    """Return the parameters of a row's block; none if there is no such block, which the builder says better."""
    from striate.nn.blocks import BLOCKS

    from .build import parameters

    return parameters(BLOCKS[row.block]) if row.block in BLOCKS else {}


def _switched(blueprint: Blueprint, key: str, off: Any, is_on: Callable[[Any], bool]) -> Blueprint:
    """Return the blueprint with an option off wherever it is on, by the row, by the defaults or by the block."""
    defaults = dict(blueprint.defaults)
    if is_on(defaults.get(key, off)):
        defaults[key] = off
    rows = []
    for row in blueprint.rows:
        takes = _takes(row)
        if key in takes and takes[key].default is not Parameter.empty:
            usual = row.options.get(key, defaults.get(key, takes[key].default))
            if any(is_on(value) for value in row.each.get(key, (usual,))):
                options = _less(row.options, key) | ({} if defaults.get(key) == off else {key: off})
                row = replace(row, options=options, each=_less(row.each, key))
        rows.append(row)
    return replace(blueprint, rows=tuple(rows), defaults=defaults)


def _less(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _without_skip(blueprint: Blueprint) -> Blueprint:
    changed = _switched(blueprint, "skip", False, bool)
    rates = {"drop_path": 0.0} if "drop_path" in blueprint.defaults else {}
    rows, sources = [], blueprint.sources
    for row in changed.rows:
        if "skip" in _takes(row):
            options = {**_less(row.options, "drop_path"), **rates}
            row = replace(row, options=options, each=_less(row.each, "drop_path"))
        elif row.block == "add" and len(sources[row.name]) > 1:
            row = replace(row, inputs=(max(sources[row.name], key=(*blueprint.names,).index),))
        rows.append(row)
    return _only(replace(changed, rows=tuple(rows)), (*blueprint.auxiliary_heads, *blueprint.ends, blueprint.names[-1]))


def _without_norm(blueprint: Blueprint) -> Blueprint:
    from striate.nn.blocks.norm import normalises

    changed = _switched(blueprint, "norm", "none", normalises)
    if changed == blueprint:
        return blueprint
    rows = [
        replace(row, options=_less(row.options, "bias")) if row.options.get("bias") is False else row
        for row in changed.rows
    ]
    return replace(changed, rows=tuple(rows))


def _without_aux(blueprint: Blueprint) -> Blueprint:
    return _only(blueprint, (*blueprint.ends, blueprint.names[-1]))


def _without_se(blueprint: Blueprint) -> Blueprint:
    changed = _switched(blueprint, "squeeze", 0, lambda value: isinstance(value, int | float) and value > 0)
    through = {name: changed.sources[name][0] for name in changed.names if _block(changed, name) == "squeeze_excite"}
    rows = []
    for row in changed.rows:
        sources = changed.sources[row.name]
        while any(source in through for source in sources):
            sources = tuple(through.get(source, source) for source in sources)
        if row.name not in through:
            rows.append(replace(row, inputs=sources) if sources != changed.sources[row.name] else row)
    return replace(changed, rows=tuple(rows))


def _block(blueprint: Blueprint, name: str) -> str:
    return blueprint.rows[blueprint.names.index(name)].block


def _without_depthwise(blueprint: Blueprint) -> Blueprint:
    changed = _switched(blueprint, "depthwise", False, bool)
    rows = [
        replace(row, options=_less(row.options, "groups"))
        if row.block in {"conv", "pre_conv"} and row.width > 1 and row.options.get("groups") == row.width
        else row
        for row in changed.rows
    ]
    return replace(changed, rows=tuple(rows))


def _only(blueprint: Blueprint, wanted: tuple[str, ...]) -> Blueprint:
    """Return the blueprint with no rows but those that the wanted ones need."""
    from .network import plan

    needed = {name for name, _, _ in plan(blueprint, wanted)}
    head = blueprint.head if blueprint.head in needed else ""
    return replace(blueprint, rows=tuple(row for row in blueprint.rows if row.name in needed), head=head)


def _with_pool(blueprint: Blueprint, kind: str) -> Blueprint:
    rows = tuple(_pooled_row(row, kind, dict(blueprint.defaults)) for row in blueprint.rows)
    defaults = dict(blueprint.defaults)
    if "reduction_pairs" in defaults:
        defaults["reduction_pairs"] = _pooled_pairs(defaults["reduction_pairs"], kind)
    return replace(blueprint, rows=rows, defaults=defaults)


def _pooled_row(row: Row, kind: str, defaults: Mapping[str, Any]) -> Row:
    options, takes = dict(row.options), _takes(row)
    if row.block in POOL_ROWS and row.stride > 1 and POOL_ROWS[row.block] != kind:
        kept = {key: value for key, value in options.items() if key in {"kernel", "padding", "ceil"}}
        if kind == "avg" and options.get("padding"):
            kept["count_padding"] = False  # a mean of pixels, not of zeros
        return replace(row, block=f"{kind}_pool", options=kept)
    if "pool" in takes and row.stride > 1 and options.get("pool", defaults.get("pool", takes["pool"].default)) != kind:
        options["pool"] = kind
    if "ways" in options and "ways" in takes:
        options["ways"] = _pooled_ways(options["ways"], kind)
    if "reduction_pairs" in options:
        options["reduction_pairs"] = _pooled_pairs(options["reduction_pairs"], kind)
    return replace(row, options=options)


def _pooled_ways(ways: Any, kind: str) -> Any:
    """Return an Inception module's ways with its pooling of a stride changed."""
    if not isinstance(ways, list | tuple):
        return ways
    if len(ways) > 2 and ways[0] in POOL_STEPS and ways[2] != 1:
        return (kind, *ways[1:])
    return tuple(_pooled_ways(way, kind) for way in ways)


def _pooled_pairs(pairs: Any, kind: str) -> Any:
    """Return a reduction cell's pairs with the pooling of the two maps before it changed; others have no stride."""
    known = {f"{one}3" for one in POOL_STEPS}

    def changed(name: str, state: int) -> tuple[str, int]:
        return (f"{kind}3" if name in known and state < 2 else name), state

    return tuple((*changed(*pair[:2]), *changed(*pair[2:])) for pair in pairs)


PARTS: Mapping[str, Callable[[Blueprint], Blueprint]] = {
    "skip": _without_skip,
    "norm": _without_norm,
    "aux": _without_aux,
    "se": _without_se,
    "depthwise": _without_depthwise,
}
