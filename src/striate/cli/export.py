"""striate export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from . import help as h
from . import options as o


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="A run's network for other programs, checked", rich_help_panel=h.USE)(export)


def export(
    run: o.RunPath,
    to: Annotated[
        str, typer.Option(help="onnx, torch (a torch.export program), torchvision or timm (weights they load).")
    ] = "onnx",
    embed_preprocessing: Annotated[
        bool, typer.Option("--embed-preprocessing", help="The graph takes levels 0..255 and normalises them itself.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="An ONNX file in 8 bits too, refused where it is worse on validation images.")
    ] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Keep it all the same.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder to make; by default RUN/exports/NAME.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that folder.")] = False,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="Where the run's own data are now, if moved.")
    ] = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Write a run's network for other programs, checked on the run's own images before it is kept.

    \b
    Examples:
      striate export runs/001-bipyramid-regularized
      striate export runs/001-bipyramid-regularized --embed-preprocessing
      striate export runs/001-bipyramid-regularized --int8
      striate export runs/001-bipyramid-regularized --to torch
      striate export runs/002-resnet18-finetune --to torchvision
    """
    o.use_threads(threads)
    from striate.api import Run

    kind: dict[str, Any] = {
        "int8": int8,
        "accept": accept,
        "is_normalising": embed_preprocessing,
        "overwrite": overwrite,
    }
    found = Run(run).export(to, out=out, data=data, progress=o.progress_for(quiet), **kind)
    lines = [
        f"{found.file} ({found.file.stat().st_size / 1e6:.1f} MB), checked against the run",
        found.agreement.text,
        *([found.eight_bits.text] if found.eight_bits else []),
        *(f"  {path.name}" for path in sorted(found.folder.iterdir()) if path != found.file),
    ]
    o.give({"command": "export", "run": str(run), **found.to_json()}, "\n".join(lines), as_json)
