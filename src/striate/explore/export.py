"""A network and a few images as one page that needs no server: every convolution, pooling and softmax step by step."""

import base64
import io
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import escape
from PIL import Image

from striate.base.errors import DataError, ResourceError
from striate.base.files import to_json
from striate.base.rundir import RunDir
from striate.base.text import plural
from striate.inside.trace import Trace, trace
from striate.predict import Predictor

from .shelf import Entry, Shelf
from .steps import ALL, LEVELS, Sampling, Step, described, steps_of

MAX_BYTES = 5_000_000
FEW = 3
THUMBNAIL_PX = 112
MODULES = (
    "dom.js",
    "colour.js",
    "store.js",
    "words.js",
    "arithmetic.js",
    "export.js",
)  # each after those that it imports
POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:"
STATIC = files("striate.explore") / "static"


def export(predictor: Predictor, entries: Sequence[Entry], title: str, max_bytes: int = MAX_BYTES) -> str:
    """Return the page's HTML. Where the whole passes would be too large, they are sampled, and the page says how.

    Raises:
        ResourceError: not even the smallest sample of so many images fits.
    """
    stored = [predictor.fitted(entry.path) for entry in entries]
    passes = [trace(predictor.network, predictor.inputs([one])) for one in stored]
    images = [_image(predictor, entry, pixels) for entry, pixels in zip(entries, stored, strict=True)]
    for sampling in LEVELS:
        if _least(steps_of(passes[0], sampling), len(passes)) > max_bytes:
            continue
        page = _page({"title": title, "images": images, **_content(passes, sampling)})
        if len(page.encode()) <= max_bytes:
            return page
    raise ResourceError(f"{len(entries)} images need more than {max_bytes / 1e6:.0f} MB", where=title, fix="give fewer")


def images_of(shelf: Shelf, run: RunDir | None, paths: Sequence[Path]) -> list[Entry]:
    """Return the images at these paths; without any, a few of a run's test images, else drawn patterns.

    Raises:
        DataError: an image cannot be read.
    """
    if paths:
        return [shelf.add(_content_of(path), path.name) for path in paths]
    own = shelf.of_run(run) if run else []
    own = [one for one in own if one.group == "test"] or own
    return own[:: max(1, len(own) // FEW)][:FEW] or shelf.patterns[:FEW]


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise DataError("the image cannot be read", where=path, fix="give an image file") from problem


def _content(passes: Sequence[Trace], sampling: Sampling) -> dict[str, Any]:
    """The passes' numbers: each array once, whoever has it."""
    steps = steps_of(passes[0], sampling)
    packed = _Arrays()
    learned = [{"kernels": packed.add(step.kernels()), "biases": packed.add(step.biases())} for step in steps]
    rows = [described(passes[0], step) | more for step, more in zip(steps, learned, strict=True)]
    numbers = [
        [{name: packed.add(one) for name, one in step.arrays(found).items()} for step in steps] for found in passes
    ]
    ends = [packed.add(_vector(found)) for found in passes]
    return {"sampling": _said(sampling), "steps": rows, "passes": numbers, "outputs": ends, "arrays": packed.texts}


class _Arrays:
    """Arrays as text, equal ones once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._known: dict[str, int] = {}

    def add(self, values: npt.NDArray[np.float32] | None) -> int | None:
        if values is None:
            return None
        text = base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()
        if text not in self._known:
            self._known[text] = len(self.texts)
            self.texts.append(text)
        return self._known[text]


def _vector(found: Trace) -> npt.NDArray[np.float32] | None:
    outputs = found.outputs
    return np.asarray(outputs[0].float().numpy()) if hasattr(outputs, "dim") and outputs.dim() == 2 else None


def _least(steps: Sequence[Step], num_passes: int) -> int:
    """Bytes of base64 that the outputs of so many passes and the kernels take; inputs are others' outputs, about."""
    cells = 0
    for step in steps:
        rows, columns = (part.stop - part.start for part in step.window)
        cells += num_passes * (2 if step.is_partial else 1) * len(step.maps) * rows * columns
        weight = step.operation.weights.get("weight")
        if weight is not None and step.kind != "map":
            cells += len(step.maps) * len(step.inputs[0]) * int(np.prod(weight.shape[2:]))
    return cells * 4 * 4 // 3


def _said(sampling: Sampling) -> str:
    """How the passes are sampled, in a sentence; empty where they are whole."""
    if sampling == ALL:
        return ""
    maps, inputs, side = plural(sampling.maps, "map"), plural(sampling.inputs, "input map"), sampling.side
    return (
        f"Sampled to fit into one file: of each operation {maps} with the largest numbers, a window of at most "
        f"{side} × {side} around the largest, and {inputs} that weigh most; what the other inputs add stands as one "
        "number, so every sum is the network's own."
    )


def _image(predictor: Predictor, entry: Entry, pixels: npt.NDArray[Any]) -> dict[str, Any]:
    """An image, what the network says of it, and how its outputs become probabilities where a softmax does it."""
    (answer,) = predictor([entry.path])
    ranked = sorted((answer.probabilities or {}).items(), key=lambda item: -item[1])
    names = list(answer.probabilities or ())
    return {
        "title": entry.title,
        "thumbnail": _thumbnail(pixels),
        "answer": answer.line(1),
        "names": names,
        "probabilities": [answer.probabilities[name] for name in names] if answer.probabilities else [],
        "best": ranked[0][0] if ranked else "",
        "temperature": predictor.temperature,
    }


def _thumbnail(pixels: npt.NDArray[Any]) -> str:
    levels = pixels
    if pixels.dtype != np.uint8:
        levels = np.rint(255 * (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-9)).astype(np.uint8)
    image, content = Image.fromarray(levels[..., :3] if levels.shape[-1] >= 3 else levels[..., 0]), io.BytesIO()
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _page(document: dict[str, Any]) -> str:
    """The HTML: styles, scripts and numbers in one file."""
    style = (STATIC / "style.css").read_text("utf-8")
    scripts = {f"striate/{name}": _as_url((STATIC / name).read_text("utf-8")) for name in MODULES}
    return (
        "<!doctype html>\n"
        '<html lang="en" data-ready="no"><head><meta charset="utf-8">'
        f"<title>{escape(document['title'])} · striate</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<style>{style}</style>\n"
        f'<script type="importmap">{_in_script({"imports": scripts})}</script>\n'
        f'</head><body><script type="application/json" id="document">{_in_script(document)}</script>\n'
        '<script type="module">import "striate/export.js";</script></body></html>\n'
    )


def _as_url(source: str) -> str:
    """A script as an address of its own; what it imports is found by name."""
    named = re.sub(r'from "(?:\./|\.\./)([\w.]+)"', r'from "striate/\1"', source)
    return f"data:text/javascript;base64,{base64.b64encode(named.encode()).decode()}"


def _in_script(content: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return to_json(content).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
