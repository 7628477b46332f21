"""Predictions of volumes: read as in training, answered whole, written as label volumes that lie as the input does."""

import gzip
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from striate.base.errors import DataError, SettingsError
from striate.base.files import write_bytes, write_text
from striate.base.noun import NOUNS
from striate.data.augment.device import apply_torch
from striate.data.bands import in_depth
from striate.data.geometry import Geometry
from striate.data.raster import Samples
from striate.data.sample import IGNORE
from striate.data.sources.volume_files import NIFTI, nifti_of, stem_of, suffix_of, values_of
from striate.data.sources.volume_images import levels_of
from striate.data.volume_geometry import VolumeGeometry
from striate.nn.tiles import tiled
from striate.task import Task
from striate.task.outputs import outputs_of

from .overlay import LEGEND, OVERLAY, Names, legend, planes_covered
from .predictor import Predictor, plain_view

if TYPE_CHECKING:
    from striate.data.given import Given

    from .prediction import Prediction
    from .predictor import Tiles

LABELS = "-labels"


class VolumePredictor(Predictor):
    """A trained network of volumes: paths of NIfTI, `.npy` or `.npz` files or folders of frames, or arrays (D, H, W).

    Of a volume larger than the network's view, labels are given in overlapping tiles, blended; else its middle counts.
    """

    batch = 2
    noun = NOUNS["volume"]

    def __init__(self, network: nn.Module, task: Task, geometry: VolumeGeometry, *given: Any) -> None:
        super().__init__(network, task, replace(geometry, box=None), *given)

    def _heard(
        self, picture: "Given", doubtful: list[DataError] | None = None, name: str = "volume"
    ) -> npt.NDArray[Any]:
        if isinstance(picture, str | Path):
            path = Path(picture)
            if not path.exists() or not (path.is_dir() or suffix_of(path)):
                fix = "give .nii, .nii.gz, .npy or .npz files, or folders of frames"
                raise DataError("no volume", where=path, fix=fix)
            values = values_of(path)
        else:
            values = np.asarray(picture)
            values = values[..., None] if values.ndim == 3 else values
        if values.ndim != 4 or values.shape[3] < self.geometry.channels:
            what = f"a volume of shape {'x'.join(map(str, values.shape))}"
            raise DataError(what, where=name, fix=f"give (D, H, W, {self.geometry.channels})")
        return in_depth(levels_of(values[..., : self.geometry.channels]), self.geometry.depth)

    def _normalised(self, stored: Sequence[npt.NDArray[Any]], geometry: Geometry) -> Tensor:
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (self.mean, self.std))
        return apply_torch(torch.from_numpy(np.stack(stored)), plain_view(len(stored), geometry), mean, std)

    def _tile_scale(self, tiles: "Tiles | None") -> float:
        if tiles not in (None, "auto", 1):
            what = f"volumes are not resampled; tiles at a scale of {tiles}"
            raise SettingsError(what, where="--tiles", fix="leave it out: large volumes are cut into tiles anyway")
        return 1.0

    def _is_larger(self, pixels: Samples, scale: float) -> bool:
        sides = zip(pixels.shape[:3], self.geometry.size_hw, strict=True)
        return self.predicts_maps and any(side > seen for side, seen in sides)

    def _tiled(self, pixels: Samples, scale: float, name: str) -> "Prediction":
        size = pixels.shape[:3]
        boxed = cast(VolumeGeometry, self.geometry).boxed(size)
        with torch.inference_mode():
            whole = self._normalised([boxed.to_store(pixels)], boxed)
            outputs = tiled(lambda part: cast(Tensor, outputs_of(self.network, self.task, part)), whole, boxed.size_hw)
        return self._read(outputs, [name], [size])[0]


class VolumeDrawer:
    """Writes for each volume `NAME-labels.nii.gz`, as the volume lies, and `NAME-overlay.png`, three planes of it.

    Labels are the classes' numbers, 255 where nothing was seen; `classes.csv`, written once, has their names and
    colours. Of volumes in arrays and frames the labels are a `.npy` file.
    """

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder, self.names = predictor, folder, predictor.task.names
        self._file_names = Names()
        if len(self.names) > IGNORE:
            fix = "leave --draw out, and take the maps in Python"
            raise SettingsError(f"{len(self.names)} classes do not fit labels of 255 numbers", where="--draw", fix=fix)
        write_text(folder / LEGEND, legend(self.names))

    def draw(self, path: Path, prediction: "Prediction") -> dict[str, str]:
        """Write both files of a prediction; return {"overlay": path, "labels": path}.

        Raises:
            DataError: the volume cannot be read.
            ResourceError: the folder cannot be written.
        """
        assert prediction.map is not None
        labels, name, content = prediction.map, self._file_names(stem_of(path)), io.BytesIO()
        drawn = planes_covered(levels_of(values_of(path)), labels, self.names)
        Image.fromarray(drawn[..., 0] if drawn.shape[2] == 1 else drawn).save(content, "PNG")
        files = {"overlay": self.folder / f"{name}{OVERLAY}"}
        write_bytes(files["overlay"], content.getvalue())
        if suffix_of(path) in NIFTI:
            files["labels"] = self.folder / f"{name}{LABELS}.nii.gz"
            write_bytes(files["labels"], gzip.compress(nifti_of(labels, path).to_bytes(), mtime=0))
        else:
            files["labels"], array = self.folder / f"{name}{LABELS}.npy", io.BytesIO()
            np.save(array, labels, allow_pickle=False)
            write_bytes(files["labels"], array.getvalue())
        return {what: str(file) for what, file in files.items()}
