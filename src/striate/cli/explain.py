"""striate explain."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.base.errors import ModelError, SettingsError
from striate.base.progress import Progress

from . import help as h
from . import options as o

if TYPE_CHECKING:
    from striate.report.explained import ExplainedImage

FILTERS = "filters"
ENDINGS = (".html", ".htm", ".png")


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Which pixels an answer hangs on", rich_help_panel=h.LOOK)(explain)


def explain(
    what: Annotated[str, typer.Argument(metavar="RUN|filters", help="A run folder; or filters, the classic ones.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    target: Annotated[
        str | None, typer.Option(metavar="CLASS", help="What to explain; by default what the network says.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="gradient, smoothgrad, integrated, gradcam or occlusion; repeatable; by default all."),
    ] = None,
    sanity: Annotated[bool, typer.Option(help="Show what random weights make of the gradient.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="The .html or .png to write, or a folder; by default IMAGE-explained.html, here."),
    ] = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Show which pixels a network's answer to an image hangs on: gradient, SmoothGrad, integrated gradients, Grad-CAM
    and occlusion, each with its layer or settings, and what it does not show; and how much of the image each row sees.
    One self-contained page an image. Of a volume, two slices; a series, the first of its file, is a band of its steps.

    With filters instead of a run: what the classic filters see in a photo, each with the numbers of its kernel.

    \b
    Examples:
      striate explain runs/001-bipyramid-regularized cat.jpg
      striate explain runs/001-bipyramid-regularized cat.jpg --method gradcam
      striate explain filters cat.jpg
      striate explain filters cat.jpg --out lecture/filters.png
    """
    if what == FILTERS:
        if len(images) > 1 or target or method:
            raise SettingsError("filters are shown on one photo", where=FILTERS, fix="give one image, and only --out")
        _show_filters(images[0], out, as_json)
        return
    if not Path(what).exists():
        fix = f"name a folder made by `striate train`, or say {FILTERS}"
        raise ModelError("no such run", where=what, fix=fix)
    o.use_threads(threads)
    paths = _paths(images, out)
    explained = _explain(what, images, target, method or [], sanity, o.progress_for(quiet))
    written = [str(one.write(path)) for one, path in zip(explained, paths, strict=True)]
    rows = [{**one.to_json(), "out": path} for one, path in zip(explained, written, strict=True)]
    text = "\n".join(f"{_line(one)}\n{path}" for one, path in zip(explained, written, strict=True))
    o.give({"command": "explain", "what": what, "images": rows}, text, as_json)


def _paths(images: list[Path], out: Path | None) -> list[Path]:
    """Where the pages go: beside nothing of that name, and never over an image.

    Raises:
        SettingsError: one file for several images, or for the image itself.
    """
    from striate.predict.overlay import Names

    names = Names()
    if out is not None and out.suffix.lower() in ENDINGS:
        if len(images) > 1:
            raise SettingsError("several images need a folder", where=out, fix="give --out a folder")
        paths = [out]
    elif out is not None and out.suffix and not out.is_dir():
        raise SettingsError("an explanation is a page or a PNG", where=out, fix="end --out in .html or .png")
    else:
        paths = [(out or Path()) / f"{names(image.stem)}-explained.html" for image in images]
    for path, image in zip(paths, images, strict=True):
        if path.resolve() == image.resolve():
            raise SettingsError("the page would replace the image", where=path, fix="give --out another name")
    return paths


def _explain(
    run: str, images: list[Path], target: str | None, methods: list[str], has_sanity: bool, progress: Progress
) -> "list[ExplainedImage]":
    from striate.predict import Predictor
    from striate.report.explained import explain_image

    predictor, made = Predictor.load(run), []
    progress.noun = predictor.noun
    with progress.bar("explaining", len(images)) as bar:
        for image in images:
            made.append(explain_image(predictor, image, methods=methods, target=target, has_sanity=has_sanity))
            bar.advance()
    return made


def _line(one: "ExplainedImage") -> str:
    first = one.maps[0]
    layer = next((f"; Grad-CAM at {made.layer}" for made in one.maps if made.layer), "")
    check = f"; random weights: correlation {round(one.sanity.correlations[-1], 2) + 0.0:.2f}" if one.sanity else ""
    return f"{one.id}  {one.prediction.line(3)}; explained: {one.worded(first.text)}{layer}{check}"


def _show_filters(image: Path, out: Path | None, as_json: bool) -> None:
    path = out or Path(f"{image.stem}-{FILTERS}.png")
    if path.suffix.lower() != ".png":
        raise SettingsError("the image is a PNG", where=path, fix="give --out a name that ends in .png")
    if path.resolve() == image.resolve():
        raise SettingsError("the image would replace the photo", where=path, fix="give --out another name")
    document, text = _filters(image, path)
    o.give({"command": "explain", "what": FILTERS, "image": str(image), "out": str(path), **document}, text, as_json)


def _filters(image: Path, path: Path) -> tuple[dict[str, Any], str]:
    from striate.base.files import write_bytes
    from striate.base.text import shown
    from striate.data.decode import decode
    from striate.inside import filters

    small = filters.shrink(decode(image))
    write_bytes(path, filters.poster(small, title=shown(image.name, 40)))
    rows, lines = [], []
    for name, one in filters.table().items():
        answer = filters.apply(filters.grey(small), name)
        span = {"least": answer.min(), "mean": answer.mean(), "most": answer.max()}
        rows.append(
            {"name": name, "kernels": one.kernels, "divisor": one.divisor, "sum": one.sum, "text": one.text} | span
        )
        lines.append(f"{name:<22} {answer.min():7.1f} to {answer.max():6.1f}  {one.text}")
    text = "\n".join([f"answers on the brightness (0 to 255), {small.shape[1]} x {small.shape[0]} pixels", *lines, ""])
    return {"size_hw": small.shape[:2], "filters": rows}, f"{text}\n{path}"
