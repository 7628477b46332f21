"""striate embed and striate activations: a finished run's network, seen over many images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.base.text import plural

from . import help as h
from . import options as o

Other = Annotated[str | None, typer.Argument(metavar="[DATA]", help="Another dataset; by default the run's own.")]
Moved = Annotated[str | None, typer.Option(metavar="DATA", help="Where the run's own data are now, if moved.")]
Split = Annotated[
    str | None,
    typer.Option(help="train, val, test or all; by default test, and all of another dataset without test images."),
]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="A map of the images as the network sees them", rich_help_panel=h.LOOK)(embed)
    app.command(short_help="What each row answers: size, zeros, dead units", rich_help_panel=h.LOOK)(activations)


def embed(
    run: o.RunPath,
    other: Other = None,
    data: Moved = None,
    split: Split = None,
    method: Annotated[str, typer.Option(help="pca, tsne (scikit-learn) or umap (umap-learn).")] = "pca",
    layer: Annotated[
        str | None, typer.Option(help="Row whose output is laid out; by default the features that the head reads.")
    ] = None,
    images: Annotated[int, typer.Option(help="At most so many images, evenly spread; 0 for all.", min=0)] = 2000,
    neighbours: Annotated[int, typer.Option(help="Nearest images listed for each.", min=1, max=100)] = 5,
    seed: Annotated[int, typer.Option(help="Of t-SNE and UMAP.", min=0, max=2**32 - 1)] = 0,
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Draw a map of the test images as the network sees them, and list the nearest images of each.

    \b
    Examples:
      striate embed runs/001-bipyramid-regularized
      striate embed runs/001-bipyramid-regularized --method tsne
      striate embed runs/001-bipyramid-regularized newer-birds/ --neighbours 10
    """
    o.use_threads(threads)
    from striate.base.choose import choose
    from striate.inside.embedding import LAYOUTS
    from striate.run.embedding import embed_run

    choose("method", method, LAYOUTS)
    settings: dict[str, Any] = {"method": method, "layer": layer, "images": images, "num_neighbours": neighbours}
    progress = o.progress_for(quiet)
    place: dict[str, Any] = {"data": data, "split": split, "device": device, "progress": progress}
    found = embed_run(run, other, seed=seed, **settings, **place)
    shares = [f"{share:.0%}" for share in found["explained"]]
    lines = [
        f"{plural(found['num_images'], 'image')} by the {found['num_features']} features of {found['layer']}, {method}",
        *([f"the two axes hold {' and '.join(shares)} of the variance"] if shares else []),
        *(
            [f"{found['agreement']:.1%} of the nearest images are of the image's own class"]
            if found["agreement"] is not None
            else []
        ),
        f"map: {found['map']}",
        f"nearest images: {found['neighbours']}",
    ]
    o.give({"command": "embed", "run": str(run), **found}, progress.noun.put("\n".join(lines)), as_json)


def activations(
    run: o.RunPath,
    other: Other = None,
    data: Moved = None,
    split: Split = None,
    images: Annotated[int, typer.Option(help="At most so many images, evenly spread; 0 for all.", min=0)] = 500,
    device: o.Device = "auto",
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Say what each row answers over many images: how large, how often zero, dead units, and how the loss pulls on it.

    dead: channels that are above 0 in none of the images, of rows without numbers below 0. flat: share of sigmoid and
    tanh outputs where the slope is below a tenth of the greatest. |g|/|w|: length of the loss's gradient over that of
    the row's weights.

    \b
    Examples:
      striate activations runs/001-bipyramid-regularized
      striate activations runs/001-bipyramid-regularized --split val --images 100
    """
    o.use_threads(threads)
    from striate.run.statistics import measure_run

    progress = o.progress_for(quiet)
    place: dict[str, Any] = {"data": data, "split": split, "device": device, "progress": progress}
    found = measure_run(Path(run), other, images=images, **place)
    o.give({"command": "activations", "run": str(run), **found}, progress.noun.put(_table(found)), as_json)


def _table(found: dict[str, Any]) -> str:
    width = max(3, *(len(row["name"]) for row in found["rows"]))
    lines = [
        f"{plural(found['num_images'], found['split'] + ' image')}",
        f"{'row':<{width}}  {'output':>13}  {'mean':>8}  {'rms':>8}  zeros    dead  {'flat':>6}  |g|/|w|",
    ]
    for row in found["rows"]:
        shape = "x".join(map(str, row["shape"]))
        flat = "" if row["saturated"] is None else f"{row['saturated']:.1%}"
        pull = "" if row.get("relative") is None else f"{row['relative']:.2g}"
        dead = "" if row["dead"] is None else f"{len(row['dead'])}/{row['shape'][0]}"
        lines.append(
            f"{row['name']:<{width}}  {shape:>13}  {row['mean']:>8.3g}  {row['rms']:>8.3g}  {row['zeros']:>5.1%}"
            f"  {dead:>6}  {flat:>6}  {pull}".rstrip()
        )
    return "\n".join([*lines, found["reading"]])
