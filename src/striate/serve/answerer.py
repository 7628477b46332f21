"""What answers: a run's predictor, its network run by ONNX Runtime where that is installed and agrees."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError, UserError
from striate.base.noun import IMAGE
from striate.base.rundir import RunDir
from striate.export.bundle import config_of
from striate.export.contract import compare
from striate.export.onnx_file import PACKAGES, Session, write_onnx
from striate.predict import Predictor
from striate.predict.prediction import Prediction

NUM_CHECKED = 4  # images of noise on which both must agree before one stands in for the other
MAX_PIXELS = 50_000_000


class ThroughOnnx(nn.Module):
    """A network's forward pass by ONNX Runtime; outputs are one tensor.

    Raises:
        ModelError: it cannot be written as ONNX, or answers otherwise.
    """

    def __init__(self, network: nn.Module, shape: Sequence[int], threads: int) -> None:
        super().__init__()
        images = torch.randn(NUM_CHECKED, *shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            wanted = network(images)
        if not isinstance(wanted, Tensor):
            raise ModelError("it has several outputs", fix="serve it by torch")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            write_onnx(network, images[:2], path, ["outputs"], {})
            self._session = Session(path, threads)
        found = compare([wanted.numpy()], self._session(images.numpy()))
        if not found.holds:
            raise ModelError(f"ONNX Runtime answers otherwise ({found.text})", fix="serve it by torch")

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs of images (N, C, H, W)."""
        return torch.from_numpy(self._session(np.ascontiguousarray(images.numpy()))[0])


class Answerer:
    """Predictions of a run, for images as they come in.

    `engine` is "onnxruntime" or "torch"; `remark` says why it is not the faster one.

    Raises:
        ModelError: the folder is no finished run, or its network takes no images.
    """

    def __init__(self, run: RunDir | Path | str, *, threads: int = 0, uses_onnx: bool = True) -> None:
        run = run if isinstance(run, RunDir) else RunDir(run)
        self.predictor = Predictor.load(run)
        if self.predictor.noun is not IMAGE:
            what = f"a run of {self.predictor.noun.many}: the server takes images"
            raise ModelError(what, where=run.path, fix=f"use `striate predict {run.path} FILE`")
        self.info: dict[str, Any] = config_of(run, self.predictor)
        self.engine, self.remark = "torch", ""
        if uses_onnx:
            self._take_onnx(threads)

    def _take_onnx(self, threads: int) -> None:
        if missing := [name for name in PACKAGES if find_spec(name) is None]:
            self.remark = f'{" and ".join(missing)} not installed: pip install "striate[export]"'
            return
        geometry = self.predictor.geometry
        shape = (geometry.channels, *geometry.size_hw)
        try:
            self.predictor.network = ThroughOnnx(self.predictor.network, shape, threads)
        except UserError as problem:
            self.remark = problem.what
        else:
            self.engine = "onnxruntime"

    def decoded(self, content: bytes, name: str) -> npt.NDArray[Any]:
        """Return the image in the bytes of a file.

        Raises:
            DataError: it is no image, damaged, or too large.
        """
        return self.predictor.decoded(content, name, MAX_PIXELS)

    def __call__(self, images: Sequence[npt.NDArray[Any]]) -> list[Prediction]:
        """Return the predictions of decoded images."""
        return self.predictor.of_pixels([(pixels, "") for pixels in images])
