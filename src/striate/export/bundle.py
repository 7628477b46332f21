"""A folder with an exported network: the file itself, how its images are prepared, a card, samples with answers."""

import inspect
import warnings
from collections.abc import Callable, Sequence
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
from striate.predict.tiling import source
from striate.task import Task
from striate.task.head import Image as ImageHead

from .boxes import compare_boxes, is_dense, rows_of, settings_of, suppress
from .card import card
from .contract import Agreement, Answers, compare, first_difference, require_equal
from .graph import require_fixed
from .images import pixels_of, settings_of_images
from .library import LIBRARIES
from .onnx_file import Session, reason_of, require_packages, write_onnx
from .order import Order, Written, answers_of
from .quantise import EightBits, Quantised, judged, quantise

SAMPLES = 4
END = "for path in sys.argv[1:]:"  # where the script goes on in another way with boxes
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
        to: "onnx", "torch" (a `torch.export` program), or "torchvision" or "timm" (weights that these libraries load).
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
    writer = choose("to", to, WRITERS)
    if eight_bits and to != "onnx":
        raise SettingsError("8 bits are for ONNX files", where="--int8", fix="add --to onnx")
    if out.exists() and not overwrite:
        raise SettingsError("the folder is taken", where=out, fix="name another --out, or add --overwrite")
    predictor = Predictor.load(run, network)
    require_fixed(predictor)
    stored = pixels_of(predictor, stored)
    if eight_bits and is_dense(predictor.task):
        raise SettingsError("a detector is not written in 8 bits", where="--int8", fix="leave --int8 out")
    if eight_bits and predictor.makes_images:
        what = "a network that makes images is not written in 8 bits"
        raise SettingsError(what, where="--int8", fix="leave --int8 out")
    config = config_of(run, predictor, is_normalising=is_normalising)
    order = Order(run.path, predictor, stored, config, is_normalising)
    with whole_folder(out) as folder:
        written = writer(order, folder)
        config = {**config, **written.config}
        write_json(folder / "config.json", config)  # which a library reads to load the rest
        images = order.images()
        found_there = rows_of(predictor.task, written.answers(images))
        agreement = require_equal(_compared(order, images, found_there), written.what, order.run, written.row)
        found = _in_eight_bits(order, folder, eight_bits) if eight_bits else None
        if found:
            write_json(folder / "config.json", config | {"int8": found.to_json()})
        _keep_samples(order, folder / "samples")
        more = {INT8: f"the same in 8 bits: {found.text}"} if found else {}
        files = {
            written.name: written.about,
            **more,
            "config.json": "the preparation of images and the names of classes",
        }
        if to == "onnx" and _is_plain(order.predictor):
            write_text(folder / SCRIPT, script_of(predictor.task))
            files[SCRIPT] = "prediction with numpy, Pillow and onnxruntime alone"
        files["samples/"] = "stored images with the run's answers"
        checked = f"Against the run on {agreement.text}."
        write_text(folder / "README.md", card(config, _scores(run), files, checked, written.use))
    return Exported(out, out / written.name, agreement, found)


@torch.inference_mode()
def _compared(order: Order, images: Tensor, given: Answers) -> Agreement:
    """How the answers of what was written agree with the run's to the same images."""
    task, module = order.predictor.task, order.module()
    if not is_dense(task):
        return compare(answers_of(module, images), given)
    normal = order.predictor.inputs(order.stored)
    return compare_boxes([task.decode(order.predictor.network(normal)).values.numpy()], given)


def script_of(task: Task) -> str:
    """Return the program that predicts with the ONNX file: `boxes.suppress` is in it of boxes, tiles of images."""
    read = resources.files(__package__).joinpath
    script = read("predict_onnx.txt").read_text("utf-8")
    if is_dense(task):
        body, name = inspect.getsource(suppress).replace("npt.NDArray[Any]", "np.ndarray"), "predict_boxes.txt"
    elif isinstance(task.head, ImageHead):
        body, name = source(), "predict_images.txt"
    else:
        return script
    return f"{script.partition(END)[0]}{body}{read(name).read_text('utf-8')}"


def _onnx(order: Order, folder: Path) -> Written:
    require_packages()
    module, images = order.module(), order.images()
    path = folder / "model.onnx"
    write_onnx(module, images[:2], path, module.names(images), {"striate": to_json(order.config)})

    def answers(pixels: Tensor) -> Answers:
        return Session(path)(pixels.numpy())

    about = "the network in ONNX, any number of images at once"
    return Written(path.name, about, "the ONNX file", answers, lambda: _row(order, _through_onnx))


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


def _torch(order: Order, folder: Path) -> Written:
    module, images = order.module(), order.images()
    path = folder / "model.pt2"
    try:
        program = torch.export.export(module, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    except Exception as problem:  # the exporter's errors have no common class
        what = f"the network cannot be written as a program ({reason_of(problem)})"
        raise ModelError(what, where=order.run, fix="use `striate predict` or `striate serve` for it") from problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are views of one storage; what was written is checked
        torch.export.save(program, str(path), extra_files={"config.json": to_json(order.config)})

    def answers(pixels: Tensor) -> Answers:
        return answers_of(torch.export.load(str(path)).module(), pixels)

    about = "a torch.export program, any number of images at once: torch.export.load(...).module()"
    return Written(path.name, about, "the program", answers)


WRITERS: dict[str, Callable[[Order, Path], Written]] = {
    "onnx": _onnx,
    "torch": _torch,
    **LIBRARIES,
}


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
        **settings_of(predictor.task),
        **settings_of_images(predictor),
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
    module, images = order.module(), some.images()
    answers = dict(zip(module.names(images), answers_of(module, images), strict=True))
    if _is_plain(order.predictor):
        for number, image in enumerate(some.stored):
            Image.fromarray(np.squeeze(image)).save(folder / f"{number}.png")
    else:
        np.savez(folder / "images.npz", images=np.stack(some.stored))
    np.savez(folder / "answers.npz", **answers)  # type: ignore[arg-type]
