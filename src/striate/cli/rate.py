"""striate rate."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.base.errors import SettingsError
from striate.base.files import write_bytes

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.engine.rate import RateTest


def add_to(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command(short_help="Find a learning rate by a short trial", rich_help_panel=h.LEARN)(rate)


@o.takes_groups
def rate(
    data: o.Where,
    model: o.OwnModelName = None,
    recipe: o.RecipeName = "regularized",
    low: Annotated[float, typer.Option(help="The first rate.")] = 1e-6,
    high: Annotated[float, typer.Option(help="The last rate.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Training steps, one batch each.", min=10, max=1_000_000)] = 100,
    weights: o.Weights = None,
    seed: o.Seed = 0,
    target: o.TargetName = None,
    task: o.TaskName = None,
    size: o.Size = None,
    fit: o.Fit = None,
    set_: o.Set = None,
    opening: o.Opening = o.Opening(),
    allow_empty: o.AllowEmpty = False,
    out: Annotated[Path | None, typer.Option(help="The image, .png or .svg; by default runs/rate-MODEL.png.")] = None,
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Find a learning rate: train for a hundred steps with growing rates, and see where the loss falls and bursts.

    The suggestion is a tenth of the rate with the lowest smoothed loss (range test, Smith 2017).

    \b
    Examples:
      striate rate birds/
      striate rate birds/ --set train.optimiser=sgd --out rate.svg
    """
    if not 0 < low < high:
        raise SettingsError(f"rates from {low:g} to {high:g}", where="--low", fix="give 0 < --low < --high")
    settings = o.recipe_of(recipe, set_, size, fit, weights)
    dataset = opening.open(data, target, task, allow_empty=allow_empty)
    network = settings.network_or(model, task, dataset.usual.form)
    name = Path(network).stem
    picture = out or Path("runs") / f"rate-{name}.png"
    if picture.suffix not in {".png", ".svg"}:
        raise SettingsError("an image is .png or .svg", where=picture, fix="choose another --out")
    o.use_threads(threads)
    from striate.data.arguments import option_words
    from striate.run.assignment import cli_words
    from striate.run.rate import find_rate

    from .rate_chart import chart

    found = find_rate(
        dataset, network, settings, low=low, high=high, num_steps=steps, seed=seed, target=target, device=device,
        progress=o.progress_for(quiet),
    )  # fmt: skip
    picture.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(picture, chart(found, f"{name} on {dataset.name}, {settings.train.optimiser}", picture.suffix[1:]))
    kept = [change for change in set_ or [] if change.partition("=")[0].strip() != "train.lr"]
    options = cli_words([*kept, f"train.lr={found.suggestion:g}"])
    options = [*(["--size", str(size)] if size else []), *(["--fit", fit] if fit else []), *options]
    options = [*(["--weights", weights] if weights else []), *option_words(dataset.options), *options]
    words = ["striate", "train", data, "--model", network, "--recipe", recipe, *options]
    command = shlex.join(words)
    text = "\n".join([*_lines(found), f"image: {picture}", f"use it: {command}"])
    document = {"command": "rate", **asdict(found), "picture": str(picture), "train": command}
    o.give(document, text, as_json)


def _lines(found: "RateTest") -> list[str]:
    end = "the loss burst" if found.ended == "diverged" else "the loss never burst"
    return [
        f"suggested rate {found.suggestion:g}: a tenth of {found.lowest:.2g}, where the loss was lowest",
        f"steepest fall at {found.steepest:.2g}; {end} at {found.rates[-1]:.2g} after {len(found.rates)} steps",
    ]
