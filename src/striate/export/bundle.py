"""A folder with an exported network: the file itself, how its images are prepared, a card, samples with answers."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from striate.base.choose import choose
from striate.base.errors import ModelError, SettingsError
from striate.base.files import to_json, whole_folder, write_json, write_text
from striate.base.rundir import RunDir
from striate.predict import Predictor

from .card import card
from .contract import Agreement, Answers, first_difference, require_equal
from .graph import Answering, require_one_size
from .onnx_file import Session, reason_of, require_packages, write_onnx
from .quantise import EightBits, Quantised, judged, quantise

SAMPLES = 4
SCRIPT, INT8 = "predict_onnx.py", "model_int8.onnx"


@dataclass(frozen=True)
class Exported:
    """An export that holds: its folder, its main file, how it agrees with the run, and what 8 bits cost."""

    folder: Path
    file: Path
    agreement: Agreement
    eight_bits: Quantised | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a plain document."""
        size = self.file.stat().st_size
        more = {"int8": self.eight_bits.to_json()} if self.eight_bits else {}
        about = {"folder": str(self.folder), "file": str(self.file), "bytes": size}
        return {**about, "checked": self.agreement.to_json(), **more}


@dataclass(frozen=True)
class Order:
    """What is to be written.

    Args:
        run: its folder.
        stored: N images (H, W, C) as the run's store keeps them, on which it is checked; two at least.
        is_normalising: whether the graph normalises images itself.
    """

    run: Path
    predictor: Predictor
    stored: Sequence[npt.NDArray[Any]]
    is_normalising: bool = False

    def images(self) -> Tensor:
        """What the file gets of the images (N, C, H, W): normalised, or in levels."""
        return self.fed(self.predictor.inputs(self.stored))

    def fed(self, normal: Tensor) -> Tensor:
        """What the file gets of normalised images."""
        if not self.is_normalising:
            return normal.contiguous()
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.predictor.mean, self.predictor.std))
        return ((normal * std + mean) * 255).contiguous()


def export(
    run: RunDir | Path | str,
    stored: Sequence[npt.NDArray[Any]],
    to: str,
    out: Path,
    *,
    is_normalising: bool = False,
    overwrite: bool = False,
    network: nn.Module | None = None,
    eight_bits: EightBits | None = None,
) -> Exported:
    """Write a finished run for other programs, and check it against the run.

    Args:
        stored: images as the run's store keeps them; the export is checked on all of them.
        to: "onnx" or "torch" (a `torch.export` program).
        out: the folder to make; nothing is left of it where the export does not answer like the run.
        is_normalising: whether the graph takes levels 0..255 and normalises them itself.
        overwrite: whether a folder that is there is replaced.
        network: the module, when the run was not made from a blueprint.
        eight_bits: to write an ONNX file in 8 bits too.

    Raises:
        ModelError: the run is not finished, its network cannot be written so, what was written answers otherwise, or
            8 bits are worse.
        SettingsError: a package is missing, `out` is taken, or 8 bits are asked for of a program.
    """
    run = run if isinstance(run, RunDir) else RunDir(run)
    choose("to", to, WRITERS)
    if eight_bits and to != "onnx":
        raise SettingsError("8 bits are for ONNX files", where="--int8", fix="add --to onnx")
    if out.exists() and not overwrite:
        raise SettingsError("the folder is taken", where=out, fix="name another --out, or add --overwrite")
    order = Order(run.path, Predictor.load(run, network), stored, is_normalising)
    require_one_size(order.predictor)
    config = config_of(run, order.predictor, is_normalising=order.is_normalising)
    with whole_folder(out) as folder:
        name, about, agreement = WRITERS[to](order, config, folder)
        found = _in_eight_bits(order, folder, eight_bits) if eight_bits else None
        write_json(folder / "config.json", config | ({"int8": found.to_json()} if found else {}))
        _keep_samples(order, folder / "samples")
        more = {INT8: f"the same in 8 bits: {found.text}"} if found else {}
        files = {name: about, **more, "config.json": "the preparation of images and the names of classes"}
        if to == "onnx" and _is_plain(order.predictor):
            write_text(folder / SCRIPT, resources.files(__package__).joinpath("predict_onnx.txt").read_text("utf-8"))
            files[SCRIPT] = "prediction with numpy, Pillow and onnxruntime alone"
        files["samples/"] = "stored images with the run's answers"
        write_text(folder / "README.md", card(config, _scores(run), files, f"Against the run on {agreement.text}."))
    return Exported(out, out / name, agreement, found)


