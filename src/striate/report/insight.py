"""Inside a run's network: why it erred, its first filters, one image on its way through the maps.

All is taken from the thumbnails that the run folder keeps, brought to the network's input size, so that a folder is
enough. Torch and the network are loaded only where there are weights and thumbnails.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate.base.errors import DamagedError, SettingsError, UserError
from striate.base.noun import IMAGE, noun_of
from striate.base.numbers import number

from .answers import Given, illustrated, mean_loss, with_thumbnails_first
from .read import Run, at
from .tasks import Section, Subject
from .templates import piece
from .thumbnails import ThumbnailStore

if TYPE_CHECKING:
    from striate.predict import Predictor

    from .explained import ExplainedImage

T = TypeVar("T")
Pixels = npt.NDArray[np.uint8]
TEMPLATE = "insight.html"
MAX_MISTAKES, MAX_S = 6, 4.0  # images that are explained, and seconds after which no further one is begun
MAX_STAGES, MAX_MAPS, MAX_FILTERS = 6, 9, 64
MAX_VARIANTS = 8
METHODS = ("gradient", "gradcam")
AUGMENTED = "augmented.jpg"
SIDE_PX = 192
MAX_MACS = 20e9  # multiply-adds an image beyond which a network is not run for a report


def insight_sections(subject: Subject) -> list[Section]:
    """Return the section on what is inside the network of a run; none without weights or thumbnails."""
    shown = _shown(subject)
    if not shown or not _is_usable(subject.runs[0]):
        return []
    found = _tried(subject.runs[0], lambda: _insight(subject, shown))
    return [Section("why", "Inside", "Inside the network", found)] if found else []


def variant_sections(subject: Subject, others: Mapping[str, Sequence[Run]]) -> list[Section]:
    """Return the section that shows one image under every variant of a study.

    Args:
        subject: the best variant.
        others: name -> runs of each other one.
    """
    shown = _shown(subject)
    if not shown or not others:
        return []
    given = shown[0]
    answers, row = illustrated(given, subject.thumbnails)
    start, rows = time.monotonic(), []
    for name, runs in list({subject.name: subject.runs, **others}.items())[:MAX_VARIANTS]:
        if runs and _is_usable(runs[0]) and time.monotonic() - start < MAX_S:
            rows += _tried(runs[0], lambda: [_of_variant(name, runs[0], given, subject.thumbnails)]) or []  # noqa: B023
    if len(rows) < 2:
        return []
    caption = subject.sections.caption(answers, row)
    body = piece(TEMPLATE, "variants", rows, answers.table.ids[row], caption)
    return [Section("eyes", "One image", "One image under every variant", body)]


def _shown(subject: Subject) -> Sequence[Sequence[Given]]:
    """The images with the largest loss that have a thumbnail."""
    ranked = sorted(
        subject.by_image.values(), key=lambda given: (-mean_loss(given), given[0][0].table.ids[given[0][1]])
    )
    shown = with_thumbnails_first(ranked, subject.thumbnails)[: 4 * MAX_MISTAKES]
    return shown if shown and subject.thumbnails.has(*_place(shown[0], subject.thumbnails)) else []


def _is_usable(run: Run) -> bool:
    """Whether there are weights, of a network that is not too large, and thumbnails that it can read: of images."""
    if noun_of(at(run.info, "dataset.form")) is not IMAGE:
        return False
    return run.folder.weights.is_file() and (number(at(run.info, "model.macs")) or 0) <= MAX_MACS


def _tried(run: Run, make: Callable[[], T]) -> T | None:
    """What is made of a run's network; None, with a problem noted, where it cannot be, as of a module of one's own."""
    try:
        return make()
    except DamagedError:
        raise
    except (UserError, OSError, ValueError, RuntimeError, IndexError) as problem:
        what = problem.what if isinstance(problem, UserError) else type(problem).__name__
        run.problems.append(f"What is inside the network could not be shown: {what}.")
        return None


def _insight(subject: Subject, shown: Sequence[Sequence[Given]]) -> Markup:
    from striate.predict import Predictor

    predictor, store = Predictor.load(subject.runs[0].folder), subject.thumbnails
    parts = {
        "mistakes": _mistakes(predictor, shown, subject),
        "journey": _journey(predictor, shown[0], store),
        "filters": _filters(predictor, store),
        "augmented": store.take_file(subject.runs[0].folder, AUGMENTED),
    }
    return piece(TEMPLATE, "insight", parts, subject)


def _of_variant(name: str, run: Run, given: Sequence[Given], store: ThumbnailStore) -> dict[str, Any]:
    from striate.predict import Predictor

    predictor = Predictor.load(run.folder)
    found = _explained(predictor, given, store, None)
    image = store.add_image(_large(list(found.overlays().values())[-1]))
    last = found.maps[-1]
    return {"image": image, "name": name, "answer": found.prediction.line(2), "how": last.layer or last.method}


def _explained(
    predictor: "Predictor", given: Sequence[Given], store: ThumbnailStore, target: str | None
) -> "ExplainedImage":
    """A thumbnail explained by its gradient and, where the network has maps, by Grad-CAM."""
    from .explained import explain_image

    pixels = store.read(*_place(given, store))
    if pixels is None:
        raise ValueError("a thumbnail that cannot be read")
    target = target if target in predictor.task.choices else None
    return explain_image(
        predictor, pixels, methods=METHODS, target=target, has_sanity=False, has_fields=False, is_strict=False
    )


def _place(given: Sequence[Given], store: ThumbnailStore) -> tuple[Any, str, str]:
    answers, row = illustrated(given, store)
    return answers.run.folder, answers.split, answers.table.ids[row]


def _mistakes(predictor: "Predictor", shown: Sequence[Sequence[Given]], subject: Subject) -> list[dict[str, Any]]:
    """The images with the largest loss, each with what its answer depends on."""
    rows: list[dict[str, Any]] = []
    start = time.monotonic()
    for given in shown[:MAX_MISTAKES]:
        if time.monotonic() - start > MAX_S:
            break
        answers, row = illustrated(given, subject.thumbnails)
        found = _explained(predictor, given, subject.thumbnails, subject.sections.answer(answers, row))
        views = {"": found.flat, **{found[name].layer or name: over for name, over in found.overlays().items()}}
        images = {title: subject.thumbnails.add_image(_large(view)) for title, view in views.items()}
        caption = subject.sections.caption(answers, row)
        rows.append({"id": answers.table.ids[row], "caption": caption, "views": images, "text": found.maps[0].text})
    return rows


def _filters(predictor: "Predictor", store: ThumbnailStore) -> dict[str, Any] | None:
    """The kernels of the first convolution, side by side."""
    from striate.inside.kernels import kernels_of

    try:
        first = kernels_of(predictor.network)[0]
    except SettingsError:  # no convolution
        return None
    images = first.images()[:MAX_FILTERS]
    images = images if first.is_colour else np.repeat(images[:, 0, :, :, None], 3, axis=3)
    tiles = [_repeated(one, max(1, 44 // max(one.shape[:2]))) for one in images]
    image = store.add_image(_grid(tiles, 16), max_px=800)
    return {"image": image, "name": first.name, "num": len(first), "size": first.weights.shape[2:]}


def _journey(predictor: "Predictor", given: Sequence[Given], store: ThumbnailStore) -> list[dict[str, Any]]:
    """The strongest maps of each stage for one image."""
    from striate.inside.statistics import feature_maps

    pixels = store.read(*_place(given, store))
    names = getattr(predictor.network, "stages", ())[:MAX_STAGES]
    if pixels is None or not names:
        return []
    inputs = predictor.inputs([predictor.fitted(pixels)])
    rows = []
    for name, maps in feature_maps(predictor.network, inputs, names).items():
        values = maps[0].float().cpu().numpy()
        if values.ndim != 3:
            continue
        order = np.argsort(-np.abs(values).mean((1, 2)), kind="stable")[:MAX_MAPS]
        tiles = [_repeated(_shade(values[index]), max(1, 60 // max(values.shape[1:]))) for index in order]
        image = store.add_image(_grid(tiles, 3))
        rows.append({"image": image, "name": name, "shape": values.shape, "num": len(tiles)})
    return rows


def _shade(values: npt.NDArray[Any]) -> Pixels:
    """A map (h, w) as (h, w, 3): dark is its least value, bright its largest."""
    span = float(values.max() - values.min()) or 1.0
    grey = np.rint(255 * (values - values.min()) / span).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _grid(tiles: Sequence[Pixels], columns: int) -> Pixels:
    """Tiles of one size beside and below each other, two pixels apart."""
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + 2) - 2, columns * (width + 2) - 2, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + 2), place % columns * (width + 2)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _repeated(pixels: Pixels, times: int) -> Pixels:
    return np.ascontiguousarray(pixels.repeat(times, 0).repeat(times, 1))


def _large(pixels: Pixels) -> Pixels:
    return _repeated(pixels, max(1, SIDE_PX // max(pixels.shape[:2])))
