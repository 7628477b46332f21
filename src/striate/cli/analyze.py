"""striate analyze."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.columns import terminal_width
from striate.base.errors import SettingsError

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.model.blueprint import Blueprint

LAYERS = ("conv", "transposed", "pool", "unpool")  # `arithmetic.KINDS`, without loading numpy for `striate -h`

Input = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="conv, transposed, pool, unpool: size of the input, e.g. 28, 5x5 or 4x8x8."),
]
Kernel = Annotated[str | None, typer.Option(metavar="K", help="conv, ...: kernel, one number or one an axis: 3, 3x5.")]
Stride = Annotated[
    str | None, typer.Option(metavar="S", help="conv, ...: stride; by default 1, for pool and unpool the kernel.")
]
Padding = Annotated[str | None, typer.Option(metavar="P", help="conv, ...: padding at each end, or same, or valid.")]
Dilation = Annotated[str | None, typer.Option(metavar="D", help="conv, transposed, pool: inputs from tap to tap.")]
Groups = Annotated[int | None, typer.Option(help="conv, transposed: groups of channels.")]
OutputPadding = Annotated[
    str | None, typer.Option("--output-padding", metavar="A", help="transposed: more output at the far end.")
]
Mode = Annotated[str | None, typer.Option(help="pool: max or avg.")]
Ceil = Annotated[bool | None, typer.Option("--ceil", help="pool: count a last window that is partly outside.")]
CountPadding = Annotated[
    bool | None,
    typer.Option("--count-padding/--no-count-padding", help="pool avg: whether padded zeros count in the mean."),
]


Values = Annotated[
    str | None,
    typer.Option(metavar='FILE|"1 0; 0 1"', help="conv, transposed, pool: own numbers for the input."),
]
Weights = Annotated[
    str | None, typer.Option(metavar='FILE|"1 0; 0 1"', help="conv, transposed: own numbers for the kernel.")
]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="A network row by row: shapes, parameters, MACs", rich_help_panel=h.LOOK)(analyze)


def analyze(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A network's name, a .toml blueprint, a run folder, or conv, transposed, pool, unpool.",
        ),
    ],
    other: Annotated[str | None, typer.Argument(metavar="[OTHER]", help="A second one, shown beside it.")] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="PIXELS", help="The input: 64, or height x width as 180x240; by default its own."),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="Channels of the input; by default its own.", min=1, max=65536)
    ] = None,
    outputs: Annotated[
        int | None, typer.Option(help="Outputs of the head; by default its own.", min=1, max=10_000_000)
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="A blueprint option, e.g. norm=batch; repeatable.")
    ] = None,
    without: o.Without = None,
    pool: o.Pool = None,
    draw: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the network into this file.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing drawing.")] = False,
    input: Input = None,
    kernel: Kernel = None,
    stride: Stride = None,
    padding: Padding = None,
    dilation: Dilation = None,
    groups: Groups = None,
    output_padding: OutputPadding = None,
    mode: Mode = None,
    ceil: Ceil = None,
    count_padding: CountPadding = None,
    values: Values = None,
    weights: Weights = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Show a network row by row: output shape, parameters, MACs, memory, receptive field, what is odd about it.

    \b
    Examples:
      striate analyze bipyramid --size 64
      striate analyze resnet18 --draw resnet18.svg
      striate analyze resnet50 mobilenet_v2        side by side
      striate analyze resnet20 --without skip
      striate analyze conv --input 5x5 --kernel 3 --stride 2 --padding 1
      striate analyze conv --values "1 0 2; 0 1 1; 3 0 1" --weights "1 0; 0 -1"
    """
    layer: dict[str, Any] = {
        "input": input,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }
    layer |= {"groups": groups, "output_padding": output_padding, "mode": mode}
    layer |= {"ceil": ceil, "count_padding": count_padding, "values": values, "weights": weights}
    if model in LAYERS:
        from . import arithmetic

        _refuse({"--without": without, "--pool": pool}, f"{model} is one layer")
        _refuse({"OTHER": other, "--size": size, "--option": option, "--draw": draw}, f"{model} is one layer")
        document, text = arithmetic.show(model, channels=channels, outputs=outputs, **layer)
        o.give({"command": "analyze", "model": model, **document}, text, as_json)
        return
    _refuse({f"--{key.replace('_', '-')}": value for key, value in layer.items()}, f"{model} is no single layer")
    if other:
        _refuse({"--draw": draw}, "two networks do not fit into one drawing")
    model = _ablated(model, without, pool)
    size_hw = o.size_of(size, "--size", 1, 8192)
    given = {"size_hw": size_hw, "channels": channels, "outputs": outputs}
    document, text = _network(model, given, option, draw, overwrite) if not other else _two(model, other, given, option)
    o.give({"command": "analyze", "model": model, **document}, text, as_json)


