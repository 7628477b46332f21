"""striate explain."""

from pathlib import Path
from typing import Annotated, Any

import typer

from striate.base.errors import SettingsError

from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(explain)


def explain(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="filters: the classic filters on a photo.")],
    image: Annotated[Path, typer.Argument(metavar="PHOTO", help="An image file.")],
    out: Annotated[Path | None, typer.Option(help="The .png to write; by default PHOTO-filters.png, here.")] = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Show what filters see in a photo: smoothing, edges, stripes, diagonals, each with the numbers of its kernel.

    \b
    Examples:
      striate explain filters cat.jpg
      striate explain filters cat.jpg --out lecture/filters.png
    """
    if what not in WAYS:
        known = ", ".join(WAYS)
        raise SettingsError(f"{what!r} cannot be explained; known: {known}", where="WHAT", fix=f"say {known}")
    path = out or Path(f"{image.stem}-{what}.png")
    if path.suffix.lower() != ".png":
        raise SettingsError("the image is a PNG", where=path, fix="give --out a name that ends in .png")
    if path.resolve() == image.resolve():
        raise SettingsError("the image would replace the photo", where=path, fix="give --out another name")
    document, text = WAYS[what](image, path)
    o.give({"command": "explain", "what": what, "image": str(image), "out": str(path), **document}, text, as_json)


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


WAYS = {"filters": _filters}
