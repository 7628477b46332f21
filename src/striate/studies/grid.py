"""Study plans: every combination of settings, or random draws, on top of one base variant.

    data = "birds/"
    seeds = 2

    [base]                                   # a variant without a name: model, recipe, set, ...
    recipe = "regularized"
    set = ["train.epochs=20"]

    [grid]                                   # all combinations: 2 x 2 variants
    model = ["bipyramid", "xception_small"]
    "train.lr" = [1e-3, 1e-2]

    [random]                                 # instead of, or on top of, the grid: n draws
    n = 20
    seed = 0
    "train.lr" = {low = 1e-4, high = 1e-1, log = true}
    "model.dropout" = [0.0, 0.2, 0.5]

A key is a setting of the recipe, or `model`, `recipe`, `pool` or `num_train`. A range whose ends are whole numbers
draws whole numbers, both ends among them. With both tables each draw is made anew for every combination.

Reference: Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012).
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from pydantic import Field

from striate.base.errors import SettingsError
from striate.base.seeds import rng_for
from striate.base.settings import Settings
from striate.base.text import plural
from striate.run.assignment import toml
from striate.run.recipe import named

OWN = ("model", "recipe", "pool", "num_train")  # keys of a variant; others are settings of its recipe
LARGEST = 1000  # variants
LONGEST = 60  # characters of a name
TRIES = 100  # draws that come up once more are drawn again, so often at most


class Range(Settings):
    """Numbers from `low` to `high`, even in the logarithm when `log`."""

    low: int | float
    high: int | float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> int | float:
        """Return a number; a fraction to 3 significant digits, which is as much as a person wants to read."""
        low, high, is_whole = self.low, self.high, isinstance(self.low, int) and isinstance(self.high, int)
        if is_whole:
            low, high = low - 0.5, high + 0.5
        value = math.exp(rng.uniform(math.log(low), math.log(high))) if self.log else rng.uniform(low, high)
        rounded = round(value) if is_whole else float(f"{value:.3g}")
        return min(max(rounded, self.low), self.high)


class Draws(Settings):
    """How many draws, and their seed."""

    n: int = Field(ge=1, le=LARGEST)
    seed: int = Field(0, ge=0)


Choices = dict[str, list[Any]]
Ranges = dict[str, list[Any] | Range]


def expanded(table: dict[str, Any], path: object) -> dict[str, Any]:
    """Return a study file's tables with [base], [grid] and [random] made into variants; others are left alone.

    Raises:
        SettingsError: a table or a setting is wrong; the message names the file, the table and the field.
    """
    if not {"base", "grid", "random"} & table.keys():
        return table
    if "grid" not in table and "random" not in table:
        raise SettingsError("a base without a plan", where=f"{path}: base", fix="add [grid] or [random]")
    if "variant" in table:
        raise SettingsError("both a plan and variants", where=f"{path}: variant", fix="leave one of them out")
    base = _base(table.get("base", {}), path)
    choices: Choices = {}
    for key, value in _axes(table.get("grid", {}), f"{path}: grid"):
        choices[key] = _list(value, f"{path}: grid: {key}")
    draws, ranges = _random(table["random"], f"{path}: random") if "random" in table else (None, {})
    twice = next((key for key in ranges if key in choices), None)
    if twice:
        raise SettingsError(f"{twice} is in [grid] too", where=f"{path}: random: {twice}", fix="leave one of them out")
    num = math.prod(len(values) for values in choices.values()) * (draws.n if draws else 1)
    if num > LARGEST:
        raise SettingsError(
            f"{num:,} variants", where=f"{path}: grid", fix=f"plan {LARGEST:,} at most, or use [random]"
        )
    points = list(_points(choices, draws, ranges, path))
    for where, axes in (("grid", choices), ("random", ranges)):
        _require_settings(base, [{key: point[key] for key in axes} for point in points], f"{path}: {where}")
    rest = {key: value for key, value in table.items() if key not in {"base", "grid", "random"}}
    return {**rest, "variant": _variants(base, points)}


def plan_of(table: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the tables of a study file that are a plan, as study.json records them; None without a plan."""
    found = {key: table[key] for key in ("base", "grid", "random") if key in table}
    return found or None


def _base(base: Any, path: object) -> dict[str, Any]:
    if not isinstance(base, dict):
        raise SettingsError("base is not a table", where=f"{path}: base", fix="write [base]")
    if "name" in base:
        raise SettingsError("the plan names its variants", where=f"{path}: base: name", fix="leave it out")
    if not isinstance(base.get("set", []), list):
        raise SettingsError("set is not a list", where=f"{path}: base: set", fix='write ["train.epochs=20"]')
    return {"recipe": "baseline", "set": [], **base}


