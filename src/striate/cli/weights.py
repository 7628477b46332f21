"""striate import-weights."""

from pathlib import Path
from typing import Annotated

import typer

from striate.base.text import shown

from . import help as h
from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("import-weights", short_help="Turn published weights into a safe file", rich_help_panel=h.KEEP)(
        import_weights
    )


def import_weights(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .pth, .pt, .th, .pth.tar, .npz or .safetensors file.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", help="The network they belong to (see `striate models`).")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.")],
    preset: Annotated[
        str | None,
        typer.Option(help="How the weights want their images: torchvision, tensorflow or cifar; noted in the file."),
    ] = None,
    outputs: Annotated[
        int | None, typer.Option(help="Outputs of the network; by default what the last tensor gives.", min=1)
    ] = None,
    channels: Annotated[int, typer.Option(help="Channels of its input; the first layer adapts.", min=1)] = 3,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Turn weights that others have published into a file that is safe to open and fits a network here.

    A .pth is a program. It is opened by a separate process with limits on memory and time, which takes tensors and
    plain containers; a file that would run anything else is refused, and there is no option to allow it.

    \b
    Examples:
      striate import-weights resnet20.th -m resnet20 --out resnet20.safetensors
      striate predict imagenet:resnet18 photo.jpg --weights resnet18.safetensors
    """
    from striate.model.weights import import_file

    found = import_file(file, model, out, preset=preset, outputs=outputs, channels=channels)
    lines = [
        f"matched   {len(found.matched)} tensors",
        f"missing   {', '.join(found.missing) or 'none'}",
        f"unused    {', '.join(shown(name) for name in found.unused) or 'none'}",
        *(f"reshaped  {name}: {how}" for name, how in found.reshaped.items()),
        *([] if found.reshaped else ["reshaped  none"]),
        str(out),
    ]
    document = {"command": "import-weights", "model": model, "preset": preset, "file": str(out)}
    document |= {key: value for key, value in found.to_json().items() if key != "preset"}
    o.give(document, "\n".join(lines), as_json)
