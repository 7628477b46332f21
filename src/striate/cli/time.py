"""striate time."""

from pathlib import Path
from typing import Annotated

import typer

from striate.base.errors import SettingsError

from . import help as h
from . import options as o

MAX_BATCH = 4096


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="How fast a run answers, by everything that can run it", rich_help_panel=h.USE)(time)


def time(
    run: o.RunPath,
    batch: Annotated[str, typer.Option(metavar="N,N", help="Images at once.")] = "1,32",
    engine: Annotated[
        list[str] | None,
        typer.Option(help="eager, eager-bf16, compiled, onnxruntime or openvino; repeatable, by default all."),
    ] = None,
    also: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.onnx", help="An exported file beside them; repeatable.")
    ] = None,
    threads: o.Threads = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Say how long a run's network takes to answer, engine by engine, in turns; the best of each batch size is named.

    Each engine runs once before it is timed, then in five rounds of a fifth of a second; medians over all calls. speed
    is that of torch as it is (float32, channels-last) over the engine's time.

    \b
    Examples:
      striate time runs/001-bipyramid-regularized
      striate time runs/001-bipyramid-regularized --batch 1 --threads 1
    """
    o.use_threads(threads)
    import torch

    from striate.base.choose import choose
    from striate.base.device import best_unit
    from striate.export.engines import ENGINES
    from striate.export.graph import Answering, require_fixed
    from striate.export.latency import measure, table
    from striate.predict import Predictor

    for name in engine or ():
        choose("engine", name, ENGINES)
    predictor = Predictor.load(run)
    require_fixed(predictor, fix=f"read what an image takes in {run / 'run.json'}: part_times_ms")
    geometry = predictor.geometry
    found = measure(
        Answering.of(predictor), (geometry.channels, *geometry.size_hw), batches=_sizes(batch),
        engines=engine or list(ENGINES), also=also or (),
    )  # fmt: skip
    threads = torch.get_num_threads()
    head = f"{geometry.text} px, {threads} thread{'s' if threads > 1 else ''}, {best_unit()}"
    document = {"command": "time", "run": str(run), "threads": threads, "unit": best_unit()}
    o.give({**document, "latencies": [one.to_json() for one in found]}, f"{head}\n{table(found)}", as_json)


def _sizes(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_BATCH for part in parts):
        raise SettingsError(
            f"{text!r} is no list of batch sizes", where="--batch", fix=f"write 1,32: each up to {MAX_BATCH}"
        )
    return [int(part) for part in parts]
