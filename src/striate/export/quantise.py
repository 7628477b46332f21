"""An ONNX file in whole numbers of 8 bits: quantised statically on training images, scored on validation images.

Weights get a scale a channel: with one a tensor, depthwise convolutions lose what they know (MobileNetV2 falls from
85.0 % to 8.5 %). How the range of activations is found is tried in turn; the way that agrees best with the float file
on training images which none of them has seen is taken.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.base.text import shown
from striate.data.sample import Batch
from striate.evaluate.interval import Difference, paired_difference
from striate.metric import Answers, Metric
from striate.metric.metric import Array
from striate.task import Task

from .contract import compare
from .onnx_file import INPUT, Session, require_packages

NUM_CALIBRATION = 128  # images for ranges; as many again to choose the way by
MAX_LOSS = 0.005  # of a share, or of the float score: a loss that is separable and larger is refused
WAYS: Mapping[str, Mapping[str, Any]] = {"entropy": {}, "minmax": {}, "percentile": {"CalibPercentile": 99.99}}


@dataclass(frozen=True)
class EightBits:
    """What a file in 8 bits is made with.

    Args:
        calibration: stored training images (H, W, C).
        batches: validation images with their targets, on which it is judged.
        is_accepted: whether it is kept where it is worse.
    """

    calibration: Sequence[npt.NDArray[Any]]
    batches: Iterable[Batch]
    is_accepted: bool = False


@dataclass(frozen=True)
class Quantised:
    """How a file of 8 bits answers beside the float one.

    Args:
        way: how the ranges of activations were found.
        agreement: share of answers, on training images, that are the float file's.
        difference: 8 bits minus float on the N validation images, paired, in the metric's own unit.
    """

    way: str
    agreement: float
    metric: Metric
    num_images: int
    before: float
    after: float
    difference: Difference

    @property
    def is_worse(self) -> bool:
        """Whether it lost more than half a point, and not by chance."""
        loss = self.difference.mean if self.metric.is_less_better else -self.difference.mean
        limit = MAX_LOSS if self.metric.is_share else MAX_LOSS * abs(self.before)
        return self.difference.is_separable and loss > limit

    @property
    def text(self) -> str:
        """What was measured, in a line."""
        metric = self.metric
        change, span = metric.change(self.difference.mean), metric.span(self.difference.interval, is_change=True)
        return (
            f"{metric.name} on {self.num_images:,} validation images: {metric.text(self.before)} in float, "
            f"{metric.text(self.after)} in 8 bits, {change} (95 % interval {span})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a plain document."""
        scores = {"before": self.before, "after": self.after}
        difference = {"difference": self.difference.mean, "interval": list(self.difference.interval)}
        about = {"way": self.way, "agreement": self.agreement, "metric": self.metric.key, "num_images": self.num_images}
        return {**about, **scores, **difference}


def quantise(path: Path, out: Path, images: npt.NDArray[np.float32]) -> tuple[str, float]:
    """Write a float ONNX file in 8 bits; return the way that was taken, and its agreement with the float file.

    Args:
        images: (N, C, H, W) training images; half are for ranges, half to choose by.

    Raises:
        ModelError: the network cannot be quantised.
    """
    require_packages()
    half = max(1, len(images) // 2)
    ranges, unseen = images[:half], images[half:] if len(images) > 1 else images
    wanted, best, found = Session(path)(unseen), ("", -1.0), out.with_suffix(".trial")
    with _prepared(path) as ready:
        for way, options in WAYS.items():
            _write(ready, found, way, options, ranges)
            equal = _agreement(wanted, Session(found)(unseen))
            if equal > best[1]:
                best = way, equal
                found.replace(out)
    found.unlink(missing_ok=True)
    return best


def _agreement(wanted: Sequence[npt.NDArray[Any]], given: Sequence[npt.NDArray[Any]]) -> float:
    """The share of equal classes, less the largest difference where numbers are all there is."""
    found = compare(wanted, given)
    return found.equal if wanted[0].dtype.kind in "iub" else 1 - min(1.0, found.difference)


@contextlib.contextmanager
def _prepared(path: Path) -> Iterator[Path]:
    """The file with its batch norms folded, which ranges need."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready = path.with_suffix(".prepared")
    try:
        with _quiet():
            quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        yield ready
    finally:
        ready.unlink(missing_ok=True)


def _write(path: Path, out: Path, way: str, options: Mapping[str, Any], images: npt.NDArray[np.float32]) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    methods = {"entropy": "Entropy", "minmax": "MinMax", "percentile": "Percentile"}
    try:
        with _quiet():
            quantize_static(
                str(path), str(out), _Reader(images), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=not _has_vnni(),
                calibrate_method=getattr(CalibrationMethod, methods[way]), extra_options=dict(options),
            )  # fmt: skip
    except Exception as problem:  # its errors have no common class
        reason = shown(" ".join(str(problem).split()), 120)
        raise ModelError(
            f"cannot be quantised ({reason})", where=path.stem, fix="export it without --int8"
        ) from problem


def _has_vnni() -> bool:
    """Whether sums of products of 8 bits are exact here; without such units they overflow unless a bit is left."""
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


class _Reader:
    """Gives ONNX Runtime one image after the other."""

    def __init__(self, images: npt.NDArray[np.float32]) -> None:
        self._rest = iter([{INPUT: images[at : at + 1]} for at in range(len(images))])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next input, None at the end."""
        return next(self._rest, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the quantiser prints about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def judged(
    task: Task,
    batches: Iterable[Batch],
    feed: Callable[[Tensor], Tensor],
    before: Path,
    after: Path,
    choice: tuple[str, float],
) -> Quantised:
    """Return how the file of 8 bits scores beside the float one, on images that neither was made with.

    Args:
        feed: from normalised images to what the files take.
        choice: what `quantise` returned.

    Raises:
        ModelError: the metric that judges is not defined on these images.
    """
    metric = next((one for one in task.metrics if one.key == task.monitor), task.metrics[0])
    sessions = (Session(before), Session(after))
    records: tuple[list[Array], list[Array]] = ([], [])
    for batch in batches:
        truth, images = task.truth(batch).cpu().numpy(), feed(batch.images).contiguous().numpy()
        for session, rows in zip(sessions, records, strict=True):
            values, *shares = session(images)
            answers = Answers(truth, values, np.zeros(len(values)), shares[0] if shares else None)
            rows.append(metric.made(answers))
    mine, other = (np.concatenate(rows) for rows in records)
    scores = metric.score(mine), metric.score(other)
    if scores[0] is None or scores[1] is None:
        raise ModelError(f"{metric.name} is not defined on these images", where="--int8", fix="leave --int8 out")
    parts = [metric.contribution(table)[None] for table in (other, mine)]
    difference = paired_difference(parts[0], parts[1], possible=metric.possible)
    return Quantised(*choice, metric, len(mine), scores[0], scores[1], difference)
