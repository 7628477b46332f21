"""What a network says of one image: for people, for documents, and drawn."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.base.errors import DataError
from striate.data.sample import IGNORE, ImageU8
from striate.task.answer import Thing
from striate.task.points.drawing import draw

from .card import prediction_card, prediction_text
from .overlay import boxed, overlay, planes_covered, rgb_of
from .things import document_of, drawn

if TYPE_CHECKING:
    from striate.data.given import Given


@dataclass(frozen=True)
class Prediction:
    """What the network says of one image.

    `names` are the classes given (one for classification, any number of tags), the numbers' fields or the classes of a
    map; `values` the numbers; `probabilities` maps every class to its probability; `map` (H, W) has the class of each
    of the image's own pixels, 255 where the network did not look, or (H, W, C) numbers, nan there; `box` is
    x0, y0, x1, y1 in its own pixels; `things` are the objects found, by falling score, with boxes such as that, None
    where none are looked for; `points` are x, y of each of `names` in its own pixels; with `is_image` the map is an
    image made of this one, in 0..1.
    """

    id: str
    names: tuple[str, ...]
    values: tuple[float, ...] = ()
    probabilities: dict[str, float] | None = None
    map: npt.NDArray[Any] | None = None
    box: tuple[float, ...] | None = None
    is_image: bool = False
    things: tuple[Thing, ...] | None = None
    points: tuple[tuple[float, ...], ...] = ()

    def __repr__(self) -> str:
        return prediction_text(self)

    def _repr_html_(self) -> str:
        return prediction_card(self)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the pixels the network saw that each class of a map has; empty where there is none."""
        if self.map is None or not np.issubdtype(self.map.dtype, np.integer):
            return {}
        counts = np.bincount(self.map[self.map != IGNORE].ravel(), minlength=len(self.names))
        names = [*self.names, *map(str, range(len(self.names), len(counts)))]  # of a map without names: its numbers
        return {name: float(count / max(1, counts.sum())) for name, count in zip(names, counts, strict=True)}

    def overlay(self, image: "Given") -> ImageU8:
        """Return the image (H, W, 3) with the predicted box or points, or half covered with the colours of a map.

        A background stays clear. Of a volume, an array (D, H, W, C), they are three planes through what was found.

        Raises:
            DataError: there is no map of classes, no box and no point, or the image is of another size than the map.
        """
        if self.things is not None:
            return drawn(rgb_of(image), self.things, self.names)
        if self.points:
            return draw(rgb_of(image), None, np.array(self.points))
        if self.box is not None:
            return boxed(rgb_of(image), self.box, list(self.probabilities or self.names).index(self.names[0]))
        if self.map is None or not np.issubdtype(self.map.dtype, np.integer):
            fix = "predict with a run of --task segment, detect, localise or points"
            raise DataError("no map of classes, no box and no point was predicted", where=self.id, fix=fix)
        if self.map.ndim == 3:
            return planes_covered(np.asarray(image), self.map, self.names)
        return overlay(rgb_of(image), self.map, self.names, self.id)

    @property
    def counts(self) -> dict[str, int]:
        """How many things of each class were found."""
        counts = Counter(thing.name for thing in self.things or ())
        return {name: counts[name] for name in self.names}

    @property
    def image(self) -> ImageU8:
        """The image (H, W, C) that was made.

        Raises:
            DataError: none was.
        """
        if not self.is_image or self.map is None:
            fix = "predict with a run of a task that restores images, such as denoise"
            raise DataError("no image was made", where=self.id, fix=fix)
        return np.asarray(np.rint(self.map * 255).clip(0, 255), np.uint8)

    def line(self, most: int) -> str:
        """Return the answer in a line: the most probable classes, those with most pixels, or the numbers."""
        if self.things is not None:
            counts = sorted(self.counts.items(), key=lambda item: -item[1])[:most]
            return ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing"
        if self.points:
            return ", ".join(f"{name} {x:.0f} {y:.0f}" for name, (x, y) in zip(self.names, self.points, strict=True))
        ranked = sorted((self.probabilities or self.shares).items(), key=lambda item: -item[1])[:most]
        if ranked:
            text = ", ".join(f"{name} {share:.3f}" for name, share in ranked)
            return text if self.box is None else f"{text}; box {', '.join(f'{side:.0f}' for side in self.box)}"
        if self.is_image and self.map is not None:
            return f"an image of {self.map.shape[1]} x {self.map.shape[0]} px"
        if self.map is not None:
            return "x".join(map(str, self.map.shape)) + f" from {np.nanmin(self.map):.4g} to {np.nanmax(self.map):.4g}"
        return ", ".join(f"{name} {value:.4g}" for name, value in zip(self.names, self.values, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return the plain document of `predict --json`; of a map its size and the share of each class."""
        document: dict[str, Any] = {"id": self.id} | ({"box": list(self.box)} if self.box else {})
        if self.things is not None:
            return document | {"counts": self.counts, "things": [document_of(thing) for thing in self.things]}
        if self.points:
            return document | {"points": dict(zip(self.names, map(list, self.points), strict=True))}
        if self.map is not None:
            return document | {
                "size_hw": list(self.map.shape if self.shares else self.map.shape[:2]),
                "shares": self.shares,
            }
        if self.probabilities is None:
            return document | {"values": dict(zip(self.names, self.values, strict=True))}
        return document | {"prediction": list(self.names), "probabilities": self.probabilities}
