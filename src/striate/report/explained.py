"""One image explained: which pixels a network's answer hangs on, by every method, as a page, a figure or a document."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.base.files import write_bytes
from striate.base.noun import IMAGE, Noun
from striate.base.numbers import significant
from striate.base.own import SOFTWARE
from striate.base.text import shown
from striate.inside.explain import CAVEATS, METHODS, TITLES, how, objective_of
from striate.inside.explanation import Explanation, Report
from striate.inside.filters import ImageU8
from striate.inside.overlay import overlay
from striate.inside.receptive import ReceptiveField, along_depth
from striate.inside.sanity import LIMIT, Sanity, check_probe
from striate.inside.tap import Probe, borrowed
from striate.predict import Predictor
from striate.predict.prediction import Prediction
from striate.task import Objective

from .explained_depth import depth_chart, depth_text, draw_depth
from .explained_slices import Slices, plane
from .page import write_page
from .thumbnails import ThumbnailStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE_PX = 192  # images are shown at least this large, whole pixels repeated
BAND = 4  # series are shown as bands of a quarter of that
MOST = 5  # classes
NUM_AXES = 4  # image, channel, height, width: of these, receptive fields are known
NUM_SIDES = 3  # of a volume
SANITY_METHOD = "gradient"
SETTINGS: dict[str, dict[str, Any]] = {"integrated": {"max_gap": 0.01}}


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """An image, the network's answer to it, and on which pixels that hangs.

    Args:
        id: of the image.
        seen: (H, W, 3) what the network saw of it, of a volume (D, H, W, 3); maps lie over that.
        drawn: (H, W, 3) the image with the answer on it, where that names places; of a volume three planes.
        prediction: the answer.
        maps: an explanation by each method, in order.
        refused: why methods that were not asked for by name have none.
        sanity: how a map changes as weights become random; None where that was not asked for.
        fields: what the middle unit of each row's map sees of the image, from the first row to the last.
        noun: what the image is.
        slices: of a volume, where its slices lie in `seen`.
    """

    id: str
    seen: ImageU8
    drawn: ImageU8 | None
    prediction: Prediction
    maps: tuple[Explanation, ...]
    refused: tuple[str, ...] = ()
    sanity: Sanity | None = None
    fields: tuple[ReceptiveField, ...] = ()
    noun: Noun = IMAGE
    slices: Slices | None = None

    def __getitem__(self, method: str) -> Explanation:
        """Return the explanation by a method."""
        return {one.method: one for one in self.maps}[method]

    def overlays(self) -> dict[str, ImageU8]:
        """Return the maps over what the network saw (H, W, 3), by method; over a volume (D, H, W, 3)."""
        return {one.method: overlay(self.seen, one) for one in self.maps}

    def shown(self, explanation: Explanation) -> list[tuple[str, ImageU8]]:
        """Return the map over the image (H, W, 3); of a volume two slices, each with a text on which it is."""
        over = overlay(self.seen, explanation)
        if self.slices is None:
            return [("", over)]
        return [(text, take(over)) for text, take in self.slices.shown(explanation.map)]

    @property
    def flat(self) -> ImageU8:
        """(H, W, 3) what the network saw; of a volume the middle slice."""
        return self.seen if self.slices is None else plane(self.slices.middle)(self.seen)

    def to_json(self) -> dict[str, Any]:
        """Return the answer and what each map is of, without arrays."""
        sanity = {"sanity": self.sanity.to_json()} if self.sanity else {}
        maps = [one.to_json() for one in self.maps]
        slices = self.slices
        if slices is not None:
            for row, one in zip(maps, self.maps, strict=True):
                row["slices"] = {"middle": slices.own(slices.middle), "heaviest": slices.own(slices.heaviest(one.map))}
        fields = {"receptive_fields": [one.to_json() for one in self.fields]} if self.fields else {}
        return {**self.prediction.to_json(), "explanations": maps, **sanity, **fields}

    def figure(self) -> "Figure":
        """Return a matplotlib figure: the image and its maps side by side, titled."""
        from matplotlib.figure import Figure

        views = [("What the network saw", self.prediction.line(2), self.flat)]
        for one in self.maps:
            text = self.worded(how(one))
            views += [(TITLES[one.method], _joined(text, where), over) for where, over in self.shown(one)]
        for title, text, one in self.stages():
            views += [(title, _joined(text, where), over) for where, over in self.shown(one)[:1]]
        columns = min(len(views), max(5, 1 + len(self.maps)))
        rows = -(-len(views) // columns)
        figure = Figure(figsize=(2.4 * columns, 2.95 * rows), layout="constrained")
        grid: Any = figure
        if self.fields:
            figure.set_figheight(2.95 * rows + 2.6)
            parts: Any = figure.subfigures(2, 1, height_ratios=(2.95 * rows, 2.6))
            grid, below = parts
            draw_depth(below.subplots(), self.fields, self.noun)
        for axes, (title, text, pixels) in zip(grid.subplots(rows, columns, squeeze=False).flat, views, strict=False):
            axes.imshow(pixels, interpolation="nearest", aspect="auto" if len(pixels) == 1 else "equal")
            axes.set_title(_plain(title), fontsize=9, parse_math=False)
            axes.set_xlabel("\n".join(wrap(_plain(text), 38)), fontsize=7, parse_math=False)
        for axes in grid.axes:
            axes.set(xticks=[], yticks=[])
            axes.set_visible(bool(axes.images))
        return figure

    def worded(self, text: str) -> str:
        """Return a text on pixels with the name of the places of this image: the voxels of a volume."""
        place = self.noun.place
        return text if self.noun is IMAGE else text.replace("pixel", place).replace(" px", f" {place}s")

    def stages(self) -> Iterator[tuple[str, str, Explanation]]:
        """Return title, text and map of each stage of the sanity check."""
        if self.sanity is None:
            return
        like = next((one for one in self.maps if one.method == self.sanity.method), self.maps[0])
        last = len(self.sanity.layers) - 1
        rows = zip(self.sanity.layers, self.sanity.correlations, self.sanity.maps, strict=True)
        for number, (layer, correlation, values) in enumerate(rows):
            title = "All layers random" if number == last else f"Random from {layer} up"
            yield (
                title,
                f"rank correlation {round(correlation, 2) + 0.0:.2f}",
                replace(like, map=values, is_signed=False),
            )

    def write(self, path: Path) -> Path:
        """Write a page (.html) or an image (.png).

        Raises:
            SettingsError: the name has another ending.
            ResourceError: the file cannot be written.
        """
        if path.suffix.lower() == ".png":
            content = io.BytesIO()
            self.figure().savefig(content, format="png", dpi=120, metadata=SOFTWARE)
            write_bytes(path, content.getvalue())
            return path
        if path.suffix.lower() not in {".html", ".htm"}:
            fix = "give --out a name that ends in .html or .png"
            raise SettingsError("an explanation is a page or a PNG", where=path, fix=fix)
        store = ThumbnailStore()
        return write_page(path, "explained.html", _context(self, store), store, [], self.noun)


def explain_image(
    predictor: Predictor,
    image: Any,
    *,
    methods: Sequence[str] = (),
    target: str | None = None,
    has_sanity: bool = True,
    has_fields: bool = True,
    is_strict: bool = True,
    report: Report | None = None,
) -> ExplainedImage:
    """Return which pixels the answer to an image hangs on.

    Args:
        image: a file, an array, a tensor or a Pillow image, see `Predictor`.
        methods: names of `METHODS`; by default all that the network allows.
        target: the class, tag or field to explain; by default what the network says.
        is_strict: whether a method that was named and has nothing to explain is an error.
        has_sanity: whether to look what random weights make of the gradient.
        has_fields: whether to look what each row sees of the image.

    Raises:
        DataError: the image cannot be read.
        SettingsError: method or target are unknown, or the task or a named method has nothing to explain.
    """
    pixels, prediction = predictor.answer(image)
    inputs = predictor.inputs([predictor.framed(pixels)])
    seen = predictor.seen(inputs)[0]
    network = predictor.task.explained(predictor.network)
    with borrowed(network) as probe:
        objective = objective_of(probe, predictor.task, inputs, target)
        maps, refused = _maps(probe, inputs, objective, methods or tuple(METHODS), is_strict and bool(methods), report)
        sanity = check_probe(probe, inputs, objective, method=SANITY_METHOD) if has_sanity else None
    fields = along_depth(network, inputs) if has_fields and inputs.ndim == NUM_AXES else ()
    return ExplainedImage(
        prediction.id,
        _rgb(seen),
        _drawn(prediction, pixels),
        prediction,
        tuple(maps),
        tuple(refused),
        sanity,
        tuple(fields),
        predictor.noun,
        Slices.of(pixels.shape[:3], seen.shape[:3]) if len(seen.shape) > NUM_SIDES else None,
    )


def _rgb(levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return levels[..., :3] if levels.shape[-1] >= 3 else np.repeat(levels[..., :1], 3, axis=-1)


def _drawn(prediction: Prediction, pixels: npt.NDArray[Any]) -> ImageU8 | None:
    """The image with the answer on it, where that names places."""
    has_map = prediction.map is not None and np.issubdtype(prediction.map.dtype, np.integer)
    has_places = has_map or prediction.box is not None or prediction.things is not None or bool(prediction.points)
    return prediction.overlay(_rgb(pixels)) if has_places else None


def _maps(
    probe: Probe, inputs: Tensor, objective: Objective, methods: Sequence[str], is_strict: bool, report: Report | None
) -> tuple[list[Explanation], list[str]]:
    maps: list[Explanation] = []
    refused: list[str] = []
    for method in methods:
        try:
            make = choose("method", method, METHODS)
            maps += make(probe, inputs, objective, report=report, **SETTINGS.get(method, {}))
        except SettingsError as problem:
            if is_strict:
                raise
            refused.append(f"{TITLES[method]}: {problem.what}")
    return maps, refused


def _context(one: ExplainedImage, store: ThumbnailStore) -> dict[str, Any]:
    first = one.maps[0]
    prediction = one.prediction
    shares = prediction.probabilities or prediction.shares
    ranked = sorted(shares.items(), key=lambda item: -item[1])[:MOST]
    rows = [
        {
            "images": [(store.add_image(_large(over)), where) for where, over in one.shown(made)],
            "title": TITLES[made.method],
            "how": one.worded(how(made)),
            "caveat": one.worded(CAVEATS[made.method]),
        }
        for made in one.maps
    ]
    stages = [
        {"image": store.add_image(_large(over)), "title": title, "how": _joined(text, where)}
        for title, text, made in one.stages()
        for where, over in one.shown(made)[:1]
    ]
    return {
        "title": one.id if one.noun.is_long else Path(one.id).name,
        "rerun": {"created": ""},
        "answer": f"{prediction.line(1)}",
        "seen": store.add_image(_large(one.flat)),
        "drawn": None if one.drawn is None else store.add_image(one.drawn),
        "size": _size(one),
        "place": one.noun.place,
        "depth": depth_chart(one.fields, one.noun),
        "depth_text": depth_text(one.fields, one.noun) if one.fields else "",
        "ranked": [(name, 100 * share, f"{share:.1%}") for name, share in ranked],
        "ranked_by": "class",
        "ranked_what": "probability" if prediction.probabilities else f"share of the {one.noun.place}s",
        "text": one.worded(first.text),
        "score": significant(first.score),
        "has_signs": any(made.is_signed for made in one.maps),
        "rows": rows,
        "refused": one.refused,
        "stages": stages,
        "sanity_text": _sanity_text(one.sanity) if one.sanity else "",
    }


def _sanity_text(sanity: Sanity) -> str:
    last = sanity.correlations[-1]
    said = "so it shows the network, not only the image" if sanity.is_passed else "so it hardly shows the network"
    return (
        "The weights are shuffled layer by layer, from the answer down, and the "
        f"{TITLES[sanity.method].lower()} is taken again. At the end its rank correlation with "
        f"the gradient of the trained network is {round(last, 2) + 0.0:.2f} (below {LIMIT:g} passes), {said}."
    )


def _size(one: ExplainedImage) -> str:
    height, width = one.seen.shape[-3:-1]
    if one.slices is not None:
        return one.slices.about(one.seen.shape[:3])
    return f"{width} steps" if one.noun.is_long else f"{width} x {height} pixels"


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))


def _large(pixels: ImageU8) -> ImageU8:
    """An image with each pixel repeated until it is large enough to look at; a series as a band."""
    times = max(1, SIDE_PX // max(pixels.shape[:2]))
    down = SIDE_PX // BAND if len(pixels) == 1 else times
    return np.ascontiguousarray(pixels.repeat(down, 0).repeat(times, 1))


def _plain(text: str) -> str:
    """Text that the figure's font has for sure."""
    return shown(text, 110).encode("latin-1", "backslashreplace").decode("latin-1")
