"""A run folder becomes a function from images to predictions."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.device import place
from striate.base.documents import understood
from striate.base.errors import DataError, ModelError, SettingsError, combined
from striate.base.noun import IMAGE
from striate.base.rundir import RunDir
from striate.base.size import SizeHW
from striate.data.augment import Pipeline
from striate.data.augment.apply import Normal, apply_cpu
from striate.data.geometry import Geometry, WayBack, coloured
from striate.data.given import images_of
from striate.data.levels import FULL, Levels, parse_levels
from striate.data.raster import Samples
from striate.task import Outputs, Task, from_json
from striate.task.answer import Answer
from striate.task.head import Image as ImageHead
from striate.task.head import Map
from striate.task.outputs import outputs_of
from striate.task.views import each

from .ahead import read_ahead
from .merge import in_tiles, merged
from .prediction import Prediction
from .reading import pass_on, read_image
from .things import own_things
from .tiling import at_scale, compact, own_map, tiled_outputs
from .weights import load_weights, network_of, temperature_of

if TYPE_CHECKING:
    from striate.data.given import Given

Tiles = float | Literal["auto"]


class Predictor:
    """A trained network with its preparation of images, its task and its class names.

    Outputs are divided by `temperature` before they become probabilities; a run that `striate evaluate --calibrate`
    has seen brings its own, others have 1. `levels` are those of 16 bits that become 0 and 255, as in training;
    `scale` is how many of the network's pixels one of a training image became, None where a run does not say.

    Example:
        >>> predictor = Predictor.load(run)                     # doctest: +SKIP
        >>> predictor([Path("robin.jpg")])[0].names             # doctest: +SKIP
        ('robin',)
    """

    batch = 64  # images that are read and answered together
    reads_images = True  # and not series, which no tile of a sheet shows
    noun = IMAGE

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        geometry: Geometry,
        mean: Sequence[float],
        std: Sequence[float],
        temperature: float = 1.0,
        levels: Levels = FULL,
        scale: float | None = None,
    ) -> None:
        self.network = place(network.eval(), "cpu")
        self.task, self.geometry, self.temperature, self.levels = task, geometry, temperature, levels
        self.scale = scale
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        self.normal = Normal.of(mean, std, geometry.size_hw)

    @classmethod
    def load(cls, run: RunDir | Path | str, network: nn.Module | None = None) -> "Predictor":
        """Return the predictor of a run folder.

        Args:
            network: the module, when the run was not made from a blueprint.

        Raises:
            ModelError: the folder is no finished run, or its weights or its calibration do not fit.
        """
        run = run if isinstance(run, RunDir) else RunDir(run)
        info = run.info()
        if not run.weights.is_file():
            raise ModelError(
                "the run has no weights yet", where=run.path, fix=f"finish it with `striate resume {run.path}`"
            )
        with understood(run.path / "run.json"):
            task, data = from_json(info["task"]), info["input"]
            geometry = Geometry.from_json(data)
            levels = parse_levels(info["dataset"]["options"].get("levels", "full")) or FULL
            network = network or network_of(run, info, task, geometry)
            load_weights(network, run)
            kind: Any = cls
            if len(geometry.size_hw) == 3:
                from .volumes import VolumePredictor as kind
            if ranges := info["dataset"]["options"].get("ranges"):
                from .series import SeriesPredictor

                kind = partial(SeriesPredictor, ranges=ranges)
            made: Predictor = kind(
                network, task, geometry, data["mean"], data["std"], temperature_of(run), levels, data.get("scale")
            )
            return made

    def __call__(
        self,
        pictures: "Given | Iterable[Given]",
        bad: list[DataError] | None = None,
        doubtful: list[DataError] | None = None,
        tiles: Tiles | None = None,
    ) -> list[Prediction]:
        """Return a prediction for each image: a path, an array, a tensor or a Pillow image, see `data.given`.

        Args:
            images: the images, or one of them.
            bad: gets the errors of files that cannot be read, whose predictions are left out.
            doubtful: gets what a decoder complained of in files that are predicted all the same and may be damaged;
                without it, each is a Python warning.
            tiles: predict maps or objects in overlapping tiles, see `tiling` and `merge`: the scale at which an image
                is cut (1: its own pixels), or "auto", that of training. Images that then fit into the network's view
                are seen whole.

        Raises:
            DataError: files cannot be read and `bad` is not given; the message names them.
            SettingsError: tiles are asked for of what is no map and no set of objects, or at a scale that is not known.
        """
        found: list[Prediction] = []
        scale, problems = self._tile_scale(tiles), [] if bad is None else bad
        images = read_ahead(images_of(pictures), self._heard)
        while some := list(islice(images, self.batch)):
            good: list[tuple[Samples, str]] = []
            for number, picture, pixels, problem, doubts in some:
                pass_on(doubts, doubtful)
                if pixels is None or problem is not None:
                    problems += [problem] if problem else []
                    continue
                good.append((pixels, id_of(picture, number)))
            found += self._predicted(good, scale)
        if problems and bad is None:
            raise combined(problems)
        return found

    def answer(self, picture: "Given") -> tuple[npt.NDArray[Any], Prediction]:
        """Return the decoded pixels (H, W, C) of an image and the prediction for it: its file is read once.

        Raises:
            DataError: the file cannot be read.
        """
        pixels = self._heard(picture)
        return pixels, self.of_pixels([(pixels, id_of(picture))])[0]

    def of_pixels(self, images: Sequence[tuple[Samples, str]]) -> list[Prediction]:
        """Return the predictions for decoded images (H, W, C), each with its id, in one pass of the network."""
        return self._predicted(images, self._tile_scale(None))

    def _predicted(self, images: Sequence[tuple[Samples, str]], scale: float | None) -> list[Prediction]:
        found = [self._alone(pixels, scale, name) for pixels, name in images]
        whole = [image for image, one in zip(images, found, strict=True) if one is None]
        if whole:
            outputs = self.outputs([self.framed(pixels) for pixels, _ in whole])
            read = iter(self._read(outputs, [name for _, name in whole], [pixels.shape[:-1] for pixels, _ in whole]))
        return [one or next(read) for one in found]

    def _alone(self, pixels: Samples, scale: float | None, name: str) -> Prediction | None:
        """The prediction for an image that does not go through the network as a whole beside others, else None."""
        if self.makes_images:
            return self._restored(pixels, name)
        if scale and self._is_larger(pixels, scale):
            return (self._things_of_tiles if self.task.finds_things else self._tiled)(pixels, scale, name)
        return None

    def fitted(self, picture: "Given") -> npt.NDArray[Any]:
        """Return the stored rectangle (H, W, C) of an image: decoded, upright, fitted."""
        return self.framed(self._heard(picture))

    def framed(self, pixels: Samples) -> npt.NDArray[Any]:
        """Return the stored rectangle (H, W, C) of decoded pixels."""
        return self.geometry.to_store(pixels)

    @property
    def predicts_maps(self) -> bool:
        """Whether the answer to an image is a map over it."""
        return isinstance(self.task.head, Map)

    @property
    def makes_images(self) -> bool:
        """Whether the answer to an image is an image, made of its own pixels, whatever its size."""
        return isinstance(self.task.head, ImageHead)

    @property
    def is_placed(self) -> bool:
        """Whether an answer names places in the image."""
        return self.predicts_maps or self.task.is_placed

    @property
    def short_side_px(self) -> int:
        """The shorter side that a decoder must deliver at least."""
        return self.geometry.short_side_px

    def _heard(
        self, picture: "Given", doubtful: list[DataError] | None = None, name: str = "image"
    ) -> npt.NDArray[Any]:
        """The pixels of an image; what its decoder complains of goes to `doubtful`, or is a warning."""
        pixels, doubts = read_image(picture, name, self.geometry, self.levels, self._decoded_side_px)
        pass_on(doubts, doubtful)
        return pixels

    def decoded(self, content: bytes, name: str, max_pixels: int) -> Samples:
        """Return the pixels (H, W, C) of the image in the bytes of a file; `name` is for messages.

        Raises:
            DataError: it is no image, damaged, or has more pixels than `max_pixels`.
        """
        return read_image(content, name, self.geometry, self.levels, self._decoded_side_px, max_pixels)[0]

    @property
    def _decoded_side_px(self) -> int | None:
        return None if self.is_placed else self.short_side_px  # places are those of the image's own size

    @torch.inference_mode()
    def outputs(self, stored: Sequence[npt.NDArray[Any]]) -> Outputs:
        """Return the network's outputs for stored images."""
        return self._seen(stored, self.geometry)

    def inputs(self, stored: Sequence[npt.NDArray[Any]]) -> Tensor:
        """Return what the network gets of stored images: (N, C, H, W), normalised."""
        return self._normalised(stored, self.geometry)

    def seen(self, inputs: Tensor) -> npt.NDArray[np.uint8]:
        """Return what the network gets (N, C, ...) as levels (N, ..., C) again."""
        planes = inputs.detach().cpu().movedim(1, -1).numpy()
        levels = (planes - self.normal.offset) / self.normal.scale
        return np.asarray(np.rint(levels).clip(0, 255), np.uint8)

    def _normalised(self, stored: Sequence[npt.NDArray[Any]], geometry: Geometry) -> Tensor:
        pixels = apply_cpu(stored, plain_view(len(stored), geometry), normal=self.normal)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def _seen(self, stored: Sequence[npt.NDArray[Any]], geometry: Geometry) -> Outputs:
        return outputs_of(self.network, self.task, self._normalised(stored, geometry))

    def _tile_scale(self, tiles: Tiles | None) -> float | None:
        """The scale at which images are cut into tiles; None where they are not."""
        if tiles is None:
            return None
        if not self.predicts_maps and not self.task.finds_things:
            what = f"the task {self.task.name} predicts no map and no objects that tiles could make up"
            raise SettingsError(what, where="tiles", fix="leave --tiles out")
        scale = self.scale if tiles == "auto" else tiles
        if scale is None:
            what = "the run does not say at which scale it saw its training images"
            raise SettingsError(what, where="tiles", fix="give the scale: --tiles 1 for an image's own pixels")
        if not 0 < scale < math.inf:
            raise SettingsError(f"tiles at a scale of {scale:g}", where="tiles", fix="give a number above 0")
        return scale

    def _is_larger(self, pixels: Samples, scale: float) -> bool:
        """Whether an image at a scale is larger than the network's view by more than half a pixel."""
        return any(
            side * scale > seen + 0.5 for side, seen in zip(pixels.shape[:2], self.geometry.size_hw, strict=True)
        )

    def _tiled(self, pixels: Samples, scale: float, name: str) -> Prediction:
        sized = at_scale(coloured(pixels, self.geometry.channels), scale)
        exact = replace(self.geometry, margin=1.0)
        answers = []
        with torch.inference_mode():
            for band in tiled_outputs(sized, self.geometry.size_hw, lambda tiles: self._seen(tiles, exact)):
                answers += self._answers(band)
        whole = np.concatenate([compact(one.map) for one in answers if one.map is not None])
        way = Geometry((sized.shape[0], sized.shape[1]), "squash").way_back(pixels.shape[0], pixels.shape[1])
        return Prediction(name, answers[0].names, map=own_map(way, whole))

    def _things_of_tiles(self, pixels: Samples, scale: float, name: str) -> Prediction:
        """The things in an image at a scale, tile by tile and seen whole, each once; in the image's own pixels."""
        sized = at_scale(coloured(pixels, self.geometry.channels), scale)

        def predicted(parts: list[Samples]) -> list[Prediction]:
            outputs = self.outputs([self.framed(part) for part in parts])
            return self._read(outputs, [name] * len(parts), [part.shape[:2] for part in parts])

        tiles, things = in_tiles(sized, self.geometry.size_hw, predicted, self.batch)
        return Prediction(name, self.task.names, things=merged(tiles, things, sized.shape[:2], pixels.shape[:2]))

    def _restored(self, pixels: Samples, name: str) -> Prediction:
        """What is made of an image at its own size, in tiles, `scale` times as high and wide."""
        exact, image = replace(self.geometry, margin=1.0), self.task.taken(coloured(pixels, self.geometry.channels))
        with torch.inference_mode():
            bands = tiled_outputs(image, self.geometry.size_hw, lambda tiles: self._seen(tiles, exact), self.task.scale)
            answers = [one for band in bands for one in self._answers(band)]
        maps = [one.map for one in answers if one.map is not None]
        return Prediction(name, (), map=np.concatenate(maps), is_image=True)

    def _answers(self, outputs: Outputs) -> list[Answer]:
        if self.temperature != 1:
            outputs = each(lambda values: values / self.temperature, outputs)
        return self.task.answers(self.task.decode(outputs))

    def _read(self, outputs: Outputs, ids: Sequence[str], sizes_hw: Sequence[SizeHW]) -> list[Prediction]:
        answers, ways = self._answers(outputs), [self.geometry.way_back(*size_hw) for size_hw in sizes_hw]
        maps: Sequence[npt.NDArray[Any] | None] | None = self.task.at_own_size(outputs, ways)
        if maps is None:
            maps = [
                one.map if one.map is None else own_map(way, one.map) for one, way in zip(answers, ways, strict=True)
            ]
        return [
            Prediction(
                name,
                one.names,
                one.values,
                one.probabilities,
                moved,
                self._own_box(one.box, size_hw),
                things=own_things(one.things, way),
                points=self._own_points(one.points, way),
            )
            for name, one, moved, size_hw, way in zip(ids, answers, maps, sizes_hw, ways, strict=True)
        ]

    def _own_points(self, seen: Sequence[tuple[float, ...]], way: WayBack) -> tuple[tuple[float, ...], ...]:
        """Points in shares of what the network saw as points in the image's own pixels, none beyond it."""
        if not seen:  # as of volumes, whose places have three sides
            return ()
        places = way.inner_points(np.array(seen).reshape(-1, 2) * self.geometry.size_hw[::-1])
        return tuple(map(tuple, places.tolist()))

    def _own_box(self, seen: tuple[float, ...] | None, size_hw: SizeHW) -> tuple[float, ...] | None:
        """A box in shares of what the network saw as one in the image's own pixels, cut at its border."""
        if seen is None:
            return None
        height, width = size_hw
        view = np.array([self.geometry.size_hw[::-1] * 2])
        box = self.geometry.way_back(height, width).boxes(np.array(seen) * view)[0]
        return tuple(np.clip(box, 0, [width, height] * 2).tolist())


def id_of(picture: "Given", number: int = 0) -> str:
    """Return the id of an image: its path, or its number where it is no file."""
    return str(picture) if isinstance(picture, str | Path) else str(number)


@lru_cache(64)  # 0.2 ms of an answer
def plain_view(count: int, geometry: Geometry) -> Any:
    """Return the plan that leaves so many stored images as they are."""
    pipeline = Pipeline()
    return pipeline.matrices(
        pipeline.draw(count, 0, 0), geometry.store_hw, geometry.size_hw, np.zeros((count, geometry.channels))
    )
