"""Out of memory while training: what a batch needs, what there is, and the batch size that fits."""

import copy
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn

from striate.base.errors import ResourceError
from striate.base.memory import available_bytes, give_back, is_out_of_memory
from striate.base.rundir import RunDir
from striate.engine.precision import has_bf16

from .prepare import Prepared

LARGE_BYTES = 10**8  # of the weights and their copies: then these are said too
MORE = "more memory than is free"
SHARE = 0.5  # of what is free that a batch may take: allocators round up, kernels have scratch memory
COPIES = 8  # of the weights, beside them: gradients, two moments, average, best ones, a checkpoint as it is written
BACKWARD = 2.0  # the gradients of the maps are as large as these


@contextmanager
def told_of_memory(prepared: Prepared, network: nn.Module, run: RunDir | None = None) -> Iterator[None]:
    """Turn running out of memory in this block into an error that says what is needed and which batch size fits.

    A `run` that has made no step yet leaves its folder empty, so that the same command can be given again.

    Raises:
        ResourceError: there was not enough memory.
    """
    try:
        yield
    except Exception as problem:
        if not is_out_of_memory(problem):
            raise
        traceback.clear_frames(problem.__traceback__)  # they hold the tensors of the step
        error = _error(prepared, network, run)
        raise error from None


def require_batch(prepared: Prepared, network: nn.Module) -> None:
    """Refuse a network whose maps of one batch alone do not fit into memory, before a batch is run.

    A CPU's system gives memory that it does not have, and then ends the process without a word.

    Raises:
        ResourceError: they do not fit.
    """
    train, geometry = prepared.recipe.train, prepared.geometry
    if prepared.device.type != "cpu" or prepared.recipe.transfer.head == "only" or train.frozen_at_last:
        return
    batch = min(prepared.batch_size, len(prepared.dataset.splits["train"]))
    each = bytes_an_image(network, (geometry.channels, *geometry.size_hw)) / BACKWARD
    is_half = train.precision == "bf16" or (train.precision == "auto" and has_bf16(prepared.device))
    if batch * each * (0.5 if is_half else 1.0) > _free_bytes(prepared.device):
        raise _error(prepared, network, None)


def _error(prepared: Prepared, network: nn.Module, run: RunDir | None) -> ResourceError:
    batch = min(prepared.batch_size, len(prepared.dataset.splits["train"]))
    where = run.path if run else prepared.dataset.where
    geometry = prepared.geometry
    each = bytes_an_image(network, (geometry.channels, *geometry.size_hw))
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    have = max(0, _free_bytes(prepared.device) - COPIES * weights)
    beside = f" beside {COPIES * weights / 1e9:.1f} GB for the weights" if COPIES * weights > LARGE_BYTES else ""
    need = f"about {batch * each / 1e9:.1f} GB{beside}, {have / 1e9:.1f} GB are free" if each else MORE
    what = f"a batch of {batch} images of {geometry.text} px needs {need}"
    if run is not None and any(int(path.name[5:]) for path in run.checkpoints.glob("step-*")):
        return ResourceError(what, where=where, fix=f"free memory, then `striate resume {run.path}`")
    if run is not None:
        _empty(run)
    fits = fitting(batch, each, have)
    if fits == batch:
        return ResourceError(what, where=where, fix="free memory, or use smaller images or a smaller network")
    return ResourceError(what, where=where, fix=f"train again with --batch-size {fits}")


def fitting(batch: int, bytes_each: float, have_bytes: int) -> int:
    """Return the largest power of two below `batch` whose images take half of the memory at most; at least 1.

    Example:
        >>> fitting(512, 1e6, 200_000_000), fitting(512, 1e9, 200_000_000), fitting(1, 1e9, 10)
        (64, 1, 1)
    """
    most = min(max(1, batch // 2), int(SHARE * have_bytes / bytes_each) if bytes_each else batch // 2)
    return 1 << (max(1, most).bit_length() - 1)


def bytes_an_image(network: nn.Module, shape_chw: tuple[int, ...]) -> float:
    """Return about what a training step holds for each image: all that backward needs, gradients; 0 if unknown.

    Counted on a copy without data, so nothing is computed and no memory is taken.
    """
    num, maps = 2, dict[int, torch.Tensor]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim and tensor.shape[0] == num:  # a map that two layers keep is there once
            maps.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with suppress(Exception):  # a network of a user's own may be lazy, or not run without data; then nothing is known
        memo: dict[int, Any] = {id(one): one.detach().to("meta") for one in network.buffers()}
        memo |= {id(one): nn.Parameter(one.detach().to("meta"), one.requires_grad) for one in network.parameters()}
        blank = copy.deepcopy(network, memo).train()
        images = torch.empty(num, *shape_chw, device="meta", requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            blank(images)
        return BACKWARD * (sum(one.nbytes for one in maps.values()) / num + 4 * images[0].numel())
    return 0.0


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    give_back()
    return available_bytes() or 0


def _empty(run: RunDir) -> None:
    for path in run.path.iterdir():
        if path.name != ".lock":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
