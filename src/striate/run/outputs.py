"""The look at a user's own module on real images, before an epoch is trained and a folder begun."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from striate.base.errors import ModelError, SettingsError
from striate.base.seeds import seed_for
from striate.base.text import shown
from striate.engine.regularise import modules_in_eval_mode
from striate.evaluate.run import in_tiles
from striate.model.network import Network
from striate.model.state import state_of, without_prefixes
from striate.task.outputs import ONE_VALUE, outputs_of, refusal, require_answers

from .prepare import Prepared, restore_or_fork


def require_outputs(network: nn.Module, prepared: Prepared, seed: int) -> None:
    """Run a module once on a training batch, as in training and as in evaluation; its state is given back.

    Networks of rows need no look: they are built for their images and outputs. Lazy layers get their shapes here,
    and their weights from the seed.

    Raises:
        ModelError: it fails, gives something else than (N, outputs) numbers, or nothing of it can be trained.
        SettingsError: batches of one image would come, which batch norm cannot learn from; or a plugin's task gives
            something else than numbers of each image.
    """
    has_own_task, has_own_network = bool(getattr(prepared.task, "plugin", None)), not isinstance(network, Network)
    if has_own_task:
        _require_answers(network.to(prepared.device), prepared, seed)
    if has_own_network:
        _require_module(network.to(prepared.device), prepared, seed)


def require_same_shapes(network: nn.Module, tensors: Mapping[str, Tensor], run: Path) -> None:
    """Refuse a checkpoint of another network: a plugin may give other outputs now than when the run began.

    Raises:
        ModelError: it names the first tensor of another shape.
    """
    given = without_prefixes(tensors)
    for name, tensor in state_of(network).items():
        if name in given and not is_lazy(tensor) and given[name].shape != tensor.shape:
            shapes = f"{name} is {tuple(tensor.shape)}, in the checkpoint {tuple(given[name].shape)}"
            raise ModelError(f"the plugin makes another network now: {shapes}", where=run, fix=restore_or_fork(run))


def _require_answers(network: nn.Module, prepared: Prepared, seed: int) -> None:
    batch = next(iter(prepared.loader("train", seed=seed, is_training=False).batches(0)))
    with _borrowed(network, prepared.device), torch.no_grad():
        network.eval()
        outputs = in_tiles(lambda images: outputs_of(network, prepared.task, images), batch)(batch.images)
        require_answers(prepared.task, outputs, batch)


def _require_module(network: nn.Module, prepared: Prepared, seed: int) -> None:
    images = next(iter(prepared.loader("train", seed=seed, is_training=True).batches(0))).images
    with _borrowed(network, prepared.device):
        torch.manual_seed(seed_for(seed, "init"))
        _require_finite(network)
        network.eval()
        with torch.no_grad():
            outputs_of(network, prepared.task, images[:2])  # the last batch of a split may be of any size
        if prepared.recipe.transfer.head != "only":
            _require_trainable(network, prepared, images)


def _require_trainable(network: nn.Module, prepared: Prepared, images: torch.Tensor) -> None:
    settings = prepared.recipe.train
    network.train()
    for module in modules_in_eval_mode(network, settings.frozen_at_last, has_fixed_norms=settings.freeze_norm):
        module.eval()
    try:
        outputs = outputs_of(network, prepared.task, images)
    except ValueError as problem:
        if ONE_VALUE not in str(problem):
            raise
        what = "batch norm cannot learn from one number a channel, which one image in a batch gives this network"
        raise SettingsError(what, where="train.batch_size", fix="give it 2 or more images a step") from problem
    if not outputs.requires_grad:
        raise refusal(network, "its outputs depend on no weight that trains", "set requires_grad of some parameters")


def _require_finite(network: nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        if not is_lazy(tensor) and not torch.isfinite(tensor).all():
            raise refusal(
                network, f"{shown(name, 60)} holds numbers that are not finite", "initialise or load it again"
            )


@contextmanager
def _borrowed(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Give back modes, buffers and the global random state, also when the block raises."""
    modes = {module: module.training for module in network.modules()}
    buffers = {name: tensor.clone() for name, tensor in network.named_buffers() if not is_lazy(tensor)}
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        for module, was_training in modes.items():
            module.training = was_training
        for name, tensor in network.named_buffers():
            if name in buffers:
                tensor.copy_(buffers[name])