def _axes(table: Any, where: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a plan: `"train.lr" = [...]`, or `train.lr = [...]`, which TOML takes for a table in a table."""
    if not isinstance(table, dict):
        raise SettingsError("a plan is a table of settings", where=where, fix=f"write [{where.rsplit(' ', 1)[-1]}]")
    for key, value in table.items():
        if isinstance(value, dict) and not {"low", "high"} & value.keys():
            yield from _axes(value, where, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise SettingsError("not a list of values", where=where, fix="write [first, second]")
    if any(value.count(item) > 1 for item in value):
        raise SettingsError("a value stands there twice", where=where, fix="leave one of them out")
    return value


def _random(table: Any, where: str) -> tuple[Draws, Ranges]:
    if not isinstance(table, dict):
        raise SettingsError("random is not a table", where=where, fix="write [random]")
    draws = Draws.parse({key: table[key] for key in ("n", "seed") if key in table}, where)
    axes = _axes({key: value for key, value in table.items() if key not in {"n", "seed"}}, where)
    ranges: Ranges = {}
    for key, value in axes:
        place = f"{where}: {key}"
        ranges[key] = _range(value, place) if isinstance(value, dict) else _list(value, place)
    if not ranges:
        raise SettingsError("nothing to draw", where=where, fix='add a setting, such as "train.lr" = [1e-3, 1e-2]')
    return draws, ranges


def _range(value: dict[str, Any], where: str) -> Range:
    found = Range.parse(value, where)
    if not found.low < found.high:
        raise SettingsError(f"low {found.low} is not below high {found.high}", where=where, fix="exchange them")
    if found.log and found.low <= 0:
        raise SettingsError(f"low {found.low} has no logarithm", where=where, fix="set it above 0")
    return found


def _points(choices: Choices, draws: Draws | None, ranges: Ranges, path: object) -> Iterator[dict[str, Any]]:
    """Every combination; with [random], n different draws for each."""
    for number, values in enumerate(product(*choices.values())):
        combination = dict(zip(choices, values, strict=True))
        if draws is None:
            yield combination
            continue
        rng, seen = rng_for(draws.seed, "study plan", number), list[dict[str, Any]]()
        for _ in range(draws.n):
            for _ in range(TRIES):
                drawn = {key: _drawn(axis, rng) for key, axis in ranges.items()}
                if drawn not in seen:
                    break
            else:
                what = f"fewer than {plural(draws.n, 'different draw')} found"
                raise SettingsError(what, where=f"{path}: random: n", fix=f"set it to {len(seen)}, or use [grid]")
            seen.append(drawn)
            yield {**combination, **drawn}


def _drawn(axis: list[Any] | Range, rng: np.random.Generator) -> Any:
    return axis.draw(rng) if isinstance(axis, Range) else axis[int(rng.integers(len(axis)))]


def _require_settings(base: dict[str, Any], points: list[dict[str, Any]], where: str) -> None:
    """Try every value of every setting alone, so that a wrong one is named by its field."""
    tried: set[str] = set()
    for point in points:
        for key, value in point.items():
            assignment = f"{key}={toml(value)}"
            if assignment in tried:
                continue
            tried.add(assignment)
            if key in {"model", "recipe"}:
                _require_name(key, value, f"{where}: {key}")
            elif key not in OWN:
                name = str(base["recipe"])
                recipe = named("baseline" if name.endswith(".toml") else name)
                recipe.changed([assignment], where)


def _require_name(key: str, value: Any, where: str) -> None:
    """Refuse what names no network, or no recipe."""
    from striate.run.network import require  # needs torch, which reading a plan otherwise does not

    if not isinstance(value, str):
        raise SettingsError(f"{value!r} is no name", where=where, fix=f"see `striate {key}s`")
    try:
        if key == "model":
            require(value)
        elif not value.endswith(".toml"):
            named(value)
    except SettingsError as problem:
        raise SettingsError(problem.what, where=where, fix=problem.fix) from None


def _variants(base: dict[str, Any], points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    varied = [key for key in points[0] if len({toml(point[key]) for point in points}) > 1] if len(points) > 1 else []
    shown = varied or list(points[0])
    names = _names([{key: point[key] for key in shown} for point in points])
    return [_variant(base, point, shown, name) for point, name in zip(points, names, strict=True)]


def _variant(base: dict[str, Any], point: dict[str, Any], shown: list[str], name: str) -> dict[str, Any]:
    own = {key: value for key, value in point.items() if key in OWN}
    changes = [f"{key}={toml(value)}" for key, value in point.items() if key not in OWN]
    text = ", ".join(f"{key} {_plain(point[key])}" for key in shown)
    return {**base, **own, "set": [*base["set"], *changes], "name": name, "text": text}


def _names(points: list[dict[str, Any]]) -> list[str]:
    """Return readable names that can be folders and differ: `lenet5+lr-0.001`, numbered where they are cut."""
    short = {key: key.rsplit(".", 1)[-1] for key in points[0]}
    for key, last in short.items():  # two settings that end alike keep their whole path
        if list(short.values()).count(last) > 1:
            short[key] = key.replace(".", "-")
    names = ["+".join(_label(short[key], value) for key, value in point.items()) for point in points]
    safe = [re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.") or "variant" for name in names]
    if len({name.lower() for name in safe}) == len(safe) and all(len(name) <= LONGEST for name in safe):
        return safe
    width = len(str(len(safe)))
    return [f"{number:0{width}d}-{name}"[:LONGEST].rstrip("-.") for number, name in enumerate(safe, 1)]


def _label(key: str, value: Any) -> str:
    return value if isinstance(value, str) and key in {"model", "recipe", "augment"} else f"{key}-{_plain(value)}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
