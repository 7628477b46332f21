"""ONNX files: written by torch's exporter, run by ONNX Runtime."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError, SettingsError
from striate.base.text import shown

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INPUT = "images"
MAX_INLINE_BYTES = 2_000_000_000  # a protobuf file holds no more, and other files beside it could be swapped


def require_packages(names: Sequence[str] = PACKAGES) -> None:
    """Refuse where packages are missing.

    Raises:
        SettingsError: it names them.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        what = f"ONNX files need {' and '.join(missing)}"
        raise SettingsError(what, where="export", fix='pip install "striate[export]"')


def write_onnx(
    module: nn.Module, images: Tensor, path: Path, names: Sequence[str], metadata: Mapping[str, str]
) -> None:
    """Write a module as an ONNX file that takes any number of images.

    Args:
        images: (N, C, H, W) with N at least 2, an example.
        names: of the outputs.
        metadata: texts that the file holds beside the graph.

    Raises:
        ModelError: a part of the module cannot be written as ONNX.
    """
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
    if num_bytes > MAX_INLINE_BYTES:
        raise ModelError(f"weights of {num_bytes:,} bytes do not fit into one ONNX file", fix="use --to torch")
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # of the exporter about itself; what it writes is checked afterwards
        try:
            program = torch.onnx.export(
                module,
                (images,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(names),
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                external_data=False,
                verbose=False,
            )
        except Exception as problem:  # the exporter's errors have no common class
            raise ModelError(
                f"cannot be written as ONNX ({reason_of(problem)})",
                fix="use `striate predict` or `striate serve` for it",
            ) from problem
        assert program is not None
        program.model.metadata_props.update(metadata)
        program.save(str(path), external_data=False)


def reason_of(problem: BaseException) -> str:
    """Return what the exporter stumbled on: the first line of the error that began it."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    return shown(str(problem).strip().split("\n")[0], 120) or type(problem).__name__


class Session:
    """An ONNX file in ONNX Runtime, on so many threads of the processor.

    Raises:
        ModelError: the file cannot be loaded.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        require_packages(("onnxruntime",))
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # its errors have no common class
            reason = shown(str(problem).strip().split("\n")[0], 200)
            raise ModelError(
                f"ONNX Runtime cannot load it ({reason})", where=path, fix="export the run again"
            ) from problem

    @property
    def metadata(self) -> dict[str, str]:
        """The texts that the file holds beside its graph."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, images: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """Return the outputs for images (N, C, H, W).

        Raises:
            ModelError: the graph does not take them.
        """
        try:
            found: list[npt.NDArray[Any]] = self._session.run(None, {INPUT: images})
        except Exception as problem:  # its errors have no common class
            reason = shown(" ".join(str(problem).split()), 120)
            raise ModelError(f"ONNX Runtime cannot run it ({reason})", fix="use --to torch") from problem
        return found


class _quiet:
    """Keeps the exporter's remarks on optional operators from the user, who can do nothing about them."""

    def __enter__(self) -> None:
        self._before = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "onnx_ir")}
        for name in self._before:
            logging.getLogger(name).setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for name, level in self._before.items():
            logging.getLogger(name).setLevel(level)
