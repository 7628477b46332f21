"""striate doctor."""

from importlib import util
from typing import Annotated, Any

import typer

from striate.base.run_info import PrecisionInfo
from striate.base.text import plural

from . import help as h
from . import options as o

EXTRAS = {
    "timm": "pretrained",
    "sklearn": "sklearn",
    "pillow_heif": "heif",
    "onnx": "onnx",
    "faster_coco_eval": "detect",
    "ray": "cluster",
}


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(short_help="Versions, device, speed, and which extras are there", rich_help_panel=h.KEEP)(doctor)


def doctor(
    on: Annotated[
        str | None, typer.Option("--on", metavar="CLUSTER", help="Look at a Ray cluster instead: ray://HOST:10001.")
    ] = None,
    as_json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Show versions, device, threads, the precision trial and what extras are there; or the machines of a cluster.

    \b
    Examples:
      striate doctor
      striate doctor --json
      striate doctor --on ray://head:10001
    """
    if on is not None:
        from striate.studies.cluster.look import look, table

        machines = look(on)
        o.give({"command": "doctor", "cluster": on, "machines": machines}, table(machines), as_json)
        return
    import torch

    from striate.base import device as devices
    from striate.data.cache import cache_dir
    from striate.nn.boxes import has_compiled

    device = devices.pick()
    found: dict[str, Any] = {
        "versions": devices.versions(),
        "device": devices.describe(device),
        "best_unit": devices.best_unit(),
        "precision": _trial(device),
        "extras": {extra: util.find_spec(module) is not None for module, extra in EXTRAS.items()},
        "cache": str(cache_dir()),
        "torchvision_operators": has_compiled(),
        "cuda": torch.version.cuda,
    }
    o.give({"command": "doctor", **found}, _text(found), as_json)


def _trial(device: Any) -> PrecisionInfo:
    import torch

    from striate.base import device as devices
    from striate.engine.precision import choose_precision
    from striate.model.zoo import DEFAULT, build

    network = devices.place(build(DEFAULT, classes=10, size=64, seed=0, norm="batch"), device)
    images = torch.zeros(32, 3, 64, 64, device=device).contiguous(memory_format=torch.channels_last)
    return choose_precision(network, images)


def _text(found: dict[str, Any]) -> str:
    device, precision = found["device"], found["precision"]
    trial = precision["trial"]
    lines = [f"{name:<26} {version}" for name, version in found["versions"].items()]
    lines.append(
        f"{'device':<26} {device['name']} ({plural(device['threads'], 'thread')} of {plural(device['cpus'], 'core')})"
    )
    lines.append(f"{'best unit of the CPU':<26} {found['best_unit']}")
    timing = (
        f" (step {trial['float32_ms']} ms in float32, {trial['bf16_ms']} ms in bf16)" if trial else " (no native bf16)"
    )
    lines.append(f"{'precision':<26} {precision['name']}{timing}")
    for extra, is_there in found["extras"].items():
        lines.append(f"{'extra ' + extra:<26} " + ("there" if is_there else f"missing: pip install 'striate[{extra}]'"))
    if not found["torchvision_operators"]:
        why = "torch and torchvision are of different builds"
        lines.append(f"{'torchvision operators':<26} not loaded ({why}): NMS, RoI align and RoI pool are Striate's own")
    else:
        lines.append(f"{'torchvision operators':<26} loaded: NMS, RoI align and RoI pool are the compiled ones")
    lines.append(f"{'cache':<26} {found['cache']}")
    return "\n".join(lines)
