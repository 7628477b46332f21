"""striate models, striate recipes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.errors import SettingsError
from striate.base.size import SizeHW, size_text

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.base.progress import Progress
    from striate.model.catalogue import Facts
    from striate.model.timing import Timing


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="The networks, with what they cost and score", rich_help_panel=h.LOOK)(models)
    app.command(short_help="The recipes, and all settings of one", rich_help_panel=h.LEARN)(recipes)


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One network, a pattern (resnet*), or a text to find.")
    ] = None,
    time: Annotated[
        bool, typer.Option("--time", help="Measure steps of the named networks here, beside the reference's module.")
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(metavar="PIXELS", help="With --time: the input, 224 or height x width; by default the network's."),
    ] = None,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """List the networks with what they cost and score; one network's options; or how fast they are here.

    \b
    Examples:
      striate models
      striate models "mobilenet*"
      striate models resnet18 --time --size 224 --threads 2
    """
    from striate.model.catalogue import facts, matching
    from striate.model.zoo import ZOO, options

    found = [facts(key) for key in (matching(name) if name else ZOO)]
    rows = [fact.to_json() | {"options": options(fact.name)} for fact in found]
    if time:
        if not name:
            raise SettingsError("all networks would take hours", where="--time", fix="name one: striate models NAME")
        o.use_threads(threads)
        document, text = _time([fact.name for fact in found], o.size_of(size, "--size", 8, 2048), o.progress_for(quiet))
        o.give({"command": "models", "models": rows, **document}, text, as_json)
        return
    text = _one(found[0], rows[0]["options"]) if len(found) == 1 and name else _list(found)
    o.give({"command": "models", "models": rows}, text, as_json)


HEADINGS = ("name", "year", "input", "parameters", "MACs", "depth", "MB", "top-1", "top-5", "")
NOTE = (
    "Counted at each network's own input, of what prediction runs; MB: all weights in float32. Top-1, top-5: percent\n"
    "on ImageNet's validation images as the publisher of the weights states them, * as Keras does; striate models\n"
    "NAME has both, and their sources."
)


def _list(found: list["Facts"]) -> str:
    from striate.base.columns import count, fitted, terminal_width

    lines = [
        (
            *(fact.name, str(fact.year), fact.input),
            *(count(fact.parameters), count(fact.macs), str(fact.depth), f"{fact.size_mb:.1f}"),
            *_scores(fact),
            fact.text,
        )
        for fact in found
    ]
    rows = fitted([HEADINGS, *lines], {0, 9}, terminal_width(), drop=(9, 5, 2, 6, 8, 1, 4, 3), cut=9)
    return "\n".join([*rows, NOTE])


def _scores(fact: "Facts") -> tuple[str, str]:
    """The first accuracy that is stated, marked where it is not of the weights that are published."""
    if not fact.stated:
        return "-", "-"
    first = fact.stated[0]
    mark = "" if first.source == fact.weights else "*"
    return f"{mark}{first.top1:.1f}", f"{first.top5:.1f}"


def _one(fact: "Facts", options: dict[str, Any]) -> str:
    from striate.base.columns import count

    known = [
        f"top-1 {one.top1} %, top-5 {one.top5} % on ImageNet at {one.size_px} px ({one.source})" for one in fact.stated
    ]
    if fact.weights and fact.weights not in {one.source for one in fact.stated}:
        known.append(f"weights by {fact.weights}, which states no accuracy")
    more = fact.parameters_trained - fact.parameters
    sides = [f"{more:,} more parameters in auxiliary outputs, which only training runs"] if more else []
    return "\n".join(
        [
            fact.paper,
            f"{fact.name}  {fact.year}  {fact.text}",
            f"{fact.parameters:,} parameters, {count(fact.macs)} MACs, {fact.depth} weighted layers deep at "
            f"{fact.input} and {fact.outputs:,} outputs ({fact.size_mb:.1f} MB)",
            *sides,
            *known,
            *(f"  {option} = {value}" for option, value in options.items()),
        ]
    )


def _time(names: list[str], size_hw: SizeHW | None, progress: "Progress") -> tuple[dict[str, Any], str]:
    import torch

    from striate.engine.precision import has_bf16
    from striate.model.timing import ROUNDS, WARM_UP, measure
    from striate.model.zoo import blueprint

    found, lines, can_bf16 = [], [], has_bf16(torch.device("cpu"))
    with progress.bar("timing", 4 * len(names), "step") as bar:
        for name in names:
            plan = blueprint(name)
            at_hw = size_hw or plan.native_hw
            timings = measure(plan, size_hw=at_hw, has_bf16=can_bf16, advance=bar.advance)
            found.append({"name": name, "size_hw": at_hw, "timings": [timing.to_json() for timing in timings]})
            lines += [(f"{name} {size_text(at_hw)} px", f"{one.step} of {one.batch}", *_cells(one)) for one in timings]
    protocol = {
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "warm_up": WARM_UP,
        "rounds": ROUNDS,
        "trained_precision": "bf16" if can_bf16 else "float32",
    }
    return {"protocol": protocol, "timings": found}, _timed(lines, protocol)


def _cells(timing: "Timing") -> tuple[str, ...]:
    arms = ("ours", "reference", "ours_channels_last", "reference_channels_last", "ours_as_trained")
    ratios = (timing.ratio, timing.ratio_channels_last, timing.speedup)
    return (
        *(f"{timing.ms[arm]:.1f}" if arm in timing.ms else "-" for arm in arms),
        *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
    )


def _timed(lines: list[tuple[str, ...]], protocol: dict[str, Any]) -> str:
    from striate.base.columns import aligned

    heads = ("ms a step", "", "ours", "ref.", "ours CL", "ref. CL", "as trained", "ours/ref.", "CL", "faster")
    return "\n".join(
        [
            *aligned([heads, *lines], {0, 1}),
            f"CPU, {protocol['threads']} threads; after {protocol['warm_up']} warm-up steps the median of "
            f"{protocol['rounds']} rounds in which all arms take turns; training = forward, loss, backward, SGD.",
            "ref. = torchvision's or timm's module of that name, random weights. ours/ref.: both contiguous, CL: both "
            "channels-last, float32.",
            f"as trained: channels-last, {protocol['trained_precision']}; faster = ref. by default / ours as trained.",
        ]
    )


def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One recipe: all its settings.")] = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """List the recipes, or all settings of one.

    \b
    Examples:
      striate recipes
      striate recipes regularized
    """
    from striate.base.columns import paragraph
    from striate.run.recipe import RECIPES, named

    found = {name: named(name)} if name else RECIPES
    if name:
        text = "\n".join(_flat(found[name].model_dump(mode="json")))
    else:
        text = "\n".join(paragraph(f"{key:<12} ", recipe.text) for key, recipe in found.items())
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