def _onnx(order: Order, config: Mapping[str, Any], folder: Path) -> tuple[str, str, Agreement]:
    require_packages()
    module, images = Answering.of(order.predictor, is_normalising=order.is_normalising), order.images()
    names, wanted = module.names(images), _answers(module, images)
    path, texts = folder / "model.onnx", {"striate": to_json(config)}
    write_onnx(module, images[:2], path, names, texts)
    agreement = require_equal(
        wanted, Session(path)(images.numpy()), "the ONNX file", order.run, lambda: _row(order, _through_onnx)
    )
    return path.name, "the network in ONNX, any number of images at once", agreement


def _in_eight_bits(order: Order, folder: Path, wanted: EightBits) -> Quantised:
    """The ONNX file of the folder in 8 bits beside it, unless it is worse."""
    path, out = folder / "model.onnx", folder / INT8
    images = replace(order, stored=wanted.calibration).images().numpy()
    choice = quantise(path, out, images)
    found = judged(order.predictor.task, wanted.batches, order.fed, path, out, choice)
    if found.is_worse and not wanted.is_accepted:
        fix = "leave --int8 out, or add --accept"
        raise ModelError("8 bits are worse; nothing was kept", where=order.run, fix=fix, details=(found.text,))
    return found


def _torch(order: Order, config: Mapping[str, Any], folder: Path) -> tuple[str, str, Agreement]:
    module, images = Answering.of(order.predictor, is_normalising=order.is_normalising), order.images()
    path = folder / "model.pt2"
    try:
        program = torch.export.export(module, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as problem:  # the exporter's errors have no common class
        what = f"the network cannot be written as a program ({reason_of(problem)})"
        raise ModelError(what, where=order.run, fix="use `striate predict` or `striate serve` for it") from problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are views of one storage; what was written is checked
        torch.export.save(program, str(path), extra_files={"config.json": to_json(config)})
    loaded = torch.export.load(str(path)).module()
    agreement = require_equal(
        _answers(module, images), _answers(loaded, images), "the program", order.run, lambda: None
    )
    return path.name, "a torch.export program, any number of images at once: torch.export.load(...).module()", agreement


WRITERS: dict[str, Callable[[Order, Mapping[str, Any], Path], tuple[str, str, Agreement]]] = {
    "onnx": _onnx,
    "torch": _torch,
}


@torch.inference_mode()
def _answers(module: Callable[..., Any], images: Tensor) -> Answers:
    return [one.numpy() for one in module(images)]


def _through_onnx(module: nn.Module, images: Tensor) -> Answers:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.onnx"
        num = len(module(images[:2]))
        write_onnx(module.eval(), images[:2], path, [f"row{number}" for number in range(num)], {})
        return Session(path)(images.numpy())


def _row(order: Order, run: Callable[[nn.Module, Tensor], Answers]) -> str | None:
    return first_difference(order.predictor.network, order.predictor.inputs(order.stored).contiguous(), run)


def config_of(run: RunDir, predictor: Predictor, *, is_normalising: bool = False) -> dict[str, Any]:
    """Return what another program must know of a run: its input, the preparation of images, its names."""
    info = run.info()
    geometry = predictor.geometry
    return {
        "model": info["model"]["name"],
        "data": info["dataset"]["name"],
        "task": predictor.task.name,
        "names": list(predictor.task.names),
        "unit": predictor.task.unit,
        **geometry.to_json(),
        "store_hw": list(geometry.store_hw),
        "mean": list(predictor.mean),
        "std": list(predictor.std),
        "temperature": predictor.temperature,
        "settings": predictor.task.to_json(),
        "embeds_preprocessing": is_normalising,
    }


def _scores(run: RunDir) -> dict[str, dict[str, float]]:
    return {
        split: {name: value for name, value in found.items() if isinstance(value, float)}
        for split, found in run.scores().items()
        if isinstance(found, dict)
    }


def _is_plain(predictor: Predictor) -> bool:
    """Whether images are what Pillow reads: grey or RGB of 8 bits."""
    geometry = predictor.geometry
    return geometry.channels in (1, 3) and geometry.depth == 8 and len(geometry.size_hw) == 2


def _keep_samples(order: Order, folder: Path) -> None:
    """Keep a few stored images, and the run's answers to them as arrays."""
    folder.mkdir()
    some = replace(order, stored=order.stored[:SAMPLES])
    module, images = Answering.of(order.predictor, is_normalising=order.is_normalising), some.images()
    answers = dict(zip(module.names(images), _answers(module, images), strict=True))
    if _is_plain(order.predictor):
        for number, image in enumerate(some.stored):
            Image.fromarray(np.squeeze(image)).save(folder / f"{number}.png")
    else:
        np.savez(folder / "images.npz", images=np.stack(some.stored))
    np.savez(folder / "answers.npz", **answers)  # type: ignore[arg-type]
