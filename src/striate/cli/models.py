"""striate models, striate analyze, striate recipes."""

from typing import Annotated, Any

import typer

from striate.base.errors import SettingsError

from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(models)
    app.command()(analyze)
    app.command()(recipes)


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One network: its options.")] = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """List the networks, or one network's options."""
    from striate.base.choose import choose
    from striate.model.zoo import ZOO, options

    found = {name: choose("network", name, ZOO)} if name else ZOO
    rows: list[dict[str, Any]] = [
        {"name": key, "year": entry.year, "paper": entry.paper, "text": entry.text, "options": options(key)}
        for key, entry in found.items()
    ]
    width = max(len(row["name"]) for row in rows)
    lines = [f"{row['name']:<{width}}  {row['year']}  {row['text']}" for row in rows]
    if name:
        lines = [
            f"{rows[0]['paper']}",
            *lines,
            *(f"  {option} = {value}" for option, value in rows[0]["options"].items()),
        ]
    o.give({"command": "models", "models": rows}, "\n".join(lines), as_json)


def analyze(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network's name, a .toml blueprint or a run folder.")],
    size: Annotated[int | None, typer.Option(help="Side of the input in pixels; by default 64, or a run's.")] = None,
    channels: Annotated[int | None, typer.Option(help="Channels of the input; by default 3, or a run's.")] = None,
    outputs: Annotated[int | None, typer.Option(help="Outputs of the head; by default 10, or a run's.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="A blueprint option, e.g. norm=batch; repeatable.")
    ] = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Show a network row by row: output shape, parameters, MACs, receptive field, totals.

    \b
    Examples:
      striate analyze bipyramid --size 64
      striate analyze resnet18 --size 224 --outputs 1000
    """
    from striate.model.table import render
    from striate.model.walk import walk

    blueprint, known = _blueprint(model, option)
    side = size or known["size"]
    cost = walk(
        blueprint, size_hw=(side, side), channels=channels or known["channels"], outputs=outputs or known["outputs"]
    )
    o.give({"command": "analyze", "model": model, **cost.to_json()}, render(cost), as_json)


def _blueprint(model: str, option: list[str] | None) -> tuple[Any, dict[str, int]]:
    from striate.api import load_blueprint

    return load_blueprint(model, dict(_option(text) for text in option or []))


def _option(text: str) -> tuple[str, Any]:
    from striate.base.settings import value_of

    name, sign, value = text.partition("=")
    if not sign:
        raise SettingsError(f"{text!r} is not an option", where="--option", fix="write name=value")
    return name.strip(), value_of(value.strip())


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One recipe: all its settings.")] = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """List the recipes, or all settings of one."""
    from striate.run.recipe import RECIPES, named

    found = {name: named(name)} if name else RECIPES
    if name:
        text = "\n".join(_flat(found[name].model_dump(mode="json")))
    else:
        text = "\n".join(f"{key:<12} {recipe.text}" for key, recipe in found.items())
    o.give(
        {"command": "recipes", "recipes": {key: recipe.model_dump(mode="json") for key, recipe in found.items()}},
        text,
        as_json,
    )


def _flat(values: dict[str, Any], path: str = "") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += _flat(value, f"{path}{key}.")
        else:
            shown = "automatic" if value is None else value
            lines.append(f"{path}{key} = {shown}")
    return lines
