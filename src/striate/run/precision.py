"""In which precision a run computes: a trial of what it does with its network, on images of its size."""

import torch
from torch import nn

from striate.base.run_info import PrecisionInfo
from striate.engine.precision import choose_precision

from .prepare import Prepared

NUM_LOOKS = 16  # images in a trial of a network that is not trained


def precision_of(network: nn.Module, prepared: Prepared) -> PrecisionInfo:
    """Return what `choose_precision` finds for training the network, or for taking features of its body."""
    recipe, images = prepared.recipe, _sample_images(prepared)
    if recipe.transfer.head == "only":
        return choose_precision(network, images[:NUM_LOOKS], recipe.train.precision, is_training=False)
    return choose_precision(network, images, recipe.train.precision)


def _sample_images(prepared: Prepared) -> torch.Tensor:
    shape = prepared.batch_size, prepared.geometry.channels, *prepared.geometry.size_hw
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(*shape, generator=generator)
    layout = torch.channels_last if images.ndim == 4 else torch.channels_last_3d
    return images.to(prepared.device, memory_format=layout)