def _ablated(model: str, without: list[str] | None, pool: str | None) -> str:
    """Return the name of the model without some parts, or with another pooling."""
    from striate.model.ablate import ablated_name

    return ablated_name(model, without or (), pool)


def _network(
    model: str, given: dict[str, Any], option: list[str] | None, draw: Path | None, overwrite: bool
) -> tuple[dict[str, Any], str]:
    from striate.model.issues import examine
    from striate.model.table import render

    blueprint, at = _load(model, given, option)
    found, issues = examine(blueprint, **at)
    text = "\n".join([render(found, ascii_only=not _has_blocks(), width=terminal_width()), *map(str, issues)])
    document = {**found.to_json(), "issues": [issue.to_json() for issue in issues]}
    if draw:
        _draw(draw, blueprint, at, overwrite)
        text += f"\ndrawing {draw}"
        document["drawing"] = str(draw)
    return document, text


def _two(model: str, other: str, given: dict[str, Any], option: list[str] | None) -> tuple[dict[str, Any], str]:
    from striate.model.table import compare
    from striate.model.walk import walk

    first, second = (walk(blueprint, **at) for blueprint, at in (_load(name, given, option) for name in (model, other)))
    return {"other": other, "walks": [first.to_json(), second.to_json()]}, compare(first, second)


def _load(model: str, given: dict[str, Any], option: list[str] | None) -> tuple["Blueprint", dict[str, Any]]:
    """Return the blueprint and the input and head to look at it with."""
    from striate.model.ablate import split_name
    from striate.model.zoo import ZOO, options
    from striate.run.blueprint import load_blueprint

    chosen, name = dict(_option(text) for text in option or []), split_name(model)[0]
    if given["size_hw"] and name in ZOO and "size" in options(name):
        chosen.setdefault("size", min(given["size_hw"]))
    blueprint, known = load_blueprint(model, chosen)
    return blueprint, {key: given[key] or value for key, value in known.items()}


def _draw(path: Path, blueprint: "Blueprint", at: dict[str, Any], overwrite: bool) -> None:
    from striate.base.files import write_text
    from striate.model.draw import draw

    if path.suffix != ".svg":
        raise SettingsError(f"{path} is no .svg file", where="--draw", fix="give a name that ends in .svg")
    if path.exists() and not overwrite:
        raise SettingsError(f"{path} exists", where="--draw", fix="give another name, or --overwrite")
    write_text(path, draw(blueprint, **at))


def _refuse(options: dict[str, Any], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise SettingsError(f"{why}: no {name}", where=name, fix="leave it out")


def _has_blocks() -> bool:
    """Return whether stdout can show block characters."""
    try:
        "█▏".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _option(text: str) -> tuple[str, Any]:
    from striate.base.settings import value_of

    name, sign, value = text.partition("=")
    if not sign:
        raise SettingsError(f"{text!r} is not an option", where="--option", fix="write name=value")
    return name.strip(), value_of(value.strip())
